//! Validation of contests in requests. Pure.

use chrono::{DateTime, TimeDelta, Utc};
use proto::challenge as pb;
use rpc::Violations;

use crate::contest::{Contest, Format, Registration, Visibility};
use crate::request::{self as submission, MAX_SOURCE};

/// The longest description, in bytes.
const MAX_DESCRIPTION: usize = 64 * 1024;
const MAX_LANGUAGES: usize = 100;
/// The most problems of a contest.
pub const MAX_PROBLEMS: usize = 100;
const MAX_PENALTY_MINUTES: i32 = 1440;
const SHORTEST: i64 = 1;
/// 60 days.
const LONGEST: i64 = 60 * 24 * 3600;
/// The longest extra time of a participant, in seconds: 7 days.
const MAX_EXTRA_TIME: i64 = 7 * 24 * 3600;

/// The fields that organisers can set.
pub const FIELDS: [&str; 13] = [
    "slug",
    "title",
    "description",
    "visibility",
    "format",
    "start_time",
    "duration",
    "freeze_duration",
    "penalty_minutes",
    "registration",
    "access_code",
    "languages",
    "source_limit_bytes",
];

/// Those that are fixed once the contest has started.
pub const FIXED_AT_START: [&str; 5] =
    ["format", "start_time", "duration", "freeze_duration", "penalty_minutes"];

/// The fields that an update changes: the mask, or without one, the fields that are set. The error names a field of
/// the mask that cannot be updated.
pub fn fields(mask: &[String], draft: &pb::Contest) -> Result<Vec<&'static str>, String> {
    if mask.iter().any(|path| path == "*") {
        return Ok(FIELDS.to_vec());
    }
    if mask.is_empty() {
        return Ok(FIELDS.into_iter().filter(|field| is_set(draft, field)).collect());
    }
    let known = |path: &String| {
        let path = path.strip_prefix("contest.").unwrap_or(path);
        FIELDS.into_iter().find(|field| *field == path).ok_or_else(|| {
            let shown: String = path.chars().take(60).collect();
            format!("`{shown}` cannot be updated; must be one of {}", FIELDS.join(", "))
        })
    };
    mask.iter().map(known).collect()
}

fn is_set(draft: &pb::Contest, field: &str) -> bool {
    match field {
        "slug" => !draft.slug.is_empty(),
        "title" => !draft.title.is_empty(),
        "description" => !draft.description.is_empty(),
        "visibility" => draft.visibility != 0,
        "format" => draft.format != 0,
        "start_time" => draft.start_time.is_some(),
        "duration" => draft.duration.is_some(),
        "freeze_duration" => draft.freeze_duration.is_some(),
        "penalty_minutes" => draft.penalty_minutes.is_some(),
        "registration" => draft.registration != 0,
        "access_code" => !draft.access_code.is_empty(),
        "languages" => !draft.languages.is_empty(),
        _ => draft.source_limit_bytes != 0,
    }
}

/// The times of a contest while they are changed: the freeze is counted from the end.
struct Times {
    start: DateTime<Utc>,
    duration: TimeDelta,
    freeze: TimeDelta,
}

impl Times {
    fn of(contest: &Contest) -> Self {
        let duration = contest.ends_at - contest.starts_at;
        let freeze = contest.freezes_at.map(|at| contest.ends_at - at).unwrap_or_default();
        Self { start: contest.starts_at, duration, freeze }
    }

    fn set(&self, contest: &mut Contest) {
        contest.starts_at = self.start;
        contest.ends_at = self.start + self.duration;
        let freeze = Some(self.freeze).filter(|freeze| *freeze > TimeDelta::zero());
        contest.freezes_at = freeze.map(|freeze| contest.ends_at - freeze);
    }
}

/// Sets valid fields and collects violations of the others.
pub fn apply(
    contest: &mut Contest,
    draft: &pb::Contest,
    fields: &[&str],
    violations: &mut Violations,
) {
    let (mut times, mut refused) = (Times::of(contest), Vec::new());
    for field in fields {
        if let Err(what) = apply_field(contest, &mut times, draft, field) {
            violations.add(format!("contest.{field}"), what);
            refused.push(*field);
        }
    }
    if times.freeze > times.duration && !refused.contains(&"duration") {
        violations.add("contest.freeze_duration", "must not be longer than the duration");
    }
    let has_code = !contest.access_code.is_empty() || refused.contains(&"access_code");
    if contest.registration == Registration::Code && !has_code {
        violations.add("contest.access_code", "is required with REGISTRATION_CODE");
    }
    times.set(contest);
}

fn apply_field(
    contest: &mut Contest,
    times: &mut Times,
    draft: &pb::Contest,
    field: &str,
) -> Result<(), String> {
    match field {
        "slug" => {
            ids::slug::check(&draft.slug)?;
            contest.slug.clone_from(&draft.slug);
        }
        "title" => {
            if draft.title.trim().is_empty() {
                return Err("must have 1 to 200 characters".into());
            }
            text::check_line(&draft.title, 200).map_err(|refusal| refusal.to_string())?;
            draft.title.trim().clone_into(&mut contest.title);
        }
        "description" => {
            if draft.description.len() > MAX_DESCRIPTION || draft.description.contains('\0') {
                return Err("must have at most 65536 bytes, and no NUL character".into());
            }
            contest.description.clone_from(&draft.description);
        }
        "visibility" => contest.visibility = visibility(draft.visibility)?,
        "format" => contest.format = format(draft.format)?,
        "start_time" => times.start = start(draft.start_time.as_ref())?,
        "duration" => times.duration = duration(draft.duration.as_ref())?,
        "freeze_duration" => {
            times.freeze = seconds(draft.freeze_duration.as_ref(), 0, LONGEST)?;
        }
        "penalty_minutes" => match draft.penalty_minutes.unwrap_or(20) {
            minutes @ 0..=MAX_PENALTY_MINUTES => contest.penalty_minutes = minutes.into(),
            minutes => return Err(format!("must be between 0 and 1440, got {minutes}")),
        },
        "registration" => contest.registration = registration(draft.registration)?,
        "access_code" => contest.access_code = access_code(&draft.access_code)?,
        "languages" => contest.languages = languages(&draft.languages)?,
        _ => contest.source_limit = source_limit(draft.source_limit_bytes)?,
    }
    Ok(())
}

fn visibility(number: i32) -> Result<Visibility, String> {
    match pb::ContestVisibility::try_from(number) {
        Ok(pb::ContestVisibility::Unspecified | pb::ContestVisibility::Public) => {
            Ok(Visibility::Public)
        }
        Ok(pb::ContestVisibility::Private) => Ok(Visibility::Private),
        Err(_) => Err("must be a value of the enum ContestVisibility".into()),
    }
}

fn format(number: i32) -> Result<Format, String> {
    match pb::ContestFormat::try_from(number) {
        Ok(pb::ContestFormat::Unspecified | pb::ContestFormat::Icpc) => Ok(Format::Icpc),
        Err(_) => Err("must be a value of the enum ContestFormat".into()),
    }
}

fn registration(number: i32) -> Result<Registration, String> {
    match pb::Registration::try_from(number) {
        Ok(pb::Registration::Unspecified | pb::Registration::Open) => Ok(Registration::Open),
        Ok(pb::Registration::Code) => Ok(Registration::Code),
        Err(_) => Err("must be a value of the enum Registration".into()),
    }
}

fn access_code(code: &str) -> Result<String, String> {
    if !code.is_empty() {
        text::check_line(code, 128).map_err(|refusal| refusal.to_string())?;
        if code.chars().count() < 4 {
            return Err("must have 4 to 128 characters".into());
        }
    }
    Ok(code.to_owned())
}

fn languages(ids: &[String]) -> Result<Vec<String>, String> {
    let mut languages = ids.to_vec();
    languages.sort();
    languages.dedup();
    if languages.len() > MAX_LANGUAGES || !languages.iter().all(|id| submission::is_language(id)) {
        return Err("must be at most 100 ids of ListLanguages".into());
    }
    Ok(languages)
}

fn source_limit(bytes: i32) -> Result<i64, String> {
    match usize::try_from(bytes) {
        Ok(size) if size <= MAX_SOURCE => Ok(bytes.into()),
        _ => Err(format!("must be between 0 and {MAX_SOURCE}, got {bytes}")),
    }
}

fn start(time: Option<&prost_types::Timestamp>) -> Result<DateTime<Utc>, String> {
    let time = time.ok_or("is required")?;
    let nanos = u32::try_from(time.nanos).map_err(|_| "must be a valid time")?;
    // Years that every client and database can represent.
    let sane = |at: &DateTime<Utc>| (1970..=9998).contains(&chrono::Datelike::year(at));
    let at = DateTime::from_timestamp(time.seconds, nanos).filter(sane);
    let at = at.ok_or("must be a time between 1970 and 9998")?;
    // Databases store microseconds.
    Ok(DateTime::from_timestamp_micros(at.timestamp_micros()).unwrap_or(at))
}

/// The time from start to end.
pub fn duration(duration: Option<&prost_types::Duration>) -> Result<TimeDelta, String> {
    if duration.is_none() {
        return Err("is required: 1 s to 60 days".into());
    }
    seconds(duration, SHORTEST, LONGEST)
}

/// A moment of a contest, counted from its start.
pub fn contest_time(time: Option<&prost_types::Duration>) -> Result<TimeDelta, String> {
    seconds(time, 0, LONGEST)
}

pub fn extra_time(duration: Option<&prost_types::Duration>) -> Result<TimeDelta, String> {
    seconds(duration, 0, MAX_EXTRA_TIME)
}

/// Whole seconds between two bounds; an absent duration is 0.
pub fn seconds(
    duration: Option<&prost_types::Duration>,
    min: i64,
    max: i64,
) -> Result<TimeDelta, String> {
    let prost_types::Duration { seconds, nanos } = duration.copied().unwrap_or_default();
    if nanos != 0 || !(min..=max).contains(&seconds) {
        return Err(format!("must be {min} to {max} whole seconds, got {seconds}.{nanos:09}"));
    }
    Ok(TimeDelta::seconds(seconds))
}

/// Collects violations of the problems of a request, named `problems[i].field`.
pub fn check_problems(problems: &[pb::ContestProblem], violations: &mut Violations) {
    if problems.len() > MAX_PROBLEMS {
        violations.add("problems", format!("must be at most 100, got {}", problems.len()));
        return;
    }
    for (index, problem) in problems.iter().enumerate() {
        let at = |field: &str| format!("problems[{index}].{field}");
        if !is_label(&problem.label) {
            violations.add(at("label"), "must have 1 to 8 letters and digits");
        }
        let earlier = &problems[..index];
        if earlier.iter().any(|it| it.label.eq_ignore_ascii_case(&problem.label)) {
            violations.add(at("label"), "must differ from the other labels");
        }
        if !submission::is_problem(&problem.problem_id) {
            violations.add(at("problem_id"), "must be a problem id or a slug");
        }
        if !problem.color.is_empty() && !is_color(&problem.color) {
            violations.add(at("color"), "must be empty, or # and 6 hexadecimal digits");
        }
    }
}

pub fn is_label(text: &str) -> bool {
    (1..=8).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric())
}

fn is_color(text: &str) -> bool {
    let digits = text.strip_prefix('#');
    digits.is_some_and(|it| it.len() == 6 && it.bytes().all(|b| b.is_ascii_hexdigit()))
}
