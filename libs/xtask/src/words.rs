//! Refuses words and phrases that do not say what they mean, in comments, Markdown and messages.
//!
//! Not checked: code, text in backticks, and string literals of one word, which are data.

use crate::Finding;
use crate::files::NOT_WRITTEN;
use crate::text::{self, Passage};
use crate::tree::{Error, Tree};

/// This file contains the words that it refuses.
const THIS: &str = "libs/xtask/src/words.rs";

/// Refused words, in lower case, with what to write instead.
const WORDS: &[(&str, &str)] = &[
    ("whoever", "name the role, such as the caller or the lease holder"),
    ("nobody", "\"no user\", \"no process\" or \"no operator\""),
    ("somebody", "\"a user\", \"a process\" or \"an operator\""),
    ("meanwhile", "\"while …\" or \"until …\", with the event"),
    ("go on", "\"continue\" or \"resume\""),
    ("goes on", "\"continues\" or \"resumes\""),
    ("going on", "\"continuing\" or \"in progress\""),
    ("went on", "\"continued\" or \"resumed\""),
    ("so many", "the number or the limit"),
    ("lean on", "\"depend on\""),
    ("leans on", "\"depends on\""),
    ("is none", "\"does not exist\" or \"is not a …\""),
    ("that of others", "name the owner"),
    ("those of others", "name the owner"),
    ("tell of itself", "\"report\""),
    ("tells of itself", "\"reports\""),
    ("hand in", "\"submit\""),
    ("handed in", "\"submitted\""),
    ("hands in", "\"submits\""),
    ("good-bye", "\"close\" or \"shut down\""),
];

pub fn check(tree: &Tree) -> Result<Vec<Finding>, Error> {
    let mut files = tree.files()?;
    files.retain(|file| is_checked(file));
    let texts = files.iter().filter_map(|file| Some((file, tree.read(file)?)));
    Ok(texts.flat_map(|(file, text)| check_text(file, &text)).collect())
}

/// Released migrations are exempt: `libs/db/src/migrate.rs` stores a checksum of their text and refuses to start when it
/// has changed, so that even a comment in them must stay as it is.
fn is_checked(file: &str) -> bool {
    file != THIS && !NOT_WRITTEN.contains(&file) && !file.starts_with("migrations/")
}

fn check_text(file: &str, text: &str) -> Vec<Finding> {
    let passages = text::passages(file, text);
    passages.iter().flat_map(|passage| check_passage(file, passage)).collect()
}

fn check_passage(file: &str, passage: &Passage) -> Vec<Finding> {
    let text = without_code(&passage.text).to_lowercase();
    let found = WORDS.iter().filter(|(word, _)| contains(&text, word));
    let line = passage.line;
    found.map(|(word, instead)| format!("{file}:{line}: {word:?}: write {instead}")).collect()
}

/// The text without what is in backticks.
fn without_code(text: &str) -> String {
    text.split('`').step_by(2).collect::<Vec<_>>().join("`")
}

/// Whether the text contains the phrase, not as part of a longer word or identifier.
fn contains(text: &str, phrase: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(phrase).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + phrase.len()..].chars().next();
        !before.is_some_and(is_word) && !after.is_some_and(is_word)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(file: &str, text: &str, expected: &[&str]) {
        let findings = check_text(file, text);
        let words: Vec<&str> = findings.iter().filter_map(|f| f.split('"').nth(1)).collect();
        assert_eq!(words, expected, "{findings:?}");
    }

    #[test]
    fn words_are_matched_whole_and_in_any_case() {
        check("a.md", "Whoever's turn it is, and nobody-else", &["whoever", "nobody"]);
        check("a.md", "nobodyx, nobody_else, cargo online, ergo on", &[]);
        check("a.md", "It goes on.", &["goes on"]);
    }

    #[test]
    fn comments_and_messages_are_checked_and_data_is_not() {
        check("a.rs", "let user = \"nobody\"; // so many users", &["so many"]);
        check("a.rs", "panic!(\"nobody is here\");", &["nobody"]);
        check("a.rs", "fn go_on() { nobody.meanwhile() }", &[]);
        check("a.rs", "/// Runs as `nobody`.", &[]);
    }

    #[test]
    fn migrations_are_exempt() {
        assert!(!is_checked("migrations/every/postgres/0005_relay.sql"));
        assert!(is_checked("libs/db/src/migrate.rs"));
    }

    #[test]
    fn findings_have_line_and_suggestion() {
        let findings = check_text("a.sql", "SELECT 1;\n-- leans on it\n");
        assert_eq!(findings, ["a.sql:2: \"leans on\": write \"depends on\""]);
    }
}
