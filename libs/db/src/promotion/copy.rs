//! Copies one table in batches.

use futures_util::TryStreamExt as _;
use sqlx::{AssertSqlSafe, Row as _};

use super::content::decode_error;
use super::tables::quoted;
use super::{Progress, Table, copy_text, progress, save_progress};
use crate::database::Backend;
use crate::{Db, Error, Result, Tx};

/// Maximum rows per transaction.
const ROWS: i64 = 5000;
/// A batch ends after the row that exceeds this size.
const BYTES: usize = 4 << 20;

struct Batch {
    text: Vec<u8>,
    rows: i64,
    /// Row id of the last row.
    cursor: i64,
    is_last: bool,
}

/// Copies the remaining rows of a table and returns the total number. Calls `report` with the number of rows so far.
pub async fn copy(
    source: &Db,
    target: &Db,
    table: &Table,
    mut report: impl FnMut(u64) + Send,
) -> Result<u64> {
    loop {
        let at = progress(target, &table.name).await?;
        report(at.rows.unsigned_abs());
        if at.done {
            return Ok(at.rows.unsigned_abs());
        }
        let batch = read(source, table, at.cursor).await?;
        let next =
            Progress { cursor: batch.cursor, rows: at.rows + batch.rows, done: batch.is_last };
        let mut tx = target.begin().await?;
        let written = write(&mut tx, table, &batch, next).await;
        tx.finish(written).await.map_err(|error| named(error, table))?;
    }
}

/// The rows after a cursor. Every table has row ids, which do not change while the source is not written to.
async fn read(source: &Db, table: &Table, after: i64) -> Result<Batch> {
    let Backend::Sqlite(file) = source.backend() else {
        return Err(Error::Config("the source of a promotion must be SQLite".into()));
    };
    let sql = format!(
        "SELECT {}, rowid AS cursor FROM {} WHERE rowid > $1 ORDER BY rowid LIMIT {ROWS}",
        table.column_list(),
        quoted(&table.name)
    );
    let mut rows = sqlx::query(AssertSqlSafe(sql)).bind(after).fetch(&file.read);
    let mut batch = Batch { text: Vec::new(), rows: 0, cursor: after, is_last: true };
    while let Some(row) = rows.try_next().await? {
        copy_text::append(&mut batch.text, &row, &table.columns)
            .map_err(|e| decode_error(table, e))?;
        batch.cursor = row.try_get(table.columns.len())?;
        batch.rows += 1;
        if batch.rows == ROWS || batch.text.len() >= BYTES {
            batch.is_last = false;
            break;
        }
    }
    Ok(batch)
}

async fn write(tx: &mut Tx, table: &Table, batch: &Batch, next: Progress) -> Result<()> {
    if batch.rows > 0 {
        let sql = format!("COPY {} ({}) FROM STDIN", quoted(&table.name), table.column_list());
        let connection = tx.postgres().ok_or(Error::Aborted)?;
        let mut copy = connection.copy_in_raw(&sql).await?;
        copy.send(batch.text.as_slice()).await?;
        let copied = copy.finish().await?;
        if i64::try_from(copied) != Ok(batch.rows) {
            let text = format!("copied {copied} rows of {} instead of {}", table.name, batch.rows);
            return Err(Error::Invalid(text));
        }
    }
    save_progress(tx, &table.name, next).await
}

fn named(error: Error, table: &Table) -> Error {
    let with = |text: String| format!("table {}: {text}", table.name);
    match error {
        Error::Conflict(text) => Error::Conflict(with(text)),
        Error::Constraint(text) => Error::Constraint(with(text)),
        Error::Invalid(text) => Error::Invalid(with(text)),
        error => error,
    }
}
