//! Several instances of the queue on one database and one cache.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use access::testing::bearer;
use cache::testing::places;
use db::testing::{SaysWhere, eventually, kinds};
use futures_util::future::join_all;
use ids::Uuid;
use proto::judge as pb;
use proto::judge::judgement_service_client::JudgementServiceClient;
use proto::judge::language_service_client::LanguageServiceClient;
use proto::judge::work_request::Message as Say;
use proto::judge::work_response::Message as Told;
use proto::judge::{JudgementState, Verdict};
use tokio::sync::Barrier;

use crate::hands::{Hands, id, lease};
use crate::world::World;

/// Runs a test on two instances: of one process on SQLite, of two on PostgreSQL and Redis.
async fn each(test: impl AsyncFn(World, World)) {
    for (kind, place) in kinds().into_iter().zip(places()) {
        let _says = SaysWhere(&kind);
        let one = World::queue_in(&kind, place).await;
        let two = one.beside().await;
        test(one, two).await;
    }
}

impl World {
    async fn listed_workers(&self) -> Vec<(String, i32)> {
        let token = self.issuer.user(id(), "ada", &[access::Role::Judge]);
        let mut client = JudgementServiceClient::new(self.channel.clone());
        let answer = client.list_workers(bearer(&token, pb::ListWorkersRequest {})).await.unwrap();
        let workers = answer.into_inner().workers;
        workers.into_iter().map(|worker| (worker.worker_id, worker.busy_count)).collect()
    }

    async fn listed_languages(&self) -> Vec<String> {
        let mut client = LanguageServiceClient::new(self.channel.clone());
        let answer = client.list_languages(pb::ListLanguagesRequest {}).await.unwrap();
        answer.into_inner().languages.into_iter().map(|language| language.language_id).collect()
    }

    /// How many attempts broke, and how many were lost with their workers.
    async fn counts(&self, submission: Uuid) -> (i64, i64) {
        let query = "SELECT crash_count, lost_count FROM judgements WHERE submission_id = $1";
        self.db.query(query).bind(submission).fetch_one().await.unwrap()
    }
}

fn progress(job: &pb::Job, index: i32) -> Say {
    let output = "secret".to_owned();
    let progress = pb::JudgementProgress {
        state: JudgementState::Running.into(),
        test_count: 3,
        tests: vec![pb::TestResult { index, output, ..Default::default() }],
        ..Default::default()
    };
    Say::Progress(pb::JobProgress { lease: Some(lease(job)), progress: Some(progress) })
}

#[tokio::test]
async fn a_job_goes_at_once_to_a_worker_of_another_instance() {
    each(async |one, two| {
        // All wishes at first: one that comes later would make its instance look around.
        let mut hands = Hands::greet(&two, "w1", &[], 10).await;
        hands.hears_nothing().await;
        let start = Instant::now();
        for _ in 0..10 {
            one.asked(id()).await;
            let job = hands.job().await;
            hands.finish(&job, Verdict::Accepted);
            assert!(matches!(hands.hear().await, Told::Ack(_)));
        }
        // Without being told, the other instance looks once a second.
        assert!(start.elapsed() < Duration::from_secs(6), "{:?}", start.elapsed());
    })
    .await;
}

#[tokio::test]
async fn both_instances_list_the_same() {
    each(async |one, two| {
        let mut near = Hands::hello(&one, "near", "cpp20").await;
        near.hears_nothing().await;
        let mut far = Hands::hello(&two, "far", "java").await;
        far.hears_nothing().await;
        eventually("both have tried their languages", || async {
            one.listed_languages().await == ["cpp20", "java"]
                && two.listed_languages().await == ["cpp20", "java"]
        })
        .await;
        one.asked(id()).await;
        near.ready(1);
        near.job().await;
        for world in [&one, &two] {
            assert_eq!(world.listed_workers().await, [("far".into(), 0), ("near".into(), 1)]);
        }
        drop(far);
        eventually("one has left", || async {
            one.listed_workers().await.len() == 1 && two.listed_workers().await.len() == 1
        })
        .await;
        // What it could do goes when the next one says what it can do.
        let mut third = Hands::hello(&two, "third", "cpp20").await;
        third.hears_nothing().await;
        eventually("its language goes", || async {
            one.listed_languages().await == ["cpp20"] && two.listed_languages().await == ["cpp20"]
        })
        .await;
    })
    .await;
}

#[tokio::test]
async fn workers_that_offer_different_languages_at_once_do_not_withdraw_each_others() {
    each(async |one, two| {
        let languages = ["a", "b", "c", "d", "e", "f"];
        let worlds = [&one, &two];
        for _ in 0..4 {
            let connect = languages.iter().enumerate().map(|(number, language)| async move {
                let mut hands = Hands::hello(worlds[number % 2], language, language).await;
                hands.hears_nothing().await;
                hands
            });
            let hands = join_all(connect).await;
            for world in worlds {
                let all = || async { world.listed_languages().await == languages };
                eventually("all are offered", all).await;
            }
            drop(hands);
            eventually("they left", || async { one.listed_workers().await.is_empty() }).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_worker_moves_with_its_job() {
    each(async |one, two| {
        let submission = id();
        one.asked(submission).await;
        let mut before = Hands::greet(&one, "w1", &[], 1).await;
        let job = before.job().await;
        // The first instance notices before and after the worker is back.
        let mut hands = Hands::greet(&two, "w1", &[&job], 0).await;
        hands.hears_nothing().await;
        drop(before);
        hands.hears_nothing().await;
        one.clock.advance(Duration::from_secs(10));
        let mut other = Hands::greet(&one, "other", &[], 1).await;
        other.hears_nothing().await;
        drop(hands);
        let mut hands = Hands::greet(&one, "w1", &[&job], 0).await;
        hands.hears_nothing().await;
        one.clock.advance(Duration::from_secs(10));
        other.hears_nothing().await;
        hands.finish(&job, Verdict::Accepted);
        assert!(matches!(hands.hear().await, Told::Ack(_)));
        let done = two.submission(submission).await.unwrap();
        assert_eq!((done.verdict(), done.attempt), (Verdict::Accepted, 1));
        assert_eq!(one.counts(submission).await, (0, 0));
    })
    .await;
}

#[tokio::test]
async fn a_job_that_never_arrived_is_given_again_at_once() {
    each(async |one, two| {
        let (lost, held) = (id(), id());
        one.asked(held).await;
        let mut hands = Hands::greet(&one, "w1", &[], 1).await;
        let kept = hands.job().await;
        one.asked(lost).await;
        one.known(lost).await;
        drop(hands);
        // An instance leased it, and died before it could hand it over.
        let leased = "UPDATE judgements SET state = 'leased', attempt = 1, worker = 'w1',
                      due_at = (SELECT max(due_at) FROM judgements) WHERE state = 'queued'";
        one.db.script(leased).await;
        let mut hands = Hands::greet(&two, "w1", &[&kept], 1).await;
        let job = hands.job().await;
        assert_eq!((job.submission_id.clone(), job.attempt), (lost.to_string(), 2));
        assert_eq!(one.counts(lost).await, (0, 0));
        // A later heartbeat takes nothing back: what it does not name may be on its way.
        hands.heartbeat(&[&kept]);
        for job in [&kept, &job] {
            hands.finish(job, Verdict::Accepted);
            assert!(matches!(hands.hear().await, Told::Ack(_)));
        }
    })
    .await;
}

#[tokio::test]
async fn a_new_run_of_a_machine_takes_its_jobs_back() {
    each(async |one, two| {
        let (first, second) = (id(), id());
        one.asked(first).await;
        let mut zombie = Hands::greet(&one, "host/data/1", &[], 1).await;
        let lost = zombie.job().await;
        one.asked(second).await;
        let mut stranger = Hands::greet(&one, "host/other/1", &[], 1).await;
        let kept = stranger.job().await;
        let mut hands = Hands::greet(&two, "host/data/2", &[], 1).await;
        let job = hands.job().await;
        assert_eq!((job.job_id.as_str(), job.attempt), (lost.job_id.as_str(), 2));
        assert_eq!((one.counts(first).await, one.counts(second).await), ((0, 1), (0, 0)));
        // What is still connected of the earlier run gets nothing any more, and is told.
        zombie.ready(1);
        zombie.hears_nothing().await;
        one.asked(id()).await;
        zombie.hears_nothing().await;
        zombie.heartbeat(&[&lost]);
        assert!(matches!(zombie.hear().await, Told::Cancel(c) if c.lease == Some(lease(&lost))));
        hands.ready(1);
        hands.job().await;
        stranger.heartbeat(&[&kept]);
        stranger.hears_nothing().await;
        let names = ["host/data/2", "host/other/1"];
        let listed = two.listed_workers().await;
        assert_eq!(listed.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), names);
    })
    .await;
}

#[tokio::test]
async fn a_job_that_kills_every_worker_ends() {
    each(async |one, two| {
        let submission = id();
        one.asked(submission).await;
        let mut attempts = 0;
        for run in 0..10 {
            let world = if run % 2 == 0 { &one } else { &two };
            let mut hands = Hands::greet(world, &format!("host/data/{run}"), &[], 1).await;
            // At first it comes at once, later after a while.
            if run > 3 {
                hands.hears_nothing().await;
                one.clock.advance(Duration::from_secs(60));
            }
            assert_eq!(hands.job().await.attempt, run + 1);
            attempts += 1;
        }
        assert_eq!((attempts, one.published().await.len()), (10, 0));
        let mut hands = Hands::greet(&one, "host/data/last", &[], 1).await;
        hands.hears_nothing().await;
        let done = two.submission(submission).await.unwrap();
        assert_eq!(done.verdict(), Verdict::JudgeError, "{done:?}");
        assert_eq!(one.published().await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn how_a_job_goes_is_seen_at_the_other_instance() {
    each(async |one, two| {
        let submission = id();
        one.asked(submission).await;
        let mut hands = Hands::greet(&one, "w1", &[], 1).await;
        let job = hands.job().await;
        hands.say(progress(&job, 0));
        hands.hears_nothing().await;
        let seen = async |world: &World, tests: usize| {
            let now = world.submission(submission).await.unwrap();
            now.state() == JudgementState::Running
                && now.tests.len() == tests
                && now.tests.iter().all(|test| test.output.is_empty())
        };
        assert!(seen(&one, 1).await);
        eventually("the other one sees it", || seen(&two, 1)).await;
        drop(hands);
        let mut hands = Hands::greet(&two, "w1", &[&job], 0).await;
        hands.say(progress(&job, 2));
        hands.hears_nothing().await;
        assert!(seen(&two, 2).await);
        eventually("the first one sees it", || seen(&one, 2)).await;
        hands.finish(&job, Verdict::Accepted);
        assert!(matches!(hands.hear().await, Told::Ack(_)));
        for world in [&one, &two] {
            let state = world.submission(submission).await.unwrap().state();
            assert_eq!(state, JudgementState::Done);
        }
    })
    .await;
}

/// Works until all is done, beginning with the others; gives the jobs that it was given.
async fn work(
    world: &World,
    name: String,
    begin: &Barrier,
    done: &AtomicUsize,
    all: usize,
) -> Vec<String> {
    let mut hands = Hands::greet(world, &name, &[], 0).await;
    let mut jobs = Vec::new();
    begin.wait().await;
    hands.ready(2);
    while done.load(Ordering::Relaxed) < all {
        let Some(told) = hands.hear_within(Duration::from_millis(100)).await else { continue };
        match told {
            Told::Job(job) => {
                hands.finish(&job, Verdict::Accepted);
                hands.ready(1);
                jobs.push(job.job_id);
            }
            Told::Ack(_) => drop(done.fetch_add(1, Ordering::Relaxed)),
            Told::Cancel(cancel) => panic!("{cancel:?}"),
        }
    }
    jobs
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_workers_of_both_judge_each_job_once() {
    const JOBS: usize = 200;
    each(async |one, two| {
        let done = AtomicUsize::new(0);
        let (done, worlds) = (&done, [&one, &two]);
        // More than the workers of one instance can take at once is there when they begin; the rest comes meanwhile.
        for _ in 0..JOBS / 2 {
            one.asked(id()).await;
        }
        let begin = &Barrier::new(8);
        let workers = (0..8).map(|number| {
            let world = worlds[number % 2];
            async move { work(world, format!("w{number}"), begin, done, JOBS).await }
        });
        let submit = async {
            for _ in JOBS / 2..JOBS {
                one.asked(id()).await;
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
