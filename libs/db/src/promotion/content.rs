//! What is in a table, in short.

use futures_util::TryStreamExt as _;
use sha2::{Digest as _, Sha256};
use sqlx::AssertSqlSafe;

use super::tables::quoted;
use super::{Table, cell};
use crate::database::Backend;
use crate::{Db, Error, Result};

/// How many rows there are, and the sum of their digests: the same for the same rows in whatever order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// How many.
    pub rows: u64,
    sum: [u8; 32],
}

impl Content {
    /// Adds a row by its text.
    pub fn add(&mut self, text: &[u8]) {
        self.rows += 1;
        let mut carry = 0;
        for (sum, byte) in self.sum.iter_mut().zip(Sha256::digest(text)) {
            let added = u16::from(*sum) + u16::from(byte) + carry;
            *sum = (added & 0xff) as u8;
            carry = added >> 8;
        }
    }
}

/// What is in a table, on either side. `seen` is told the number of rows now and then.
pub async fn content(db: &Db, table: &Table, mut seen: impl FnMut(u64) + Send) -> Result<Content> {
    let names: Vec<String> = table.columns.iter().map(|(name, _)| quoted(name)).collect();
    let sql = format!("SELECT {} FROM {}", names.join(", "), quoted(&table.name));
    let (mut content, mut line) = (Content::default(), Vec::new());
    let mut tell = |content: &Content| {
        if content.rows.is_multiple_of(1000) {
            seen(content.rows);
        }
    };
    match db.backend() {
        Backend::Sqlite(file) => {
            let mut rows = sqlx::query(AssertSqlSafe(sql)).fetch(&file.read);
            while let Some(row) = rows.try_next().await? {
                line.clear();
                cell::append(&mut line, &row, 0, &table.columns)
                    .map_err(|e| unreadable(table, e))?;
                content.add(&line);
                tell(&content);
            }
        }
        Backend::Postgres(pg) => {
            let mut tx = pg.read.begin().await?;
            // As long as it takes.
            sqlx::query("SET LOCAL statement_timeout = 0").execute(&mut *tx).await?;
            let mut rows = sqlx::query(AssertSqlSafe(sql)).fetch(&mut *tx);
            while let Some(row) = rows.try_next().await? {
                line.clear();
                cell::append(&mut line, &row, 0, &table.columns)
                    .map_err(|e| unreadable(table, e))?;
                content.add(&line);
                tell(&content);
            }
        }
    }
    seen(content.rows);
    Ok(content)
}

/// A value that is not of its column's type; the driver's text names the column.
pub(super) fn unreadable(table: &Table, error: sqlx::Error) -> Error {
    match error {
        sqlx::Error::ColumnDecode { index, source } => {
            let column = index.parse::<usize>().ok().and_then(|at| table.columns.get(at));
            let column = column.map_or(index.as_str(), |(name, _)| name);
            Error::Invalid(format!("{}.{column}: {source}", table.name))
        }
        error => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_does_not_matter_and_everything_else_does() {
        let of = |rows: &[&str]| {
            let mut content = Content::default();
            rows.iter().for_each(|row| content.add(row.as_bytes()));
            content
        };
        assert_eq!(of(&["a", "b", "c"]), of(&["c", "a", "b"]));
        assert_ne!(of(&["a", "b"]), of(&["a", "c"]));
        assert_ne!(of(&["a"]), of(&["a", "a"]));
        assert_ne!(of(&["a", "a", "b", "b"]), of(&["c", "c", "d", "d"]));
    }
}
