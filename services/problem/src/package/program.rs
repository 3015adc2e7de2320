//! Programs in a package: input validators and jury solutions, each a file or a directory.

use std::collections::BTreeMap;

use super::finding::Report;
use super::language::{self, Language};
use super::read::Reader;
use super::spool::Blob;
use super::tree::Tree;

/// A file of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Its path, relative to the program.
    pub path: String,
    /// Its bytes.
    pub blob: Blob,
}

/// A program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Where it is in the package.
    pub file: String,
    /// The judge's id of its language.
    pub language: &'static str,
    /// The file to start with; empty = nothing to choose.
    pub entry_point: String,
    /// Whether it is a file, not a directory.
    pub lone: bool,
    /// Its files.
    pub sources: Vec<Source>,
}

/// Files that belong to a program but do not decide its language.
const SIDE_FILES: [&str; 8] = ["h", "hpp", "hh", "hxx", "md", "txt", "in", "ans"];

/// What a package says about a program besides its files.
#[derive(Clone, Copy, Debug, Default)]
pub struct Hints<'a> {
    /// The `language` key.
    pub language: Option<&'a str>,
    /// The `entrypoint` key.
    pub entry_point: Option<&'a str>,
}

/// What follows the last point of a file's name.
pub fn extension(path: &str) -> &str {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.rsplit_once('.').map_or("", |(_, extension)| extension)
}

/// Whether a lone file beside programs is no program itself, such as a README or a header.
pub fn is_side_file(name: &str) -> bool {
    name == "README" || SIDE_FILES.contains(&extension(name)) || is_cache(name)
}

/// Whether it is what Python leaves behind beside its sources.
pub fn is_cache(path: &str) -> bool {
    extension(path) == "pyc" || path.split('/').any(|part| part == "__pycache__")
}

/// What stands where a program is expected.
#[derive(Debug)]
pub enum Found {
    /// A program.
    Program(Program),
    /// One in a language of the format that the judge does not have; the message says so.
    Unsupported(String),
    /// Something wrong, which was reported.
    Wrong,
}

/// Reads the program at `file`; a wrong or unsupported one is reported.
pub fn read(reader: &Reader<'_>, file: &str, hints: Hints<'_>) -> Option<Program> {
    match find(reader, file, hints) {
        Found::Program(program) => Some(program),
        Found::Wrong => None,
        Found::Unsupported(message) => {
            reader.report.error(file, message);
            None
        }
    }
}

/// Reads the program at `file`; a wrong one is reported.
pub fn find(reader: &Reader<'_>, file: &str, hints: Hints<'_>) -> Found {
    let report = reader.report;
    let Some(mut sources) = sources(reader, file) else { return Found::Wrong };
    let language = match hints.language {
        Some(code) => language::of_code(code).ok_or_else(|| {
            report.error(file, format!("`{code}` is not a language code of the format"));
        }),
        None => guess(file, &sources, report).ok_or(()),
    };
    let Ok(language) = language else { return Found::Wrong };
    let code = language.code;
    let Some(judge) = language.judge else {
        return Found::Unsupported(format!("the language `{code}` is not supported yet"));
    };
    if hints.language.is_some() {
        rename(language, &mut sources);
    }
    let mains: Vec<&Source> = sources.iter().filter(|s| is_of(language, s)).collect();
    if mains.is_empty() {
        report.error(file, format!("has no file of the language `{code}`"));
        return Found::Wrong;
    }
    let entry_point = match hints.entry_point {
        Some(name) => named_entry(file, &mains, name, report),
        None => Some(entry(judge, &mains)),
    };
    let Some(entry_point) = entry_point else { return Found::Wrong };
    let (file, lone) = (file.to_owned(), reader.tree.file(file).is_some());
    Found::Program(Program { file, language: judge, entry_point, lone, sources })
}

fn is_of(language: &Language, source: &Source) -> bool {
    language.extensions.contains(&extension(&source.path))
}

/// Where the package names the language, its files may have any ending; but the judge tells sources by
/// theirs. So a lone file, or all sources of other languages, get an ending of this one.
fn rename(language: &Language, sources: &mut [Source]) {
    let Some(ending) = language.extensions.first() else { return };
    if sources.iter().any(|source| is_of(language, source)) {
        return;
    }
    let alone = sources.len() == 1;
    for source in sources {
        let old = extension(&source.path);
        if alone || language::of_extension(old).is_some() {
            let base = source.path.strip_suffix(old).and_then(|base| base.strip_suffix('.'));
            source.path = format!("{}.{ending}", base.unwrap_or(&source.path));
        }
    }
}

fn sources(reader: &Reader<'_>, file: &str) -> Option<Vec<Source>> {
    let Reader { tree, report, .. } = reader;
    let mut sources = Vec::new();
    if let Some(blob) = tree.file(file) {
        let name = file.rsplit('/').next().unwrap_or(file).to_owned();
        sources.push(Source { path: name, blob: reader.with_constants(file, blob)? });
        return Some(sources);
    }
    for (path, blob) in tree.below(file) {
        let name = &path[file.len() + 1..];
        if is_cache(name) {
            continue;
        }
        if matches!(name, "build" | "run") {
            report.error(path, "programs with a `build` or `run` script are not supported yet");
            return None;
        }
        sources.push(Source { path: name.to_owned(), blob: reader.with_constants(path, blob)? });
    }
    if sources.is_empty() {
        report.error(file, "is an empty directory, where a program is expected");
        return None;
    }
    Some(sources)
}

/// The language by the endings of the files.
fn guess(file: &str, sources: &[Source], report: &Report) -> Option<&'static Language> {
    let mut codes: Vec<&str> = Vec::new();
    for source in sources {
        match language::of_extension(extension(&source.path)) {
            Some(language) if !codes.contains(&language.code) => codes.push(language.code),
            _ => {}
        }
    }
    // A script beside a program is most likely a tool of its author, as is a file of data.
    let offered = |code: &&str| language::of_code(code).is_some_and(|l| l.judge.is_some());
    if codes.iter().any(offered) {
        codes.retain(offered);
    }
    codes.sort_unstable();
    match codes.as_slice() {
        [code] => language::of_code(code),
        // C next to C++ is one C++ program.
        ["c", "cpp"] => language::of_code("cpp"),
        [] => {
            let message = match sources {
                [only] => format!("programs in `.{}` are not supported", extension(&only.path)),
                _ => "has no file of a supported language".to_owned(),
            };
            report.error(file, message);
            None
        }
        many => {
            report.error(file, format!("mixes languages ({}); name one", many.join(", ")));
            None
        }
    }
}

fn named_entry(file: &str, mains: &[&Source], name: &str, report: &Report) -> Option<String> {
    // For Java the format names the class, for others the file.
    let class = format!("{}.java", name.replace('.', "/"));
    let found = mains.iter().find(|s| s.path == name || s.path == class);
    if found.is_none() {
        report.error(file, format!("has no file for the entry point `{name}`"));
    }
    found.map(|source| source.path.clone())
}

/// The file to start with, by the format's table; empty where all files are compiled together.
fn entry(language: &str, mains: &[&Source]) -> String {
    if !matches!(language, "python3" | "java") {
        return String::new();
    }
    let defaults: &[&str] =
        if language == "java" { &["Main.java"] } else { &["__main__.py", "main.py", "main.py3"] };
    let by_name = defaults.iter().find_map(|name| mains.iter().find(|s| s.path == *name));
    let chosen = match mains {
        [only] => Some(only),
        _ => by_name.or_else(|| mains.iter().find(|source| has_main(source))),
    };
    chosen.map(|source| source.path.clone()).unwrap_or_default()
}

fn has_main(source: &Source) -> bool {
    source.blob.size < 1 << 20
        && source.blob.read().is_ok_and(|bytes| {
            let text = String::from_utf8_lossy(&bytes);
            text.contains("static void main") || text.contains("__main__")
        })
}

/// Reads the programs directly in a directory, leaving out side files.
pub fn read_all(reader: &Reader<'_>, directory: &str) -> Vec<Program> {
    let mut programs = Vec::new();
    for (name, is_directory) in reader.tree.children(directory) {
        let file = format!("{directory}/{name}");
        if is_cache(&name) {
            continue;
        }
        if !is_directory && is_side_file(&name) {
            reader.report.info(&file, "is not a program and is ignored");
        } else if !is_directory && matches!(extension(&name), "ctd" | "viva") {
            let message = "Checktestdata and VIVA validators are not supported yet";
            reader.report.error(&file, message);
        } else {
            programs.extend(read(reader, &file, Hints::default()));
        }
    }
    refuse_same_names(reader, directory, &programs);
    programs
}

/// Settings tell programs by their names, so no two may share one.
pub fn refuse_same_names<'p>(
    reader: &Reader<'_>,
    directory: &str,
    programs: impl IntoIterator<Item = &'p Program>,
) {
    let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
    for program in programs {
        let name = name(program);
        if let Some(other) = seen.insert(name, &program.file) {
            let message = format!("has the same name as {other}: both are `{name}` in {directory}");
            reader.report.error(&program.file, message);
        }
    }
}

/// A program's name: its file's base name, or its directory's name.
pub fn name(program: &Program) -> &str {
    let name = program.file.rsplit('/').next().unwrap_or(&program.file);
    if program.lone { name.rsplit_once('.').map_or(name, |(base, _)| base) } else { name }
}

/// Whether a directory of a package holds anything.
pub fn is_used(tree: &Tree, directory: &str) -> bool {
    tree.is_directory(directory) && tree.below(directory).next().is_some()
}
