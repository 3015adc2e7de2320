//! A lower bound on the outbox ids that a relay must read. Deleted rows stay in the index until the database vacuums,
//! so reading from the start becomes slower and slower.
//!
//! Ids are assigned before the commit, so a row with a lower id may still become visible. Its transaction already had
//! a transaction number then, lower than that of any transaction started after the higher ids were seen. Once all
//! transactions up to such a number have ended, no lower id can appear. Consecutive ids need no such check: every one
//! of them was seen.

use std::time::Duration;

use db::Db;
use tokio::time::Instant;

/// How often to ask the database which transactions have ended.
const CHECK_INTERVAL: Duration = Duration::from_millis(30);
const FULL_SCAN_INTERVAL: Duration = Duration::from_secs(300);

#[derive(Default)]
pub(super) struct LowerBound {
    id: i64,
    /// Becomes the bound once every transaction before its number has ended.
    pending: Option<Pending>,
    /// The latest bound that was noted after `pending`.
    next: Option<Pending>,
    /// The first and last of the consecutive ids that were sent last.
    sent: Option<(i64, i64)>,
    checked: Option<Instant>,
    scanned: Option<Instant>,
}

#[derive(Clone, Copy)]
struct Pending {
    transaction: i64,
    id: i64,
}

impl LowerBound {
    /// Rows with ids up to this one need not be read.
    pub fn get(&self) -> i64 {
        match self.sent {
            Some((first, last)) if first <= self.id.saturating_add(1) => self.id.max(last),
            _ => self.id,
        }
    }

    /// These rows, in ascending order, were sent to the broker.
    pub fn sent(&mut self, ids: impl Iterator<Item = i64>) {
        for id in ids {
            self.sent = match self.sent {
                Some((first, last)) if last.checked_add(1) == Some(id) => Some((first, id)),
                _ => Some((id, id)),
            };
        }
    }

    /// Rows that were sent may not have been delivered.
    pub fn forget_sent(&mut self) {
        self.sent = None;
    }

    /// Reads the whole outbox again.
    pub fn reset(&mut self) {
        *self = Self::default();
    }

    pub fn is_full_scan_due(&mut self) -> bool {
        self.scanned.get_or_insert_with(Instant::now).elapsed() > FULL_SCAN_INTERVAL
    }

    /// All rows up to `id` that were visible had been published before `transaction` got its number.
    pub fn published(&mut self, id: i64, transaction: i64) {
        let pending = Pending { transaction, id };
        match self.pending {
            None => self.pending = Some(pending),
            Some(_) => self.next = Some(pending),
        }
    }

    /// Raises the bound if the transactions it depends on have ended.
    pub async fn advance(&mut self, db: &Db) -> db::Result<()> {
        let Some(pending) = self.pending else { return Ok(()) };
        if self.checked.is_some_and(|checked| checked.elapsed() < CHECK_INTERVAL) {
            return Ok(());
        }
        self.checked = Some(Instant::now());
        let oldest_running = db
            .query("SELECT CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS TEXT) AS BIGINT)")
            .fetch_scalar::<i64>()
            .await?;
        if oldest_running >= pending.transaction {
            self.id = self.id.max(pending.id);
            self.pending = self.next.take();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn consecutive_sent_ids_raise_the_bound() {
        let mut bound = LowerBound::default();
        bound.sent(1..=3);
        bound.sent(4..=5);
        assert_eq!(bound.get(), 5);
        // The transaction that has id 6 may still commit.
        bound.sent([7, 8].into_iter());
        assert_eq!(bound.get(), 0);
        bound.id = 5;
        assert_eq!(bound.get(), 5);
        bound.id = 6;
        assert_eq!(bound.get(), 8);
        bound.sent(std::iter::once(6));
        assert_eq!(bound.get(), 6);
        bound.sent(7..=9);
        assert_eq!(bound.get(), 9);
        bound.forget_sent();
        assert_eq!(bound.get(), 6);
        bound.sent(7..=9);
        bound.reset();
        assert_eq!(bound.get(), 0);
    }
}
