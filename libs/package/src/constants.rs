//! `{{name}}` in statements, programs and test group settings.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};

use crate::yaml::{Node, Value};

pub fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// Replaces `{{name}}` by the value of the constant; unknown names are left as they are.
pub fn replace(text: &str, constants: &BTreeMap<String, String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("{{") {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        // A name contains no brace, so each byte is scanned for at most one opening.
        let inner = &rest[2..];
        let in_name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.');
        let length = inner.bytes().position(|b| !in_name(b)).unwrap_or(inner.len());
        let closed = inner[length..].starts_with("}}");
        if let Some(value) = constants.get(&inner[..length]).filter(|_| closed) {
            out.push_str(value);
            rest = &inner[length + 2..];
        } else {
            out.push('{');
            rest = &rest[1..];
        }
    }
    out.push_str(rest);
    out
}

/// Reads the key `constants`. Each constant is a scalar, or a map of a `value` and its variants, which are named
/// `name.variant`. `text` is the whole file: numbers keep the spelling that they have there.
pub fn read(value: Value<'_>, text: &str) -> BTreeMap<String, String> {
    let spellings = number_spellings(text, &value.node);
    let Some(mut fields) = value.fields() else { return BTreeMap::new() };
    let mut constants = BTreeMap::new();
    for (name, value) in fields.take_all() {
        check_name(&name, &value);
        let Node::Map(_) = value.node else {
            insert(&mut constants, &spellings, name, &value);
            continue;
        };
        let Some(mut variants) = value.fields() else { continue };
        match variants.take("value") {
            Some(value) => {
                insert(&mut constants, &spellings, name.clone(), &value);
                insert(&mut constants, &spellings, format!("{name}.value"), &value);
            }
            None => variants.error("value", "is missing; the other keys are variants of it"),
        }
        for (variant, value) in variants.take_all() {
            check_name(&variant, &value);
            insert(&mut constants, &spellings, format!("{name}.{variant}"), &value);
        }
    }
    constants
}

fn check_name(name: &str, value: &Value<'_>) {
    if !is_name(name) {
        value.error("must be named by letters, digits and `_`, not starting with a digit");
    }
}

fn insert(
    constants: &mut BTreeMap<String, String>,
    spellings: &BTreeMap<String, String>,
    name: String,
    value: &Value<'_>,
) {
    let Some(text) = value.number_or_text() else { return };
    // Parsing loses the spelling of numbers only.
    let spelling = match value.node {
        Node::Int(_) | Node::Float(_) => spellings.get(&name).cloned(),
        _ => None,
    };
    constants.insert(name, spelling.unwrap_or(text));
}

/// The numbers below `constants` as the file spells them, by name. The value of a map is found by `name` and by
/// `name.value`.
fn number_spellings(text: &str, node: &Node) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    // The file was parsed before, so errors were already reported.
    let _ = serde_saphyr::with_deserializer_from_str(text, |deserializer| {
        FindConstants { node, found: &mut found }.deserialize(deserializer)
    });
    found
}

/// Finds `constants` in the whole file.
struct FindConstants<'n> {
    node: &'n Node,
    found: &'n mut BTreeMap<String, String>,
}

impl<'de> DeserializeSeed<'de> for FindConstants<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for FindConstants<'_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            if key == "constants" {
                return map
                    .next_value_seed(CollectSpellings { node: self.node, found: self.found });
            }
            map.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }
}

/// Reads numbers as texts. The first parse determined which values are numbers.
struct CollectSpellings<'n> {
    node: &'n Node,
    found: &'n mut BTreeMap<String, String>,
}

impl<'de> DeserializeSeed<'de> for CollectSpellings<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for CollectSpellings<'_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of constants")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Node::Map(entries) = self.node else { return Ok(()) };
        let nodes: BTreeMap<&str, &Node> = entries.iter().map(|(k, n)| (k.as_str(), n)).collect();
        while let Some(name) = map.next_key::<String>()? {
            match nodes.get(name.as_str()) {
                Some(Node::Int(_) | Node::Float(_)) => {
                    self.found.insert(name, map.next_value()?);
                }
                Some(inner @ Node::Map(_)) => {
                    let mut variants = BTreeMap::new();
                    map.next_value_seed(CollectSpellings { node: inner, found: &mut variants })?;
                    for (variant, text) in variants {
                        if variant == "value" {
                            self.found.insert(name.clone(), text.clone());
                        }
                        self.found.insert(format!("{name}.{variant}"), text);
                    }
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::{Finding, Report};
    use crate::yaml;

    #[test]
    fn unknown_names_are_kept() {
        let constants = BTreeMap::from([
            ("n".to_owned(), "7".to_owned()),
            ("n.tex".to_owned(), "\\seven".to_owned()),
        ]);
        let check = |text: &str, expected: &str| assert_eq!(replace(text, &constants), expected);
        check("a {{n}} b {{n}}{{m}}", "a 7 b 7{{m}}");
        check("{{n.tex}} {{n.html}} {{n.}}", "\\seven {{n.html}} {{n.}}");
        check("{{{n}}}", "{7}");
        check("{{ n }} {{n} {{", "{{ n }} {{n} {{");
        check("é{{n}}é", "é7é");
    }

    #[test]
    fn replacing_is_linear_in_the_text() {
        let text = "{{".repeat(1 << 20);
        assert_eq!(replace(&text, &BTreeMap::from([("n".to_owned(), String::new())])), text);
    }

    #[test]
    fn names_are_identifiers() {
        assert!(is_name("max_n") && is_name("_x1"));
        assert!(!is_name("") && !is_name("1x") && !is_name("a-b") && !is_name("ä"));
    }

    fn constants(text: &str) -> (BTreeMap<String, String>, Vec<String>) {
        let report = Report::default();
        let value = yaml::read("f", text, &report).and_then(|mut fields| fields.take("constants"));
        let constants = value.map(|value| read(value, text)).unwrap_or_default();
        let findings = report.into_findings().iter().map(Finding::text).collect();
        (constants, findings)
    }

    #[test]
    fn numbers_keep_their_spelling() {
        let (constants, findings) = constants(
            "x: &a {y: 1.50}\nconstants:\n  a: 1.0\n  b: 2.50\n  c: 1e5\n  d: '007'\n  e: text\n\
             \x20 f: -3\n  g: {value: 1.10, tex: '10^9', long: 1.20}\n  h: 1_000 # x\n",
        );
        assert_eq!(findings, Vec::<String>::new());
        for (name, value) in [
            ("a", "1.0"),
            ("b", "2.50"),
            ("c", "1e5"),
            ("d", "007"),
            ("e", "text"),
            ("f", "-3"),
            ("g", "1.10"),
            ("g.value", "1.10"),
            ("g.tex", "10^9"),
            ("g.long", "1.20"),
            ("h", "1_000"),
        ] {
            assert_eq!(constants[name], value, "{name}");
        }
    }

    #[test]
    fn invalid_constants_are_reported() {
        let (_, findings) = constants("constants: {a: [1], b: {tex: 1}, c: {value: 1, 1x: 2}}\n");
        let has = |part: &str| findings.iter().any(|finding| finding.contains(part));
        assert!(has("constants.a: is a sequence, must be a number or a string"), "{findings:?}");
        assert!(has("constants.b.value: is missing"), "{findings:?}");
        assert!(has("constants.c.1x: must be named"), "{findings:?}");
    }
}
