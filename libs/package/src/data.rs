//! `data/`: tests, their settings, and examples that validators and checker must accept or refuse.

use std::collections::{BTreeMap, BTreeSet};

use crate::checker::Checker;
use crate::reader::Reader;
use crate::settings::{self, Settings, ValidatorArguments};
use crate::spool::Blob;

#[derive(Clone, Debug)]
pub struct Test {
    /// Path below `data/` without extension.
    pub name: String,
    pub input: Blob,
    pub answer: Blob,
    pub sample: bool,
    pub checker: Checker,
    pub validator_arguments: ValidatorArguments,
    /// May be empty.
    pub description: String,
    /// What the statement shows instead of the input.
    pub shown_input: Option<Blob>,
    /// What the statement shows instead of the answer.
    pub shown_answer: Option<Blob>,
}

/// An input that at least one validator must refuse.
#[derive(Clone, Debug)]
pub struct InvalidInput {
    /// Path below `data/` without extension.
    pub name: String,
    pub input: Blob,
    pub validator_arguments: ValidatorArguments,
}

/// An output that the checker must accept or refuse.
#[derive(Clone, Debug)]
pub struct Output {
    /// Path below `data/` without extension.
    pub name: String,
    /// Must be valid; absent for the output of a test, whose input is checked with the test.
    pub input: Option<Blob>,
    pub answer: Blob,
    pub output: Blob,
    /// Whether the checker must accept the output.
    pub valid: bool,
    pub checker: Checker,
    pub validator_arguments: ValidatorArguments,
}

#[derive(Clone, Debug, Default)]
pub struct Data {
    /// Samples first, each part in the order of the names.
    pub tests: Vec<Test>,
    pub invalid_inputs: Vec<InvalidInput>,
    /// From `valid_output`, `invalid_output` and the `.out` files of tests.
    pub outputs: Vec<Output>,
}

/// Extensions of the files of a test; longer ones before their suffixes.
const EXTENSIONS: [&str; 14] = [
    ".in.statement",
    ".ans.statement",
    ".in.download",
    ".ans.download",
    ".interaction",
    ".in",
    ".ans",
    ".out",
    ".yaml",
    ".png",
    ".jpg",
    ".jpeg",
    ".svg",
    ".files",
];

/// Extensions of the legacy format with the keys that replace them.
const LEGACY: [(&str, &str); 2] = [(".hint", "hint"), (".desc", "description")];

/// The files of one test by extension.
type Files = BTreeMap<&'static str, Blob>;

pub fn read(reader: &Reader<'_>) -> Data {
    let mut data = Data::default();
    for (name, is_directory) in reader.tree.children("data") {
        let path = format!("data/{name}");
        match name.as_str() {
            "sample" | "secret" | "invalid_input" | "invalid_output" | "valid_output"
                if is_directory => {}
            "testdata.yaml" => {
                reader.report.error(&path, "belongs to the legacy format; use test_group.yaml");
            }
            "test_group.yaml" => {
                reader.report.error(&path, "must be in data/sample, data/secret or a test group");
            }
            _ => reader.report.warn(&path, "is not part of the format and is ignored"),
        }
    }
    for (path, _) in reader.tree.below("data") {
        // Includes directories without tests.
        if path.ends_with("/test_group.yaml") && path != "data/test_group.yaml" {
            settings::check_group(reader, path);
        }
    }
    for sample in [true, false] {
        let directory = if sample { "data/sample" } else { "data/secret" };
        check_groups(reader, directory, sample);
        for (name, files) in test_cases(reader, directory) {
            data.add_test(reader, name, &files, sample);
        }
    }
    if !data.tests.iter().any(|test| !test.sample) {
        reader.missing("data/secret", "has no test; at least one is required");
    }
    if data.tests.len() > reader.size_limits.tests {
        let max = reader.size_limits.tests;
        reader.report.error("data", format!("has more than {max} tests"));
    }
    for (name, files) in test_cases(reader, "data/invalid_input") {
        data.add_invalid_input(reader, name, &files);
    }
    for (directory, valid) in [("data/invalid_output", false), ("data/valid_output", true)] {
        for (name, files) in test_cases(reader, directory) {
            data.add_output(reader, name, &files, valid);
        }
    }
    data
}

/// A directory with a `test_group.yaml` is a group; other directories only sort tests. Groups must be directly in
/// `data/secret`, and only if no test is.
fn check_groups(reader: &Reader<'_>, directory: &str, sample: bool) {
    let children = reader.tree.children(directory);
    let has_test = children.iter().any(|(name, d)| !d && name.ends_with(".in"));
    let own = format!("{directory}/test_group.yaml");
    let settings = reader.tree.below(directory).map(|(file, _)| file);
    for file in settings.filter(|file| file.ends_with("/test_group.yaml") && *file != own) {
        let group = file.strip_suffix("/test_group.yaml").unwrap_or(file);
        let parent = group.rsplit_once('/').map_or(directory, |(parent, _)| parent);
        if sample {
            reader
                .report
                .error(file, "makes its directory a group, but samples cannot be in groups");
        } else if parent != directory {
            let message = "makes its directory a group, but groups must be directly in data/secret";
            reader.report.error(file, message);
        } else if has_test {
            let message = "data/secret must hold either tests or groups (directories with a \
                           test_group.yaml), not both";
            reader.report.error(group, message);
        } else if !reader.tree.below(group).any(|(file, _)| file.ends_with(".in")) {
            reader.report.error(group, "is a group without a test; each group needs at least one");
        }
    }
}

/// The tests below a directory in order; files that belong to no test are reported.
fn test_cases(reader: &Reader<'_>, directory: &str) -> Vec<(String, Files)> {
    let mut cases: BTreeMap<Vec<&str>, Files> = BTreeMap::new();
    let mut reported = BTreeSet::new();
    for (path, blob) in reader.tree.below(directory) {
        if let Some(at) = path.find(".files/") {
            if reported.insert(&path[..at]) {
                let path = &path[..at + 6];
                reader.report.error(path, "tests with files are not supported yet");
            }
            continue;
        }
        let name = path.rsplit('/').next().unwrap_or(path);
        if name == "test_group.yaml" {
            continue;
        }
        if name == "testdata.yaml" {
            reader.report.error(path, "belongs to the legacy format; use test_group.yaml");
            continue;
        }
        match EXTENSIONS.iter().find_map(|ext| Some((path.strip_suffix(ext)?, *ext))) {
            Some((base, extension)) => {
                let key = base["data/".len()..].split('/').collect();
                cases.entry(key).or_default().insert(extension, blob.clone());
            }
            None => report_other_file(reader, path),
        }
    }
    let joined = cases.into_iter().map(|(parts, files)| (parts.join("/"), files));
    let cases: Vec<_> = joined.filter(|(name, files)| has_input(reader, name, files)).collect();
    for (name, files) in &cases {
        check_case(reader, name, files);
    }
    cases
}

fn report_other_file(reader: &Reader<'_>, path: &str) {
    let legacy = LEGACY.iter().find_map(|(ext, key)| Some((path.strip_suffix(ext)?, key)));
    let message = match legacy {
        Some((base, key)) => format!(
            "belongs to the legacy format and is ignored; use the key `{key}` in {base}.yaml"
        ),
        None => "is not part of a test and is ignored".to_owned(),
    };
    reader.report.warn(path, message);
}

/// Reports conflicts between a test and other files, and among the files of a test.
fn check_case(reader: &Reader<'_>, name: &str, files: &Files) {
    let report = reader.report;
    let path = |extension: &str| format!("data/{name}{extension}");
    if name.ends_with("/test_group") {
        let message =
            "must have another name: test_group.yaml would belong to both the group and the test";
        report.error(&path(".in"), message);
    }
    if reader.tree.is_directory(&path("")) {
        report.error(&path(""), format!("is a directory, but data/{name}.in is a test"));
    }
    let mut pictures =
        [".png", ".jpg", ".jpeg", ".svg"].into_iter().filter(|e| files.contains_key(e));
    if let (Some(one), Some(other)) = (pictures.next(), pictures.next()) {
        let message = format!("conflicts with {}; a test has one illustration", path(one));
        report.error(&path(other), message);
    }
    for kind in [".in", ".ans"] {
        let (download, shown) = (format!("{kind}.download"), format!("{kind}.statement"));
        match (files.contains_key(download.as_str()), files.contains_key(shown.as_str())) {
            (true, false) if !reader.is_explained(&path(&shown)) => {
                report.error(&path(&download), format!("requires {}", path(&shown)));
            }
            (false, true) if !reader.is_explained(&path(&download)) => {
                report.warn(&path(&shown), format!("should come with {}", path(&download)));
            }
            _ => {}
        }
    }
}

fn has_input(reader: &Reader<'_>, name: &str, files: &Files) -> bool {
    if files.contains_key(".in") {
        return true;
    }
    let input = format!("data/{name}.in");
    if let Some(extension) = files.keys().next().filter(|_| !reader.is_explained(&input)) {
        let message = format!("has no matching {input}");
        reader.report.error(&format!("data/{name}{extension}"), message);
    }
    false
}

fn check_interaction(reader: &Reader<'_>, name: &str, files: &Files) {
    let path = |extension: &str| format!("data/{name}{extension}");
    if !files.contains_key(".interaction") {
        return;
    }
    if !reader.may_be("interactive") && !reader.may_be("multi-pass") {
        let message = "applies to interactive and multi-pass problems only";
        reader.report.error(&path(".interaction"), message);
        return;
    }
    let shown = [".in.statement", ".ans.statement", ".out", ".in.download", ".ans.download"];
    for extension in shown.into_iter().filter(|extension| files.contains_key(extension)) {
        let message = format!("cannot be combined with {}", path(".interaction"));
        reader.report.error(&path(extension), message);
    }
}

impl Data {
    fn add_test(&mut self, reader: &Reader<'_>, name: String, files: &Files, sample: bool) {
        let path = |extension: &str| format!("data/{name}{extension}");
        check_interaction(reader, &name, files);
        if files.contains_key(".out") && files.contains_key(".ans.statement") {
            reader.report.error(&path(".out"), "cannot be combined with .ans.statement");
        }
        let settings = settings::of_test(reader, &name, files.contains_key(".yaml"));
        let Some(answer) = files.get(".ans").cloned() else {
            reader.missing(&path(".ans"), "is missing; every test has an answer");
            return;
        };
        let Settings { checker, validator_arguments, description } = settings;
        if let Some(output) = files.get(".out") {
            self.outputs.push(Output {
                name: format!("{name}.out"),
                input: None,
                answer: answer.clone(),
                output: output.clone(),
                valid: true,
                checker: checker.clone(),
                validator_arguments: ValidatorArguments::default(),
            });
        }
        let shown = |first: &str| files.get(first).cloned();
        self.tests.push(Test {
            input: files[".in"].clone(),
            answer,
            sample,
            checker,
            validator_arguments,
            description,
            shown_input: shown(".in.statement"),
            shown_answer: shown(".ans.statement").or_else(|| shown(".out")),
            name,
        });
    }

    fn add_invalid_input(&mut self, reader: &Reader<'_>, name: String, files: &Files) {
        for extension in [".ans", ".out"].into_iter().filter(|ext| files.contains_key(ext)) {
            let path = format!("data/{name}{extension}");
            reader.report.warn(&path, "is ignored: invalid inputs have no answer and no output");
        }
        let settings = settings::of_test(reader, &name, files.contains_key(".yaml"));
        let validator_arguments = settings.validator_arguments;
        let input = files[".in"].clone();
        self.invalid_inputs.push(InvalidInput { name, input, validator_arguments });
    }

    fn add_output(&mut self, reader: &Reader<'_>, name: String, files: &Files, valid: bool) {
        let settings = settings::of_test(reader, &name, files.contains_key(".yaml"));
        let require = |extension: &str| {
            if !files.contains_key(extension) {
                reader.missing(&format!("data/{name}{extension}"), "is missing");
            }
            files.get(extension).cloned()
        };
        let (Some(answer), Some(output)) = (require(".ans"), require(".out")) else { return };
        self.outputs.push(Output {
            input: Some(files[".in"].clone()),
            answer,
            output,
            valid,
            checker: settings.checker,
            validator_arguments: settings.validator_arguments,
            name,
        });
    }
}
