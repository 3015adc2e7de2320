//! The plans of PostgreSQL. The tables of a test are nearly empty, so sequential scans are disabled: a plan that still
//! has one cannot use an index.

use sqlx::postgres::{PgPool, PgRow};
use sqlx::{AssertSqlSafe, Row};

use super::text;
use crate::Result;

/// The fault in the plan of a statement, if it has one. Statements whose parameters have no type of their own
/// are not checked here.
pub async fn fault(pool: &PgPool, sql: &str) -> Result<Option<String>> {
    let mut connection = pool.acquire().await?;
    // A check that was cancelled may have left its statement.
    let prepare = AssertSqlSafe(format!("DEALLOCATE ALL; PREPARE checked AS {sql}"));
    if sqlx::raw_sql(prepare).execute(&mut *connection).await.is_err() {
        return Ok(None);
    }
    let parameters = (1..=64).take_while(|n| sql.contains(&format!("${n}"))).count();
    let values = match parameters {
        0 => String::new(),
        n => format!("({})", vec!["NULL"; n].join(", ")),
    };
    let explain = AssertSqlSafe(format!("EXPLAIN (COSTS OFF) EXECUTE checked{values}"));
    let rows: Vec<PgRow> = sqlx::raw_sql(explain).fetch_all(&mut *connection).await?;
    let indexes = sqlx::raw_sql(
        "SELECT indexname::text FROM pg_indexes
         WHERE schemaname = current_schema() AND indexdef LIKE '% WHERE %'",
    );
    let partial: Vec<PgRow> = indexes.fetch_all(&mut *connection).await?;
    Ok(judge(sql, &texts(&rows), &texts(&partial)))
}

/// The first column.
fn texts(rows: &[PgRow]) -> Vec<String> {
    rows.iter().filter_map(|row| row.try_get_unchecked(0).ok()).collect()
}

/// A node that reads a table, with its properties.
#[derive(Default)]
struct Scan<'p> {
    title: &'p str,
    index_condition: Option<&'p str>,
    filters: bool,
}

fn judge(sql: &str, lines: &[String], partial: &[String]) -> Option<String> {
    scans(lines).iter().find_map(|scan| fault_of(sql, scan, partial))
}

fn scans(lines: &[String]) -> Vec<Scan<'_>> {
    let mut scans: Vec<Scan<'_>> = Vec::new();
    let mut reads = false;
    for line in lines {
        let line = line.trim().trim_start_matches("->").trim();
        if line.contains(" Scan ") && line.contains(" on ") {
            scans.push(Scan { title: line, ..Scan::default() });
            reads = true;
        } else if let Some(condition) = line.strip_prefix("Index Cond: ")
            && let Some(scan) = scans.last_mut().filter(|_| reads)
        {
            scan.index_condition = Some(condition);
        } else if line.starts_with("Filter: ") {
            if let Some(scan) = scans.last_mut().filter(|_| reads) {
                scan.filters = true;
            }
        } else if !line.contains(": ") {
            // Another node.
            reads = false;
        }
    }
    scans
}

fn fault_of(sql: &str, scan: &Scan<'_>, partial: &[String]) -> Option<String> {
    let Scan { title, .. } = scan;
    // Results of functions and subqueries are not tables.
    if ["Function", "Subquery", "CTE", "Values", "WorkTable"]
        .iter()
        .any(|kind| title.starts_with(kind))
    {
        return None;
    }
    if title.starts_with("Seq Scan") {
        return Some(format!("cannot use an index: {title}"));
    }
    let index = title.split_once(" using ").map(|(_, rest)| rest);
    let index = index.and_then(|rest| rest.split(' ').next()).unwrap_or_default();
    if partial.iter().any(|name| name == index) {
        return None;
    }
    match scan.index_condition {
        None if text::is_page(sql) && !scan.filters => None,
        None => Some(format!("reads a whole index: {title}")),
        Some(condition) if condition.contains(" = ") || !scan.filters => None,
        Some(condition) => Some(format!("filters a range: {title}, {condition}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(sql: &str, plan: &str) -> Option<String> {
        let lines: Vec<String> = plan.lines().map(str::to_owned).collect();
        judge(sql, &lines, &["t_open".to_owned()])
    }

    #[test]
    fn bounded_plans_are_accepted() {
        let page = "SELECT c FROM t ORDER BY a LIMIT 9";
        assert_eq!(check(page, "Limit\n  ->  Index Scan using t_a on t"), None);
        let open = "Aggregate\n  ->  Index Only Scan using t_open on t";
        assert_eq!(check("SELECT count(*) FROM t WHERE open", open), None);
        let one = "Index Scan using t_a on t\n  Index Cond: (a = $1)\n  Filter: (c = $2)";
        assert_eq!(check("SELECT c FROM t WHERE a = $1 AND c = $2", one), None);
    }

    #[test]
    fn plans_whose_cost_grows_are_refused() {
        let bad = |sql, plan, text: &str| {
            let fault = check(sql, plan).unwrap_or_default();
            assert!(fault.contains(text), "{plan}: {fault:?}");
        };
        bad("SELECT c FROM t WHERE c = $1", "Seq Scan on t\n  Filter: (c = $1)", "cannot use");
        bad(
            "SELECT count(*) FROM t",
            "Aggregate\n  ->  Index Only Scan using t_a on t",
            "whole index",
        );
        let filtered = "Limit\n  ->  Index Scan using t_a on t\n        Filter: (c = $1)";
        bad("SELECT c FROM t WHERE c = $1 LIMIT 9", filtered, "whole index");
        let range = "Index Scan using t_a on t\n  Index Cond: (a > $1)\n  Filter: (c = $2)";
        bad("SELECT c FROM t WHERE a > $1 AND c = $2", range, "filters a range");
    }
}
