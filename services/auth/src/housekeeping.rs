//! Background tasks: key rotation, revocations by other processes, removal of expired rows.

use std::sync::Arc;
use std::time::Duration;

use chrono::Duration as Days;
use db::Engine;

use crate::error::Result;
use crate::{State, store};

/// Processes that share PostgreSQL must see each other's revocations within a second.
const REVOCATION_INTERVAL: Duration = Duration::from_millis(400);
const KEY_INTERVAL: Duration = Duration::from_secs(60);
const PURGE_INTERVAL: Duration = Duration::from_secs(600);
/// Retention of ended sessions and invitations, for investigations.
const RETENTION_DAYS: i64 = 30;

pub fn start(state: &Arc<State>, tasks: &runtime::Tasks) {
    if state.db.engine() == Engine::Postgres {
        repeat(state, tasks, "auth revocations", REVOCATION_INTERVAL, |state| async move {
            // Much longer than the interval, to cover failed attempts.
            let since = state.clock.now() - Days::seconds(30);
            state.load_revocations(Some(since)).await
        });
    }
    repeat(state, tasks, "auth signing keys", KEY_INTERVAL, |state| async move {
        state.rotate_keys().await
    });
    repeat(state, tasks, "auth purge", PURGE_INTERVAL, |state| async move { state.purge().await });
}

fn repeat<F, Fut>(
    state: &Arc<State>,
    tasks: &runtime::Tasks,
    name: &'static str,
    interval: Duration,
    work: F,
) where
    F: Fn(Arc<State>) -> Fut + Send + 'static,
    Fut: Future<Output = Result<()>> + Send,
{
    let (state, shutdown) = (state.clone(), tasks.shutdown().clone());
    tasks.spawn(name, async move {
        while shutdown.unless_begun(tokio::time::sleep(interval)).await.is_some() {
            if let Err(error) = work(state.clone()).await {
                tracing::warn!(%error, task = name, "background task failed, retrying");
            }
        }
    });
}

impl State {
    /// Removes expired rows and revocations.
    async fn purge(&self) -> Result<()> {
        let now = self.clock.now();
        self.verifier.revocations().purge(now);
        let purging = self.db.transact(|mut tx| async move {
            let before = now - Days::days(RETENTION_DAYS);
            store::sessions::purge(&mut tx, before).await?;
            store::invitations::purge(&mut tx, before).await?;
            store::keys::purge_assertions(&mut tx, now).await?;
            store::revocations::purge(&mut tx, now).await
        });
        purging.await?;
        while db::requests::purge(&self.db, now).await? > 0 {}
        Ok(())
    }
}
