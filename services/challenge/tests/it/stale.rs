//! Checks of stale submissions.

use std::time::Duration;

use challenge::{Config, Found};
use proto::challenge::{SubmissionState, Verdict};
use proto::judge::JudgementState;

use crate::judging::{judgement, response_of};
use crate::world::*;

/// The test runs the check; the service does not.
fn config() -> Config {
    Config { stale_after_seconds: 120, stale_check_seconds: 3600, ..Config::default() }
}

async fn check(world: &World) -> Found {
    world.running.service.check_stale_once().await.unwrap()
}

#[tokio::test]
async fn submissions_unknown_to_the_judge_are_requested_again() {
    each_with(config(), |world| async move {
        let ada = world.user("ada");
        let id = world.submit(&ada).await.submission_id;
        world.clock().advance(Duration::from_secs(119));
        assert_eq!(check(&world).await, Found::default());
        world.clock().advance(Duration::from_secs(2));
        assert_eq!(check(&world).await, Found { requested: 1, ..Found::default() });
        assert_eq!(world.event_count("SubmissionCreated").await, 2);
        // The new request is not stale yet.
        assert_eq!(check(&world).await, Found::default());
        let sql = "SELECT COUNT(*) FROM event_log WHERE aggregate_version = 2";
        let count: i64 = world.db.query(sql).fetch_scalar().await.unwrap();
        assert_eq!(count, 1);
        world.publish(&judgement(&id, Verdict::Accepted)).await;
        world.done(&ada, &id).await;
    })
    .await;
}

#[tokio::test]
async fn queued_submissions_are_not_requested_again_and_an_unavailable_judge_is_counted() {
    each_with(config(), |world| async move {
        let id = world.submit(&world.user("ada")).await.submission_id;
        let mut answer = response_of(&judgement(&id, Verdict::Accepted));
        answer.state = JudgementState::Queued.into();
        world.fakes.judgements.lock().unwrap().insert(id, answer);
        world.clock().advance(Duration::from_secs(121));
        assert_eq!(check(&world).await, Found { waiting: 1, ..Found::default() });
        world.fakes.set_unavailable(true);
        assert_eq!(check(&world).await, Found { failed: 1, ..Found::default() });
        assert_eq!(world.event_count("SubmissionCreated").await, 1);
    })
    .await;
}

#[tokio::test]
async fn verdict_of_a_lost_event_is_applied_once() {
    each_with(config(), |world| async move {
        let ada = world.user("ada");
        let id = world.submit(&ada).await.submission_id;
        let judged = judgement(&id, Verdict::TimeLimitExceeded);
        world.fakes.judgements.lock().unwrap().insert(id.clone(), response_of(&judged));
        world.clock().advance(Duration::from_secs(121));
        assert_eq!(check(&world).await, Found { judged: 1, ..Found::default() });
        let done = world.get(&ada, &id).await.unwrap();
        assert_eq!(done.state(), SubmissionState::Done);
        assert_eq!(done.verdict(), Verdict::TimeLimitExceeded);
        assert_eq!((done.tests.len(), done.tests[0].output.as_str()), (2, "SECRET 0"));
        // A late event changes nothing.
        world.publish(&judged).await;
        world.publish(&judgement(&id, Verdict::Accepted)).await;
        let marker = world.submit(&ada).await.submission_id;
        world.publish(&judgement(&marker, Verdict::Accepted)).await;
        world.done(&ada, &marker).await;
        assert_eq!(world.get(&ada, &id).await.unwrap(), done);
        assert_eq!(world.event_count("SubmissionJudged").await, 2);
    })
    .await;
}
