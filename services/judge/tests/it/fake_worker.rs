//! A fake worker, controlled by the test.

use std::time::Duration;

use db::testing::eventually;
use ids::{Clock, Uuid};
use proto::judge as pb;
use proto::judge::Verdict;
use proto::judge::work_request::Message as Request;
use proto::judge::work_response::Message as Response;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::Status;

use crate::world::World;

pub struct FakeWorker {
    requests: UnboundedSender<pb::WorkRequest>,
    responses: UnboundedReceiver<Answer>,
    /// Reads responses continuously, because the queue processes requests only while they are read.
    reader: JoinHandle<()>,
}

type Answer = Result<Option<pb::WorkResponse>, Status>;

impl Drop for FakeWorker {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl FakeWorker {
    /// Connects without jobs from an earlier stream, and requests jobs.
    pub async fn connect(world: &World, name: &str, jobs: i32) -> FakeWorker {
        let worker = FakeWorker::hello(world, name, "cpp20").await;
        worker.ready(jobs);
        worker
    }

    /// Connects like a real worker, with jobs from an earlier stream, and requests more.
    pub async fn reconnect(world: &World, name: &str, held: &[&pb::Job], jobs: i32) -> FakeWorker {
        let worker = FakeWorker::hello(world, name, "cpp20").await;
        worker.heartbeat(held);
        worker.ready(jobs);
        worker
    }

    /// Connects and sends only the hello message.
    pub async fn hello(world: &World, name: &str, language: &str) -> FakeWorker {
        let (requests, outgoing) = unbounded_channel();
        let hello = pb::WorkerHello {
            worker_id: name.into(),
            slot_count: 2,
            isolation: "full".into(),
            languages: vec![pb::Language { language_id: language.into(), ..Default::default() }],
            languages_complete: true,
        };
        requests.send(pb::WorkRequest { message: Some(Request::Hello(hello)) }).unwrap();
        let outgoing = UnboundedReceiverStream::new(outgoing);
        let mut stream = world.workers().work(outgoing).await.unwrap().into_inner();
        let (received, responses) = unbounded_channel();
        #[expect(clippy::disallowed_methods, reason = "aborted on drop")]
        let reader = tokio::task::spawn(async move {
            loop {
                let message = stream.message().await;
                let ended = !matches!(message, Ok(Some(_)));
                if received.send(message).is_err() || ended {
                    return;
                }
            }
        });
        FakeWorker { requests, responses, reader }
    }

    /// The next response; `None` at the end of the stream.
    async fn message(&mut self) -> Answer {
        self.responses.recv().await.unwrap_or(Ok(None))
    }

    pub fn ready(&self, jobs: i32) {
        self.send(Request::Ready(pb::WorkerReady { job_count: jobs }));
    }

    pub fn heartbeat(&self, held: &[&pb::Job]) {
        let leases = held.iter().map(|job| lease(job)).collect();
        self.send(Request::Heartbeat(pb::WorkerHeartbeat { leases }));
    }

    pub fn send(&self, message: Request) {
        self.requests.send(pb::WorkRequest { message: Some(message) }).unwrap();
    }

    pub async fn receive(&mut self) -> Response {
        let response = tokio::time::timeout(Duration::from_secs(20), self.message()).await;
        response.expect("a response").unwrap().unwrap().message.unwrap()
    }

    /// A response, if one arrives in time.
    pub async fn receive_within(&mut self, time: Duration) -> Option<Response> {
        let response = tokio::time::timeout(time, self.message()).await.ok()?;
        response.unwrap().unwrap().message
    }

    pub async fn job(&mut self) -> pb::Job {
        match self.receive().await {
            Response::Job(job) => job,
            other => panic!("{other:?}"),
        }
    }

    /// Checks that no response arrives while the queue has time to dispatch.
    pub async fn receives_nothing(&mut self) {
        let waited = tokio::time::timeout(Duration::from_millis(300), self.message()).await;
        assert!(waited.is_err(), "{waited:?}");
    }

    pub fn finish(&self, job: &pb::Job, verdict: Verdict) {
        let test = pb::TestResult { verdict: verdict.into(), cpu_time_us: 7, ..Default::default() };
        let judgement = pb::Judgement {
            verdict: verdict.into(),
            tests: vec![test],
            test_count: 3,
            compile_output: "nul \0 byte".into(),
            isolation: "full".into(),
            ..Default::default()
        };
        let (lease, judgement) = (Some(lease(job)), Some(judgement));
        self.send(Request::Result(pb::JobResult { lease, judgement, ..Default::default() }));
    }

    /// Finishes a job and waits for the acknowledgement.
    pub async fn judge(&mut self, job: &pb::Job, verdict: Verdict) {
        self.finish(job, verdict);
        self.acknowledged().await;
    }

    async fn acknowledged(&mut self) {
        let response = self.receive().await;
        assert!(matches!(response, Response::Ack(_)), "{response:?}");
    }

    /// Fails a job, requests the next one and waits for the acknowledgement.
    pub async fn fail(&mut self, job: &pb::Job, crashed: bool) {
        let message = "a failure".to_owned();
        let failure =
            pb::JobFailure { lease: Some(lease(job)), message, crashed, ..Default::default() };
        self.send(Request::Failure(failure));
        self.ready(1);
        self.acknowledged().await;
    }
}

pub fn lease(job: &pb::Job) -> pb::JobLease {
    pb::JobLease { job_id: job.job_id.clone(), attempt: job.attempt }
}

pub fn id() -> Uuid {
    Clock::system().new_id()
}

impl World {
    /// Requests a judgement of a new submission. Returns its id.
    pub async fn request_judgement(&self) -> Uuid {
        let submission = id();
        self.created(submission, &id().to_string(), "cpp20", id()).await;
        submission
    }

    /// Requests a judgement and waits until its job exists.
    pub async fn waiting_judgement(&self) -> Uuid {
        let submission = self.request_judgement().await;
        self.wait_until_known(submission).await;
        submission
    }

    pub async fn wait_until_known(&self, submission: Uuid) {
        eventually("the judgement exists", || async { self.submission(submission).await.is_ok() })
            .await;
    }
}
