//! The SQL statements on the table `judgements`.

#[cfg(test)]
mod tests;
pub mod workers;

use chrono::{DateTime, Utc};
use db::{Engine, Query, Read, Result, Tx};
use prost::Message;
use proto::judge as pb;
use uuid::Uuid;

use crate::judgement::{Capacity, JudgementRequest, Lease, Outcome, Priority, Subject, bounded};

db::record! {
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
    #[derive(Clone, Debug)]
    pub struct Row {
        pub id: Uuid,
        pub submission_id: Option<Uuid>,
        pub verification_id: Option<Uuid>,
        pub language: String,
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
    /// The columns of a judgement that its event contains.
    #[derive(Clone, Copy, Debug)]
    pub struct Key {
        pub submission_id: Option<Uuid>,
        pub verification_id: Option<Uuid>,
        pub ordinal: i64,
    }
}

db::record! {
    /// A job whose lease expired or whose worker ended.
    #[derive(Clone, Debug)]
    pub struct Lost {
        pub id: Uuid,
        pub attempt: i64,
        pub lost_count: i64,
        pub worker: String,
    }
}

/// Adds a job. Returns `None` if the subject already has one with this ordinal.
pub async fn enqueue(
    tx: &mut Tx,
    request: &JudgementRequest,
    priority: i64,
) -> Result<Option<Uuid>> {
    let (id, now) = (tx.new_id(), tx.now());
    let added = tx
        .query(
            "INSERT INTO judgements (id, submission_id, verification_id, ordinal, problem_id,
                 problem_version, language, owner_id, traceparent, priority, state, attempt,
                 crash_count, due_at, worker, verdict, cpu_time_us, memory_bytes, test_count, tests,
                 compile_output, message, isolation, created_at)
             VALUES ($1, $2, $3, $12, $4, $5, $6, $7, $8, $9, 'queued', 0, 0, $10, '', '', 0, 0, 0,
                     $11, '', '', '', $10)
             ON CONFLICT DO NOTHING",
        )
        .bind(id)
        .bind(request.subject.submission())
        .bind(request.subject.verification())
        .bind(request.problem_id)
        .bind(request.version)
        .bind(request.language.as_str())
        .bind(request.owner)
        .bind(request.traceparent.clone())
        .bind(priority)
        .bind(now)
        .bind(Vec::new())
        .bind(request.ordinal)
        .execute()
        .await?;
    Ok((added == 1).then_some(id))
}

/// The number of judgements of a user that are not done, at most 50: the range of priorities.
pub async fn pending_of(read: impl Read<'_>, owner: Uuid) -> Result<i64> {
    let query = "SELECT count(*) FROM (SELECT 1 FROM judgements
                     WHERE owner_id = $1 AND state <> 'done' LIMIT 50) AS pending";
    read.query(query).bind(owner).fetch_scalar().await
}

/// The number of verifications of a problem that are not done, at most 50: the range of priorities.
pub async fn pending_of_problem(read: impl Read<'_>, problem: Uuid) -> Result<i64> {
    // The index `judgements_pending_by_problem` has this condition.
    let query = "SELECT count(*) FROM (SELECT 1 FROM judgements
                     WHERE problem_id = $1 AND verification_id IS NOT NULL AND state <> 'done'
                     LIMIT 50) AS pending";
    read.query(query).bind(problem).fetch_scalar().await
}

/// Leases the first due job in one of these languages to a worker. Does nothing if `stream` is not the newest
/// stream of the worker.
pub async fn lease(
    tx: &mut Tx,
    (worker, stream): (&str, Uuid),
    languages: &[String],
    capacity: Capacity,
    until: DateTime<Utc>,
) -> Result<Option<Job>> {
    let now = tx.now();
    let below = match capacity {
        Capacity::Any => i64::MAX,
        Capacity::Submissions => Priority::VERIFICATION,
    };
    let engine = tx.engine();
    let query = tx.query(
        "UPDATE judgements SET state = 'leased', attempt = attempt + 1, worker = $1, due_at = $2
         WHERE state = 'queued' AND EXISTS (SELECT 1 FROM workers WHERE name = $1 AND stream = $4)
           AND id = (",
    );
    let query = query.bind(worker).bind(until).bind(now).bind(stream).bind(below);
    first_due(query, engine, languages)
        .push(
            ") RETURNING id, attempt, submission_id, verification_id, problem_id, problem_version,
                         language, traceparent",
        )
        .fetch_optional()
        .await
}

/// Appends the query for the first job in one of these languages that is due at `$3` and has a priority below `$5`.
///
/// It merges the jobs of the languages, each in the order of an index, and so reads no jobs in other languages.
fn first_due<'q>(query: Query<'q>, engine: Engine, languages: &[String]) -> Query<'q> {
    let (begin, of_language, in_order, end) = match engine {
        Engine::Sqlite => (
            "SELECT id FROM (",
            "SELECT id, priority FROM judgements
             WHERE state = 'queued' AND priority < $5 AND due_at <= $3 AND language = ",
            "",
            " ORDER BY priority, id LIMIT 1)",
        ),
        // Skip jobs that another instance is leasing. Each transaction leases one job: of the first 32, one is free
        // unless 32 transactions lease at once; then the next poll finds it. Without limits, all jobs are sorted.
        Engine::Postgres => (
            "SELECT waiting.id FROM (SELECT id, priority FROM (",
            "(SELECT id, priority FROM judgements
              WHERE state = 'queued' AND priority < $5 AND due_at <= $3 AND language = ",
            " ORDER BY priority, id LIMIT 32)",
            ") AS offered ORDER BY priority, id LIMIT 32) AS first
             JOIN judgements AS waiting ON waiting.id = first.id
             WHERE waiting.state = 'queued' AND waiting.due_at <= $3
             ORDER BY first.priority, first.id LIMIT 1 FOR UPDATE OF waiting SKIP LOCKED",
        ),
    };
    // Jobs without a language fit every worker.
    let query = query.push(begin).push(of_language).push("''").push(in_order);
    let query = languages.iter().fold(query, |query, id| {
        query.push(" UNION ALL ").push(of_language).push_bind(id.as_str()).push(in_order)
    });
    query.push(end)
}

/// Extends leases. Returns those that are still valid.
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

/// Stores the outcome of an attempt. Returns `None` if the lease is not valid any more.
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

/// Requeues a leased job, to be retried at `due`. Returns the number of crashed attempts, or `None` if the lease is
/// not valid any more.
pub async fn requeue(
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

/// Makes the leases of a worker expire at `until` at the latest.
pub async fn shorten_leases(tx: &mut Tx, worker: &str, until: DateTime<Utc>) -> Result<u64> {
    tx.query(
        "UPDATE judgements SET due_at = $1
         WHERE worker = $2 AND state = 'leased' AND due_at > $1",
    )
    .bind(until)
    .bind(worker)
    .execute()
    .await
}

/// Requeues all jobs of a worker that has ended.
pub async fn requeue_all(tx: &mut Tx, worker: &str) -> Result<Vec<Lost>> {
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

/// Delays a job that was just requeued.
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

/// Requeues the jobs that never reached their worker: all except those that it holds.
pub async fn requeue_undelivered(tx: &mut Tx, worker: &str, held: &[Lease]) -> Result<u64> {
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

/// Whether a lease has expired or a queued job is due.
pub async fn is_due(read: impl Read<'_>, now: DateTime<Utc>) -> Result<bool> {
    let found: Option<i32> = read
        .query(
            "SELECT 1
             WHERE EXISTS (SELECT 1 FROM judgements WHERE state = 'queued' AND due_at <= $1)
                OR EXISTS (SELECT 1 FROM judgements WHERE state = 'leased' AND due_at <= $1)",
        )
        .bind(now)
        .fetch_scalar_optional()
        .await?;
    Ok(found.is_some())
}

/// Requeues the jobs whose leases have expired.
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

const SELECT: &str =
    "SELECT id, submission_id, verification_id, language, state, attempt, worker, verdict,
         cpu_time_us, memory_bytes, test_count, tests, compile_output, message, isolation,
         created_at, done_at
     FROM judgements ";

/// The first judgement of a subject. Later ones are of rejudgings, and are not shown before they are applied.
pub async fn first(read: impl Read<'_>, subject: Subject) -> Result<Option<Row>> {
    let column = match subject {
        Subject::Submission(_) => "WHERE submission_id = ",
        Subject::Verification(_) => "WHERE verification_id = ",
    };
    read.query(SELECT)
        .push(column)
        .push_bind(subject.id())
        .push(" ORDER BY ordinal LIMIT 1")
        .fetch_optional()
        .await
}

pub async fn by_id(read: impl Read<'_>, id: Uuid) -> Result<Option<Row>> {
    read.query(SELECT).push("WHERE id = ").push_bind(id).fetch_optional().await
}

/// The newest judgements of verifications.
pub async fn of_verifications(read: impl Read<'_>, ids: &[Uuid]) -> Result<Vec<Row>> {
    read.query(SELECT).push("WHERE verification_id").push_in(ids.iter().copied()).fetch_all().await
}

/// Completes the judgement of a verification without a verdict, unless it is done. Returns its attempt.
pub async fn abort(tx: &mut Tx, verification: Uuid) -> Result<Option<Lease>> {
    let now = tx.now();
    let aborted: Option<(Uuid, i64)> = tx
        .query(
            "UPDATE judgements SET state = 'done', done_at = $1
             WHERE verification_id = $2 AND state <> 'done' RETURNING id, attempt",
        )
        .bind(now)
        .bind(verification)
        .fetch_optional()
        .await?;
    Ok(aborted.map(|(id, attempt)| Lease { id, attempt }))
}

pub async fn subject(read: impl Read<'_>, id: Uuid) -> Result<Option<Subject>> {
    let found: Option<(Option<Uuid>, Option<Uuid>)> = read
        .query("SELECT submission_id, verification_id FROM judgements WHERE id = $1")
        .bind(id)
        .fetch_optional()
        .await?;
    Ok(found.and_then(|(submission, verification)| Subject::of(submission, verification)))
}

/// The number of queued jobs, counted up to 10,000, and of leased jobs, and the creation time of the oldest queued job.
///
/// It is counted, because a stored counter would be one row that every transaction of the queue locks; and it has a
/// limit, because the metrics ask every few seconds.
pub async fn counts(read: impl Read<'_>) -> Result<(i64, i64, Option<DateTime<Utc>>)> {
    let (queued, leased, oldest): (i64, i64, Option<DateTime<Utc>>) = read
        .query(
            "SELECT (SELECT count(*) FROM (SELECT 1 FROM judgements WHERE state = 'queued'
                                           ORDER BY created_at LIMIT 10000) AS first),
                    (SELECT count(*) FROM judgements WHERE state = 'leased'),
                    (SELECT min(created_at) FROM judgements WHERE state = 'queued')",
        )
        .fetch_one()
        .await?;
    Ok((queued, leased, oldest))
}

/// The languages of the queued jobs. Reads one job of each.
pub async fn queued_languages(read: impl Read<'_>) -> Result<Vec<String>> {
    let rows: Vec<(String,)> = read
        .query(
            "WITH RECURSIVE queued (language) AS (
                 SELECT min(language) FROM judgements WHERE state = 'queued'
                 UNION ALL
                 SELECT (SELECT min(language) FROM judgements
                         WHERE state = 'queued' AND language > queued.language)
                 FROM queued WHERE queued.language IS NOT NULL
             )
             SELECT language FROM queued WHERE language IS NOT NULL",
        )
        .fetch_all()
        .await?;
    Ok(rows.into_iter().map(|(language,)| language).collect())
}
