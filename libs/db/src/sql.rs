//! SQL text.

/// SQL text. Almost always one string for both databases, made by `From<&'static str>`.
#[derive(Clone, Copy, Debug)]
pub struct Sql {
    pub(crate) postgres: &'static str,
    pub(crate) sqlite: &'static str,
}

impl Sql {
    /// For the rare statement that the two dialects spell differently.
    #[must_use]
    pub const fn either(postgres: &'static str, sqlite: &'static str) -> Self {
        Self { postgres, sqlite }
    }
}

impl From<&'static str> for Sql {
    fn from(text: &'static str) -> Self {
        Self { postgres: text, sqlite: text }
    }
}

/// The pattern of `lower(column) LIKE $n ESCAPE '\'` that finds `text` anywhere in the column, whatever
/// `%`, `_` and `\` it holds.
///
/// The pattern is lower-cased, because SQLite's LIKE ignores the case of ASCII and PostgreSQL's does not.
/// Beyond ASCII SQLite's `lower` does nothing: where that matters, keep a lower-cased column.
#[must_use]
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
    fn like_escapes_what_like_would_read() {
        assert_eq!(like_contains("100%_A\\b"), "%100\\%\\_a\\\\b%");
        assert_eq!(like_contains(""), "%%");
    }
}
