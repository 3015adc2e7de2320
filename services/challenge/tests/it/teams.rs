//! Teams: names, captains, members and invitations.

use prost_types::FieldMask;
use proto::challenge::team_service_client::TeamServiceClient;
use proto::challenge::*;
use rpc::Channel;
use tonic::{Code, Status};

use crate::contest_world::*;
use crate::world::*;

impl World {
    pub fn teams(&self) -> TeamServiceClient<Channel> {
        TeamServiceClient::new(self.running.channel.clone())
    }

    pub async fn create_team(&self, user: &User, name: &str) -> Result<Team, Status> {
        let team = Some(Team { name: name.into(), ..Team::default() });
        let request = CreateTeamRequest { team, ..Default::default() };
        let response = self.teams().create_team(self.request(user, request)).await?;
        Ok(response.into_inner().team.unwrap())
    }

    pub async fn invite(&self, captain: &User, team: &str, user: &str) -> Result<Team, Status> {
        let (team_id, user_id) = (team.to_owned(), user.to_owned());
        let request = InviteToTeamRequest { team_id, user_id, ..Default::default() };
        let response = self.teams().invite_to_team(self.request(captain, request)).await?;
        Ok(response.into_inner().team.unwrap())
    }

    pub async fn accept(&self, user: &User, team: &str) -> Result<Team, Status> {
        let request =
            AcceptTeamInvitationRequest { team_id: team.to_owned(), ..Default::default() };
        let response = self.teams().accept_team_invitation(self.request(user, request)).await?;
        Ok(response.into_inner().team.unwrap())
    }

    pub async fn leave(&self, user: &User, team: &str) -> Result<(), Status> {
        let request = LeaveTeamRequest { team_id: team.to_owned(), ..Default::default() };
        self.teams().leave_team(self.request(user, request)).await.map(drop)
    }

    pub async fn remove(&self, captain: &User, team: &str, user: &str) -> Result<(), Status> {
        let (team_id, user_id) = (team.to_owned(), user.to_owned());
        let request = RemoveTeamMemberRequest { team_id, user_id };
        self.teams().remove_team_member(self.request(captain, request)).await.map(drop)
    }

    pub async fn decline(&self, user: &User, team: &str) -> Result<(), Status> {
        let request =
            DeclineTeamInvitationRequest { team_id: team.to_owned(), ..Default::default() };
        self.teams().decline_team_invitation(self.request(user, request)).await.map(drop)
    }

    pub async fn get_team(&self, user: &User, team: &str) -> Result<Team, Status> {
        let request = GetTeamRequest { team_id: team.to_owned() };
        let response = self.teams().get_team(self.request(user, request)).await?;
        Ok(response.into_inner().team.unwrap())
    }

    pub async fn update_team(&self, user: &User, team: Team) -> Result<Team, Status> {
        let request = UpdateTeamRequest { team: Some(team), ..Default::default() };
        let response = self.teams().update_team(self.request(user, request)).await?;
        Ok(response.into_inner().team.unwrap())
    }

    pub async fn delete_team(&self, user: &User, team: &str, etag: &str) -> Result<(), Status> {
        let request = DeleteTeamRequest { team_id: team.into(), etag: etag.into() };
        self.teams().delete_team(self.request(user, request)).await.map(drop)
    }

    pub async fn list_teams(
        &self,
        user: &User,
        request: ListTeamsRequest,
    ) -> Result<ListTeamsResponse, Status> {
        Ok(self.teams().list_teams(self.request(user, request)).await?.into_inner())
    }

    /// A team with these members beside its captain.
    pub async fn team(&self, captain: &User, name: &str, others: &[&User]) -> Team {
        let team = self.create_team(captain, name).await.unwrap();
        for other in others {
            self.invite(captain, &team.team_id, &other.id.to_string()).await.unwrap();
            self.accept(other, &team.team_id).await.unwrap();
        }
        self.get_team(captain, &team.team_id).await.unwrap()
    }
}

pub fn names(people: &[TeamMember]) -> Vec<&str> {
    people.iter().map(|it| it.name.as_str()).collect()
}

#[tokio::test]
async fn invited_users_become_members() {
    each(|world| async move {
        let [ada, bob, cy, eve] = ["ada", "bob", "cy", "eve"].map(|name| world.user(name));
        let team = world.create_team(&ada, " Engines ").await.unwrap();
        assert_eq!((team.name.as_str(), names(&team.members)), ("Engines", vec!["ada"]));
        let id = team.team_id.as_str();
        for (name, user) in [("bob", &bob), ("cy", &cy)] {
            world.invite(&ada, id, name).await.unwrap();
            // A second invitation changes nothing.
            let again = world.invite(&ada, id, &user.id.to_string()).await.unwrap();
            assert_eq!(again, world.invite(&ada, id, name).await.unwrap());
        }
        let seen = world.get_team(&ada, id).await.unwrap();
        assert_eq!(
            (names(&seen.members), names(&seen.invitations)),
            (vec!["ada"], vec!["bob", "cy"])
        );
        // Invited users see their own invitation, strangers none.
        let seen = world.get_team(&bob, id).await.unwrap();
        assert_eq!((names(&seen.invitations), seen.etag.as_str()), (vec!["bob"], ""));
        assert!(world.get_team(&eve, id).await.unwrap().invitations.is_empty());
        let invited = ListTeamsRequest { invited: true, ..Default::default() };
        assert_eq!(world.list_teams(&bob, invited.clone()).await.unwrap().teams.len(), 1);
        assert!(world.list_teams(&eve, invited.clone()).await.unwrap().teams.is_empty());

        let joined = world.accept(&bob, id).await.unwrap();
        assert_eq!(
            (names(&joined.members), names(&joined.invitations)),
            (vec!["ada", "bob"], vec!["cy"])
        );
        assert_eq!(world.accept(&bob, id).await.unwrap(), joined);
        assert!(world.list_teams(&bob, invited).await.unwrap().teams.is_empty());
        assert_refused(world.invite(&ada, id, "bob").await, Code::AlreadyExists, "MEMBER_ALREADY");
        assert_refused(world.decline(&bob, id).await, Code::FailedPrecondition, "MEMBER_ALREADY");
        world.decline(&cy, id).await.unwrap();
        world.decline(&cy, id).await.unwrap();
        let none = world.accept(&cy, id).await;
        assert_refused(none, Code::NotFound, "TEAM_INVITATION_NOT_FOUND");

        world.leave(&bob, id).await.unwrap();
        assert_refused(world.leave(&bob, id).await, Code::NotFound, "MEMBER_NOT_FOUND");
        let stay = world.leave(&ada, id).await;
        assert_refused(stay, Code::FailedPrecondition, "CAPTAIN_MUST_STAY");
    })
    .await;
}

#[tokio::test]
async fn only_the_captain_manages_a_team() {
    each(|world| async move {
        let [ada, bob, eve] = ["ada", "bob", "eve"].map(|name| world.user(name));
        let root = world.with_roles("root", &[access::Role::Admin]);
        let team = world.team(&ada, "Engines", &[&bob]).await;
        let id = team.team_id.as_str();
        world.invite(&ada, id, "eve").await.unwrap();
        let renamed = Team { team_id: id.into(), name: "Looms".into(), ..Team::default() };
        for user in [&bob, &eve, &root] {
            let denied = Code::PermissionDenied;
            assert_refused(world.invite(user, id, "cy").await, denied, "NOT_CAPTAIN");
            // Not even whether a user exists.
            assert_refused(world.invite(user, id, "nobody").await, denied, "NOT_CAPTAIN");
            assert_refused(world.update_team(user, renamed.clone()).await, denied, "NOT_CAPTAIN");
            assert_refused(world.remove(user, id, "bob").await, denied, "NOT_CAPTAIN");
            assert_refused(world.delete_team(user, id, "").await, denied, "NOT_CAPTAIN");
        }
        for user in [&root, &world.user("cy")] {
            let none = world.accept(user, id).await;
            assert_refused(none, Code::NotFound, "TEAM_INVITATION_NOT_FOUND");
        }
        let anonymous = world.teams().get_team(GetTeamRequest { team_id: id.into() }).await;
        assert_refused(anonymous, Code::Unauthenticated, "TOKEN_MISSING");

        let stale = Team { etag: "0".into(), ..renamed.clone() };
        assert_refused(world.update_team(&ada, stale).await, Code::Aborted, "ETAG_MISMATCH");
        let etag = world.get_team(&ada, id).await.unwrap().etag;
        let renamed = world.update_team(&ada, Team { etag, ..renamed }).await.unwrap();
        assert_eq!(renamed.name, "Looms");
        let captain = |user: &User| Team {
            team_id: id.into(),
            captain_id: user.id.to_string(),
            ..Team::default()
        };
        let stranger = world.update_team(&ada, captain(&eve)).await;
        assert_refused(stranger, Code::NotFound, "MEMBER_NOT_FOUND");
        world.update_team(&ada, captain(&bob)).await.unwrap();
        assert_refused(world.remove(&ada, id, "eve").await, Code::PermissionDenied, "NOT_CAPTAIN");
        world.remove(&bob, id, "EVE").await.unwrap();
        world.remove(&bob, id, &ada.id.to_string()).await.unwrap();
        assert_refused(world.remove(&bob, id, "ada").await, Code::NotFound, "MEMBER_NOT_FOUND");
        let stay = world.remove(&bob, id, "bob").await;
        assert_refused(stay, Code::FailedPrecondition, "CAPTAIN_MUST_STAY");
        world.delete_team(&bob, id, "").await.unwrap();
        assert_refused(world.get_team(&bob, id).await, Code::NotFound, "TEAM_NOT_FOUND");
        assert_refused(world.delete_team(&bob, id, "").await, Code::NotFound, "TEAM_NOT_FOUND");
    })
    .await;
}

#[tokio::test]
async fn names_that_look_alike_are_taken() {
    each(|world| async move {
        let (ada, bob) = (world.user("ada"), world.user("bob"));
        let team = world.create_team(&ada, "Engines").await.unwrap();
        for name in ["engines", "ENGINES ", "Еngines"] {
            let taken = world.create_team(&bob, name).await;
            assert_refused(taken, Code::AlreadyExists, "TEAM_NAME_TAKEN");
        }
        let looms = world.create_team(&bob, "Looms").await.unwrap();
        let renamed = Team { name: "eNgines".into(), ..looms };
        let taken = world.update_team(&bob, renamed).await;
        assert_refused(taken, Code::AlreadyExists, "TEAM_NAME_TAKEN");
        // A team may write its own name in another way.
        let own = Team { team_id: team.team_id.clone(), name: "ENGINES".into(), ..Team::default() };
        world.update_team(&ada, own).await.unwrap();
        world.delete_team(&ada, &team.team_id, "").await.unwrap();
        world.create_team(&bob, "Engines").await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn the_last_seat_is_taken_once() {
    each(|world| async move {
        let ada = world.user("ada");
        let id = world.create_team(&ada, "Engines").await.unwrap().team_id;
        let others = ["bob", "cy", "dan", "eve"].map(|name| world.user(name));
        for (name, user) in ["bob", "cy", "dan", "eve"].iter().zip(&others) {
            assert_eq!(user_id(name), user.id);
            world.invite(&ada, &id, name).await.unwrap();
        }
        // Three is the limit, with the captain.
        let [bob, cy, dan, eve] = &others;
        let (one, two, three, four) = tokio::join!(
            world.accept(bob, &id),
            world.accept(cy, &id),
            world.accept(dan, &id),
            world.accept(eve, &id),
        );
        let all = [one, two, three, four];
        assert_eq!(all.iter().filter(|it| it.is_ok()).count(), 2);
        for refused in all.into_iter().filter(Result::is_err) {
            assert_refused(refused, Code::FailedPrecondition, "TEAM_FULL");
        }
        let team = world.get_team(&ada, &id).await.unwrap();
        assert_eq!((team.members.len(), team.invitations.len()), (3, 2));
        let full = world.invite(&ada, &id, "fay").await;
        assert_refused(full, Code::FailedPrecondition, "TEAM_FULL");
    })
    .await;
}

#[tokio::test]
async fn retries_and_pages_of_teams() {
    each(|world| async move {
        let ada = world.user("ada");
        let create = |name: &str| CreateTeamRequest {
            team: Some(Team { name: name.into(), ..Team::default() }),
            request_id: "one".into(),
        };
        let call = async |request| world.teams().create_team(world.request(&ada, request)).await;
        let first = call(create("Engines")).await.unwrap().into_inner();
        assert_eq!(call(create("Engines")).await.unwrap().into_inner(), first);
        assert_invalid(call(create("Looms")).await, &["request_id"]);
        for n in 2..=5 {
            world.create_team(&ada, &format!("Engines {n}")).await.unwrap();
        }
        let mut names = Vec::new();
        let mut request =
            ListTeamsRequest { page_size: 2, user_id: "ada".into(), ..Default::default() };
        loop {
            let page = world.list_teams(&world.user("eve"), request.clone()).await.unwrap();
            names.extend(page.teams.into_iter().map(|team| team.name));
            request.page_token = page.next_page_token;
            if request.page_token.is_empty() {
                break;
            }
        }
        assert_eq!(names, ["Engines", "Engines 2", "Engines 3", "Engines 4", "Engines 5"]);
        assert!(
            world.list_teams(&ada, ListTeamsRequest::default()).await.unwrap().teams.len() == 5
        );
    })
    .await;
}

#[tokio::test]
async fn wrong_team_requests_name_their_field() {
    each(|world| async move {
        let ada = world.user("ada");
        let long = "x".repeat(61);
        for name in ["", "  ", "a\nb", "a\0", &long] {
            assert_invalid(world.create_team(&ada, name).await, &["team.name"]);
        }
        for bad in ["", "x", "Engines", "\0"] {
            assert_invalid(world.get_team(&ada, bad).await, &["team_id"]);
            assert_invalid(world.invite(&ada, bad, "bob").await, &["team_id"]);
            assert_invalid(world.accept(&ada, bad).await, &["team_id"]);
            assert_invalid(world.decline(&ada, bad).await, &["team_id"]);
            assert_invalid(world.leave(&ada, bad).await, &["team_id"]);
            assert_invalid(world.remove(&ada, bad, "bob").await, &["team_id"]);
            assert_invalid(world.delete_team(&ada, bad, "").await, &["team_id"]);
            let team = Team { team_id: bad.into(), ..Team::default() };
            assert_invalid(world.update_team(&ada, team).await, &["team.team_id"]);
        }
        assert_refused(world.get_team(&ada, &unknown()).await, Code::NotFound, "TEAM_NOT_FOUND");
        assert_refused(world.accept(&ada, &unknown()).await, Code::NotFound, "TEAM_NOT_FOUND");
        let id = world.create_team(&ada, "Engines").await.unwrap().team_id;
        assert_refused(world.invite(&ada, &id, "nobody").await, Code::NotFound, "USER_NOT_FOUND");
        for user in ["", " ", "a\0b", &"x".repeat(65)] {
            assert_invalid(world.invite(&ada, &id, user).await, &["user_id"]);
            assert_invalid(world.remove(&ada, &id, user).await, &["user_id"]);
        }
        let bad = Team { team_id: id.clone(), captain_id: "ada".into(), ..Team::default() };
        assert_invalid(world.update_team(&ada, bad).await, &["team.captain_id"]);
        let mask = Some(FieldMask { paths: vec!["members".into()] });
        let team = Some(Team { team_id: id.clone(), ..Team::default() });
        let request = UpdateTeamRequest { team, update_mask: mask };
        let masked = world.teams().update_team(world.request(&ada, request)).await;
        assert_invalid(masked, &["update_mask"]);
        let list = |request: ListTeamsRequest| world.list_teams(&ada, request);
        let other = ListTeamsRequest { user_id: "bob".into(), invited: true, ..Default::default() };
        assert_invalid(list(other).await, &["invited"]);
        let user = ListTeamsRequest { user_id: "a b".into(), ..Default::default() };
        assert_invalid(list(user).await, &["user_id"]);
        let size = ListTeamsRequest { page_size: -1, ..Default::default() };
        assert_invalid(list(size).await, &["page_size"]);
        let token = ListTeamsRequest { page_token: "x".into(), ..Default::default() };
        assert_invalid(list(token).await, &["page_token"]);
        let request_id = "x".repeat(129);
        let request = LeaveTeamRequest { team_id: id, request_id };
        let long = world.teams().leave_team(world.request(&ada, request)).await;
        assert_invalid(long, &["request_id"]);
    })
    .await;
}
