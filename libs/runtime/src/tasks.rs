//! The background tasks of a process.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use crate::readiness::Readiness;
use crate::shutdown::Shutdown;

/// Spawns named tasks. Loops must end when [`Tasks::shutdown`] begins. Tasks are not restarted: a panic
/// is logged and makes the process unready, so that a supervisor restarts it.
#[derive(Clone, Debug, Default)]
pub struct Tasks(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    tracker: TaskTracker,
    running: Mutex<Vec<&'static str>>,
    shutdown: Shutdown,
    /// Cancels tasks that do not stop within the grace period.
    abort: Shutdown,
    readiness: Readiness,
}

impl Tasks {
    /// Tasks that stop with `shutdown` and report panics to `readiness`.
    pub fn new(shutdown: Shutdown, readiness: Readiness) -> Self {
        Self(Arc::new(Inner { shutdown, readiness, ..Inner::default() }))
    }

    /// The shutdown signal that all tasks must obey.
    pub fn shutdown(&self) -> &Shutdown {
        &self.0.shutdown
    }

    pub fn readiness(&self) -> &Readiness {
        &self.0.readiness
    }

    pub fn spawn(&self, name: &'static str, work: impl Future<Output = ()> + Send + 'static) {
        self.spawn_boxed(name, Box::pin(work));
    }

    // Not generic, so that the task's code is compiled once.
    fn spawn_boxed(&self, name: &'static str, work: BoxFuture<'static, ()>) {
        let inner = self.0.clone();
        lock(&inner.running).push(name);
        let watched = async move {
            let ended = futures_util::FutureExt::catch_unwind(AssertUnwindSafe(work));
            // Aborting is as safe as a crash.
            let ended = inner.abort.unless_begun(ended).await.unwrap_or(Ok(()));
            let mut running = lock(&inner.running);
            if let Some(at) = running.iter().position(|other| *other == name) {
                running.swap_remove(at);
            }
            drop(running);
            if ended.is_err() {
                tracing::error!(task = name, "background task panicked");
                let component = inner.readiness.component(format!("task {name}"));
                component.failed("stopped by a panic; see the log and restart the process");
            }
        };
        self.0.tracker.spawn(watched.instrument(tracing::info_span!("task", task = name)));
    }

    /// Waits at most `grace` for all tasks to end. Aborts the others and returns their names.
    pub fn finish(&self, grace: Duration) -> BoxFuture<'_, Vec<&'static str>> {
        Box::pin(async move {
            self.0.tracker.close();
            match tokio::time::timeout(grace, self.0.tracker.wait()).await {
                Ok(()) => Vec::new(),
                Err(_) => {
                    let late = lock(&self.0.running).clone();
                    self.0.abort.begin();
                    late
                }
            }
        })
    }
}

/// No code panics while it holds the lock.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn finish_returns_the_tasks_that_did_not_stop() {
        let tasks = Tasks::default();
        let shutdown = tasks.shutdown().clone();
        tasks.spawn("stopping", async move { shutdown.begun().await });
        tasks.spawn("hanging", std::future::pending());
        tasks.shutdown().begin();
        assert_eq!(tasks.finish(Duration::from_millis(200)).await, ["hanging"]);
    }

    #[tokio::test]
    async fn panic_makes_the_process_unready() {
        let tasks = Tasks::default();
        tasks.spawn("panicking", async { panic!("expected") });
        assert_eq!(tasks.finish(Duration::from_secs(5)).await, [""; 0]);
        let report = tasks.readiness().report().await;
        assert!(!report.ready);
        assert!(report.components.contains_key("task panicking"));
    }
}
