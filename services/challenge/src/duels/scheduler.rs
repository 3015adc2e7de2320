//! Expires invitations and decides duels whose time is over.

use chrono::{DateTime, Utc};
use db::lease::{self, Lease};
use uuid::Uuid;

use crate::Challenge;
use crate::error::Error;
use crate::schedule::Schedule;
use crate::store;

const BATCH: i64 = 100;

pub struct DuelScheduler(pub Challenge);

impl Schedule for DuelScheduler {
    const NAME: &'static str = "duel scheduler";

    async fn next(&self) -> Result<Option<DateTime<Utc>>, Error> {
        Ok(store::duels::next_due(&self.0.db).await?)
    }

    async fn run(&self, lease: &Lease) -> Result<(), Error> {
        loop {
            let due = store::duels::due(&self.0.db, self.0.clock.now(), BATCH).await?;
            if due.is_empty() {
                return Ok(());
            }
            for id in due {
                if !self.settle(lease, id).await? {
                    return Ok(());
                }
            }
        }
    }
}

impl DuelScheduler {
    /// False if the lease is lost.
    async fn settle(&self, lease: &Lease, id: Uuid) -> Result<bool, Error> {
        let challenge = &self.0;
        let settle = challenge.db.transact(|mut tx| async move {
            if !lease::check(&mut tx, lease).await? {
                return Ok(false);
            }
            let (mut log, mut duel) = challenge.locked_duel(&mut tx, id).await?;
            challenge.settle_duel(&mut tx, &mut log, &mut duel).await?;
            Ok(true)
        });
        settle.await
    }
}
