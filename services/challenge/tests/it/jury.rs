//! Actions of the jury.

use proto::challenge::contest_jury_service_client::ContestJuryServiceClient;
use proto::challenge::*;
use rpc::Channel;
use tonic::{Code, Status};

use crate::contest_world::*;
use crate::world::*;

const REASON: &str = "announced at 12:00";

fn client(world: &World) -> ContestJuryServiceClient<Channel> {
    ContestJuryServiceClient::new(world.running.channel.clone())
}

async fn ignore(
    world: &World,
    user: &User,
    contest_id: &str,
    submission: &str,
    restore: bool,
) -> Result<JuryAction, Status> {
    let request = IgnoreSubmissionRequest {
        contest_id: contest_id.into(),
        submission_id: submission.into(),
        restore,
        reason: REASON.into(),
        ..Default::default()
    };
    let response = client(world).ignore_submission(world.request(user, request)).await?;
    Ok(response.into_inner().jury_action.unwrap())
}

#[tokio::test]
async fn every_action_changes_the_standings_is_listed_and_can_be_reversed() {
    each(|world| async move {
        let (olga, contest) = world.finals().await;
        let id = contest.contest_id;
        let jan = world.user("jan");
        world.grant(&jan, "challenge.contest.judge", &id);
        let (ada, bob) = (world.user("ada"), world.user("bob"));
        let participant_id = world.join(&ada, &id).await.unwrap().participant_id;
        world.join(&bob, &id).await.unwrap();
        world.set_minute(20);
        let wrong = world.enter(&ada, &id, "A").await.unwrap();
        world.give(&ada, &wrong, Verdict::WrongAnswer).await;
        world.set_minute(25);
        let right = world.enter(&ada, &id, "A").await.unwrap();
        world.give(&ada, &right, Verdict::Accepted).await;
        let before = world.public(&id).await;
        let penalty = async || world.public(&id).await.rows[0].penalty_minutes;
        assert_eq!(penalty().await, 35);

        let ignored = ignore(&world, &jan, &id, &wrong.submission_id, false).await.unwrap();
        assert_eq!(ignored.kind(), JuryActionKind::SubmissionIgnored);
        assert_eq!((ignored.user_id, ignored.reason.as_str()), (jan.id.to_string(), REASON));
        assert_eq!(penalty().await, 15);
        assert!(world.get(&ada, &wrong.submission_id).await.unwrap().ignored);
        ignore(&world, &jan, &id, &wrong.submission_id, true).await.unwrap();
        assert_eq!(world.public(&id).await, before);

        for penalty_minutes in [7, -7] {
            let request = AdjustPenaltyRequest {
                contest_id: id.clone(),
                participant_id: participant_id.clone(),
                penalty_minutes,
                reason: REASON.into(),
                ..Default::default()
            };
            client(&world).adjust_penalty(world.request(&olga, request)).await.unwrap();
            assert_eq!(penalty().await, if penalty_minutes > 0 { 42 } else { 35 });
        }

        // Minutes 5 to 12 of the contest: the first attempt counts at 5, the second at 8.
        let request = AddRemovedIntervalRequest {
            contest_id: id.clone(),
            from: seconds(5 * MINUTE),
            to: seconds(12 * MINUTE),
            reason: REASON.into(),
            ..Default::default()
        };
        let removed = client(&world).add_removed_interval(world.request(&jan, request)).await;
        let removed = removed.unwrap().into_inner().jury_action.unwrap();
        assert_eq!(penalty().await, 28);
        let restore = RemoveRemovedIntervalRequest {
            contest_id: id.clone(),
            interval_id: removed.jury_action_id,
        };
        let mut client = client(&world);
        client.remove_removed_interval(world.request(&jan, restore.clone())).await.unwrap();
        assert_eq!(world.public(&id).await, before);
        let again = client.remove_removed_interval(world.request(&jan, restore)).await;
        assert_refused(again, Code::NotFound, "INTERVAL_NOT_FOUND");

        let request = GrantExtraTimeRequest {
            contest_id: id.clone(),
            participant_id,
            extra_time: seconds(MINUTE),
            reason: REASON.into(),
            ..Default::default()
        };
        client.grant_extra_time(world.request(&jan, request)).await.unwrap();
        world.set_minute(50);
        world.enter(&ada, &id, "B").await.unwrap();

        let list =
            ListJuryActionsRequest { contest_id: id.clone(), page_size: 5, ..Default::default() };
        let page = client.list_jury_actions(world.request(&jan, list.clone())).await.unwrap();
        let page = page.into_inner();
        assert_eq!(page.jury_actions.len(), 5);
        assert_eq!(page.jury_actions[0].kind(), JuryActionKind::ExtraTimeGranted);
        let list = ListJuryActionsRequest { page_token: page.next_page_token, ..list };
        let rest = client.list_jury_actions(world.request(&jan, list)).await.unwrap();
        assert_eq!(rest.into_inner().jury_actions.len(), 2);
    })
    .await;
}

#[tokio::test]
async fn an_ignored_judge_error_does_not_prevent_final_results() {
    each(|world| async move {
        let (olga, contest) = world.finals().await;
        let id = contest.contest_id;
        let ada = world.user("ada");
        world.join(&ada, &id).await.unwrap();
        world.set_minute(20);
        let entry = world.enter(&ada, &id, "A").await.unwrap();
        world.give(&ada, &entry, Verdict::JudgeError).await;
        assert_eq!(cell(&world.public(&id).await, &ada, "A"), Some((false, 0, 1)));
        world.set_minute(50);
        let finalize = async || {
            let request = FinalizeContestRequest { contest_id: id.clone(), ..Default::default() };
            world.contests().finalize_contest(world.request(&olga, request)).await
        };
        assert_refused(finalize().await, Code::FailedPrecondition, "SUBMISSIONS_PENDING");
        ignore(&world, &olga, &id, &entry.submission_id, false).await.unwrap();
        finalize().await.unwrap();
        let late = ignore(&world, &olga, &id, &entry.submission_id, true).await;
        assert_refused(late, Code::FailedPrecondition, "CONTEST_CLOSED");
    })
    .await;
}

#[tokio::test]
async fn only_the_jury_of_the_contest_acts_and_fields_are_checked() {
    each(|world| async move {
        let (olga, contest) = world.finals().await;
        let id = contest.contest_id;
        let other = Contest { slug: "other".into(), ..finals() };
        let otto = world.organiser("otto");
        let other = world.create_contest(&otto, other).await.unwrap().contest_id;
        world.publish_contest(&otto, &other).await.unwrap();
        let ada = world.user("ada");
        let participant_id = world.join(&ada, &id).await.unwrap().participant_id;
        world.set_minute(20);
        let entry = world.enter(&ada, &id, "A").await.unwrap().submission_id;
        for user in [&ada, &otto] {
            let refused = ignore(&world, user, &id, &entry, false).await;
            assert_refused(refused, Code::PermissionDenied, "NOT_JURY");
            let list = ListJuryActionsRequest { contest_id: id.clone(), ..Default::default() };
            let refused = client(&world).list_jury_actions(world.request(user, list)).await;
            assert_refused(refused, Code::PermissionDenied, "NOT_JURY");
        }
        // The jury of another contest does not reach this one's submissions and participants.
        let foreign = ignore(&world, &otto, &other, &entry, false).await;
        assert_refused(foreign, Code::NotFound, "SUBMISSION_NOT_FOUND");
        let adjust = |contest_id: &str, penalty_minutes: i32, reason: &str| AdjustPenaltyRequest {
            contest_id: contest_id.into(),
            participant_id: participant_id.clone(),
            penalty_minutes,
            reason: reason.into(),
            ..Default::default()
        };
        let call = async |user: &User, request: AdjustPenaltyRequest| {
            client(&world).adjust_penalty(world.request(user, request)).await
        };
        let foreign = call(&otto, adjust(&other, 1, REASON)).await;
        assert_refused(foreign, Code::NotFound, "PARTICIPANT_NOT_FOUND");
        assert_invalid(call(&olga, adjust(&id, 0, REASON)).await, &["penalty_minutes"]);
        assert_invalid(call(&olga, adjust(&id, 1, " ")).await, &["reason"]);
        assert_invalid(call(&olga, adjust(&id, 1, &"x".repeat(501))).await, &["reason"]);
        assert_invalid(ignore(&world, &olga, &id, "x", false).await, &["submission_id"]);
        let interval = AddRemovedIntervalRequest {
            contest_id: id.clone(),
            from: seconds(60),
            to: seconds(60),
            reason: REASON.into(),
            ..Default::default()
        };
        let refused = client(&world).add_removed_interval(world.request(&olga, interval)).await;
        assert_invalid(refused, &["to"]);
    })
    .await;
}
