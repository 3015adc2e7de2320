//! Records the states that contests reach by time, with their planned times.
//!
//! What callers see follows from the times alone; the scheduler writes the log and the events. One process does it under
//! a lease. After a pause it records everything it missed, in order.

use chrono::{DateTime, Utc};
use db::lease::{self, Lease};
use uuid::Uuid;

use crate::Challenge;
use crate::error::Error;
use crate::log::Log;
use crate::schedule::Schedule;
use crate::store;

const BATCH: i64 = 100;

pub struct ContestScheduler(pub Challenge);

impl Schedule for ContestScheduler {
    const NAME: &'static str = "contest scheduler";

    async fn next(&self) -> Result<Option<DateTime<Utc>>, Error> {
        Ok(store::contests::next_transition(&self.0.db).await?)
    }

    async fn run(&self, lease: &Lease) -> Result<(), Error> {
        self.0.record_all_due(lease).await
    }
}

impl Challenge {
    /// Records what is due, in the order of the planned times. Stops when the lease is lost.
    pub async fn record_all_due(&self, lease: &Lease) -> Result<(), Error> {
        loop {
            let due = store::contests::due(&self.db, self.clock.now(), BATCH).await?;
            if due.is_empty() {
                return Ok(());
            }
            for id in due {
                if !self.record_contest(lease, id).await? {
                    return Ok(());
                }
            }
        }
    }

    /// Records the due states of one contest; false if the lease is lost.
    async fn record_contest(&self, lease: &Lease, id: Uuid) -> Result<bool, Error> {
        let record = self.db.transact(|mut tx| async move {
            if !lease::check(&mut tx, lease).await? {
                return Ok(false);
            }
            let mut log = Log::lock(&mut tx, id).await?.ok_or(Error::ContestNotFound)?;
            let contest = store::contests::by_id(&mut *tx, id).await?;
            let mut contest = contest.ok_or(Error::ContestNotFound)?;
            let now = tx.now();
            self.record_due(&mut tx, &mut log, &mut contest, now).await?;
            Ok(true)
        });
        record.await
    }
}
