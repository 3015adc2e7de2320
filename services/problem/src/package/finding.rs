//! What there is to say about a package: errors refuse it, warnings and notes are kept with the
//! version.

use std::cell::RefCell;

use serde::{Deserialize, Serialize};

/// Most findings that are kept; the rest is only counted.
const MAX_FINDINGS: usize = 100;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Good to know.
    Info,
    /// Probably wrong.
    Warning,
    /// The package cannot be taken, or the version not be published.
    Error,
}

/// Something worth knowing about a package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// The file in the package; may be empty.
    pub file: String,
    /// The key in that file, such as `limits.memory`; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub key: String,
    /// What it is.
    pub message: String,
}

impl Finding {
    /// A finding about a file as a whole.
    pub fn new(severity: Severity, file: &str, message: impl Into<String>) -> Self {
        Self { severity, file: file.to_owned(), key: String::new(), message: message.into() }
    }

    /// The message, with the key where there is one.
    pub fn text(&self) -> String {
        if self.key.is_empty() {
            self.message.clone()
        } else {
            format!("{}: {}", self.key, self.message)
        }
    }
}

/// Collects findings while a package is read, so that its author learns all of them at once.
///
/// Readers of different parts hold it at the same time, hence the cell.
#[derive(Debug, Default)]
pub struct Report {
    findings: RefCell<Vec<Finding>>,
    errors: RefCell<usize>,
}

impl Report {
    /// Notes something.
    pub fn add(&self, severity: Severity, file: &str, key: &str, message: impl Into<String>) {
        if severity == Severity::Error {
            *self.errors.borrow_mut() += 1;
        }
        let mut findings = self.findings.borrow_mut();
        // An error always finds room: it is the one thing that must not get lost.
        let room = findings.len() < MAX_FINDINGS
            || (severity == Severity::Error && *self.errors.borrow() <= MAX_FINDINGS);
        if room {
            let (file, key) = (file.to_owned(), key.to_owned());
            findings.push(Finding { severity, file, key, message: message.into() });
        }
    }

    /// The package cannot be taken.
    pub fn error(&self, file: &str, message: impl Into<String>) {
        self.add(Severity::Error, file, "", message);
    }

    /// Probably wrong.
    pub fn warn(&self, file: &str, message: impl Into<String>) {
        self.add(Severity::Warning, file, "", message);
    }

    /// Good to know.
    pub fn info(&self, file: &str, message: impl Into<String>) {
        self.add(Severity::Info, file, "", message);
    }

    /// Whether anything forbids taking the package.
    pub fn failed(&self) -> bool {
        *self.errors.borrow() > 0
    }

    /// Everything found, the worst first, otherwise in the order of reading.
    pub fn into_findings(self) -> Vec<Finding> {
        let mut findings = self.findings.into_inner();
        findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        findings
    }
}
