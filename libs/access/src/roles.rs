//! The built-in roles and their permissions.
//!
//! A permission is `area.resource.verb`. Users need no permission for their own resources;
//! permissions cover creating shared resources and access to resources of other users.

use std::fmt;
use std::str::FromStr;

/// A built-in role, in ascending order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Every user.
    Player,
    Setter,
    Organiser,
    /// Usually on one contest, by a role binding on it.
    Director,
    Judge,
    Admin,
}

/// All roles, in ascending order.
pub const ALL: [Role; 6] =
    [Role::Player, Role::Setter, Role::Organiser, Role::Director, Role::Judge, Role::Admin];

const PLAYER: &[&str] = &["challenge.submission.create"];

const SETTER: &[&str] = &["challenge.submission.create", "problem.problem.create"];

const ORGANISER: &[&str] = &[
    "auth.account.create",
    "auth.invitation.create",
    "auth.invitation.delete",
    "auth.invitation.list",
    "challenge.contest.create",
    "challenge.submission.create",
    "problem.problem.create",
];

const DIRECTOR: &[&str] =
    &["challenge.contest.judge", "challenge.contest.update", "challenge.submission.create"];

const JUDGE: &[&str] = &[
    "challenge.contest.judge",
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

/// All permissions.
const ADMIN: &[&str] = &[
    "auth.account.create",
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
    "challenge.contest.create",
    "challenge.contest.judge",
    "challenge.contest.update",
    "challenge.source.get",
    "challenge.submission.create",
    "challenge.submission.get",
    "challenge.submission.rejudge",
    "event.dead-letter.discard",
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
    /// The name in tokens and requests.
    pub fn name(self) -> &'static str {
        match self {
            Self::Player => "player",
            Self::Setter => "setter",
            Self::Organiser => "organiser",
            Self::Director => "director",
            Self::Judge => "judge",
            Self::Admin => "admin",
        }
    }

    pub fn description(self) -> &'static str {
        match self {
            Self::Player => "Every user: solves problems.",
            Self::Setter => "Creates problems and manages their own.",
            Self::Organiser => {
                "Creates contests, rules their own, invites people and makes accounts for them."
            }
            Self::Director => {
                "Rules contests and sees their hidden results; usually granted on one contest."
            }
            Self::Judge => "Reads every program, verdict and problem, and rejudges.",
            Self::Admin => "Holds every permission.",
        }
    }

    pub fn permissions(self) -> &'static [&'static str] {
        match self {
            Self::Player => PLAYER,
            Self::Setter => SETTER,
            Self::Organiser => ORGANISER,
            Self::Director => DIRECTOR,
            Self::Judge => JUDGE,
            Self::Admin => ADMIN,
        }
    }

    pub fn grants(self, permission: &str) -> bool {
        self.permissions().binary_search(&permission).is_ok()
    }
}

/// Whether a permission of this name exists.
pub fn exists(permission: &str) -> bool {
    Role::Admin.grants(permission)
}

/// The union of the roles' permissions, sorted.
pub fn permissions(roles: &[Role]) -> Vec<&'static str> {
    let mut all: Vec<_> = roles.iter().flat_map(|role| role.permissions()).copied().collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// Service account of the command line, whose key is in the data directory.
const OPERATOR: &str = "operator";

/// Service account of workers, which run submitted programs: least privilege.
const WORKER: &str = "worker";
const WORKER_PERMISSIONS: &[&str] = &["challenge.source.get", "problem.data.get"];

/// The permissions of a service account: all except those over user accounts. Only the operator may
/// reset a password.
pub(crate) fn service_permissions(name: &str) -> Vec<&'static str> {
    if name == WORKER {
        return WORKER_PERMISSIONS.to_vec();
    }
    let granted = |permission: &&str| match *permission {
        "auth.credential.reset" => name == OPERATOR,
        permission => !permission.starts_with("auth."),
    };
    ADMIN.iter().copied().filter(granted).collect()
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown role; must be player, setter, organiser, director, judge or admin")]
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
    fn permission_tables_are_sorted_and_complete() {
        for role in ALL {
            let permissions = role.permissions();
            assert!(permissions.windows(2).all(|pair| pair[0] < pair[1]), "{role}");
            assert!(permissions.iter().all(|permission| exists(permission)), "{role}");
            assert_eq!(role.name().parse(), Ok(role));
        }
        assert_eq!("root".parse::<Role>(), Err(UnknownRole));
    }

    #[test]
    fn permissions_of_roles_and_services() {
        let both = permissions(&[Role::Setter, Role::Judge]);
        assert!(both.contains(&"problem.problem.create") && both.contains(&"challenge.source.get"));
        assert!(both.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(!Role::Judge.grants("auth.binding.create"));
        assert!(
            !service_permissions("judge").iter().any(|permission| permission.starts_with("auth."))
        );
        assert!(service_permissions(OPERATOR).contains(&"auth.credential.reset"));
        assert!(!service_permissions(OPERATOR).contains(&"auth.binding.create"));
        assert!(WORKER_PERMISSIONS.iter().all(|permission| exists(permission)));
        assert_eq!(service_permissions(WORKER), WORKER_PERMISSIONS);
    }
}
