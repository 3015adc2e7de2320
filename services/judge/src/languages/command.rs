//! Commands: replaces the placeholders in the commands of `languages.toml`.

use super::{Entry, Language, Toolchain};

/// The mount point of precompiled headers in the sandbox.
pub const PRECOMPILED: &str = "/precompiled";
/// The directory below `/app` with the files of a compiled program. No class can have such a package.
pub const PROGRAM_FILES: &str = "program-files";

/// The source files of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// Relative paths without `..`, and contents; sorted by path.
    pub files: Vec<(String, Vec<u8>)>,
    /// The main file; may be empty for Java.
    pub main: String,
}

impl Files {
    /// The file of a submission, named as the language requires.
    pub fn single(language: &Language, source: Vec<u8>) -> Files {
        let name = language.source_name.clone();
        Files { files: vec![(name.clone(), source)], main: name }
    }

    /// The files of a program in a package. `entry_point` names a file or class; empty means the only source, or the
    /// one named `main`.
    pub fn many(
        language: &Language,
        mut files: Vec<(String, Vec<u8>)>,
        entry_point: &str,
    ) -> Result<Files, String> {
        files.sort();
        let sources: Vec<&(String, Vec<u8>)> =
            files.iter().filter(|(path, _)| language.is_source(path)).collect();
        let named = |path: &str| path == entry_point || stem(path) == entry_point;
        let main = match sources.as_slice() {
            [] => return Err(format!("no file has an extension of {}", language.name)),
            _ if !entry_point.is_empty() => sources.iter().find(|(path, _)| named(path)),
            [only] => Some(only),
            many => many.iter().find(|(path, _)| stem(path).eq_ignore_ascii_case("main")),
        };
        let main = match main {
            Some((main, _)) => main.clone(),
            // The compiled classes will show which one is the main class.
            None if entry_point.is_empty() && language.entry == Entry::Java => String::new(),
            None if entry_point.is_empty() => {
                return Err("there are several source files, but none is named `main`".into());
            }
            None => return Err(format!("the entry point {entry_point} is not a source file")),
        };
        Ok(Files { main, files })
    }

    /// Whether the program has files besides its only source.
    pub fn are_several(&self) -> bool {
        self.files.len() > 1
    }

    /// The directory in the sandbox that holds these files while the program runs.
    pub fn directory(&self, language: &Language) -> String {
        match self.are_several() && !language.runs_sources() {
            true => format!("/app/{PROGRAM_FILES}"),
            false => "/app".to_owned(),
        }
    }

    fn sources<'a>(&'a self, language: &'a Language) -> impl Iterator<Item = &'a str> {
        let paths = self.files.iter().map(|(path, _)| path.as_str());
        paths.filter(|path| language.is_source(path))
    }
}

fn stem(path: &str) -> &str {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.rsplit_once('.').map_or(name, |(stem, _)| stem)
}

/// Fills in the commands of a language for a program.
#[derive(Clone, Copy, Debug)]
pub struct Commands<'a> {
    pub language: &'a Language,
    pub toolchain: &'a Toolchain,
    pub files: &'a Files,
    /// The main class, if the language has classes and the program is compiled.
    pub class: &'a str,
}

impl Commands<'_> {
    /// Fills in a command. `memory` is the memory limit in bytes.
    pub fn fill(&self, words: &[String], memory: u64, precompiled: bool) -> Vec<String> {
        let mut filled = Vec::new();
        for word in words {
            match word.as_str() {
                "{sources}" => {
                    // A file name must not be parsed as an option.
                    let safe = |path: &str| match path.starts_with('-') {
                        true => format!("./{path}"),
                        false => path.to_owned(),
                    };
                    filled.extend(self.files.sources(self.language).map(safe));
                }
                "{precompiled}" if precompiled => filled.push(format!("-I{PRECOMPILED}")),
                "{precompiled}" => {}
                word => filled.push(self.word(word, memory)),
            }
        }
        filled
    }

    fn word(&self, word: &str, memory: u64) -> String {
        let mut text = word
            .replace("{main}", &self.files.main)
            .replace("{class}", self.class)
            .replace("{memory_mib}", &(memory >> 20).to_string());
        for (name, path) in self.toolchain.programs() {
            text = text.replace(&format!("{{{name}}}"), path);
        }
        text
    }
}

/// Rejects unknown placeholders.
pub(super) fn check(word: &str, language: &Language) -> Result<(), String> {
    let Some((_, rest)) = word.split_once('{') else { return Ok(()) };
    let Some((name, rest)) = rest.split_once('}') else { return Ok(()) };
    let known = ["sources", "precompiled", "main", "class", "memory_mib"];
    if !known.contains(&name) && !language.programs.contains_key(name) {
        return Err(format!("{{{name}}} is not a known placeholder"));
    }
    check(rest, language)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::languages::parse;

    fn fill(id: &str, files: &Files, words: impl Fn(&Language) -> Vec<String>) -> String {
        let language = parse("").unwrap().remove(id).unwrap();
        let toolchain = Toolchain::testing(&[("cxx", "/usr/bin/g++"), ("java", "/usr/bin/java")]);
        let commands =
            Commands { language: &language, toolchain: &toolchain, files, class: "p.Foo" };
        commands.fill(&words(&language), 256 << 20, true).join(" ")
    }

    #[test]
    fn placeholders_are_replaced() {
        let languages = parse("").unwrap();
        let files =
            vec![("b.h".into(), vec![]), ("main.cpp".into(), vec![]), ("a.cc".into(), vec![])];
        let files = Files::many(&languages["cpp20"], files, "").unwrap();
        let text = fill("cpp20", &files, |l| l.compile[0].clone());
        assert!(text.starts_with("/usr/bin/g++ -std=gnu++20 "), "{text}");
        assert!(text.ends_with(" -I/precompiled -o /box/main a.cc main.cpp"), "{text}");
        assert_eq!(files.directory(&languages["cpp20"]), "/app/program-files");
        let files = Files::single(&languages["java"], Vec::new());
        assert_eq!(
            (files.main.as_str(), files.directory(&languages["java"])),
            ("Main.java", "/app".into())
        );
        let text = fill("java", &files, |l| l.run.clone());
        assert!(text.contains(" -Xmx256m ") && text.ends_with(" -cp /app p.Foo"), "{text}");
    }

    #[test]
    fn main_file_is_found() {
        let python = &parse("").unwrap()["python3"];
        let files = |names: &[&str]| -> Vec<(String, Vec<u8>)> {
            names.iter().map(|name| ((*name).to_owned(), Vec::new())).collect()
        };
        let main = |names: &[&str], entry| Files::many(python, files(names), entry).map(|f| f.main);
        assert_eq!(main(&["x.py", "data.txt"], ""), Ok("x.py".into()));
        assert_eq!(main(&["x.py", "Main.py"], ""), Ok("Main.py".into()));
        assert_eq!(main(&["x.py", "y.py"], "y"), Ok("y.py".into()));
        assert_eq!(main(&["x.py", "y.py"], "y.py"), Ok("y.py".into()));
        assert!(main(&["x.py", "y.py"], "").is_err());
        let java = &parse("").unwrap()["java"];
        let several = Files::many(java, files(&["X.java", "Y.java"]), "").unwrap();
        assert_eq!(several.main, "");
        assert!(main(&["x.py"], "z").is_err());
        assert!(main(&["x.txt"], "").is_err());
    }
}
