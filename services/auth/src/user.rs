//! Users and the rules for profiles.

use access::Role;
use chrono::{DateTime, Utc};
use proto::auth as pb;
use rpc::Violations;
use uuid::Uuid;

use crate::reserved::claims_role;
use crate::{country, email};

/// Maximum length of a display name, in code points.
pub const MAX_DISPLAY_NAME: usize = 64;

db::record! {
    /// A row of `users`.
    #[derive(Clone)]
    pub struct User {
        pub id: Uuid,
        /// In the spelling of its owner.
        pub username: String,
        /// The username in lower case; unique.
        pub username_key: String,
        /// Empty: clients show the username.
        pub display_name: String,
        /// Empty if unspecified.
        pub country: String,
        /// Empty if unspecified.
        pub email: String,
        /// PHC string.
        pub password_hash: String,
        pub password_changed_at: DateTime<Utc>,
        pub suspended_at: Option<DateTime<Utc>>,
        pub suspend_reason: String,
        /// Tokens with a lower epoch are refused.
        pub auth_epoch: i64,
        /// Increased by every change.
        pub version: i64,
        pub created_at: DateTime<Utc>,
        /// Time of the last change of the profile.
        pub updated_at: DateTime<Utc>,
    }
}

impl User {
    pub fn is_suspended(&self) -> bool {
        self.suspended_at.is_some()
    }

    pub fn etag(&self) -> String {
        self.version.to_string()
    }

    /// Words that the password must not consist of.
    pub fn password_context(&self) -> [&str; 3] {
        [&self.username, &self.email, &self.display_name]
    }

    /// `private` includes the fields for the owner and administrators.
    pub fn to_proto(&self, roles: &[Role], private: bool) -> pb::User {
        let state = match self.suspended_at {
            None => pb::UserState::Active,
            Some(_) => pb::UserState::Suspended,
        };
        pb::User {
            user_id: self.id.to_string(),
            username: self.username.clone(),
            display_name: self.display_name.clone(),
            country: self.country.clone(),
            email: if private { self.email.clone() } else { String::new() },
            roles: if private { role_names(roles) } else { Vec::new() },
            state: state.into(),
            create_time: Some(timestamp(self.created_at)),
            update_time: Some(timestamp(self.updated_at)),
            etag: self.etag(),
        }
    }
}

/// Sorted names.
pub fn role_names(roles: &[Role]) -> Vec<String> {
    let mut names: Vec<String> = roles.iter().map(|role| role.name().to_owned()).collect();
    names.sort_unstable();
    names
}

/// The global roles of a user with these bindings, always including player.
pub fn global_roles<'a>(bound: impl IntoIterator<Item = &'a str>) -> Vec<Role> {
    let mut roles = vec![Role::Player];
    roles.extend(bound.into_iter().filter_map(|name| name.parse::<Role>().ok()));
    roles.sort_unstable();
    roles.dedup();
    roles
}

pub fn timestamp(at: DateTime<Utc>) -> prost_types::Timestamp {
    let nanos = i32::try_from(at.timestamp_subsec_nanos()).unwrap_or(0);
    prost_types::Timestamp { seconds: at.timestamp(), nanos }
}

/// Checks the fields of a profile; `prefix` is the path of the profile in the request. Only
/// administrators may give names that claim a role.
pub fn check_profile(
    violations: &mut Violations,
    prefix: &str,
    may_claim_role: bool,
    display_name: &str,
    country_code: &str,
    address: &str,
) {
    if let Err(refusal) = text::check_line(display_name, MAX_DISPLAY_NAME) {
        violations.add(format!("{prefix}display_name"), refusal.to_string());
    } else if !may_claim_role && claims_role(display_name) {
        let what = "must not be, or look like, the name of a role such as admin or support";
        violations.add(format!("{prefix}display_name"), what);
    }
    if let Err(what) = country::check(country_code) {
        violations.add(format!("{prefix}country"), what);
    }
    if !address.is_empty()
        && let Err(what) = email::check(address)
    {
        violations.add(format!("{prefix}email"), what);
    }
}

/// The fields of a profile that an update changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProfileMask {
    pub display_name: bool,
    pub country: bool,
    pub email: bool,
}

impl ProfileMask {
    /// Parses an update mask: `*` is all fields, empty is the non-empty fields of `user`. The error
    /// names an invalid path.
    pub fn parse(paths: &[String], user: &pb::User) -> Result<Self, String> {
        if paths.is_empty() {
            let set = |text: &str| !text.is_empty();
            let (display_name, country) = (set(&user.display_name), set(&user.country));
            return Ok(Self { display_name, country, email: set(&user.email) });
        }
        let mut mask = Self::default();
        for path in paths {
            match path.as_str() {
                "*" => mask = Self { display_name: true, country: true, email: true },
                "display_name" => mask.display_name = true,
                "country" => mask.country = true,
                "email" => mask.email = true,
                other => {
                    let other: String = other.chars().take(64).collect();
                    return Err(format!(
                        "must hold display_name, country, email or *, got {other:?}"
                    ));
                }
            }
        }
        Ok(mask)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_names_are_visible_and_claim_no_role() {
        let valid = |may_claim_role, name: &str| {
            let mut violations = Violations::default();
            check_profile(&mut violations, "", may_claim_role, name, "", "");
            violations.into_result().is_ok()
        };
        for good in ["", "Ada Lovelace", "王小明", "Zoë 🎲"] {
            assert!(valid(false, good), "{good}");
        }
        for bad in [" Ada", "Ada\n", "a\u{202e}b", "a\u{200b}", "\u{3164}", &"x".repeat(65)] {
            assert!(!valid(true, bad), "{bad:?}");
        }
        assert!(!valid(false, "Аgon Support") && valid(true, "Agon Support"));
    }

    #[test]
    fn update_masks() {
        let user = pb::User { country: "NZ".into(), ..Default::default() };
        let parse = |paths: &[&str]| {
            ProfileMask::parse(&paths.iter().map(|p| (*p).to_owned()).collect::<Vec<_>>(), &user)
        };
        let country = ProfileMask { country: true, ..ProfileMask::default() };
        assert_eq!(parse(&[]), Ok(country));
        assert_eq!(parse(&["country"]), Ok(country));
        let all = ProfileMask { display_name: true, country: true, email: true };
        assert_eq!(parse(&["*"]), Ok(all));
        assert!(parse(&["username"]).is_err());
        assert!(parse(&["country", ""]).is_err());
    }

    #[test]
    fn every_user_is_a_player() {
        assert_eq!(global_roles([]), [Role::Player]);
        assert_eq!(global_roles(["admin", "nonsense"]), [Role::Player, Role::Admin]);
        assert_eq!(role_names(&[Role::Player, Role::Admin]), ["admin", "player"]);
    }
}
