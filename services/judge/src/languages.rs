//! Languages: how programs are compiled and run.
//!
//! Owns `languages.toml`, operator overrides, the commands, and the paths of compilers and interpreters. Must not know
//! whether a language works on this machine: the worker tests that.

mod command;
pub mod java;
mod toolchain;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;

pub use command::{Commands, Files, PRECOMPILED, PROGRAM_FILES};
pub use toolchain::Toolchain;

const BUILT_IN: &str = include_str!("languages.toml");

/// The definition of a language; `languages.toml` documents the fields.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Language {
    pub name: String,
    /// File extensions of sources; the first is the most common one.
    pub extensions: Vec<String>,
    /// The file name of a submission.
    pub source_name: String,
    /// How the entry point is found.
    #[serde(default)]
    pub entry: Entry,
    /// Candidate paths for each program name in commands.
    pub programs: BTreeMap<String, Vec<String>>,
    /// The command that prints the version.
    pub version: Vec<String>,
    /// The compile commands, run in sequence.
    #[serde(default)]
    pub compile: Vec<Vec<String>>,
    /// The compiled file, or a directory of them.
    pub artefacts: String,
    /// The command that runs the program.
    pub run: Vec<String>,
    /// Environment variables, also for the compiler.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Headers to precompile.
    pub precompile: Option<Precompile>,
    /// How the runtime exits when it is out of memory.
    pub out_of_memory: Option<OutOfMemory>,
    /// The limit of processes and threads.
    #[serde(default = "default_processes")]
    pub processes: u32,
    /// Multiplies the time limit of a problem.
    #[serde(default = "default_multiplier")]
    pub time_multiplier: f64,
    /// Added to the multiplied time limit.
    #[serde(default)]
    pub extra_time_ms: u64,
    /// The minimum memory limit.
    #[serde(default)]
    pub memory_floor_mib: u64,
    /// Added to the memory limit for the runtime.
    #[serde(default)]
    pub extra_memory_mib: u64,
    /// The source of a program that prints `hello`.
    pub hello: String,
    /// False removes the language.
    #[serde(default = "default_enabled")]
    pub enabled: bool,
}

/// How the entry point of a program is found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Entry {
    /// A file.
    #[default]
    File,
    /// A class. javac demands a file name for it, and the compiled classes show which one has a `main` method.
    Java,
}

/// Headers that are precompiled once per toolchain. A compiler uses the one that a source includes first.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Precompile {
    /// The headers, as a source includes them; the most useful one first.
    pub headers: Vec<String>,
    /// The command that creates `/box/header.gch` from a source that includes a header.
    pub command: Vec<String>,
}

impl Precompile {
    /// The path of a precompiled header in the include directory.
    pub fn file(header: &str) -> String {
        format!("{header}.gch")
    }
}

/// How a runtime exits when it is out of memory.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutOfMemory {
    pub exit_code: Option<i32>,
    pub signal: Option<i32>,
    /// A text that standard error must contain.
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

pub type Languages = BTreeMap<String, Language>;

/// An invalid or unreadable languages file.
#[derive(Debug, thiserror::Error)]
#[error("{file}: {reason}")]
pub struct Error {
    file: String,
    reason: String,
}

/// The built-in languages, with the changes of an operator's file.
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
        return Err("`run` and `version` must not be empty".into());
    }
    if !(0.1..=100.0).contains(&language.time_multiplier) {
        return Err("`time_multiplier` must be between 0.1 and 100".into());
    }
    if !language.artefacts.starts_with("/box/") {
        return Err("`artefacts` must be below /box".into());
    }
    let bad = |name: &str| name.is_empty() || name.contains('/') || name.starts_with('.');
    if bad(&language.source_name) {
        return Err("`source_name` must be a file name".into());
    }
    let headers = language.precompile.iter().flat_map(|precompile| &precompile.headers);
    if let Some(header) = headers.into_iter().find(|header| !is_header(header)) {
        return Err(format!("`precompile.headers`: {header} must be a relative path"));
    }
    let commands = language.compile.iter().chain([&language.run, &language.version]);
    commands.flatten().try_for_each(|word| command::check(word, language))
}

fn is_header(path: &str) -> bool {
    path.split('/').all(|part| !matches!(part, "" | "." | "..")) && !path.contains(['<', '>', '\n'])
}

/// The limits of a run in a language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub time: Duration,
    /// The memory limit of the program, in bytes.
    pub memory: u64,
    /// The memory limit including the runtime, in bytes.
    pub memory_with_runtime: u64,
}

impl Language {
    /// Adjusts the limits of a problem to this language.
    pub fn limits(&self, time: Duration, memory: u64) -> Limits {
        let time = time.mul_f64(self.time_multiplier) + Duration::from_millis(self.extra_time_ms);
        let memory = memory.max(self.memory_floor_mib << 20);
        Limits { time, memory, memory_with_runtime: memory + (self.extra_memory_mib << 20) }
    }

    /// Whether programs run from source, without compiled files.
    pub fn runs_sources(&self) -> bool {
        self.artefacts == "/box/src/"
    }

    fn has_extension(&self, path: &str) -> bool {
        let extension = Path::new(path).extension();
        self.extensions.iter().any(|known| extension == Some(known.as_ref()))
    }

    /// Whether a file name has an extension of this language, or that of its submissions.
    pub fn is_source(&self, path: &str) -> bool {
        self.has_extension(path)
            || Path::new(path).extension().is_some_and(|extension| {
                Path::new(&self.source_name).extension() == Some(extension)
            })
    }
}

/// Guesses the language of files by their extensions. Languages without extensions are never guessed.
pub fn guess<'a>(languages: &'a Languages, paths: &[&str]) -> Option<&'a str> {
    let fits = |language: &Language| paths.iter().any(|path| language.has_extension(path));
    languages.iter().find(|(_, language)| fits(language)).map(|(id, _)| id.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_languages_are_valid() {
        let languages = parse("").unwrap();
        for id in ["c17", "cpp20", "python3", "java"] {
            assert!(languages.contains_key(id), "{id}");
        }
    }

    #[test]
    fn operator_file_changes_single_keys() {
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
    fn errors_name_the_language_and_the_key() {
        for (text, expected) in [
            ("c17.colour = 1", "language c17: unknown field `colour`"),
            ("c17.run = ['{nothing}']", "language c17: {nothing} is not a known placeholder"),
            ("c17.time_multiplier = 0", "`time_multiplier` must be"),
            ("cpp20.precompile.headers = ['../x']", "`precompile.headers`: ../x must be"),
            ("c17.artefacts = '/etc'", "`artefacts` must be below /box"),
            ("x = 1", "language x"),
            ("x", ""),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn limits_are_adjusted_to_the_language() {
        let mut language = parse("").unwrap().remove("java").unwrap();
        (language.time_multiplier, language.extra_time_ms) = (2.0, 100);
        let limits = language.limits(Duration::from_secs(1), 64 << 20);
        assert_eq!(limits.time, Duration::from_millis(2100));
        assert_eq!((limits.memory, limits.memory_with_runtime), (128 << 20, 512 << 20));
        assert_eq!(language.limits(Duration::ZERO, 256 << 20).memory, 256 << 20);
    }

    #[test]
    fn language_is_guessed_by_extension() {
        let languages = parse("").unwrap();
        assert_eq!(guess(&languages, &["readme.txt", "a.cc"]), Some("cpp20"));
        assert_eq!(guess(&languages, &["a.py"]), Some("python3"));
        assert_eq!(guess(&languages, &["a.h", "Makefile"]), None);
    }
}
