//! The order to stop, and the signals that give it.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Handed to everything that has to stop: cheap to clone, given once, never taken back.
#[derive(Clone, Debug, Default)]
pub struct Shutdown(CancellationToken);

impl Shutdown {
    /// Not ordered yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Orders everything to stop. The first order counts.
    pub fn begin(&self) {
        self.0.cancel();
    }

    /// True once ordered.
    pub fn has_begun(&self) -> bool {
        self.0.is_cancelled()
    }

    /// Waits for the order.
    pub async fn begun(&self) {
        self.0.cancelled().await;
    }

    /// Waits for the order; for APIs that want a future of their own.
    pub fn wait(&self) -> impl Future<Output = ()> + Send + use<> {
        self.0.clone().cancelled_owned()
    }

    /// Runs `work` until it ends or the order comes; `None` when the order came first.
    pub async fn unless_begun<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        self.0.run_until_cancelled(work).await
    }

    /// An order that follows this one and can also be given on its own.
    pub fn child(&self) -> Self {
        Self(self.0.child_token())
    }
}

/// The first SIGINT or SIGTERM begins the shutdown; a second one ends the process at once.
pub async fn on_signals(shutdown: Shutdown) -> std::io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut next = async || {
        tokio::select! {
            _ = interrupt.recv() => "SIGINT",
            _ = terminate.recv() => "SIGTERM",
        }
    };
    let name = next().await;
    tracing::info!(signal = name, "stopping; a second signal ends the process at once");
    shutdown.begin();
    let name = next().await;
    tracing::warn!(signal = name, "second signal: leaving at once");
    std::process::exit(130);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn children_follow() {
        let shutdown = Shutdown::new();
        let child = shutdown.child();
        child.clone().begin();
        assert!(child.has_begun() && !shutdown.has_begun());
        let other = shutdown.child();
        shutdown.begin();
        other.begun().await;
        assert_eq!(shutdown.unless_begun(std::future::pending::<()>()).await, None);
    }
}
