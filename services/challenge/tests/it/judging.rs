//! Judgements become verdicts.

use access::Role;
use futures_util::StreamExt;
use proto::challenge::{SubmissionState, Verdict};
use proto::event::event_service_client::EventServiceClient;
use proto::event::{JudgedTest, JudgementCompleted, SubscribeRequest};
use proto::judge::{Judgement, JudgementState, TestResult};

use crate::world::*;

/// A judgement of three tests: the second decides the verdict, the third ran in parallel.
pub fn judgement(submission_id: &str, verdict: Verdict) -> JudgementCompleted {
    let test = |index, verdict: Verdict, sample| JudgedTest {
        index,
        verdict: verdict.into(),
        cpu_time_us: 1000,
        memory_bytes: 4096,
        sample,
    };
    JudgementCompleted {
        judgement_id: ids::Clock::system().new_id().to_string(),
        submission_id: submission_id.into(),
        verdict: verdict.into(),
        cpu_time_us: 1000,
        memory_bytes: 4096,
        test_count: 3,
        tests: vec![
            test(0, Verdict::Accepted, true),
            test(1, verdict, false),
            test(2, Verdict::Accepted, false),
        ],
        isolation: "full".into(),
        ..JudgementCompleted::default()
    }
}

/// The judge's response for a judgement, including details that contestants must not see.
pub fn response_of(judged: &JudgementCompleted) -> Judgement {
    let test = |test: &JudgedTest| TestResult {
        index: test.index,
        verdict: test.verdict,
        cpu_time_us: test.cpu_time_us,
        memory_bytes: test.memory_bytes,
        sample: test.sample,
        message: format!("message of {}", test.index),
        output: format!("SECRET {}", test.index),
        exit_code: Some(0),
        ..TestResult::default()
    };
    Judgement {
        judgement_id: judged.judgement_id.clone(),
        submission_id: judged.submission_id.clone(),
        state: JudgementState::Done.into(),
        verdict: judged.verdict,
        cpu_time_us: judged.cpu_time_us,
        memory_bytes: judged.memory_bytes,
        test_count: judged.test_count,
        tests: judged.tests.iter().map(test).collect(),
        isolation: judged.isolation.clone(),
        compile_output: "main.cpp:1: warning".into(),
        message: "worker 7".into(),
        attempt: 1,
        ..Judgement::default()
    }
}

#[tokio::test]
async fn the_first_judgement_is_final_and_published_once() {
    each(|mut world| async move {
        let ada = world.user("ada");
        let id = world.submit(&ada).await.submission_id;
        let first = judgement(&id, Verdict::WrongAnswer);
        world.publish(&first).await;
        let done = world.done(&ada, &id).await;
        assert_eq!((done.verdict(), done.test_count), (Verdict::WrongAnswer, 3));
        assert_eq!((done.cpu_time_us, done.isolation.as_str()), (1000, "full"));
        assert!(done.judge_time.is_some());

        world.publish(&first).await;
        world.publish(&judgement(&id, Verdict::Accepted)).await;
        world.restart().await;
        let ada = world.user("ada");
        // Events are consumed in order: once the marker is done, so are the duplicates.
        let marker = world.submit(&ada).await.submission_id;
        world.publish(&judgement(&marker, Verdict::Accepted)).await;
        world.done(&ada, &marker).await;
        assert_eq!(world.get(&ada, &id).await.unwrap(), done);
        assert_eq!(world.event_count("SubmissionJudged").await, 2);
        assert_eq!(world.running.bus.health(), Ok(()));
    })
    .await;
}

#[tokio::test]
async fn judgements_of_unknown_submissions_become_dead_letters() {
    each(|world| async move {
        let ada = world.user("ada");
        let unknown = world.clock().new_id().to_string();
        world.publish(&judgement(&unknown, Verdict::Accepted)).await;
        let id = world.submit(&ada).await.submission_id;
        let verification = JudgementCompleted {
            submission_id: String::new(),
            ..judgement(&id, Verdict::Accepted)
        };
        world.base.publish(&JUDGEMENT, uuid::Uuid::max(), &verification).await;
        world.publish(&judgement(&id, Verdict::Accepted)).await;
        world.done(&ada, &id).await;
        let dead_letters: i64 =
            world.db.query("SELECT COUNT(*) FROM dead_letters").fetch_scalar().await.unwrap();
        assert_eq!(dead_letters, 1);
    })
    .await;
}

#[tokio::test]
async fn details_are_shown_for_samples_only() {
    each(|world| async move {
        let ada = world.user("ada");
        let id = world.submit(&ada).await.submission_id;
        let judged = judgement(&id, Verdict::WrongAnswer);
        world.fakes.judgements.lock().unwrap().insert(id.clone(), response_of(&judged));
        world.publish(&judged).await;
        let done = world.done(&ada, &id).await;
        assert_eq!(done.compile_output, "main.cpp:1: warning");
        assert_eq!(done.tests.len(), 2, "tests after the deciding one are hidden");
        assert_eq!(done.tests[0].output, "SECRET 0");
        assert_eq!(done.tests[0].message, "message of 0");
        assert_eq!((done.tests[1].output.as_str(), done.tests[1].exit_code), ("", None));
        for user in [world.with_roles("jo", &[Role::Judge]), world.service()] {
            let seen = world.get(&user, &id).await.unwrap();
            assert_eq!(seen.tests.len(), 3);
            let text = format!("{seen:?}");
            assert!(!text.contains("SECRET 1") && !text.contains("SECRET 2"), "{text}");
            assert!(!text.contains("worker 7"), "{text}");
        }
        // The verdict is available without the judge.
        world.fakes.set_unavailable(true);
        let seen = world.get(&ada, &id).await.unwrap();
        assert_eq!((seen.verdict(), seen.compile_output.as_str()), (Verdict::WrongAnswer, ""));
    })
    .await;
}

#[tokio::test]
async fn progress_is_read_from_the_judge() {
    each(|world| async move {
        let ada = world.user("ada");
        let id = world.submit(&ada).await.submission_id;
        let mut answer = response_of(&judgement(&id, Verdict::Accepted));
        answer.state = JudgementState::Running.into();
        answer.test_count = 9;
        world.fakes.judgements.lock().unwrap().insert(id.clone(), answer.clone());
        let seen = world.get(&ada, &id).await.unwrap();
        assert_eq!((seen.state(), seen.done_count), (SubmissionState::Running, 3));
        assert_eq!((seen.test_count, seen.verdict()), (9, Verdict::Unspecified));
        assert!(!format!("{seen:?}").contains("SECRET"));
        // The judge finishes before its verdict is durable here.
        answer.state = JudgementState::Done.into();
        world.fakes.judgements.lock().unwrap().insert(id.clone(), answer);
        assert_eq!(world.get(&ada, &id).await.unwrap().state(), SubmissionState::Running);
    })
    .await;
}

#[tokio::test]
async fn subscribers_get_events_of_visible_submissions() {
    each(|world| async move {
        let (ada, bob) = (world.user("ada"), world.user("bob"));
        let of_ada = world.submit(&ada).await.submission_id;
        let of_bob = world.submit(&bob).await.submission_id;
        world.publish(&judgement(&of_ada, Verdict::Accepted)).await;
        world.done(&ada, &of_ada).await;
        let keys = async |user: &User, count: usize| {
            let mut client = EventServiceClient::new(world.running.channel.clone());
            let request = SubscribeRequest { from_start: true, ..Default::default() };
            let request = access::testing::bearer(&user.token, request);
            let events = client.subscribe(request).await.unwrap().into_inner();
            let events = events.filter_map(|answer| async { answer.unwrap().event });
            let mut keys: Vec<(String, String)> = events
                .take(count)
                .map(|event| (event.key, event.r#type.replace("agon.event.v1.", "")))
                .collect()
                .await;
            keys.sort();
            keys
        };
        let pair = |key: &str, name: &str| (key.to_owned(), name.to_owned());
        let created = |key: &str| pair(key, "SubmissionCreated");
        let judged = pair(&of_ada, "SubmissionJudged");
        assert_eq!(keys(&ada, 2).await, [created(&of_ada), judged.clone()]);
        assert_eq!(keys(&bob, 1).await, [created(&of_bob)]);
        let jo = world.with_roles("jo", &[Role::Judge]);
        assert_eq!(keys(&jo, 3).await, [created(&of_ada), judged, created(&of_bob)]);
        assert_eq!(keys(&world.service(), 4).await.len(), 4);
    })
    .await;
}
