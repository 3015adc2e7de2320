//! `submissions/`: jury solutions and their expected verdicts.

use std::collections::BTreeMap;

use crate::data::Data;
use crate::expectation::{Class, Requirement, UseForTimeLimit};
use crate::finding::Severity;
use crate::glob;
use crate::program::{self, Found, Hints, Program};
use crate::reader::Reader;
use crate::yaml::{self, Fields, Node, Value};

const FILE: &str = "submissions/submissions.yaml";

/// A jury solution.
#[derive(Clone, Debug)]
pub struct Solution {
    pub program: Program,
    pub requirements: Vec<Requirement>,
}

/// The settings of `submissions.yaml` for the solutions that a pattern matches.
#[derive(Clone, Debug, Default)]
struct Rule {
    language: Option<String>,
    entry_point: Option<String>,
    requirements: Vec<Requirement>,
}

pub fn read(reader: &Reader<'_>, data: &Data) -> Vec<Solution> {
    let rules = rules(reader, data);
    let (mut solutions, mut unsupported) = (Vec::new(), Vec::new());
    for (directory, is_directory) in reader.tree.children("submissions") {
        if !is_directory {
            if directory != "submissions.yaml" && !program::is_side_file(&directory) {
                let file = format!("submissions/{directory}");
                reader.report.error(&file, "must be in a directory such as submissions/accepted");
            }
            continue;
        }
        if program::is_python_cache(&directory) {
            continue;
        }
        for (name, is_directory) in reader.tree.children(&format!("submissions/{directory}")) {
            let path = format!("{directory}/{name}");
            if program::is_python_cache(&name) || !is_directory && program::is_side_file(&name) {
                continue;
            }
            match solution(reader, &rules, &path) {
                Ok(solution) => solutions.extend(solution),
                Err(message) => unsupported.push((format!("submissions/{path}"), message)),
            }
        }
    }
    report_unsupported(reader, &solutions, unsupported);
    check(reader, &rules, &solutions);
    solutions
}

/// Solutions in unsupported languages are skipped, provided that an accepted solution remains.
fn report_unsupported(
    reader: &Reader<'_>,
    solutions: &[Solution],
    unsupported: Vec<(String, String)>,
) {
    let accepted = |s: &Solution| s.program.file.starts_with("submissions/accepted/");
    let has_accepted = solutions.iter().any(accepted);
    for (file, message) in unsupported {
        if has_accepted {
            reader.report.warn(&file, format!("is skipped: {message}"));
        } else {
            reader.report.error(&file, message);
        }
    }
}

/// Reads a solution; the error says that its language is not supported.
fn solution(
    reader: &Reader<'_>,
    rules: &BTreeMap<String, Rule>,
    path: &str,
) -> Result<Option<Solution>, String> {
    let matching: Vec<&Rule> =
        rules.iter().filter(|(pattern, _)| glob::matches(pattern, path)).map(|(_, r)| r).collect();
    let hints = Hints {
        language: matching.iter().find_map(|rule| rule.language.as_deref()),
        entry_point: matching.iter().find_map(|rule| rule.entry_point.as_deref()),
    };
    let program = match program::find(reader, &format!("submissions/{path}"), hints) {
        Found::Program(program) => program,
        Found::Unsupported(message) => return Err(message),
        Found::Invalid => return Ok(None),
    };
    let requirements = matching.iter().flat_map(|rule| rule.requirements.clone()).collect();
    Ok(Some(Solution { program, requirements }))
}

fn check(reader: &Reader<'_>, rules: &BTreeMap<String, Rule>, solutions: &[Solution]) {
    let name = |s: &Solution| s.program.file["submissions/".len()..].to_owned();
    if !reader.tree.children("submissions/accepted").iter().any(|(n, _)| !program::is_side_file(n))
    {
        let message = "is missing; at least one accepted solution is required";
        reader.report.error("submissions/accepted", message);
    }
    if solutions.len() > reader.size_limits.solutions {
        let max = reader.size_limits.solutions;
        reader.report.error("submissions", format!("has more than {max} solutions"));
    }
    for pattern in rules.keys() {
        let known = DEFAULTS.iter().any(|(directory, ..)| directory == pattern);
        if !known && !solutions.iter().any(|s| glob::matches(pattern, &name(s))) {
            reader.report.add(Severity::Warning, FILE, pattern, "matches no solution");
        }
    }
    for solution in solutions.iter().filter(|s| s.requirements.is_empty()) {
        let message = "has no expected verdict: the format does not define its directory";
        reader.report.warn(&solution.program.file, message);
    }
}

use Class::{Ac, Rte, Tle, Wa};

/// Directories of the format with their permitted and required verdicts; empty = any.
const DEFAULTS: [(&str, &[Class], &[Class]); 6] = [
    ("accepted", &[Ac], &[]),
    ("rejected", &[], &[Rte, Tle, Wa]),
    ("wrong_answer", &[Ac, Wa], &[Wa]),
    ("time_limit_exceeded", &[Ac, Tle], &[Tle]),
    ("run_time_error", &[Ac, Rte], &[Rte]),
    ("brute_force", &[Ac, Rte, Tle], &[Rte, Tle]),
];

fn defaults() -> BTreeMap<String, Rule> {
    let rule = |(directory, permitted, required): (&str, &[Class], &[Class])| {
        let some = |set: &[Class]| (!set.is_empty()).then(|| set.to_vec());
        let requirement = Requirement {
            tests: None,
            permitted: some(permitted),
            required: some(required),
            time_limit: UseForTimeLimit::Default,
        };
        (directory.to_owned(), Rule { requirements: vec![requirement], ..Rule::default() })
    };
    DEFAULTS.into_iter().map(rule).collect()
}

fn rules(reader: &Reader<'_>, data: &Data) -> BTreeMap<String, Rule> {
    let mut rules = defaults();
    if reader.tree.file(FILE).is_none() {
        return rules;
    }
    let Some(text) = reader.text(FILE) else { return rules };
    let Some(mut fields) = yaml::read(FILE, &text, reader.report) else { return rules };
    for (pattern, value) in fields.take_all() {
        if !glob::is_valid(&pattern) {
            value.error("is not a valid pattern; use `*` and `{a,b}`");
            continue;
        }
        if let Some(fields) = value.fields() {
            let base = rules.remove(&pattern).unwrap_or_default();
            rules.insert(pattern, rule(fields, base, data));
        }
    }
    rules
}

fn rule(mut fields: Fields<'_>, base: Rule, data: &Data) -> Rule {
    let language = fields.take("language").and_then(|value| value.text()).or(base.language);
    let entry_point = fields.take("entrypoint").and_then(|value| value.text()).or(base.entry_point);
    fields.take("authors").map(crate::metadata::people);
    fields.take("model_solution").and_then(|value| value.bool());
    let mut requirements: Vec<Requirement> = Vec::new();
    let own = requirement(&mut fields, None, base.requirements.first());
    let mut others = Vec::new();
    for (key, value) in fields.take_all() {
        let of_tests = key
            .split('/')
            .next()
            .is_some_and(|top| matches!(top, "sample" | "secret") || top.contains(['*', '{']));
        if !of_tests || !glob::is_valid(&key) {
            value.error("unknown key; expected a setting or a pattern of tests");
            continue;
        }
        if !data.tests.iter().any(|test| glob::matches(&key, &test.name)) {
            value.warn("matches no test");
        }
        if let Some(mut fields) = value.fields() {
            others.extend(requirement(&mut fields, Some(key), None));
            fields.finish();
        }
    }
    requirements.extend(own);
    requirements.extend(others);
    Rule { language, entry_point, requirements }
}

fn requirement(
    fields: &mut Fields<'_>,
    tests: Option<String>,
    base: Option<&Requirement>,
) -> Option<Requirement> {
    let permitted = fields.take("permitted").and_then(classes);
    let required = fields.take("required").and_then(classes);
    let time_limit = fields.take("use_for_time_limit").and_then(|value| use_for_time_limit(&value));
    if let Some(value) = fields.take("score") {
        value.error("applies to scoring problems; this problem is pass-fail");
    }
    if let Some(value) = fields.take("message")
        && value.node != Node::Text(String::new())
    {
        value.error("is not supported yet: messages of the checker are not compared");
    }
    let requirement = Requirement {
        tests,
        permitted: permitted.or_else(|| base?.permitted.clone()),
        required: required.or_else(|| base?.required.clone()),
        time_limit: time_limit.or_else(|| Some(base?.time_limit)).unwrap_or_default(),
    };
    (!requirement.is_empty()).then_some(requirement)
}

fn classes(value: Value<'_>) -> Option<Vec<Class>> {
    let mut classes = Vec::new();
    for value in value.list()? {
        let text = value.text()?;
        match Class::parse(&text) {
            Some(class) => classes.push(class),
            None => value.error(format!("`{text}` is not one of AC, WA, TLE, RTE")),
        }
    }
    Some(classes)
}

fn use_for_time_limit(value: &Value<'_>) -> Option<UseForTimeLimit> {
    match &value.node {
        Node::Bool(false) => Some(UseForTimeLimit::No),
        Node::Bool(true) => Some(UseForTimeLimit::Default),
        Node::Text(text) if text == "lower" => Some(UseForTimeLimit::Lower),
        Node::Text(text) if text == "upper" => Some(UseForTimeLimit::Upper),
        _ => {
            value.error("must be true, false, `lower` or `upper`");
            None
        }
    }
}
