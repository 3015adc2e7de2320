//! A submission request before validation.

use service::MAX_REQUEST_ID;

/// The largest source in bytes. A problem may set a lower limit.
pub const MAX_SOURCE: usize = 256 * 1024;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// Id or slug.
    pub problem: String,
    pub language: String,
    pub source: String,
    /// Empty = none.
    pub request_id: String,
}

/// The field, what is wrong with it, and what would be right.
pub type Violation = (&'static str, String);

impl Draft {
    /// The violations that do not depend on the problem and the available languages.
    pub fn check(&self, source_limit: usize) -> Vec<Violation> {
        let mut violations = Vec::new();
        if !is_problem(&self.problem) {
            violations.push(("problem_id", "must be a problem id or a slug".into()));
        }
        if !is_language(&self.language) {
            let text = "must be a language_id from ListLanguages";
            violations.push(("language", text.into()));
        }
        if self.source.is_empty() {
            violations.push(("source", "must not be empty".into()));
        }
        violations.extend(self.check_size(source_limit));
        if self.request_id.len() > MAX_REQUEST_ID {
            let text =
                format!("must have at most {MAX_REQUEST_ID} bytes, got {}", self.request_id.len());
            violations.push(("request_id", text));
        }
        if self.request_id.contains('\0') {
            violations.push(("request_id", "must not contain a NUL character".into()));
        }
        violations
    }

    pub fn check_size(&self, limit: usize) -> Option<Violation> {
        let size = self.source.len();
        (size > limit).then(|| ("source", format!("must have at most {limit} bytes, got {size}")))
    }
}

/// Whether a text may be a username. The auth service has the exact rules.
pub fn is_username(text: &str) -> bool {
    let odd = |c: char| c.is_whitespace() || c.is_control();
    !text.is_empty() && text.len() <= 64 && !text.contains(odd)
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

    fn good() -> Draft {
        Draft {
            problem: "a-plus-b".into(),
            language: "cpp20".into(),
            source: "int main() {}".into(),
            request_id: String::new(),
        }
    }

    #[track_caller]
    fn check(change: impl FnOnce(&mut Draft), fields: &[&str]) {
        let mut draft = good();
        change(&mut draft);
        let fields_found: Vec<&str> =
            draft.check(100).into_iter().map(|(field, _)| field).collect();
        assert_eq!(fields_found, fields);
    }

    #[test]
    fn every_invalid_field_is_named() {
        check(|_| {}, &[]);
        check(|d| d.problem = "0192f0c1-2345-7abc-8def-0123456789ab".into(), &[]);
        check(|d| d.problem = String::new(), &["problem_id"]);
        check(|d| d.problem = "A+B".into(), &["problem_id"]);
        check(|d| d.language = String::new(), &["language"]);
        check(|d| d.language = "C++".into(), &["language"]);
        check(|d| d.language = "l".repeat(33), &["language"]);
        check(|d| d.source = String::new(), &["source"]);
        check(|d| d.source = "x".repeat(100), &[]);
        check(|d| d.source = "x".repeat(101), &["source"]);
        check(|d| d.request_id = "ü".repeat(64), &[]);
        check(|d| d.request_id = "ü".repeat(65), &["request_id"]);
        check(|d| d.request_id = "a\0b".into(), &["request_id"]);
        let all = &["problem_id", "language", "source", "request_id"];
        check(
            |d| {
                let request_id = "r".repeat(200);
                *d = Draft {
                    problem: "".into(),
                    language: "".into(),
                    source: "".into(),
                    request_id,
                };
            },
            all,
        );
    }
}
