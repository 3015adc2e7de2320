//! Submissions, their sources and tests.

use chrono::{DateTime, Utc};
use db::{Read, Tx};
use prost::Message;
use proto::{Verdict, event};
use uuid::Uuid;

use crate::error::Error;
use crate::rejudging::Rejudged;
use crate::submission::{Outcome, Place, Submission, Test};
use crate::wire;

db::record! {
    struct Row {
        submission_id: Uuid,
        version: i64,
        user_id: Uuid,
        problem_id: Uuid,
        problem_version: i64,
        language: String,
        source_size: i64,
        created_at: DateTime<Utc>,
        judgement_id: Option<Uuid>,
        verdict: Option<String>,
        cpu_time_us: Option<i64>,
        memory_bytes: Option<i64>,
        test_count: Option<i64>,
        isolation: Option<String>,
        judged_at: Option<DateTime<Utc>>,
        challenge_id: Option<Uuid>,
        participant_id: Option<Uuid>,
        contest_time_us: Option<i64>,
        attempt: Option<i64>,
        ignored: bool,
    }
}

const COLUMNS: &str = "submission_id, version, user_id, problem_id, problem_version, language, \
     source_size, created_at, judgement_id, verdict, cpu_time_us, memory_bytes, test_count, \
     isolation, judged_at, challenge_id, participant_id, contest_time_us, attempt, ignored";

impl Row {
    fn into_submission(self) -> Result<Submission, Error> {
        let outcome = match (self.judgement_id, self.verdict, self.judged_at) {
            (Some(judgement_id), Some(code), Some(judged_at)) => Some(Outcome {
                judgement_id,
                verdict: Verdict::from_code(&code).ok_or_else(|| unknown_verdict(&code))?,
                cpu_time_us: self.cpu_time_us.unwrap_or_default(),
                memory_bytes: self.memory_bytes.unwrap_or_default(),
                test_count: clamp(self.test_count.unwrap_or_default()),
                isolation: self.isolation.unwrap_or_default(),
                judged_at,
                tests: Vec::new(),
            }),
            _ => None,
        };
        let place = match (self.challenge_id, self.participant_id) {
            (Some(challenge_id), Some(participant_id)) => Some(Place {
                challenge_id,
                participant_id,
                time_us: self.contest_time_us.unwrap_or_default(),
                attempt: self.attempt.unwrap_or_default(),
                ignored: self.ignored,
            }),
            _ => None,
        };
        Ok(Submission {
            id: self.submission_id,
            version: self.version,
            user_id: self.user_id,
            problem_id: self.problem_id,
            problem_version: self.problem_version,
            language: self.language,
            source_size: self.source_size,
            created_at: self.created_at,
            place,
            outcome,
        })
    }
}

fn unknown_verdict(code: &str) -> service::Error {
    service::Error::stored(format!("unknown verdict {code:?}"))
}

fn clamp(number: i64) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

/// Serialises the submissions of a user until the end of the transaction. Returns the ordinal of the next one, from 1.
pub async fn lock_submitter(tx: &mut Tx, user_id: Uuid) -> db::Result<i64> {
    let upsert = tx.query(
        "INSERT INTO submitters (user_id, submission_count) VALUES ($1, 1)
         ON CONFLICT (user_id) DO UPDATE SET submission_count = submitters.submission_count + 1
         RETURNING submission_count",
    );
    upsert.bind(user_id).fetch_scalar().await
}

/// When a user made the submission with this ordinal.
pub async fn time_of(
    read: impl Read<'_>,
    user_id: Uuid,
    ordinal: i64,
) -> db::Result<Option<DateTime<Utc>>> {
    read.query("SELECT created_at FROM submissions WHERE user_id = $1 AND user_ordinal = $2")
        .bind(user_id)
        .bind(ordinal)
        .fetch_scalar_optional()
        .await
}

/// Inserts a submission; `ordinal` is its number among those of its user that the hourly limit counts, or 0.
pub async fn insert(tx: &mut Tx, new: &Submission, ordinal: i64, source: &str) -> db::Result<()> {
    tx.query(
        "INSERT INTO submissions (submission_id, version, user_id, problem_id, problem_version,
           language, source_size, created_at, requested_at, user_ordinal, challenge_id,
           participant_id, contest_time_us, attempt)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8, $9, $10, $11, $12, $13)",
    )
    .bind(new.id)
    .bind(new.version)
    .bind(new.user_id)
    .bind(new.problem_id)
    .bind(new.problem_version)
    .bind(new.language.as_str())
    .bind(new.source_size)
    .bind(new.created_at)
    .bind(ordinal)
    .bind(new.place.map(|place| place.challenge_id))
    .bind(new.place.map(|place| place.participant_id))
    .bind(new.place.map(|place| place.time_us))
    .bind(new.place.map(|place| place.attempt))
    .execute()
    .await?;
    let source = tx
        .query("INSERT INTO submission_sources (submission_id, source) VALUES ($1, $2)")
        .bind(new.id)
        .bind(source.as_bytes());
    source.execute().await.map(drop)
}

/// A submission without its tests.
pub async fn find(read: impl Read<'_>, id: Uuid) -> Result<Option<Submission>, Error> {
    let query =
        read.query("SELECT ").push(COLUMNS).push(" FROM submissions WHERE submission_id = ");
    let row: Option<Row> = query.push_bind(id).fetch_optional().await?;
    row.map(Row::into_submission).transpose()
}

/// The results of a submission's tests; empty before its verdict.
pub async fn tests(read: impl Read<'_>, id: Uuid) -> Result<Vec<Test>, Error> {
    let query = read.query("SELECT tests FROM submission_tests WHERE submission_id = $1").bind(id);
    let bytes: Option<Vec<u8>> = query.fetch_scalar_optional().await?;
    let stored = event::JudgementCompleted::decode(bytes.unwrap_or_default().as_slice())
        .map_err(service::Error::from)?;
    Ok(stored.tests.iter().filter_map(wire::test_of_event).collect())
}

pub async fn source(read: impl Read<'_>, id: Uuid) -> Result<Option<String>, Error> {
    let query = read.query("SELECT source FROM submission_sources WHERE submission_id = $1");
    let bytes: Option<Vec<u8>> = query.bind(id).fetch_scalar_optional().await?;
    Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
}

/// What a list is filtered by.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub user_id: Option<Uuid>,
    pub problem_id: Option<Uuid>,
    pub verdict: Option<Verdict>,
    pub language: Option<String>,
    pub challenge_id: Option<Uuid>,
    /// The participant whose member reads the list.
    pub participant_id: Option<Uuid>,
}

/// Submissions older than `before` without their tests, newest first.
pub async fn list(
    read: impl Read<'_>,
    filter: &Filter,
    before: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Submission>, Error> {
    let mut query = read.query("SELECT ").push(COLUMNS).push(" FROM submissions WHERE TRUE");
    if let Some(challenge_id) = filter.challenge_id {
        query = query.push(" AND challenge_id = ").push_bind(challenge_id);
        query = query
            .push(" /* scans: the submissions of one contest, or of a user or problem in it */");
    }
    if let Some(participant_id) = filter.participant_id {
        query = query.push(" AND participant_id = ").push_bind(participant_id);
    }
    if let Some(user_id) = filter.user_id {
        query = query.push(" AND user_id = ").push_bind(user_id);
    }
    if let Some(problem_id) = filter.problem_id {
        query = query.push(" AND problem_id = ").push_bind(problem_id);
    }
    if let Some(verdict) = filter.verdict {
        query = query.push(" AND verdict = ").push_bind(verdict.code());
    }
    if let Some(language) = &filter.language {
        query = query.push(" AND language = ").push_bind(language.clone());
    }
    if let Some(before) = before {
        query = query.push(" AND submission_id < ").push_bind(before);
    }
    query = query.push(" ORDER BY submission_id DESC LIMIT ").push_bind(limit);
    let rows: Vec<Row> = query.fetch_all().await?;
    rows.into_iter().map(Row::into_submission).collect()
}

/// Sets the outcome of a submission and returns the new row; `None` when it has an outcome or does not exist.
pub async fn judge(tx: &mut Tx, id: Uuid, outcome: &Outcome) -> Result<Option<Submission>, Error> {
    let row: Option<Row> = tx
        .query(
            "UPDATE submissions SET version = version + 1, judgement_id = $2, verdict = $3,
               cpu_time_us = $4, memory_bytes = $5, test_count = $6, isolation = $7, judged_at = $8
             WHERE submission_id = $1 AND verdict IS NULL RETURNING ",
        )
        .push(COLUMNS)
        .bind(id)
        .bind(outcome.judgement_id)
        .bind(outcome.verdict.code())
        .bind(outcome.cpu_time_us)
        .bind(outcome.memory_bytes)
        .bind(i64::from(outcome.test_count))
        .bind(outcome.isolation.as_str())
        .bind(outcome.judged_at)
        .fetch_optional()
        .await?;
    let Some(row) = row else { return Ok(None) };
    let tests = outcome.tests.iter().map(wire::test_to_event).collect();
    let stored = event::JudgementCompleted { tests, ..Default::default() };
    tx.query("INSERT INTO submission_tests (submission_id, tests) VALUES ($1, $2)")
        .bind(id)
        .bind(stored.encode_to_vec())
        .execute()
        .await?;
    row.into_submission().map(Some)
}

/// Up to `limit` submissions with a verdict that match, in the order of their ids; those of `ids`, unless it is empty.
/// The filter must have a contest.
pub async fn judged(
    tx: &mut Tx,
    filter: &Filter,
    ids: &[Uuid],
    limit: i64,
) -> Result<Vec<Submission>, Error> {
    let mut query = tx.query("SELECT ").push(COLUMNS);
    query = query.push(" FROM submissions WHERE verdict IS NOT NULL AND challenge_id = ");
    query = query.push_bind(filter.challenge_id.unwrap_or_default());
    query = query.push(" /* scans: the submissions of one contest */");
    if let Some(problem_id) = filter.problem_id {
        query = query.push(" AND problem_id = ").push_bind(problem_id);
    }
    if let Some(verdict) = filter.verdict {
        query = query.push(" AND verdict = ").push_bind(verdict.code());
    }
    if let Some(language) = &filter.language {
        query = query.push(" AND language = ").push_bind(language.clone());
    }
    if !ids.is_empty() {
        query = query.push(" AND submission_id").push_in(ids.iter().copied());
    }
    query = query.push(" ORDER BY submission_id LIMIT ").push_bind(limit);
    let rows: Vec<Row> = query.fetch_all().await?;
    rows.into_iter().map(Row::into_submission).collect()
}

/// Counts another requested judgement. Returns the new version of the submission, and the number of the judgement.
pub async fn request_another(tx: &mut Tx, id: Uuid) -> db::Result<(i64, i64)> {
    let query =
        "UPDATE submissions SET version = version + 1, judgement_count = judgement_count + 1
                 WHERE submission_id = $1 RETURNING version, judgement_count";
    tx.query(query).bind(id).fetch_one().await
}

/// Replaces the outcome of a submission by that of a rejudging, and returns the new row.
pub async fn judge_again(
    tx: &mut Tx,
    rejudged: &Rejudged,
    outcome: &Outcome,
) -> Result<Submission, Error> {
    let id = rejudged.submission_id;
    let row: Row = tx
        .query(
            "UPDATE submissions SET version = version + 1, judgement_id = $2, verdict = $3,
               cpu_time_us = $4, memory_bytes = $5, test_count = $6, isolation = $7, judged_at = $8,
               problem_version = $9
             WHERE submission_id = $1 RETURNING ",
        )
        .push(COLUMNS)
        .bind(id)
        .bind(outcome.judgement_id)
        .bind(outcome.verdict.code())
        .bind(outcome.cpu_time_us)
        .bind(outcome.memory_bytes)
        .bind(i64::from(outcome.test_count))
        .bind(outcome.isolation.as_str())
        .bind(outcome.judged_at)
        .bind(rejudged.problem_version)
        .fetch_one()
        .await?;
    let tests = outcome.tests.iter().map(wire::test_to_event).collect();
    let stored = event::JudgementCompleted { tests, ..Default::default() };
    tx.query("UPDATE submission_tests SET tests = $2 WHERE submission_id = $1")
        .bind(id)
        .bind(stored.encode_to_vec())
        .execute()
        .await?;
    row.into_submission()
}

/// Records another request to the judge, if the last one was before `before` and there is no verdict; returns the new
/// row.
pub async fn request_again(
    tx: &mut Tx,
    id: Uuid,
    before: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<Option<Submission>, Error> {
    let query = tx
        .query(
            "UPDATE submissions SET version = version + 1, requested_at = $3
             WHERE submission_id = $1 AND verdict IS NULL AND requested_at < $2 RETURNING ",
        )
        .push(COLUMNS);
    let row: Option<Row> = query.bind(id).bind(before).bind(now).fetch_optional().await?;
    row.map(Row::into_submission).transpose()
}

/// Submissions without a verdict that were last requested before `before`, and when: in this order, starting after
/// `after`.
pub async fn stale(
    read: impl Read<'_>,
    before: DateTime<Utc>,
    after: (DateTime<Utc>, Uuid),
    limit: i64,
) -> db::Result<Vec<(DateTime<Utc>, Uuid)>> {
    read.query(
        "SELECT requested_at, submission_id FROM submissions
         WHERE verdict IS NULL AND requested_at < $1 AND (requested_at, submission_id) > ($2, $3)
         ORDER BY requested_at, submission_id LIMIT $4",
    )
    .bind(before)
    .bind_all(after)
    .bind(limit)
    .fetch_all()
    .await
}

pub async fn waiting_count(read: impl Read<'_>) -> db::Result<i64> {
    read.query("SELECT COUNT(*) FROM submissions WHERE verdict IS NULL").fetch_scalar().await
}

/// The number of the last attempt of a participant at a problem; 0 without one.
pub async fn last_attempt(
    read: impl Read<'_>,
    participant: Uuid,
    problem: Uuid,
) -> db::Result<i64> {
    let last: Option<i64> = read
        .query(
            "SELECT attempt FROM submissions WHERE participant_id = $1 AND problem_id = $2
             ORDER BY attempt DESC LIMIT 1",
        )
        .bind_all((participant, problem))
        .fetch_scalar_optional()
        .await?;
    Ok(last.unwrap_or_default())
}

/// Whether a participant has submissions.
pub async fn has_any(read: impl Read<'_>, participant: Uuid) -> db::Result<bool> {
    let found: Option<Uuid> = read
        .query("SELECT submission_id FROM submissions WHERE participant_id = $1 LIMIT 1")
        .bind(participant)
        .fetch_scalar_optional()
        .await?;
    Ok(found.is_some())
}

/// Up to `limit` submissions of a contest that count and have no verdict or a judge error.
pub async fn pending_in(read: impl Read<'_>, challenge: Uuid, limit: i64) -> db::Result<Vec<Uuid>> {
    let rows: Vec<(Uuid,)> = read
        .query(
            "SELECT submission_id FROM submissions
             WHERE challenge_id = $1 AND NOT ignored AND (verdict IS NULL OR verdict = 'JE')
             ORDER BY submission_id LIMIT $2",
        )
        .bind_all((challenge, limit))
        .fetch_all()
        .await?;
    Ok(rows.into_iter().map(|(id,)| id).collect())
}

/// Whether a problem has submissions in a contest.
pub async fn is_attempted(read: impl Read<'_>, challenge: Uuid, problem: Uuid) -> db::Result<bool> {
    let found: Option<Uuid> = read
        .query("SELECT submission_id FROM submissions WHERE challenge_id = $1 AND problem_id = $2 LIMIT 1")
        .bind_all((challenge, problem))
        .fetch_scalar_optional()
        .await?;
    Ok(found.is_some())
}

/// Whether a submission of a contest counts from now on; false if the contest does not have it.
pub async fn set_ignored(
    tx: &mut Tx,
    challenge: Uuid,
    id: Uuid,
    ignored: bool,
) -> db::Result<bool> {
    let query = "UPDATE submissions SET version = version + 1, ignored = $3
                 WHERE submission_id = $1 AND challenge_id = $2";
    Ok(tx.query(query).bind_all((id, challenge, ignored)).execute().await? == 1)
}
