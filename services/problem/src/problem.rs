//! A problem and its rules. Pure.

use std::fmt;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::version::Summary;

/// Who may see a problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visibility {
    /// Its owner and those who may edit it.
    Draft,
    /// As a draft, but finished.
    Private,
    /// Everyone.
    Public,
}

impl Visibility {
    /// As it is stored.
    pub fn name(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Private => "private",
            Self::Public => "public",
        }
    }

    /// From what is stored.
    pub fn of(name: &str) -> Self {
        match name {
            "public" => Self::Public,
            "private" => Self::Private,
            _ => Self::Draft,
        }
    }
}

impl fmt::Display for Visibility {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A problem.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    /// Its id.
    pub id: Uuid,
    /// Its name in addresses.
    pub slug: String,
    /// Its title in the default language.
    pub title: String,
    /// Who may see it.
    pub visibility: Visibility,
    /// Sorted.
    pub tags: Vec<String>,
    /// 0 = unknown.
    pub difficulty: i64,
    /// Whose it is.
    pub owner_id: Uuid,
    /// Who wrote it.
    pub authors: Vec<String>,
    /// The `uuid` of its package.
    pub package_id: Option<String>,
    /// What contestants get; 0 = nothing yet.
    pub published_version: i64,
    /// The newest version; 0 = none.
    pub last_version: i64,
    /// Rises with every change.
    pub version: i64,
    /// What the published version adds: its time limit and its summary.
    pub published: Option<(Option<i64>, Summary)>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
    /// When it was deleted.
    pub deleted_at: Option<DateTime<Utc>>,
}

impl Problem {
    /// Changes with every change.
    pub fn etag(&self) -> String {
        format!("{:x}", self.version)
    }

    /// Whether a caller's etag is right; an empty one always is.
    pub fn matches(&self, etag: &str) -> bool {
        etag.is_empty() || etag == self.etag()
    }

    /// Whether everyone may see it.
    pub fn is_public(&self) -> bool {
        self.visibility == Visibility::Public && self.published_version > 0
    }

    /// What a search looks into.
    pub fn search_text(&self) -> String {
        format!("{} {}", self.title.to_lowercase(), self.slug)
    }
}

/// What is wrong with a value, by field.
pub type Wrong = Vec<(String, String)>;

/// Checks a title.
pub fn check_title(title: &str) -> Result<(), String> {
    let fine = (1..=200).contains(&title.chars().count())
        && !title.trim().is_empty()
        && !title.chars().any(char::is_control);
    if fine { Ok(()) } else { Err("must have 1 to 200 characters, none of them a control".into()) }
}

/// Sorts and checks tags.
pub fn check_tags(tags: &[String]) -> Result<Vec<String>, String> {
    let mut sorted = tags.to_vec();
    sorted.sort();
    sorted.dedup();
    if sorted.len() > 20 {
        return Err("must be at most 20 tags".into());
    }
    if sorted.iter().any(|tag| !is_tag(tag)) {
        return Err("must each have 1 to 40 of a-z, 0-9 and '-'".into());
    }
    Ok(sorted)
}

fn is_tag(tag: &str) -> bool {
    let fine = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=40).contains(&tag.len()) && tag.bytes().all(fine)
}

/// The tags that a package's keywords become; what cannot be one is left out.
pub fn tags_of(keywords: &[String]) -> Vec<String> {
    let mut tags: Vec<String> =
        keywords.iter().map(|keyword| squeeze(keyword, 40)).filter(|tag| is_tag(tag)).collect();
    tags.sort();
    tags.dedup();
    tags.truncate(20);
    tags
}

/// Checks a difficulty.
pub fn check_difficulty(difficulty: i32) -> Result<(), String> {
    match difficulty {
        0 | 100..=4000 => Ok(()),
        _ => Err("must be 0 (unknown) or 100 to 4000".into()),
    }
}

/// Checks names of authors.
pub fn check_authors(authors: &[String]) -> Result<(), String> {
    let fine = |name: &String| check_title(name).is_ok();
    if authors.len() <= 20 && authors.iter().all(fine) {
        return Ok(());
    }
    Err("must be at most 20 names of 1 to 200 characters".into())
}

/// Lower-case ASCII letters and digits, everything else a hyphen, none doubled or at the ends.
fn squeeze(text: &str, max: usize) -> String {
    let mut out = String::new();
    for c in text.chars().flat_map(char::to_lowercase) {
        if c.is_ascii_alphanumeric() {
            out.push(c);
        } else if !out.is_empty() && !out.ends_with('-') {
            out.push('-');
        }
    }
    out.truncate(max);
    out.trim_end_matches('-').to_owned()
}

/// A slug made of a name; `None` when nothing of it can stand in one.
pub fn slug_of(name: &str) -> Option<String> {
    let mut slug = squeeze(name, 56);
    if !slug.starts_with(|c: char| c.is_ascii_lowercase()) {
        slug.insert_str(0, "p-");
    }
    let slug = slug.trim_end_matches('-').to_owned();
    ids::slug::check(&slug).is_ok().then_some(slug)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs_of_names() {
        let check = |name, slug: Option<&str>| assert_eq!(slug_of(name).as_deref(), slug, "{name}");
        check("Hello, World!", Some("hello-world"));
        check("2 + 2", Some("p-2-2"));
        check("Äpfel", Some("pfel"));
        check("問題", None);
        check("a", None);
        check("", None);
        check(&"x".repeat(300), Some(&"x".repeat(56)));
    }

    #[test]
    fn tags() {
        let list = |tags: &[&str]| tags.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>();
        assert_eq!(check_tags(&list(&["b", "a", "a"])), Ok(list(&["a", "b"])));
        assert!(check_tags(&list(&["A"])).is_err() && check_tags(&list(&[""])).is_err());
        assert!(check_tags(&(0..21).map(|i| format!("t{i}")).collect::<Vec<_>>()).is_err());
        assert_eq!(tags_of(&list(&["Binary Search", "dp", "動", "dp"])), ["binary-search", "dp"]);
    }

    #[test]
    fn titles_and_difficulties() {
        assert!(check_title("é").is_ok());
        assert!(
            check_title("").is_err() && check_title(" ").is_err() && check_title("a\nb").is_err()
        );
        assert!(check_title(&"é".repeat(201)).is_err());
        assert!(check_difficulty(0).is_ok() && check_difficulty(4000).is_ok());
        assert!(check_difficulty(99).is_err() && check_difficulty(-1).is_err());
    }
}
