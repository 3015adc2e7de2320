//! Findings about a package: errors refuse it, warnings and notes do not.

use std::cell::RefCell;

use serde::{Deserialize, Serialize};

/// Findings that are kept; further ones are only counted.
const MAX_FINDINGS: usize = 200;
/// Characters of a message or file name that are kept.
const MAX_TEXT: usize = 1000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    Info,
    Warning,
    /// The package is refused, or its version cannot be published.
    Error,
}

/// A message about one file of a package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    pub severity: Severity,
    /// Path in the package; empty for the package as a whole.
    pub file: String,
    /// Key in that file, such as `limits.memory`; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub key: String,
    pub message: String,
}

impl Finding {
    /// A finding about a file as a whole.
    pub fn new(severity: Severity, file: &str, message: impl Into<String>) -> Self {
        Self { severity, file: file.to_owned(), key: String::new(), message: message.into() }
    }

    /// The message, prefixed by the key if there is one.
    pub fn text(&self) -> String {
        if self.key.is_empty() {
            self.message.clone()
        } else {
            format!("{}: {}", self.key, self.message)
        }
    }
}

/// Collects findings while a package is read, so that its author sees all of them at once.
///
/// Shared by the readers of all parts, hence the cells.
#[derive(Debug, Default)]
pub struct Report {
    findings: RefCell<Vec<Finding>>,
    errors: RefCell<usize>,
}

impl Report {
    pub fn add(&self, severity: Severity, file: &str, key: &str, message: impl Into<String>) {
        if severity == Severity::Error {
            *self.errors.borrow_mut() += 1;
        }
        let mut findings = self.findings.borrow_mut();
        // Warnings and notes cannot displace errors.
        let room = findings.len() < MAX_FINDINGS
            || (severity == Severity::Error && *self.errors.borrow() <= MAX_FINDINGS);
        if room {
            let shorten = |text: String| match text.char_indices().nth(MAX_TEXT) {
                Some((at, _)) => format!("{}…", &text[..at]),
                None => text,
            };
            let (file, key) = (shorten(file.to_owned()), key.to_owned());
            findings.push(Finding { severity, file, key, message: shorten(message.into()) });
        }
    }

    pub fn error(&self, file: &str, message: impl Into<String>) {
        self.add(Severity::Error, file, "", message);
    }

    pub fn warn(&self, file: &str, message: impl Into<String>) {
        self.add(Severity::Warning, file, "", message);
    }

    pub fn info(&self, file: &str, message: impl Into<String>) {
        self.add(Severity::Info, file, "", message);
    }

    /// Whether there is an error about a file, or about one below it if it is a directory.
    pub fn has_errors_in(&self, path: &str) -> bool {
        let is_in = |file: &str| {
            file.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let findings = self.findings.borrow();
        findings.iter().any(|it| it.severity == Severity::Error && is_in(&it.file))
    }

    /// Whether there is an error about a key of a file, or about one below it.
    pub fn has_errors_at(&self, file: &str, key: &str) -> bool {
        let is_at = |it: &Finding| {
            let rest = it.key.strip_prefix(key);
            it.file == file
                && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        self.findings.borrow().iter().any(|it| it.severity == Severity::Error && is_at(it))
    }

    pub fn has_errors(&self) -> bool {
        *self.errors.borrow() > 0
    }

    /// All findings by falling severity, then in the order of reading. If there were too many errors, the last one
    /// says how many are missing.
    pub fn into_findings(self) -> Vec<Finding> {
        let mut findings = self.findings.into_inner();
        findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        let listed = findings.iter().filter(|f| f.severity == Severity::Error).count();
        let missing = *self.errors.borrow() - listed;
        if missing > 0 {
            let message =
                format!("the package has {missing} more errors than the {listed} listed ones");
            findings.insert(listed, Finding::new(Severity::Error, "", message));
        }
        findings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_are_bounded_and_missing_errors_are_counted() {
        let report = Report::default();
        for i in 0..500 {
            report.warn("w", "a warning");
            report.error(&format!("data/{i}"), "x".repeat(5000));
        }
        let findings = report.into_findings();
        assert!(findings.len() <= 401, "{}", findings.len());
        assert_eq!(findings[199].file, "data/199");
        assert_eq!(
            findings[200].text(),
            "the package has 300 more errors than the 200 listed ones"
        );
        assert!(findings.iter().all(|finding| finding.message.chars().count() <= 1001));
    }
}
