//! Periodic work.

use std::fmt::Display;
use std::time::Duration;

use db::Db;
use runtime::Tasks;

/// How often expired request ids are deleted.
const PURGE_PERIOD: Duration = Duration::from_secs(600);

/// Runs `work` every `period` until the shutdown, for the first time after one period. Failures are logged; the next
/// run is the retry.
pub fn every<F, Fut, E>(tasks: &Tasks, name: &'static str, period: Duration, work: F)
where
    F: Fn() -> Fut + Send + 'static,
    Fut: Future<Output = Result<(), E>> + Send,
    E: Display,
{
    let shutdown = tasks.shutdown().clone();
    tasks.spawn(name, async move {
        while shutdown.unless_begun(tokio::time::sleep(period)).await.is_some() {
            if let Err(error) = work().await {
                tracing::warn!(%error, task = name, "periodic work failed");
            }
        }
    });
}

/// Deletes expired request ids of a service's database, see [`Idempotent`](crate::Idempotent).
pub fn purge_requests(tasks: &Tasks, db: &Db) {
    let db = db.clone();
    every(tasks, "request id purge", PURGE_PERIOD, move || {
        let db = db.clone();
        async move {
            while db::requests::purge(&db, db.clock().now()).await? > 0 {}
            Ok::<_, db::Error>(())
        }
    });
}
