//! Migrations: forward, in order, under a lock, each recorded with a checksum of its text; and back, by the
//! scripts that lie beside them.
//!
//! What was released never changes; a program refuses a database that is newer than itself.

mod down;

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};

use crate::{Db, Engine, Error, Result, Sql, Tx};

pub use down::{Scope, Step};

/// The migrations of one service, in order.
#[derive(Clone, Copy, Debug)]
pub struct Migrations {
    /// Whose they are; the name of their folder.
    pub service: &'static str,
    /// Rising numbers without gaps, from 1.
    pub files: &'static [Migration],
}

/// One step.
#[derive(Clone, Copy, Debug)]
pub struct Migration {
    /// `NNNN` of the file name.
    pub number: i64,
    /// The file name without its ending.
    pub name: &'static str,
    /// What makes the step.
    pub up: Text,
    /// What undoes it; None when nothing does.
    pub down: Option<Text>,
}

/// A script, as each database wants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Text {
    /// For PostgreSQL.
    pub postgres: &'static str,
    /// For SQLite.
    pub sqlite: &'static str,
}

/// A migration and when it was applied.
#[derive(Clone, Debug)]
pub struct Status {
    /// Whose migration: the service, or `every` for the tables that each database has.
    pub scope: &'static str,
    /// Its number.
    pub number: i64,
    /// Its name.
    pub name: &'static str,
    /// None while pending.
    pub applied_at: Option<DateTime<Utc>>,
}

/// What every service's database holds for the libraries.
const EVERY: Migrations = crate::migrations!(
    "every",
    "0001_requests_and_leases",
    ("0002_event_log"),
    "0003_consumers",
    ("0004_outbox"),
    ("0005_relay"),
);

/// The migrations of a service: its folder under `migrations/` and the files in it, without `.sql`. A file that
/// differs between the databases stands in parentheses and lies in `postgres/` and in `sqlite/`. Beside each
/// file lies the one that undoes it, `NNNN_what.down.sql`.
///
/// ```ignore
/// pub const MIGRATIONS: db::Migrations = db::migrations!("auth", "0001_users", ("0002_search"));
/// ```
#[macro_export]
macro_rules! migrations {
    ($service:literal $(, $file:tt)* $(,)?) => {
        $crate::Migrations {
            service: $service,
            files: &[ $( $crate::migrations!(@file $service, $file) ),* ],
        }
    };
    (@file $service:literal, ($name:literal)) => {
        $crate::migrations!(@step $service, "/postgres/", "/sqlite/", $name)
    };
    (@file $service:literal, $name:literal) => {
        $crate::migrations!(@step $service, "/", "/", $name)
    };
    (@step $service:literal, $postgres:literal, $sqlite:literal, $name:literal) => {
        $crate::Migration::new(
            $name,
            $crate::migrations!(@text $service, $postgres, $name, ".sql"),
            $crate::migrations!(@text $service, $sqlite, $name, ".sql"),
        )
        .undone_by(
            $crate::migrations!(@text $service, $postgres, $name, ".down.sql"),
            $crate::migrations!(@text $service, $sqlite, $name, ".down.sql"),
        )
    };
    // Members lie two folders below the root of the workspace.
    (@text $service:literal, $folder:literal, $name:literal, $ending:literal) => {
        include_str!(concat!(
            env!("CARGO_MANIFEST_DIR"), "/../../migrations/", $service, $folder, $name, $ending
        ))
    };
}

impl Migration {
    /// A migration from its file name and its texts.
    ///
    /// # Panics
    /// When the name does not start with four digits; in a constant that is a compile error.
    #[must_use]
    pub const fn new(name: &'static str, postgres: &'static str, sqlite: &'static str) -> Self {
        let bytes = name.as_bytes();
        assert!(bytes.len() > 5 && bytes[4] == b'_', "a migration is named NNNN_what");
        let mut number = 0;
        let mut i = 0;
        while i < 4 {
            assert!(bytes[i].is_ascii_digit(), "a migration is named NNNN_what");
            number = number * 10 + (bytes[i] - b'0') as i64;
            i += 1;
        }
        Self { number, name, up: Text { postgres, sqlite }, down: None }
    }

    /// The same, with the texts that undo it.
    #[must_use]
    pub const fn undone_by(mut self, postgres: &'static str, sqlite: &'static str) -> Self {
        self.down = Some(Text { postgres, sqlite });
        self
    }

    fn checksum(&self, engine: Engine) -> Vec<u8> {
        Sha256::digest(self.up.of(engine)).to_vec()
    }
}

impl Text {
    fn of(&self, engine: Engine) -> &'static str {
        match engine {
            Engine::Postgres => self.postgres,
            Engine::Sqlite => self.sqlite,
        }
    }
}

crate::record! {
    struct Applied {
        scope: String,
        number: i64,
        name: String,
        checksum: Vec<u8>,
        applied_at: DateTime<Utc>,
    }
}

const EXISTS: Sql = Sql::either(
    "SELECT to_regclass('schema_migrations') IS NOT NULL",
    "SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE name = 'schema_migrations')",
);
const APPLIED: &str = "SELECT scope, number, name, checksum, applied_at FROM schema_migrations ORDER BY scope, number";

impl Db {
    /// Brings the database up to date; gives how many migrations were applied. Several processes may do this at
    /// once.
    pub async fn migrate(&self, migrations: &Migrations) -> Result<usize> {
        let engine = self.engine();
        if pending(engine, migrations, &self.applied().await?)?.is_empty() {
            return Ok(0);
        }
        let mut tx = self.begin().await?;
        match apply(&mut tx, migrations).await {
            Ok(count) => tx.commit().await.map(|()| count),
            Err(error) => {
                tx.rollback().await;
                Err(error)
            }
        }
    }

    /// All migrations that the program knows, and which of them the database has.
    pub async fn migration_status(&self, migrations: &Migrations) -> Result<Vec<Status>> {
        let applied = self.applied().await?;
        pending(self.engine(), migrations, &applied)?;
        let status = |scope: &'static str, file: &Migration| Status {
            scope,
            number: file.number,
            name: file.name,
            applied_at: applied
                .iter()
                .find(|row| row.scope == scope && row.number == file.number)
                .map(|row| row.applied_at),
        };
        Ok([&EVERY, migrations]
            .into_iter()
            .flat_map(|set| set.files.iter().map(|file| status(set.service, file)))
            .collect())
    }

    async fn applied(&self) -> Result<Vec<Applied>> {
        match self.query(EXISTS).fetch_scalar().await? {
            true => self.query(APPLIED).fetch_all().await,
            false => Ok(Vec::new()),
        }
    }
}

async fn apply(tx: &mut Tx, migrations: &Migrations) -> Result<usize> {
    let engine = tx.engine();
    lock(tx).await?;
    if let Some(schema) = tx.schema().map(String::from) {
        // The name was checked to be a plain identifier when the database was opened.
        tx.script(format!("CREATE SCHEMA IF NOT EXISTS {schema}").into()).await?;
    }
    tx.script(
        "CREATE TABLE IF NOT EXISTS schema_migrations (
           scope TEXT NOT NULL,
           number BIGINT NOT NULL,
           name TEXT NOT NULL,
           checksum BYTEA NOT NULL,
           applied_at TIMESTAMPTZ NOT NULL,
           PRIMARY KEY (scope, number)
         )"
        .into(),
    )
    .await?;
    let applied: Vec<Applied> = tx.query(APPLIED).fetch_all().await?;
    let pending = pending(engine, migrations, &applied)?;
    let count = pending.len();
    for (scope, file) in pending {
        tracing::info!(scope, migration = file.name, "applying a migration");
        tx.script(file.up.of(engine).into()).await.map_err(|e| {
            Error::Migration(format!("migration {scope}/{} failed: {e}", file.name))
        })?;
        let now = tx.now();
        tx.query(
            "INSERT INTO schema_migrations (scope, number, name, checksum, applied_at)
             VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(scope)
        .bind(file.number)
        .bind(file.name)
        .bind(file.checksum(engine))
        .bind(now)
        .execute()
        .await?;
    }
    Ok(count)
}

/// One migrates at a time. A migration may take longer than a statement of a request.
async fn lock(tx: &mut Tx) -> Result<()> {
    if tx.engine() == Engine::Postgres {
        tx.script("SET LOCAL statement_timeout = 0".into()).await?;
    }
    tx.advisory_lock("migrate").await
}

/// What is still to be applied, in order; an error when database and program do not fit together.
fn pending<'m>(
    engine: Engine,
    migrations: &'m Migrations,
    applied: &[Applied],
) -> Result<Vec<(&'static str, &'m Migration)>> {
    let mut pending = Vec::new();
    for set in [&EVERY, migrations] {
        check_numbers(set)?;
        let rows: Vec<&Applied> = applied.iter().filter(|row| row.scope == set.service).collect();
        for row in &rows {
            let Some(file) = set.files.iter().find(|file| file.number == row.number) else {
                return Err(Error::Migration(format!(
                    "the database has migration {}/{}, which this program does not know: the database is \
                     newer than the program",
                    row.scope, row.name
                )));
            };
            if file.checksum(engine) != row.checksum {
                return Err(Error::Migration(format!(
                    "migration {}/{} was changed after it had been applied: restore its text and add a new \
                     migration instead",
                    row.scope, file.name
                )));
            }
        }
        // Rows are a prefix of the files, because numbers have no gaps.
        pending.extend(set.files.iter().skip(rows.len()).map(|file| (set.service, file)));
    }
    Ok(pending)
}

fn check_numbers(set: &Migrations) -> Result<()> {
    for (file, expected) in set.files.iter().zip(1..) {
        if file.number != expected {
            return Err(Error::Migration(format!(
                "migration {}/{} has the wrong number: {expected:04} comes next",
                set.service, file.name
            )));
        }
    }
    Ok(())
}
