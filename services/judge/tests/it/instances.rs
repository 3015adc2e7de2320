//! Several instances of the queue on one database and one cache.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use cache::testing::backends;
use db::testing::{PrintOnPanic, eventually, kinds};
use futures_util::future::join_all;
use ids::Uuid;
use proto::judge as pb;
use proto::judge::work_request::Message as Request;
use proto::judge::work_response::Message as Response;
use proto::judge::{JudgementState, Verdict};
use tokio::sync::Barrier;

use crate::fake_worker::{FakeWorker, lease};
use crate::world::World;

/// Runs a test on two instances: in one process on SQLite, in two on PostgreSQL and Redis.
async fn each(test: impl AsyncFn(World, World)) {
    for (kind, backend) in kinds().into_iter().zip(backends()) {
        let _guard = PrintOnPanic(&kind);
        let one = World::queue_in(&kind, backend).await;
        let two = one.beside().await;
        test(one, two).await;
    }
}

impl World {
    /// The number of crashed attempts and of attempts lost with their worker.
    async fn counts(&self, submission: Uuid) -> (i64, i64) {
        let query = "SELECT crash_count, lost_count FROM judgements WHERE submission_id = $1";
        self.db.query(query).bind(submission).fetch_one().await.unwrap()
    }
}

fn progress(job: &pb::Job, index: i32) -> Request {
    let output = "secret".to_owned();
    let progress = pb::JudgementProgress {
        state: JudgementState::Running.into(),
        test_count: 3,
        tests: vec![pb::TestResult { index, output, ..Default::default() }],
        ..Default::default()
    };
    Request::Progress(pb::JobProgress { lease: Some(lease(job)), progress: Some(progress) })
}

#[tokio::test]
async fn job_is_dispatched_immediately_by_another_instance() {
    each(async |one, two| {
        // Request all jobs first, because a request triggers a dispatch.
        let mut worker = FakeWorker::reconnect(&two, "w1", &[], 10).await;
        worker.receives_nothing().await;
        let start = Instant::now();
        for _ in 0..10 {
            one.request_judgement().await;
            let job = worker.job().await;
            worker.judge(&job, Verdict::Accepted).await;
        }
        // Without notifications the other instance would poll once per second.
        assert!(start.elapsed() < Duration::from_secs(6), "{:?}", start.elapsed());
    })
    .await;
}

#[tokio::test]
async fn instances_list_the_same_workers_and_languages() {
    each(async |one, two| {
        let mut near = FakeWorker::hello(&one, "near", "cpp20").await;
        near.receives_nothing().await;
        let mut far = FakeWorker::hello(&two, "far", "java").await;
        far.receives_nothing().await;
        eventually("both languages are listed", || async {
            one.listed_languages().await == ["cpp20", "java"]
                && two.listed_languages().await == ["cpp20", "java"]
        })
        .await;
        one.request_judgement().await;
        near.ready(1);
        near.job().await;
        for world in [&one, &two] {
            assert_eq!(world.listed_workers().await, [("far".into(), 0), ("near".into(), 1)]);
        }
        drop(far);
        eventually("one worker is removed", || async {
            one.listed_workers().await.len() == 1 && two.listed_workers().await.len() == 1
        })
        .await;
        // Its language is removed when the next worker sends its languages.
        let mut third = FakeWorker::hello(&two, "third", "cpp20").await;
        third.receives_nothing().await;
        eventually("its language is removed", || async {
            one.listed_languages().await == ["cpp20"] && two.listed_languages().await == ["cpp20"]
        })
        .await;
    })
    .await;
}

#[tokio::test]
async fn worker_that_was_not_heard_since_the_start_is_not_counted() {
    each(async |one, _two| {
        let mut worker = FakeWorker::hello(&one, "w1", "cpp20").await;
        worker.receives_nothing().await;
        one.clock().advance(Duration::from_secs(1));
        // The database names the worker, as after a crash or a restore.
        let late = one.beside().await;
        assert_eq!(one.listed_workers().await, [("w1".into(), 0)]);
        assert_eq!(late.listed_workers().await, []);
        let mut worker = FakeWorker::hello(&one, "w1", "cpp20").await;
        worker.receives_nothing().await;
        assert_eq!(late.listed_workers().await, [("w1".into(), 0)]);
        assert_eq!(late.listed_languages().await, ["cpp20"]);
    })
    .await;
}

#[tokio::test]
async fn workers_connecting_concurrently_keep_each_others_languages() {
    each(async |one, two| {
        let languages = ["a", "b", "c", "d", "e", "f"];
        let worlds = [&one, &two];
        for _ in 0..4 {
            let connect = languages.iter().enumerate().map(|(number, language)| async move {
                let mut worker = FakeWorker::hello(worlds[number % 2], language, language).await;
                worker.receives_nothing().await;
                worker
            });
            let worker = join_all(connect).await;
            for world in worlds {
                let all = || async { world.listed_languages().await == languages };
                eventually("all are offered", all).await;
            }
            drop(worker);
            eventually("the workers are removed", || async {
                one.listed_workers().await.is_empty()
            })
            .await;
        }
    })
    .await;
}

#[tokio::test]
async fn worker_keeps_its_job_when_it_moves_to_another_instance() {
    each(async |one, two| {
        let submission = one.request_judgement().await;
        let mut before = FakeWorker::reconnect(&one, "w1", &[], 1).await;
        let job = before.job().await;
        // The first instance detects the disconnection before, and then after, the worker reconnects.
        let mut worker = FakeWorker::reconnect(&two, "w1", &[&job], 0).await;
        worker.receives_nothing().await;
        drop(before);
        worker.receives_nothing().await;
        one.clock().advance(Duration::from_secs(10));
        let mut other = FakeWorker::reconnect(&one, "other", &[], 1).await;
        other.receives_nothing().await;
        drop(worker);
        let mut worker = FakeWorker::reconnect(&one, "w1", &[&job], 0).await;
        worker.receives_nothing().await;
        one.clock().advance(Duration::from_secs(10));
        other.receives_nothing().await;
        worker.judge(&job, Verdict::Accepted).await;
        let done = two.submission(submission).await.unwrap();
        assert_eq!((done.verdict(), done.attempt), (Verdict::Accepted, 1));
        assert_eq!(one.counts(submission).await, (0, 0));
    })
    .await;
}

#[tokio::test]
async fn undelivered_job_is_requeued_immediately() {
    each(async |one, two| {
        one.request_judgement().await;
        let mut worker = FakeWorker::reconnect(&one, "w1", &[], 1).await;
        let kept = worker.job().await;
        let lost = one.waiting_judgement().await;
        drop(worker);
        // Simulate an instance that leases the job and crashes before sending it.
        let leased = "UPDATE judgements SET state = 'leased', attempt = 1, worker = 'w1',
                      due_at = (SELECT max(due_at) FROM judgements) WHERE state = 'queued'";
        one.db.script(leased).await;
        let mut worker = FakeWorker::reconnect(&two, "w1", &[&kept], 1).await;
        let job = worker.job().await;
        assert_eq!((job.submission_id.clone(), job.attempt), (lost.to_string(), 2));
        assert_eq!(one.counts(lost).await, (0, 0));
        // A later heartbeat requeues nothing, because jobs may be in transit.
        worker.heartbeat(&[&kept]);
        for job in [&kept, &job] {
            worker.judge(job, Verdict::Accepted).await;
        }
    })
    .await;
}

#[tokio::test]
async fn restarted_worker_takes_over_jobs_of_its_earlier_run() {
    each(async |one, two| {
        let first = one.request_judgement().await;
        let mut zombie = FakeWorker::reconnect(&one, "host/data/1", &[], 1).await;
        let lost = zombie.job().await;
        let second = one.request_judgement().await;
        let mut unrelated = FakeWorker::reconnect(&one, "host/other/1", &[], 1).await;
        let kept = unrelated.job().await;
        let mut worker = FakeWorker::reconnect(&two, "host/data/2", &[], 1).await;
        let job = worker.job().await;
        assert_eq!((job.job_id.as_str(), job.attempt), (lost.job_id.as_str(), 2));
        assert_eq!((one.counts(first).await, one.counts(second).await), ((0, 1), (0, 0)));
        // The earlier run gets no more jobs, and its attempt is canceled.
        zombie.ready(1);
        zombie.receives_nothing().await;
        one.request_judgement().await;
        zombie.receives_nothing().await;
        zombie.heartbeat(&[&lost]);
        assert!(
            matches!(zombie.receive().await, Response::Cancel(c) if c.lease == Some(lease(&lost)))
        );
        worker.ready(1);
        worker.job().await;
        unrelated.heartbeat(&[&kept]);
        unrelated.receives_nothing().await;
        let names = ["host/data/2", "host/other/1"];
        let listed = two.listed_workers().await;
        assert_eq!(listed.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), names);
    })
    .await;
}

#[tokio::test]
async fn job_lost_with_ten_workers_is_a_judge_error() {
    each(async |one, two| {
        let submission = one.request_judgement().await;
        let mut attempts = 0;
        for run in 0..10 {
            let world = if run % 2 == 0 { &one } else { &two };
            let mut worker =
                FakeWorker::reconnect(world, &format!("host/data/{run}"), &[], 1).await;
            // The first retries are immediate, later ones delayed.
            if run > 3 {
                worker.receives_nothing().await;
                one.clock().advance(Duration::from_secs(60));
                worker.heartbeat(&[]);
            }
            assert_eq!(worker.job().await.attempt, run + 1);
            attempts += 1;
        }
        assert_eq!((attempts, one.published().await.len()), (10, 0));
        let mut worker = FakeWorker::reconnect(&one, "host/data/last", &[], 1).await;
        worker.receives_nothing().await;
        let done = two.submission(submission).await.unwrap();
        assert_eq!(done.verdict(), Verdict::JudgeError, "{done:?}");
        assert_eq!(one.published().await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn progress_is_visible_at_the_other_instance() {
    each(async |one, two| {
        let submission = one.request_judgement().await;
        let mut worker = FakeWorker::reconnect(&one, "w1", &[], 1).await;
        let job = worker.job().await;
        worker.send(progress(&job, 0));
        worker.receives_nothing().await;
        let seen = async |world: &World, tests: usize| {
            let now = world.submission(submission).await.unwrap();
            now.state() == JudgementState::Running
                && now.tests.len() == tests
                && now.tests.iter().all(|test| test.output.is_empty())
        };
        assert!(seen(&one, 1).await);
        eventually("the other instance shows the progress", || seen(&two, 1)).await;
        drop(worker);
        let mut worker = FakeWorker::reconnect(&two, "w1", &[&job], 0).await;
        worker.send(progress(&job, 2));
        worker.receives_nothing().await;
        assert!(seen(&two, 2).await);
        eventually("the first instance shows the progress", || seen(&one, 2)).await;
        worker.judge(&job, Verdict::Accepted).await;
        for world in [&one, &two] {
            let state = world.submission(submission).await.unwrap().state();
            assert_eq!(state, JudgementState::Done);
        }
    })
    .await;
}

/// Judges until all jobs are done, starting together with the other workers. Returns the ids of its jobs.
async fn judge_jobs(
    world: &World,
    name: String,
    begin: &Barrier,
    done: &AtomicUsize,
    total: usize,
) -> Vec<String> {
    let mut worker = FakeWorker::reconnect(world, &name, &[], 0).await;
    let mut jobs = Vec::new();
    begin.wait().await;
    worker.ready(2);
    while done.load(Ordering::Relaxed) < total {
        let Some(response) = worker.receive_within(Duration::from_millis(100)).await else {
            continue;
        };
        match response {
            Response::Job(job) => {
                worker.finish(&job, Verdict::Accepted);
                worker.ready(1);
                jobs.push(job.job_id);
            }
            Response::Ack(_) => drop(done.fetch_add(1, Ordering::Relaxed)),
            Response::Cancel(cancel) => panic!("{cancel:?}"),
        }
    }
    jobs
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_workers_judge_each_job_once() {
    const JOBS: usize = 200;
    each(async |one, two| {
        let done = AtomicUsize::new(0);
        let (done, worlds) = (&done, [&one, &two]);
        // Half of the jobs exist at the start, more than the workers of one instance request; the rest are added later.
        for _ in 0..JOBS / 2 {
            one.request_judgement().await;
        }
        let begin = &Barrier::new(8);
        let workers = (0..8).map(|number| {
            let world = worlds[number % 2];
            async move { judge_jobs(world, format!("w{number}"), begin, done, JOBS).await }
        });
        let submit = async {
            for _ in JOBS / 2..JOBS {
                one.request_judgement().await;
            }
        };
        let (given, ()) = tokio::join!(join_all(workers), submit);
        let here = |at: usize| given.iter().skip(at).step_by(2).map(Vec::len).sum::<usize>();
        assert!(here(0) > 0 && here(1) > 0, "{} {}", here(0), here(1));
        let given: Vec<String> = given.into_iter().flatten().collect();
        let events = one.published().await;
        let judged: BTreeSet<_> = events.iter().map(|event| &event.judgement_id).collect();
        assert_eq!((given.len(), events.len(), judged.len()), (JOBS, JOBS, JOBS));
    })
    .await;
}
