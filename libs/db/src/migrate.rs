//! Schema migrations: applied in order, under a lock, each recorded with a checksum of its text; reverted by down
//! scripts.
//!
//! Released migrations never change. A program refuses a database with migrations that it does not know.

mod down;

use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use sha2::{Digest, Sha256};

use crate::{Db, Engine, Error, Result, Sql, Tx};

pub use down::{Scope, Step};

/// The migrations of one service, in order.
#[derive(Clone, Copy, Debug)]
pub struct Migrations {
    /// The service, which is also the name of the folder.
    pub service: &'static str,
    /// Numbered from 1 without gaps.
    pub files: &'static [Migration],
}

#[derive(Clone, Copy, Debug)]
pub struct Migration {
    /// `NNNN` of the file name.
    pub number: i64,
    /// The file name without `.sql`.
    pub name: &'static str,
    pub up: Text,
    /// The script that reverts it; None when it cannot be reverted.
    pub down: Option<Text>,
}

/// A script for each database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Text {
    pub postgres: &'static str,
    pub sqlite: &'static str,
}

#[derive(Clone, Debug)]
pub struct Status {
    /// The service, or `every` for the tables that all services have.
    pub scope: &'static str,
    /// `NNNN` of the file name.
    pub number: i64,
    /// The file name without `.sql`.
    pub name: &'static str,
    /// None while pending.
    pub applied_at: Option<DateTime<Utc>>,
}

/// The tables that libraries need in every service's database.
const EVERY: Migrations = crate::migrations!(
    "every",
    "0001_requests_and_leases",
    ("0002_event_log"),
    "0003_consumers",
    ("0004_outbox"),
    ("0005_relay"),
    ("0006_dead_letters"),
);

/// The migrations of a service: its folder under `migrations/` and the names of the files without `.sql`. A name in
/// parentheses is a pair of files in `postgres/` and `sqlite/`. Each file needs a down script, `NNNN_name.down.sql`.
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
        .with_down(
            $crate::migrations!(@text $service, $postgres, $name, ".down.sql"),
            $crate::migrations!(@text $service, $sqlite, $name, ".down.sql"),
        )
    };
    // Crates are two folders below the root of the workspace.
    (@text $service:literal, $folder:literal, $name:literal, $ending:literal) => {
        include_str!(concat!(
            env!("CARGO_MANIFEST_DIR"), "/../../migrations/", $service, $folder, $name, $ending
        ))
    };
}

impl Migration {
    /// A migration without a down script.
    ///
    /// # Panics
    /// When the name is not `NNNN_name`; in a constant that is a compile error.
    pub const fn new(name: &'static str, postgres: &'static str, sqlite: &'static str) -> Self {
        let bytes = name.as_bytes();
        assert!(bytes.len() > 5 && bytes[4] == b'_', "a migration must be named NNNN_name");
        let mut number = 0;
        let mut i = 0;
        while i < 4 {
            assert!(bytes[i].is_ascii_digit(), "a migration must be named NNNN_name");
            number = number * 10 + (bytes[i] - b'0') as i64;
            i += 1;
        }
        Self { number, name, up: Text { postgres, sqlite }, down: None }
    }

    pub const fn with_down(mut self, postgres: &'static str, sqlite: &'static str) -> Self {
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
    /// Applies the pending migrations in one transaction and returns their number. Safe to run concurrently in several
    /// processes.
    pub fn migrate<'a>(&'a self, migrations: &'a Migrations) -> BoxFuture<'a, Result<usize>> {
        Box::pin(async move {
            let engine = self.engine();
            if pending(engine, migrations, &self.applied().await?)?.is_empty() {
                return Ok(0);
            }
            let mut tx = self.begin().await?;
            let count = apply(&mut tx, migrations).await;
            tx.finish(count).await
        })
    }

    /// The state of all migrations of the program.
    pub fn migration_status<'a>(
        &'a self,
        migrations: &'a Migrations,
    ) -> BoxFuture<'a, Result<Vec<Status>>> {
        Box::pin(async move {
            let applied = self.applied().await?;
            pending(self.engine(), migrations, &applied)?;
            Ok(statuses(migrations, &applied))
        })
    }

    async fn applied(&self) -> Result<Vec<Applied>> {
        match self.query(EXISTS).fetch_scalar().await? {
            true => self.query(APPLIED).fetch_all().await,
            false => Ok(Vec::new()),
        }
    }
}

impl Migrations {
    /// The state of all migrations in a database that does not exist yet.
    pub fn status_of_new(&self) -> Vec<Status> {
        statuses(self, &[])
    }
}

fn statuses(migrations: &Migrations, applied: &[Applied]) -> Vec<Status> {
    let status = |scope: &'static str, file: &Migration| {
        let row = applied.iter().find(|row| row.scope == scope && row.number == file.number);
        let applied_at = row.map(|row| row.applied_at);
        Status { scope, number: file.number, name: file.name, applied_at }
    };
    let sets = [&EVERY, migrations].into_iter();
    sets.flat_map(|set| set.files.iter().map(|file| status(set.service, file))).collect()
}

async fn apply(tx: &mut Tx, migrations: &Migrations) -> Result<usize> {
    let engine = tx.engine();
    lock(tx).await?;
    if let Some(schema) = tx.schema().map(String::from) {
        // Opening the database checked that the name needs no quotes.
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
        tracing::info!(scope, migration = file.name, "applying migration");
        tx.script(file.up.of(engine).into()).await.map_err(|e| {
            Error::Migration(format!("migration {scope}/{} failed: {e}", file.name))
        })?;
        let now = tx.now();
        tx.query(
            "INSERT INTO schema_migrations (scope, number, name, checksum, applied_at)
             VALUES ($1, $2, $3, $4, $5)",
        )
        .bind_all((scope, file.number, file.name, file.checksum(engine), now))
        .execute()
        .await?;
    }
    Ok(count)
}

/// Excludes concurrent migrations, and lifts the statement timeout.
async fn lock(tx: &mut Tx) -> Result<()> {
    if tx.engine() == Engine::Postgres {
        tx.script("SET LOCAL statement_timeout = 0".into()).await?;
    }
    tx.advisory_lock("migrate").await
}

/// The migrations to apply, in order. Fails when the database has unknown or changed ones.
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
                    "the database is newer than the program: migration {}/{} is unknown",
                    row.scope, row.name
                )));
            };
            if file.checksum(engine) != row.checksum {
                return Err(Error::Migration(format!(
                    "migration {}/{} was changed after it was applied: restore its text and add a new migration",
                    row.scope, file.name
                )));
            }
        }
        // The applied migrations are a prefix of the files, because numbers have no gaps.
        pending.extend(set.files.iter().skip(rows.len()).map(|file| (set.service, file)));
    }
    Ok(pending)
}

fn check_numbers(set: &Migrations) -> Result<()> {
    for (file, expected) in set.files.iter().zip(1..) {
        if file.number != expected {
            return Err(Error::Migration(format!(
                "migration {}/{} has the wrong number: must be {expected:04}",
                set.service, file.name
            )));
        }
    }
    Ok(())
}
