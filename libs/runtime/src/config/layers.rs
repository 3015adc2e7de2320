//! The tree of keys, to which the sources are applied in order.

use std::collections::BTreeMap;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{Entry, Error, Source, env_name, redact};

struct Leaf {
    value: Value,
    source: Source,
}

/// All keys with their values so far.
pub(super) struct Tree(BTreeMap<String, Leaf>);

impl Tree {
    /// The defaults define the keys and their types.
    pub(super) fn new(defaults: &Value) -> Self {
        let mut leaves = BTreeMap::new();
        each_leaf("", defaults, &|_| false, &mut |key, value| {
            leaves.insert(key, Leaf { value: value.clone(), source: Source::Default });
        });
        Self(leaves)
    }

    pub(super) fn add_file(&mut self, path: &Path, file: &Value) -> Result<(), Error> {
        let source = Source::File(path.to_owned());
        let mut found = Vec::new();
        let is_leaf = |key: &str| self.0.contains_key(key);
        each_leaf("", file, &is_leaf, &mut |key, value| found.push((key, value.clone())));
        for (key, value) in found {
            let old = self.leaf(&key, &source)?;
            if !is_compatible(&old.value, &value) {
                let reason = format!("expected {}, found {}", kind(&old.value), kind(&value));
                return Err(Error::Value { origin: source, key, reason });
            }
            *old = Leaf { value, source: source.clone() };
        }
        Ok(())
    }

    /// Applies the variables that match a key; returns the names of the others.
    pub(super) fn add_env(&mut self, env: &[(String, String)]) -> Result<Vec<String>, Error> {
        let keys: BTreeMap<String, String> =
            self.0.keys().map(|key| (env_name(key), key.clone())).collect();
        let mut ignored = Vec::new();
        for (name, text) in env.iter().filter(|(name, _)| name.starts_with("AGON_")) {
            match keys.get(name) {
                Some(key) => self.set_text(key, text, Source::Env(name.clone()))?,
                None => ignored.push(name.clone()),
            }
        }
        Ok(ignored)
    }

    /// Sets a value from text, which is parsed according to the type of the default.
    pub(super) fn set_text(&mut self, key: &str, text: &str, source: Source) -> Result<(), Error> {
        let leaf = self.leaf(key, &source)?;
        let value = match &leaf.value {
            Value::Bool(_) => text.parse().ok().map(Value::Bool),
            Value::Number(n) if n.is_f64() => {
                text.parse().ok().and_then(serde_json::Number::from_f64).map(Value::Number)
            }
            Value::Number(_) => text.parse::<i64>().ok().map(Value::from),
            Value::Array(_) => list(text),
            Value::Object(_) => serde_json::from_str(text).ok().filter(Value::is_object),
            _ => Some(Value::from(text)),
        };
        let Some(value) = value else {
            let form = if leaf.value.is_array() { " such as one,two" } else { "" };
            let reason = format!("expected {}{form}, found {text:?}", kind(&leaf.value));
            return Err(Error::Value { origin: source, key: key.to_owned(), reason });
        };
        *leaf = Leaf { value, source };
        Ok(())
    }

    /// Decodes the configuration. If that fails, each value is decoded on its own to find the invalid
    /// one.
    pub(super) fn decode<T: DeserializeOwned>(&self, defaults: &Value) -> Result<T, Error> {
        let mut whole = defaults.clone();
        for (key, leaf) in &self.0 {
            put(&mut whole, key, leaf.value.clone());
        }
        let error = match serde_json::from_value(whole) {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        for (key, leaf) in self.0.iter().filter(|(_, leaf)| leaf.source != Source::Default) {
            let mut one = defaults.clone();
            put(&mut one, key, leaf.value.clone());
            if let Err(error) = serde_json::from_value::<T>(one) {
                let (origin, key) = (leaf.source.clone(), key.clone());
                return Err(Error::Value { origin, key, reason: error.to_string() });
            }
        }
        let key = "(several keys)".to_owned();
        Err(Error::Value { origin: Source::Default, key, reason: error.to_string() })
    }

    pub(super) fn entries(&self) -> Vec<Entry> {
        let entry = |(key, leaf): (&String, &Leaf)| Entry {
            key: key.clone(),
            value: redact(key, &leaf.value),
            source: leaf.source.clone(),
        };
        self.0.iter().map(entry).collect()
    }

    fn leaf(&mut self, key: &str, origin: &Source) -> Result<&mut Leaf, Error> {
        if !self.0.contains_key(key) {
            let near = nearest(key, self.0.keys());
            let hint = near.map(|near| format!(" (did you mean {near:?}?)")).unwrap_or_default();
            let (origin, key) = (origin.clone(), key.to_owned());
            return Err(Error::UnknownKey { origin, key, hint });
        }
        Ok(self.0.get_mut(key).expect("checked above"))
    }
}

/// The candidate with the smallest edit distance, if it is similar enough.
fn nearest<'a>(typed: &str, candidates: impl Iterator<Item = &'a String>) -> Option<&'a String> {
    let scored = candidates.map(|candidate| (strsim::levenshtein(typed, candidate), candidate));
    scored.min().filter(|(score, _)| *score <= typed.len() / 3 + 1).map(|(_, best)| best)
}

/// Visits all values except tables, and the tables with arbitrary keys: those that are empty by
/// default, or for which `is_leaf` is true.
fn each_leaf(
    path: &str,
    value: &Value,
    is_leaf: &dyn Fn(&str) -> bool,
    visit: &mut impl FnMut(String, &Value),
) {
    match value {
        Value::Object(map) if path.is_empty() || !(map.is_empty() || is_leaf(path)) => {
            for (name, value) in map {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                each_leaf(&path, value, is_leaf, visit);
            }
        }
        leaf => visit(path.to_owned(), leaf),
    }
}

fn put(tree: &mut Value, key: &str, value: Value) {
    let mut at = tree;
    for part in key.split('.') {
        if !at.is_object() {
            *at = Value::Object(Map::new());
        }
        at = &mut at[part];
    }
    *at = value;
}

/// Comma-separated items. Empty items are invalid: they usually come from an unset variable.
fn list(text: &str) -> Option<Value> {
    if text.trim().is_empty() {
        return Some(Value::Array(Vec::new()));
    }
    let items = text.split(',').map(str::trim);
    items.map(|text| (!text.is_empty()).then(|| item(text))).collect()
}

/// An item of a list: an integer if it can be parsed as one.
fn item(text: &str) -> Value {
    text.parse::<i64>().map_or_else(|_| Value::from(text), Value::from)
}

/// An absent default (`null`) accepts every type, and a float accepts integers.
fn is_compatible(old: &Value, new: &Value) -> bool {
    old.is_null() || kind(old) == kind(new) || (old.is_f64() && new.is_i64())
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(n) if n.is_f64() => "a number",
        Value::Number(_) => "a whole number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a table",
    }
}
