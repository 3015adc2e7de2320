//! The roles of the platform. A process runs all of them, or those of `--roles`.

use std::fmt;

use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Accounts, sessions and tokens.
    Auth,
    /// Problems and their test data.
    Problem,
    /// Submissions.
    Challenge,
    /// The judging queue.
    Judge,
    /// Runs programs.
    Worker,
    /// REST, and gRPC for external clients.
    Gateway,
}

impl Role {
    pub const ALL: [Self; 6] =
        [Self::Auth, Self::Problem, Self::Challenge, Self::Judge, Self::Worker, Self::Gateway];

    /// The roles with gRPC services.
    pub const SERVICES: [Self; 4] = [Self::Auth, Self::Problem, Self::Challenge, Self::Judge];

    /// The name in `--roles`, of the service account and of the database.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::Problem => "problem",
            Self::Challenge => "challenge",
            Self::Judge => "judge",
            Self::Worker => "worker",
            Self::Gateway => "gateway",
        }
    }

    /// The proto package of its services.
    pub fn package(self) -> String {
        format!("agon.{}.v1", self.name())
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The roles of a process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Roles(Vec<Role>);

impl Default for Roles {
    fn default() -> Self {
        Self(Role::ALL.into())
    }
}

impl Roles {
    #[cfg(test)]
    pub fn of(roles: &[Role]) -> Self {
        Self(roles.into())
    }

    /// Whether a role is among them.
    pub fn contains(&self, role: Role) -> bool {
        self.0.contains(&role)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether all services are in this process.
    pub fn has_all_services(&self) -> bool {
        Role::SERVICES.iter().all(|role| self.contains(*role))
    }

    /// Whether at least one service is in this process.
    pub fn has_services(&self) -> bool {
        Role::SERVICES.iter().any(|role| self.contains(*role))
    }

    /// The roles in fixed order, without duplicates.
    pub fn iter(&self) -> impl Iterator<Item = Role> {
        Role::ALL.into_iter().filter(|role| self.contains(*role))
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
    fn roles_are_ordered_and_classified() {
        let all = Roles::default();
        assert!(all.has_all_services() && all.has_services() && all.contains(Role::Worker));
        assert_eq!(all.to_string(), "auth,problem,challenge,judge,worker,gateway");
        let edge = Roles::of(&[Role::Gateway, Role::Worker, Role::Gateway]);
        assert!(!edge.has_services() && !edge.has_all_services() && !edge.is_empty());
        assert_eq!(edge.to_string(), "worker,gateway");
        assert!(!Roles::of(&[Role::Auth, Role::Problem]).has_all_services());
        let read: Roles = serde_json::from_str(r#"["judge", "worker"]"#).unwrap();
        assert_eq!(read, Roles::of(&[Role::Judge, Role::Worker]));
        assert_eq!(Role::Auth.package(), "agon.auth.v1");
    }
}
