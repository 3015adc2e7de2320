//! Configuration: defaults < file < `AGON_*` environment < flags. Each value has a source. Unknown keys
//! are errors, because a misspelt key would have no effect.

mod layers;

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use layers::Tree;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    Default,
    File(PathBuf),
    /// The name of an environment variable.
    Env(String),
    /// The flag as typed.
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

/// The configuration is invalid. Messages name the source and what is expected.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot read {path}: {source}", path = path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{path}: {source}", path = path.display())]
    Syntax { path: PathBuf, source: Box<toml::de::Error> },
    /// `hint` is empty or ` (did you mean …?)`.
    #[error("{origin}: unknown key {key:?}{hint}")]
    UnknownKey { origin: Source, key: String, hint: String },
    #[error("{origin}: {key}: {reason}")]
    Value { origin: Source, key: String, reason: String },
}

#[derive(Debug, Default)]
pub struct Sources {
    /// A file that must exist.
    pub file: Option<PathBuf>,
    /// A file that is read if it exists and `file` is not set.
    pub default_file: Option<PathBuf>,
    /// The environment; only names that begin with `AGON_` are read.
    pub env: Vec<(String, String)>,
    /// `(flag as typed, key, value)`.
    pub flags: Vec<(String, String, String)>,
}

/// One line of `agon config`.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Dotted path.
    pub key: String,
    /// The value in TOML syntax, with secrets hidden.
    pub value: String,
    pub source: Source,
}

/// A configuration with the sources of its values.
#[derive(Debug)]
pub struct Loaded<T> {
    pub value: T,
    /// All keys, sorted.
    pub entries: Vec<Entry>,
    /// `AGON_*` variables that match no key. These are not errors, because container platforms set such
    /// variables for a service named agon.
    pub ignored_env: Vec<String>,
}

impl<T> Loaded<T> {
    pub fn source(&self, key: &str) -> Option<&Source> {
        self.entries.iter().find(|entry| entry.key == key).map(|entry| &entry.source)
    }
}

/// Loads a `T`. Its default defines the keys and their types.
pub fn load<T>(sources: &Sources) -> Result<Loaded<T>, Error>
where
    T: Serialize + DeserializeOwned + Default,
{
    let defaults = serde_json::to_value(T::default()).expect("configurations are serializable");
    let mut tree = Tree::new(&defaults);
    let default_file = sources.default_file.as_ref().filter(|path| path.exists());
    if let Some(path) = sources.file.as_ref().or(default_file) {
        let text = std::fs::read_to_string(path)
            .map_err(|source| Error::Read { path: path.clone(), source })?;
        let table: toml::Table = toml::from_str(&text)
            .map_err(|source| Error::Syntax { path: path.clone(), source: Box::new(source) })?;
        let value = serde_json::to_value(table).expect("TOML values are serializable");
        tree.add_file(path, &value)?;
    }
    let ignored_env = tree.add_env(&sources.env)?;
    for (flag, key, value) in &sources.flags {
        tree.set_text(key, value, Source::Flag(flag.clone()))?;
    }
    Ok(Loaded { value: tree.decode::<T>(&defaults)?, entries: tree.entries(), ignored_env })
}

/// The environment variable of a key: `AGON_GRPC_LISTEN` for `grpc.listen`.
pub fn env_name(key: &str) -> String {
    format!("AGON_{}", key.replace(['.', '-'], "_").to_uppercase())
}

/// Hides the values of secret keys and the passwords in URLs.
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
