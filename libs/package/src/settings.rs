//! Settings of tests: `test_group.yaml` and `<test>.yaml`. For each key, the file of the test overrides the file of its
//! directory, which overrides the file of the parent directory.

use std::collections::BTreeMap;

use crate::checker::Checker;
use crate::finding::Report;
use crate::reader::Reader;
use crate::yaml::{self, Fields, Node, Value};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ValidatorArguments {
    /// The same for every validator.
    All(Vec<String>),
    /// By the name of the validator; others get none.
    Each(BTreeMap<String, Vec<String>>),
}

impl Default for ValidatorArguments {
    fn default() -> Self {
        Self::All(Vec::new())
    }
}

impl ValidatorArguments {
    pub fn of(&self, name: &str) -> &[String] {
        match self {
            Self::All(arguments) => arguments,
            Self::Each(map) => map.get(name).map_or(&[], Vec::as_slice),
        }
    }
}

#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// `output_validator_args`.
    pub checker: Checker,
    /// `input_validator_args`.
    pub validator_arguments: ValidatorArguments,
    /// `description`; `hint` if that is absent.
    pub description: String,
}

#[derive(Default)]
struct Overrides {
    checker: Option<Checker>,
    validator_arguments: Option<ValidatorArguments>,
    description: Option<String>,
}

/// The settings of the test `name` (path below `data/`) from all files that apply to it.
///
/// The file of a group is read once for each of its tests; its findings are reported once.
pub fn of_test(reader: &Reader<'_>, name: &str, has_own: bool) -> Settings {
    let mut settings = Settings::default();
    let parts: Vec<&str> = name.split('/').collect();
    for depth in 1..parts.len() {
        let file = format!("data/{}/test_group.yaml", parts[..depth].join("/"));
        if reader.tree.file(&file).is_some() {
            settings.apply(read(reader, &file, true));
        }
    }
    if has_own {
        settings.apply(read(reader, &format!("data/{name}.yaml"), false));
    }
    settings
}

/// Checks a `test_group.yaml`, also one without tests.
pub fn check_group(reader: &Reader<'_>, file: &str) {
    read(reader, file, true);
}

impl Settings {
    fn apply(&mut self, overrides: Overrides) {
        if let Some(checker) = overrides.checker {
            self.checker = checker;
        }
        if let Some(arguments) = overrides.validator_arguments {
            self.validator_arguments = arguments;
        }
        if let Some(description) = overrides.description {
            self.description = description;
        }
    }
}

fn read(reader: &Reader<'_>, file: &str, group: bool) -> Overrides {
    let discarded;
    let mut report = reader.report;
    if group && !reader.is_first_report(file) {
        discarded = Report::default();
        report = &discarded;
    }
    let Some(text) = reader.text_for(file, report) else { return Overrides::default() };
    let text = if group { crate::constants::replace(&text, reader.constants) } else { text };
    let Some(mut fields) = yaml::read(file, &text, report) else { return Overrides::default() };
    let overrides = read_keys(reader, &mut fields, group);
    if group {
        refuse_scoring(reader, &mut fields);
    }
    fields.finish();
    overrides
}

fn read_keys(reader: &Reader<'_>, fields: &mut Fields<'_>, group: bool) -> Overrides {
    if let Some(value) = fields.take("args")
        && value.clone().texts().is_some_and(|args| !args.is_empty())
    {
        value.error("command-line arguments of tests are not supported yet");
    }
    let sample = fields.file.starts_with("data/sample/");
    if let Some(value) = fields.take("full_feedback")
        && value.bool() == Some(true)
        && !sample
    {
        value.error("is not supported yet: secret data is never shown");
    }
    for key in ["input_visualizer_args", "output_visualizer_args"] {
        fields.take(key).and_then(Value::texts);
    }
    // Custom output validators are refused as a whole; their arguments are their own.
    let custom = crate::program::has_files(reader.tree, "output_validator");
    let arguments = fields.take("output_validator_args").filter(|_| !custom);
    let checker = arguments.and_then(|value| {
        let parsed = Checker::parse(&value.clone().texts()?);
        parsed.map_err(|message| value.error(message)).ok()
    });
    let validator_arguments =
        fields.take("input_validator_args").and_then(|value| validator_arguments(reader, value));
    // Groups of examples may have a description; groups of tests may not.
    let examples = ["data/invalid_input/", "data/invalid_output/", "data/valid_output/"];
    let mut description = None;
    if !group {
        description = fields.take("hint").and_then(|value| value.text());
    }
    if !group || examples.iter().any(|directory| fields.file.starts_with(directory)) {
        description = fields.take("description").and_then(|value| value.text()).or(description);
    }
    Overrides { checker, validator_arguments, description }
}

fn refuse_scoring(reader: &Reader<'_>, fields: &mut Fields<'_>) {
    for key in ["max_score", "score_aggregation", "require_pass"] {
        let value = fields.take(key);
        // Scoring problems are refused as a whole.
        if let Some(value) = value.filter(|_| !reader.may_be("scoring")) {
            value.error("applies to scoring problems; this problem is pass-fail");
        }
    }
    for key in ["static_validation_score", "static_validator_args"] {
        if let Some(value) = fields.take(key) {
            value.error("static validators are not supported yet");
        }
    }
}

fn validator_arguments(reader: &Reader<'_>, value: Value<'_>) -> Option<ValidatorArguments> {
    if let Node::Map(_) = value.node {
        let mut map = BTreeMap::new();
        for (name, value) in value.fields()?.take_all() {
            if !reader.validators.contains(&name) && !reader.is_explained("input_validators") {
                value.error(format!("names the input validator `{name}`, which does not exist"));
            }
            map.insert(name, value.texts().unwrap_or_default());
        }
        return Some(ValidatorArguments::Each(map));
    }
    value.texts().map(ValidatorArguments::All)
}
