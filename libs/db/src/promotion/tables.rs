//! Tables, columns and sequences, from the catalogues of the databases.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::BoxFuture;

use super::copy_text::Kind;
use crate::{Db, Error, Read, Result};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Unquoted.
    pub name: String,
    pub(super) columns: Vec<(String, Kind)>,
    /// Columns with a sequence, and the sequence.
    pub(super) sequences: Vec<(String, String)>,
}

impl Table {
    /// The quoted names of the columns, separated by commas.
    pub(super) fn column_list(&self) -> String {
        let names: Vec<String> = self.columns.iter().map(|(name, _)| quoted(name)).collect();
        names.join(", ")
    }
}

/// Tables that are never copied.
const EXCLUDED: [&str; 2] = ["schema_migrations", "promotion"];

crate::record! {
    pub(super) struct Column {
        pub table: String,
        pub name: String,
        pub kind: String,
        pub sequence: String,
    }
}

/// The columns of a PostgreSQL schema, by table.
pub(super) async fn columns_of_target(read: impl Read<'_>) -> Result<Vec<Column>> {
    let columns: Vec<Column> = read
        .query(
            "SELECT c.relname::text AS table, a.attname::text AS name,
                    format_type(a.atttypid, a.atttypmod) AS kind,
                    coalesce(pg_get_serial_sequence(quote_ident(c.relname), a.attname), '') AS sequence
             FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
             WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p')
               AND NOT c.relispartition AND a.attnum > 0 AND NOT a.attisdropped
               AND a.attgenerated = ''
             ORDER BY c.relname, a.attnum",
        )
        .fetch_all()
        .await?;
    Ok(columns.into_iter().filter(|column| !EXCLUDED.contains(&column.table.as_str())).collect())
}

async fn columns_of_source(source: &Db) -> Result<BTreeMap<String, BTreeSet<String>>> {
    let rows: Vec<(String, String)> = source
        .query(
            "SELECT t.name, c.name FROM sqlite_master AS t JOIN pragma_table_info(t.name) AS c
             WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite~_%' ESCAPE '~'",
        )
        .fetch_all()
        .await?;
    let mut tables: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (table, column) in rows {
        if !EXCLUDED.contains(&table.as_str()) {
            tables.entry(table).or_default().insert(column);
        }
    }
    Ok(tables)
}

/// The tables of `source` except `excluded`, ordered so that a table comes after those that its foreign keys reference.
///
/// # Errors
/// [`Error::Migration`] when tables or columns differ between the databases.
pub fn tables<'a>(
    source: &'a Db,
    target: &'a Db,
    excluded: &'a [&'a str],
) -> BoxFuture<'a, Result<Vec<Table>>> {
    Box::pin(async move {
        let mut in_target: BTreeMap<String, Table> = BTreeMap::new();
        for column in columns_of_target(target).await? {
            let (table, name) = (column.table, column.name);
            let kind = Kind::of(&column.kind).ok_or_else(|| {
                Error::Migration(format!("{table}.{name} has the unsupported type {}", column.kind))
            })?;
            let entry = in_target.entry(table.clone());
            let entry = entry.or_insert_with(|| Table {
                name: table,
                columns: Vec::new(),
                sequences: Vec::new(),
            });
            if !column.sequence.is_empty() {
                entry.sequences.push((name.clone(), column.sequence));
            }
            entry.columns.push((name, kind));
        }
        let mut found = Vec::new();
        for (name, columns) in columns_of_source(source).await? {
            if excluded.contains(&name.as_str()) {
                continue;
            }
            let table = in_target.remove(&name).ok_or_else(|| {
                Error::Migration(format!("the target has no table {name}: the migrations differ"))
            })?;
            let names: BTreeSet<String> =
                table.columns.iter().map(|(name, _)| name.clone()).collect();
            if let Some(column) = names.symmetric_difference(&columns).next() {
                let text = format!(
                    "only one database has the column {name}.{column}: the migrations differ"
                );
                return Err(Error::Migration(text));
            }
            found.push(table);
        }
        let references = target
            .query(
                "SELECT DISTINCT a.relname::text, b.relname::text FROM pg_constraint AS c
             JOIN pg_class AS a ON a.oid = c.conrelid JOIN pg_class AS b ON b.oid = c.confrelid
             WHERE c.contype = 'f' AND c.connamespace = current_schema()::regnamespace",
            )
            .fetch_all()
            .await?;
        topological_order(found, &references)
    })
}

fn topological_order(mut rest: Vec<Table>, references: &[(String, String)]) -> Result<Vec<Table>> {
    let mut ordered: Vec<Table> = Vec::with_capacity(rest.len());
    while !rest.is_empty() {
        let waits = |table: &Table| {
            references
                .iter()
                .any(|(from, to)| *from == table.name && rest.iter().any(|other| other.name == *to))
        };
        let (later, now): (Vec<_>, Vec<_>) = rest.iter().cloned().partition(waits);
        if now.is_empty() {
            let names: Vec<String> = later.into_iter().map(|table| table.name).collect();
            let text = format!("foreign keys form a cycle: {}", names.join(", "));
            return Err(Error::Migration(text));
        }
        ordered.extend(now);
        rest = later;
    }
    Ok(ordered)
}

/// Sets the sequences of `tables` to the greatest number that the source has used.
pub fn raise_sequences<'a>(
    source: &'a Db,
    target: &'a Db,
    tables: &'a [Table],
) -> BoxFuture<'a, Result<()>> {
    Box::pin(async move {
        for table in tables {
            for (column, sequence) in &table.sequences {
                let greatest: i64 = source
                    .query("SELECT max(coalesce((SELECT max(")
                    .push_name(&quoted(column))
                    .push(") FROM ")
                    .push_name(&quoted(&table.name))
                    .push("), 0), coalesce((SELECT seq FROM sqlite_sequence WHERE name = ")
                    .push_bind(table.name.as_str())
                    .push("), 0))")
                    .fetch_scalar()
                    .await?;
                const SET: &str = "SELECT setval(CAST($1 AS regclass), greatest($2, 1), $2 > 0)";
                let values = (sequence.as_str(), greatest);
                target.execute(|tx| tx.query(SET).bind_all(values)).await?;
            }
        }
        Ok(())
    })
}

/// A quoted SQL identifier.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(names: &[&str], references: &[(&str, &str)]) -> Result<Vec<String>> {
        let table = |name: &&str| Table {
            name: (*name).into(),
            columns: Vec::new(),
            sequences: Vec::new(),
        };
        let references: Vec<_> =
            references.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        let ordered = topological_order(names.iter().map(table).collect(), &references)?;
        Ok(ordered.into_iter().map(|table| table.name).collect())
    }

    #[test]
    fn referenced_tables_come_first_and_cycles_are_refused() {
        let references = [("checks", "imports"), ("imports", "problems"), ("tags", "problems")];
        let names = ["checks", "imports", "problems", "tags"];
        assert_eq!(check(&names, &references).unwrap(), ["problems", "imports", "tags", "checks"]);
        // The referenced table may be excluded.
        assert_eq!(check(&["checks"], &references).unwrap(), ["checks"]);
        let error = check(&["a", "b"], &[("a", "b"), ("b", "a")]).unwrap_err().to_string();
        assert!(error.contains("a, b"), "{error}");
    }

    #[test]
    fn names_are_quoted() {
        assert_eq!(quoted("a\"b"), "\"a\"\"b\"");
    }
}
