//! The content of a version: its manifest, the source of all judging data. Pure.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use package::{Blob, Checker, Limits, Package, Sample};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Object {
    /// SHA-256, lower-case hexadecimal.
    pub digest: String,
    /// In bytes.
    pub size: i64,
}

impl From<&Blob> for Object {
    fn from(blob: &Blob) -> Self {
        let size = i64::try_from(blob.size).unwrap_or(i64::MAX);
        Self { digest: blob.digest.clone(), size }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Test {
    /// Such as `secret/01`.
    pub name: String,
    pub input: Object,
    pub answer: Object,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sample: bool,
    /// Overrides the checker of the version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checker: Option<Checker>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Attachment {
    pub name: String,
    pub content_type: String,
    pub object: Object,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Manifest {
    pub limits: Limits,
    pub checker: Checker,
    /// Samples first.
    pub tests: Vec<Test>,
    /// The public part of the samples.
    pub samples: Vec<Sample>,
    pub attachments: Vec<Attachment>,
    /// Languages of the statements; the default comes first.
    pub languages: Vec<String>,
    /// Digests of the HTML of the statements, in the same order.
    pub statements: Vec<String>,
    /// In the default language.
    pub title: String,
    pub authors: Vec<String>,
    pub keywords: Vec<String>,
    /// The problem must not be public before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub embargo_until: Option<DateTime<Utc>>,
    /// Jury solutions in languages that were not offered; those that were run are in the checks of the import.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unverified: Vec<Solution>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Solution {
    /// Path in the package.
    pub file: String,
    /// Paths relative to the solution.
    pub sources: Vec<(String, Object)>,
}

/// The part of a version that is shown with its problem.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    pub limits: Limits,
    /// Languages of the statements; the default comes first.
    pub languages: Vec<String>,
    pub attachments: Vec<Attachment>,
}

impl Manifest {
    pub fn summary(&self) -> Summary {
        Summary {
            limits: self.limits.clone(),
            languages: self.languages.clone(),
            attachments: self.attachments.clone(),
        }
    }

    pub fn of(package: &Package) -> Self {
        let metadata = &package.metadata;
        let checker =
            package.data.tests.iter().find(|test| !test.sample).map(|test| test.checker.clone());
        let checker = checker.unwrap_or_default();
        let tests = package.data.tests.iter().map(|test| Test {
            name: test.name.clone(),
            input: (&test.input).into(),
            answer: (&test.answer).into(),
            sample: test.sample,
            checker: (test.checker != checker).then(|| test.checker.clone()),
        });
        let first = package.statements.first();
        Self {
            tests: tests.collect(),
            limits: metadata.limits.clone(),
            samples: package.samples.clone(),
            attachments: attachments(package),
            languages: package.statements.iter().map(|s| s.language.clone()).collect(),
            statements: package.statements.iter().map(|s| digest(s.html.as_bytes())).collect(),
            title: first.map(|s| s.title.clone()).unwrap_or_default(),
            authors: metadata.authors.iter().take(20).cloned().collect(),
            keywords: metadata.keywords.clone(),
            embargo_until: metadata.embargo_until,
            unverified: package.unverified.iter().map(solution).collect(),
            checker,
        }
    }

    /// The checker of a test.
    pub fn checker_of<'m>(&'m self, test: &'m Test) -> &'m Checker {
        test.checker.as_ref().unwrap_or(&self.checker)
    }

    pub fn sample_count(&self) -> usize {
        self.tests.iter().filter(|test| test.sample).count()
    }
}

fn solution(unverified: &package::Unverified) -> Solution {
    let sources = unverified.sources.iter();
    Solution {
        file: unverified.file.clone(),
        sources: sources.map(|source| (source.path.clone(), (&source.blob).into())).collect(),
    }
}

fn attachments(package: &Package) -> Vec<Attachment> {
    let files = package.attachments.iter().map(|attachment| Attachment {
        name: attachment.name.clone(),
        content_type: attachment.content_type.to_owned(),
        object: (&attachment.blob).into(),
    });
    let statements = package.statements.iter().filter_map(|statement| {
        let object = statement.pdf.as_ref()?.into();
        let name = statement.pdf_name();
        Some(Attachment { name, content_type: "application/pdf".to_owned(), object })
    });
    files.chain(statements).collect()
}

/// SHA-256, hexadecimal.
pub fn digest(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}
