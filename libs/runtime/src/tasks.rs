//! The background work of a process: named, counted, and waited for at the end.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio_util::task::TaskTracker;
use tracing::Instrument;

use crate::readiness::Readiness;
use crate::shutdown::Shutdown;

/// Spawns tasks that belong to the process. A task ends when its work ends, which for a loop is
/// when [`Tasks::shutdown`] begins; nothing is restarted. A panic is logged and makes the process
/// not ready, so that a supervisor notices.
#[derive(Clone, Debug, Default)]
pub struct Tasks(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    tracker: TaskTracker,
    running: Mutex<Vec<&'static str>>,
    shutdown: Shutdown,
    /// Ends those that do not stop.
    cut: Shutdown,
    readiness: Readiness,
}

impl Tasks {
    /// Tasks that stop with `shutdown` and report panics to `readiness`.
    pub fn new(shutdown: Shutdown, readiness: Readiness) -> Self {
        Self(Arc::new(Inner { shutdown, readiness, ..Inner::default() }))
    }

    /// The order to stop that every task has to follow.
    pub fn shutdown(&self) -> &Shutdown {
        &self.0.shutdown
    }

    /// Where components report whether they can work.
    pub fn readiness(&self) -> &Readiness {
        &self.0.readiness
    }

    /// Starts `work` as a task.
    pub fn spawn<F>(&self, name: &'static str, work: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let inner = self.0.clone();
        lock(&inner.running).push(name);
        let watched = async move {
            let ended = futures_util::FutureExt::catch_unwind(AssertUnwindSafe(work));
            // What is cut off is as safe as what a crash cuts off.
            let ended = inner.cut.unless_begun(ended).await.unwrap_or(Ok(()));
            let mut running = lock(&inner.running);
            if let Some(at) = running.iter().position(|other| *other == name) {
                running.swap_remove(at);
            }
            drop(running);
            if ended.is_err() {
                tracing::error!(task = name, "a background task panicked");
                let component = inner.readiness.component(format!("task {name}"));
                component.failed("stopped by a panic; see the log, then restart the process");
            }
        };
        self.0.tracker.spawn(watched.instrument(tracing::info_span!("task", task = name)));
    }

    /// Waits for every task to end, at most `grace`, and cuts off those that did not; gives their names.
    pub async fn finish(&self, grace: Duration) -> Vec<&'static str> {
        self.0.tracker.close();
        match tokio::time::timeout(grace, self.0.tracker.wait()).await {
            Ok(()) => Vec::new(),
            Err(_) => {
                let late = lock(&self.0.running).clone();
                self.0.cut.begin();
                late
            }
        }
    }
}

/// Nothing panics while holding this lock.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn finish_waits_and_names_who_is_late() {
        let tasks = Tasks::default();
        let shutdown = tasks.shutdown().clone();
        tasks.spawn("obedient", async move { shutdown.begun().await });
        tasks.spawn("stubborn", std::future::pending());
        tasks.shutdown().begin();
        assert_eq!(tasks.finish(Duration::from_millis(200)).await, ["stubborn"]);
    }

    #[tokio::test]
    async fn a_panic_makes_the_process_unready() {
        let tasks = Tasks::default();
        tasks.spawn("clumsy", async { panic!("dropped it") });
        assert_eq!(tasks.finish(Duration::from_secs(5)).await, [""; 0]);
        let report = tasks.readiness().report().await;
        assert!(!report.ready);
        assert!(report.components.contains_key("task clumsy"));
    }
}
