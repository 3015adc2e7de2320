//! Reads a whole package from its [`Tree`]: the only place that knows the layout of the format.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::Path;

use crate::archive;
use crate::attachments::{self, Attachment};
use crate::data::{self, Data};
use crate::error::Error;
use crate::finding::{Finding, Report};
use crate::language::Languages;
use crate::limits::MaxLimits;
use crate::metadata::{self, Metadata, Read};
use crate::program::{self, Program};
use crate::reader::Reader;
use crate::render::Sample;
use crate::size_limits::SizeLimits;
use crate::statement::{self, Statement};
use crate::submissions::{self, Solution, Unverified};
use crate::tree::Tree;

#[derive(Debug)]
pub struct Package {
    /// The name of the top-level directory, if there was one.
    pub name: Option<String>,
    pub metadata: Metadata,
    /// The default language first.
    pub statements: Vec<Statement>,
    /// The public part of the samples, in the order of their names.
    pub samples: Vec<Sample>,
    pub attachments: Vec<Attachment>,
    pub data: Data,
    pub validators: Vec<Program>,
    pub solutions: Vec<Solution>,
    /// Jury solutions in languages that are not offered: they are kept, but not run.
    pub unverified: Vec<Unverified>,
    pub findings: Vec<Finding>,
}

/// What a server allows and offers.
#[derive(Clone, Debug, Default)]
pub struct Server {
    pub size_limits: SizeLimits,
    pub max_limits: MaxLimits,
    pub languages: Languages,
}

/// Reads a zip, tar or tar.gz archive. All files of the package are in `scratch` afterwards, which must be an empty
/// directory and outlive the package.
pub fn read(archive: File, scratch: &Path, server: &Server) -> Result<Package, Error> {
    let report = Report::default();
    let entries = archive::unpack(archive, scratch, &server.size_limits)?;
    let tree = Tree::build(entries, &server.size_limits, &report)?;
    let package = read_tree(&tree, scratch, server, &report);
    if report.has_errors() {
        return Err(Error::Invalid(report.into_findings()));
    }
    let mut package = package.ok_or_else(|| Error::invalid("", "the package is invalid"))?;
    package.findings = report.into_findings();
    Ok(package)
}

fn read_tree(tree: &Tree, scratch: &Path, server: &Server, report: &Report) -> Option<Package> {
    let Server { size_limits, max_limits, languages } = server;
    let (types, constants, validators) = (None, &BTreeMap::new(), &BTreeSet::new());
    let (changed, reported) = (Cell::new(0), RefCell::default());
    let reader = Reader {
        tree,
        report,
        size_limits,
        languages,
        scratch,
        types,
        constants,
        validators,
        changed,
        reported,
    };
    if tree.file(metadata::FILE).is_none() && !reader.is_explained(metadata::FILE) {
        report.error(metadata::FILE, "is missing; every package needs one in its top directory");
        return None;
    }
    let text = reader.text(metadata::FILE);
    let metadata = text.map_or(Read::Invalid, |text| metadata::read(&text, max_limits, report));
    let metadata = match metadata {
        Read::Metadata(metadata) => Some(*metadata),
        // Other files are checked all the same, so that the author sees all mistakes at once.
        Read::Invalid => None,
        Read::OtherVersion => return None,
    };
    let reader = match &metadata {
        Some(read) => Reader { types: Some(&read.types), constants: &read.constants, ..reader },
        None => reader,
    };
    check_layout(&reader);
    let validators = program::read_all(&reader, "input_validators");
    if validators.is_empty() {
        let message = "is missing or holds no program; at least one input validator is required";
        reader.missing("input_validators", message);
    }
    let names = validators.iter().map(|validator| validator.name().to_owned()).collect();
    let reader = Reader { validators: &names, ..reader };
    let data = data::read(&reader);
    let (solutions, unverified) = submissions::read(&reader, &data);
    let attachments = attachments::read(&reader);
    let samples = statement::samples(&reader, &data);
    // Without names and constants, statements cannot be checked.
    let statements = statement::read(&reader, metadata.as_ref()?, &samples);
    attachments::check_names(&reader, &attachments, &statements);
    let (name, findings) = (tree.name.clone(), Vec::new());
    Some(Package {
        name,
        metadata: metadata?,
        statements,
        samples,
        attachments,
        data,
        validators,
        solutions,
        unverified,
        findings,
    })
}

/// Reports unknown and unsupported names of the top directory.
fn check_layout(reader: &Reader<'_>) {
    for (name, is_directory) in reader.tree.children("") {
        let used = !is_directory || program::has_files(reader.tree, &name);
        match name.as_str() {
            "problem.yaml" | "statement" | "attachments" | "data" | "submissions"
            | "input_validators" => {}
            "solution" | "generators" | "input_visualizer" | "output_visualizer" => {
                reader.report.info(&name, "is not used for judging and is discarded");
            }
            "output_validator" | "static_validator" | "include" if used => {
                let message = match name.as_str() {
                    "include" => "files added to submissions are not supported yet",
                    "static_validator" => "static validators are not supported yet",
                    _ => "custom output validators are not supported yet; use the default one",
                };
                reader.report.error(&name, message);
            }
            "output_validators" | "problem_statement" | "input_format_validators" if used => {
                let message = "belongs to the legacy format and has another name in 2025-09";
                reader.report.error(&name, message);
            }
            "domjudge-problem.ini" => {
                let message = "is not part of the format; its limits are ignored";
                reader.report.warn(&name, message);
            }
            _ => reader.report.info(&name, "is not part of the format and is ignored"),
        }
    }
}
