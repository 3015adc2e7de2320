//! Metric names: dashboards, alerts and help texts must refer to recorded metrics, and every recorded metric needs a
//! help text.

use std::collections::BTreeSet;

use crate::Finding;
use crate::tree::{Error, Tree};

const WATCHING: [&str; 2] = ["deploy/grafana/", "deploy/prometheus/"];
const HELP: &str = "services/agon/src/server/metric_help.rs";
const PREFIXES: [&str; 2] = ["agon_", "process_"];
/// Suffixes of a histogram's series.
const SUFFIXES: [&str; 3] = ["_bucket", "_sum", "_count"];

/// Metrics that are used or described but not recorded, or recorded but not described.
pub fn check(tree: &Tree) -> Result<Vec<Finding>, Error> {
    let files = tree.files()?;
    let mut recorded = BTreeSet::new();
    for file in files.iter().filter(|file| is_code(file)) {
        recorded.extend(tree.read(file).iter().flat_map(|text| quoted(text)));
    }
    let described = quoted(&tree.read(HELP).unwrap_or_default());
    let missing = recorded.difference(&described);
    let missing = missing.map(|name| format!("{HELP}: {name} has no help text"));
    let mut findings: Vec<Finding> = missing.collect();
    let unknown = described.difference(&recorded);
    findings.extend(unknown.map(|name| format!("{HELP}: {name} is not recorded")));
    for file in files.iter().filter(|file| WATCHING.iter().any(|folder| file.starts_with(folder))) {
        let text = tree.read(file).unwrap_or_default();
        let unknown = names(&text).into_iter().filter(|name| !is_recorded(name, &recorded));
        findings.extend(unknown.map(|name| format!("{file}: {name} is not recorded")));
    }
    Ok(findings)
}

/// Whether the file is source code of the program.
fn is_code(file: &str) -> bool {
    let is_source = file.contains("/src/") && !file.starts_with("libs/xtask/");
    is_source && file.ends_with(".rs") && file != HELP
}

fn is_recorded(name: &str, recorded: &BTreeSet<String>) -> bool {
    let base = SUFFIXES.iter().find_map(|suffix| name.strip_suffix(suffix));
    recorded.contains(name) || base.is_some_and(|base| recorded.contains(base))
}

/// The string literals that look like metric names.
fn quoted(text: &str) -> BTreeSet<String> {
    // Pieces outside of quotes are split off as well; no code looks like a metric name.
    text.split('"').filter(|text| is_name(text)).map(str::to_owned).collect()
}

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
    fn unrecorded_names_are_found() {
        let recorded =
            quoted(r#"counter!("agon_a_total", "x" => 1); histogram!("agon_b_seconds")"#);
        let watched = names("rate(agon_a_total[5m]) / agon_b_seconds_bucket{le=\"1\"} + agon_c");
        assert_eq!(watched.len(), 3);
        let unknown: Vec<_> = watched.iter().filter(|name| !is_recorded(name, &recorded)).collect();
        assert_eq!(unknown, ["agon_c"]);
    }
}
