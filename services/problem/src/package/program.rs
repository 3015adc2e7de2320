//! Programs in a package: input validators and jury solutions, each a file or a directory.

use super::finding::Report;
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
    /// Its files.
    pub sources: Vec<Source>,
}

/// The format's language codes, with the judge's id where the judge has the language.
const LANGUAGES: [(&str, Option<&str>, &[&str]); 14] = [
    ("c", Some("c17"), &["c"]),
    ("cpp", Some("cpp20"), &["cc", "cpp", "cxx", "c++", "C"]),
    ("python3", Some("python3"), &["py", "py3"]),
    ("java", Some("java"), &["java"]),
    ("python2", None, &["py2"]),
    ("kotlin", None, &["kt"]),
    ("javascript", None, &["js"]),
    ("rust", None, &["rs"]),
    ("go", None, &["go"]),
    ("haskell", None, &["hs"]),
    ("csharp", None, &["cs"]),
    ("php", None, &["php"]),
    ("ruby", None, &["rb"]),
    ("pascal", None, &["pas"]),
];

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

fn extension(path: &str) -> &str {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.rsplit_once('.').map_or("", |(_, extension)| extension)
}

/// Whether a lone file beside programs is no program itself, such as a README or a header.
pub fn is_side_file(name: &str) -> bool {
    name == "README" || SIDE_FILES.contains(&extension(name))
}

/// Reads the program at `file`; a wrong or unsupported one is reported.
pub fn read(reader: &Reader<'_>, file: &str, hints: Hints<'_>) -> Option<Program> {
    let sources = sources(reader, file)?;
    let report = reader.report;
    let code = match hints.language {
        Some(code) => code.to_owned(),
        None => guess(file, &sources, report)?,
    };
    let known = LANGUAGES.iter().find(|(known, ..)| *known == code);
    let Some((_, Some(language), extensions)) = known else {
        report.error(file, format!("the language `{code}` is not supported yet"));
        return None;
    };
    let mains: Vec<&Source> =
        sources.iter().filter(|s| extensions.contains(&extension(&s.path))).collect();
    if mains.is_empty() {
        report.error(file, format!("has no file of the language `{code}`"));
        return None;
    }
    let entry_point = match hints.entry_point {
        Some(name) => named_entry(file, &mains, name, report)?,
        None => entry(language, &mains),
    };
    Some(Program { file: file.to_owned(), language, entry_point, sources })
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

fn guess(file: &str, sources: &[Source], report: &Report) -> Option<String> {
    let mut codes: Vec<&str> = Vec::new();
    for source in sources {
        let extension = extension(&source.path);
        let known = LANGUAGES.iter().find(|(_, _, extensions)| extensions.contains(&extension));
        match known {
            Some((code, ..)) if !codes.contains(code) => codes.push(code),
            Some(_) => {}
            // A program may bring data, but a lone file must be the program.
            None if sources.len() > 1 => {}
            None => {
                report.error(file, format!("programs in `.{extension}` are not supported yet"));
                return None;
            }
        }
    }
    match codes.as_slice() {
        [code] => Some((*code).to_owned()),
        // C next to C++ is one C++ program.
        ["c", "cpp"] | ["cpp", "c"] => Some("cpp".to_owned()),
        [] => {
            report.error(file, "has no file of a supported language");
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
        if !is_directory && is_side_file(&name) {
            reader.report.info(&file, "is not a program and is ignored");
        } else if !is_directory && matches!(extension(&name), "ctd" | "viva") {
            let message = "Checktestdata and VIVA validators are not supported yet";
            reader.report.error(&file, message);
        } else {
            programs.extend(read(reader, &file, Hints::default()));
        }
    }
    programs
}

/// Whether a directory of a package holds anything.
pub fn is_used(tree: &Tree, directory: &str) -> bool {
    tree.is_directory(directory) && tree.below(directory).next().is_some()
}
