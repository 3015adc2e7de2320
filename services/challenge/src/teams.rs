//! The use cases of teams.

pub mod wire;

use access::Caller;
use db::{Tx, TxGuard};
use proto::challenge as pb;
use rpc::Violations;
use service::{Idempotent, Page, check_request_id};
use uuid::Uuid;

use crate::Challenge;
use crate::error::Error;
use crate::request;
use crate::store;
use crate::team::{self, Member, Team};

/// The fields that a captain can set.
const FIELDS: [&str; 2] = ["name", "captain_id"];

impl Challenge {
    /// Creates a team, once per request id.
    pub async fn create_team(
        &self,
        caller: &Caller,
        request: &pb::CreateTeamRequest,
    ) -> Result<pb::CreateTeamResponse, Error> {
        let user = caller.user()?;
        let draft = request.team.clone().unwrap_or_default();
        let mut violations = Violations::default();
        let name = team::name(&draft.name);
        let name = name.map_err(|what| violations.add("team.name", what)).unwrap_or_default();
        check_request_id(&mut violations, &request.request_id);
        violations.into_result()?;
        let content = [name.as_bytes()];
        let once = Idempotent::new(user.id, "CreateTeam", &request.request_id, &content);
        let name = &name;
        let create = |mut tx: TxGuard| async move {
            check_count(&mut tx, user.id).await?;
            let now = tx.now();
            let captain = Member {
                user_id: user.id,
                name: user.name.clone(),
                invited_at: now,
                joined_at: Some(now),
            };
            let team = Team {
                id: tx.new_id(),
                version: 1,
                name: name.clone(),
                captain_id: user.id,
                created_at: now,
                updated_at: now,
                deleted_at: None,
                people: vec![captain.clone()],
            };
            if !store::teams::insert(&mut tx, &team).await? {
                return Err(Error::TeamNameTaken);
            }
            store::teams::put_member(&mut tx, team.id, &captain).await?;
            Ok(pb::CreateTeamResponse { team: Some(wire::team(&team, user.id)) })
        };
        once.run(&self.db, create).await
    }

    pub async fn get_team(&self, caller: &Caller, id: &str) -> Result<pb::Team, Error> {
        let viewer = caller.user()?.id;
        let team = store::teams::by_id(&self.db, parse_id("team_id", id)?).await?;
        Ok(wire::team(&team.ok_or(Error::TeamNotFound)?, viewer))
    }

    pub async fn list_teams(
        &self,
        caller: &Caller,
        request: &pb::ListTeamsRequest,
    ) -> Result<pb::ListTeamsResponse, Error> {
        let viewer = caller.user()?.id;
        let user = match request.user_id.as_str() {
            "" | "me" => viewer,
            name => match ids::parse(name) {
                Some(id) => id,
                None if request::is_username(name) => self.peers.user_id(name).await?,
                None => {
                    let text = "must be a user id, a username or `me`";
                    return Err(Error::invalid("user_id", text));
                }
            },
        };
        if request.invited && user != viewer {
            return Err(Error::invalid("invited", "is possible for your own invitations only"));
        }
        let args = [viewer.as_bytes().as_slice(), user.as_bytes(), &[u8::from(request.invited)]];
        let (size, token) = (request.page_size, &request.page_token);
        let page: Page<'_, Uuid> = Page::open(&self.page_key, "ListTeams", &args, size, token)?;
        let (after, limit) = (page.after, page.limit());
        let rows = store::teams::list(&self.db, user, request.invited, after, limit).await?;
        let (teams, next_page_token) = page.close(rows, |last| last.id);
        let teams = teams.iter().map(|team| wire::team(team, viewer)).collect();
        Ok(pb::ListTeamsResponse { teams, next_page_token })
    }

    /// Changes the fields of the mask.
    pub async fn update_team(
        &self,
        caller: &Caller,
        request: &pb::UpdateTeamRequest,
    ) -> Result<pb::Team, Error> {
        let user = caller.user()?.id;
        let draft = request.team.clone().unwrap_or_default();
        let id = parse_id("team.team_id", &draft.team_id)?;
        let mask = request.update_mask.as_ref().map_or(&[][..], |mask| &mask.paths);
        let fields = fields(mask, &draft)?;
        let mut violations = Violations::default();
        let name = fields.contains(&"name").then(|| team::name(&draft.name)).transpose();
        let name = name.map_err(|what| violations.add("team.name", what)).unwrap_or_default();
        let captain = fields.contains(&"captain_id").then(|| ids::parse(&draft.captain_id));
        violations.check(captain != Some(None), "team.captain_id", "must be a user id (a UUID)");
        violations.into_result()?;
        let (name, captain, etag) = (&name, captain.flatten(), &draft.etag);
        let updated = self.db.transact(|mut tx| async move {
            let mut team = own_team(&mut tx, id, user, etag).await?;
            if let Some(name) = name {
                team.name.clone_from(name);
            }
            if let Some(captain) = captain {
                if !team.is_member(captain) {
                    return Err(Error::MemberNotFound);
                }
                team.captain_id = captain;
            }
            save(&mut tx, &mut team).await?;
            self.follow_team(&mut tx, &team).await?;
            Ok(team)
        });
        let team: Result<Team, Error> = updated.await;
        Ok(wire::team(&team?, user))
    }

    pub async fn delete_team(&self, caller: &Caller, id: &str, etag: &str) -> Result<(), Error> {
        let (user, id) = (caller.user()?.id, parse_id("team_id", id)?);
        let deleted = self.db.transact(|mut tx| async move {
            let mut team = own_team(&mut tx, id, user, etag).await?;
            let now = tx.now();
            if !store::teams::contests(&mut *tx, id, false, now).await?.is_empty() {
                let text =
                    "the team is registered for a contest that has not ended; withdraw it first";
                return Err(Error::precondition("TEAM_TAKES_PART", text));
            }
            team.deleted_at = Some(now);
            save(&mut tx, &mut team).await
        });
        deleted.await
    }

    /// Invites a user, once per request id.
    pub async fn invite_to_team(
        &self,
        caller: &Caller,
        request: &pb::InviteToTeamRequest,
    ) -> Result<pb::InviteToTeamResponse, Error> {
        let user = caller.user()?.id;
        let id = checked(&request.team_id, &request.request_id)?;
        if !request::is_username(&request.user_id) {
            return Err(Error::invalid("user_id", "must be a user id or a username"));
        }
        let content = [id.as_bytes().as_slice(), request.user_id.as_bytes()];
        let once = Idempotent::new(user, "InviteToTeam", &request.request_id, &content);
        if let Some(response) = once.replay(&self.db).await? {
            return Ok(response);
        }
        // Refuses early: only captains look up users here.
        let team = store::teams::by_id(&self.db, id).await?.ok_or(Error::TeamNotFound)?;
        team.check_captain(user)?;
        let invited = &self.peers.user(&request.user_id).await?.person;
        let invite = |mut tx: TxGuard| async move {
            let mut team = own_team(&mut tx, id, user, "").await?;
            match team.person(invited.user_id) {
                Some(known) if known.joined_at.is_some() => return Err(Error::MemberAlready),
                Some(_) => {}
                None => {
                    team.check_room(self.config.team_members)?;
                    team.invite(invited.user_id, &invited.name, tx.now())?;
                    put(&mut tx, &team, invited.user_id).await?;
                    save(&mut tx, &mut team).await?;
                }
            }
            Ok(pb::InviteToTeamResponse { team: Some(wire::team(&team, user)) })
        };
        once.run(&self.db, invite).await
    }

    /// Makes an invited caller a member, once per request id.
    pub async fn accept_invitation(
        &self,
        caller: &Caller,
        request: &pb::AcceptTeamInvitationRequest,
    ) -> Result<pb::AcceptTeamInvitationResponse, Error> {
        let user = caller.user()?.id;
        let id = checked(&request.team_id, &request.request_id)?;
        let content = [id.as_bytes().as_slice()];
        let once = Idempotent::new(user, "AcceptTeamInvitation", &request.request_id, &content);
        let accept = |mut tx: TxGuard| async move {
            let mut team = lock(&mut tx, id).await?;
            if !team.is_member(user) {
                let now = tx.now();
                team.person(user).ok_or(Error::TeamInvitationNotFound)?;
                check_count(&mut tx, user).await?;
                team.join(user, self.config.team_members, now)?;
                put(&mut tx, &team, user).await?;
                save(&mut tx, &mut team).await?;
                self.follow_team(&mut tx, &team).await?;
            }
            Ok(pb::AcceptTeamInvitationResponse { team: Some(wire::team(&team, user)) })
        };
        once.run(&self.db, accept).await
    }

    /// Removes the invitation of the caller, once per request id.
    pub async fn decline_invitation(
        &self,
        caller: &Caller,
        request: &pb::DeclineTeamInvitationRequest,
    ) -> Result<pb::DeclineTeamInvitationResponse, Error> {
        let user = caller.user()?.id;
        let id = checked(&request.team_id, &request.request_id)?;
        let content = [id.as_bytes().as_slice()];
        let once = Idempotent::new(user, "DeclineTeamInvitation", &request.request_id, &content);
        let decline = |mut tx: TxGuard| async move {
            let mut team = lock(&mut tx, id).await?;
            if team.is_member(user) {
                let text = "you are a member of the team, which you can leave";
                return Err(Error::precondition("MEMBER_ALREADY", text));
            }
            if team.person(user).is_some() {
                self.remove(&mut tx, &mut team, user).await?;
            }
            Ok(pb::DeclineTeamInvitationResponse {})
        };
        once.run(&self.db, decline).await
    }

    /// Ends the membership of the caller, once per request id.
    pub async fn leave_team(
        &self,
        caller: &Caller,
        request: &pb::LeaveTeamRequest,
    ) -> Result<pb::LeaveTeamResponse, Error> {
        let user = caller.user()?.id;
        let id = checked(&request.team_id, &request.request_id)?;
        let content = [id.as_bytes().as_slice()];
        let once = Idempotent::new(user, "LeaveTeam", &request.request_id, &content);
        let leave = |mut tx: TxGuard| async move {
            let mut team = lock(&mut tx, id).await?;
            if !team.is_member(user) {
                return Err(Error::MemberNotFound);
            }
            self.remove(&mut tx, &mut team, user).await?;
            Ok(pb::LeaveTeamResponse {})
        };
        once.run(&self.db, leave).await
    }

    /// Removes a member, or revokes an invitation.
    pub async fn remove_team_member(
        &self,
        caller: &Caller,
        id: &str,
        name: &str,
    ) -> Result<(), Error> {
        let (user, id) = (caller.user()?.id, parse_id("team_id", id)?);
        if !request::is_username(name) {
            return Err(Error::invalid("user_id", "must be a user id or a username"));
        }
        let removed = self.db.transact(|mut tx| async move {
            let mut team = own_team(&mut tx, id, user, "").await?;
            let id = ids::parse(name);
            let is_named =
                |it: &&Member| Some(it.user_id) == id || it.name.eq_ignore_ascii_case(name);
            let person = team.people.iter().find(is_named).ok_or(Error::MemberNotFound)?.user_id;
            self.remove(&mut tx, &mut team, person).await
        });
        removed.await
    }

    async fn remove(&self, tx: &mut Tx, team: &mut Team, user: Uuid) -> Result<(), Error> {
        let was_member = team.is_member(user);
        team.remove(user)?;
        store::teams::remove_member(tx, team.id, user).await?;
        save(tx, team).await?;
        if was_member {
            self.follow_team(tx, team).await?;
        }
        Ok(())
    }
}

/// A team locks before the contests for which it is registered.
pub(crate) async fn lock(tx: &mut Tx, id: Uuid) -> Result<Team, Error> {
    store::teams::lock(tx, id).await?.ok_or(Error::TeamNotFound)
}

/// Locks a team of which the user is the captain. Fails if the etag does not match.
async fn own_team(tx: &mut Tx, id: Uuid, user: Uuid, etag: &str) -> Result<Team, Error> {
    let team = lock(tx, id).await?;
    team.check_captain(user)?;
    if team.matches(etag) { Ok(team) } else { Err(service::Error::EtagMismatch.into()) }
}

async fn save(tx: &mut Tx, team: &mut Team) -> Result<(), Error> {
    team.version += 1;
    team.updated_at = tx.now();
    if store::teams::save(tx, team).await? { Ok(()) } else { Err(Error::TeamNameTaken) }
}

async fn put(tx: &mut Tx, team: &Team, user: Uuid) -> Result<(), Error> {
    let person = team.person(user).ok_or(Error::MemberNotFound)?;
    Ok(store::teams::put_member(tx, team.id, person).await?)
}

async fn check_count(tx: &mut Tx, user: Uuid) -> Result<(), Error> {
    let count = store::teams::count_of(&mut *tx, user).await?;
    if count < team::MAX_TEAMS { Ok(()) } else { Err(Error::TooManyTeams) }
}

pub fn parse_id(field: &str, id: &str) -> Result<Uuid, Error> {
    ids::parse(id).ok_or_else(|| Error::invalid(field, "must be a team id (a UUID)"))
}

/// The id of the team in a request whose request id is valid.
fn checked(team_id: &str, request_id: &str) -> Result<Uuid, Error> {
    let mut violations = Violations::default();
    check_request_id(&mut violations, request_id);
    violations.into_result()?;
    parse_id("team_id", team_id)
}

fn fields(mask: &[String], draft: &pb::Team) -> Result<Vec<&'static str>, Error> {
    if mask.iter().any(|path| path == "*") {
        return Ok(FIELDS.to_vec());
    }
    if mask.is_empty() {
        let is_set = [!draft.name.is_empty(), !draft.captain_id.is_empty()];
        return Ok(FIELDS.into_iter().zip(is_set).filter(|it| it.1).map(|it| it.0).collect());
    }
    let known = |path: &String| {
        let path = path.strip_prefix("team.").unwrap_or(path);
        FIELDS.into_iter().find(|field| *field == path)
    };
    let fields: Option<Vec<_>> = mask.iter().map(known).collect();
    fields.ok_or_else(|| {
        let text = format!("must name fields among {}, or be *", FIELDS.join(", "));
        Error::invalid("update_mask", text)
    })
}
