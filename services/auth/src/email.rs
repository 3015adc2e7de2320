//! E-mail addresses. Only the syntax is checked.

/// Longest address, in bytes (RFC 5321, section 4.5.3.1.3, less the brackets).
pub const MAX: usize = 254;

/// Checks the syntax. The error states the accepted form.
pub fn check(address: &str) -> Result<(), &'static str> {
    const FORM: &str = "must be an address such as ada@example.org";
    if address.len() > MAX {
        return Err("must have at most 254 bytes");
    }
    let (local, domain) = address.rsplit_once('@').ok_or(FORM)?;
    let plain = |c: char| !c.is_control() && !c.is_whitespace() && !"<>()[],;:\\\"@".contains(c);
    if local.is_empty() || local.len() > 64 || !local.chars().all(plain) {
        return Err(FORM);
    }
    let labels_are_valid = domain.split('.').all(|label| {
        !label.is_empty()
            && label.len() <= 63
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    });
    if labels_are_valid { Ok(()) } else { Err(FORM) }
}

/// The lookup key: two spellings of one address have the same. Ignores case in the local part too,
/// as mail providers do.
pub fn key(address: &str) -> String {
    address.to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn syntax() {
        for good in
            ["ada@example.org", "a.b+c@mail.example.co.uk", "ü@xn--bcher-kva.example", "a@b"]
        {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "ada",
            "@example.org",
            "ada@",
            "ada@-x.org",
            "ada@x..org",
            "a b@example.org",
            "a@b@example.org",
            "<ada@example.org>",
            "ada\0@example.org",
            "ada@example.org\r\nBcc: x@y",
            &format!("{}@example.org", "a".repeat(65)),
            &format!("a@{}", "a.".repeat(200)),
        ] {
            assert!(check(bad).is_err(), "{bad:?}");
        }
    }
}
