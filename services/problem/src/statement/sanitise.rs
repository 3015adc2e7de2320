//! What of HTML may stay.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, LazyLock, Mutex};

use ammonia::{Builder, UrlRelative};

use super::Images;

/// Ids of a statement get this before them, so that they cannot collide with a page's own.
const ID_PREFIX: &str = "statement-";

static CLASSES: LazyLock<HashMap<&str, HashSet<&str>>> = LazyLock::new(|| {
    HashMap::from([
        ("span", HashSet::from(["math", "inline", "display", "smallcaps"])),
        ("sup", HashSet::from(["footnote-reference"])),
        ("div", HashSet::from(["footnote-definition"])),
    ])
});

/// Cleans HTML. Images come from the package or not at all; the error says which one was wrong.
pub fn sanitise(html: &str, images: Images<'_>) -> Result<String, String> {
    // ammonia wants a filter that could be shared between threads; images are looked up before it
    // runs, so that it only reads.
    let wanted = image_names(html);
    let mut found = HashMap::new();
    for name in wanted {
        if is_remote(&name) {
            let shown: String = name.chars().take(100).collect();
            return Err(format!("shows `{shown}`: images must be files in statement/"));
        }
        if let Some(data) = images(&name) {
            found.insert(name, data);
        }
    }
    let clean = builder(move |element, attribute, value| match (element, attribute) {
        ("img", "src") => found.get(value).map(|data| Cow::Owned(data.clone())),
        ("a", "href") if value.starts_with('#') => {
            Some(Cow::Owned(format!("#{ID_PREFIX}{}", &value[1..])))
        }
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
        .id_prefix(Some(ID_PREFIX))
        .url_schemes(HashSet::from(["http", "https", "mailto"]))
        .url_relative(UrlRelative::PassThrough)
        .attribute_filter(filter);
    builder
}

fn is_remote(name: &str) -> bool {
    name.contains(':') || name.starts_with("//") || name.starts_with('/')
}

/// The sources of all images that would stay.
fn image_names(html: &str) -> Vec<String> {
    let names = Arc::new(Mutex::new(Vec::new()));
    let seen = names.clone();
    let schemes = HashSet::from(["http", "https", "data", "file", "ftp", "javascript"]);
    let mut builder = builder(move |element, attribute, value| {
        if (element, attribute) == ("img", "src")
            && let Ok(mut seen) = seen.lock()
        {
            seen.push(value.to_owned());
        }
        None
    });
    builder.url_schemes(schemes);
    let _ = builder.clean(html);
    let names = names.lock().map(|names| names.clone());
    names.unwrap_or_default()
}
