//! The order in which jobs are leased, and what this reads when many other jobs wait.

use db::testing::{TestDb, each};
use service::Service as _;

use super::*;
use crate::Judge;

/// Waiting jobs in a language that no worker offers.
const OTHERS: i64 = 3000;

async fn wait_for_no_worker(db: &TestDb) {
    let (id, bytes, end) = match db.engine() {
        Engine::Sqlite => ("randomblob(16)", "x''", ""),
        Engine::Postgres => ("gen_random_uuid()", "''::bytea", "; ANALYZE judgements"),
    };
    db.script(format!(
        "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {OTHERS})
         INSERT INTO judgements (id, submission_id, ordinal, problem_id, problem_version, language, priority, state,
             attempt, crash_count, due_at, worker, verdict, cpu_time_us, memory_bytes, test_count, tests,
             compile_output, message, isolation, created_at)
         SELECT {id}, {id}, 1, {id}, 1, 'fortran', 1, 'queued', 0, 0, '2020-01-01T00:00:00.000000Z', '', '', 0, 0, 0,
             {bytes}, '', '', '', '2020-01-01T00:00:00.000000Z' FROM numbers{end}"
    ))
    .await;
}

fn languages(ids: &[&str]) -> Vec<String> {
    ids.iter().map(|id| (*id).to_owned()).collect()
}

async fn add(tx: &mut Tx, language: &str, priority: i64) -> Uuid {
    let (subject, problem_id) = (Subject::Submission(tx.new_id()), tx.new_id());
    let language = language.to_owned();
    let (version, owner, traceparent) = (1, None, None);
    let request = JudgementRequest {
        subject,
        problem_id,
        version,
        language,
        owner,
        attempt: 0,
        ordinal: 1,
        traceparent,
    };
    enqueue(tx, &request, priority).await.unwrap().unwrap()
}

async fn connect(tx: &mut Tx) -> (&'static str, Uuid) {
    let (stream, now) = (tx.new_id(), tx.now());
    let hello = pb::WorkerHello { worker_id: "w1".into(), ..Default::default() };
    workers::connect(tx, stream, &hello, now).await.unwrap();
    ("w1", stream)
}

/// The rows of `judgements` that this transaction has read, on PostgreSQL.
async fn rows_read(tx: &mut Tx) -> i64 {
    let query = "SELECT (seq_tup_read + idx_tup_fetch)::bigint FROM pg_stat_xact_user_tables
                 WHERE relname = 'judgements' AND schemaname = current_schema()";
    tx.query(query).fetch_scalar().await.unwrap()
}

#[tokio::test]
async fn leasing_reads_no_jobs_in_other_languages() {
    each(&Judge::DESCRIPTOR.migrations, |db| async move {
        wait_for_no_worker(&db).await;
        let mut tx = db.begin().await.unwrap();
        let worker = connect(&mut tx).await;
        let job = add(&mut tx, "java", 150).await;
        tx.commit().await.unwrap();
        let mut tx = db.begin().await.unwrap();
        let (until, offered) = (tx.now(), languages(&["cpp20", "java"]));
        if db.engine() == Engine::Sqlite {
            let query = tx.query("EXPLAIN QUERY PLAN ").bind(0).bind(0).bind(0).bind(0).bind(0);
            let plan: Vec<(i64, i64, i64, String)> =
                first_due(query, Engine::Sqlite, &offered).fetch_all().await.unwrap();
            let plan: Vec<&str> = plan.iter().map(|line| line.3.as_str()).collect();
            let (reads, other): (Vec<_>, Vec<_>) =
                plan.into_iter().partition(|line| line.contains(" judgements "));
            let bounded = "INDEX judgements_queued_by_language (language=? AND priority<?)";
            assert!(
                reads.len() == 3 && reads.iter().all(|line| line.contains(bounded)),
                "{reads:?}"
            );
            assert!(!other.iter().any(|line| line.contains("TEMP B-TREE")), "{other:?}");
        }
        let found = lease(&mut tx, worker, &offered, Capacity::Any, until).await.unwrap();
        assert_eq!(found.unwrap().id, job);
        let none = lease(&mut tx, worker, &offered, Capacity::Any, until).await.unwrap();
        assert!(none.is_none());
        if db.engine() == Engine::Postgres {
            let read = rows_read(&mut tx).await;
            assert!(read < 20, "{read} rows were read");
        }
    })
    .await;
}

#[tokio::test]
async fn jobs_of_all_languages_are_leased_in_one_order() {
    each(&Judge::DESCRIPTOR.migrations, |db| async move {
        let mut tx = db.begin().await.unwrap();
        let worker = connect(&mut tx).await;
        let mut ids = Vec::new();
        for (language, priority) in
            [("cpp20", 101), ("java", 100), ("", 200), ("cpp20", 100), ("go", 1), ("java", 101)]
        {
            ids.push(add(&mut tx, language, priority).await);
        }
        tx.commit().await.unwrap();
        let mut tx = db.begin().await.unwrap();
        let (until, offered) = (tx.now(), languages(&["java", "cpp20"]));
        let mut next = async |capacity, stream| {
            let worker = (worker.0, stream);
            let job = lease(&mut tx, worker, &offered, capacity, until).await.unwrap();
            job.map(|job| job.id)
        };
        assert_eq!(next(Capacity::Any, ids[0]).await, None, "not its newest stream");
        for expected in [ids[1], ids[3], ids[0], ids[5]] {
            assert_eq!(next(Capacity::Submissions, worker.1).await, Some(expected));
        }
        assert_eq!(next(Capacity::Submissions, worker.1).await, None);
        assert_eq!(next(Capacity::Any, worker.1).await, Some(ids[2]));
        assert_eq!(next(Capacity::Any, worker.1).await, None);
    })
    .await;
}

#[tokio::test]
async fn job_that_another_instance_leases_is_skipped() {
    each(&Judge::DESCRIPTOR.migrations, |db| async move {
        // SQLite has one writer at a time.
        if db.engine() == Engine::Sqlite {
            return;
        }
        let mut tx = db.begin().await.unwrap();
        let worker = connect(&mut tx).await;
        let first = add(&mut tx, "java", 100).await;
        let second = add(&mut tx, "cpp20", 100).await;
        let third = add(&mut tx, "java", 100).await;
        tx.commit().await.unwrap();
        let offered = languages(&["java", "cpp20"]);
        // Concurrent transactions lease different jobs, in order.
        let mut open = Vec::new();
        for expected in [Some(first), Some(second), Some(third), None] {
            let mut tx = db.begin().await.unwrap();
            let until = tx.now();
            let job = lease(&mut tx, worker, &offered, Capacity::Any, until).await.unwrap();
            assert_eq!(job.map(|job| job.id), expected);
            open.push(tx);
        }
    })
    .await;
}

#[tokio::test]
async fn count_of_waiting_jobs_is_limited_and_languages_are_read_by_index() {
    each(&Judge::DESCRIPTOR.migrations, |db| async move {
        wait_for_no_worker(&db).await;
        let mut tx = db.begin().await.unwrap();
        add(&mut tx, "", 1).await;
        add(&mut tx, "java", 1).await;
        tx.commit().await.unwrap();
        let (queued, leased, oldest) = counts(&db.checked()).await.unwrap();
        assert_eq!((queued, leased, oldest.is_some()), (OTHERS + 2, 0, true));
        for _ in 0..3 {
            wait_for_no_worker(&db).await;
        }
        assert_eq!(counts(&db.checked()).await.unwrap().0, 10_000);
        let mut tx = db.begin().await.unwrap();
        assert_eq!(queued_languages(&mut tx as &mut Tx).await.unwrap(), ["", "fortran", "java"]);
        if db.engine() == Engine::Postgres {
            let read = rows_read(&mut tx).await;
            assert!(read < 20, "{read} rows were read");
        }
    })
    .await;
}

#[tokio::test]
async fn judgement_of_a_rejudging_is_stored_beside_the_first_one() {
    each(&Judge::DESCRIPTOR.migrations, |db| async move {
        let mut tx = db.begin().await.unwrap();
        judge_again(&mut tx).await;
    })
    .await;
}

async fn judge_again(tx: &mut Tx) {
    let (subject, problem_id) = (Subject::Submission(tx.new_id()), tx.new_id());
    let request = |ordinal| JudgementRequest {
        subject,
        problem_id,
        version: ordinal,
        language: "java".into(),
        owner: None,
        attempt: 0,
        ordinal,
        traceparent: None,
    };
    let one = enqueue(tx, &request(1), 1).await.unwrap().unwrap();
    let two = enqueue(tx, &request(2), Priority::REJUDGING).await.unwrap().unwrap();
    let repeated = enqueue(tx, &request(2), Priority::REJUDGING).await.unwrap();
    assert!(repeated.is_none());
    assert_eq!(first(&mut *tx, subject).await.unwrap().unwrap().id, one);
    assert_eq!(by_id(&mut *tx, two).await.unwrap().unwrap().id, two);
}
