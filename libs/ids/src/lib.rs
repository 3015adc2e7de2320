//! The only source of ids and of the current time.
//!
//! Code that needs either takes a [`Clock`]. No other crate may read the wall clock, so that tests control it.
//!
//! Does not know databases, protocols or the domain.

mod clock;
pub mod slug;

pub use clock::Clock;
pub use uuid::Uuid;

/// Parses an id in its canonical form: lower case, with hyphens.
///
/// Other forms (upper case, braces, no hyphens) give None, so that an id has a single text in paths, logs and cache keys.
pub fn parse(text: &str) -> Option<Uuid> {
    let canonical = text.len() == 36 && !text.bytes().any(|b| b.is_ascii_uppercase());
    if canonical { Uuid::try_parse(text).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parse_accepts_only_the_canonical_form() {
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
