//! Records the states that contests reach by time, with their planned times.
//!
//! What callers see follows from the times alone; the scheduler writes the log and the events. One process does it under
//! a lease. After a pause it records everything it missed, in order.

use std::time::Duration;

use db::lease::{self, Lease};
use runtime::Component;
use uuid::Uuid;

use crate::Challenge;
use crate::error::Error;
use crate::log::Log;
use crate::store;

const LEASE: &str = "contest scheduler";
const TTL: Duration = Duration::from_secs(15);
/// The longest time between two looks at the database.
const PERIOD: Duration = Duration::from_secs(1);
const BATCH: i64 = 100;

impl Challenge {
    /// Runs until the shutdown.
    pub(crate) async fn schedule(self, health: Component) {
        health.ready();
        let owner = self.clock.new_id().to_string();
        let round = async || {
            if let Err(error) = self.record_as_lease_holder(&owner).await {
                tracing::warn!(%error, "contest scheduler failed");
            }
            tokio::time::sleep(self.until_next().await).await;
        };
        while self.shutdown.unless_begun(round()).await.is_some() {}
        // The next holder need not wait for the expiry.
        if let Ok(Some(lease)) = lease::acquire(&self.db, LEASE, &owner, Duration::ZERO).await {
            lease::release(&self.db, &lease).await.ok();
        }
    }

    /// The time to the next state, at most a period.
    async fn until_next(&self) -> Duration {
        let next = store::contests::next_transition(&self.db).await.ok().flatten();
        let wait = next.map(|at| (at - self.clock.now()).to_std().unwrap_or_default());
        wait.unwrap_or(PERIOD).clamp(Duration::from_millis(10), PERIOD)
    }

    /// Does nothing if another process holds the lease.
    async fn record_as_lease_holder(&self, owner: &str) -> Result<(), Error> {
        // A process without due contests leaves the lease alone, so that idle ones cost one read.
        let now = self.clock.now();
        if store::contests::due(&self.db, now, 1).await?.is_empty() {
            return Ok(());
        }
        match lease::acquire(&self.db, LEASE, owner, TTL).await? {
            Some(lease) => self.record_all_due(&lease).await,
            None => Ok(()),
        }
    }

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
