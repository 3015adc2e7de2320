//! Problems and their validation. Pure.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::version::Summary;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visibility {
    /// Visible to its owner and users who may edit it.
    Draft,
    /// Like a draft, but finished.
    Private,
    Public,
}

impl Visibility {
    /// The name in the database.
    pub fn name(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Private => "private",
            Self::Public => "public",
        }
    }

    /// From the name in the database.
    pub fn of(name: &str) -> Self {
        match name {
            "public" => Self::Public,
            "private" => Self::Private,
            _ => Self::Draft,
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    pub id: Uuid,
    /// Unique name in URLs.
    pub slug: String,
    /// In the default language.
    pub title: String,
    pub visibility: Visibility,
    /// Sorted.
    pub tags: Vec<String>,
    /// 100 to 4000; 0 = unknown.
    pub difficulty: i64,
    pub owner_id: Uuid,
    pub authors: Vec<String>,
    pub package_id: Option<String>,
    /// The version that contestants see; 0 = none.
    pub published_version: i64,
    /// The newest version; 0 = none.
    pub last_version: i64,
    /// Increases with every change.
    pub version: i64,
    /// Time limit and summary of the published version.
    pub published: Option<(Option<i64>, Summary)>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub deleted_at: Option<DateTime<Utc>>,
}

impl Problem {
    pub fn etag(&self) -> String {
        format!("{:x}", self.version)
    }

    /// Whether the etag is empty or current.
    pub fn matches(&self, etag: &str) -> bool {
        etag.is_empty() || etag == self.etag()
    }

    pub fn is_public(&self) -> bool {
        self.visibility == Visibility::Public && self.published_version > 0
    }

    /// The text that searches match, lower-case.
    pub fn search_text(&self) -> String {
        format!("{} {}", self.title.to_lowercase(), self.slug)
    }
}

pub fn check_title(title: &str) -> Result<(), String> {
    if title.is_empty() {
        return Err("must have 1 to 200 characters".into());
    }
    text::check_line(title, 200).map_err(|refusal| refusal.to_string())
}

/// Validates tags; returns them sorted without duplicates.
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
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=40).contains(&tag.len()) && tag.bytes().all(allowed)
}

/// Converts the keywords of a package to tags; drops those that cannot be converted.
pub fn tags_of(keywords: &[String]) -> Vec<String> {
    let mut tags: Vec<String> =
        keywords.iter().map(|keyword| slugify(keyword, 40)).filter(|tag| is_tag(tag)).collect();
    tags.sort();
    tags.dedup();
    tags.truncate(20);
    tags
}

pub fn check_difficulty(difficulty: i32) -> Result<(), String> {
    match difficulty {
        0 | 100..=4000 => Ok(()),
        _ => Err("must be 0 (unknown) or 100 to 4000".into()),
    }
}

pub fn check_authors(authors: &[String]) -> Result<(), String> {
    let valid = |name: &String| check_title(name).is_ok();
    if authors.len() <= 20 && authors.iter().all(valid) {
        return Ok(());
    }
    Err("must be at most 20 names of 1 to 200 characters".into())
}

/// Lower-case ASCII letters and digits; runs of other characters become one hyphen, except at the ends.
fn slugify(text: &str, max: usize) -> String {
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

/// Derives a slug from a name; `None` if too few characters can be used.
pub fn slug_of(name: &str) -> Option<String> {
    let mut slug = slugify(name, 56);
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
    fn slugs_are_derived_from_names() {
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
    fn tags_are_validated() {
        let list = |tags: &[&str]| tags.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>();
        assert_eq!(check_tags(&list(&["b", "a", "a"])), Ok(list(&["a", "b"])));
        assert!(check_tags(&list(&["A"])).is_err() && check_tags(&list(&[""])).is_err());
        assert!(check_tags(&(0..21).map(|i| format!("t{i}")).collect::<Vec<_>>()).is_err());
        assert_eq!(tags_of(&list(&["Binary Search", "dp", "動", "dp"])), ["binary-search", "dp"]);
    }

    #[test]
    fn titles_and_difficulties_are_validated() {
        assert!(check_title("é").is_ok());
        assert!(
            check_title("").is_err() && check_title(" ").is_err() && check_title("a\nb").is_err()
        );
        assert!(check_title(&"é".repeat(201)).is_err());
        assert!(check_difficulty(0).is_ok() && check_difficulty(4000).is_ok());
        assert!(check_difficulty(99).is_err() && check_difficulty(-1).is_err());
    }
}
