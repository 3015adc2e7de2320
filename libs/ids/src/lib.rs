//! Identifiers and time: the only source of both.
//!
//! Everything that needs an id or the time is given a [`Clock`]. Nothing else in the workspace may ask
//! the operating system for the wall time, so a test can hold the time in its hands.
//!
//! Knows nothing of databases, protocols or the domain.

mod clock;
pub mod slug;

pub use clock::Clock;
pub use uuid::Uuid;

/// Reads an id in its one accepted spelling: lower-case, hyphenated.
///
/// Other spellings of the same number (upper-case, braces, no hyphens) are refused, so that an id has one
/// text everywhere: in paths, in logs, in cache keys.
#[must_use]
pub fn parse(text: &str) -> Option<Uuid> {
    let canonical = text.len() == 36 && !text.bytes().any(|b| b.is_ascii_uppercase());
    if canonical { Uuid::try_parse(text).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parse_takes_the_canonical_spelling_only() {
        let text = "0192f0c1-2345-7abc-8def-0123456789ab";
        assert_eq!(parse(text).map(|id| id.to_string()).as_deref(), Some(text));
        for wrong in [
            "",
            "0192F0C1-2345-7ABC-8DEF-0123456789AB",
            "0192f0c123457abc8def0123456789ab",
            "{0192f0c1-2345-7abc-8def-0123456789ab}",
            "urn:uuid:0192f0c1-2345-7abc-8def-0123456789ab",
            "0192f0c1-2345-7abc-8def-0123456789ag",
            " 0192f0c1-2345-7abc-8def-0123456789a",
            "0192f0c1-2345-7abc-8def-0123456789é",
        ] {
            assert_eq!(parse(wrong), None, "{wrong:?}");
        }
    }
}
