//! Submissions precede verifications.

use access::testing::bearer;
use db::testing::eventually;
use proto::judge as pb;
use proto::judge::judgement_service_client::JudgementServiceClient;
use proto::judge::work_response::Message as Response;
use proto::judge::{JudgementState, Verdict};
use proto::problem::{SourceFile, Verification, VerificationKind};

use crate::fake_worker::{FakeWorker, id, lease};
use crate::queue::each;
use crate::world::{Problem, World};

#[tokio::test]
async fn submission_does_not_wait_for_verifications() {
    each(async |world| {
        let problem = id();
        let mut worker = FakeWorker::connect(&world, "w1", 1).await;
        let running = world.request_verification(problem).await;
        let check = worker.job().await;
        assert_eq!(check.verification_id, running.to_string());
        // The only slot is busy with a verification, which the submission preempts.
        let waiting = world.request_verification(problem).await;
        let first = world.request_judgement().await;
        let job = worker.job().await;
        assert_eq!(job.submission_id, first.to_string());
        // There is no second slot to preempt.
        let second = world.request_judgement().await;
        worker.receives_nothing().await;
        worker.judge(&job, Verdict::Accepted).await;
        worker.ready(1);
        let job = worker.job().await;
        assert_eq!(job.submission_id, second.to_string());
        // The worker has more jobs than slots when it reconnects, which shows only when it requests jobs.
        drop(worker);
        let mut worker = FakeWorker::hello(&world, "w1", "cpp20").await;
        worker.heartbeat(&[&check, &job]);
        let third = world.request_judgement().await;
        worker.receives_nothing().await;
        worker.ready(-1);
        worker.receives_nothing().await;
        worker.judge(&job, Verdict::Accepted).await;
        worker.ready(1);
        let job = worker.job().await;
        assert_eq!(job.submission_id, third.to_string());
        worker.judge(&job, Verdict::Accepted).await;
        worker.ready(1);
        worker.receives_nothing().await;
        worker.judge(&check, Verdict::Accepted).await;
        worker.ready(1);
        assert_eq!(worker.job().await.verification_id, waiting.to_string());
    })
    .await;
}

#[tokio::test]
async fn submissions_precede_verifications_and_small_imports_large_ones() {
    each(async |world| {
        let (large, small) = (id(), id());
        let mut checks = Vec::new();
        for problem in [large, large, large, small] {
            checks.push(world.request_verification(problem).await);
        }
        let submission = world.waiting_judgement().await;
        eventually("all jobs exist", || async { world.verification(checks[3]).await.is_ok() })
            .await;
        let mut worker = FakeWorker::connect(&world, "w1", 5).await;
        let mut order = Vec::new();
        for _ in 0..5 {
            let job = worker.job().await;
            order.push([job.submission_id, job.verification_id].concat());
        }
        let [first, second, third, other] = checks[..] else { panic!("four checks") };
        let expected = [submission, first, other, second, third].map(|id| id.to_string());
        assert_eq!(order, expected);
    })
    .await;
}

#[tokio::test]
async fn idle_worker_is_preferred_to_one_that_verifies() {
    each(async |world| {
        let mut busy = FakeWorker::connect(&world, "busy", 2).await;
        world.request_verification(id()).await;
        busy.job().await;
        let mut idle = FakeWorker::connect(&world, "idle", 2).await;
        idle.receives_nothing().await;
        let submission = world.request_judgement().await;
        assert_eq!(idle.job().await.submission_id, submission.to_string());
    })
    .await;
}

#[tokio::test]
async fn canceled_verification_is_aborted() {
    each(async |world| {
        let mut worker = FakeWorker::connect(&world, "w1", 1).await;
        let running = world.request_verification(id()).await;
        let waiting = world.request_verification(id()).await;
        let job = worker.job().await;
        for id in [running, waiting, id()] {
            world.cancel_verification(id).await;
        }
        let canceled = |it: &Response| match it {
            Response::Cancel(cancel) => cancel.lease == Some(lease(&job)),
            _ => false,
        };
        assert!(canceled(&worker.receive().await));
        worker.finish(&job, Verdict::Accepted);
        assert!(canceled(&worker.receive().await));
        for id in [running, waiting] {
            eventually("the judgement is aborted", || async {
                let judgement = world.verification(id).await;
                judgement.is_ok_and(|it| it.state() == JudgementState::Aborted)
            })
            .await;
        }
        worker.ready(1);
        worker.receives_nothing().await;
        assert!(world.published().await.is_empty());
        let mut client = JudgementServiceClient::new(world.running.channel.clone());
        let verification_ids = [running, waiting, id()].map(|id| id.to_string()).into();
        let request = pb::BatchGetJudgementsRequest { verification_ids };
        let found = client.batch_get_judgements(bearer(&world.token(), request)).await.unwrap();
        assert_eq!(found.into_inner().judgements.len(), 2);
    })
    .await;
}

/// Takes more than a second of CPU time.
const SLOW: &str = "#include <cstdio>\nint main(){int a,b;std::scanf(\"%d%d\",&a,&b);volatile unsigned x=0;\
    for(unsigned i=0;i<300000000u;i++)x=x+1;std::printf(\"%d\",a+b);}";
const QUICK: &str =
    "#include <stdio.h>\nint main(void){int a,b;scanf(\"%d%d\",&a,&b);printf(\"%d\",a+b);}";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn submission_preempts_a_verification_which_continues_later() {
    let world = World::judging(judge::Config { slots: 1, ..judge::Config::default() }).await;
    let problem = world.problem(&Problem::default());
    let content = Some(world.fakes.object(SLOW));
    let check = world
        .start_verification(Verification {
            problem_id: problem.clone(),
            kind: VerificationKind::Solution.into(),
            sources: vec![SourceFile { path: "slow.cpp".into(), content }],
            time_limit_us: 60_000_000,
            run_all_tests: true,
            ..Verification::default()
        })
        .await;
    world.until(check, |judgement| judgement.done_count > 0).await;
    let judgement = world.judge(&problem, "c17", QUICK).await;
    assert_eq!(judgement.verdict(), Verdict::Accepted);
    let verification = world.verification(check).await.unwrap();
    assert_ne!(verification.state(), JudgementState::Done, "{verification:?}");
    // It is the same attempt, and its finished tests are kept.
    let done = world.verified(check).await;
    assert_eq!((done.verdict(), done.attempt, done.tests.len()), (Verdict::Accepted, 1, 3));
}
