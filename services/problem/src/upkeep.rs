//! What is no longer needed is removed: deleted problems after a while, objects that no version names,
//! request ids that have expired.

use std::time::Duration;

use chrono::TimeDelta;
use futures_util::TryStreamExt as _;
use runtime::Shutdown;

use crate::Service;
use crate::error::Result;
use crate::objects::digest_of;
use crate::store;

/// Objects younger than this are left alone: their import may still be at work.
const YOUNG: TimeDelta = TimeDelta::hours(1);
/// An import that has not named its objects after this long never will.
const FORGOTTEN: TimeDelta = TimeDelta::hours(24);
const BATCH: usize = 100;

/// What one round removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// Problems.
    pub problems: usize,
    /// Objects.
    pub objects: usize,
}

impl Service {
    /// Removes what is no longer needed, until the shutdown.
    pub async fn look_after(self, shutdown: Shutdown) {
        let every = Duration::from_secs(self.config.upkeep_seconds.max(1));
        while shutdown.unless_begun(tokio::time::sleep(every)).await.is_some() {
            match self.tidy().await {
                Ok(removed) if removed == Removed::default() => {}
                Ok(removed) => tracing::info!(?removed, "removed what is no longer needed"),
                Err(error) => tracing::warn!(%error, "upkeep failed; it is tried again"),
            }
        }
    }

    /// One round.
    pub async fn tidy(&self) -> Result<Removed> {
        let problems = self.purge().await?;
        db::requests::purge(&self.db, self.clock.now()).await?;
        let objects = self.remove_objects().await?;
        Ok(Removed { problems, objects })
    }

    async fn purge(&self) -> Result<usize> {
        let time = self.clock.now() - TimeDelta::days(self.config.purge_days.max(0));
        let mut count = 0;
        for id in store::problems::deleted_before(&self.db, time).await? {
            let purged = self
                .db
                .transact(|mut tx| async move { store::problems::purge(&mut tx, id, time).await });
            count += usize::from(purged.await?);
        }
        Ok(count)
    }

    async fn remove_objects(&self) -> Result<usize> {
        let now = self.clock.now();
        let unpinned = self.db.transact(|mut tx| async move {
            store::objects::unpin_before(&mut tx, now - FORGOTTEN).await
        });
        unpinned.await?;
        let mut listed = self.objects.list();
        let (mut batch, mut count) = (Vec::new(), 0);
        while let Some(object) = listed.try_next().await? {
            let old = object.last_modified < now - YOUNG;
            if let Some(digest) = digest_of(&object.location).filter(|_| old) {
                batch.push(digest);
            }
            if batch.len() == BATCH {
                count += self.remove_unneeded(&std::mem::take(&mut batch)).await?;
            }
        }
        Ok(count + self.remove_unneeded(&batch).await?)
    }

    /// Removes those of these objects that nobody needs. Inside the transaction nobody can begin to need
    /// them, see `store::objects`.
    async fn remove_unneeded(&self, digests: &[String]) -> Result<usize> {
        if digests.is_empty() {
            return Ok(0);
        }
        let removed = self.db.transact(|mut tx| async move {
            let unneeded = store::objects::unneeded(&mut tx, digests).await?;
            for digest in &unneeded {
                self.objects.remove(digest).await?;
            }
            Ok(unneeded.len())
        });
        removed.await
    }
}
