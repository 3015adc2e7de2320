//! The plans of SQLite: one line for each table or index that is read.

use super::text;
use crate::{Db, Result};

crate::record! {
    struct Line {
        detail: String,
    }
}

crate::record! {
    struct Object {
        kind: String,
        name: String,
        table_name: String,
        definition: Option<String>,
    }
}

/// The fault in the plan of a statement, if it has one.
pub async fn fault(db: &Db, sql: &str) -> Result<Option<String>> {
    let explain = db.query("EXPLAIN QUERY PLAN ").push_name(sql);
    let lines: Vec<Line> = explain.fetch_all().await?;
    let objects: Vec<Object> = db
        .query("SELECT type AS kind, name, tbl_name AS table_name, sql AS definition FROM sqlite_master")
        .fetch_all()
        .await?;
    let details: Vec<&str> = lines.iter().map(|line| line.detail.as_str()).collect();
    Ok(judge(sql, &details, &objects))
}

/// The use of a table in a plan.
struct Access<'p> {
    table: &'p str,
    /// The whole table or index is read.
    whole: bool,
    /// The terms that the index finds.
    terms: Vec<String>,
    index: Option<&'p Object>,
    /// The name of the table in the statement.
    name: &'p str,
    /// The index is built for the statement.
    automatic: bool,
}

impl Access<'_> {
    /// The terms of the condition of the index.
    fn index_conditions(&self) -> Vec<String> {
        let definition = self.index.and_then(|index| index.definition.as_deref());
        definition.map(text::conditions).unwrap_or_default()
    }
}

fn judge(sql: &str, details: &[&str], objects: &[Object]) -> Option<String> {
    let accesses: Vec<Access<'_>> =
        details.iter().filter_map(|detail| access(sql, detail, objects)).collect();
    let found = accesses.iter().find_map(|access| fault_of(sql, access));
    if found.is_some() || !text::is_page(sql) {
        return found;
    }
    if details.iter().any(|detail| detail.contains("TEMP B-TREE FOR ORDER BY")) {
        return Some("sorts what it reads for a page".to_owned());
    }
    if let [only] = &*accesses {
        let known = only.index_conditions();
        let alias = format!("{}.", only.name);
        let filters = text::conditions(sql).into_iter().map(|term| term.replace(&alias, ""));
        let filters: Vec<String> = filters.filter(|term| !known.contains(term)).collect();
        if filters.len() > only.terms.len() {
            return Some(format!(
                "filters what it reads of {} for a page: the index finds {:?} of {filters:?}",
                only.table, only.terms
            ));
        }
    }
    None
}

fn fault_of(sql: &str, access: &Access<'_>) -> Option<String> {
    let Access { table, .. } = access;
    if access.automatic {
        return Some(format!("builds an index of {table} each time"));
    }
    if !access.index_conditions().is_empty() {
        return None;
    }
    if access.whole {
        // The first page in the order of an index.
        let first =
            access.index.is_some() && text::is_page(sql) && text::conditions(sql).is_empty();
        return (!first).then(|| format!("reads all of {table}"));
    }
    let range = !access.terms.is_empty() && !access.terms.iter().any(|term| term.contains("=?"));
    let filters = text::conditions(sql);
    (range && filters.len() > access.terms.len()).then(|| {
        format!("filters a range of {table}: the index finds {:?} of {filters:?}", access.terms)
    })
}

/// Reads a line such as `SEARCH users USING INDEX users_order (name>?)`. `None` for lines about other things than a
/// table of the database.
fn access<'p>(sql: &str, detail: &'p str, objects: &'p [Object]) -> Option<Access<'p>> {
    let mut words = detail.split(' ');
    let whole = match words.next()? {
        "SCAN" => true,
        "SEARCH" => false,
        _ => return None,
    };
    let name = words.next()?;
    let is_table = |object: &&Object| object.kind == "table";
    let tables = objects.iter().filter(is_table).map(|object| object.name.as_str());
    let table = match tables.clone().find(|table| *table == name) {
        Some(table) => table,
        None => text::table_of_alias(sql, name, tables)?,
    };
    let index = detail.split_once(" INDEX ").and_then(|(_, rest)| rest.split(' ').next());
    let index = index.and_then(|name| objects.iter().find(|object| object.name == name));
    let index = index.filter(|index| index.table_name == table);
    let terms = match detail.split_once(" (") {
        Some((_, terms)) => {
            text::split_and(terms.rsplit_once(')').map_or(terms, |(inner, _)| inner))
        }
        None => Vec::new(),
    };
    let automatic = detail.contains(" AUTOMATIC ");
    Some(Access { table, whole, terms, index, name, automatic })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(sql: &str, details: &[&str]) -> Option<String> {
        let object = |kind: &str, name: &str, definition: &str| Object {
            kind: kind.into(),
            name: name.into(),
            table_name: "t".into(),
            definition: Some(definition.into()),
        };
        let objects = [
            object("table", "t", "CREATE TABLE t (a, b, c)"),
            object("index", "t_a", "CREATE INDEX t_a ON t (a, b)"),
            object("index", "t_open", "CREATE INDEX t_open ON t (b) WHERE done IS NULL"),
        ];
        judge(sql, details, &objects)
    }

    #[test]
    fn bounded_plans_are_accepted() {
        let good = |sql, detail| assert_eq!(check(sql, &[detail]), None, "{sql}");
        good("SELECT c FROM t WHERE a = $1 AND c = $2", "SEARCH t USING INDEX t_a (a=?)");
        good(
            "SELECT c FROM t WHERE a = $1 AND b < $2 LIMIT 9",
            "SEARCH t USING INDEX t_a (a=? AND b<?)",
        );
        good("SELECT c FROM t WHERE a > $1", "SEARCH t USING INDEX t_a (a>?)");
        good("SELECT c FROM t WHERE TRUE ORDER BY a LIMIT 9", "SCAN t USING INDEX t_a");
        good("SELECT c FROM t WHERE done IS NULL", "SCAN t USING INDEX t_open");
        good(
            "SELECT c FROM t WHERE done IS NULL AND b < $1 LIMIT 9",
            "SEARCH t USING INDEX t_open (b<?)",
        );
        good("SELECT 1", "SCAN CONSTANT ROW");
    }

    #[test]
    fn plans_whose_cost_grows_are_refused() {
        let bad = |sql, details: &[&str], text: &str| {
            let fault = check(sql, details).unwrap_or_default();
            assert!(fault.contains(text), "{sql}: {fault:?}");
        };
        bad("SELECT c FROM t WHERE c = $1", &["SCAN t"], "reads all of t");
        bad("SELECT c FROM t AS x WHERE c = $1", &["SCAN x"], "reads all of t");
        bad("SELECT count(*) FROM t", &["SCAN t USING COVERING INDEX t_a"], "reads all of t");
        bad("SELECT c FROM t WHERE c = $1 LIMIT 9", &["SCAN t USING INDEX t_a"], "reads all of t");
        let range = &["SEARCH t USING INDEX t_a (a>?)"];
        bad("SELECT c FROM t WHERE a > $1 AND c = $2", range, "filters a range of t");
        let equal = &["SEARCH t USING INDEX t_a (a=?)"];
        bad("SELECT c FROM t WHERE a = $1 AND c = $2 LIMIT 9", equal, "filters what it reads of t");
        let sorts = &["SEARCH t USING INDEX t_a (a=?)", "USE TEMP B-TREE FOR ORDER BY"];
        bad("SELECT c FROM t WHERE a = $1 ORDER BY c LIMIT 9", sorts, "sorts what it reads");
        let built = &["SEARCH t USING AUTOMATIC COVERING INDEX (c=?)"];
        bad("SELECT c FROM t JOIN u ON t.c = u.c", built, "builds an index of t");
    }
}
