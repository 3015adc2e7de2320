//! Submissions to contests.

use challenge::Config;
use proto::challenge::*;
use tonic::Code;

use crate::contest_world::*;
use crate::world::*;

#[tokio::test]
async fn participants_submit_between_start_and_end() {
    each(|world| async move {
        let (_, contest) = world.finals().await;
        let id = contest.contest_id;
        let (ada, bob) = (world.user("ada"), world.user("bob"));
        assert_refused(
            world.enter(&ada, "nothing", "A").await,
            Code::NotFound,
            "CONTEST_NOT_FOUND",
        );
        assert_refused(
            world.enter(&ada, &id, "A").await,
            Code::PermissionDenied,
            "NOT_PARTICIPANT",
        );
        world.join(&ada, "finals").await.unwrap();
        // The problems are secret before the start.
        for label in ["A", "Z"] {
            let early = world.enter(&ada, &id, label).await;
            assert_refused(early, Code::FailedPrecondition, "CONTEST_NOT_STARTED");
        }
        world.set_minute(10);
        let entry = world.enter(&ada, "finals", "a").await.unwrap();
        assert_eq!(entry.challenge_id, id);
        assert_eq!(entry.contest_time, seconds(0));
        let again = world.enter(&ada, &id, "a-plus-b").await.unwrap();
        assert_eq!(again.problem_id, entry.problem_id);
        assert_refused(world.enter(&ada, &id, "Z").await, Code::NotFound, "PROBLEM_NOT_FOUND");
        assert_invalid(world.enter(&ada, &id, "A!").await, &["problem_id"]);
        assert_refused(
            world.enter(&bob, &id, "A").await,
            Code::PermissionDenied,
            "NOT_PARTICIPANT",
        );
        world.set_minute(50);
        assert_refused(
            world.enter(&ada, &id, "A").await,
            Code::FailedPrecondition,
            "CONTEST_ENDED",
        );
        // Upsolving is practice.
        assert_eq!(world.submit(&ada).await.challenge_id, "");
        let list = ListSubmissionsRequest { challenge_id: "finals".into(), ..Default::default() };
        assert_eq!(world.list(&ada, list).await.unwrap().submissions.len(), 2);
    })
    .await;
}

#[tokio::test]
async fn contests_limit_languages_sizes_and_attempts() {
    let config = Config { contest_attempts: 2, submissions_per_hour: 1, ..Config::default() };
    each_with(config, |world| async move {
        world.fakes.problem("b-minus-a");
        let olga = world.organiser("olga");
        let limited =
            Contest { languages: vec!["python3".into()], source_limit_bytes: 5, ..finals() };
        let id = world.create_contest(&olga, limited).await.unwrap().contest_id;
        world.publish_contest(&olga, &id).await.unwrap();
        let ada = world.user("ada");
        world.join(&ada, &id).await.unwrap();
        world.set_minute(10);
        assert_invalid(world.enter(&ada, &id, "A").await, &["language", "source"]);
        let request = |source: &str| CreateSubmissionRequest {
            problem_id: "A".into(),
            language: "python3".into(),
            source: source.into(),
            challenge_id: id.clone(),
            ..Default::default()
        };
        assert_invalid(world.create(&ada, request("123456")).await, &["source"]);
        // The hourly limit of practice does not apply.
        for _ in 0..2 {
            world.create(&ada, request("12345")).await.unwrap();
        }
        let third = world.create(&ada, request("12345")).await;
        assert_refused(third, Code::ResourceExhausted, "TOO_MANY_SUBMISSIONS");
        world.submit(&ada).await;
    })
    .await;
}

#[tokio::test]
async fn extra_time_withdrawal_and_disqualification_decide_who_submits() {
    each(|world| async move {
        let (olga, contest) = world.finals().await;
        let id = contest.contest_id;
        let (ada, bob, cy) = (world.user("ada"), world.user("bob"), world.user("cy"));
        for user in [&ada, &bob, &cy] {
            world.join(user, &id).await.unwrap();
        }
        world.set_minute(20);
        let withdraw = WithdrawFromContestRequest { contest_id: id.clone(), ..Default::default() };
        world.contests().withdraw_from_contest(world.request(&bob, withdraw)).await.unwrap();
        assert_refused(
            world.enter(&bob, &id, "A").await,
            Code::PermissionDenied,
            "NOT_PARTICIPANT",
        );
        world.join(&bob, &id).await.unwrap();
        world.enter(&bob, &id, "A").await.unwrap();

        let change = async |user: &User, participant: Participant, mask: &str| {
            let mine = world.join(user, &id).await.unwrap();
            let participant_id = mine.participant_id;
            let participant = Some(Participant { participant_id, ..participant });
            let update_mask = Some(prost_types::FieldMask { paths: vec![mask.to_owned()] });
            let contest_id = id.clone();
            let request = UpdateParticipantRequest { contest_id, participant, update_mask };
            world.contests().update_participant(world.request(&olga, request)).await
        };
        let out = Participant { disqualified: true, ..Participant::default() };
        change(&cy, out, "disqualified").await.unwrap();
        assert_refused(world.enter(&cy, &id, "A").await, Code::PermissionDenied, "NOT_PARTICIPANT");
        let long = Participant { extra_time: seconds(8 * 24 * 3600), ..Participant::default() };
        assert_invalid(change(&ada, long, "extra_time").await, &["participant.extra_time"]);
        let extra = Participant { extra_time: seconds(30 * MINUTE), ..Participant::default() };
        change(&ada, extra.clone(), "extra_time").await.unwrap();
        assert_invalid(change(&ada, extra, "name").await, &["update_mask"]);
        world.set_minute(52);
        world.enter(&ada, &id, "A").await.unwrap();
        assert_refused(
            world.enter(&bob, &id, "A").await,
            Code::FailedPrecondition,
            "CONTEST_ENDED",
        );
        let request = FinalizeContestRequest { contest_id: id.clone(), ..Default::default() };
        let early = world.contests().finalize_contest(world.request(&olga, request)).await;
        assert_refused(early, Code::FailedPrecondition, "CONTEST_NOT_ENDED");
    })
    .await;
}

#[tokio::test]
async fn authors_see_their_verdict_but_no_tests_until_the_end() {
    each(|world| async move {
        let (_, contest) = world.finals().await;
        let id = contest.contest_id;
        let ada = world.user("ada");
        world.join(&ada, &id).await.unwrap();
        world.set_minute(45);
        let entry = world.enter(&ada, &id, "A").await.unwrap();
        let judged = proto::event::JudgementCompleted {
            judgement_id: world.clock().new_id().to_string(),
            submission_id: entry.submission_id.clone(),
            verdict: Verdict::WrongAnswer.into(),
            test_count: 9,
            tests: (0..3)
                .map(|index| proto::event::JudgedTest {
                    index,
                    sample: index == 0,
                    verdict: match index {
                        2 => Verdict::WrongAnswer.into(),
                        _ => Verdict::Accepted.into(),
                    },
                    ..Default::default()
                })
                .collect(),
            ..Default::default()
        };
        world.publish(&judged).await;
        let seen = world.done(&ada, &entry.submission_id).await;
        assert_eq!(seen.verdict(), Verdict::WrongAnswer);
        assert_eq!((seen.tests.len(), seen.done_count, seen.test_count), (1, 0, 0));
        let list = world.list(&ada, ListSubmissionsRequest::default()).await.unwrap();
        assert_eq!((list.submissions[0].done_count, list.submissions[0].test_count), (0, 0));
        let jury = world.with_roles("jo", &[access::Role::Judge]);
        assert_eq!(world.get(&jury, &entry.submission_id).await.unwrap().tests.len(), 3);
        world.set_minute(50);
        let seen = world.get(&ada, &entry.submission_id).await.unwrap();
        assert_eq!((seen.tests.len(), seen.test_count), (3, 9));
    })
    .await;
}

#[tokio::test]
async fn a_retry_is_one_attempt() {
    each(|world| async move {
        let (_, contest) = world.finals().await;
        let ada = world.user("ada");
        world.join(&ada, "finals").await.unwrap();
        world.set_minute(10);
        let request = CreateSubmissionRequest {
            problem_id: "A".into(),
            challenge_id: contest.contest_id.clone(),
            request_id: "try-1".into(),
            ..valid()
        };
        let first = world.create(&ada, request.clone()).await.unwrap();
        world.set_minute(50);
        assert_eq!(world.create(&ada, request.clone()).await.unwrap(), first);
        let practice = CreateSubmissionRequest {
            challenge_id: String::new(),
            problem_id: "a-plus-b".into(),
            ..request
        };
        assert_refused(
            world.create(&ada, practice).await,
            Code::InvalidArgument,
            "REQUEST_ID_REUSED",
        );
        assert_eq!(cell(&world.public("finals").await, &ada, "A"), Some((false, 0, 1)));
    })
    .await;
}
