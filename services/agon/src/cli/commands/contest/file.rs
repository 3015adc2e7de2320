//! The file of `agon contest create`: reading, and checks that need no server. Pure.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use chrono::DateTime;
use proto::challenge::{Contest, ContestFormat, ContestProblem, ContestVisibility, Registration};
use serde::{Deserialize, Deserializer};
use serde_saphyr::Spanned;

const MAX_PROBLEMS: usize = 100;
const LONGEST: u64 = 60 * 24 * 3600;

/// A contest, with the lines of its values.
#[derive(Debug)]
pub struct Parsed {
    pub contest: Contest,
    pub problems: Vec<ContestProblem>,
    /// By the field of the request.
    lines: BTreeMap<String, u64>,
}

/// What is wrong with a line; 0 stands for the file as a whole.
#[derive(Debug, PartialEq, Eq)]
pub struct Error {
    line: u64,
    message: String,
}

impl Error {
    pub fn text(&self, file: &str) -> String {
        match self.line {
            0 => format!("error: {file}: {}\n", self.message),
            line => format!("error: {file}:{line}: {}\n", self.message),
        }
    }
}

impl Parsed {
    /// An error about a field of the request.
    pub fn error(&self, field: &str, message: &str) -> Error {
        let key = field.strip_prefix("contest.").unwrap_or(field);
        Error { line: self.line(field), message: format!("{key}: {message}") }
    }

    /// The line of a field, or else of the nearest value that contains it.
    fn line(&self, mut field: &str) -> u64 {
        loop {
            if let Some(line) = self.lines.get(field) {
                return *line;
            }
            let Some(end) = field.rfind(['.', '[']) else { return 0 };
            field = &field[..end];
        }
    }
}

/// `None` if the key is absent; the inner option is `None` for null.
type Value<T> = Option<Spanned<Option<T>>>;

fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Value<T>, D::Error> {
    Spanned::deserialize(deserializer).map(Some)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(default, deserialize_with = "present")]
    slug: Value<String>,
    #[serde(default, deserialize_with = "present")]
    title: Value<String>,
    #[serde(default, deserialize_with = "present")]
    description: Value<String>,
    #[serde(default, deserialize_with = "present")]
    start: Value<String>,
    #[serde(default, deserialize_with = "present")]
    duration: Value<String>,
    #[serde(default, deserialize_with = "present")]
    freeze: Value<String>,
    #[serde(default, deserialize_with = "present")]
    format: Value<String>,
    #[serde(default, deserialize_with = "present")]
    penalty: Value<i32>,
    #[serde(default, deserialize_with = "present")]
    visibility: Value<String>,
    #[serde(default, deserialize_with = "present")]
    registration: Value<String>,
    #[serde(default, deserialize_with = "present")]
    access_code: Value<String>,
    #[serde(default, deserialize_with = "present")]
    languages: Value<Vec<String>>,
    #[serde(default, deserialize_with = "present")]
    source_limit: Value<i32>,
    #[serde(default, deserialize_with = "present")]
    problems: Value<Vec<Spanned<Problem>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Problem {
    #[serde(default, deserialize_with = "present")]
    problem: Value<String>,
    #[serde(default, deserialize_with = "present")]
    label: Value<String>,
    #[serde(default, deserialize_with = "present")]
    color: Value<String>,
}

/// Collects the lines of values, and errors about them.
#[derive(Default)]
struct Reader {
    lines: BTreeMap<String, u64>,
    errors: Vec<Error>,
}

impl Reader {
    fn error(&mut self, line: u64, key: &str, message: impl std::fmt::Display) {
        self.errors.push(Error { line, message: format!("{key}: {message}") });
    }

    /// The value of an optional key, read by `read`. `field` is that of the request.
    fn take<T, U>(
        &mut self,
        (key, field): (&str, &str),
        value: Value<T>,
        read: impl FnOnce(T) -> Result<U, String>,
    ) -> Option<U> {
        let value = value?;
        let line = value.referenced.line();
        self.lines.insert(field.to_owned(), line);
        let read = value.value.ok_or_else(|| "has no value".to_owned()).and_then(read);
        read.map_err(|message| self.error(line, key, message)).ok()
    }

    fn need<T, U>(
        &mut self,
        keys: (&str, &str),
        value: Value<T>,
        read: impl FnOnce(T) -> Result<U, String>,
    ) -> Option<U> {
        if value.is_none() {
            self.error(0, keys.0, "is required");
        }
        self.take(keys, value, read)
    }
}

/// All errors of the file, or the contest.
pub fn parse(text: &str) -> Result<Parsed, Vec<Error>> {
    let options = serde_saphyr::options! { strict_booleans: true, with_snippet: false };
    let document: Document = match serde_saphyr::from_str_with_options(text, options) {
        Ok(document) => document,
        Err(error) => return Err(vec![invalid(&error)]),
    };
    let mut reader = Reader::default();
    let (contest, problems) = read(document, &mut reader);
    if !reader.errors.is_empty() {
        reader.errors.sort_by_key(|error| error.line);
        return Err(reader.errors);
    }
    Ok(Parsed { contest, problems, lines: reader.lines })
}

fn invalid(error: &serde_saphyr::Error) -> Error {
    let line = error.location().map_or(0, |location| location.line());
    let error = error.without_snippet();
    let message = error.render_with_formatter(&serde_saphyr::UserMessageFormatter);
    Error { line, message: message.chars().take(300).collect() }
}

fn read(document: Document, reader: &mut Reader) -> (Contest, Vec<ContestProblem>) {
    let mut contest = Contest::default();
    let keys = ("slug", "contest.slug");
    let slug = |slug: String| ids::slug::check(&slug).map(|()| slug).map_err(str::to_owned);
    contest.slug = reader.need(keys, document.slug, slug).unwrap_or_default();
    contest.title =
        reader.need(("title", "contest.title"), document.title, title).unwrap_or_default();
    let keys = ("description", "contest.description");
    contest.description = reader.take(keys, document.description, Ok).unwrap_or_default();
    let start =
        reader.need(("start", "contest.start_time"), document.start, |text: String| start(&text));
    contest.start_time = start.map(Into::into);
    let length = |text: String| seconds(&text, 1);
    let duration = reader.need(("duration", "contest.duration"), document.duration, length);
    contest.duration = duration.and_then(|it| Duration::from_secs(it).try_into().ok());
    let freeze = |text: String| match (seconds(&text, 0)?, duration) {
        (freeze, Some(duration)) if freeze > duration => {
            Err("must not be longer than the duration".into())
        }
        (freeze, _) => Ok(freeze),
    };
    let freeze = reader.take(("freeze", "contest.freeze_duration"), document.freeze, freeze);
    contest.freeze_duration = freeze.and_then(|it| Duration::from_secs(it).try_into().ok());
    let formats = [("icpc", ContestFormat::Icpc.into())];
    contest.format = choice(reader, ("format", "contest.format"), document.format, &formats);
    let penalty = |minutes| within(minutes, 0, 1440);
    contest.penalty_minutes =
        reader.take(("penalty", "contest.penalty_minutes"), document.penalty, penalty);
    let values = [
        ("public", ContestVisibility::Public.into()),
        ("private", ContestVisibility::Private.into()),
    ];
    let keys = ("visibility", "contest.visibility");
    contest.visibility = choice(reader, keys, document.visibility, &values);
    let values = [("open", Registration::Open.into()), ("code", Registration::Code.into())];
    let keys = ("registration", "contest.registration");
    contest.registration = choice(reader, keys, document.registration, &values);
    let has_code = document.access_code.is_some();
    let keys = ("access_code", "contest.access_code");
    contest.access_code = reader.take(keys, document.access_code, code).unwrap_or_default();
    if contest.registration == i32::from(Registration::Code) && !has_code {
        let line = reader.lines.get("contest.registration").copied().unwrap_or_default();
        reader.error(line, "access_code", "is required with `registration: code`");
    }
    let keys = ("languages", "contest.languages");
    contest.languages = reader.take(keys, document.languages, languages).unwrap_or_default();
    let limit = |bytes| within(bytes, 0, i32::MAX);
    let keys = ("source_limit", "contest.source_limit_bytes");
    contest.source_limit_bytes = reader.take(keys, document.source_limit, limit).unwrap_or(0);
    let given = reader.take(("problems", "problems"), document.problems, Ok).unwrap_or_default();
    (contest, problems(given, reader))
}

fn problems(given: Vec<Spanned<Problem>>, reader: &mut Reader) -> Vec<ContestProblem> {
    if given.len() > MAX_PROBLEMS {
        let line = given[MAX_PROBLEMS].referenced.line();
        reader.error(line, "problems", format!("must be at most 100, got {}", given.len()));
        return Vec::new();
    }
    let mut problems: Vec<ContestProblem> = Vec::new();
    for (index, given) in given.into_iter().enumerate() {
        let (line, Problem { problem, label, color }) = (given.referenced.line(), given.value);
        let base = format!("problems[{index}]");
        reader.lines.insert(base.clone(), line);
        if problem.is_none() {
            reader.error(line, "problem", "is required: the slug or id of the problem");
        }
        let field = format!("{base}.problem_id");
        let problem_id = reader.take(("problem", &field), problem, reference);
        let label_line = label.as_ref().map_or(line, |label| label.referenced.line());
        let unlabelled = label.is_none();
        let read = reader.take(("label", &format!("{base}.label")), label, label_of);
        let label = match unlabelled {
            true => default_label(index),
            false => read.unwrap_or_default(),
        };
        if problems.iter().any(|it| !label.is_empty() && it.label.eq_ignore_ascii_case(&label)) {
            let message = format!("must differ from the other labels, got {label} again");
            reader.error(label_line, "label", message);
        }
        let color = reader.take(("color", &format!("{base}.color")), color, color_of);
        problems.push(ContestProblem {
            label,
            problem_id: problem_id.unwrap_or_default(),
            color: color.unwrap_or_default(),
            ..ContestProblem::default()
        });
    }
    problems
}

/// A to Z, then A1 to Z1 and so on.
fn default_label(index: usize) -> String {
    let letter = char::from(b'A' + u8::try_from(index % 26).unwrap_or_default());
    match index / 26 {
        0 => letter.to_string(),
        round => format!("{letter}{round}"),
    }
}

fn choice(
    reader: &mut Reader,
    keys: (&str, &str),
    value: Value<String>,
    values: &[(&str, i32)],
) -> i32 {
    let read = |text: String| {
        let number = values.iter().find(|(name, _)| *name == text).map(|(_, number)| *number);
        number.ok_or_else(|| {
            let names: Vec<_> = values.iter().map(|(name, _)| *name).collect();
            format!("must be {}, got {}", names.join(" or "), shortened(&text))
        })
    };
    reader.take(keys, value, read).unwrap_or_default()
}

fn shortened(text: &str) -> String {
    format!("`{}`", text.chars().take(60).collect::<String>().escape_debug())
}

fn title(title: String) -> Result<String, String> {
    match title.trim().chars().count() {
        1..=200 => Ok(title),
        _ => Err("must have 1 to 200 characters".into()),
    }
}

fn code(code: String) -> Result<String, String> {
    match code.chars().count() {
        4..=128 => Ok(code),
        _ => Err("must have 4 to 128 characters".into()),
    }
}

fn languages(ids: Vec<String>) -> Result<Vec<String>, String> {
    if ids.len() > 100 || ids.iter().any(String::is_empty) {
        return Err("must be at most 100 ids of languages".into());
    }
    Ok(ids)
}

fn within(number: i32, min: i32, max: i32) -> Result<i32, String> {
    if !(min..=max).contains(&number) {
        return Err(format!("must be between {min} and {max}, got {number}"));
    }
    Ok(number)
}

fn start(text: &str) -> Result<SystemTime, String> {
    match DateTime::parse_from_rfc3339(text) {
        Ok(time) => Ok(time.to_utc().into()),
        Err(_) => Err(format!(
            "must be a time with its offset, such as 2030-10-05T10:00:00+02:00, got {}",
            shortened(text)
        )),
    }
}

/// Whole seconds, from a text such as `2h30m`.
fn seconds(text: &str, min: u64) -> Result<u64, String> {
    let sum = || {
        let (mut sum, mut rest) = (0u64, text);
        while !rest.is_empty() {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let number: u64 = rest[..digits].parse().ok()?;
            let unit = match rest.as_bytes().get(digits)? {
                b'd' => 24 * 3600,
                b'h' => 3600,
                b'm' => 60,
                b's' => 1,
                _ => return None,
            };
            sum = sum.checked_add(number.checked_mul(unit)?)?;
            rest = &rest[digits + 1..];
        }
        Some(sum)
    };
    let valid = sum().filter(|sum| !text.is_empty() && (min..=LONGEST).contains(sum));
    valid.ok_or_else(|| {
        format!("must be {min}s to 60d, such as 5h or 2h30m, got {}", shortened(text))
    })
}

fn reference(text: String) -> Result<String, String> {
    if ids::parse(&text).is_some() || ids::slug::check(&text).is_ok() {
        return Ok(text);
    }
    Err(format!("must be a problem id or a slug, got {}", shortened(&text)))
}

fn label_of(label: String) -> Result<String, String> {
    if (1..=8).contains(&label.len()) && label.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return Ok(label);
    }
    Err(format!("must have 1 to 8 letters and digits, got {}", shortened(&label)))
}

fn color_of(color: String) -> Result<String, String> {
    let digits = color.strip_prefix('#').unwrap_or_default();
    if digits.len() == 6 && digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Ok(color);
    }
    Err(format!("must be \"#\" and 6 hexadecimal digits, quoted, got {}", shortened(&color)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn errors(text: &str) -> Vec<String> {
        parse(text).unwrap_err().iter().map(|error| error.text("c.yaml")).collect()
    }

    #[test]
    fn printed_schema_is_a_valid_file() {
        let parsed = parse(super::super::SCHEMA).unwrap();
        assert_eq!(parsed.contest.slug, "autumn-round");
        assert_eq!(parsed.contest.start_time.unwrap().seconds, 1_917_417_600);
        assert_eq!(parsed.contest.duration.unwrap().seconds, 5 * 3600);
        assert_eq!(parsed.contest.freeze_duration.unwrap().seconds, 3600);
        assert_eq!(parsed.contest.penalty_minutes, Some(20));
        let labels: Vec<_> = parsed.problems.iter().map(|it| it.label.as_str()).collect();
        assert_eq!(labels, ["A", "B"]);
        assert_eq!(parsed.problems[0].color, "#D32F2F");
    }

    #[test]
    fn every_error_names_its_line() {
        let text = "slug: No\ntitle: T\nstart: tomorrow\nduration: 5 hours\nformat: golf\n\
                    registration: code\nproblems:\n  - problem: paper-lanterns\n    label: A\n    \
                    color: #FF0000\n  - label: a\n    color: red\n";
        let found = errors(text).concat();
        for expected in [
            "c.yaml:1: slug: must have 3",
            "c.yaml:3: start: must be a time",
            "c.yaml:4: duration: must be 1s to 60d",
            "c.yaml:5: format: must be icpc, got `golf`",
            "c.yaml:6: access_code: is required",
            "c.yaml:10: color: has no value",
            "c.yaml:11: problem: is required",
            "c.yaml:11: label: must differ",
            "c.yaml:12: color: must be \"#\"",
        ] {
            assert!(found.contains(expected), "{expected}: {found}");
        }
        assert_eq!(found.lines().count(), 9, "{found}");
    }

    #[test]
    fn missing_and_unknown_keys_are_errors() {
        let found = errors("{}").concat();
        for key in ["slug", "title", "start", "duration"] {
            assert!(found.contains(&format!("c.yaml: {key}: is required")), "{found}");
        }
        assert!(errors("slug: abc\nmoonphase: full\n")[0].starts_with("error: c.yaml:2: "));
        assert!(errors("slug: [a\ntitle")[0].starts_with("error: c.yaml:"));
        assert!(errors("slug: abc\nslug: abd\n")[0].starts_with("error: c.yaml:2: "));
        assert!(errors("penalty: many\n")[0].starts_with("error: c.yaml:1: "));
        assert!(!errors("").is_empty());
    }

    #[test]
    fn errors_of_the_server_name_their_lines() {
        let text = "slug: abc\ntitle: T\nstart: 2030-01-01T00:00:00Z\nduration: 1h\nproblems:\n\
                    - problem: one-two\n- problem: three\n";
        let parsed = parse(text).unwrap();
        for (field, line) in [
            ("contest.title", 2),
            ("problems[1].problem_id", 7),
            ("problems[1].color", 7),
            ("problems", 6),
            ("contest.description", 0),
        ] {
            assert_eq!(parsed.error(field, "x").line, line, "{field}");
        }
    }

    #[test]
    fn durations_are_sums_of_units() {
        for (text, expected) in
            [("5h", Some(18_000)), ("1d2h3m4s", Some(93_784)), ("60d", Some(LONGEST))]
        {
            assert_eq!(seconds(text, 1).ok(), expected, "{text}");
        }
        for text in ["", "5", "h", "61d", "0s", "-1h", "5x", "99999999999999999999h", "5hä"] {
            assert!(seconds(text, 1).is_err(), "{text}");
        }
    }
}
