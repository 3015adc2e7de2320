//! Strict YAML: an unknown key is an error that names file and key.

use std::collections::BTreeSet;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};

use crate::finding::{Report, Severity};

#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    /// `null` or an empty document.
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    /// In the order of the file.
    Map(Vec<(String, Node)>),
}

impl Node {
    fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Int(_) => "an integer",
            Self::Float(_) => "a float",
            Self::Text(_) => "a string",
            Self::List(_) => "a sequence",
            Self::Map(_) => "a map",
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }
    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }
    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }
    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        Node::deserialize(deserializer)
    }
    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Bool(value))
    }
    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Int(value))
    }
    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(i64::try_from(value).map_or_else(|_| Node::Text(value.to_string()), Node::Int))
    }
    fn visit_i128<E>(self, value: i128) -> Result<Node, E> {
        Ok(i64::try_from(value).map_or_else(|_| Node::Text(value.to_string()), Node::Int))
    }
    fn visit_u128<E>(self, value: u128) -> Result<Node, E> {
        Ok(i64::try_from(value).map_or_else(|_| Node::Text(value.to_string()), Node::Int))
    }
    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Float(value))
    }
    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Text(value.to_owned()))
    }
    fn visit_string<E>(self, value: String) -> Result<Node, E> {
        Ok(Node::Text(value))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(node) = seq.next_element()? {
            list.push(node);
        }
        Ok(Node::List(list))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut entries: Vec<(String, Node)> = Vec::new();
        while let Some((key, node)) = map.next_entry::<Node, Node>()? {
            let key = match key {
                Node::Text(key) => key,
                Node::Int(key) => key.to_string(),
                Node::Float(key) => key.to_string(),
                Node::Bool(key) => key.to_string(),
                other => {
                    let message = format!("{} cannot be a key", other.kind());
                    return Err(serde::de::Error::custom(message));
                }
            };
            entries.push((key, node));
        }
        Ok(Node::Map(entries))
    }
}

/// Parses a file that must be a map; errors are reported.
pub fn read<'r>(file: &str, text: &str, report: &'r Report) -> Option<Fields<'r>> {
    let options = serde_saphyr::options! { strict_booleans: true, with_snippet: false };
    match serde_saphyr::from_str_with_options::<Node>(text, options) {
        Ok(node) => Value { file: file.to_owned(), key: String::new(), node, report }.fields(),
        Err(error) => {
            report.error(file, refusal(&error));
            None
        }
    }
}

fn refusal(error: &serde_saphyr::Error) -> String {
    if let serde_saphyr::Error::Budget { .. } = error.without_snippet() {
        return "is too large, or too deeply nested".to_owned();
    }
    // The user formatter mentions no parser options.
    let message = error.render_with_formatter(&serde_saphyr::UserMessageFormatter);
    let message: String = message.chars().take(300).collect();
    format!("is not valid YAML: {message}")
}

/// The entries of a map that were not taken yet.
pub struct Fields<'r> {
    pub file: String,
    prefix: String,
    entries: Vec<(String, Node)>,
    /// Keys that were asked for, present or not.
    known: BTreeSet<String>,
    report: &'r Report,
}

impl<'r> Fields<'r> {
    /// Removes and returns the value of a key; `null` counts as absent.
    pub fn take(&mut self, key: &str) -> Option<Value<'r>> {
        self.known.insert(key.to_owned());
        let at = self.entries.iter().position(|(name, _)| name == key)?;
        let (_, node) = self.entries.remove(at);
        (node != Node::Null).then(|| self.value(key, node))
    }

    /// Removes and returns all remaining entries.
    pub fn take_all(&mut self) -> Vec<(String, Value<'r>)> {
        let entries = std::mem::take(&mut self.entries);
        entries.into_iter().map(|(key, node)| (key.clone(), self.value(&key, node))).collect()
    }

    pub fn error(&self, key: &str, message: impl Into<String>) {
        self.report.add(Severity::Error, &self.file, &self.path(key), message);
    }

    /// Whether an error about a key, or about one below it, was reported.
    pub fn has_errors_in(&self, key: &str) -> bool {
        self.report.has_errors_at(&self.file, &self.path(key))
    }

    /// Reports the remaining entries as unknown keys.
    pub fn finish(self) {
        for (key, _) in &self.entries {
            let known: Vec<&str> = self.known.iter().map(String::as_str).collect();
            self.error(key, format!("unknown key; expected one of {}", known.join(", ")));
        }
    }

    fn path(&self, key: &str) -> String {
        // Keys are untrusted input: bound their length in messages.
        let key: String = key.chars().take(80).collect();
        if self.prefix.is_empty() { key } else { format!("{}.{key}", self.prefix) }
    }

    fn value(&self, key: &str, node: Node) -> Value<'r> {
        Value { file: self.file.clone(), key: self.path(key), node, report: self.report }
    }
}

/// A value with its file and key.
#[derive(Clone)]
pub struct Value<'r> {
    file: String,
    key: String,
    pub node: Node,
    report: &'r Report,
}

impl<'r> Value<'r> {
    pub fn error(&self, message: impl Into<String>) {
        self.report.add(Severity::Error, &self.file, &self.key, message);
    }

    pub fn warn(&self, message: impl Into<String>) {
        self.report.add(Severity::Warning, &self.file, &self.key, message);
    }

    fn type_error<T>(&self, expected: &str) -> Option<T> {
        self.error(format!("is {}, must be {expected}", self.node.kind()));
        None
    }

    /// A non-empty string.
    pub fn text(&self) -> Option<String> {
        match &self.node {
            Node::Text(text) if text.len() > 10_000 => self.type_error("shorter"),
            Node::Text(text) if !text.trim().is_empty() => Some(text.clone()),
            Node::Text(_) => {
                self.error("is empty; it must be a non-empty string");
                None
            }
            Node::Int(_) | Node::Float(_) => self.type_error("a string; put it in quotes"),
            _ => self.type_error("a string"),
        }
    }

    pub fn bool(&self) -> Option<bool> {
        match self.node {
            Node::Bool(value) => Some(value),
            _ => self.type_error("true or false"),
        }
    }

    /// An integer from `min` to `max`.
    pub fn int(&self, min: i64, max: i64) -> Option<i64> {
        match self.node {
            Node::Int(value) if (min..=max).contains(&value) => Some(value),
            Node::Int(value) if value > max => {
                self.error(format!("{value} exceeds the maximum of this server ({max})"));
                None
            }
            Node::Int(value) => {
                self.error(format!("{value} is less than {min}"));
                None
            }
            _ => self.type_error("an integer"),
        }
    }

    /// A finite number.
    #[expect(clippy::cast_precision_loss, reason = "limits are far below 2^53")]
    pub fn float(&self) -> Option<f64> {
        match self.node {
            Node::Float(value) if value.is_finite() => Some(value),
            Node::Int(value) => Some(value as f64),
            _ => self.type_error("a number"),
        }
    }

    pub fn list(self) -> Option<Vec<Value<'r>>> {
        let Self { file, key, node, report } = self;
        match node {
            Node::List(nodes) => {
                let value = |(i, node)| {
                    let (file, key) = (file.clone(), format!("{key}[{i}]"));
                    Value { file, key, node, report }
                };
                Some(nodes.into_iter().enumerate().map(value).collect())
            }
            node => Value { file, key, node, report }.type_error("a sequence"),
        }
    }

    /// A sequence of strings or numbers, as texts.
    pub fn texts(self) -> Option<Vec<String>> {
        // Every element is checked, so that all mistakes are reported.
        let texts: Vec<Option<String>> = self.list()?.iter().map(Value::scalar).collect();
        texts.into_iter().collect()
    }

    /// A string or number, as text. The error asks for a string.
    pub fn scalar(&self) -> Option<String> {
        match &self.node {
            Node::Text(text) => Some(text.clone()),
            Node::Int(value) => Some(value.to_string()),
            Node::Float(value) => Some(value.to_string()),
            _ => self.type_error("a string"),
        }
    }

    /// A string or number, as text. The error asks for either.
    pub fn number_or_text(&self) -> Option<String> {
        match &self.node {
            Node::Text(_) | Node::Int(_) | Node::Float(_) => self.scalar(),
            _ => self.type_error("a number or a string"),
        }
    }

    /// One value, or a non-empty sequence of them.
    pub fn one_or_many(self) -> Vec<Value<'r>> {
        match &self.node {
            Node::List(list) if list.is_empty() => {
                self.error("is an empty sequence");
                Vec::new()
            }
            Node::List(_) => self.list().unwrap_or_default(),
            _ => vec![self],
        }
    }

    /// A map; an empty document is an empty map.
    pub fn fields(self) -> Option<Fields<'r>> {
        let entries = match self.node {
            Node::Map(entries) => entries,
            Node::Null if self.key.is_empty() => Vec::new(),
            _ => return self.type_error("a map"),
        };
        let Self { file, key: prefix, report, .. } = self;
        Some(Fields { file, prefix, entries, known: BTreeSet::new(), report })
    }
}
