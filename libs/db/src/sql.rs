//! SQL text for both databases.

/// SQL text; almost always the same for both databases, by `From<&'static str>`.
#[derive(Clone, Copy, Debug)]
pub struct Sql {
    pub(crate) postgres: &'static str,
    pub(crate) sqlite: &'static str,
}

impl Sql {
    /// For statements that must differ between the databases.
    pub const fn either(postgres: &'static str, sqlite: &'static str) -> Self {
        Self { postgres, sqlite }
    }
}

impl From<&'static str> for Sql {
    fn from(text: &'static str) -> Self {
        Self { postgres: text, sqlite: text }
    }
}

/// The pattern for `lower(column) LIKE $n ESCAPE '\'` that matches a column that contains `text`.
///
/// The pattern is in lower case, because LIKE ignores the case of ASCII on SQLite and not on PostgreSQL. SQLite's
/// `lower` changes only ASCII: where that matters, store a lower-case column.
pub fn like_contains(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len() + 2);
    pattern.push('%');
    for c in text.chars().flat_map(char::to_lowercase) {
        if matches!(c, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern.push('%');
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_are_escaped() {
        assert_eq!(like_contains("100%_A\\b"), "%100\\%\\_a\\\\b%");
        assert_eq!(like_contains(""), "%%");
    }
}
