//! Workers that are only pretended.

use std::time::Duration;

use db::testing::eventually;
use ids::{Clock, Uuid};
use proto::judge as pb;
use proto::judge::Verdict;
use proto::judge::work_request::Message as Say;
use proto::judge::work_response::Message as Told;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::Status;

use crate::world::World;

/// A worker that does what the test says.
pub struct Hands {
    say: UnboundedSender<pb::WorkRequest>,
    told: UnboundedReceiver<Answer>,
    /// Reads all the time, as workers do: what they say is worked on while they read.
    ears: JoinHandle<()>,
}

type Answer = Result<Option<pb::WorkResponse>, Status>;

impl Drop for Hands {
    fn drop(&mut self) {
        self.ears.abort();
    }
}

impl Hands {
    /// Connects for the first time.
    pub async fn connect(world: &World, name: &str, jobs: i32) -> Hands {
        let hands = Hands::hello(world, name, "cpp20").await;
        hands.ready(jobs);
        hands
    }

    /// Connects as workers do, with jobs from before.
    pub async fn greet(world: &World, name: &str, held: &[&pb::Job], jobs: i32) -> Hands {
        let hands = Hands::hello(world, name, "cpp20").await;
        hands.heartbeat(held);
        hands.ready(jobs);
        hands
    }

    /// Connects and wants nothing yet.
    pub async fn hello(world: &World, name: &str, language: &str) -> Hands {
        let (say, said) = unbounded_channel();
        let hello = pb::WorkerHello {
            worker_id: name.into(),
            slot_count: 2,
            isolation: "full".into(),
            languages: vec![pb::Language { language_id: language.into(), ..Default::default() }],
            languages_complete: true,
        };
        say.send(pb::WorkRequest { message: Some(Say::Hello(hello)) }).unwrap();
        let said = UnboundedReceiverStream::new(said);
        let mut stream = world.workers().work(said).await.unwrap().into_inner();
        let (heard, told) = unbounded_channel();
        #[expect(clippy::disallowed_methods, reason = "ends with the hands")]
        let ears = tokio::task::spawn(async move {
            loop {
                let message = stream.message().await;
                let over = !matches!(message, Ok(Some(_)));
                if heard.send(message).is_err() || over {
                    return;
                }
            }
        });
        Hands { say, told, ears }
    }

    /// The next message; `None` behind the last.
    async fn message(&mut self) -> Answer {
        self.told.recv().await.unwrap_or(Ok(None))
    }

    pub fn ready(&self, jobs: i32) {
        self.say(Say::Ready(pb::WorkerReady { job_count: jobs }));
    }

    pub fn heartbeat(&self, held: &[&pb::Job]) {
        let leases = held.iter().map(|job| lease(job)).collect();
        self.say(Say::Heartbeat(pb::WorkerHeartbeat { leases }));
    }

    pub fn say(&self, message: Say) {
        self.say.send(pb::WorkRequest { message: Some(message) }).unwrap();
    }

    pub async fn hear(&mut self) -> Told {
        let heard = tokio::time::timeout(Duration::from_secs(20), self.message()).await;
        heard.expect("an answer").unwrap().unwrap().message.unwrap()
    }

    /// What comes within a time.
    pub async fn hear_within(&mut self, time: Duration) -> Option<Told> {
        let heard = tokio::time::timeout(time, self.message()).await.ok()?;
        heard.unwrap().unwrap().message
    }

    pub async fn job(&mut self) -> pb::Job {
        match self.hear().await {
            Told::Job(job) => job,
            other => panic!("{other:?}"),
        }
    }

    /// Nothing comes, for as long as the queue needs to look around.
    pub async fn hears_nothing(&mut self) {
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
        self.say(Say::Result(pb::JobResult { lease, judgement, ..Default::default() }));
    }

    pub fn fail(&self, job: &pb::Job, crashed: bool) {
        let message = "no luck".to_owned();
        let failure =
            pb::JobFailure { lease: Some(lease(job)), message, crashed, ..Default::default() };
        self.say(Say::Failure(failure));
        self.say(Say::Ready(pb::WorkerReady { job_count: 1 }));
    }
}

pub fn lease(job: &pb::Job) -> pb::JobLease {
    pb::JobLease { job_id: job.job_id.clone(), attempt: job.attempt }
}

pub fn id() -> Uuid {
    Clock::system().new_id()
}

impl World {
    pub async fn asked(&self, submission: Uuid) {
        self.created(submission, &id().to_string(), "cpp20", id()).await;
    }

    pub async fn known(&self, submission: Uuid) {
        eventually("the judge knows it", || async { self.submission(submission).await.is_ok() })
            .await;
    }
}
