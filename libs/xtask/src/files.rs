//! The shape of files: their size, what they must not hold, and what every service has.

use crate::Finding;
use crate::tree::{Error, Tree};

/// A file longer than this holds more than one thing.
const MOST_LINES: usize = 500;

/// The files that make a service one.
const SERVICE: &[&str] = &[
    "src/lib.rs",
    "src/config.rs",
    "src/error.rs",
    "src/rpc.rs",
    "src/store.rs",
    "src/events.rs",
    "tests/it/main.rs",
];

/// Whoever wires the services is none itself.
const PROGRAM: &str = "agon";

/// What stands in the tree without being written by anybody.
const NOT_WRITTEN: &[&str] = &["Cargo.lock", "LICENSE", "docs/events.md", "proto/routes.txt"];

/// This file names what it looks for.
const THIS: &str = "libs/xtask/src/files.rs";

/// A text that no file of some kinds may hold.
struct Forbidden {
    text: &'static str,
    /// In files with one of these endings; everywhere, if there is none.
    endings: &'static [&'static str],
    why: &'static str,
}

const CODE: &[&str] = &[".rs", ".proto", ".sql", ".sh", ".toml", ".yaml", ".yml"];
const MACHINE: &str = "is a path of one machine; ask for it, or make it relative";
const LATER: &str = "says that something is missing; build it, or leave it out";

const FORBIDDEN: &[Forbidden] = &[
    Forbidden { text: "/home/", endings: &[], why: MACHINE },
    Forbidden { text: "/Users/", endings: &[], why: MACHINE },
    Forbidden { text: "/work/", endings: &[], why: MACHINE },
    Forbidden { text: "/tmp/agon/", endings: &[], why: MACHINE },
    Forbidden { text: "TODO", endings: CODE, why: LATER },
    Forbidden { text: "FIXME", endings: CODE, why: LATER },
    Forbidden {
        text: "[allow(",
        endings: &[".rs"],
        why: "keeps quiet for ever; #[expect(…, reason = …)] says why, and when it is over",
    },
];

/// Everything wrong with the files of the tree.
pub fn check(tree: &Tree) -> Result<Vec<Finding>, Error> {
    let files = tree.files()?;
    let mut findings = Vec::new();
    for file in files.iter().filter(|file| !NOT_WRITTEN.contains(&file.as_str())) {
        // What is no text is no concern of ours.
        if let Some(text) = tree.read(file) {
            findings.extend(check_text(file, &text));
        }
    }
    findings.extend(check_services(&files));
    findings.extend(check_migrations(tree, &files));
    Ok(findings)
}

fn check_text(file: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let lines = text.lines().count();
    if CODE.iter().any(|ending| file.ends_with(ending)) && lines > MOST_LINES {
        findings.push(format!("{file}: {lines} lines; divide it, {MOST_LINES} are the limit"));
    }
    if file == THIS {
        return findings;
    }
    for forbidden in FORBIDDEN.iter().filter(|forbidden| forbidden.concerns(file)) {
        for (at, line) in text.lines().enumerate().filter(|(_, line)| forbidden.is_in(line)) {
            let (number, line) = (at + 1, line.trim());
            let (text, why) = (forbidden.text, forbidden.why);
            findings.push(format!("{file}:{number}: {text} {why}: {line}"));
        }
    }
    findings
}

impl Forbidden {
    fn concerns(&self, file: &str) -> bool {
        self.endings.is_empty() || self.endings.iter().any(|ending| file.ends_with(ending))
    }

    fn is_in(&self, line: &str) -> bool {
        // In the middle of a longer path (`$layer/work/…`, `https://host/home/…`) it is another one.
        let begins = |at: usize| {
            let before = line[..at].chars().next_back();
            !self.text.starts_with('/')
                || before.is_none_or(|c| !(c.is_alphanumeric() || "}._-*".contains(c)))
        };
        line.match_indices(self.text).any(|(at, _)| begins(at))
    }
}

fn check_services(files: &[String]) -> Vec<Finding> {
    let has = |file: &str| files.iter().any(|other| other == file);
    let mut findings = Vec::new();
    for manifest in files.iter().filter(|file| file.starts_with("services/")) {
        let Some(folder) = manifest.strip_suffix("/Cargo.toml") else { continue };
        if folder == format!("services/{PROGRAM}") {
            continue;
        }
        for wanted in SERVICE {
            let folder_of_it = wanted.replace(".rs", "/mod.rs");
            if !has(&format!("{folder}/{wanted}")) && !has(&format!("{folder}/{folder_of_it}")) {
                findings.push(format!("{folder}: has no {wanted}, which every service has"));
            }
        }
    }
    findings
}

/// A migration that no program knows of would never run.
fn check_migrations(tree: &Tree, files: &[String]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files.iter().filter(|file| file.starts_with("migrations/")) {
        let parts: Vec<&str> = file.split('/').collect();
        let (Some(service), Some(name)) = (parts.get(1), parts.last()) else { continue };
        let Some(name) = name.strip_suffix(".sql") else { continue };
        let name = name.strip_suffix(".down").unwrap_or(name);
        let at = match *service {
            "every" => "libs/db/src/migrate.rs".to_owned(),
            service => format!("services/{service}/src/lib.rs"),
        };
        if !tree.read(&at).is_some_and(|text| text.contains(&format!("\"{name}\""))) {
            findings.push(format!("{file}: not among the migrations of {at}"));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(file: &str, text: &str, count: usize) {
        let findings = check_text(file, text);
        assert_eq!(findings.len(), count, "{findings:?}");
    }

    #[test]
    fn long_files_are_refused_and_generated_ones_are_not_code() {
        check("a.rs", &"x\n".repeat(500), 0);
        check("a.rs", &"x\n".repeat(501), 1);
        check("a.md", &"x\n".repeat(501), 0);
    }

    #[test]
    fn machine_paths() {
        check("README.md", "cd /home/ada/agon", 1);
        check("a.sh", "dir=/tmp/agon/x", 1);
        check("a.sh", "mktemp -d /tmp/agon-XXXX", 0);
        check("a.sh", "mkdir $layer/work/a ${layer}/work/b", 0);
        check("a.md", "https://example.org/home/x", 0);
    }

    #[test]
    fn quiet_and_later() {
        check("a.rs", "#![allow(dead_code)]", 1);
        check("a.rs", "#[expect(dead_code, reason = \"soon\")]", 0);
        check("a.rs", "// TODO: more", 1);
        check("a.md", "TODO is a word", 0);
    }

    #[test]
    fn a_service_has_its_files() {
        let mut files: Vec<String> =
            SERVICE.iter().map(|file| format!("services/x/{file}")).collect();
        files.push("services/x/Cargo.toml".into());
        files.push("services/agon/Cargo.toml".into());
        assert!(check_services(&files).is_empty());
        files.retain(|file| !file.ends_with("store.rs"));
        assert_eq!(check_services(&files).len(), 1);
        files.push("services/x/src/store/mod.rs".into());
        assert!(check_services(&files).is_empty());
    }
}
