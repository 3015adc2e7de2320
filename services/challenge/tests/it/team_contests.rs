//! Teams in contests.

use prost_types::FieldMask;
use proto::challenge::*;
use tonic::{Code, Status};

use crate::contest_world::*;
use crate::world::*;

impl World {
    /// Registers a team.
    pub async fn join_with(
        &self,
        captain: &User,
        contest: &str,
        team: &str,
    ) -> Result<Participant, Status> {
        let (contest_id, team_id) = (contest.to_owned(), team.to_owned());
        let request = RegisterForContestRequest { contest_id, team_id, ..Default::default() };
        let response = self.contests().register_for_contest(self.request(captain, request)).await?;
        Ok(response.into_inner().participant.unwrap())
    }

    pub async fn withdraw(&self, user: &User, contest: &str) -> Result<Participant, Status> {
        let request =
            WithdrawFromContestRequest { contest_id: contest.to_owned(), ..Default::default() };
        let response = self.contests().withdraw_from_contest(self.request(user, request)).await?;
        Ok(response.into_inner().participant.unwrap())
    }

    pub async fn set_group(
        &self,
        organiser: &User,
        contest: &str,
        participant: &Participant,
        group: &str,
        country: &str,
    ) -> Result<Participant, Status> {
        let paths = ["group", "country", "organization"].map(str::to_owned).to_vec();
        let request = UpdateParticipantRequest {
            contest_id: contest.to_owned(),
            participant: Some(Participant {
                participant_id: participant.participant_id.clone(),
                organization: format!("Organization {group}"),
                group: group.to_owned(),
                country: country.to_owned(),
                ..Participant::default()
            }),
            update_mask: Some(FieldMask { paths }),
        };
        let response = self.contests().update_participant(self.request(organiser, request)).await?;
        Ok(response.into_inner().participant.unwrap())
    }
}

fn members(participant: &Participant) -> Vec<&str> {
    participant.members.iter().map(|it| it.name.as_str()).collect()
}

#[tokio::test]
async fn submissions_of_members_count_for_their_team() {
    each(|world| async move {
        let (_, contest) = world.finals().await;
        let id = contest.contest_id.as_str();
        let [ada, bob, cy, eve] = ["ada", "bob", "cy", "eve"].map(|name| world.user(name));
        let team = world.team(&ada, "Engines", &[&bob]).await.team_id;
        let denied = world.join_with(&bob, id, &team).await;
        assert_refused(denied, Code::PermissionDenied, "NOT_CAPTAIN");
        let entered = world.join_with(&ada, id, &team).await.unwrap();
        assert_eq!((entered.name.as_str(), members(&entered)), ("Engines", vec!["ada", "bob"]));
        assert_eq!((&entered.team_id, &entered.user_id), (&team, &ada.id.to_string()));
        assert_eq!(world.join_with(&ada, id, &team).await.unwrap(), entered);
        assert_eq!(world.contest(&ada, id).await.unwrap().participant_count, 1);
        world.join(&eve, id).await.unwrap();

        // Until the start, the members follow the team.
        world.invite(&ada, &team, "cy").await.unwrap();
        world.accept(&cy, &team).await.unwrap();
        world.leave(&bob, &team).await.unwrap();
        world.set_minute(12);
        world.invite(&ada, &team, "bob").await.unwrap();
        world.accept(&bob, &team).await.unwrap();
        let refused = world.enter(&bob, id, "A").await;
        assert_refused(refused, Code::PermissionDenied, "NOT_PARTICIPANT");
        let wrong = world.enter(&ada, id, "A").await.unwrap();
        world.give(&ada, &wrong, Verdict::WrongAnswer).await;
        let right = world.enter(&cy, id, "A").await.unwrap();
        world.give(&cy, &right, Verdict::Accepted).await;
        let standings = world.public(id).await;
        // The rejected attempt of the captain counts for the solution of a member.
        assert_eq!(table(&standings), [("Engines", 1, 1, 22), ("eve", 2, 0, 0)]);
        assert_eq!(standings.rows[0].team_id, team);

        let list = ListSubmissionsRequest { challenge_id: id.into(), ..Default::default() };
        for user in [&ada, &cy] {
            for submission in [&wrong, &right] {
                assert!(world.get(user, &submission.submission_id).await.is_ok());
                assert!(world.source(user, &submission.submission_id).await.is_ok());
            }
            let all = world.list(user, list.clone()).await.unwrap().submissions;
            assert_eq!(all.len(), 2);
            let mine = ListSubmissionsRequest { user_id: "me".into(), ..list.clone() };
            assert_eq!(world.list(user, mine).await.unwrap().submissions.len(), 1);
            let first = ListSubmissionsRequest { page_size: 1, ..list.clone() };
            let page_token = world.list(user, first.clone()).await.unwrap().next_page_token;
            let second = ListSubmissionsRequest { page_token, ..first };
            let second = world.list(user, second).await.unwrap().submissions;
            assert_eq!(second[0].submission_id, wrong.submission_id);
        }
        let of =
            |user: &User| ListSubmissionsRequest { user_id: user.id.to_string(), ..list.clone() };
        assert_eq!(world.list(&cy, of(&ada)).await.unwrap().submissions.len(), 1);
        for user in [&bob, &eve] {
            let hidden = world.get(user, &right.submission_id).await;
            assert_refused(hidden, Code::NotFound, "SUBMISSION_NOT_FOUND");
            assert!(world.source(user, &right.submission_id).await.is_err());
            assert!(world.list(user, list.clone()).await.unwrap().submissions.is_empty());
            let other = world.list(user, of(&ada)).await;
            assert_refused(other, Code::PermissionDenied, "PERMISSION_MISSING");
        }
        let strangers = world.list(&cy, of(&eve)).await;
        assert_refused(strangers, Code::PermissionDenied, "PERMISSION_MISSING");

        let denied = world.withdraw(&cy, id).await;
        assert_refused(denied, Code::PermissionDenied, "NOT_CAPTAIN");
        world.withdraw(&ada, id).await.unwrap();
        let out = world.enter(&cy, id, "B").await;
        assert_refused(out, Code::PermissionDenied, "NOT_PARTICIPANT");
        // Those with submissions stay in this team; its members stay fixed.
        let alone = world.join(&cy, id).await;
        assert_refused(alone, Code::FailedPrecondition, "TAKES_PART_ALREADY");
        let back = world.join_with(&ada, id, &team).await.unwrap();
        assert_eq!(members(&back), ["ada", "cy"]);
    })
    .await;
}

#[tokio::test]
async fn a_user_takes_part_once() {
    each(|world| async move {
        let (_, contest) = world.finals().await;
        let id = contest.contest_id.as_str();
        let [ada, bob, cy] = ["ada", "bob", "cy"].map(|name| world.user(name));
        let twice = "TAKES_PART_ALREADY";
        let failed = Code::FailedPrecondition;
        let engines = world.team(&ada, "Engines", &[&bob]).await.team_id;
        world.join(&bob, id).await.unwrap();
        let refused = assert_refused(world.join_with(&ada, id, &engines).await, failed, twice);
        assert!(refused.message().contains("bob"), "{refused:?}");
        assert_eq!(world.contest(&ada, id).await.unwrap().participant_count, 1);
        // Who withdrew without a submission is free.
        world.withdraw(&bob, id).await.unwrap();
        world.join_with(&ada, id, &engines).await.unwrap();
        for user in [&ada, &bob] {
            assert_refused(world.join(user, id).await, failed, twice);
        }
        let looms = world.team(&cy, "Looms", &[&bob]).await.team_id;
        assert_refused(world.join_with(&cy, id, &looms).await, failed, twice);
        // Nor can a participant join a registered team.
        world.join(&cy, id).await.unwrap();
        world.invite(&ada, &engines, "cy").await.unwrap();
        assert_refused(world.accept(&cy, &engines).await, failed, twice);
        assert_eq!(world.get_team(&ada, &engines).await.unwrap().members.len(), 2);
        let takes_part = world.delete_team(&ada, &engines, "").await;
        assert_refused(takes_part, failed, "TEAM_TAKES_PART");

        // The captain of a registered team can change.
        let captain_id = bob.id.to_string();
        let team = Team { team_id: engines.clone(), captain_id, ..Team::default() };
        world.update_team(&ada, team).await.unwrap();
        assert_refused(world.withdraw(&ada, id).await, Code::PermissionDenied, "NOT_CAPTAIN");
        assert_eq!(world.withdraw(&bob, id).await.unwrap().user_id, bob.id.to_string());
        world.delete_team(&bob, &engines, "").await.unwrap();
        world.join(&ada, id).await.unwrap();
        world.join(&bob, id).await.unwrap();
        assert_eq!(world.contest(&ada, id).await.unwrap().participant_count, 3);
        let registered = ListContestsRequest { registered: true, ..Default::default() };
        let listed = world.contests().list_contests(world.request(&bob, registered)).await.unwrap();
        assert_eq!(listed.into_inner().contests.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn concurrent_registrations_admit_a_user_once() {
    each(|world| async move {
        let (_, contest) = world.finals().await;
        let id = contest.contest_id.as_str();
        let [ada, bob, cy] = ["ada", "bob", "cy"].map(|name| world.user(name));
        let engines = world.team(&ada, "Engines", &[&cy]).await.team_id;
        let looms = world.team(&bob, "Looms", &[&cy]).await.team_id;
        let (one, two, alone) = tokio::join!(
            world.join_with(&ada, id, &engines),
            world.join_with(&bob, id, &looms),
            world.join(&cy, id),
        );
        let all = [one, two, alone];
        assert_eq!(all.iter().filter(|it| it.is_ok()).count(), 1, "{all:?}");
        for refused in all.into_iter().filter(Result::is_err) {
            assert_refused(refused, Code::FailedPrecondition, "TAKES_PART_ALREADY");
        }
        assert_eq!(world.contest(&ada, id).await.unwrap().participant_count, 1);
    })
    .await;
}

#[tokio::test]
async fn members_see_the_private_contest_of_their_team() {
    each(|world| async move {
        world.fakes.problem("b-minus-a");
        let olga = world.organiser("olga");
        let secret = Contest {
            visibility: ContestVisibility::Private.into(),
            registration: Registration::Code.into(),
            access_code: "letmein".into(),
            ..finals()
        };
        let id = world.create_contest(&olga, secret).await.unwrap().contest_id;
        world.publish_contest(&olga, &id).await.unwrap();
        let [ada, bob, eve] = ["ada", "bob", "eve"].map(|name| world.user(name));
        let team_id = world.team(&ada, "Engines", &[&bob]).await.team_id;
        let join = async |code: &str, team_id: &str| {
            let request = RegisterForContestRequest {
                contest_id: id.clone(),
                access_code: code.into(),
                team_id: team_id.into(),
                ..Default::default()
            };
            world.contests().register_for_contest(world.request(&ada, request)).await
        };
        assert_refused(join("wrong", &team_id).await, Code::NotFound, "CONTEST_NOT_FOUND");
        assert_refused(join("letmein", &unknown()).await, Code::NotFound, "TEAM_NOT_FOUND");
        assert_invalid(join("letmein", "Engines").await, &["team_id"]);
        join("letmein", &team_id).await.unwrap();
        assert!(world.contest(&bob, &id).await.is_ok());
        assert_refused(world.contest(&eve, &id).await, Code::NotFound, "CONTEST_NOT_FOUND");
        world.leave(&bob, &team_id).await.unwrap();
        assert_refused(world.contest(&bob, &id).await, Code::NotFound, "CONTEST_NOT_FOUND");
    })
    .await;
}
