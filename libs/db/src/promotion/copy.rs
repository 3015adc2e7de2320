//! Copying one table, batch by batch.

use futures_util::TryStreamExt as _;
use sqlx::{AssertSqlSafe, Row as _};

use super::content::unreadable;
use super::tables::quoted;
use super::{Mark, Table, cell, mark, marked};
use crate::database::Backend;
use crate::{Db, Error, Result, Tx};

/// Rows of one transaction, at most.
const ROWS: i64 = 5000;
/// Their text, about.
const BYTES: usize = 4 << 20;

/// Rows on their way.
struct Batch {
    text: Vec<u8>,
    rows: i64,
    /// The last one's place.
    last: i64,
    /// Whether there are none behind.
    is_last: bool,
}

/// Copies what is not there yet of a table; gives how many rows there are now. `seen` is told on the way.
pub async fn copy(
    source: &Db,
    target: &Db,
    table: &Table,
    mut seen: impl FnMut(u64) + Send,
) -> Result<u64> {
    loop {
        let at = marked(target, &table.name).await?;
        seen(at.rows.unsigned_abs());
        if at.done {
            return Ok(at.rows.unsigned_abs());
        }
        let batch = read(source, table, at.place).await?;
        let next = Mark { place: batch.last, rows: at.rows + batch.rows, done: batch.is_last };
        let mut tx = target.begin().await?;
        match write(&mut tx, table, &batch, next).await {
            Ok(()) => tx.commit().await?,
            Err(error) => {
                tx.rollback().await;
                return Err(named(error, table));
            }
        }
    }
}

/// The rows behind a place. Every table has row ids, which stay as they are while nobody writes.
async fn read(source: &Db, table: &Table, from: i64) -> Result<Batch> {
    let Backend::Sqlite(file) = source.backend() else {
        return Err(Error::Config("data is promoted from SQLite".into()));
    };
    let names: Vec<String> = table.columns.iter().map(|(name, _)| quoted(name)).collect();
    let sql = format!(
        "SELECT {}, rowid AS place FROM {} WHERE rowid > $1 ORDER BY rowid LIMIT {ROWS}",
        names.join(", "),
        quoted(&table.name)
    );
    let mut rows = sqlx::query(AssertSqlSafe(sql)).bind(from).fetch(&file.read);
    let mut batch = Batch { text: Vec::new(), rows: 0, last: from, is_last: true };
    while let Some(row) = rows.try_next().await? {
        cell::append(&mut batch.text, &row, 0, &table.columns).map_err(|e| unreadable(table, e))?;
        batch.last = row.try_get(table.columns.len())?;
        batch.rows += 1;
        if batch.rows == ROWS || batch.text.len() >= BYTES {
            batch.is_last = false;
            break;
        }
    }
    Ok(batch)
}

async fn write(tx: &mut Tx, table: &Table, batch: &Batch, next: Mark) -> Result<()> {
    if batch.rows > 0 {
        let names: Vec<String> = table.columns.iter().map(|(name, _)| quoted(name)).collect();
        let sql = format!("COPY {} ({}) FROM STDIN", quoted(&table.name), names.join(", "));
        let connection = tx.postgres().ok_or(Error::Aborted)?;
        let mut copy = connection.copy_in_raw(&sql).await?;
        copy.send(batch.text.as_slice()).await?;
        let copied = copy.finish().await?;
        if i64::try_from(copied) != Ok(batch.rows) {
            let text =
                format!("{copied} rows of {} were taken instead of {}", table.name, batch.rows);
            return Err(Error::Invalid(text));
        }
    }
    mark(tx, &table.name, next).await
}

/// The same error, with the table's name in it.
fn named(error: Error, table: &Table) -> Error {
    let with = |text: String| format!("table {}: {text}", table.name);
    match error {
        Error::Conflict(text) => Error::Conflict(with(text)),
        Error::Constraint(text) => Error::Constraint(with(text)),
        Error::Invalid(text) => Error::Invalid(with(text)),
        error => error,
    }
}
