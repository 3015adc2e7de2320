//! Validation of requests, as far as it needs no other service.

use proto::challenge::CreateSubmissionRequest;
use rpc::Violations;

use crate::contest::request::is_label;

/// The largest source in bytes. A problem may set a lower limit.
pub const MAX_SOURCE: usize = 256 * 1024;

/// The violations that do not depend on the problem and the available languages.
pub fn check(request: &CreateSubmissionRequest, source_limit: usize) -> Violations {
    let CreateSubmissionRequest { problem_id, language, source, request_id, challenge_id } =
        request;
    let mut violations = Violations::default();
    if challenge_id.is_empty() {
        violations.check(is_problem(problem_id), "problem_id", "must be a problem id or a slug");
    } else {
        let what = "must be a label of the contest, a problem id or a slug";
        violations.check(is_label(problem_id) || is_problem(problem_id), "problem_id", what);
        let what = "must be a contest id or a slug";
        violations.check(is_problem(challenge_id), "challenge_id", what);
    }
    violations.check(is_language(language), "language", "must be a language_id from ListLanguages");
    violations.check(!source.is_empty(), "source", "must not be empty");
    check_size(&mut violations, source, source_limit);
    service::check_request_id(&mut violations, request_id);
    violations
}

pub fn check_size(violations: &mut Violations, source: &str, limit: usize) {
    let size = source.len();
    if size > limit {
        violations.add("source", format!("must have at most {limit} bytes, got {size}"));
    }
}

/// Whether a text may be a username. The auth service has the exact rules.
pub fn is_username(text: &str) -> bool {
    let forbidden = |c: char| c.is_whitespace() || c.is_control();
    !text.is_empty() && text.len() <= 64 && !text.contains(forbidden)
}

pub fn is_problem(text: &str) -> bool {
    ids::parse(text).is_some() || ids::slug::check(text).is_ok()
}

pub fn is_language(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"+-._".contains(&b);
    (1..=32).contains(&text.len())
        && text.as_bytes()[0].is_ascii_lowercase()
        && text.bytes().all(inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn rejects(change: impl FnOnce(&mut CreateSubmissionRequest), fields: &[&str]) {
        let mut request = CreateSubmissionRequest {
            problem_id: "a-plus-b".into(),
            language: "cpp20".into(),
            source: "int main() {}".into(),
            request_id: String::new(),
            challenge_id: String::new(),
        };
        change(&mut request);
        let violations = check(&request, 100).into_result().err();
        let found = violations.map(|status| rpc::status::fields(&status)).unwrap_or_default();
        let found: Vec<String> = found.into_iter().map(|(field, _)| field).collect();
        assert_eq!(found, fields);
    }

    #[test]
    fn every_invalid_field_is_named() {
        rejects(|_| {}, &[]);
        rejects(|r| r.problem_id = "0192f0c1-2345-7abc-8def-0123456789ab".into(), &[]);
        rejects(|r| r.problem_id = String::new(), &["problem_id"]);
        rejects(|r| r.problem_id = "A+B".into(), &["problem_id"]);
        rejects(|r| (r.challenge_id, r.problem_id) = ("finals".into(), "A".into()), &[]);
        rejects(|r| r.challenge_id = "Finals!".into(), &["challenge_id"]);
        rejects(|r| r.language = String::new(), &["language"]);
        rejects(|r| r.language = "C++".into(), &["language"]);
        rejects(|r| r.language = "l".repeat(33), &["language"]);
        rejects(|r| r.source = String::new(), &["source"]);
        rejects(|r| r.source = "x".repeat(100), &[]);
        rejects(|r| r.source = "x".repeat(101), &["source"]);
        rejects(|r| r.request_id = "ü".repeat(64), &[]);
        rejects(|r| r.request_id = "ü".repeat(65), &["request_id"]);
        rejects(|r| r.request_id = "a\0b".into(), &["request_id"]);
        let all = &["problem_id", "language", "source", "request_id"];
        let request_id = "r".repeat(200);
        rejects(|r| *r = CreateSubmissionRequest { request_id, ..Default::default() }, all);
    }
}
