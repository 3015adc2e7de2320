//! A checker of the OpenMetrics text format, for the metric types that Agon uses.

use std::collections::HashSet;

/// Fails if the text is not valid OpenMetrics.
#[track_caller]
pub fn check(text: &str) {
    let body = text.strip_suffix("# EOF\n").expect("the text ends with # EOF and a line break");
    let mut families = HashSet::new();
    let (mut family, mut kind, mut described) = ("", "", "");
    for line in body.lines() {
        if let Some(metadata) = line.strip_prefix("# ") {
            let words: Vec<&str> = metadata.splitn(3, ' ').collect();
            if words[0] == "HELP" {
                assert!(!words[2].is_empty(), "{line:?}");
                described = words[1];
                continue;
            }
            assert_eq!(words[0], "TYPE", "{line:?}");
            assert_eq!(words[1], described, "HELP is missing");
            (family, kind) = (words[1], words[2]);
            assert!(families.insert(family), "{family} is duplicated or not contiguous");
            let known = ["counter", "gauge", "histogram", "summary"];
            assert!(known.contains(&kind), "{line:?}");
            continue;
        }
        sample(line, family, kind);
    }
    assert!(!families.is_empty());
}

#[track_caller]
fn sample(line: &str, family: &str, kind: &str) {
    let (sample, exemplar) = match line.split_once(" # ") {
        Some((sample, exemplar)) => (sample, Some(exemplar)),
        None => (line, None),
    };
    let (series, value) = sample.rsplit_once(' ').expect("a sample has a value");
    assert!(value.parse::<f64>().is_ok(), "{line:?}");
    let name = series.split('{').next().unwrap_or_default();
    let suffix = name.strip_prefix(family).unwrap_or_else(|| panic!("{line:?} is not of {family}"));
    let allowed: &[&str] = match kind {
        "counter" => &["_total"],
        "histogram" => &["_bucket", "_sum", "_count"],
        "summary" => &["", "_sum", "_count"],
        _ => &[""],
    };
    assert!(allowed.contains(&suffix), "{line:?} is not a {kind}");
    if let Some(labels) = series.strip_prefix(name).filter(|labels| !labels.is_empty()) {
        assert!(labels.starts_with('{') && labels.ends_with('}'), "{line:?}");
    }
    if let Some(exemplar) = exemplar {
        assert_eq!(suffix, "_bucket", "{line:?}");
        let (labels, numbers) = exemplar.split_once("} ").expect("an exemplar has labels");
        assert!(labels.starts_with('{') && labels.len() <= 128, "{line:?}");
        let numbers: Vec<f64> = numbers.split(' ').map(|n| n.parse().unwrap()).collect();
        assert_eq!(numbers.len(), 2, "a value and a time: {line:?}");
        let bound = series.rsplit_once("le=\"").unwrap().1.split('"').next().unwrap();
        let bound = if bound == "+Inf" { f64::INFINITY } else { bound.parse().unwrap() };
        assert!(numbers[0] <= bound, "{line:?}");
    }
}
