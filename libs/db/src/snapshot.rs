//! Consistent copies of several SQLite files while another process writes to them.
//!
//! The files refer to each other (a consumer's offsets to a producer's log, in both directions), so no order of copying
//! them one by one is consistent. Instead, all files are locked against writes until a read transaction has begun in
//! each, which reads one page; the copies are then made from these transactions while writes continue.

use std::path::PathBuf;
use std::time::Duration;

use futures_util::future::BoxFuture;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _};
use tokio::time::Instant;

use crate::promotion::quoted;
use crate::{Error, Result};

/// The longest wait for the write locks per attempt; shorter than the busy timeout of other writers.
const LOCK_TIMEOUT: Duration = Duration::from_secs(1);
/// The longest wait for them in all attempts.
const TOTAL_LOCK_TIMEOUT: Duration = Duration::from_secs(60);

#[derive(Clone, Debug)]
pub struct Copy {
    pub from: PathBuf,
    /// The destination, which must not exist.
    pub to: PathBuf,
}

/// Copies the files; returns for how long writes were blocked.
pub fn take(files: &[Copy]) -> BoxFuture<'_, Result<Duration>> {
    Box::pin(async move {
        let mut readers = Vec::new();
        for file in files {
            readers.push(reader(file).await.map_err(|error| named(error, file))?);
        }
        let mut locks = lock(files).await?;
        let locked = Instant::now();
        for (reader, file) in readers.iter_mut().zip(files) {
            // BEGIN alone does not start the read transaction, the first read does.
            let begun = reader.execute("BEGIN; SELECT count(*) FROM source.sqlite_master").await;
            begun.map_err(|error| named(error.into(), file))?;
        }
        locks.execute("ROLLBACK").await?;
        locks.close().await?;
        let blocked = locked.elapsed();
        for (mut reader, file) in readers.into_iter().zip(files) {
            copy(&mut reader).await.map_err(|error| named(error, file))?;
            reader.close().await?;
        }
        Ok(blocked)
    })
}

/// Checks the integrity of a file and its foreign keys; returns the problems.
pub fn check(path: &std::path::Path) -> BoxFuture<'_, Result<Vec<String>>> {
    Box::pin(async move {
        let options = SqliteConnectOptions::new().filename(path).disable_statement_logging();
        let mut connection = options.connect().await?;
        let integrity: Vec<(String,)> =
            sqlx::query_as("PRAGMA integrity_check").fetch_all(&mut connection).await?;
        let mut problems: Vec<String> =
            integrity.into_iter().map(|(text,)| text).filter(|text| text != "ok").collect();
        let tables: Vec<(String,)> =
            sqlx::query_as("SELECT DISTINCT \"table\" FROM pragma_foreign_key_check")
                .fetch_all(&mut connection)
                .await?;
        problems.extend(
            tables.into_iter().map(|(table,)| format!("{table} refers to rows that do not exist")),
        );
        connection.close().await?;
        Ok(problems)
    })
}

/// A connection to the destination, with the source attached.
async fn reader(file: &Copy) -> Result<SqliteConnection> {
    if !file.from.is_file() {
        return Err(Error::Unavailable("the file does not exist".into()));
    }
    let options = SqliteConnectOptions::new()
        .filename(&file.to)
        .create_if_missing(true)
        // The caller syncs the copy, and discards it after a failure.
        .journal_mode(SqliteJournalMode::Off)
        .synchronous(SqliteSynchronous::Off)
        // Tables are filled in any order.
        .foreign_keys(false)
        .busy_timeout(Duration::from_secs(5))
        .disable_statement_logging();
    let mut reader = options.connect().await?;
    attach(&mut reader, file, "source").await?;
    Ok(reader)
}

async fn attach(connection: &mut SqliteConnection, file: &Copy, name: &str) -> Result<()> {
    let sql = format!("ATTACH $1 AS {name}");
    let path = file.from.to_string_lossy().into_owned();
    sqlx::query(AssertSqlSafe(sql)).bind(path).execute(connection).await?;
    Ok(())
}

/// Locks all files against writes. To avoid a deadlock with a process that holds one of the locks and waits for another,
/// all locks are released after a timeout and acquired again.
async fn lock(files: &[Copy]) -> Result<SqliteConnection> {
    let options =
        SqliteConnectOptions::new().busy_timeout(LOCK_TIMEOUT).disable_statement_logging();
    let mut locks = options.in_memory(true).connect().await?;
    for (index, file) in files.iter().enumerate() {
        let name = format!("file{index}");
        attach(&mut locks, file, &name).await.map_err(|error| named(error, file))?;
    }
    let deadline = Instant::now() + TOTAL_LOCK_TIMEOUT;
    loop {
        match locks.execute("BEGIN IMMEDIATE").await.map_err(Error::from) {
            Ok(_) => return Ok(locks),
            Err(Error::Busy(_)) if Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(rand::random_range(5..50))).await;
            }
            Err(error) => return Err(error),
        }
    }
}

/// Copies schema, rows and sequences.
async fn copy(reader: &mut SqliteConnection) -> Result<()> {
    let schema: Vec<(String, String, String)> = sqlx::query_as(
        "SELECT type, name, sql FROM source.sqlite_master
         WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite~_%' ESCAPE '~'",
    )
    .fetch_all(&mut *reader)
    .await?;
    let (tables, others): (Vec<_>, Vec<_>) =
        schema.into_iter().partition(|(kind, ..)| kind == "table");
    for (_, name, sql) in tables {
        run(reader, sql).await?;
        let name = quoted(&name);
        run(reader, format!("INSERT INTO main.{name} SELECT * FROM source.{name}")).await?;
    }
    let has_sequences: bool = sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM source.sqlite_master WHERE name = 'sqlite_sequence')",
    )
    .fetch_one(&mut *reader)
    .await?;
    if has_sequences {
        // Numbers of deleted rows must not be used again.
        let sql = "DELETE FROM main.sqlite_sequence;
                   INSERT INTO main.sqlite_sequence SELECT * FROM source.sqlite_sequence";
        run(reader, sql.into()).await?;
    }
    for (_, _, sql) in others {
        run(reader, sql).await?;
    }
    run(reader, "COMMIT".into()).await
}

async fn run(reader: &mut SqliteConnection, sql: String) -> Result<()> {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(reader).await?;
    Ok(())
}

fn named(error: Error, file: &Copy) -> Error {
    match error {
        Error::Full(text) => Error::Full(text),
        error => Error::Unavailable(format!("{}: {error}", file.from.display())),
    }
}
