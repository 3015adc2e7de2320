//! The state of a promotion, in the target database.

use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use uuid::Uuid;

use super::tables::{self, quoted};
use crate::{Db, Engine, Error, Read, Result, Sql, Tx};

/// The name of the row of the whole promotion; the others are of steps.
const WHOLE: &str = "";

const EXISTS: Sql = Sql::either("SELECT to_regclass('promotion') IS NOT NULL", "SELECT FALSE");

/// The state of the target when [`begin`] was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BeginOutcome {
    /// It was empty.
    New,
    /// An earlier promotion from the same source did not finish.
    Resumed,
    /// A promotion from the same source finished at this time.
    Finished(DateTime<Utc>),
}

/// The progress of one step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The last position in the source.
    pub cursor: i64,
    pub rows: i64,
    pub done: bool,
}

/// Begins or resumes a promotion from the source with this id into a migrated PostgreSQL database.
///
/// # Errors
/// [`Error::Config`] when the database contains other data.
pub fn begin(target: &Db, source: Uuid) -> BoxFuture<'_, Result<BeginOutcome>> {
    Box::pin(async move {
        let mut tx = target.begin().await?;
        let outcome = begin_in(&mut tx, source).await;
        tx.finish(outcome).await
    })
}

async fn begin_in(tx: &mut Tx, source: Uuid) -> Result<BeginOutcome> {
    if tx.engine() == Engine::Sqlite {
        return Err(Error::Config(
            "the target of a promotion must be PostgreSQL, not SQLite".into(),
        ));
    }
    tx.advisory_lock("promotion").await?;
    tx.script(
        "CREATE TABLE IF NOT EXISTS promotion (
           name TEXT PRIMARY KEY,
           source UUID NOT NULL,
           place BIGINT NOT NULL,
           row_count BIGINT NOT NULL,
           done BOOLEAN NOT NULL,
           noted_at TIMESTAMPTZ NOT NULL
         )"
        .into(),
    )
    .await?;
    let found: Option<(Uuid, bool, DateTime<Utc>)> = tx
        .query("SELECT source, done, noted_at FROM promotion WHERE name = $1")
        .bind(WHOLE)
        .fetch_optional()
        .await?;
    match found {
        Some((from, true, at)) if from == source => return Ok(BeginOutcome::Finished(at)),
        Some((from, false, _)) if from == source => return Ok(BeginOutcome::Resumed),
        Some(_) => {
            let text = "it contains a promotion from another data directory";
            return Err(Error::Config(text.into()));
        }
        None => {}
    }
    let tables = tables_with_rows(tx).await?;
    if !tables.is_empty() {
        return Err(Error::Config(format!(
            "it is not empty: there are rows in {}",
            tables.join(", ")
        )));
    }
    let now = tx.now();
    tx.query(
        "INSERT INTO promotion (name, source, place, row_count, done, noted_at)
         VALUES ($1, $2, 0, 0, $3, $4)",
    )
    .bind_all((WHOLE, source, false, now))
    .execute()
    .await?;
    Ok(BeginOutcome::New)
}

async fn tables_with_rows(tx: &mut Tx) -> Result<Vec<String>> {
    let mut names: Vec<String> =
        tables::columns_of_target(&mut *tx).await?.into_iter().map(|column| column.table).collect();
    names.dedup();
    let mut found = Vec::new();
    for name in names {
        let mut query = tx.query("SELECT EXISTS (SELECT 1 FROM ");
        query = query.push_name(&quoted(&name)).push(")");
        if query.fetch_scalar().await? {
            found.push(name);
        }
    }
    Ok(found)
}

/// Saves the progress of a step, in the transaction of its work.
pub fn save_progress<'a>(
    tx: &'a mut Tx,
    name: &'a str,
    progress: Progress,
) -> BoxFuture<'a, Result<()>> {
    Box::pin(async move {
        let now = tx.now();
        tx.query(
            "INSERT INTO promotion (name, source, place, row_count, done, noted_at)
         SELECT $1, source, $2, $3, $4, $5 FROM promotion WHERE name = ''
         ON CONFLICT (name) DO UPDATE
         SET place = excluded.place, row_count = excluded.row_count, done = excluded.done,
             noted_at = excluded.noted_at",
        )
        .bind_all((name, progress.cursor, progress.rows, progress.done, now))
        .execute()
        .await
        .map(drop)
    })
}

/// The progress of a step; the default before it has begun.
pub async fn progress(read: impl Read<'_>, name: &str) -> Result<Progress> {
    let found: Option<(i64, i64, bool)> = read
        .query("SELECT place, row_count, done FROM promotion WHERE name = $1")
        .bind(name)
        .fetch_optional()
        .await?;
    Ok(found.map_or(Progress::default(), |(cursor, rows, done)| Progress { cursor, rows, done }))
}

/// Marks the whole promotion as finished.
pub fn finish(target: &Db) -> BoxFuture<'_, Result<()>> {
    Box::pin(async move {
        target
            .transact(|mut tx| async move {
                save_progress(&mut tx, WHOLE, Progress { cursor: 0, rows: 0, done: true }).await
            })
            .await
    })
}

/// Whether a promotion was begun and not finished, so that the data must not be used.
pub fn is_unfinished(db: &Db) -> BoxFuture<'_, Result<bool>> {
    Box::pin(async move {
        if !db.query(EXISTS).fetch_scalar::<bool>().await? {
            return Ok(false);
        }
        let done: Option<bool> = db
            .query("SELECT done FROM promotion WHERE name = $1")
            .bind(WHOLE)
            .fetch_scalar_optional()
            .await?;
        Ok(done == Some(false))
    })
}
