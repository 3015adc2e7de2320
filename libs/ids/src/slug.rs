//! Slugs: names of resources in URLs, chosen by people.

/// The shortest slug, in characters.
pub const MIN: usize = 3;
/// The longest slug, in characters.
pub const MAX: usize = 64;

/// Checks a slug: 3 to 64 characters of `a-z 0-9 -`, starting with a letter, without a hyphen at the end or two
/// in a row, and not a UUID (so that a path variable can be a slug or an id).
///
/// The error may be shown to the client.
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
    // In any form that a parser accepts.
    if uuid::Uuid::try_parse(slug).is_ok() {
        return Err("must not look like an id");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn valid_slugs_are_accepted() {
        for slug in ["abc", "two-sum", "a1b2", "aplusb2", &"a".repeat(64)] {
            assert_eq!(check(slug), Ok(()), "{slug}");
        }
    }

    #[test]
    fn invalid_slugs_are_refused() {
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
