//! Periodic cleanup: purges deleted problems and unreferenced objects.

use std::time::Duration;

use chrono::TimeDelta;
use futures_util::TryStreamExt as _;
use runtime::Tasks;

use crate::Problems;
use crate::error::{Error, Result};
use crate::objects::digest_of;
use crate::store;

/// Younger objects are kept: their import may still be in progress.
const MIN_OBJECT_AGE: TimeDelta = TimeDelta::hours(1);
/// Older pins belong to imports that did not finish.
const PIN_EXPIRY: TimeDelta = TimeDelta::hours(24);
/// Objects that are checked in one transaction.
const BATCH: usize = 100;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    pub problems: usize,
    pub objects: usize,
}

impl Problems {
    /// Cleans up periodically until the shutdown.
    pub fn start_housekeeping(&self, tasks: &Tasks) {
        let interval = Duration::from_secs(self.config.housekeeping_seconds.max(1));
        let this = self.clone();
        service::every(tasks, "problem housekeeping", interval, move || {
            let this = this.clone();
            async move {
                let Removed { problems, objects } = this.clean_up().await?;
                if problems + objects > 0 {
                    tracing::info!(problems, objects, "housekeeping done");
                }
                Ok::<_, Error>(())
            }
        });
    }

    pub async fn clean_up(&self) -> Result<Removed> {
        let problems = self.purge().await?;
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
            store::objects::remove_pins_before(&mut tx, now - PIN_EXPIRY).await
        });
        unpinned.await?;
        let mut listed = self.objects.list();
        let (mut batch, mut count) = (Vec::new(), 0);
        while let Some(object) = listed.try_next().await? {
            let old = object.last_modified < now - MIN_OBJECT_AGE;
            if let Some(digest) = digest_of(&object.location).filter(|_| old) {
                batch.push(digest);
            }
            if batch.len() == BATCH {
                count += self.remove_unreferenced(&std::mem::take(&mut batch)).await?;
            }
        }
        Ok(count + self.remove_unreferenced(&batch).await?)
    }

    /// Removes the objects that have no reference. The transaction holds the lock that prevents new references, see
    /// `store::objects`.
    async fn remove_unreferenced(&self, digests: &[String]) -> Result<usize> {
        if digests.is_empty() {
            return Ok(0);
        }
        let removed = self.db.transact(|mut tx| async move {
            let unreferenced = store::objects::unreferenced(&mut tx, digests).await?;
            for digest in &unreferenced {
                self.objects.remove(digest).await?;
            }
            Ok(unreferenced.len())
        });
        removed.await
    }
}
