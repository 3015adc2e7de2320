//! Where in the outbox to begin reading. Deleted rows stay in the index until the database tidies up, so reading
//! from the start gets slower and slower.
//!
//! Ids are given before the commit: a row with a lower id may still appear. Its transaction had a number by then, a
//! lower one than whoever came after the higher ids were seen; once all up to that number have ended, it cannot.

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
        self.id
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
