//! Where in the outbox to begin reading. Deleted rows stay in the index until the database tidies up, so reading
//! from the start gets slower and slower.
//!
//! Ids are given before the commit: a row with a lower id may still appear. Its transaction had a number by then, a
//! lower one than whoever came after the higher ids were seen; once all up to that number have ended, it cannot.
//! Where ids follow each other without a gap nobody has to wait for that: each of them was seen.

use std::time::Duration;

use db::Db;
use tokio::time::Instant;

/// How often to ask which transactions have ended.
const ASK: Duration = Duration::from_millis(30);
/// How often to read everything all the same.
const SWEEP: Duration = Duration::from_secs(300);

#[derive(Default)]
pub(super) struct Floor {
    id: i64,
    /// Nothing more can appear up to a place once every transaction before a number has ended.
    noted: Option<Note>,
    /// The last that was noted after that.
    last: Option<Note>,
    /// Ids that were sent without a gap between them: the first and the last.
    run: Option<(i64, i64)>,
    asked: Option<Instant>,
    swept: Option<Instant>,
}

#[derive(Clone, Copy)]
struct Note {
    transaction: i64,
    place: i64,
}

impl Floor {
    /// Rows up to this id need not be read.
    pub fn get(&self) -> i64 {
        match self.run {
            Some((first, last)) if first <= self.id.saturating_add(1) => self.id.max(last),
            _ => self.id,
        }
    }

    /// These rows were given to the broker, in the order of their ids.
    pub fn sent(&mut self, ids: impl Iterator<Item = i64>) {
        for id in ids {
            self.run = match self.run {
                Some((first, last)) if last.checked_add(1) == Some(id) => Some((first, id)),
                _ => Some((id, id)),
            };
        }
    }

    /// Rows that were sent may not have arrived.
    pub fn forget_sent(&mut self) {
        self.run = None;
    }

    /// Reads everything from now on.
    pub fn reset(&mut self) {
        *self = Self::default();
    }

    /// Whether it is time to read everything.
    pub fn is_old(&mut self) -> bool {
        self.swept.get_or_insert_with(Instant::now).elapsed() > SWEEP
    }

    /// All rows that were there, up to this place, were dealt with before a transaction got its number.
    pub fn note(&mut self, place: i64, transaction: i64) {
        let note = Note { transaction, place };
        match self.noted {
            None => self.noted = Some(note),
            Some(_) => self.last = Some(note),
        }
    }

    /// Rises, where that is safe.
    pub async fn advance(&mut self, db: &Db) -> db::Result<()> {
        let Some(note) = self.noted else { return Ok(()) };
        if self.asked.is_some_and(|asked| asked.elapsed() < ASK) {
            return Ok(());
        }
        self.asked = Some(Instant::now());
        let oldest = db
            .query("SELECT CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS TEXT) AS BIGINT)")
            .fetch_scalar::<i64>()
            .await?;
        if oldest >= note.transaction {
            self.id = self.id.max(note.place);
            self.noted = self.last.take();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sent_without_a_gap_need_not_be_read() {
        let mut floor = Floor::default();
        floor.sent(1..=3);
        floor.sent(4..=5);
        assert_eq!(floor.get(), 5);
        // Whoever has 6 may yet commit.
        floor.sent([7, 8].into_iter());
        assert_eq!(floor.get(), 0);
        floor.id = 5;
        assert_eq!(floor.get(), 5);
        floor.id = 6;
        assert_eq!(floor.get(), 8);
        floor.sent(std::iter::once(6));
        assert_eq!(floor.get(), 6);
        floor.sent(7..=9);
        assert_eq!(floor.get(), 9);
        floor.forget_sent();
        assert_eq!(floor.get(), 6);
        floor.sent(7..=9);
        floor.reset();
        assert_eq!(floor.get(), 0);
    }
}
