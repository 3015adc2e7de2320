//! Configuration: defaults < file < `AGON_*` environment < flags. Every value knows where it came
//! from; a key that nobody reads is refused, because it is a typing error that would otherwise
//! silently change nothing.

mod layers;
mod suggest;

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use layers::Tree;

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Built in.
    Default,
    /// This file.
    File(PathBuf),
    /// This environment variable.
    Env(String),
    /// This flag.
    Flag(String),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Env(name) => f.write_str(name),
            Self::Flag(name) => f.write_str(name),
        }
    }
}

/// Why a configuration cannot be used; the text names the place and what would be right.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("cannot read {path}: {source}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not TOML.
    #[error("{path}: {source}", path = path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: Box<toml::de::Error>,
    },
    /// Nobody reads this key.
    #[error("{origin}: unknown key {key:?}{hint}")]
    UnknownKey {
        /// The place that names it.
        origin: Source,
        /// The key.
        key: String,
        /// ` (did you mean …?)`, or nothing.
        hint: String,
    },
    /// The value does not fit the key.
    #[error("{origin}: {key}: {reason}")]
    Value {
        /// The place that holds it.
        origin: Source,
        /// The key.
        key: String,
        /// What is wrong.
        reason: String,
    },
}

/// What the values are read from.
#[derive(Debug, Default)]
pub struct Sources {
    /// A file that has to exist.
    pub file: Option<PathBuf>,
    /// A file that is read when it exists and no other was named.
    pub default_file: Option<PathBuf>,
    /// The environment; only names that begin with `AGON_` are looked at.
    pub env: Vec<(String, String)>,
    /// `(flag as typed, key, value)`.
    pub flags: Vec<(String, String, String)>,
}

/// One line of `agon config`.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Dotted path.
    pub key: String,
    /// The value as TOML would write it, secrets hidden.
    pub value: String,
    /// Where it came from.
    pub source: Source,
}

/// A configuration and its story.
#[derive(Debug)]
pub struct Loaded<T> {
    /// The configuration.
    pub value: T,
    /// Every key, in order.
    pub entries: Vec<Entry>,
    /// `AGON_*` variables that no key answers to. They are no error: container platforms add
    /// variables of their own for a service that happens to be called agon.
    pub ignored_env: Vec<String>,
}

impl<T> Loaded<T> {
    /// Where `key` got its value from.
    pub fn source(&self, key: &str) -> Option<&Source> {
        self.entries.iter().find(|entry| entry.key == key).map(|entry| &entry.source)
    }
}

/// Loads a `T`, whose default names every key there is.
pub fn load<T>(sources: &Sources) -> Result<Loaded<T>, Error>
where
    T: Serialize + DeserializeOwned + Default,
{
    let defaults = serde_json::to_value(T::default()).expect("a configuration is plain data");
    let mut tree = Tree::new(&defaults);
    if let Some(path) = sources.file.clone().or_else(|| existing(sources.default_file.as_ref())) {
        let text = std::fs::read_to_string(&path)
            .map_err(|source| Error::Read { path: path.clone(), source })?;
        let table: toml::Table = toml::from_str(&text)
            .map_err(|source| Error::Syntax { path: path.clone(), source: Box::new(source) })?;
        let value = serde_json::to_value(table).expect("TOML is plain data");
        tree.add_file(&path, &value)?;
    }
    let ignored_env = tree.add_env(&sources.env)?;
    for (flag, key, value) in &sources.flags {
        tree.set_text(key, value, Source::Flag(flag.clone()))?;
    }
    Ok(Loaded { value: tree.decode::<T>(&defaults)?, entries: tree.entries(), ignored_env })
}

fn existing(path: Option<&PathBuf>) -> Option<PathBuf> {
    path.filter(|path| path.exists()).cloned()
}

/// `AGON_GRPC_LISTEN` for `grpc.listen`.
pub fn env_name(key: &str) -> String {
    format!("AGON_{}", key.replace(['.', '-'], "_").to_uppercase())
}

/// Hides what must not be shown: the values of secret keys, and passwords inside of URLs.
fn redact(key: &str, value: &Value) -> String {
    let last = key.rsplit('.').next().unwrap_or(key);
    let secret =
        ["secret", "secret_key", "password", "token"].iter().any(|word| last.ends_with(word));
    match value {
        Value::Null => "(none)".to_owned(),
        Value::String(text) if text.is_empty() => "\"\"".to_owned(),
        _ if secret => "(hidden)".to_owned(),
        Value::String(text) => format!("{:?}", without_password(text)),
        other => other.to_string(),
    }
}

fn without_password(text: &str) -> String {
    let hidden = || {
        let (scheme, rest) = text.split_once("://")?;
        let (authority, _) = rest.split_once('/').unwrap_or((rest, ""));
        let (account, _) = authority.rsplit_once('@')?;
        let (user, _) = account.split_once(':')?;
        Some(format!("{scheme}://{user}:(hidden){}", &rest[account.len()..]))
    };
    hidden().unwrap_or_else(|| text.to_owned())
}

#[cfg(test)]
mod tests;
