//! Removes everything from HTML that is not on an allow list.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, LazyLock, Mutex};

use ammonia::{Builder, UrlRelative};

use super::{Images, complexity};

/// Prefix of ids, so that they cannot collide with the ids of the surrounding page.
const ID_PREFIX: &str = "statement-";

/// Bytes of the `data:` URLs of a page.
const MAX_IMAGES: usize = 11 << 20;

static CLASSES: LazyLock<HashMap<&str, HashSet<&str>>> = LazyLock::new(|| {
    HashMap::from([
        ("span", HashSet::from(["math", "inline", "display", "smallcaps"])),
        ("sup", HashSet::from(["footnote-reference"])),
        ("div", HashSet::from(["footnote-definition"])),
    ])
});

/// Sanitises HTML. Images must come from the package; otherwise the error names the image.
pub fn sanitise(html: &str, images: Images<'_>) -> Result<String, String> {
    complexity::check(html)?;
    let html = &split_texts(html);
    // The filter must be `Send + Sync`, which `images` is not: look images up before it runs.
    let (mut found, mut size) = (HashMap::new(), 0_usize);
    for (name, times) in image_names(html) {
        if is_remote(&name) {
            let shown: String = name.chars().take(100).collect();
            return Err(format!("includes `{shown}`: images must be files in statement/"));
        }
        if let Some(data) = images(&name) {
            // Every occurrence embeds the image.
            size = size.saturating_add(data.len().saturating_mul(times));
            if size > MAX_IMAGES {
                return Err(format!(
                    "includes images of more than {MAX_IMAGES} bytes in total, repetitions counted"
                ));
            }
            found.insert(name, data);
        }
    }
    let clean = builder(move |element, attribute, value| match (element, attribute) {
        ("img", "src") => found.get(value).map(|data| Cow::Owned(data.clone())),
        ("a", "href") if value.starts_with('#') => {
            Some(Cow::Owned(format!("#{ID_PREFIX}{}", &value[1..])))
        }
        ("td" | "th", "style") => is_alignment(value).then_some(Cow::Borrowed(value)),
        ("td" | "th", "colspan" | "rowspan") => is_span(value).then_some(Cow::Borrowed(value)),
        _ => Some(Cow::Borrowed(value)),
    });
    Ok(clean.clean(html).to_string())
}

fn builder<'b>(
    filter: impl for<'u> Fn(&str, &str, &'u str) -> Option<Cow<'u, str>> + Send + Sync + 'static,
) -> Builder<'b> {
    let mut builder = Builder::default();
    builder
        .add_tags(["section", "figure", "figcaption", "u"])
        .rm_tags(["map", "area"])
        .allowed_classes(CLASSES.clone())
        .add_tag_attributes("div", ["id"])
        .add_tag_attributes("li", ["id"])
        .add_tag_attributes("sup", ["id"])
        .add_tag_attributes("td", ["style"])
        .add_tag_attributes("th", ["style"])
        .id_prefix(Some(ID_PREFIX))
        .url_schemes(HashSet::from(["http", "https", "mailto"]))
        .url_relative(UrlRelative::PassThrough)
        .attribute_filter(filter);
    builder
}

/// Splits long texts by comments, which the sanitiser removes: serialising a text takes time quadratic in its length if it
/// has many character references.
fn split_texts(html: &str) -> String {
    const LONGEST: usize = 4096;
    let mut out = String::with_capacity(html.len());
    let mut start = 0;
    for (at, c) in html.char_indices() {
        match c {
            '<' | '>' => start = out.len(),
            // The serialiser also inspects characters that start with this byte range.
            '&' | '\u{80}'..='\u{bf}' if out.len() - start > LONGEST => {
                out.push_str("<!---->");
                start = out.len();
            }
            _ => {}
        }
        out.push_str(&html[at..at + c.len_utf8()]);
    }
    out
}

/// The only allowed style: the alignment of table cells.
fn is_alignment(style: &str) -> bool {
    matches!(style, "text-align: left" | "text-align: center" | "text-align: right")
}

fn is_span(value: &str) -> bool {
    value.parse().is_ok_and(|span: u16| (1..=100).contains(&span))
}

fn is_remote(name: &str) -> bool {
    name.contains(':') || name.starts_with("//") || name.starts_with('/')
}

/// The sources of all images that are kept, with the number of occurrences.
fn image_names(html: &str) -> BTreeMap<String, usize> {
    let names = Arc::new(Mutex::new(BTreeMap::new()));
    let seen = names.clone();
    let schemes = HashSet::from(["http", "https", "data", "file", "ftp", "javascript"]);
    let mut builder = builder(move |element, attribute, value| {
        if (element, attribute) == ("img", "src")
            && let Ok(mut seen) = seen.lock()
        {
            *seen.entry(value.to_owned()).or_default() += 1;
        }
        None
    });
    builder.url_schemes(schemes);
    let _ = builder.clean(html);
    let names = names.lock().map(|names| names.clone());
    names.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splitting_texts_does_not_change_the_result() {
        let long = format!("<p title=\"x\">{}\u{a0}é</p>", "a&amp;".repeat(10_000));
        let cut = split_texts(&long);
        assert!(cut.matches("<!---->").count() > 10);
        assert_eq!(cut.replace("<!---->", ""), long);
        assert_eq!(sanitise(&cut, &|_| None), sanitise(&long, &|_| None));
        assert!(!sanitise(&long, &|_| None).is_ok_and(|html| html.contains("<!--")));
        assert_eq!(split_texts("<p>a&amp;b</p>"), "<p>a&amp;b</p>");
    }
}
