//! Periodic cleanup: purges deleted problems and unreferenced objects.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::TryStreamExt as _;
use runtime::Tasks;

use crate::Problems;
use crate::error::{Error, Result};
use crate::objects::digest_of;
use crate::store;
use crate::store::objects::Released;

/// Younger objects without pin and reference are kept.
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

    /// Removes the objects that lost their last pin or reference.
    async fn remove_objects(&self) -> Result<usize> {
        let now = self.clock.now();
        let expired = self.db.transact(|mut tx| async move {
            store::objects::release_pins_before(&mut tx, now - PIN_EXPIRY).await
        });
        expired.await?;
        let mut count = 0;
        loop {
            let released = store::objects::released(&self.db).await?;
            if released.is_empty() {
                break;
            }
            let digests: BTreeSet<_> = released.iter().map(|one| one.digest.clone()).collect();
            let digests: Vec<_> = digests.into_iter().collect();
            count += self.remove_unreferenced(&digests, &released).await?;
        }
        Ok(count + self.remove_unknown(now).await?)
    }

    /// Removes unreferenced objects that were never noted as released: left by earlier releases of Agon, or
    /// written after the backup from which the database was restored. Each run lists another of 256 parts of the store.
    async fn remove_unknown(&self, now: DateTime<Utc>) -> Result<usize> {
        let interval = i64::try_from(self.config.housekeeping_seconds.max(1)).unwrap_or(i64::MAX);
        let part = (now.timestamp() / interval).rem_euclid(256);
        let mut listed = self.objects.list(u8::try_from(part).unwrap_or_default());
        let (mut batch, mut count) = (Vec::new(), 0);
        while let Some(object) = listed.try_next().await? {
            let old = object.last_modified < now - MIN_OBJECT_AGE;
            if let Some(digest) = digest_of(&object.location).filter(|_| old) {
                batch.push(digest);
            }
            if batch.len() == BATCH {
                count += self.remove_unreferenced(&std::mem::take(&mut batch), &[]).await?;
            }
        }
        Ok(count + self.remove_unreferenced(&batch, &[]).await?)
    }

    /// Removes the objects that have no reference, and notes about their release. The transaction holds the lock that
    /// prevents new pins, see `store::objects`.
    async fn remove_unreferenced(
        &self,
        digests: &[String],
        released: &[Released],
    ) -> Result<usize> {
        if digests.is_empty() {
            return Ok(0);
        }
        let removed = self.db.transact(|mut tx| async move {
            let unreferenced = store::objects::unreferenced(&mut tx, digests).await?;
            for digest in &unreferenced {
                self.objects.remove(digest).await?;
            }
            store::objects::forget_released(&mut tx, released).await?;
            Ok(unreferenced.len())
        });
        removed.await
    }
}
