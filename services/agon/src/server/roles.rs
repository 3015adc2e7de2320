//! The roles of a process: the services, and two roles without data of their own.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use service::Descriptor;

use crate::services;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Role(&'static str);

impl Role {
    pub const AUTH: Self = Self("auth");
    /// Runs programs for the judge.
    pub const WORKER: Self = Self("worker");
    /// Serves REST, and forwards gRPC to the services.
    pub const GATEWAY: Self = Self("gateway");

    pub const fn of(service: &Descriptor) -> Self {
        Self(service.name)
    }

    pub fn named(name: &str) -> Option<Self> {
        Self::all().find(|role| role.0 == name)
    }

    pub fn all() -> impl Iterator<Item = Self> {
        Self::services().chain([Self::WORKER, Self::GATEWAY])
    }

    /// The roles that answer gRPC calls of other roles.
    pub fn services() -> impl Iterator<Item = Self> {
        services::ALL.iter().map(Self::of)
    }

    /// As in `--roles`; also the name of its service account.
    pub const fn name(self) -> &'static str {
        self.0
    }

    /// The proto package of its gRPC services.
    pub fn package(self) -> String {
        format!("agon.{}.v1", self.0)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Serialize for Role {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0)
    }
}

impl<'de> Deserialize<'de> for Role {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Self::named(&name).ok_or_else(|| {
            let known: Vec<_> = Self::all().map(Self::name).collect();
            let known = known.join(", ");
            serde::de::Error::custom(format!("unknown role {name:?}; must be one of {known}"))
        })
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Roles(Vec<Role>);

impl Default for Roles {
    fn default() -> Self {
        Self(Role::all().collect())
    }
}

impl Roles {
    #[cfg(test)]
    pub fn of(names: &[&str]) -> Self {
        Self(names.iter().map(|name| Role::named(name).unwrap()).collect())
    }

    pub fn contains(&self, role: Role) -> bool {
        self.0.contains(&role)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn has_all_services(&self) -> bool {
        Role::services().all(|role| self.contains(role))
    }

    pub fn has_services(&self) -> bool {
        Role::services().any(|role| self.contains(role))
    }

    /// The roles in fixed order, without duplicates.
    pub fn iter(&self) -> impl Iterator<Item = Role> {
        Role::all().filter(|role| self.contains(*role))
    }
}

impl fmt::Display for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.iter().map(Role::name).collect();
        f.write_str(&names.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_know_which_services_they_contain() {
        let all = Roles::default();
        assert!(all.has_all_services() && all.has_services() && all.contains(Role::WORKER));
        let services: Vec<_> = services::ALL.iter().map(|service| service.name).collect();
        assert_eq!(all.to_string(), format!("{},worker,gateway", services.join(",")));
        let edge = Roles::of(&["gateway", "worker", "gateway"]);
        assert!(!edge.has_services() && !edge.has_all_services() && !edge.is_empty());
        assert_eq!(edge.to_string(), "worker,gateway");
        assert!(!Roles::of(&["auth", "problem"]).has_all_services());
        let read: Roles = serde_json::from_str(r#"["judge", "worker"]"#).unwrap();
        assert_eq!(read, Roles::of(&["judge", "worker"]));
        let unknown = serde_json::from_str::<Roles>(r#"["jugde"]"#).unwrap_err().to_string();
        assert!(unknown.contains("jugde") && unknown.contains("judge"), "{unknown}");
        assert_eq!(Role::AUTH.package(), "agon.auth.v1");
    }
}
