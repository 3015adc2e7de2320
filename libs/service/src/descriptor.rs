//! The one place that says what a service is.

use bus::{Consumes, Topic};
use db::Migrations;

/// What the program needs to know to run a service.
#[derive(Clone, Copy, Debug)]
pub struct Descriptor {
    /// Role, database schema or file, service account, section of the configuration, and proto package
    /// (`agon.<name>.v1`).
    pub name: &'static str,
    pub migrations: Migrations,
    /// Topics that this service produces; each topic has one producer.
    pub publishes: &'static [Topic],
    /// Consumer groups that this service runs.
    pub consumes: &'static [Consumes],
    /// Names of the services that it calls.
    pub calls: &'static [&'static str],
}

impl Descriptor {
    /// The package of its protos.
    pub fn package(&self) -> String {
        format!("agon.{}.v1", self.name)
    }
}
