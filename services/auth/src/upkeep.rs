//! The background work: keys, what others revoked, and forgetting what is over.

use std::sync::Arc;
use std::time::Duration;

use chrono::Duration as Days;
use db::Engine;

use crate::error::Result;
use crate::{State, store};

/// Several processes can share PostgreSQL; what they revoke must show here within a second.
const POLL: Duration = Duration::from_millis(400);
const KEYS: Duration = Duration::from_secs(60);
const PURGE: Duration = Duration::from_secs(600);
/// How long sessions and invitations are kept after their end, for whoever asks what happened.
const KEPT_DAYS: i64 = 30;

/// Starts it.
pub fn start(state: &Arc<State>, tasks: &runtime::Tasks) {
    if state.db.engine() == Engine::Postgres {
        repeat(state, tasks, "auth revocations", POLL, |state| async move {
            // Far longer than the pause, so that looks that failed are made up for.
            let since = state.clock.now() - Days::seconds(30);
            state.load_revocations(Some(since)).await
        });
    }
    repeat(state, tasks, "auth signing keys", KEYS, |state| async move { state.keep_keys().await });
    repeat(state, tasks, "auth purge", PURGE, |state| async move { state.purge().await });
}

fn repeat<F, Fut>(
    state: &Arc<State>,
    tasks: &runtime::Tasks,
    name: &'static str,
    every: Duration,
    work: F,
) where
    F: Fn(Arc<State>) -> Fut + Send + 'static,
    Fut: Future<Output = Result<()>> + Send,
{
    let (state, shutdown) = (state.clone(), tasks.shutdown().clone());
    tasks.spawn(name, async move {
        while shutdown.unless_begun(tokio::time::sleep(every)).await.is_some() {
            if let Err(error) = work(state.clone()).await {
                tracing::warn!(%error, task = name, "background work failed; it will be tried again");
            }
        }
    });
}

impl State {
    /// Forgets what is over.
    pub async fn purge(&self) -> Result<()> {
        let now = self.clock.now();
        self.verifier.revocations().purge(now);
        let purging = self.db.transact(|mut tx| async move {
            let before = now - Days::days(KEPT_DAYS);
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
