//! Allowed dependencies between the members of the workspace.
//!
//! A service never depends on another service, and a library never on a service. A new crate must be added to the
//! table.

use agon::services::ALL;

use crate::Finding;
use crate::tree::{Dependency, Metadata, Package};

/// The libraries that every service may use.
const LIBRARIES: &[&str] = &[
    "access", "bus", "cache", "db", "ids", "package", "proto", "rpc", "runtime", "service", "text",
];

fn is_service(package: &str) -> bool {
    ALL.iter().any(|service| service.name == package)
}

/// The members that a member may use; for its tests see [`tests_may_use`].
fn may_use(package: &str) -> Option<Vec<&'static str>> {
    let libraries_and = |more: &[&'static str]| [LIBRARIES, more].concat();
    Some(match package {
        "ids" | "proto" | "transcode" | "sandbox" | "runtime" | "text" => vec![],
        "package" => vec!["text"],
        "cache" | "db" => vec!["ids"],
        "rpc" => vec!["ids"],
        "access" => vec!["cache", "ids", "proto", "rpc"],
        "bus" => vec!["access", "db", "ids", "proto", "rpc"],
        "service" => vec!["access", "bus", "cache", "db", "ids", "proto", "rpc", "runtime"],
        "judge" => libraries_and(&["sandbox"]),
        "gateway" => vec!["access", "cache", "ids", "proto", "rpc", "runtime", "transcode"],
        "agon" => {
            let services = ALL.iter().map(|service| service.name);
            libraries_and(&["gateway", "sandbox", "transcode"])
                .into_iter()
                .chain(services)
                .collect()
        }
        "xtask" => libraries_and(&["agon", "gateway", "transcode"]),
        name if name == "echo" || is_service(name) => LIBRARIES.to_vec(),
        _ => return None,
    })
}

/// Tests may use all libraries in addition, but no other service.
fn tests_may_use(package: &str) -> Vec<&'static str> {
    let mut all = may_use(package).unwrap_or_default();
    all.extend(LIBRARIES);
    all
}

pub fn check(metadata: &Metadata) -> Vec<Finding> {
    metadata.packages.iter().flat_map(check_package).collect()
}

fn check_package(package: &Package) -> Vec<Finding> {
    let name = package.name.as_str();
    let Some(allowed) = may_use(name) else {
        return vec![format!(
            "{name}: unknown crate; add its allowed dependencies to libs/xtask/src/direction.rs"
        )];
    };
    let for_tests = tests_may_use(name);
    let forbidden = |dependency: &&Dependency| {
        let allowed = if dependency.kind.as_deref() == Some("dev") { &for_tests } else { &allowed };
        // A member may be its own dev-dependency.
        dependency.path.is_some()
            && dependency.name != name
            && !allowed.contains(&dependency.name.as_str())
    };
    let finding =
        |dependency: &Dependency| format!("{name}: must not depend on {}", dependency.name);
    package.dependencies.iter().filter(forbidden).map(finding).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_one(name: &str, uses: &str, kind: Option<&str>, count: usize) {
        let (path, kind) = (Some("somewhere".into()), kind.map(str::to_owned));
        let dependencies = vec![Dependency { name: uses.into(), path, kind }];
        let package = Package { name: name.into(), dependencies };
        assert_eq!(check(&Metadata { packages: vec![package] }).len(), count);
    }

    #[test]
    fn services_do_not_depend_on_services() {
        check_one("challenge", "judge", None, 1);
        check_one("challenge", "judge", Some("dev"), 1);
        check_one("gateway", "auth", None, 1);
        check_one("agon", "judge", None, 0);
        check_one("challenge", "db", None, 0);
    }

    #[test]
    fn libraries_do_not_depend_on_upper_layers() {
        for (name, uses) in [
            ("ids", "proto"),
            ("access", "db"),
            ("rpc", "access"),
            ("auth", "sandbox"),
            ("agon", "xtask"),
        ] {
            check_one(name, uses, None, 1);
        }
        check_one("access", "db", Some("dev"), 0);
    }

    #[test]
    fn unknown_members_are_refused() {
        check_one("utils", "ids", None, 1);
    }
}
