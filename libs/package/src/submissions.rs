//! `submissions/`: jury solutions and their expected verdicts.

use std::collections::BTreeMap;

use crate::data::Data;
use crate::expectation::{Class, Requirement, UseForTimeLimit};
use crate::finding::Severity;
use crate::glob;
use crate::program::{self, Found, Hints, Program, Source};
use crate::reader::Reader;
use crate::yaml::{self, Fields, Node, Value};

const FILE: &str = "submissions/submissions.yaml";
/// The most patterns: every solution is compared with every pattern.
const MAX_PATTERNS: usize = 1000;

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

/// A jury solution that is kept with the package but not run: its language is not offered.
#[derive(Clone, Debug)]
pub struct Unverified {
    /// Path in the package.
    pub file: String,
    pub sources: Vec<Source>,
}

/// The solutions that are run, and the others.
pub fn read(reader: &Reader<'_>, data: &Data) -> (Vec<Solution>, Vec<Unverified>) {
    let rules = rules(reader, data);
    let (mut solutions, mut unverified, mut reasons) = (Vec::new(), Vec::new(), Vec::new());
    let mut programs = programs(reader, &rules);
    let max = reader.size_limits.solutions;
    if programs.len() > max {
        let message = format!("has {} solutions; at most {max} are allowed", programs.len());
        reader.report.error("submissions", message);
        programs.truncate(max);
    }
    for path in programs {
        let matching: Vec<&Rule> = matching(&rules, &path).collect();
        let file = format!("submissions/{path}");
        match program::find(reader, &file, hints(&matching)) {
            Found::Program(program) => {
                let requirements = matching.iter().flat_map(|rule| rule.requirements.clone());
                solutions.push(Solution { program, requirements: requirements.collect() });
            }
            Found::Unsupported(reason, sources) => {
                unverified.push(Unverified { file, sources });
                reasons.push(reason);
            }
            Found::Invalid => {}
        }
    }
    report_unverified(reader, &solutions, &unverified, &reasons);
    check(reader, &rules, &solutions, &unverified);
    (solutions, unverified)
}

/// The files and directories below `submissions/` that are solutions; others are reported.
fn programs(reader: &Reader<'_>, rules: &BTreeMap<String, Rule>) -> Vec<String> {
    let mut programs = Vec::new();
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
            if program::is_python_cache(&name) {
                continue;
            }
            let named = || matching(rules, &path).any(|rule| rule.language.is_some());
            if is_directory || !program::is_side_file(&name) || named() {
                programs.push(path);
            } else {
                let file = format!("submissions/{path}");
                reader.report.info(&file, "is not a program and is ignored");
            }
        }
    }
    programs
}

fn matching<'r>(rules: &'r BTreeMap<String, Rule>, path: &str) -> impl Iterator<Item = &'r Rule> {
    rules.iter().filter(move |(pattern, _)| glob::matches(pattern, path)).map(|(_, rule)| rule)
}

fn hints<'r>(matching: &[&'r Rule]) -> Hints<'r> {
    Hints {
        language: matching.iter().find_map(|rule| rule.language.as_deref()),
        entry_point: matching.iter().find_map(|rule| rule.entry_point.as_deref()),
    }
}

/// Solutions that cannot be run are only reported, provided that another accepted solution can.
fn report_unverified(
    reader: &Reader<'_>,
    solutions: &[Solution],
    unverified: &[Unverified],
    reasons: &[String],
) {
    let is_accepted = |file: &str| file.starts_with("submissions/accepted/");
    let has_accepted = solutions.iter().any(|solution| is_accepted(&solution.program.file));
    for (Unverified { file, .. }, reason) in unverified.iter().zip(reasons) {
        if has_accepted || !is_accepted(file) {
            reader.report.warn(file, format!("is kept, but not verified: {reason}"));
        } else {
            let codes = reader.languages.codes();
            let message = format!(
                "cannot be verified: {reason}; at least one accepted solution must be in one of {codes}"
            );
            reader.report.error(file, message);
        }
    }
}

fn check(
    reader: &Reader<'_>,
    rules: &BTreeMap<String, Rule>,
    solutions: &[Solution],
    unverified: &[Unverified],
) {
    if !reader.tree.children("submissions/accepted").iter().any(|(n, _)| !program::is_side_file(n))
    {
        let message = "is missing; at least one accepted solution is required";
        reader.missing("submissions/accepted", message);
    }
    let files = solutions.iter().map(|solution| &solution.program.file);
    let files: Vec<&String> = files.chain(unverified.iter().map(|one| &one.file)).collect();
    for pattern in rules.keys() {
        let known = DEFAULTS.iter().any(|(directory, ..)| directory == pattern);
        let matches = |file: &&String| glob::matches(pattern, &file["submissions/".len()..]);
        if !known && !files.iter().any(matches) && !reader.is_explained("submissions") {
            reader.report.add(Severity::Warning, FILE, pattern, "matches no solution");
        }
    }
    for solution in solutions.iter().filter(|s| s.requirements.is_empty()) {
        let message = "has no expected verdict: the format does not define its directory";
        reader.report.warn(&solution.program.file, message);
    }
    let bounds =
        |solution: &Solution| solution.requirements.iter().any(Requirement::is_lower_bound);
    // A solution that was refused could have had such a requirement.
    let complete = !solutions.is_empty() && !reader.is_explained("submissions");
    if complete && !solutions.iter().any(bounds) {
        let message = "no solution must finish within the time limit; at least one is required, such \
                       as an accepted one without `use_for_time_limit: false`";
        reader.report.error("submissions", message);
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
    let patterns = fields.take_all();
    if patterns.len() > MAX_PATTERNS {
        let message = format!("has more than {MAX_PATTERNS} patterns");
        reader.report.error(FILE, message);
        return rules;
    }
    for (pattern, value) in patterns {
        if !glob::is_valid(&pattern) {
            value.error("is not a valid pattern; use `*` and `{a,b}`");
            continue;
        }
        if let Some(fields) = value.fields() {
            let base = rules.remove(&pattern).unwrap_or_default();
            rules.insert(pattern, rule(reader, fields, base, data));
        }
    }
    rules
}

fn rule(reader: &Reader<'_>, mut fields: Fields<'_>, base: Rule, data: &Data) -> Rule {
    let language = fields.take("language").and_then(|value| value.text()).or(base.language);
    let entry_point = fields.take("entrypoint").and_then(|value| value.text()).or(base.entry_point);
    let authors = fields.take("authors");
    authors.filter(|value| value.node != Node::List(Vec::new())).map(crate::metadata::people);
    fields.take("model_solution").and_then(|value| value.bool());
    let mut requirements: Vec<Requirement> = Vec::new();
    let own = requirement(reader, &mut fields, None, base.requirements.first());
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
        let matches = data.tests.iter().any(|test| glob::matches(&key, &test.name));
        if !matches && !reader.is_explained("data") {
            value.warn("matches no test");
        }
        if let Some(mut fields) = value.fields() {
            others.extend(requirement(reader, &mut fields, Some(key), None));
            fields.finish();
        }
    }
    requirements.extend(own);
    requirements.extend(others);
    Rule { language, entry_point, requirements }
}

fn requirement(
    reader: &Reader<'_>,
    fields: &mut Fields<'_>,
    tests: Option<String>,
    base: Option<&Requirement>,
) -> Option<Requirement> {
    let permitted = fields.take("permitted").and_then(classes);
    let required = fields.take("required").and_then(classes);
    let time_limit = fields.take("use_for_time_limit").and_then(|value| use_for_time_limit(&value));
    // Scoring problems are refused as a whole.
    let score = fields.take("score");
    if let Some(value) = score.filter(|_| !reader.may_be("scoring")) {
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
        let Some(text) = value.text() else { continue };
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
