//! What somebody wants to hand in, before anything is known to be right about it.

/// The most bytes of a program anywhere; a problem may allow less.
pub const MAX_SOURCE: usize = 256 * 1024;
/// The most bytes of a request id.
pub const MAX_REQUEST_ID: usize = 128;

/// A submission as its author sends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// Id or slug of the problem.
    pub problem: String,
    /// The language.
    pub language: String,
    /// The program.
    pub source: String,
    /// Makes a retry safe; empty = none.
    pub request_id: String,
}

/// A field that is wrong, and what would be right.
pub type Wrong = (&'static str, String);

impl Draft {
    /// Everything that is wrong whatever the problem and the languages on offer are.
    pub fn check(&self, source_limit: usize) -> Vec<Wrong> {
        let mut wrong = Vec::new();
        if !is_problem(&self.problem) {
            wrong.push(("problem_id", "is not an id or a slug; give one of ListProblems".into()));
        }
        if !is_language(&self.language) {
            let text = "is not the id of a language; give a language_id of ListLanguages";
            wrong.push(("language", text.into()));
        }
        if self.source.is_empty() {
            wrong.push(("source", "is empty; give the program's text".into()));
        }
        wrong.extend(self.check_size(source_limit));
        if self.request_id.len() > MAX_REQUEST_ID {
            let text = format!("is {} bytes; give at most {MAX_REQUEST_ID}", self.request_id.len());
            wrong.push(("request_id", text));
        }
        if self.request_id.contains('\0') {
            wrong.push(("request_id", "holds a zero byte; give any other text".into()));
        }
        wrong
    }

    /// What is wrong with the program's size under a limit.
    pub fn check_size(&self, limit: usize) -> Option<Wrong> {
        let size = self.source.len();
        (size > limit).then(|| ("source", format!("is {size} bytes; give at most {limit}")))
    }
}

/// Whether a text can name a user; the rules of usernames are the auth service's.
pub fn is_username(text: &str) -> bool {
    let odd = |c: char| c.is_whitespace() || c.is_control();
    !text.is_empty() && text.len() <= 64 && !text.contains(odd)
}

/// Whether a text can name a problem.
pub fn is_problem(text: &str) -> bool {
    ids::parse(text).is_some() || ids::slug::check(text).is_ok()
}

/// Whether a text can be the id of a language.
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
        let wrong: Vec<&str> = draft.check(100).into_iter().map(|(field, _)| field).collect();
        assert_eq!(wrong, fields);
    }

    #[test]
    fn names_every_wrong_field() {
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
