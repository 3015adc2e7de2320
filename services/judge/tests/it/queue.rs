//! Jobs, leases and fencing, with workers that are only pretended.

use std::time::Duration;

use access::testing::bearer;
use db::testing::{eventually, kinds};
use futures_util::FutureExt;
use ids::{Clock, Uuid};
use proto::judge as pb;
use proto::judge::judgement_service_client::JudgementServiceClient;
use proto::judge::language_service_client::LanguageServiceClient;
use proto::judge::work_request::Message as Say;
use proto::judge::work_response::Message as Told;
use proto::judge::{JudgementState, Verdict};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::{Code, Streaming};

use crate::world::World;

/// A worker that does what the test says.
struct Hands {
    say: UnboundedSender<pb::WorkRequest>,
    told: Streaming<pb::WorkResponse>,
}

impl Hands {
    async fn connect(world: &World, name: &str, jobs: i32) -> Hands {
        let (say, said) = unbounded_channel();
        let hello = pb::WorkerHello {
            worker_id: name.into(),
            slot_count: 2,
            isolation: "full".into(),
            languages: vec![pb::Language { language_id: "cpp20".into(), ..Default::default() }],
            languages_complete: true,
        };
        let hands = |told| Hands { say: say.clone(), told };
        say.send(pb::WorkRequest { message: Some(Say::Hello(hello)) }).unwrap();
        let told = world.workers().work(UnboundedReceiverStream::new(said)).await.unwrap();
        let hands = hands(told.into_inner());
        hands.say(Say::Ready(pb::WorkerReady { job_count: jobs }));
        hands
    }

    fn say(&self, message: Say) {
        self.say.send(pb::WorkRequest { message: Some(message) }).unwrap();
    }

    async fn hear(&mut self) -> Told {
        let heard = tokio::time::timeout(Duration::from_secs(20), self.told.message()).await;
        heard.expect("an answer").unwrap().unwrap().message.unwrap()
    }

    async fn job(&mut self) -> pb::Job {
        match self.hear().await {
            Told::Job(job) => job,
            other => panic!("{other:?}"),
        }
    }

    /// Nothing comes, for as long as the queue needs to look around.
    async fn hears_nothing(&mut self) {
        let waited = tokio::time::timeout(Duration::from_millis(300), self.told.message()).await;
        assert!(waited.is_err(), "{waited:?}");
    }

    fn finish(&self, job: &pb::Job, verdict: Verdict) {
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

    fn fail(&self, job: &pb::Job, crashed: bool) {
        let message = "no luck".to_owned();
        let failure =
            pb::JobFailure { lease: Some(lease(job)), message, crashed, ..Default::default() };
        self.say(Say::Failure(failure));
        self.say(Say::Ready(pb::WorkerReady { job_count: 1 }));
    }
}

fn lease(job: &pb::Job) -> pb::JobLease {
    pb::JobLease { job_id: job.job_id.clone(), attempt: job.attempt }
}

fn id() -> Uuid {
    Clock::system().new_id()
}

/// Runs a test on every database.
async fn each(test: impl AsyncFn(World)) {
    for kind in kinds() {
        let _says = db::testing::SaysWhere(&kind);
        test(World::queue_only(&kind).await).await;
    }
}

impl World {
    async fn asked(&self, submission: Uuid) {
        self.created(submission, &id().to_string(), "cpp20", id()).await;
    }

    async fn known(&self, submission: Uuid) {
        eventually("the judge knows it", || async { self.submission(submission).await.is_ok() })
            .await;
    }
}

#[tokio::test]
async fn a_job_goes_to_a_worker_and_its_result_out_as_an_event() {
    each(async |world| {
        let submission = id();
        world.asked(submission).await;
        world.known(submission).await;
        let waiting = world.submission(submission).await.unwrap();
        assert_eq!((waiting.state(), waiting.attempt), (JudgementState::Queued, 0));
        let mut hands = Hands::connect(&world, "w1", 1).await;
        let job = hands.job().await;
        assert_eq!((job.submission_id.clone(), job.attempt), (submission.to_string(), 1));
        assert_eq!((job.version, job.language.as_str()), (1, "cpp20"));
        hands.finish(&job, Verdict::WrongAnswer);
        assert!(matches!(hands.hear().await, Told::Ack(ack) if ack.lease == Some(lease(&job))));
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
async fn a_submission_is_queued_once_however_often_it_is_announced() {
    each(async |world| {
        let submission = id();
        for _ in 0..3 {
            world.asked(submission).await;
        }
        world.known(submission).await;
        let mut hands = Hands::connect(&world, "w1", 9).await;
        let job = hands.job().await;
        hands.finish(&job, Verdict::Accepted);
        hands.hear().await;
        world.asked(submission).await;
        hands.hears_nothing().await;
        assert_eq!(world.published().await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_job_of_a_silent_worker_returns_and_its_late_result_changes_nothing() {
    each(async |world| {
        let submission = id();
        world.asked(submission).await;
        let mut zombie = Hands::connect(&world, "zombie", 1).await;
        let lost = zombie.job().await;
        world.clock.advance(Duration::from_secs(31));
        let mut other = Hands::connect(&world, "other", 1).await;
        let job = other.job().await;
        assert_eq!((job.job_id.as_str(), job.attempt), (lost.job_id.as_str(), 2));
        assert!(matches!(zombie.hear().await, Told::Cancel(_)));
        zombie.finish(&lost, Verdict::Accepted);
        assert!(matches!(zombie.hear().await, Told::Cancel(_)));
        other.finish(&job, Verdict::WrongAnswer);
        assert!(matches!(other.hear().await, Told::Ack(_)));
        zombie.finish(&lost, Verdict::Accepted);
        assert!(matches!(zombie.hear().await, Told::Cancel(_)));
        let done = world.submission(submission).await.unwrap();
        assert_eq!((done.verdict(), done.worker.as_str()), (Verdict::WrongAnswer, "other"));
        assert_eq!(world.published().await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn heartbeats_keep_a_job() {
    each(async |world| {
        world.asked(id()).await;
        let mut hands = Hands::connect(&world, "w1", 2).await;
        let job = hands.job().await;
        for _ in 0..4 {
            world.clock.advance(Duration::from_secs(20));
            hands.say(Say::Heartbeat(pb::WorkerHeartbeat { leases: vec![lease(&job)] }));
            hands.hears_nothing().await;
        }
        let stranger = pb::JobLease { job_id: id().to_string(), attempt: 1 };
        hands.say(Say::Heartbeat(pb::WorkerHeartbeat { leases: vec![stranger.clone()] }));
        assert!(matches!(hands.hear().await, Told::Cancel(c) if c.lease == Some(stranger)));
    })
    .await;
}

#[tokio::test]
async fn a_worker_that_hangs_up_loses_its_jobs_unless_it_comes_back() {
    each(async |world| {
        let (first, second) = (id(), id());
        world.asked(first).await;
        let mut hands = Hands::connect(&world, "w1", 1).await;
        let job = hands.job().await;
        drop(hands);
        // Back in time: the lease goes on, and the result counts.
        let mut hands = Hands::connect(&world, "w1", 0).await;
        hands.say(Say::Heartbeat(pb::WorkerHeartbeat { leases: vec![lease(&job)] }));
        world.clock.advance(Duration::from_secs(10));
        hands.finish(&job, Verdict::Accepted);
        assert!(matches!(hands.hear().await, Told::Ack(_)));
        // Never again.
        world.asked(second).await;
        hands.say(Say::Ready(pb::WorkerReady { job_count: 1 }));
        let lost = hands.job().await;
        drop(hands);
        let mut other = Hands::connect(&world, "other", 1).await;
        other.hears_nothing().await;
        world.clock.advance(Duration::from_secs(6));
        assert_eq!((other.job().await.attempt, lost.attempt), (2, 1));
    })
    .await;
}

#[tokio::test]
async fn three_broken_attempts_are_a_judge_error_and_absences_are_not() {
    each(async |world| {
        let submission = id();
        world.asked(submission).await;
        let mut hands = Hands::connect(&world, "w1", 1).await;
        for _ in 0..4 {
            let job = hands.job().await;
            hands.fail(&job, false);
            assert!(matches!(hands.hear().await, Told::Ack(_)));
        }
        for crash in 0..3 {
            assert_eq!(world.published().await.len(), 0);
            let job = hands.job().await;
            assert_eq!(job.attempt, 5 + crash);
            hands.fail(&job, true);
            assert!(matches!(hands.hear().await, Told::Ack(_)));
        }
        let done = world.submission(submission).await.unwrap();
        assert_eq!(done.verdict(), Verdict::JudgeError);
        assert!(done.message.contains("no luck"), "{}", done.message);
        assert_eq!(world.published().await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn jobs_of_an_earlier_process_are_free_at_once() {
    each(async |mut world| {
        world.asked(id()).await;
        world.asked(id()).await;
        let mut own = Hands::connect(&world, "embedded/1", 1).await;
        let mut far = Hands::connect(&world, "far", 1).await;
        let (lost, _kept) = (own.job().await, far.job().await);
        world.restart().await;
        let mut own = Hands::connect(&world, "embedded/2", 2).await;
        let job = own.job().await;
        assert_eq!((job.job_id, job.attempt), (lost.job_id, 2));
        own.hears_nothing().await;
    })
    .await;
}

#[tokio::test]
async fn a_persons_first_program_comes_before_anothers_third() {
    each(async |world| {
        let (eager, calm, last) = (id(), id(), id());
        for _ in 0..3 {
            world.created(id(), &id().to_string(), "cpp20", eager).await;
        }
        world.created(last, &id().to_string(), "cpp20", calm).await;
        world.known(last).await;
        let mut hands = Hands::connect(&world, "w1", 4).await;
        let mut order = Vec::new();
        for _ in 0..4 {
            order.push(hands.job().await.submission_id == last.to_string());
        }
        assert_eq!(order, [false, true, false, false]);
    })
    .await;
}

#[tokio::test]
async fn jobs_wait_for_a_worker_of_their_language() {
    each(async |world| {
        let submission = id();
        world.created(submission, &id().to_string(), "cobol", id()).await;
        world.known(submission).await;
        let mut hands = Hands::connect(&world, "w1", 1).await;
        hands.hears_nothing().await;
        let state = world.submission(submission).await.unwrap().state();
        assert_eq!(state, JudgementState::Queued);
    })
    .await;
}

#[tokio::test]
async fn progress_is_live_state_and_a_message() {
    each(async |world| {
        let submission = id();
        world.asked(submission).await;
        let mut live = world.cache.subscribe(&format!("submission/{submission}")).await.unwrap();
        let mut hands = Hands::connect(&world, "w1", 1).await;
        let job = hands.job().await;
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
            hands.say(Say::Progress(pb::JobProgress { lease, progress }));
        }
        // The stream only moves when it is read from.
        hands.hears_nothing().await;
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
async fn operators_see_workers_and_queue_and_everyone_languages() {
    each(async |world| {
        let judge = world.issuer.user(id(), "ada", &[access::Role::Judge]);
        let player = world.issuer.user(id(), "eve", &[]);
        let mut languages = LanguageServiceClient::new(world.channel.clone());
        let mut listed = async || {
            let answer = languages.list_languages(pb::ListLanguagesRequest {}).await.unwrap();
            answer.into_inner().languages
        };
        let before = listed().await;
        assert!(before.iter().any(|l| l.language_id == "java" && l.version.is_empty()));
        for submission in [id(), id()] {
            world.asked(submission).await;
            world.known(submission).await;
        }
        let mut hands = Hands::connect(&world, "w1", 1).await;
        hands.job().await;
        eventually("the other languages go", || async {
            let mut client = LanguageServiceClient::new(world.channel.clone());
            let answer = client.list_languages(pb::ListLanguagesRequest {}).await.unwrap();
            answer.into_inner().languages.len() == 1
        })
        .await;
        let mut client = JudgementServiceClient::new(world.channel.clone());
        let workers = client.list_workers(bearer(&judge, pb::ListWorkersRequest {})).await;
        let workers = workers.unwrap().into_inner().workers;
        assert_eq!((workers.len(), workers[0].busy_count), (1, 1));
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
async fn wrong_requests_are_named() {
    each(async |world| {
        use pb::get_judgement_request::Subject;
        for subject in [
            Some(Subject::SubmissionId("nonsense".into())),
            Some(Subject::VerificationId(String::new())),
            None,
        ] {
            let mut client = JudgementServiceClient::new(world.channel.clone());
            let request = bearer(&world.token(), pb::GetJudgementRequest { subject });
            let status = client.get_judgement(request).await.unwrap_err();
            assert_eq!(status.code(), Code::InvalidArgument);
        }
        let status = world.submission(id()).await.unwrap_err();
        assert_eq!(rpc::status::reason(&status).as_deref(), Some("JUDGEMENT_NOT_FOUND"));
        let nameless = pb::WorkerHello { worker_id: "a\0b".into(), ..Default::default() };
        for first in [Say::Ready(pb::WorkerReady { job_count: 1 }), Say::Hello(nameless)] {
            let (say, said) = unbounded_channel();
            say.send(pb::WorkRequest { message: Some(first) }).unwrap();
            let told = world.workers().work(UnboundedReceiverStream::new(said)).await.unwrap();
            let status = told.into_inner().message().await.unwrap_err();
            assert_eq!(status.code(), Code::InvalidArgument);
        }
    })
    .await;
}
