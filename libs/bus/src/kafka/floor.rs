//! Where in the outbox to begin reading. Deleted rows stay in the index until the database tidies up, so reading
//! from the start gets slower and slower.
//!
//! Ids are given before the commit: a row with a lower id may still appear. It cannot once every transaction has
//! ended that was under way when the higher ones were seen.

use std::time::Duration;

use db::Db;
use tokio::time::Instant;

/// How often to ask which transactions are under way.
const ASK: Duration = Duration::from_millis(30);
/// How often to read everything all the same.
const SWEEP: Duration = Duration::from_secs(300);

pub(super) struct Floor {
    id: i64,
    /// All rows up to this one were dealt with.
    done: i64,
    /// Once the oldest transaction under way is not older than this one, up to which id nothing more can appear.
    safe: Option<(i64, i64)>,
    asked: Instant,
    swept: Instant,
}

impl Default for Floor {
    fn default() -> Self {
        let now = Instant::now();
        Self { id: 0, done: 0, safe: None, asked: now, swept: now }
    }
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

    /// All rows that were there, up to this one, were dealt with.
    pub fn note(&mut self, id: i64) {
        self.done = self.done.max(id);
    }

    /// Rises, where that is safe.
    pub async fn advance(&mut self, db: &Db) -> db::Result<()> {
        if self.swept.elapsed() > SWEEP {
            self.reset();
            return Ok(());
        }
        if self.done <= self.id || self.asked.elapsed() < ASK {
            return Ok(());
        }
        self.asked = Instant::now();
        let (oldest, next): (i64, i64) = db
            .query(
                "SELECT CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS TEXT) AS BIGINT),
                        CAST(CAST(pg_snapshot_xmax(pg_current_snapshot()) AS TEXT) AS BIGINT)",
            )
            .fetch_one()
            .await?;
        match self.safe {
            Some((transaction, id)) if oldest >= transaction => {
                self.id = id;
                self.safe = (self.done > id).then_some((next, self.done));
            }
            None => self.safe = Some((next, self.done)),
            Some(_) => {}
        }
        Ok(())
    }
}
