//! What adding a service costs: the existing files that name it because it was added.
//!
//! Counted are manifests, lists and deployment files. Not counted are the service's own folders, generated files,
//! documentation, tests, and the code that uses what the service offers.

use agon::services::ALL;

use crate::Finding;
use crate::tree::{Error, Tree};

const LIMIT: usize = 8;

/// The files in which a new service is listed, and how a service appears in each.
const LISTS: &[(&str, &str)] = &[
    ("README.md", "`services/{}`"),
    ("libs/access/src/roles.rs", "\"{}."),
    ("services/agon/src/services.rs", " {}: "),
];

/// The existing files that name the service, in order.
pub fn files(tree: &Tree, service: &str) -> Result<Vec<String>, Error> {
    let mut files = Vec::new();
    for file in tree.files()? {
        let text = || tree.read(&file).unwrap_or_default();
        if !is_own(&file, service) && is_listed(&file, service, text) {
            files.push(file);
        }
    }
    Ok(files)
}

/// Services that are listed in too many files.
pub fn check(tree: &Tree) -> Result<Vec<Finding>, Error> {
    let mut findings = Vec::new();
    for service in ALL {
        let files = files(tree, service.name)?;
        if files.len() > LIMIT {
            let (name, count, files) = (service.name, files.len(), files.join(", "));
            findings.push(format!(
                "{name}: listed in {count} files, must be at most {LIMIT}; derive some from services.rs: {files}"
            ));
        }
    }
    Ok(findings)
}

fn is_own(file: &str, service: &str) -> bool {
    let mut parts = file.split('/');
    let own = |part: &str| part == service || part.strip_suffix(".yaml") == Some(service);
    parts.any(own)
}

fn is_listed(file: &str, service: &str, text: impl Fn() -> String) -> bool {
    if let Some((_, form)) = LISTS.iter().find(|(list, _)| *list == file) {
        return text().contains(&form.replace("{}", service));
    }
    let extension = file.rsplit('.').next().unwrap_or_default();
    // Such a file names the service because it calls it.
    if ALL.iter().any(|other| is_own(file, other.name)) {
        return false;
    }
    let manifest = file.ends_with("Cargo.toml");
    let deployment = file == "docker-compose.yml"
        || (file.starts_with("deploy/") && matches!(extension, "env" | "toml" | "yaml" | "yml"));
    // Test cases and the settings of one service's deployment are not lists of services.
    let excluded = file.contains("_test.") || file.ends_with("alerts.yml");
    (manifest || deployment) && !excluded && text().lines().any(|line| names(line, service))
}

/// Whether a line of YAML, TOML or an environment file has the name as a key, a value or an item.
fn names(line: &str, service: &str) -> bool {
    let line = line.split(" #").next().unwrap_or_default().trim_start();
    if line.starts_with('#') {
        return false;
    }
    let part_of_word = |c: char| c.is_ascii_alphanumeric() || "_-./".contains(c);
    let mut words = line.split(|c: char| !part_of_word(c));
    words.any(|word| {
        let name = word.strip_suffix(".yaml").or_else(|| word.strip_suffix(".workspace"));
        name.unwrap_or(word) == service
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_keys_values_and_items() {
        for line in
            ["  rating:", "- rating.yaml", "names: [auth, rating]", "rating.workspace = true"]
        {
            assert!(names(line, "rating"), "{line}");
        }
        for line in
            ["# of rating", "names: [auth] # rating", "host: rating.example.org", "rating_limit: 1"]
        {
            assert!(!names(line, "rating"), "{line}");
        }
    }

    #[test]
    fn own_files_are_not_counted() {
        assert!(is_own("services/rating/src/lib.rs", "rating"));
        assert!(is_own("deploy/kubernetes/base/rating.yaml", "rating"));
        assert!(!is_own("services/agon/Cargo.toml", "rating"));
    }
}
