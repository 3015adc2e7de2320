//! The roles of the platform. A process plays all of them, or those that it is told to.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Accounts, sessions and tokens.
    Auth,
    /// Problems and their test data.
    Problem,
    /// Submissions.
    Challenge,
    /// The queue of judgements.
    Judge,
    /// Runs programs, for the queue.
    Worker,
    /// REST, and the other roles' gRPC for those outside.
    Gateway,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Auth, Self::Problem, Self::Challenge, Self::Judge, Self::Worker, Self::Gateway];

    /// Those that answer gRPC calls of others.
    pub const SERVICES: [Self; 4] = [Self::Auth, Self::Problem, Self::Challenge, Self::Judge];

    /// As in `--roles`; also the name of its service account.
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

    /// The protos' package of its services.
    pub fn package(self) -> String {
        format!("agon.{}.v1", self.name())
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Which of them a process plays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Roles(Vec<Role>);

impl Default for Roles {
    fn default() -> Self {
        Self(Role::ALL.into())
    }
}

impl Roles {
    /// These.
    #[cfg(test)]
    pub fn of(roles: &[Role]) -> Self {
        Self(roles.into())
    }

    /// Whether it plays a role.
    pub fn play(&self, role: Role) -> bool {
        self.0.contains(&role)
    }

    /// Whether it plays none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether all services are in this process: then nothing has to reach another one.
    pub fn are_whole(&self) -> bool {
        Role::SERVICES.iter().all(|role| self.play(*role))
    }

    /// Whether some services are in this process.
    pub fn serve(&self) -> bool {
        Role::SERVICES.iter().any(|role| self.play(*role))
    }

    /// The roles, each once.
    pub fn iter(&self) -> impl Iterator<Item = Role> {
        Role::ALL.into_iter().filter(|role| self.play(*role))
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
    fn what_a_process_is() {
        let all = Roles::default();
        assert!(all.are_whole() && all.serve() && all.play(Role::Worker));
        assert_eq!(all.to_string(), "auth,problem,challenge,judge,worker,gateway");
        let edge = Roles::of(&[Role::Gateway, Role::Worker, Role::Gateway]);
        assert!(!edge.serve() && !edge.are_whole() && !edge.is_empty());
        assert_eq!(edge.to_string(), "worker,gateway");
        assert!(!Roles::of(&[Role::Auth, Role::Problem]).are_whole());
        let read: Roles = serde_json::from_str(r#"["judge", "worker"]"#).unwrap();
        assert_eq!(read, Roles::of(&[Role::Judge, Role::Worker]));
        assert_eq!(Role::Auth.package(), "agon.auth.v1");
    }
}
