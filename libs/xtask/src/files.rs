//! Rules for files: size, forbidden text, module style, and the files that every service has.

use crate::Finding;
use crate::tree::{Error, Tree};

const MAX_LINES: usize = 500;

const SERVICE: &[&str] = &[
    "src/lib.rs",
    "src/config.rs",
    "src/error.rs",
    "src/rpc.rs",
    "src/store.rs",
    "src/events.rs",
    "tests/it/main.rs",
];

/// The program, which is in `services/` but is not a service.
const PROGRAM: &str = "agon";

/// Files that are generated or copied.
pub const NOT_WRITTEN: &[&str] = &["Cargo.lock", "LICENSE", "docs/events.md", "proto/routes.txt"];

/// This file contains the text that it forbids.
const THIS: &str = "libs/xtask/src/files.rs";

/// A text that files must not contain.
struct Forbidden {
    text: &'static str,
    /// Applies to files with these endings; empty means all files.
    endings: &'static [&'static str],
    why: &'static str,
}

const CODE: &[&str] = &[".rs", ".proto", ".sql", ".sh", ".toml", ".yaml", ".yml"];
const MACHINE: &str = "is a path of one machine; use a parameter or a relative path";
const LATER: &str = "marks unfinished work; finish it or remove the mark";

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
        why: "never expires; use #[expect(…, reason = \"…\")]",
    },
];

pub fn check(tree: &Tree) -> Result<Vec<Finding>, Error> {
    let files = tree.files()?;
    let mut findings = Vec::new();
    for file in files.iter().filter(|file| !NOT_WRITTEN.contains(&file.as_str())) {
        // Binary files are not checked.
        if let Some(text) = tree.read(file) {
            findings.extend(check_text(file, &text));
        }
    }
    findings.extend(files.iter().filter_map(|file| check_path(file)));
    findings.extend(check_services(&files));
    findings.extend(check_migrations(tree, &files));
    Ok(findings)
}

fn check_text(file: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let lines = text.lines().count();
    if CODE.iter().any(|ending| file.ends_with(ending)) && lines > MAX_LINES {
        findings.push(format!("{file}: {lines} lines; split it, the limit is {MAX_LINES}"));
    }
    if file == THIS {
        return findings;
    }
    for forbidden in FORBIDDEN.iter().filter(|forbidden| forbidden.applies_to(file)) {
        for (at, line) in text.lines().enumerate().filter(|(_, line)| forbidden.is_in(line)) {
            let (number, line) = (at + 1, line.trim());
            let (text, why) = (forbidden.text, forbidden.why);
            findings.push(format!("{file}:{number}: {text} {why}: {line}"));
        }
    }
    findings
}

impl Forbidden {
    fn applies_to(&self, file: &str) -> bool {
        self.endings.is_empty() || self.endings.iter().any(|ending| file.ends_with(ending))
    }

    fn is_in(&self, line: &str) -> bool {
        // Part of a longer path, such as `$layer/work/…` or `https://host/home/…`, is allowed.
        let is_start = |at: usize| {
            let before = line[..at].chars().next_back();
            !self.text.starts_with('/')
                || before.is_none_or(|c| !(c.is_alphanumeric() || "}._-*".contains(c)))
        };
        line.match_indices(self.text).any(|(at, _)| is_start(at))
    }
}

/// Modules are `name.rs` and `name/`, and build output is not committed.
fn check_path(file: &str) -> Option<Finding> {
    let (folder, name) = file.rsplit_once('/').unwrap_or(("", file));
    if name == "mod.rs" {
        return Some(format!("{file}: rename it to {folder}.rs"));
    }
    let is_output = folder.split('/').any(|part| part == "target");
    is_output.then(|| format!("{file}: is build output; remove it from git"))
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
            if !has(&format!("{folder}/{wanted}")) {
                findings.push(format!("{folder}: {wanted} is missing"));
            }
        }
    }
    findings
}

/// Migrations that are not listed in the code would never run.
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
            findings.push(format!("{file}: is missing in {at}"));
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
    fn long_source_files_are_refused() {
        check("a.rs", &"x\n".repeat(500), 0);
        check("a.rs", &"x\n".repeat(501), 1);
        check("a.md", &"x\n".repeat(501), 0);
    }

    #[test]
    fn machine_paths_are_refused() {
        check("README.md", "cd /home/ada/agon", 1);
        check("a.sh", "dir=/tmp/agon/x", 1);
        check("a.sh", "mktemp -d /tmp/agon-XXXX", 0);
        check("a.sh", "mkdir $layer/work/a ${layer}/work/b", 0);
        check("a.md", "https://example.org/home/x", 0);
    }

    #[test]
    fn allow_attributes_and_marks_are_refused() {
        check("a.rs", "#![allow(dead_code)]", 1);
        check("a.rs", "#[expect(dead_code, reason = \"soon\")]", 0);
        check("a.rs", "// TODO: more", 1);
        check("a.md", "TODO is a word", 0);
    }

    #[test]
    fn mod_files_and_build_output_are_refused() {
        assert!(check_path("libs/db/src/store/mod.rs").unwrap().ends_with("libs/db/src/store.rs"));
        assert!(check_path("services/auth/target/x.json").is_some());
        assert!(check_path("services/judge/src/target.rs").is_none());
    }

    #[test]
    fn missing_files_of_a_service_are_found() {
        let mut files: Vec<String> =
            SERVICE.iter().map(|file| format!("services/x/{file}")).collect();
        files.push("services/x/Cargo.toml".into());
        files.push("services/agon/Cargo.toml".into());
        assert!(check_services(&files).is_empty());
        files.retain(|file| !file.ends_with("store.rs"));
        assert_eq!(check_services(&files).len(), 1);
    }
}
