//! Digests of tables.

use futures_util::TryStreamExt as _;
use sha2::{Digest as _, Sha256};
use sqlx::AssertSqlSafe;

use super::tables::quoted;
use super::{Table, copy_text};
use crate::database::Backend;
use crate::{Db, Error, Result};

/// The number of rows and the sum of their digests, which does not depend on their order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Content {
    pub rows: u64,
    sum: [u8; 32],
}

impl Content {
    /// Adds the text of a row.
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

/// The content of a table in either database. Calls `progress` with the number of rows so far.
pub async fn content(
    db: &Db,
    table: &Table,
    mut progress: impl FnMut(u64) + Send,
) -> Result<Content> {
    let sql = format!("SELECT {} FROM {}", table.column_list(), quoted(&table.name));
    let (mut content, mut line) = (Content::default(), Vec::new());
    macro_rules! add_rows {
        ($executor:expr) => {
            let mut rows = sqlx::query(AssertSqlSafe(sql)).fetch($executor);
            while let Some(row) = rows.try_next().await? {
                line.clear();
                copy_text::append(&mut line, &row, &table.columns)
                    .map_err(|e| decode_error(table, e))?;
                content.add(&line);
                if content.rows.is_multiple_of(1000) {
                    progress(content.rows);
                }
            }
        };
    }
    match db.backend() {
        Backend::Sqlite(file) => {
            add_rows!(&file.read);
        }
        Backend::Postgres(pg) => {
            let mut tx = pg.read.begin().await?;
            sqlx::query("SET LOCAL statement_timeout = 0").execute(&mut *tx).await?;
            add_rows!(&mut *tx);
        }
    }
    progress(content.rows);
    Ok(content)
}

/// Names the table and column of a value that does not have its column's type.
pub(super) fn decode_error(table: &Table, error: sqlx::Error) -> Error {
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
    fn content_ignores_only_the_order_of_rows() {
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
