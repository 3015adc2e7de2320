//! `{{name}}` in statements, programs and test group settings.

use std::collections::BTreeMap;

/// Whether a constant may be called this.
pub fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// Puts the values of constants in their places; other `{{…}}` stay.
pub fn replace(text: &str, constants: &BTreeMap<String, String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("{{") {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let value = rest[2..]
            .find("}}")
            .and_then(|end| constants.get(&rest[2..2 + end]).map(|value| (value, end + 4)));
        if let Some((value, length)) = value {
            out.push_str(value);
            rest = &rest[length..];
        } else {
            out.push('{');
            rest = &rest[1..];
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_names_only() {
        let constants = BTreeMap::from([("n".to_owned(), "7".to_owned())]);
        let check = |text: &str, expected: &str| assert_eq!(replace(text, &constants), expected);
        check("a {{n}} b {{n}}{{m}}", "a 7 b 7{{m}}");
        check("{{{n}}}", "{7}");
        check("{{ n }} {{n} {{", "{{ n }} {{n} {{");
        check("é{{n}}é", "é7é");
    }

    #[test]
    fn names() {
        assert!(is_name("max_n") && is_name("_x1"));
        assert!(!is_name("") && !is_name("1x") && !is_name("a-b") && !is_name("ä"));
    }
}
