//! Jobs, leases and fencing, with fake workers.

use std::time::Duration;

use access::testing::bearer;
use bytes::Bytes;
use db::testing::{eventually, kinds};
use futures_util::FutureExt;
use proto::judge as pb;
use proto::judge::judgement_service_client::JudgementServiceClient;
use proto::judge::work_request::Message as Request;
use proto::judge::work_response::Message as Response;
use proto::judge::{JudgementState, Verdict};
use tokio::sync::mpsc::unbounded_channel;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::Code;

use crate::fake_worker::{FakeWorker, id, lease};
use crate::world::World;

/// Runs a test on every database.
pub async fn each(test: impl AsyncFn(World)) {
    for kind in kinds() {
        let _guard = db::testing::PrintOnPanic(&kind);
        test(World::queue_only(&kind).await).await;
    }
}

#[tokio::test]
async fn result_of_a_job_is_stored_and_published() {
    each(async |world| {
        let submission = world.waiting_judgement().await;
        let waiting = world.submission(submission).await.unwrap();
        assert_eq!((waiting.state(), waiting.attempt), (JudgementState::Queued, 0));
        let mut worker = FakeWorker::connect(&world, "w1", 1).await;
        let job = worker.job().await;
        assert_eq!((job.submission_id.clone(), job.attempt), (submission.to_string(), 1));
        assert_eq!((job.version, job.language.as_str()), (1, "cpp20"));
        worker.finish(&job, Verdict::WrongAnswer);
        assert!(
            matches!(worker.receive().await, Response::Ack(ack) if ack.lease == Some(lease(&job)))
        );
        let done = world.submission(submission).await.unwrap();
        assert_eq!((done.state(), done.verdict()), (JudgementState::Done, Verdict::WrongAnswer));
        assert_eq!((done.worker.as_str(), done.attempt, done.test_count), ("w1", 1, 3));
        assert_eq!((done.tests.len(), done.tests[0].cpu_time_us), (1, 7));
        assert!(done.create_time.is_some() && done.done_time.is_some());
        let events = world.published().await;
        assert_eq!(events.len(), 1);
        assert_eq!(events[0].submission_id, submission.to_string());
        assert_eq!(events[0].judgement_id, done.judgement_id);
        assert_eq!((events[0].verdict, events[0].tests.len()), (done.verdict, 1));
    })
    .await;
}

#[tokio::test]
async fn undecodable_message_ends_the_stream_with_an_error() {
    let world = World::queue_only(&kinds()[0]).await;
    let message = Bytes::from_static(b"\x0a\x7f");
    let requests = tokio_stream::once(message).chain(tokio_stream::pending());
    let mut grpc = tonic::client::Grpc::new(world.as_service());
    grpc.ready().await.unwrap();
    let path = "/agon.judge.v1.WorkerService/Work".parse().unwrap();
    let answer = grpc.streaming(tonic::Request::new(requests), path, rpc::RawCodec).await.unwrap();
    let status = answer.into_inner().message().await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(rpc::status::reason(&status).as_deref(), Some("MALFORMED_REQUEST"));
}

#[tokio::test]
async fn repeated_event_adds_no_second_job() {
    each(async |world| {
        let submission = id();
        for _ in 0..3 {
            world.created(submission, &id().to_string(), "cpp20", id()).await;
        }
        world.wait_until_known(submission).await;
        let mut worker = FakeWorker::connect(&world, "w1", 9).await;
        let job = worker.job().await;
        worker.finish(&job, Verdict::Accepted);
        worker.receive().await;
        world.created(submission, &id().to_string(), "cpp20", id()).await;
        worker.receives_nothing().await;
        assert_eq!(world.published().await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn expired_lease_is_taken_over_and_late_result_is_fenced() {
    each(async |world| {
        let submission = world.request_judgement().await;
        let mut zombie = FakeWorker::connect(&world, "zombie", 1).await;
        let lost = zombie.job().await;
        world.clock().advance(Duration::from_secs(31));
        let mut other = FakeWorker::connect(&world, "other", 1).await;
        let job = other.job().await;
        assert_eq!((job.job_id.as_str(), job.attempt), (lost.job_id.as_str(), 2));
        assert!(matches!(zombie.receive().await, Response::Cancel(_)));
        zombie.finish(&lost, Verdict::Accepted);
        assert!(matches!(zombie.receive().await, Response::Cancel(_)));
        other.judge(&job, Verdict::WrongAnswer).await;
        zombie.finish(&lost, Verdict::Accepted);
        assert!(matches!(zombie.receive().await, Response::Cancel(_)));
        let done = world.submission(submission).await.unwrap();
        assert_eq!((done.verdict(), done.worker.as_str()), (Verdict::WrongAnswer, "other"));
        assert_eq!(world.published().await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn heartbeats_extend_leases() {
    each(async |world| {
        world.request_judgement().await;
        let mut worker = FakeWorker::connect(&world, "w1", 2).await;
        let job = worker.job().await;
        for _ in 0..4 {
            world.clock().advance(Duration::from_secs(20));
            worker.heartbeat(&[&job]);
            worker.receives_nothing().await;
        }
        let unknown = pb::JobLease { job_id: id().to_string(), attempt: 1 };
        worker.send(Request::Heartbeat(pb::WorkerHeartbeat { leases: vec![unknown.clone()] }));
        assert!(matches!(worker.receive().await, Response::Cancel(c) if c.lease == Some(unknown)));
    })
    .await;
}

#[tokio::test]
async fn disconnected_worker_keeps_its_lease_until_the_reconnect_timeout() {
    each(async |world| {
        world.request_judgement().await;
        let mut worker = FakeWorker::connect(&world, "w1", 1).await;
        let job = worker.job().await;
        drop(worker);
        // Reconnects in time: the lease is extended and the result is accepted.
        let mut worker = FakeWorker::connect(&world, "w1", 0).await;
        worker.heartbeat(&[&job]);
        world.clock().advance(Duration::from_secs(10));
        worker.judge(&job, Verdict::Accepted).await;
        // Does not reconnect.
        world.request_judgement().await;
        worker.ready(1);
        let lost = worker.job().await;
        drop(worker);
        let mut other = FakeWorker::connect(&world, "other", 1).await;
        other.receives_nothing().await;
        world.clock().advance(Duration::from_secs(8));
        assert_eq!((other.job().await.attempt, lost.attempt), (2, 1));
    })
    .await;
}

#[tokio::test]
async fn three_crashed_attempts_are_a_judge_error_and_unavailability_is_retried() {
    each(async |world| {
        let submission = world.request_judgement().await;
        let mut worker = FakeWorker::connect(&world, "w1", 1).await;
        for _ in 0..4 {
            let job = worker.job().await;
            worker.fail(&job, false).await;
        }
        for crash in 0..3 {
            assert_eq!(world.published().await.len(), 0);
            let job = worker.job().await;
            assert_eq!(job.attempt, 5 + crash);
            worker.fail(&job, true).await;
        }
        let done = world.submission(submission).await.unwrap();
        assert_eq!(done.verdict(), Verdict::JudgeError);
        assert!(done.message.contains("a failure"), "{}", done.message);
        assert_eq!(world.published().await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn first_submission_precedes_third_of_another_user() {
    each(async |world| {
        let (eager, calm, last) = (id(), id(), id());
        for _ in 0..3 {
            world.created(id(), &id().to_string(), "cpp20", eager).await;
        }
        world.created(last, &id().to_string(), "cpp20", calm).await;
        world.wait_until_known(last).await;
        let mut worker = FakeWorker::connect(&world, "w1", 4).await;
        let mut order = Vec::new();
        for _ in 0..4 {
            order.push(worker.job().await.submission_id == last.to_string());
        }
        assert_eq!(order, [false, true, false, false]);
    })
    .await;
}

#[tokio::test]
async fn job_waits_for_a_worker_with_its_language() {
    each(async |world| {
        let submission = id();
        world.created(submission, &id().to_string(), "cobol", id()).await;
        world.wait_until_known(submission).await;
        let mut worker = FakeWorker::connect(&world, "w1", 1).await;
        worker.receives_nothing().await;
        let state = world.submission(submission).await.unwrap().state();
        assert_eq!(state, JudgementState::Queued);
    })
    .await;
}

#[tokio::test]
async fn progress_is_shown_and_published() {
    each(async |world| {
        let submission = world.request_judgement().await;
        let mut live =
            world.running.cache.subscribe(&format!("submission/{submission}")).await.unwrap();
        let mut worker = FakeWorker::connect(&world, "w1", 1).await;
        let job = worker.job().await;
        let progress = pb::JudgementProgress {
            state: JudgementState::Running.into(),
            done_count: 1,
            test_count: 3,
            tests: vec![pb::TestResult { index: 1, ..Default::default() }],
            ..Default::default()
        };
        let wrong = pb::JobLease { attempt: 9, ..lease(&job) };
        for lease in [wrong, lease(&job)] {
            let (lease, progress) = (Some(lease), Some(progress.clone()));
            worker.send(Request::Progress(pb::JobProgress { lease, progress }));
        }
        // Give the queue time to process the requests.
        worker.receives_nothing().await;
        let message: pb::JudgementProgress =
            prost::Message::decode(live.next().await.unwrap()).unwrap();
        assert_eq!((message.submission_id, message.attempt), (submission.to_string(), 1));
        assert!(live.next().now_or_never().is_none());
        let now = world.submission(submission).await.unwrap();
        assert_eq!((now.state(), now.test_count), (JudgementState::Running, 3));
        assert_eq!(now.tests.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn operators_list_workers_and_queue_and_everyone_lists_languages() {
    each(async |world| {
        let judge = world.running.issuer.user(id(), "ada", &[access::Role::Judge]);
        let player = world.running.issuer.user(id(), "eve", &[]);
        let before = world.languages().await;
        assert!(before.iter().any(|l| l.language_id == "java" && l.version.is_empty()));
        for _ in 0..2 {
            world.waiting_judgement().await;
        }
        let mut worker = FakeWorker::connect(&world, "w1", 1).await;
        worker.job().await;
        let offered = || async { world.listed_languages().await == ["cpp20"] };
        eventually("only the offered language is listed", offered).await;
        assert_eq!(world.listed_workers().await, [("w1".into(), 1)]);
        let mut client = JudgementServiceClient::new(world.running.channel.clone());
        let queue = client.get_queue(bearer(&judge, pb::GetQueueRequest {})).await;
        let queue = queue.unwrap().into_inner().queue.unwrap();
        assert_eq!((queue.queued_count, queue.running_count), (1, 1));
        assert!(queue.oldest_time.is_some());
        let refused = client.get_queue(bearer(&player, pb::GetQueueRequest {})).await;
        assert_eq!(refused.unwrap_err().code(), Code::PermissionDenied);
        let subject = pb::get_judgement_request::Subject::SubmissionId(id().to_string());
        let request = pb::GetJudgementRequest { subject: Some(subject) };
        let refused = client.get_judgement(bearer(&judge, request)).await;
        assert_eq!(refused.unwrap_err().code(), Code::PermissionDenied);
    })
    .await;
}

#[tokio::test]
async fn job_whose_language_no_worker_offers_says_so() {
    each(async |world| {
        let token = world.running.issuer.user(id(), "ada", &[access::Role::Judge]);
        let unserved = async || {
            let mut client = JudgementServiceClient::new(world.running.channel.clone());
            let queue = client.get_queue(bearer(&token, pb::GetQueueRequest {})).await;
            queue.unwrap().into_inner().queue.unwrap().unserved_languages
        };
        let message = async |submission| world.submission(submission).await.unwrap().message;
        let (java, cpp) = (id(), id());
        for (submission, language) in [(java, "java"), (cpp, "cpp20")] {
            world.created(submission, &id().to_string(), language, id()).await;
            world.wait_until_known(submission).await;
        }
        let check = world.request_verification(id()).await;
        eventually("the check is known", || async { world.verification(check).await.is_ok() })
            .await;
        // Shortly after the start, workers may still connect.
        assert_eq!((message(java).await.as_str(), unserved().await.len()), ("", 0));
        assert!(world.languages().await.iter().all(|language| !language.unserved));
        world.clock().advance(Duration::from_secs(10));
        assert_eq!(message(java).await, "no worker is connected");
        assert_eq!(unserved().await, ["cpp20", "java"]);
        assert!(world.languages().await.iter().all(|language| language.unserved));
        let mut worker = FakeWorker::hello(&world, "w1", "cpp20").await;
        eventually("a worker offers one language", || async { unserved().await == ["java"] }).await;
        let text = "no connected worker offers the language java";
        assert_eq!((message(java).await.as_str(), message(cpp).await.as_str()), (text, ""));
        let found = world.verification(check).await.unwrap();
        assert_eq!((found.state(), found.message.as_str()), (JudgementState::Queued, ""));
        for _ in 0..2 {
            worker.ready(1);
            let job = worker.job().await;
            worker.judge(&job, Verdict::Accepted).await;
        }
        worker.ready(1);
        worker.receives_nothing().await;
        // A worker that offers it connects.
        let mut other = FakeWorker::hello(&world, "w2", "java").await;
        other.ready(1);
        assert_eq!(other.job().await.submission_id, java.to_string());
        eventually("no language is missing", || async { unserved().await.is_empty() }).await;
        assert_eq!(message(java).await, "");
        assert!(world.languages().await.iter().all(|language| !language.unserved));
    })
    .await;
}

#[tokio::test]
async fn silent_worker_is_not_counted() {
    each(async |world| {
        world.clock().advance(Duration::from_secs(10));
        let mut worker = FakeWorker::hello(&world, "w1", "cpp20").await;
        worker.receives_nothing().await;
        let submission = world.waiting_judgement().await;
        let message = async || world.submission(submission).await.unwrap().message;
        world.clock().advance(Duration::from_secs(29));
        assert_eq!((world.listed_workers().await.len(), message().await.as_str()), (1, ""));
        world.clock().advance(Duration::from_secs(2));
        assert_eq!(world.listed_workers().await, []);
        eventually("the languages are read again", || async {
            message().await == "no worker is connected"
        })
        .await;
        // Every message counts.
        worker.ready(1);
        assert_eq!(worker.job().await.submission_id, submission.to_string());
    })
    .await;
}

#[tokio::test]
async fn silent_worker_gets_no_job() {
    each(async |world| {
        let mut silent = FakeWorker::connect(&world, "w1", 2).await;
        silent.receives_nothing().await;
        world.clock().advance(Duration::from_secs(31));
        let mut other = FakeWorker::connect(&world, "w2", 1).await;
        world.request_judgement().await;
        other.job().await;
        silent.receives_nothing().await;
    })
    .await;
}

#[tokio::test]
async fn worker_with_too_many_languages_is_refused() {
    let world = World::queue_only(&kinds()[0]).await;
    let language = pb::Language { language_id: "c17".into(), ..Default::default() };
    let languages = vec![language; 257];
    let hello = pb::WorkerHello { worker_id: "w1".into(), languages, ..Default::default() };
    let request = pb::WorkRequest { message: Some(Request::Hello(hello)) };
    let requests = tokio_stream::once(request).chain(tokio_stream::pending());
    let mut stream = world.workers().work(requests).await.unwrap().into_inner();
    let status = stream.message().await.unwrap_err();
    assert_eq!(rpc::status::fields(&status)[0].0, "hello.languages", "{status:?}");
}

#[tokio::test]
async fn invalid_requests_are_rejected() {
    each(async |world| {
        use pb::get_judgement_request::Subject;
        for subject in [
            Some(Subject::SubmissionId("nonsense".into())),
            Some(Subject::VerificationId(String::new())),
            None,
        ] {
            let mut client = JudgementServiceClient::new(world.running.channel.clone());
            let request = bearer(&world.token(), pb::GetJudgementRequest { subject });
            let status = client.get_judgement(request).await.unwrap_err();
            assert_eq!(status.code(), Code::InvalidArgument);
        }
        let status = world.submission(id()).await.unwrap_err();
        assert_eq!(rpc::status::reason(&status).as_deref(), Some("JUDGEMENT_NOT_FOUND"));
        let nameless = pb::WorkerHello { worker_id: "a\0b".into(), ..Default::default() };
        for first in [Request::Ready(pb::WorkerReady { job_count: 1 }), Request::Hello(nameless)] {
            let (requests, outgoing) = unbounded_channel();
            requests.send(pb::WorkRequest { message: Some(first) }).unwrap();
            let responses =
                world.workers().work(UnboundedReceiverStream::new(outgoing)).await.unwrap();
            let status = responses.into_inner().message().await.unwrap_err();
            assert_eq!(status.code(), Code::InvalidArgument);
        }
    })
    .await;
}
