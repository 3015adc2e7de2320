//! Converts an exposition from the Prometheus text format to OpenMetrics: `TYPE` and `HELP` lines name
//! counters without `_total`, buckets have exemplars, and `# EOF` ends the text.

use super::exemplars::Store;

pub(super) const MEDIA: &str = "application/openmetrics-text";

pub(super) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Whether an `Accept` header names OpenMetrics with a weight other than 0.
pub(super) fn is_accepted(accept: &str) -> bool {
    let refused = |part: &str| {
        let weight = part.split(';').filter_map(|p| p.trim().strip_prefix("q=")).next();
        weight.and_then(|weight| weight.trim().parse::<f32>().ok()) == Some(0.0)
    };
    accept.split(',').any(|part| {
        part.split(';').next().is_some_and(|media| media.trim() == MEDIA) && !refused(part)
    })
}

pub(super) fn render(plain: &str, exemplars: &Store) -> String {
    let mut text = String::with_capacity(plain.len() + plain.len() / 8);
    for line in plain.lines().filter(|line| !line.is_empty()) {
        match line.strip_prefix("# ") {
            Some(comment) => describe(&mut text, comment),
            None => {
                text.push_str(line);
                if let Some(exemplar) = exemplar(line, exemplars) {
                    text.push_str(&exemplar);
                }
            }
        }
        text.push('\n');
    }
    text.push_str("# EOF\n");
    text
}

fn exemplar(line: &str, exemplars: &Store) -> Option<String> {
    let (name, _) = line.split_once('{')?;
    name.ends_with("_bucket").then(|| exemplars.suffix(line))?
}

/// Appends a `TYPE` or `HELP` line, without the `_total` of counters.
fn describe(text: &mut String, comment: &str) {
    text.push_str("# ");
    let mut words = comment.splitn(3, ' ');
    let (what, name, rest) = (words.next(), words.next(), words.next());
    let (Some(what), Some(name), Some(rest)) = (what, name, rest) else {
        return text.push_str(comment);
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
    fn accept_header_selects_the_format() {
        assert!(is_accepted("application/openmetrics-text;version=1.0.0,text/plain;q=0.3"));
        assert!(is_accepted("text/plain, application/openmetrics-text"));
        assert!(!is_accepted("text/plain;version=0.0.4"));
        assert!(!is_accepted("application/openmetrics-text;q=0, */*"));
        assert!(!is_accepted(""));
    }

    #[test]
    fn type_lines_omit_the_suffix_of_counters() {
        let plain = "# TYPE a_total counter\na_total{x=\"y\"} 1\n\n# TYPE b gauge\nb 2\n";
        let open = "# TYPE a counter\na_total{x=\"y\"} 1\n# TYPE b gauge\nb 2\n# EOF\n";
        assert_eq!(render(plain, &Store::default()), open);
    }
}
