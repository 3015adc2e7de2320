//! Usernames: public, unique regardless of case, distinct from ids.

pub const MIN: usize = 3;
pub const MAX: usize = 32;

use crate::reserved::claims_role;

/// Names with another meaning where a username is accepted.
const RESERVED: &[&str] = &["anonymous", "current", "null", "service", "undefined"];

/// Checks a new username. The error states the rule.
pub fn check(name: &str) -> Result<(), &'static str> {
    check_form(name)?;
    if RESERVED.contains(&key(name).as_str()) {
        return Err("must not be a reserved name");
    }
    if claims_role(name) {
        return Err("must not be, or look like, the name of a role such as admin or support");
    }
    Ok(())
}

/// Checks the syntax only.
pub fn check_form(name: &str) -> Result<(), &'static str> {
    if !(MIN..=MAX).contains(&name.len()) {
        return Err("must have 3 to 32 characters");
    }
    if !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-') {
        return Err("must consist of letters a-z, digits, '_' and '-'");
    }
    if !name.as_bytes()[0].is_ascii_alphabetic() {
        return Err("must start with a letter");
    }
    if uuid::Uuid::try_parse(name).is_ok() {
        return Err("must not look like an id");
    }
    Ok(())
}

/// The lookup key: two spellings of one username have the same.
pub fn key(name: &str) -> String {
    name.to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usernames_are_accepted() {
        for name in ["ada", "Grace-Hopper", "a_1", "tourist", &"z".repeat(32)] {
            assert_eq!(check(name), Ok(()), "{name}");
        }
        assert_eq!(key("Grace-Hopper"), "grace-hopper");
    }

    #[test]
    fn invalid_usernames_are_refused() {
        for name in [
            "",
            "me",
            "ab",
            &"a".repeat(33),
            "1ada",
            "_ada",
            "-ada",
            "ada lovelace",
            "ada\0",
            "аda",
            "adä",
            "ada@example",
            "Admin",
            "adm1nistrator",
            "current",
            "a192f0c123457abc8def0123456789ab",
        ] {
            assert!(check(name).is_err(), "{name:?}");
        }
    }
}
