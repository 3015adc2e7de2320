//! Programs of a package: input validators and jury solutions, each a file or a directory.

use std::collections::BTreeMap;

use crate::language::{self, Language};
use crate::reader::Reader;
use crate::spool::Blob;
use crate::tree::Tree;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Path relative to the program.
    pub path: String,
    pub blob: Blob,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    pub file: String,
    /// Id of the language in the judge.
    pub language: &'static str,
    /// Source file that is run; empty for the default of the judge.
    pub entry_point: String,
    /// Whether it is a single file, not a directory.
    pub is_file: bool,
    pub sources: Vec<Source>,
}

impl Program {
    /// The file name without extension, or the name of the directory.
    pub fn name(&self) -> &str {
        let name = self.file.rsplit('/').next().unwrap_or(&self.file);
        if self.is_file { name.rsplit_once('.').map_or(name, |(base, _)| base) } else { name }
    }
}

/// Extensions that do not determine the language of a program.
const SIDE_FILES: [&str; 8] = ["h", "hpp", "hh", "hxx", "md", "txt", "in", "ans"];

/// Settings of `submissions.yaml` for a program.
#[derive(Clone, Copy, Debug, Default)]
pub struct Hints<'a> {
    pub language: Option<&'a str>,
    pub entry_point: Option<&'a str>,
}

/// The extension of the file name, without the dot; may be empty.
pub fn extension(path: &str) -> &str {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.rsplit_once('.').map_or("", |(_, extension)| extension)
}

/// Whether a file next to programs is not a program, such as a README or a header.
pub fn is_side_file(name: &str) -> bool {
    name == "README" || SIDE_FILES.contains(&extension(name)) || is_python_cache(name)
}

/// Whether Python generated the file.
pub fn is_python_cache(path: &str) -> bool {
    extension(path) == "pyc" || path.split('/').any(|part| part == "__pycache__")
}

#[derive(Debug)]
pub enum Found {
    Program(Program),
    /// Its language is not offered or cannot be determined; the message says which.
    Unsupported(String, Vec<Source>),
    /// Already reported.
    Invalid,
}

/// Reads the program at `file`; an invalid one is reported.
pub fn find(reader: &Reader<'_>, file: &str, hints: Hints<'_>) -> Found {
    let report = reader.report;
    let Some(mut sources) = sources(reader, file) else { return Found::Invalid };
    let language = match hints.language {
        Some(code) => language::by_code(code).ok_or_else(|| {
            let message = format!("`{code}` is not a language code of the format, such as `cpp`");
            report.error(file, message);
            Found::Invalid
        }),
        None => detect_language(reader, file, &sources),
    };
    let language = match language {
        Ok(language) => language,
        Err(Found::Unsupported(message, _)) => return Found::Unsupported(message, sources),
        Err(other) => return other,
    };
    let code = language.code;
    if !reader.languages.offers(language) {
        return Found::Unsupported(format!("the language `{code}` is not offered"), sources);
    }
    if hints.language.is_some() {
        fix_extensions(language, &mut sources);
    }
    let mains: Vec<&Source> = sources.iter().filter(|s| is_of(language, s)).collect();
    if mains.is_empty() {
        reader.missing(file, &format!("has no file of the language `{code}`"));
        return Found::Invalid;
    }
    let entry_point = match hints.entry_point {
        Some(name) => entry_point_file(reader, file, &mains, name),
        None => Some(default_entry_point(code, &mains)),
    };
    let Some(entry_point) = entry_point else { return Found::Invalid };
    let (file, is_file) = (file.to_owned(), reader.tree.file(file).is_some());
    Found::Program(Program { file, language: language.judge_id, entry_point, is_file, sources })
}

fn is_of(language: &Language, source: &Source) -> bool {
    language.extensions.contains(&extension(&source.path))
}

/// With an explicit language, files may have any extension, but the judge selects sources by extension. Renames a single
/// file, or all sources of other languages, to an extension of this language.
fn fix_extensions(language: &Language, sources: &mut [Source]) {
    let Some(new) = language.extensions.first() else { return };
    if sources.iter().any(|source| is_of(language, source)) {
        return;
    }
    let alone = sources.len() == 1;
    for source in sources {
        let old = extension(&source.path);
        if alone || language::by_extension(old).is_some() {
            let base = source.path.strip_suffix(old).and_then(|base| base.strip_suffix('.'));
            source.path = format!("{}.{new}", base.unwrap_or(&source.path));
        }
    }
}

fn sources(reader: &Reader<'_>, file: &str) -> Option<Vec<Source>> {
    let tree = reader.tree;
    let mut sources = Vec::new();
    if let Some(blob) = tree.file(file) {
        let name = file.rsplit('/').next().unwrap_or(file).to_owned();
        sources.push(Source { path: name, blob: reader.with_constants(file, blob)? });
        return Some(sources);
    }
    for (path, blob) in tree.below(file) {
        let name = &path[file.len() + 1..];
        if is_python_cache(name) {
            continue;
        }
        sources.push(Source { path: name.to_owned(), blob: reader.with_constants(path, blob)? });
    }
    if sources.is_empty() {
        reader.missing(file, "is an empty directory; a program is expected");
        return None;
    }
    Some(sources)
}

/// Determines the language by the extensions of the files.
fn detect_language(
    reader: &Reader<'_>,
    file: &str,
    sources: &[Source],
) -> Result<&'static Language, Found> {
    let found = sources.iter().filter_map(|s| language::by_extension(extension(&s.path)));
    let mut codes: Vec<&str> = found.map(|language| language.code).collect();
    codes.sort_unstable();
    codes.dedup();
    // Shell scripts next to a program are most likely tools of its author.
    if codes.len() > 1 {
        codes.retain(|code| *code != "bash");
    }
    let by_code = |code| language::by_code(code).ok_or(Found::Invalid);
    match codes.as_slice() {
        [code] => by_code(code),
        // C and C++ sources form one C++ program.
        ["c", "cpp"] => by_code("cpp"),
        [] => {
            let ending = match sources {
                [only] if extension(&only.path).is_empty() => "its name is".to_owned(),
                [only] => format!("its ending `.{}` is", extension(&only.path)),
                _ => "the endings of its files are".to_owned(),
            };
            let message = format!("{ending} not of a language of the format");
            Err(Found::Unsupported(message, Vec::new()))
        }
        many => {
            let message = format!(
                "mixes languages ({}); use only one, or set `language` in submissions.yaml",
                many.join(", ")
            );
            let offered = |code: &&str| {
                language::by_code(code).is_some_and(|language| reader.languages.offers(language))
            };
            if !many.iter().all(offered) {
                return Err(Found::Unsupported(format!("it {message}"), Vec::new()));
            }
            reader.report.error(file, message);
            Err(Found::Invalid)
        }
    }
}

fn entry_point_file(
    reader: &Reader<'_>,
    file: &str,
    mains: &[&Source],
    name: &str,
) -> Option<String> {
    // The entry point is a class in Java and a file otherwise.
    let class = format!("{}.java", name.replace('.', "/"));
    let found = mains.iter().find(|s| s.path == name || s.path == class);
    if found.is_none() {
        reader.missing(file, &format!("has no file for the entry point `{name}`"));
    }
    found.map(|source| source.path.clone())
}

/// The default entry point of the format for a language code; empty for languages that compile all files into one
/// program, and if the judge finds it (for Java among the compiled classes).
fn default_entry_point(code: &str, mains: &[&Source]) -> String {
    let defaults: &[&str] = match code {
        "java" => &["Main.java"],
        "javascript" => &["main.js"],
        "python3" => &["__main__.py", "main.py", "main.py3"],
        _ => return String::new(),
    };
    let by_name = defaults.iter().find_map(|name| mains.iter().find(|s| s.path == *name));
    let chosen = match mains {
        [only] => Some(only),
        _ => by_name.or_else(|| mains.iter().find(|source| code == "python3" && has_main(source))),
    };
    chosen.map(|source| source.path.clone()).unwrap_or_default()
}

fn has_main(source: &Source) -> bool {
    source.blob.size < 1 << 20
        && source
            .blob
            .read()
            .is_ok_and(|bytes| String::from_utf8_lossy(&bytes).contains("__main__"))
}

/// Reads the programs directly in a directory; side files are ignored.
pub fn read_all(reader: &Reader<'_>, directory: &str) -> Vec<Program> {
    let mut programs = Vec::new();
    for (name, is_directory) in reader.tree.children(directory) {
        let file = format!("{directory}/{name}");
        if is_python_cache(&name) {
            continue;
        }
        if !is_directory && is_side_file(&name) {
            reader.report.info(&file, "is not a program and is ignored");
        } else if !is_directory && matches!(extension(&name), "ctd" | "viva") {
            let message = "Checktestdata and VIVA validators are not supported yet";
            reader.report.error(&file, message);
        } else if !report_scripts(reader, &file) {
            match find(reader, &file, Hints::default()) {
                Found::Program(program) => programs.push(program),
                Found::Unsupported(message, _) => {
                    let codes = reader.languages.codes();
                    let message = format!("cannot be run: {message}; use one of {codes}");
                    reader.report.error(&file, message);
                }
                Found::Invalid => {}
            }
        }
    }
    report_same_names(reader, directory, &programs);
    programs
}

/// Reports `build` and `run` scripts of a program that is not a solution; false if there are none.
fn report_scripts(reader: &Reader<'_>, directory: &str) -> bool {
    let scripts = ["build", "run"].map(|name| format!("{directory}/{name}"));
    let mut found = false;
    for script in scripts.iter().filter(|script| reader.tree.file(script).is_some()) {
        let message =
            "`build` and `run` scripts are not supported yet; use a program in one language";
        reader.report.error(script, message);
        found = true;
    }
    found
}

/// Settings refer to programs by name, so names must be unique.
fn report_same_names(reader: &Reader<'_>, directory: &str, programs: &[Program]) {
    let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
    for program in programs {
        let name = program.name();
        if let Some(other) = seen.insert(name, &program.file) {
            let message = format!("has the same name as {other}: both are `{name}` in {directory}");
            reader.report.error(&program.file, message);
        }
    }
}

pub fn has_files(tree: &Tree, directory: &str) -> bool {
    tree.is_directory(directory) && tree.below(directory).next().is_some()
}
