//! Reads a whole package from its [`Tree`]: the one place that knows the format's layout.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::archive;
use super::attachments::{self, Attachment};
use super::bounds::Bounds;
use super::data::{self, Data};
use super::error::Error;
use super::finding::{Finding, Report};
use super::limits::Maxima;
use super::metadata::{self, Metadata};
use super::program::{self, Program};
use super::spool::{Blob, Spool};
use super::statement::{self, Statement};
use super::submissions::{self, Solution};
use super::tree::Tree;
use crate::statement::Sample;

/// A package that can be judged.
#[derive(Debug)]
pub struct Package {
    /// The name of its directory, if it had one.
    pub name: Option<String>,
    /// `problem.yaml`.
    pub metadata: Metadata,
    /// The statements, the default language first.
    pub statements: Vec<Statement>,
    /// What everyone may see of the samples.
    pub samples: Vec<Sample>,
    /// Files for contestants.
    pub attachments: Vec<Attachment>,
    /// Tests and example outputs.
    pub data: Data,
    /// Input validators.
    pub validators: Vec<Program>,
    /// Jury solutions.
    pub solutions: Vec<Solution>,
    /// What there is to say about it; no errors.
    pub findings: Vec<Finding>,
}

/// What the readers of a package's parts share.
pub struct Reader<'a> {
    /// The files.
    pub tree: &'a Tree,
    /// Where to say what is wrong.
    pub report: &'a Report,
    /// How large things may be.
    pub bounds: &'a Bounds,
    /// Where changed files go.
    pub scratch: &'a Path,
    /// `constants` of `problem.yaml`.
    pub constants: &'a BTreeMap<String, String>,
    /// The names of the input validators.
    pub validators: &'a BTreeSet<String>,
    /// How many files were changed.
    pub changed: Cell<usize>,
    /// Files whose findings were told already.
    pub told: RefCell<BTreeSet<String>>,
}

/// Reads an uploaded file. Everything it needs afterwards lies in `scratch`.
pub fn read(
    upload: &Path,
    scratch: &Path,
    bounds: &Bounds,
    maxima: &Maxima,
) -> Result<Package, Error> {
    let report = Report::default();
    let tree = archive::unpack(upload, scratch, bounds, &report)?;
    let package = read_tree(&tree, scratch, bounds, maxima, &report);
    if report.failed() {
        return Err(Error::Invalid(report.into_findings()));
    }
    let mut package = package.ok_or_else(|| Error::invalid("", "the package is not valid"))?;
    package.findings = report.into_findings();
    Ok(package)
}

fn read_tree(
    tree: &Tree,
    scratch: &Path,
    bounds: &Bounds,
    maxima: &Maxima,
    report: &Report,
) -> Option<Package> {
    let (nothing, nobody) = (BTreeMap::new(), BTreeSet::new());
    let (changed, told) = (Cell::new(0), RefCell::default());
    let (constants, validators) = (&nothing, &nobody);
    let reader = Reader { tree, report, bounds, scratch, constants, validators, changed, told };
    if tree.file(metadata::FILE).is_none() {
        report.error(metadata::FILE, "is missing; every package has one at its top");
        return None;
    }
    let metadata = metadata::read(&reader.text(metadata::FILE)?, maxima, report)?;
    let reader = Reader { constants: &metadata.constants, ..reader };
    layout(&reader);
    let validators = program::read_all(&reader, "input_validators");
    if validators.is_empty() {
        let message = "is missing or holds no program; at least one input validator is required";
        report.error("input_validators", message);
    }
    let names = validators.iter().map(|validator| program::name(validator).to_owned()).collect();
    let reader = Reader { validators: &names, ..reader };
    let data = data::read(&reader);
    let samples = statement::samples(&reader, &data);
    let statements = statement::read(&reader, &metadata, &samples);
    let attachments = attachments::read(&reader);
    attachments::check_names(&reader, &attachments, &statements);
    let solutions = submissions::read(&reader, &data);
    let name = tree.name.clone();
    let findings = Vec::new();
    Some(Package {
        name,
        metadata,
        statements,
        samples,
        attachments,
        data,
        validators,
        solutions,
        findings,
    })
}

/// Says what of the top level is not known or not supported.
fn layout(reader: &Reader<'_>) {
    for (name, is_directory) in reader.tree.children("") {
        let used = !is_directory || program::is_used(reader.tree, &name);
        match name.as_str() {
            "problem.yaml" | "statement" | "attachments" | "data" | "submissions"
            | "input_validators" => {}
            "solution" | "generators" | "input_visualizer" | "output_visualizer" => {
                reader.report.info(&name, "is not needed for judging and is not kept");
            }
            "output_validator" | "static_validator" | "include" if used => {
                let message = match name.as_str() {
                    "include" => "files added to submissions are not supported yet",
                    "static_validator" => "static validators are not supported yet",
                    _ => "custom output validators are not supported yet; only the default one is",
                };
                reader.report.error(&name, message);
            }
            "output_validators" | "problem_statement" | "input_format_validators" if used => {
                let message = "belongs to the legacy format; 2025-09 calls it otherwise";
                reader.report.error(&name, message);
            }
            "domjudge-problem.ini" => {
                let message = "is not part of the format; its limits are not kept";
                reader.report.warn(&name, message);
            }
            _ => reader.report.info(&name, "is not part of the format and is ignored"),
        }
    }
}

impl Reader<'_> {
    /// A text file, whole; a missing, large or binary one is reported.
    pub fn text(&self, path: &str) -> Option<String> {
        self.text_for(path, self.report)
    }

    /// Whether nobody has asked this about a file before.
    pub fn first_time(&self, file: &str) -> bool {
        self.told.borrow_mut().insert(file.to_owned())
    }

    /// As `text`, but with another report.
    pub fn text_for(&self, path: &str, report: &Report) -> Option<String> {
        let Some(blob) = self.tree.file(path) else {
            report.error(path, "is missing");
            return None;
        };
        if blob.size > self.bounds.text {
            report.error(path, format!("is larger than {} bytes", self.bounds.text));
            return None;
        }
        let bytes = self.bytes(path, blob)?;
        let text = String::from_utf8(bytes).ok().filter(|text| !text.contains('\0'));
        let Some(mut text) = text else {
            report.error(path, "is not UTF-8");
            return None;
        };
        if text.starts_with('\u{feff}') {
            report.warn(path, "starts with a byte-order mark, which the format forbids");
            text.remove(0);
        }
        if text.contains('\r') {
            report.warn(path, "has other line endings than LF");
            text = text.replace("\r\n", "\n");
        }
        Some(text)
    }

    /// A file's bytes; the caller has checked the size.
    pub fn bytes(&self, path: &str, blob: &Blob) -> Option<Vec<u8>> {
        let read = blob.read();
        if let Err(error) = &read {
            self.report.error(path, format!("cannot be read: {error}"));
        }
        read.ok()
    }

    /// A program's file with the constants in their places.
    pub fn with_constants(&self, path: &str, blob: &Blob) -> Option<Blob> {
        if self.constants.is_empty() || blob.size > self.bounds.text {
            return Some(blob.clone());
        }
        let bytes = self.bytes(path, blob)?;
        let Ok(text) = std::str::from_utf8(&bytes) else { return Some(blob.clone()) };
        let replaced = super::constants::replace(text, self.constants);
        if replaced == text { Some(blob.clone()) } else { self.store(path, replaced.as_bytes()) }
    }

    fn store(&self, path: &str, bytes: &[u8]) -> Option<Blob> {
        self.changed.set(self.changed.get() + 1);
        let dir = self.scratch.join(format!("changed-{}", self.changed.get()));
        let stored = std::fs::create_dir(&dir)
            .map_err(Error::from)
            .and_then(|()| Spool::new(&dir, self.bounds).store(path, bytes));
        if let Err(error) = &stored {
            self.report.error(path, format!("cannot be kept: {error}"));
        }
        stored.ok()
    }
}
