//! How far a promotion has come.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::tables::{self, quoted};
use crate::{Db, Engine, Error, Read, Result, Sql, Tx};

/// The name of the mark of the whole.
const WHOLE: &str = "";

const EXISTS: Sql = Sql::either("SELECT to_regclass('promotion') IS NOT NULL", "SELECT FALSE");

/// What [`begin`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begun {
    /// An empty database.
    New,
    /// One that an earlier attempt from the same source left half full.
    Again,
    /// One that was filled from the same source.
    Finished(DateTime<Utc>),
}

/// How far one step is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// The place in the source that was reached.
    pub place: i64,
    /// How many rows that are.
    pub rows: i64,
    /// Whether the step is through.
    pub done: bool,
}

/// Takes a migrated, empty PostgreSQL database for the source of this id, or the one that was taken for it before.
///
/// # Errors
/// [`Error::Config`] says in words what is in the database, when that is anything else.
pub async fn begin(target: &Db, source: Uuid) -> Result<Begun> {
    let mut tx = target.begin().await?;
    match begin_in(&mut tx, source).await {
        Ok(begun) => tx.commit().await.map(|()| begun),
        Err(error) => {
            tx.rollback().await;
            Err(error)
        }
    }
}

async fn begin_in(tx: &mut Tx, source: Uuid) -> Result<Begun> {
    if tx.engine() == Engine::Sqlite {
        return Err(Error::Config("data is promoted to PostgreSQL, not to SQLite".into()));
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
        Some((from, true, at)) if from == source => return Ok(Begun::Finished(at)),
        Some((from, false, _)) if from == source => return Ok(Begun::Again),
        Some(_) => {
            let text = "it was filled, or is being filled, from another data directory";
            return Err(Error::Config(text.into()));
        }
        None => {}
    }
    let taken = occupied(tx).await?;
    if !taken.is_empty() {
        return Err(Error::Config(format!(
            "it is not empty: there are rows in {}",
            taken.join(", ")
        )));
    }
    let now = tx.now();
    tx.query(
        "INSERT INTO promotion (name, source, place, row_count, done, noted_at)
         VALUES ($1, $2, 0, 0, $3, $4)",
    )
    .bind(WHOLE)
    .bind(source)
    .bind(false)
    .bind(now)
    .execute()
    .await?;
    Ok(Begun::New)
}

/// The tables that have rows.
async fn occupied(tx: &mut Tx) -> Result<Vec<String>> {
    let mut names: Vec<String> =
        tables::columns_of_target(&mut *tx).await?.into_iter().map(|column| column.table).collect();
    names.dedup();
    let mut occupied = Vec::new();
    for name in names {
        let mut query = tx.query("SELECT EXISTS (SELECT 1 FROM ");
        query = query.push_name(&quoted(&name)).push(")");
        if query.fetch_scalar().await? {
            occupied.push(name);
        }
    }
    Ok(occupied)
}

/// Notes how far a step is, with what the transaction did.
pub async fn mark(tx: &mut Tx, name: &str, mark: Mark) -> Result<()> {
    let now = tx.now();
    tx.query(
        "INSERT INTO promotion (name, source, place, row_count, done, noted_at)
         SELECT $1, source, $2, $3, $4, $5 FROM promotion WHERE name = ''
         ON CONFLICT (name) DO UPDATE
         SET place = excluded.place, row_count = excluded.row_count, done = excluded.done,
             noted_at = excluded.noted_at",
    )
    .bind(name)
    .bind(mark.place)
    .bind(mark.rows)
    .bind(mark.done)
    .bind(now)
    .execute()
    .await
    .map(drop)
}

/// How far a step is.
pub async fn marked(read: impl Read<'_>, name: &str) -> Result<Mark> {
    let found: Option<(i64, i64, bool)> = read
        .query("SELECT place, row_count, done FROM promotion WHERE name = $1")
        .bind(name)
        .fetch_optional()
        .await?;
    Ok(found.map_or(Mark::default(), |(place, rows, done)| Mark { place, rows, done }))
}

/// Notes that everything is there.
pub async fn finish(target: &Db) -> Result<()> {
    target
        .transact(|mut tx| async move {
            mark(&mut tx, WHOLE, Mark { place: 0, rows: 0, done: true }).await
        })
        .await
}

/// Whether a promotion was begun and not finished: nobody may work with the data yet.
pub async fn is_unfinished(db: &Db) -> Result<bool> {
    if !db.query(EXISTS).fetch_scalar::<bool>().await? {
        return Ok(false);
    }
    let done: Option<bool> = db
        .query("SELECT done FROM promotion WHERE name = $1")
        .bind(WHOLE)
        .fetch_scalar_optional()
        .await?;
    Ok(done == Some(false))
}
