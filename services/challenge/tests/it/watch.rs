//! WatchSubmission.

use std::time::Duration;

use challenge::Config;
use prost::Message;
use proto::challenge::{Submission, SubmissionState, Verdict, WatchSubmissionResponse};
use proto::judge::{JudgementProgress, JudgementState, TestResult};
use tonic::{Code, Status, Streaming};

use crate::judging::{judgement, response_of};
use crate::world::*;

async fn next(
    stream: &mut Streaming<WatchSubmissionResponse>,
) -> Result<Option<Submission>, Status> {
    let message = tokio::time::timeout(Duration::from_secs(20), stream.message()).await;
    Ok(message.expect("a message within 20 s")?.map(|answer| answer.submission.unwrap()))
}

async fn view(stream: &mut Streaming<WatchSubmissionResponse>) -> Submission {
    next(stream).await.unwrap().expect("the stream ended")
}

/// Only live messages announce changes.
fn without_refresh() -> Config {
    Config { watch_refresh_ms: 3_600_000, ..Config::default() }
}

/// Changes are found without live messages.
fn frequent_refresh() -> Config {
    Config { watch_refresh_ms: 20, ..Config::default() }
}

fn progress(id: &str, state: JudgementState, indexes: &[i32]) -> JudgementProgress {
    let test = |index: &i32| TestResult {
        index: *index,
        verdict: Verdict::Accepted.into(),
        output: "SECRET".into(),
        ..TestResult::default()
    };
    JudgementProgress {
        submission_id: id.into(),
        attempt: 1,
        state: state.into(),
        done_count: 0,
        test_count: 3,
        tests: indexes.iter().map(test).collect(),
    }
}

fn publish(world: &World, progress: &JudgementProgress) {
    let channel = format!("submission/{}", progress.submission_id);
    world.running.cache.publish(&channel, progress.encode_to_vec());
}

#[tokio::test]
async fn watchers_see_every_state_until_the_verdict() {
    each_with(without_refresh(), |world| async move {
        let ada = world.user("ada");
        let id = world.submit(&ada).await.submission_id;
        let mut watch = world.watch(&ada, &id).await.unwrap();
        assert_eq!(view(&mut watch).await.state(), SubmissionState::Queued);
        publish(&world, &progress(&id, JudgementState::Compiling, &[]));
        assert_eq!(view(&mut watch).await.state(), SubmissionState::Compiling);
        publish(&world, &progress(&id, JudgementState::Running, &[1]));
        let running = view(&mut watch).await;
        assert_eq!((running.state(), running.done_count), (SubmissionState::Running, 1));
        assert!(!format!("{running:?}").contains("SECRET"));
        // A message without a change sends no view, so the next view has both tests.
        publish(&world, &progress(&id, JudgementState::Running, &[1]));
        publish(&world, &progress(&id, JudgementState::Running, &[0]));
        let running = view(&mut watch).await;
        let indexes: Vec<i32> = running.tests.iter().map(|test| test.index).collect();
        assert_eq!(indexes, [0, 1]);
        let judged = judgement(&id, Verdict::WrongAnswer);
        world.fakes.judgements.lock().unwrap().insert(id.clone(), response_of(&judged));
        world.publish(&judged).await;
        let done = view(&mut watch).await;
        assert_eq!((done.state(), done.verdict()), (SubmissionState::Done, Verdict::WrongAnswer));
        assert_eq!(done.compile_output, "main.cpp:1: warning");
        assert_eq!(done, world.get(&ada, &id).await.unwrap());
        assert_eq!(next(&mut watch).await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn watch_of_a_judged_submission_ends_with_the_verdict() {
    each_with(without_refresh(), |world| async move {
        let ada = world.user("ada");
        let id = world.submit(&ada).await.submission_id;
        world.publish(&judgement(&id, Verdict::Accepted)).await;
        world.done(&ada, &id).await;
        let mut watch = world.watch(&ada, &id).await.unwrap();
        assert_eq!(view(&mut watch).await.verdict(), Verdict::Accepted);
        assert_eq!(next(&mut watch).await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn verdict_is_sent_without_live_messages() {
    each_with(frequent_refresh(), |world| async move {
        // Changes of another process whose live messages are lost.
        let ada = world.user("ada");
        let id = world.submit(&ada).await.submission_id;
        let mut watch = world.watch(&ada, &id).await.unwrap();
        assert_eq!(view(&mut watch).await.state(), SubmissionState::Queued);
        let judged = judgement(&id, Verdict::Accepted);
        let mut answer = response_of(&judged);
        answer.state = JudgementState::Running.into();
        world.fakes.judgements.lock().unwrap().insert(id.clone(), answer);
        let running = view(&mut watch).await;
        assert_eq!((running.state(), running.done_count), (SubmissionState::Running, 3));
        let sql = "UPDATE submissions SET verdict = 'AC', judgement_id = submission_id,
             judged_at = created_at, test_count = 3, cpu_time_us = 1, memory_bytes = 1,
             isolation = 'full'";
        world.db.script(sql).await;
        let done = view(&mut watch).await;
        assert_eq!((done.state(), done.verdict()), (SubmissionState::Done, Verdict::Accepted));
        assert_eq!(next(&mut watch).await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn watchers_that_disconnect_do_not_affect_others() {
    each_with(without_refresh(), |world| async move {
        let ada = world.user("ada");
        let id = world.submit(&ada).await.submission_id;
        let mut watches = Vec::new();
        for _ in 0..50 {
            let mut watch = world.watch(&ada, &id).await.unwrap();
            view(&mut watch).await;
            watches.push(watch);
        }
        watches.truncate(25);
        world.publish(&judgement(&id, Verdict::Accepted)).await;
        for watch in &mut watches {
            assert_eq!(view(watch).await.verdict(), Verdict::Accepted);
            assert_eq!(next(watch).await.unwrap(), None);
        }
    })
    .await;
}

#[tokio::test]
async fn shutdown_ends_watches_with_a_reason() {
    each_with(without_refresh(), |world| async move {
        let ada = world.user("ada");
        let id = world.submit(&ada).await.submission_id;
        let mut watch = world.watch(&ada, &id).await.unwrap();
        view(&mut watch).await;
        world.running.tasks.shutdown().begin();
        assert_refused(next(&mut watch).await, Code::Unavailable, "SHUTTING_DOWN");
        assert_eq!(next(&mut watch).await.unwrap(), None);
    })
    .await;
}
