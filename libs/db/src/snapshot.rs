//! Copies of SQLite files that another process writes to, all as of one moment.
//!
//! The files belong together: a consumer's file says how far it is in the log of a producer's file, and some are
//! both for each other. So there is no order in which they could be copied one after another. Instead every file
//! is kept from being written to for the moment that it takes to begin reading all of them; then writing goes on,
//! and the copies are made of what those readers see. (A moment: nothing is read but the first page.)

use std::path::PathBuf;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _};
use tokio::time::Instant;

use crate::promotion::quoted;
use crate::{Error, Result};

/// How long the turn to write to all files is waited for at once: shorter than any writer waits.
const TURN: Duration = Duration::from_secs(1);
/// And how long in all.
const PATIENCE: Duration = Duration::from_secs(60);

/// A file and the copy that is to be made of it.
#[derive(Clone, Debug)]
pub struct Copy {
    /// The file.
    pub from: PathBuf,
    /// The copy; there must be nothing yet.
    pub to: PathBuf,
}

/// Copies files; whoever writes to them hardly notices. Gives for how long they had to wait.
pub async fn take(files: &[Copy]) -> Result<Duration> {
    let mut readers = Vec::new();
    for file in files {
        readers.push(reader(file).await.map_err(|error| named(error, file))?);
    }
    let gate = close(files).await?;
    let closed = Instant::now();
    for (reader, file) in readers.iter_mut().zip(files) {
        // Reading is what begins to see: BEGIN alone does not.
        let begun = reader.execute("BEGIN; SELECT count(*) FROM source.sqlite_master").await;
        begun.map_err(|error| named(error.into(), file))?;
    }
    open(gate).await?;
    let held = closed.elapsed();
    for (mut reader, file) in readers.into_iter().zip(files) {
        copy(&mut reader).await.map_err(|error| named(error, file))?;
        reader.close().await?;
    }
    Ok(held)
}

/// Whether a file is sound, in words where it is not.
pub async fn check(path: &std::path::Path) -> Result<Vec<String>> {
    let options = SqliteConnectOptions::new().filename(path).disable_statement_logging();
    let mut connection = options.connect().await?;
    let sound: Vec<(String,)> =
        sqlx::query_as("PRAGMA integrity_check").fetch_all(&mut connection).await?;
    let mut words: Vec<String> =
        sound.into_iter().map(|(word,)| word).filter(|word| word != "ok").collect();
    let lost: Vec<(String,)> =
        sqlx::query_as("SELECT DISTINCT \"table\" FROM pragma_foreign_key_check")
            .fetch_all(&mut connection)
            .await?;
    words.extend(
        lost.into_iter().map(|(table,)| format!("{table} refers to rows that are not there")),
    );
    connection.close().await?;
    Ok(words)
}

/// A connection to the new file that can read the old one.
async fn reader(file: &Copy) -> Result<SqliteConnection> {
    if !file.from.is_file() {
        return Err(Error::Unavailable("there is no such file".into()));
    }
    let options = SqliteConnectOptions::new()
        .filename(&file.to)
        .create_if_missing(true)
        // Whoever makes the copy sees that it gets to the disk; half a copy is of no use.
        .journal_mode(SqliteJournalMode::Off)
        .synchronous(SqliteSynchronous::Off)
        // Tables are filled in any order, with what fitted together before.
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

/// Keeps everybody from writing to the files. Somebody who has the turn in one of them and waits for another is
/// not waited for: all turns are given back and asked for again.
async fn close(files: &[Copy]) -> Result<SqliteConnection> {
    let options = SqliteConnectOptions::new().busy_timeout(TURN).disable_statement_logging();
    let mut gate = options.in_memory(true).connect().await?;
    for (index, file) in files.iter().enumerate() {
        let name = format!("file{index}");
        attach(&mut gate, file, &name).await.map_err(|error| named(error, file))?;
    }
    let until = Instant::now() + PATIENCE;
    loop {
        match gate.execute("BEGIN IMMEDIATE").await.map_err(Error::from) {
            Ok(_) => return Ok(gate),
            Err(Error::Busy(_)) if Instant::now() < until => {
                tokio::time::sleep(Duration::from_millis(rand::random_range(5..50))).await;
            }
            Err(error) => return Err(error),
        }
    }
}

async fn open(mut gate: SqliteConnection) -> Result<()> {
    gate.execute("ROLLBACK").await?;
    gate.close().await?;
    Ok(())
}

/// Fills the new file with what the reader sees of the old one.
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
    let counted: bool = sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM source.sqlite_master WHERE name = 'sqlite_sequence')",
    )
    .fetch_one(&mut *reader)
    .await?;
    if counted {
        // Numbers that were given and are gone are not given again.
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
