//! Teams: names, members and invitations. Pure.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::error::Error;

/// The longest name, in characters.
const MAX_NAME: usize = 60;
/// Open invitations of one team.
pub const MAX_INVITATIONS: usize = 20;
/// Teams of one user.
pub const MAX_TEAMS: i64 = 50;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Team {
    pub id: Uuid,
    /// Increased by every change of the team or its members.
    pub version: i64,
    pub name: String,
    pub captain_id: Uuid,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub deleted_at: Option<DateTime<Utc>>,
    /// Members and invited users, by the time of the invitation.
    pub people: Vec<Member>,
}

/// A user who belongs to a team, or is invited to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub user_id: Uuid,
    /// The username at the invitation.
    pub name: String,
    pub invited_at: DateTime<Utc>,
    /// `None` while the invitation is open.
    pub joined_at: Option<DateTime<Utc>>,
}

impl Team {
    pub fn etag(&self) -> String {
        format!("{:x}", self.version)
    }

    /// Whether the etag is empty or current.
    pub fn matches(&self, etag: &str) -> bool {
        etag.is_empty() || etag == self.etag()
    }

    /// By the time at which they joined.
    pub fn members(&self) -> Vec<&Member> {
        let mut members: Vec<_> = self.people.iter().filter(|it| it.joined_at.is_some()).collect();
        members.sort_by_key(|it| (it.joined_at, it.user_id));
        members
    }

    pub fn invitations(&self) -> impl Iterator<Item = &Member> {
        self.people.iter().filter(|it| it.joined_at.is_none())
    }

    /// A member or an invited user.
    pub fn person(&self, user: Uuid) -> Option<&Member> {
        self.people.iter().find(|it| it.user_id == user)
    }

    pub fn is_member(&self, user: Uuid) -> bool {
        self.person(user).is_some_and(|it| it.joined_at.is_some())
    }

    pub fn check_captain(&self, user: Uuid) -> Result<(), Error> {
        if self.captain_id == user { Ok(()) } else { Err(Error::NotCaptain) }
    }

    /// Fails unless another member may join.
    pub fn check_room(&self, limit: u32) -> Result<(), Error> {
        if self.members().len() < limit as usize {
            return Ok(());
        }
        let text = format!("the team has {limit} members, the most that it may have");
        Err(Error::precondition("TEAM_FULL", text))
    }

    pub fn invite(&mut self, user_id: Uuid, name: &str, now: DateTime<Utc>) -> Result<(), Error> {
        if self.invitations().count() >= MAX_INVITATIONS {
            return Err(Error::TooManyInvitations(MAX_INVITATIONS));
        }
        let name = name.to_owned();
        self.people.push(Member { user_id, name, invited_at: now, joined_at: None });
        Ok(())
    }

    /// Makes an invited user a member.
    pub fn join(&mut self, user: Uuid, limit: u32, now: DateTime<Utc>) -> Result<(), Error> {
        self.check_room(limit)?;
        let person = self.people.iter_mut().find(|it| it.user_id == user);
        person.ok_or(Error::TeamInvitationNotFound)?.joined_at = Some(now);
        Ok(())
    }

    /// Removes a member or an invited user.
    pub fn remove(&mut self, user: Uuid) -> Result<(), Error> {
        if self.person(user).is_none() {
            return Err(Error::MemberNotFound);
        }
        if user == self.captain_id {
            let text = "make another member the captain first, or delete the team";
            return Err(Error::precondition("CAPTAIN_MUST_STAY", text));
        }
        self.people.retain(|it| it.user_id != user);
        Ok(())
    }
}

/// The name of a team without surrounding spaces, if others may read it.
pub fn name(text: &str) -> Result<String, String> {
    let name = text.trim();
    if name.is_empty() {
        return Err("must have 1 to 60 characters".into());
    }
    text::check_line(name, MAX_NAME).map_err(|refusal| refusal.to_string())?;
    Ok(name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u128) -> Uuid {
        Uuid::from_u128(n)
    }

    fn team() -> Team {
        let at = DateTime::UNIX_EPOCH;
        let captain =
            Member { user_id: id(1), name: "ada".into(), invited_at: at, joined_at: Some(at) };
        Team {
            id: id(9),
            version: 1,
            name: "Engines".into(),
            captain_id: id(1),
            created_at: at,
            updated_at: at,
            deleted_at: None,
            people: vec![captain],
        }
    }

    #[test]
    fn a_full_team_admits_nobody_else() {
        let now = DateTime::UNIX_EPOCH;
        let mut team = team();
        for (n, name) in [(2, "bob"), (3, "eve")] {
            team.invite(id(n), name, now).unwrap();
        }
        assert!(!team.is_member(id(2)));
        team.join(id(2), 2, now).unwrap();
        assert!(team.is_member(id(2)));
        assert!(matches!(team.join(id(3), 2, now), Err(Error::Precondition("TEAM_FULL", _))));
        assert!(matches!(team.join(id(4), 3, now), Err(Error::TeamInvitationNotFound)));
        team.join(id(3), 3, now).unwrap();
        assert_eq!(team.members().len(), 3);
    }

    #[test]
    fn the_captain_cannot_be_removed() {
        let mut team = team();
        let refused = team.remove(id(1));
        assert!(matches!(refused, Err(Error::Precondition("CAPTAIN_MUST_STAY", _))));
        assert!(matches!(team.remove(id(2)), Err(Error::MemberNotFound)));
        team.invite(id(2), "bob", DateTime::UNIX_EPOCH).unwrap();
        team.remove(id(2)).unwrap();
        assert_eq!(team.people.len(), 1);
    }

    #[test]
    fn names_are_lines_of_visible_text() {
        assert_eq!(name("  Engines 1 "), Ok("Engines 1".into()));
        for bad in ["", "  ", "a\nb", "a\0b", &"x".repeat(61)] {
            assert!(name(bad).is_err(), "{bad:?}");
        }
    }
}
