//! An echo and its rules. Pure.

use chrono::{DateTime, Utc};
use uuid::Uuid;

/// The longest text, in characters.
const MAX_TEXT: usize = 200;

/// A stored text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Echo {
    pub id: Uuid,
    pub user_id: Uuid,
    pub text: String,
    pub created_at: DateTime<Utc>,
}

/// The error says what would be right.
pub fn check_text(text: &str) -> Result<(), &'static str> {
    match text.chars().count() {
        1..=MAX_TEXT if !text.contains('\0') => Ok(()),
        _ => Err("must have 1 to 200 characters, without NUL"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_have_1_to_200_characters() {
        assert!(check_text("a").is_ok() && check_text(&"ü".repeat(200)).is_ok());
        assert!(check_text("").is_err() && check_text(&"a".repeat(201)).is_err());
        assert!(check_text("a\0b").is_err());
    }
}
