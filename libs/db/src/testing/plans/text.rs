//! What the rules need to know from the text of a statement.

/// Whether the statement has a plan.
pub fn is_explained(sql: &str) -> bool {
    let first = sql.split_whitespace().next().unwrap_or_default();
    ["SELECT", "INSERT", "UPDATE", "DELETE", "WITH"].contains(&first)
}

pub fn on_one_line(sql: &str) -> String {
    sql.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether the statement returns a page of what matches.
pub fn is_page(sql: &str) -> bool {
    on_one_line(sql).contains(" LIMIT ")
}

/// The terms of the outermost WHERE.
pub fn conditions(sql: &str) -> Vec<String> {
    let sql = on_one_line(sql);
    let Some(start) = find_outside(&sql, " WHERE ", 0) else { return Vec::new() };
    let start = start + " WHERE ".len();
    let ends = [" GROUP BY ", " ORDER BY ", " LIMIT ", " RETURNING "];
    let end = ends.iter().filter_map(|word| find_outside(&sql, word, start)).min();
    let terms = split_and(&sql[start..end.unwrap_or(sql.len())]);
    terms.into_iter().filter(|term| term != "TRUE" && term != "1 = 1").collect()
}

/// The terms of a conjunction.
pub fn split_and(text: &str) -> Vec<String> {
    let (mut terms, mut start, mut from) = (Vec::new(), 0, 0);
    while let Some(at) = find_outside(text, " AND ", from) {
        from = at + " AND ".len();
        // The AND of BETWEEN belongs to its term.
        if text[start..at].contains(" BETWEEN ") && !text[start..at].contains(" AND ") {
            continue;
        }
        terms.push(text[start..at].trim().to_owned());
        start = from;
    }
    terms.push(text[start..].trim().to_owned());
    terms
}

/// The position of `word` at or after `from` and outside of parentheses opened there.
fn find_outside(text: &str, word: &str, from: usize) -> Option<usize> {
    let mut depth = 0_i32;
    let mut at = from;
    for c in text[from..].chars() {
        if depth == 0 && text[at..].starts_with(word) {
            return Some(at);
        }
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        at += c.len_utf8();
    }
    None
}

/// The table whose alias in the statement is `name`.
pub fn table_of_alias<'t>(
    sql: &str,
    name: &str,
    mut tables: impl Iterator<Item = &'t str>,
) -> Option<&'t str> {
    let words: Vec<&str> = sql.split(|c: char| c.is_whitespace() || "(),".contains(c)).collect();
    let words: Vec<&str> = words
        .into_iter()
        .filter(|word| !word.is_empty() && !word.eq_ignore_ascii_case("as"))
        .collect();
    tables.find(|table| words.windows(2).any(|pair| pair == [*table, name]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_those_of_the_outermost_where() {
        let check = |sql, expected: &[&str]| assert_eq!(conditions(sql), expected, "{sql}");
        check("SELECT a FROM t", &[]);
        check(
            "SELECT a FROM t WHERE TRUE AND a = $1\n  AND (b, c) < ($2, $3) LIMIT 1",
            &["a = $1", "(b, c) < ($2, $3)"],
        );
        check(
            "UPDATE t SET a = 1 WHERE x BETWEEN 1 AND 2 AND y = 3 RETURNING z",
            &["x BETWEEN 1 AND 2", "y = 3"],
        );
        check(
            "DELETE FROM t WHERE id IN (SELECT id FROM u WHERE v = 1 LIMIT 9)",
            &["id IN (SELECT id FROM u WHERE v = 1 LIMIT 9)"],
        );
    }

    #[test]
    fn aliases_are_found() {
        let find = |sql, name| table_of_alias(sql, name, ["users", "problems"].into_iter());
        assert_eq!(find("SELECT * FROM problems p JOIN users AS u ON 1", "p"), Some("problems"));
        assert_eq!(find("SELECT * FROM problems p JOIN users AS u ON 1", "u"), Some("users"));
        assert_eq!(find("WITH these AS (SELECT 1) SELECT * FROM these", "these"), None);
    }
}
