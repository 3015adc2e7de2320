//! Generated files. They are committed, so that reviews show their changes.

use std::collections::BTreeSet;

use agon::services::ALL;

use crate::Finding;
use crate::dashboards;
use crate::tree::{Error, Tree};

const ROUTES: &str = "proto/routes.txt";
const CATALOGUE: &str = "docs/events.md";

pub struct Generated {
    file: String,
    text: String,
}

impl Generated {
    /// Writes the file, or with `check` only reports if it is out of date.
    pub fn update(&self, tree: &Tree, check: bool) -> Result<Vec<Finding>, Error> {
        if !check {
            tree.write(&self.file, &self.text)?;
        } else if tree.read(&self.file).as_ref() != Some(&self.text) {
            return Ok(vec![format!("{}: out of date; run `make generate`", self.file)]);
        }
        Ok(Vec::new())
    }
}

pub fn update_all(tree: &Tree, check: bool) -> Result<Vec<Finding>, Error> {
    let mut all = vec![routes()?, catalogue()];
    all.extend(dashboards::all()?.into_iter().map(|(name, text)| Generated {
        file: format!("deploy/grafana/dashboards/{name}.json"),
        text,
    }));
    let findings: Result<Vec<_>, Error> = all.iter().map(|file| file.update(tree, check)).collect();
    Ok(findings?.concat())
}

pub fn routes() -> Result<Generated, Error> {
    let plan = transcode::Plan::new(proto::DESCRIPTOR_SET)?;
    Ok(Generated { file: ROUTES.into(), text: transcode::routes(&plan) })
}

pub fn catalogue() -> Generated {
    let topics: Vec<_> = ALL.iter().flat_map(|service| service.publishes).copied().collect();
    let consumes: Vec<_> = ALL.iter().flat_map(|service| service.consumes).copied().collect();
    Generated { file: CATALOGUE.into(), text: bus::catalogue(&topics, &consumes) }
}

/// Routes of the last release that are missing now.
pub fn lost_routes(tree: &Tree) -> Result<Vec<Finding>, Error> {
    let Some(released) = tree.released(ROUTES) else { return Ok(Vec::new()) };
    Ok(lost(&released, &routes()?.text))
}

fn lost(released: &str, now: &str) -> Vec<Finding> {
    let now: BTreeSet<&str> = now.lines().collect();
    let removed = released.lines().filter(|line| !now.contains(line));
    removed
        .map(|line| format!("{ROUTES}: {line:?} of the last release is missing; restore it"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removed_routes_are_found() {
        assert!(lost("GET /a\n", "GET /a\nGET /b\n").is_empty());
        assert_eq!(lost("GET /a\nGET /b\n", "GET /b\n").len(), 1);
    }
}
