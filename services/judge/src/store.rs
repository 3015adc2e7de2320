//! Every statement on the judge's tables.

pub mod workers;

use chrono::{DateTime, Utc};
use db::{Engine, Read, Result, Tx};
use prost::Message;
use proto::judge as pb;
use uuid::Uuid;

use crate::judgement::{Lease, Outcome, Subject, Wanted, bounded};

db::record! {
    /// A job as a worker gets it.
    #[derive(Clone, Debug)]
    pub struct Job {
        pub id: Uuid,
        pub attempt: i64,
        pub submission_id: Option<Uuid>,
        pub verification_id: Option<Uuid>,
        pub problem_id: Uuid,
        pub problem_version: i64,
        pub language: String,
        pub traceparent: Option<String>,
    }
}

db::record! {
    /// A judgement as it is stored.
    #[derive(Clone, Debug)]
    pub struct Row {
        pub id: Uuid,
        pub submission_id: Option<Uuid>,
        pub verification_id: Option<Uuid>,
        pub state: String,
        pub attempt: i64,
        pub worker: String,
        pub verdict: String,
        pub cpu_time_us: i64,
        pub memory_bytes: i64,
        pub test_count: i64,
        pub tests: Vec<u8>,
        pub compile_output: String,
        pub message: String,
        pub isolation: String,
        pub created_at: DateTime<Utc>,
        pub done_at: Option<DateTime<Utc>>,
    }
}

db::record! {
    /// What an event needs to know of a judgement.
    #[derive(Clone, Copy, Debug)]
    pub struct Key {
        pub submission_id: Option<Uuid>,
        pub verification_id: Option<Uuid>,
        pub ordinal: i64,
    }
}

db::record! {
    /// A job that was lost with its worker.
    #[derive(Clone, Debug)]
    pub struct Lost {
        pub id: Uuid,
        pub attempt: i64,
        pub lost_count: i64,
        pub worker: String,
    }
}

/// Puts something into the queue, unless it is there already.
pub async fn enqueue(tx: &mut Tx, wanted: &Wanted, priority: i64) -> Result<Option<Uuid>> {
    let (id, now) = (tx.new_id(), tx.now());
    let added = tx
        .query(
            "INSERT INTO judgements (id, submission_id, verification_id, ordinal, problem_id,
                 problem_version, language, owner_id, traceparent, priority, state, attempt,
                 crash_count, due_at, worker, verdict, cpu_time_us, memory_bytes, test_count, tests,
                 compile_output, message, isolation, created_at)
             VALUES ($1, $2, $3, 1, $4, $5, $6, $7, $8, $9, 'queued', 0, 0, $10, '', '', 0, 0, 0,
                     $11, '', '', '', $10)
             ON CONFLICT DO NOTHING",
        )
        .bind(id)
        .bind(wanted.subject.submission())
        .bind(wanted.subject.verification())
        .bind(wanted.problem_id)
        .bind(wanted.version)
        .bind(wanted.language.as_str())
        .bind(wanted.owner)
        .bind(wanted.traceparent.clone())
        .bind(priority)
        .bind(now)
        .bind(Vec::new())
        .execute()
        .await?;
    Ok((added == 1).then_some(id))
}

/// How many judgements of somebody's are not done.
pub async fn pending_of(read: impl Read<'_>, owner: Uuid) -> Result<i64> {
    let query = "SELECT count(*) FROM judgements WHERE owner_id = $1 AND state <> 'done'";
    read.query(query).bind(owner).fetch_scalar().await
}

/// The first job in one of these languages, leased to a worker, unless it has a newer stream or is gone.
pub async fn lease(
    tx: &mut Tx,
    (worker, stream): (&str, Uuid),
    languages: &[String],
    until: DateTime<Utc>,
) -> Result<Option<Job>> {
    let now = tx.now();
    // What another instance is just leasing is not worth waiting for: the next job is.
    let last = match tx.engine() {
        Engine::Postgres => ") ORDER BY priority, id LIMIT 1 FOR UPDATE SKIP LOCKED)",
        Engine::Sqlite => ") ORDER BY priority, id LIMIT 1)",
    };
    tx.query(
        "UPDATE judgements SET state = 'leased', attempt = attempt + 1, worker = $1, due_at = $2
         WHERE state = 'queued' AND id =
             (SELECT id FROM judgements WHERE state = 'queued' AND due_at <= $3
              AND EXISTS (SELECT 1 FROM workers WHERE name = $1 AND stream = $4)
              AND language IN (''",
    )
    .bind(worker)
    .bind(until)
    .bind(now)
    .bind(stream)
    .push_languages(languages)
    .push(last)
    .push(
        " RETURNING id, attempt, submission_id, verification_id, problem_id, problem_version,
                    language, traceparent",
    )
    .fetch_optional()
    .await
}

trait PushLanguages {
    fn push_languages(self, languages: &[String]) -> Self;
}

impl PushLanguages for db::Query<'_> {
    fn push_languages(self, languages: &[String]) -> Self {
        languages.iter().fold(self, |query, id| query.push(", ").push_bind(id.as_str()))
    }
}

/// Keeps leases; gives those that still are the worker's.
pub async fn renew(tx: &mut Tx, leases: &[Lease], until: DateTime<Utc>) -> Result<Vec<Lease>> {
    let mut kept = Vec::new();
    for lease in leases {
        let renewed = tx
            .query(
                "UPDATE judgements SET due_at = $1
                 WHERE id = $2 AND attempt = $3 AND state = 'leased'",
            )
            .bind(until)
            .bind(lease.id)
            .bind(lease.attempt)
            .execute()
            .await?;
        if renewed == 1 {
            kept.push(*lease);
        }
    }
    Ok(kept)
}

/// Writes what came of an attempt; `None` when the attempt is not the current one.
pub async fn finish(tx: &mut Tx, lease: Lease, outcome: &Outcome) -> Result<Option<Key>> {
    let now = tx.now();
    let judgement = &outcome.judgement;
    let tests = pb::Judgement { tests: judgement.tests.clone(), ..Default::default() };
    tx.query(
        "UPDATE judgements SET state = 'done', worker = $1, verdict = $2, cpu_time_us = $3,
             memory_bytes = $4, test_count = $5, tests = $6, compile_output = $7, message = $8,
             isolation = $9, done_at = $10
         WHERE id = $11 AND attempt = $12 AND state <> 'done'
         RETURNING submission_id, verification_id, ordinal",
    )
    .bind(outcome.worker.as_str())
    .bind(judgement.verdict().as_str_name())
    .bind(judgement.cpu_time_us)
    .bind(judgement.memory_bytes)
    .bind(i64::from(judgement.test_count))
    .bind(tests.encode_to_vec())
    .bind(bounded(&judgement.compile_output, 64 << 10))
    .bind(bounded(&judgement.message, 16 << 10))
    .bind(judgement.isolation.as_str())
    .bind(now)
    .bind(lease.id)
    .bind(lease.attempt)
    .fetch_optional()
    .await
}

/// Puts an attempt's job back, to be tried at `due`; gives how many attempts have broken, or `None` when
/// the attempt is not the current one.
pub async fn put_back(
    tx: &mut Tx,
    lease: Lease,
    crashed: bool,
    due: DateTime<Utc>,
) -> Result<Option<i64>> {
    tx.query(
        "UPDATE judgements SET state = 'queued', crash_count = crash_count + $1, due_at = $2
         WHERE id = $3 AND attempt = $4 AND state = 'leased' RETURNING crash_count",
    )
    .bind(i64::from(crashed))
    .bind(due)
    .bind(lease.id)
    .bind(lease.attempt)
    .fetch_scalar_optional()
    .await
}

/// Lets leases end at `until` at the latest.
pub async fn shorten(tx: &mut Tx, worker: &str, until: DateTime<Utc>) -> Result<u64> {
    tx.query(
        "UPDATE judgements SET due_at = $1
         WHERE worker = $2 AND state = 'leased' AND due_at > $1",
    )
    .bind(until)
    .bind(worker)
    .execute()
    .await
}

/// Takes the jobs of a worker that is known to be gone back into the queue.
pub async fn release(tx: &mut Tx, worker: &str) -> Result<Vec<Lost>> {
    let now = tx.now();
    tx.query(
        "UPDATE judgements SET state = 'queued', lost_count = lost_count + 1, due_at = $1
         WHERE state = 'leased' AND worker = $2 RETURNING id, attempt, lost_count, worker",
    )
    .bind(now)
    .bind(worker)
    .fetch_all()
    .await
}

/// Lets a job wait that was just put back.
pub async fn postpone(tx: &mut Tx, lease: Lease, due: DateTime<Utc>) -> Result<()> {
    tx.query(
        "UPDATE judgements SET due_at = $1 WHERE id = $2 AND attempt = $3 AND state = 'queued'",
    )
    .bind(due)
    .bind(lease.id)
    .bind(lease.attempt)
    .execute()
    .await
    .map(drop)
}

/// Takes jobs that never reached their worker back into the queue: all but those that it holds.
pub async fn take_back(tx: &mut Tx, worker: &str, held: &[Lease]) -> Result<u64> {
    let now = tx.now();
    let query = tx.query(
        "UPDATE judgements SET state = 'queued', due_at = $1
         WHERE state = 'leased' AND worker = $2",
    );
    let query = query.bind(now).bind(worker);
    let query = match held {
        [] => query,
        held => query.push(" AND NOT id").push_in(held.iter().map(|lease| lease.id)),
    };
    query.execute().await
}

/// Whether a lease has ended or a job waits whose time has come.
pub async fn is_due(read: impl Read<'_>, now: DateTime<Utc>) -> Result<bool> {
    let found: Option<i32> = read
        .query(
            "SELECT 1 FROM judgements
             WHERE state IN ('queued', 'leased') AND due_at <= $1 LIMIT 1",
        )
        .bind(now)
        .fetch_scalar_optional()
        .await?;
    Ok(found.is_some())
}

/// Takes jobs whose leases have ended back into the queue.
pub async fn expire(tx: &mut Tx) -> Result<Vec<Lost>> {
    let now = tx.now();
    tx.query(
        "UPDATE judgements SET state = 'queued', lost_count = lost_count + 1, due_at = $1
         WHERE state = 'leased' AND due_at <= $1 RETURNING id, attempt, lost_count, worker",
    )
    .bind(now)
    .fetch_all()
    .await
}

/// The latest judgement of something.
pub async fn latest(read: impl Read<'_>, subject: Subject) -> Result<Option<Row>> {
    let column = match subject {
        Subject::Submission(_) => "submission_id = ",
        Subject::Verification(_) => "verification_id = ",
    };
    read.query(
        "SELECT id, submission_id, verification_id, state, attempt, worker, verdict, cpu_time_us,
                memory_bytes, test_count, tests, compile_output, message, isolation, created_at,
                done_at
         FROM judgements WHERE ",
    )
    .push(column)
    .push_bind(subject.id())
    .push(" ORDER BY ordinal DESC LIMIT 1")
    .fetch_optional()
    .await
}

/// What a judgement is of.
pub async fn subject(read: impl Read<'_>, id: Uuid) -> Result<Option<Subject>> {
    let found: Option<(Option<Uuid>, Option<Uuid>)> = read
        .query("SELECT submission_id, verification_id FROM judgements WHERE id = $1")
        .bind(id)
        .fetch_optional()
        .await?;
    Ok(found.and_then(|(submission, verification)| Subject::of(submission, verification)))
}

/// Jobs that wait, jobs that run, and since when the oldest waits.
pub async fn counts(read: impl Read<'_>) -> Result<(i64, i64, Option<DateTime<Utc>>)> {
    let (queued, leased, oldest): (i64, i64, Option<DateTime<Utc>>) = read
        .query(
            "SELECT count(*) FILTER (WHERE state = 'queued'),
                    count(*) FILTER (WHERE state = 'leased'),
                    min(created_at) FILTER (WHERE state = 'queued')
             FROM judgements WHERE state IN ('queued', 'leased')",
        )
        .fetch_one()
        .await?;
    Ok((queued, leased, oldest))
}
