//! The shutdown signal of a process, and the Unix signals that trigger it.

use futures_util::future::BoxFuture;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// A shutdown signal. Cheap to clone; once it has begun, it cannot be revoked.
#[derive(Clone, Debug, Default)]
pub struct Shutdown(CancellationToken);

impl Shutdown {
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins the shutdown. Further calls have no effect.
    pub fn begin(&self) {
        self.0.cancel();
    }

    pub fn has_begun(&self) -> bool {
        self.0.is_cancelled()
    }

    pub async fn begun(&self) {
        self.0.cancelled().await;
    }

    /// [`Shutdown::begun`] as an owned future.
    pub fn wait(&self) -> impl Future<Output = ()> + Send + use<> {
        self.0.clone().cancelled_owned()
    }

    /// Runs `work` until it ends or the shutdown begins, which yields `None`.
    pub async fn unless_begun<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        self.0.run_until_cancelled(work).await
    }

    /// A signal that begins with this one, and can also begin on its own.
    pub fn child(&self) -> Self {
        Self(self.0.child_token())
    }
}

/// The first SIGINT or SIGTERM begins the shutdown; the second one exits at once with code 130.
pub fn on_signals(shutdown: Shutdown) -> BoxFuture<'static, std::io::Result<()>> {
    Box::pin(async move {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut next = async || {
            tokio::select! {
                _ = interrupt.recv() => "SIGINT",
                _ = terminate.recv() => "SIGTERM",
            }
        };
        let name = next().await;
        tracing::info!(signal = name, "shutting down, a second signal exits at once");
        shutdown.begin();
        let name = next().await;
        tracing::warn!(signal = name, "second signal, exiting");
        std::process::exit(130);
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn children_begin_with_their_parent() {
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
