//! What the judge forgot.

use std::time::Duration;

use challenge::{Config, Found};
use proto::challenge::{SubmissionState, Verdict};
use proto::judge::JudgementState;

use crate::judging::{as_answered, judgement};
use crate::world::*;

/// The test looks, the worker does not.
fn quiet() -> Config {
    Config { stale_after_seconds: 120, stale_check_seconds: 3600, ..Config::default() }
}

async fn look(world: &World) -> Found {
    world.running.service.check_stale_once().await.unwrap()
}

#[tokio::test]
async fn what_the_judge_does_not_know_is_requested_again() {
    each_with(quiet(), |world| async move {
        let ada = world.user("ada");
        let id = world.submit(&ada).await.submission_id;
        world.clock().advance(Duration::from_secs(119));
        assert_eq!(look(&world).await, Found::default());
        world.clock().advance(Duration::from_secs(2));
        assert_eq!(look(&world).await, Found { requested: 1, ..Found::default() });
        assert_eq!(world.event_count("SubmissionCreated").await, 2);
        // It has its chance again.
        assert_eq!(look(&world).await, Found::default());
        let sql = "SELECT COUNT(*) FROM event_log WHERE aggregate_version = 2";
        let count: i64 = world.db.query(sql).fetch_scalar().await.unwrap();
        assert_eq!(count, 1);
        world.publish(&judgement(&id, Verdict::Accepted)).await;
        world.done(&ada, &id).await;
    })
    .await;
}

#[tokio::test]
async fn what_waits_for_a_worker_waits_on_and_a_silent_judge_is_reported() {
    each_with(quiet(), |world| async move {
        let id = world.submit(&world.user("ada")).await.submission_id;
        let mut answer = as_answered(&judgement(&id, Verdict::Accepted));
        answer.state = JudgementState::Queued.into();
        world.fakes.judgements.lock().unwrap().insert(id, answer);
        world.clock().advance(Duration::from_secs(121));
        assert_eq!(look(&world).await, Found { waiting: 1, ..Found::default() });
        world.fakes.silence(true);
        assert_eq!(look(&world).await, Found { failed: 1, ..Found::default() });
        assert_eq!(world.event_count("SubmissionCreated").await, 1);
    })
    .await;
}

#[tokio::test]
async fn a_verdict_whose_event_was_lost_is_taken_over_once() {
    each_with(quiet(), |world| async move {
        let ada = world.user("ada");
        let id = world.submit(&ada).await.submission_id;
        let judged = judgement(&id, Verdict::TimeLimitExceeded);
        world.fakes.judgements.lock().unwrap().insert(id.clone(), as_answered(&judged));
        world.clock().advance(Duration::from_secs(121));
        assert_eq!(look(&world).await, Found { judged: 1, ..Found::default() });
        let done = world.get(&ada, &id).await.unwrap();
        assert_eq!(done.state(), SubmissionState::Done);
        assert_eq!(done.verdict(), Verdict::TimeLimitExceeded);
        assert_eq!((done.tests.len(), done.tests[0].output.as_str()), (2, "SECRET 0"));
        // The event comes after all, and changes nothing.
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
