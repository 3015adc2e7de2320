//! `problem.yaml`.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};

use crate::constants;
use crate::finding::Report;
use crate::language;
use crate::limits::{self, Limits};
use crate::yaml::{self, Fields, Node, Value};

pub const FILE: &str = "problem.yaml";
/// Maximum length of a title, in code points.
const MAX_TITLE: usize = 200;

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metadata {
    /// Titles by language code.
    pub names: BTreeMap<String, String>,
    /// Identifies the problem when it is renamed.
    pub uuid: String,
    /// `type`, such as `pass-fail`.
    pub types: BTreeSet<String>,
    pub authors: Vec<String>,
    pub keywords: Vec<String>,
    /// The problem must not be public before.
    pub embargo_until: Option<DateTime<Utc>>,
    pub limits: Limits,
    /// Values of `{{name}}` by name.
    pub constants: BTreeMap<String, String>,
}

/// The result of reading the file.
#[derive(Debug)]
pub enum Read {
    Metadata(Box<Metadata>),
    /// Not a map in YAML; reported.
    Invalid,
    /// Of another version of the format, of which the other rules would only add unrelated errors; reported.
    OtherVersion,
}

/// Reads the file; mistakes and unsupported settings are reported.
pub fn read(text: &str, max_limits: &limits::MaxLimits, report: &Report) -> Read {
    let Some(mut fields) = yaml::read(FILE, text, report) else { return Read::Invalid };
    if !check_version(&mut fields) {
        return Read::OtherVersion;
    }
    let types = types(&mut fields);
    let mut metadata = Metadata {
        names: names(&mut fields),
        uuid: uuid(&mut fields),
        keywords: fields.take("keywords").and_then(Value::texts).unwrap_or_default(),
        embargo_until: fields.take("embargo_until").and_then(|value| embargo(&value)),
        limits: limits::read(fields.take("limits"), max_limits, &types),
        constants: fields
            .take("constants")
            .map(|value| constants::read(value, text))
            .unwrap_or_default(),
        authors: rights(&mut fields),
        types,
    };
    fields.take("version").and_then(|value| value.text());
    check_languages(fields.take("languages"));
    if let Some(value) = fields.take("allow_file_writing") {
        metadata.limits.file_writing = value.bool().unwrap_or(false);
    }
    fields.finish();
    Read::Metadata(Box::new(metadata))
}

fn check_version(fields: &mut Fields<'_>) -> bool {
    const KEY: &str = "problem_format_version";
    let Some(value) = fields.take(KEY) else {
        fields.error(KEY, "is missing; only the format version `2025-09` is supported");
        return false;
    };
    let Some(version) = value.scalar() else { return false };
    if version != "2025-09" {
        value.error(format!("`{version}` is not supported; only `2025-09` is"));
    }
    version == "2025-09"
}

/// Types that are not supported.
const SPECIAL: [&str; 4] = ["scoring", "multi-pass", "interactive", "submit-answer"];
/// Types that exclude each other.
const INCOMPATIBLE: [(&str, &str); 3] =
    [("pass-fail", "scoring"), ("multi-pass", "submit-answer"), ("interactive", "submit-answer")];

fn types(fields: &mut Fields<'_>) -> BTreeSet<String> {
    let (mut types, mut known) = (BTreeSet::new(), true);
    let Some(value) = fields.take("type") else { return ["pass-fail".to_owned()].into() };
    for value in value.clone().one_or_many() {
        let Some(kind) = value.text() else {
            known = false;
            continue;
        };
        known &= kind == "pass-fail" || SPECIAL.contains(&kind.as_str());
        match kind.as_str() {
            "pass-fail" => {}
            _ if SPECIAL.contains(&kind.as_str()) => {
                value.error(format!("`{kind}` is not supported yet; only `pass-fail` is"));
            }
            _ => value.error(format!(
                "`{kind}` is not a type of the format; expected one of pass-fail, scoring, \
                 multi-pass, interactive, submit-answer"
            )),
        }
        if !types.insert(kind.clone()) {
            value.error(format!("`{kind}` is listed twice"));
        }
    }
    for (one, other) in INCOMPATIBLE {
        if types.contains(one) && types.contains(other) {
            value.error(format!("`{one}` and `{other}` cannot be combined"));
        }
    }
    if !known {
        // It may be of any type.
        types.extend(SPECIAL.map(str::to_owned));
    }
    types
}

fn names(fields: &mut Fields<'_>) -> BTreeMap<String, String> {
    let Some(value) = fields.take("name") else {
        fields.error("name", "is missing");
        return BTreeMap::new();
    };
    if let Node::Map(entries) = &value.node {
        if entries.is_empty() {
            value.error("is empty; it must have a name for each language of a statement");
        }
        let all = value.fields().map(|mut map| map.take_all()).unwrap_or_default();
        let mut names = BTreeMap::new();
        let mut known = true;
        for (language, value) in all {
            if !is_language(&language) {
                value.error("is not a language code such as `en` or `pt-BR`");
                known = false;
            }
            names.insert(language, title(&value).unwrap_or_default());
        }
        // Without all codes, statements cannot be compared with the names.
        return if known { names } else { BTreeMap::new() };
    }
    title(&value).map(|title| ("en".to_owned(), title)).into_iter().collect()
}

fn title(value: &Value<'_>) -> Option<String> {
    let title = value.text()?.trim().to_owned();
    if title.is_empty() {
        value.error("must have 1 to 200 characters");
        return None;
    }
    match text::check_line(&title, MAX_TITLE) {
        Ok(()) => Some(title),
        Err(refusal) => {
            value.error(refusal.to_string());
            None
        }
    }
}

/// `xx` or `xxx`, optionally followed by `-XX`.
pub fn is_language(code: &str) -> bool {
    let (language, region) = code.split_once('-').unwrap_or((code, "XX"));
    matches!(language.len(), 2 | 3)
        && language.bytes().all(|b| b.is_ascii_lowercase())
        && region.len() == 2
        && region.bytes().all(|b| b.is_ascii_uppercase())
}

fn uuid(fields: &mut Fields<'_>) -> String {
    let Some(value) = fields.take("uuid") else {
        fields.error("uuid", "is missing; generate one and never change it");
        return String::new();
    };
    let Some(text) = value.text() else { return String::new() };
    match uuid::Uuid::try_parse(&text) {
        Ok(id) => id.to_string(),
        Err(_) => {
            value.error("is not a UUID such as 8ee7605a-d1ce-47b3-be37-15de5acd757e");
            String::new()
        }
    }
}

/// Checks credits, source, license and owner; returns the authors.
fn rights(fields: &mut Fields<'_>) -> Vec<String> {
    const LICENSES: [&str; 7] =
        ["unknown", "public domain", "cc0", "cc by", "cc by-sa", "educational", "permission"];
    let authors = fields.take("credits").map(credits).unwrap_or_default();
    let sources = fields.take("source").map(Value::one_or_many).unwrap_or_default();
    let known_source = !sources.is_empty();
    sources.into_iter().for_each(source);
    let license = fields.take("license");
    let owner = fields.take("rights_owner");
    let name =
        license.clone().and_then(|value| value.text()).unwrap_or_else(|| "unknown".to_owned());
    if let Some(value) = license
        && !LICENSES.contains(&name.as_str())
    {
        value.error(format!("`{name}` is not one of {}", LICENSES.join(", ")));
    }
    match owner {
        Some(value) if name == "public domain" => {
            value.error("must not be set when the license is `public domain`");
        }
        Some(value) => {
            value.text();
        }
        None if matches!(name.as_str(), "unknown" | "public domain") => {}
        // With another license, credits or source it may not be required.
        None if ["license", "credits", "source"].iter().any(|key| fields.has_errors_in(key)) => {}
        None if authors.is_empty() && !known_source => {
            fields.error("rights_owner", format!("is missing; the license `{name}` requires it"));
        }
        None => {}
    }
    authors
}

fn source(value: Value<'_>) {
    if let Node::Map(_) = value.node {
        let Some(mut fields) = value.fields() else { return };
        match fields.take("name") {
            Some(value) => drop(value.scalar()),
            None => fields.error("name", "is missing"),
        }
        fields.take("url").and_then(|value| value.text());
        return fields.finish();
    }
    value.scalar();
}

fn credits(value: Value<'_>) -> Vec<String> {
    if let Node::Text(_) = value.node {
        return person(value).into_iter().collect();
    }
    let Some(mut fields) = value.fields() else { return Vec::new() };
    let authors = fields.take("authors").map(people).unwrap_or_default();
    for key in ["contributors", "testers", "packagers", "acknowledgements"] {
        fields.take(key).map(people);
    }
    if let Some(mut translators) = fields.take("translators").and_then(Value::fields) {
        for (language, value) in translators.take_all() {
            if !is_language(&language) {
                value.error("is not a language code such as `en` or `pt-BR`");
            }
            people(value);
        }
    }
    fields.finish();
    authors
}

/// One person or several.
pub fn people(value: Value<'_>) -> Vec<String> {
    value.one_or_many().into_iter().filter_map(person).collect()
}

/// The name from `Full Name <address>` or a map.
fn person(value: Value<'_>) -> Option<String> {
    let name = if let Node::Map(_) = value.node {
        let mut fields = value.fields()?;
        let value = fields.take("name");
        if value.is_none() {
            fields.error("name", "is missing");
        }
        let name = value.and_then(|value| value.text());
        if let Some(Err(refusal)) = name.as_deref().map(check_name) {
            fields.error("name", refusal.to_string());
        }
        for key in ["email", "orcid", "kattis"] {
            fields.take(key).and_then(|value| value.text());
        }
        fields.finish();
        name?
    } else {
        let text = value.text()?;
        if let Err(refusal) = check_name(&text) {
            value.error(refusal.to_string());
        }
        text
    };
    let name = name.split('<').next().unwrap_or_default().trim();
    (!name.is_empty()).then(|| name.chars().take(200).collect())
}

/// Of any length: long names are shortened.
fn check_name(name: &str) -> Result<(), text::Refusal> {
    text::check_line(name.trim(), usize::MAX)
}

const EMBARGO: &str =
    "must be a date such as 2026-02-01, or a UTC time such as 2026-02-01T12:00:00Z";

fn embargo(value: &Value<'_>) -> Option<DateTime<Utc>> {
    let text = value.text()?;
    // The parser also accepts `2026-2-1`, `+2026-02-01` and spaces.
    let has_shape = |shape: &str| {
        shape.len() == text.len()
            && shape.bytes().zip(text.bytes()).all(|(shape, b)| match shape {
                b'0' => b.is_ascii_digit(),
                other => other == b,
            })
    };
    if !has_shape("0000-00-00") && !has_shape("0000-00-00T00:00:00Z") {
        value.error(EMBARGO);
        return None;
    }
    let time = NaiveDateTime::parse_from_str(&text, "%Y-%m-%dT%H:%M:%SZ")
        .ok()
        .or_else(|| NaiveDate::parse_from_str(&text, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0));
    if time.is_none() {
        value.error(EMBARGO);
    }
    time.map(|time| time.and_utc())
}

fn check_languages(value: Option<Value<'_>>) {
    let Some(value) = value else { return };
    let mut unknown = false;
    let mut codes = BTreeSet::new();
    let all = value.node == Node::Text("all".to_owned());
    for value in value.clone().one_or_many() {
        let Some(code) = value.text() else {
            unknown = true;
            continue;
        };
        if !all && !language::is_known(&code) {
            value.error(format!("`{code}` is not a language code of the format"));
            unknown = true;
        } else if !codes.insert(code.clone()) {
            value.error(format!("`{code}` is listed twice"));
        }
    }
    if !all && !unknown && !codes.is_empty() {
        value.error("restricting the languages is not supported yet; use `all`");
    }
}
