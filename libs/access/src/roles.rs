//! The built-in roles and what each may do.
//!
//! A permission is `area.resource.verb`. What everybody may do with their own things needs none;
//! permissions are for making shared things and for what belongs to others.

use std::fmt;
use std::str::FromStr;

/// A built-in role, in order of growing power.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Everybody with an account.
    Player,
    /// Writes problems.
    Setter,
    /// Runs events and invites people.
    Organiser,
    /// Sees what contestants may not.
    Judge,
    /// Everything.
    Admin,
}

/// All of them, in order of growing power.
pub const ALL: [Role; 5] = [Role::Player, Role::Setter, Role::Organiser, Role::Judge, Role::Admin];

const PLAYER: &[&str] = &["challenge.submission.create"];

const SETTER: &[&str] = &["challenge.submission.create", "problem.problem.create"];

const ORGANISER: &[&str] = &[
    "auth.invitation.create",
    "auth.invitation.delete",
    "auth.invitation.list",
    "challenge.challenge.create",
    "challenge.submission.create",
    "problem.problem.create",
];

const JUDGE: &[&str] = &[
    "challenge.source.get",
    "challenge.submission.create",
    "challenge.submission.get",
    "challenge.submission.rejudge",
    "judge.judgement.get",
    "judge.queue.get",
    "judge.worker.list",
    "problem.data.get",
    "problem.problem.get",
    "problem.problem.list",
];

/// Every permission there is; the administrators' set.
const ADMIN: &[&str] = &[
    "auth.binding.create",
    "auth.binding.delete",
    "auth.binding.list",
    "auth.credential.reset",
    "auth.invitation.create",
    "auth.invitation.delete",
    "auth.invitation.list",
    "auth.user.list",
    "auth.user.suspend",
    "auth.user.update",
    "challenge.challenge.create",
    "challenge.challenge.update",
    "challenge.source.get",
    "challenge.submission.create",
    "challenge.submission.get",
    "challenge.submission.rejudge",
    "event.dead-letter.list",
    "event.dead-letter.replay",
    "event.event.subscribe",
    "judge.judgement.get",
    "judge.queue.get",
    "judge.worker.list",
    "problem.data.get",
    "problem.problem.create",
    "problem.problem.delete",
    "problem.problem.get",
    "problem.problem.list",
    "problem.problem.publish",
    "problem.problem.update",
];

impl Role {
    /// The name, as in tokens and requests.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Player => "player",
            Self::Setter => "setter",
            Self::Organiser => "organiser",
            Self::Judge => "judge",
            Self::Admin => "admin",
        }
    }

    /// What the role is for, for people.
    #[must_use]
    pub fn description(self) -> &'static str {
        match self {
            Self::Player => "Everybody with an account: solves problems.",
            Self::Setter => "Writes problems and keeps their own.",
            Self::Organiser => "Runs events and invites people.",
            Self::Judge => "Reads every program, verdict and problem, and rejudges.",
            Self::Admin => "Everything.",
        }
    }

    /// The permissions, sorted.
    #[must_use]
    pub fn permissions(self) -> &'static [&'static str] {
        match self {
            Self::Player => PLAYER,
            Self::Setter => SETTER,
            Self::Organiser => ORGANISER,
            Self::Judge => JUDGE,
            Self::Admin => ADMIN,
        }
    }

    /// Whether the role holds a permission.
    #[must_use]
    pub fn grants(self, permission: &str) -> bool {
        self.permissions().binary_search(&permission).is_ok()
    }
}

/// Whether a permission of this name exists.
#[must_use]
pub fn exists(permission: &str) -> bool {
    Role::Admin.grants(permission)
}

/// The union of the roles' permissions, sorted.
#[must_use]
pub fn permissions(roles: &[Role]) -> Vec<&'static str> {
    let mut all: Vec<_> = roles.iter().flat_map(|role| role.permissions()).copied().collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// The account of whoever holds the installation's keys, and so could change its data anyway.
const OPERATOR: &str = "operator";

/// The account of the machines that run programs: what they need of the other services, and no more.
const WORKER: &str = "worker";
const OF_WORKERS: &[&str] = &["challenge.source.get", "problem.data.get"];

/// What a service may do for itself: everything but deciding about accounts, of which an operator
/// may only help one back in.
pub(crate) fn of_service(name: &str) -> Vec<&'static str> {
    if name == WORKER {
        return OF_WORKERS.to_vec();
    }
    let may = |permission: &&str| match *permission {
        "auth.credential.reset" => name == OPERATOR,
        permission => !permission.starts_with("auth."),
    };
    ADMIN.iter().copied().filter(may).collect()
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// There is no role of this name.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no such role; the roles are player, setter, organiser, judge and admin")]
pub struct UnknownRole;

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(name: &str) -> Result<Self, UnknownRole> {
        ALL.into_iter().find(|role| role.name() == name).ok_or(UnknownRole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_are_sorted_and_known() {
        for role in ALL {
            let permissions = role.permissions();
            assert!(permissions.windows(2).all(|pair| pair[0] < pair[1]), "{role}");
            assert!(permissions.iter().all(|permission| exists(permission)), "{role}");
            assert_eq!(role.name().parse(), Ok(role));
        }
        assert_eq!("root".parse::<Role>(), Err(UnknownRole));
    }

    #[test]
    fn unions() {
        let both = permissions(&[Role::Setter, Role::Judge]);
        assert!(both.contains(&"problem.problem.create") && both.contains(&"challenge.source.get"));
        assert!(both.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(!Role::Judge.grants("auth.binding.create"));
        assert!(!of_service("judge").iter().any(|permission| permission.starts_with("auth.")));
        assert!(of_service(OPERATOR).contains(&"auth.credential.reset"));
        assert!(!of_service(OPERATOR).contains(&"auth.binding.create"));
        assert!(OF_WORKERS.iter().all(|permission| exists(permission)));
        assert_eq!(of_service(WORKER), OF_WORKERS);
    }
}
