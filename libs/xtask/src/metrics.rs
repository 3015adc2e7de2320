//! Metrics that dashboards and alerts name: a name that nobody records shows an empty graph, or an
//! alert that never comes. And each that is recorded has a meaning to show.

use std::collections::BTreeSet;

use crate::Finding;
use crate::tree::{Error, Tree};

/// Where they are named.
const WATCHING: [&str; 2] = ["deploy/grafana/", "deploy/prometheus/"];
/// Where their meanings are.
const MEANINGS: &str = "services/agon/src/server/metric_help.rs";
/// What they begin with.
const PREFIXES: [&str; 2] = ["agon_", "process_"];
/// What a histogram's name is followed by.
const PARTS: [&str; 3] = ["_bucket", "_sum", "_count"];

/// Names that are watched or explained and recorded nowhere, or recorded and not explained.
pub fn check(tree: &Tree) -> Result<Vec<Finding>, Error> {
    let files = tree.files()?;
    let mut recorded = BTreeSet::new();
    for file in files.iter().filter(|file| is_code(file)) {
        recorded.extend(tree.read(file).iter().flat_map(|text| quoted(text)));
    }
    let meant = quoted(&tree.read(MEANINGS).unwrap_or_default());
    let unmeant = recorded.difference(&meant);
    let unmeant = unmeant.map(|name| format!("{MEANINGS}: {name} is missing"));
    let mut findings: Vec<Finding> = unmeant.collect();
    let unknown = meant.difference(&recorded);
    findings.extend(unknown.map(|name| format!("{MEANINGS}: nothing records {name}")));
    for file in files.iter().filter(|file| WATCHING.iter().any(|place| file.starts_with(place))) {
        let text = tree.read(file).unwrap_or_default();
        let unknown = names(&text).into_iter().filter(|name| !is_recorded(name, &recorded));
        findings.extend(unknown.map(|name| format!("{file}: nothing records {name}")));
    }
    Ok(findings)
}

/// What runs, as opposed to what tests it or watches it.
fn is_code(file: &str) -> bool {
    let place = file.contains("/src/") && !file.starts_with("libs/xtask/");
    place && file.ends_with(".rs") && file != MEANINGS
}

fn is_recorded(name: &str, recorded: &BTreeSet<String>) -> bool {
    let bare = PARTS.iter().find_map(|part| name.strip_suffix(part));
    recorded.contains(name) || bare.is_some_and(|bare| recorded.contains(bare))
}

/// The strings of a source file that could be metrics.
fn quoted(text: &str) -> BTreeSet<String> {
    // Whether a piece is inside or outside of quotes does not matter: no code looks like a name.
    text.split('"').filter(|text| is_name(text)).map(str::to_owned).collect()
}

/// The metrics that a text names.
fn names(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'));
    words.filter(|word| is_name(word)).map(str::to_owned).collect()
}

fn is_name(text: &str) -> bool {
    PREFIXES.iter().any(|prefix| text.strip_prefix(prefix).is_some_and(|rest| !rest.is_empty()))
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_and_matched() {
        let recorded =
            quoted(r#"counter!("agon_a_total", "x" => 1); histogram!("agon_b_seconds")"#);
        let watched = names("rate(agon_a_total[5m]) / agon_b_seconds_bucket{le=\"1\"} + agon_c");
        assert_eq!(watched.len(), 3);
        let unknown: Vec<_> = watched.iter().filter(|name| !is_recorded(name, &recorded)).collect();
        assert_eq!(unknown, ["agon_c"]);
    }
}
