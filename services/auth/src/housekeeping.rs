//! Background tasks: key rotation, revocations by other processes, removal of expired rows.

use std::pin::Pin;
use std::time::Duration;

use chrono::Duration as Days;
use db::Engine;

use crate::error::Result;
use crate::{Auth, State, store};

/// Processes that share PostgreSQL must see each other's revocations within a second.
const REVOCATION_INTERVAL: Duration = Duration::from_millis(400);
const KEY_INTERVAL: Duration = Duration::from_secs(60);
const PURGE_INTERVAL: Duration = Duration::from_secs(600);
/// Retention of ended sessions and invitations, for investigations.
const RETENTION_DAYS: i64 = 30;

pub fn start(auth: &Auth, tasks: &runtime::Tasks) {
    let each = |name, interval, work: Work| {
        let auth = auth.clone();
        service::every(tasks, name, interval, move || work(auth.clone()));
    };
    if auth.0.db.engine() == Engine::Postgres {
        each("auth revocations", REVOCATION_INTERVAL, |auth| {
            Box::pin(async move {
                // Much longer than the interval, to cover failed attempts.
                let since = auth.0.clock.now() - Days::seconds(30);
                auth.0.load_revocations(Some(since)).await
            })
        });
    }
    each("auth signing keys", KEY_INTERVAL, |auth| {
        Box::pin(async move { auth.0.rotate_keys().await })
    });
    each("auth purge", PURGE_INTERVAL, |auth| Box::pin(async move { auth.0.purge().await }));
}

type Work = fn(Auth) -> Pin<Box<dyn Future<Output = Result<()>> + Send>>;

impl State {
    /// Removes expired rows and revocations.
    async fn purge(&self) -> Result<()> {
        let now = self.clock.now();
        self.verifier.revocations().purge(now);
        let purging = self.db.transact(|mut tx| async move {
            let before = now - Days::days(RETENTION_DAYS);
            store::sessions::purge(&mut tx, before).await?;
            store::invitations::purge(&mut tx, before, now).await?;
            store::keys::purge_assertions(&mut tx, now).await?;
            store::revocations::purge(&mut tx, now).await
        });
        purging.await?;
        Ok(())
    }
}
