//! Plans of the statements of a service under test: each distinct statement is explained once, before it runs.
//!
//! A statement is refused when what it reads grows with a table and not with its result: it reads a whole table or a
//! whole index, it filters or sorts what it reads for a page, or it reads a range and filters it. Partial indexes count
//! as small, because they contain only open items, such as queued jobs. See [`super::TestDb::checked`].

mod postgres;
mod sqlite;
mod text;

use std::collections::HashSet;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use sqlx::postgres::{PgPool, PgPoolOptions};

use crate::database::Backend;
use crate::{Db, Engine, Error, Result};

/// Marks a statement that may read a whole table; followed by the reason.
const EXEMPT: &str = "/* scans:";

/// The statements of this process with a good plan.
static GOOD: LazyLock<Mutex<HashSet<(bool, String)>>> = LazyLock::new(Mutex::default);

/// The checks on one database.
pub(crate) struct Plans {
    /// Does not check its statements.
    db: Db,
    /// A connection that uses an index wherever one can be used.
    postgres: Option<PgPool>,
    faults: Mutex<Vec<String>>,
}

impl Plans {
    pub(crate) fn new(db: Db) -> Self {
        let postgres = match db.backend() {
            Backend::Sqlite(_) => None,
            Backend::Postgres(pg) => {
                let settings = ["enable_seqscan", "enable_bitmapscan", "enable_sort"];
                let options = (*pg.write.inner.connect_options()).clone();
                let options = options.options(settings.map(|setting| (setting, "off")));
                let options = options.options([("plan_cache_mode", "force_generic_plan")]);
                Some(PgPoolOptions::new().max_connections(1).connect_lazy_with(options))
            }
        };
        Self { db, postgres, faults: Mutex::default() }
    }

    /// Fails when the plan of a statement is bad.
    pub(crate) async fn check(&self, sql: &str) -> Result<()> {
        if !text::is_explained(sql) || sql.contains(EXEMPT) {
            return Ok(());
        }
        let key = (self.db.engine() == Engine::Sqlite, sql.to_owned());
        if lock(&GOOD).contains(&key) {
            return Ok(());
        }
        let fault = match &self.postgres {
            // Checked at the next use, if the server has no connection left for this one.
            Some(pool) => match postgres::fault(pool, sql).await {
                Ok(fault) => fault,
                Err(_) => return Ok(()),
            },
            None => sqlite::fault(&self.db, sql).await?,
        };
        let Some(fault) = fault else {
            lock(&GOOD).insert(key);
            return Ok(());
        };
        let fault = format!("{fault}\n  in: {}", text::on_one_line(sql));
        lock(&self.faults).push(fault.clone());
        Err(Error::Invalid(fault))
    }

    /// Panics with the statements that were refused, unless the test has failed anyway.
    pub(super) fn assert_good(&self) {
        let faults = lock(&self.faults);
        if !faults.is_empty() && !std::thread::panicking() {
            panic!(
                "statements whose cost grows with a table; add an index, or the reason `{EXEMPT} … */`:\n{}",
                faults.join("\n")
            );
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
