//! The OpenMetrics form of an exposition, made from the plain one: counters are named without
//! `_total` where their type is told, buckets carry examples, and the end is marked.

use super::exemplars::Store;

/// What a client has to accept to get this form.
pub(super) const MEDIA: &str = "application/openmetrics-text";

/// The whole `Content-Type`.
pub(super) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Whether an `Accept` header asks for this form: it is named, and not with a weight of nothing.
pub(super) fn is_wanted(accept: &str) -> bool {
    let refused = |part: &str| {
        let weight = part.split(';').filter_map(|p| p.trim().strip_prefix("q=")).next();
        weight.and_then(|weight| weight.trim().parse::<f32>().ok()) == Some(0.0)
    };
    accept.split(',').any(|part| {
        part.split(';').next().is_some_and(|media| media.trim() == MEDIA) && !refused(part)
    })
}

/// Rewrites the plain form.
pub(super) fn render(plain: &str, examples: &Store) -> String {
    let mut text = String::with_capacity(plain.len() + plain.len() / 8);
    for line in plain.lines().filter(|line| !line.is_empty()) {
        match line.strip_prefix("# ") {
            Some(told) => describe(&mut text, told),
            None => {
                text.push_str(line);
                if let Some(example) = example(line, examples) {
                    text.push_str(&example);
                }
            }
        }
        text.push('\n');
    }
    text.push_str("# EOF\n");
    text
}

fn example(line: &str, examples: &Store) -> Option<String> {
    let (name, _) = line.split_once('{')?;
    name.ends_with("_bucket").then(|| examples.behind(line))?
}

/// `TYPE name counter` and `HELP name …`: a family of counters is called without `_total`.
fn describe(text: &mut String, told: &str) {
    text.push_str("# ");
    let mut words = told.splitn(3, ' ');
    let (what, name, rest) = (words.next(), words.next(), words.next());
    let (Some(what), Some(name), Some(rest)) = (what, name, rest) else {
        return text.push_str(told);
    };
    let family = match name.strip_suffix("_total") {
        Some(family) if what == "HELP" || rest == "counter" => family,
        _ => name,
    };
    for part in [what, " ", family, " ", rest] {
        text.push_str(part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_given_to_those_who_ask() {
        assert!(is_wanted("application/openmetrics-text;version=1.0.0,text/plain;q=0.3"));
        assert!(is_wanted("text/plain, application/openmetrics-text"));
        assert!(!is_wanted("text/plain;version=0.0.4"));
        assert!(!is_wanted("application/openmetrics-text;q=0, */*"));
        assert!(!is_wanted(""));
    }

    #[test]
    fn counters_lose_their_suffix_where_their_type_is_told() {
        let plain = "# TYPE a_total counter\na_total{x=\"y\"} 1\n\n# TYPE b gauge\nb 2\n";
        let open = "# TYPE a counter\na_total{x=\"y\"} 1\n# TYPE b gauge\nb 2\n# EOF\n";
        assert_eq!(render(plain, &Store::default()), open);
    }
}
