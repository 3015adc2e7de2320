//! What a version holds: the manifest, from which everything about judging is read. Pure.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::expectation::Margins;
use crate::package::{Blob, Checker, Declared, Package};
use crate::statement::Sample;

/// An object of the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Object {
    /// SHA-256, hexadecimal.
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

/// A test.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Test {
    /// Its name, such as `secret/01`.
    pub name: String,
    /// The input.
    pub input: Object,
    /// The answer.
    pub answer: Object,
    /// Whether everyone may see it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sample: bool,
    /// How its output is compared, where that differs from the version's checker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checker: Option<Checker>,
}

/// A file for contestants.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Attachment {
    /// Its name.
    pub name: String,
    /// Its media type.
    pub content_type: String,
    /// Its bytes.
    pub object: Object,
}

/// What a program may use, but for the time limit. Sizes are bytes, times microseconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// CPU time a test, where the package declares it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub declared_us: Option<i64>,
    /// Memory.
    pub memory: i64,
    /// Output a test.
    pub output: i64,
    /// Source.
    pub code: i64,
    /// CPU time to compile.
    pub compile_us: i64,
    /// Memory to compile.
    pub compile_memory: i64,
    /// CPU time of a validator.
    pub validation_us: i64,
    /// Memory of a validator.
    pub validation_memory: i64,
    /// Found limits are multiples of this.
    pub resolution_us: i64,
    /// See [`Margins`].
    pub ac_to_time_limit: f64,
    /// See [`Margins`].
    pub time_limit_to_tle: f64,
}

impl Limits {
    /// The margins of the time limit.
    pub fn margins(&self) -> Margins {
        Margins {
            resolution_us: self.resolution_us,
            ac_to_time_limit: self.ac_to_time_limit,
            time_limit_to_tle: self.time_limit_to_tle,
        }
    }
}

impl From<&Declared> for Limits {
    fn from(declared: &Declared) -> Self {
        Self {
            declared_us: declared.time_us,
            memory: declared.memory,
            output: declared.output,
            code: declared.code,
            compile_us: declared.compile_us,
            compile_memory: declared.compile_memory,
            validation_us: declared.validation_us,
            validation_memory: declared.validation_memory,
            resolution_us: declared.resolution_us,
            ac_to_time_limit: declared.ac_to_time_limit,
            time_limit_to_tle: declared.time_limit_to_tle,
        }
    }
}

/// A version's content.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Manifest {
    /// Limits.
    pub limits: Limits,
    /// How outputs are compared.
    pub checker: Checker,
    /// Samples first.
    pub tests: Vec<Test>,
    /// What everyone may see of the samples.
    pub samples: Vec<Sample>,
    /// Files for contestants.
    pub attachments: Vec<Attachment>,
    /// Languages of the statements, the default first.
    pub languages: Vec<String>,
    /// Digests of the statements' HTML, in the same order.
    pub statements: Vec<String>,
    /// The title in the default language.
    pub title: String,
    /// Who wrote it.
    pub authors: Vec<String>,
    /// Topics.
    pub keywords: Vec<String>,
    /// Nobody else may see it before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub embargo_until: Option<DateTime<Utc>>,
}

/// What of a version is shown with its problem.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Limits.
    pub limits: Limits,
    /// Languages of the statements, the default first.
    pub languages: Vec<String>,
    /// Files for contestants.
    pub attachments: Vec<Attachment>,
}

impl Manifest {
    /// What is shown with the problem.
    pub fn summary(&self) -> Summary {
        Summary {
            limits: self.limits.clone(),
            languages: self.languages.clone(),
            attachments: self.attachments.clone(),
        }
    }

    /// What a package holds.
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
            limits: (&metadata.limits).into(),
            samples: package.samples.clone(),
            attachments: attachments(package),
            languages: package.statements.iter().map(|s| s.language.clone()).collect(),
            statements: package.statements.iter().map(|s| digest(s.html.as_bytes())).collect(),
            title: first.map(|s| s.title.clone()).unwrap_or_default(),
            authors: metadata.authors.iter().take(20).cloned().collect(),
            keywords: metadata.keywords.clone(),
            embargo_until: metadata.embargo_until,
            checker,
        }
    }

    /// How the output of a test is compared.
    pub fn checker_of<'m>(&'m self, test: &'m Test) -> &'m Checker {
        test.checker.as_ref().unwrap_or(&self.checker)
    }

    /// How many tests are samples.
    pub fn sample_count(&self) -> usize {
        self.tests.iter().filter(|test| test.sample).count()
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
