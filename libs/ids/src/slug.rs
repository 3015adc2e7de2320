//! The names that people give to things and that stand in addresses.

/// Fewest characters of a slug.
pub const MIN: usize = 3;
/// Most characters of a slug.
pub const MAX: usize = 64;

/// Checks a slug: 3 to 64 of `a-z 0-9 -`, starting with a letter, without a hyphen at the end or two in a
/// row, and not looking like an id (so that a path variable takes either without guessing).
///
/// The error says what would be right and can be shown to whoever sent it.
pub fn check(slug: &str) -> Result<(), &'static str> {
    if !(MIN..=MAX).contains(&slug.len()) {
        return Err("must have 3 to 64 characters");
    }
    if !slug.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') {
        return Err("must consist of a-z, 0-9 and '-'");
    }
    if !slug.as_bytes()[0].is_ascii_lowercase() {
        return Err("must start with a letter");
    }
    if slug.ends_with('-') || slug.contains("--") {
        return Err("must not end with '-' or contain '--'");
    }
    if looks_like_id(slug) {
        return Err("must not look like an id");
    }
    Ok(())
}

/// Whether a text is a UUID in any spelling that some parser would take.
fn looks_like_id(slug: &str) -> bool {
    uuid::Uuid::try_parse(slug).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_names() {
        for slug in ["abc", "two-sum", "a1b2", "aplusb2", &"a".repeat(64)] {
            assert_eq!(check(slug), Ok(()), "{slug}");
        }
    }

    #[test]
    fn refuses_what_is_not_a_name() {
        for slug in [
            "",
            "ab",
            &"a".repeat(65),
            "Two-sum",
            "two_sum",
            "zwei-straße",
            "1abc",
            "-abc",
            "abc-",
            "a--b",
            "a192f0c1-2345-7abc-8def-0123456789ab",
            "a192f0c123457abc8def0123456789ab",
        ] {
            assert!(check(slug).is_err(), "{slug}");
        }
    }
}
