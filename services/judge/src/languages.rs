//! Languages: how their programs are compiled and run.
//!
//! Owns `languages.toml` and what an operator changes of it, the commands, and where the real
//! programs are. Whether a language works on this machine is tried by the worker.

mod command;
mod java;
mod toolchain;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;

pub use command::{Commands, Files, PRECOMPILED};
pub use toolchain::Toolchain;

/// What comes with Agon.
const BUILT_IN: &str = include_str!("languages.toml");

/// A language as it is configured; the file explains the fields.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Language {
    /// For people.
    pub name: String,
    /// Of source files; the first is the usual one.
    pub extensions: Vec<String>,
    /// What a submitted file is called.
    pub source_name: String,
    /// How the main program is found.
    #[serde(default)]
    pub entry: Entry,
    /// Candidates for each program that commands name.
    pub programs: BTreeMap<String, Vec<String>>,
    /// Prints the version.
    pub version: Vec<String>,
    /// Run one after another.
    #[serde(default)]
    pub compile: Vec<Vec<String>>,
    /// A file or a directory.
    pub artefacts: String,
    /// Runs one test.
    pub run: Vec<String>,
    /// Environment variables, also for the compiler.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// A header to compile beforehand.
    pub precompile: Option<Precompile>,
    /// How the runtime ends without memory.
    pub out_of_memory: Option<OutOfMemory>,
    /// Processes and threads of a run.
    #[serde(default = "default_processes")]
    pub processes: u32,
    /// On a problem's time limit.
    #[serde(default = "default_multiplier")]
    pub time_multiplier: f64,
    /// On top of it.
    #[serde(default)]
    pub extra_time_ms: u64,
    /// Lower memory limits are raised to this.
    #[serde(default)]
    pub memory_floor_mib: u64,
    /// For the runtime, on top of the limit.
    #[serde(default)]
    pub extra_memory_mib: u64,
    /// A program that prints `hello`.
    pub hello: String,
    /// False takes the language away.
    #[serde(default = "default_enabled")]
    pub enabled: bool,
}

/// How the main program is found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Entry {
    /// It is a file.
    #[default]
    File,
    /// It is a class, which also names its file.
    Java,
}

/// A header that is compiled once for a toolchain.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Precompile {
    /// Where compilers look for it, below the include directory.
    pub file: String,
    /// Makes `/box/header.gch`.
    pub command: Vec<String>,
    /// What to compile.
    pub source: String,
}

/// How a runtime ends without memory.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutOfMemory {
    /// With this code,
    pub exit_code: Option<i32>,
    /// or by this signal,
    pub signal: Option<i32>,
    /// and this in standard error.
    pub stderr: String,
}

fn default_processes() -> u32 {
    64
}

fn default_multiplier() -> f64 {
    1.0
}

fn default_enabled() -> bool {
    true
}

/// All configured languages, by id.
pub type Languages = BTreeMap<String, Language>;

/// Why a file of languages cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{file}: {reason}")]
pub struct Error {
    file: String,
    reason: String,
}

/// The languages that come with Agon, changed by an operator's file.
pub fn load(file: Option<&Path>) -> Result<Languages, Error> {
    let changes = file.map(|path| {
        let text = std::fs::read_to_string(path);
        text.map_err(|error| Error { file: path.display().to_string(), reason: error.to_string() })
    });
    let changes = changes.transpose()?.unwrap_or_default();
    let name = file.map_or_else(|| "languages.toml".to_owned(), |path| path.display().to_string());
    parse(&changes).map_err(|reason| Error { file: name, reason })
}

fn parse(changes: &str) -> Result<Languages, String> {
    let mut all: toml::Table = BUILT_IN.parse().map_err(|e: toml::de::Error| e.to_string())?;
    let changes: toml::Table = changes.parse().map_err(|e: toml::de::Error| e.to_string())?;
    merge(&mut all, changes);
    let mut languages = Languages::new();
    for (id, value) in all {
        let language: Language =
            value.try_into().map_err(|e: toml::de::Error| format!("language {id}: {e}"))?;
        check(&language).map_err(|reason| format!("language {id}: {reason}"))?;
        if language.enabled {
            languages.insert(id, language);
        }
    }
    Ok(languages)
}

fn merge(into: &mut toml::Table, changes: toml::Table) {
    for (key, change) in changes {
        match (into.get_mut(&key), change) {
            (Some(toml::Value::Table(into)), toml::Value::Table(change)) => merge(into, change),
            (_, change) => drop(into.insert(key, change)),
        }
    }
}

fn check(language: &Language) -> Result<(), String> {
    if language.run.is_empty() || language.version.is_empty() {
        return Err("`run` and `version` need a command".into());
    }
    if !(0.1..=100.0).contains(&language.time_multiplier) {
        return Err("`time_multiplier` must be from 0.1 to 100".into());
    }
    if !language.artefacts.starts_with("/box/") {
        return Err("`artefacts` must be below /box".into());
    }
    let bad = |name: &str| name.is_empty() || name.contains('/') || name.starts_with('.');
    if bad(&language.source_name) {
        return Err("`source_name` must be a file name".into());
    }
    let commands = language.compile.iter().chain([&language.run, &language.version]);
    commands.flatten().try_for_each(|word| command::check(word, language))
}

/// The limits of a run in a language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// CPU time.
    pub time: Duration,
    /// Memory that the program may use.
    pub memory: u64,
    /// Memory with the runtime's own.
    pub memory_with_runtime: u64,
}

impl Language {
    /// A problem's limits for this language.
    pub fn limits(&self, time: Duration, memory: u64) -> Limits {
        let time = time.mul_f64(self.time_multiplier) + Duration::from_millis(self.extra_time_ms);
        let memory = memory.max(self.memory_floor_mib << 20);
        Limits { time, memory, memory_with_runtime: memory + (self.extra_memory_mib << 20) }
    }

    /// Whether a file of this name is a source of this language.
    pub fn is_source(&self, path: &str) -> bool {
        let own = Path::new(&self.source_name).extension();
        let extension = Path::new(path).extension().and_then(|text| text.to_str());
        extension.is_some_and(|text| {
            self.extensions.iter().any(|known| known == text) || own.is_some_and(|own| own == text)
        })
    }
}

/// The language of a set of files, by their extensions; languages without extensions are never
/// guessed.
pub fn guess<'a>(languages: &'a Languages, paths: &[&str]) -> Option<&'a str> {
    let fits = |language: &&Language| {
        let has = |path: &&str| {
            let extension = Path::new(path).extension().and_then(|text| text.to_str());
            extension.is_some_and(|text| language.extensions.iter().any(|known| known == text))
        };
        paths.iter().any(has)
    };
    languages.iter().find(|(_, language)| fits(language)).map(|(id, _)| id.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_file_is_right() {
        let languages = parse("").unwrap();
        for id in ["c17", "cpp20", "python3", "java"] {
            assert!(languages.contains_key(id), "{id}");
        }
    }

    #[test]
    fn operators_change_single_keys() {
        let languages = parse(
            "python3.time_multiplier = 2.5\njava.enabled = false\n\
             [cpp23]\nname = 'C++23'\nextensions = []\nsource_name = 'main.cpp'\n\
             programs.cxx = ['g++']\nversion = ['{cxx}']\nartefacts = '/box/main'\n\
             run = ['/app/main']\nhello = ''\n",
        )
        .unwrap();
        assert_eq!(languages["python3"].time_multiplier, 2.5);
        assert_eq!(languages["python3"].name, "Python 3");
        assert!(!languages.contains_key("java") && languages.contains_key("cpp23"));
    }

    #[test]
    fn errors_name_language_and_key() {
        for (text, expected) in [
            ("c17.colour = 1", "language c17: unknown field `colour`"),
            ("c17.run = ['{nothing}']", "language c17: {nothing} means nothing"),
            ("c17.time_multiplier = 0", "`time_multiplier` must be"),
            ("c17.artefacts = '/etc'", "`artefacts` must be below /box"),
            ("x = 1", "language x"),
            ("x", ""),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn limits_of_a_language() {
        let mut language = parse("").unwrap().remove("java").unwrap();
        (language.time_multiplier, language.extra_time_ms) = (2.0, 100);
        let limits = language.limits(Duration::from_secs(1), 64 << 20);
        assert_eq!(limits.time, Duration::from_millis(2100));
        assert_eq!((limits.memory, limits.memory_with_runtime), (128 << 20, 512 << 20));
        assert_eq!(language.limits(Duration::ZERO, 256 << 20).memory, 256 << 20);
    }

    #[test]
    fn languages_by_extension() {
        let languages = parse("").unwrap();
        assert_eq!(guess(&languages, &["readme.txt", "a.cc"]), Some("cpp20"));
        assert_eq!(guess(&languages, &["a.py"]), Some("python3"));
        assert_eq!(guess(&languages, &["a.h", "Makefile"]), None);
    }
}
