//! Rejudgings and their submissions.

use chrono::{DateTime, Utc};
use db::{Read, Tx};
use prost::Message as _;
use proto::{Verdict, event};
use uuid::Uuid;

use crate::error::Error;
use crate::rejudging::{Count, Rejudged, Rejudging, State};
use crate::submission::Outcome;
use crate::wire;

/// How many ids a statement contains.
const BATCH: usize = 500;

db::record! {
    struct Row {
        rejudging_id: Uuid,
        contest_id: Uuid,
        user_id: Uuid,
        state: String,
        reason: String,
        created_at: DateTime<Utc>,
        closed_at: Option<DateTime<Utc>>,
    }
}

const COLUMNS: &str = "rejudging_id, contest_id, user_id, state, reason, created_at, closed_at";

impl Row {
    fn into_rejudging(self) -> Result<Rejudging, Error> {
        let unknown =
            || service::Error::stored(format!("unknown rejudging state {:?}", self.state));
        Ok(Rejudging {
            id: self.rejudging_id,
            contest_id: self.contest_id,
            user_id: self.user_id,
            state: State::of(&self.state).ok_or_else(unknown)?,
            reason: self.reason,
            created_at: self.created_at,
            closed_at: self.closed_at,
        })
    }
}

db::record! {
    struct SubmissionRow {
        submission_id: Uuid,
        ordinal: i64,
        problem_version: i64,
        old_verdict: String,
        judgement_id: Option<Uuid>,
        verdict: Option<String>,
        cpu_time_us: Option<i64>,
        memory_bytes: Option<i64>,
        test_count: Option<i64>,
        isolation: Option<String>,
        judged_at: Option<DateTime<Utc>>,
        tests: Option<Vec<u8>>,
    }
}

impl SubmissionRow {
    fn into_rejudged(self) -> Result<Rejudged, Error> {
        let outcome = match (self.judgement_id, &self.verdict, self.judged_at) {
            (Some(judgement_id), Some(code), Some(judged_at)) => {
                let tests = self.tests.unwrap_or_default();
                let tests = event::JudgementCompleted::decode(tests.as_slice())
                    .map_err(service::Error::from)?;
                Some(Outcome {
                    judgement_id,
                    verdict: verdict(code)?,
                    cpu_time_us: self.cpu_time_us.unwrap_or_default(),
                    memory_bytes: self.memory_bytes.unwrap_or_default(),
                    test_count: i32::try_from(self.test_count.unwrap_or_default())
                        .unwrap_or(i32::MAX),
                    isolation: self.isolation.unwrap_or_default(),
                    judged_at,
                    tests: tests.tests.iter().filter_map(wire::test_of_event).collect(),
                })
            }
            _ => None,
        };
        Ok(Rejudged {
            submission_id: self.submission_id,
            ordinal: self.ordinal,
            problem_version: self.problem_version,
            old_verdict: verdict(&self.old_verdict)?,
            outcome,
        })
    }
}

fn verdict(code: &str) -> Result<Verdict, Error> {
    let unknown = || service::Error::stored(format!("unknown verdict {code:?}"));
    Ok(Verdict::from_code(code).ok_or_else(unknown)?)
}

pub async fn insert(tx: &mut Tx, new: &Rejudging) -> db::Result<()> {
    let query = tx.query(
        "INSERT INTO rejudgings (rejudging_id, contest_id, user_id, state, reason, created_at)
         VALUES ($1, $2, $3, $4, $5, $6)",
    );
    let query = query.bind(new.id).bind(new.contest_id).bind(new.user_id).bind(new.state.name());
    query.bind(new.reason.as_str()).bind(new.created_at).execute().await.map(drop)
}

/// Adds a submission to an open rejudging.
pub async fn add(tx: &mut Tx, rejudging: Uuid, new: &Rejudged) -> db::Result<()> {
    tx.query(
        "INSERT INTO rejudging_submissions
           (rejudging_id, submission_id, ordinal, problem_version, old_verdict, open)
         VALUES ($1, $2, $3, $4, $5, TRUE)",
    )
    .bind(rejudging)
    .bind(new.submission_id)
    .bind(new.ordinal)
    .bind(new.problem_version)
    .bind(new.old_verdict.code())
    .execute()
    .await
    .map(drop)
}

pub async fn find(
    read: impl Read<'_>,
    contest: Uuid,
    id: Uuid,
) -> Result<Option<Rejudging>, Error> {
    let query = read.query("SELECT ").push(COLUMNS).push(" FROM rejudgings WHERE rejudging_id = ");
    let query = query.push_bind(id).push(" AND contest_id = ").push_bind(contest);
    let row: Option<Row> = query.fetch_optional().await?;
    row.map(Row::into_rejudging).transpose()
}

/// The rejudgings of a contest before an id, the newest first.
pub async fn list(
    read: impl Read<'_>,
    contest: Uuid,
    before: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Rejudging>, Error> {
    let query = read.query("SELECT ").push(COLUMNS).push(" FROM rejudgings WHERE contest_id = ");
    let query = query.push_bind(contest).push(" AND rejudging_id < ");
    let query = query.push_bind(before.unwrap_or(Uuid::max()));
    let query = query.push(" ORDER BY rejudging_id DESC LIMIT ").push_bind(limit);
    let rows: Vec<Row> = query.fetch_all().await?;
    rows.into_iter().map(Row::into_rejudging).collect()
}

/// Whether a contest has an open rejudging.
pub async fn is_open_in(read: impl Read<'_>, contest: Uuid) -> db::Result<bool> {
    let found: Option<Uuid> = read
        .query(
            "SELECT rejudging_id FROM rejudgings WHERE contest_id = $1 AND state = 'open' LIMIT 1",
        )
        .bind(contest)
        .fetch_scalar_optional()
        .await?;
    Ok(found.is_some())
}

/// One of the submissions that belongs to an open rejudging.
pub async fn in_open_one(tx: &mut Tx, ids: &[Uuid]) -> db::Result<Option<Uuid>> {
    for ids in ids.chunks(BATCH) {
        let query = tx
            .query("SELECT submission_id FROM rejudging_submissions WHERE open AND submission_id");
        let query = query.push_in(ids.iter().copied()).push(" LIMIT 1");
        if let Some(found) = query.fetch_scalar_optional().await? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// Stores the new state of a rejudging that was open.
pub async fn close(tx: &mut Tx, rejudging: &Rejudging) -> db::Result<()> {
    tx.query("UPDATE rejudgings SET state = $2, closed_at = $3 WHERE rejudging_id = $1")
        .bind(rejudging.id)
        .bind(rejudging.state.name())
        .bind(rejudging.closed_at)
        .execute()
        .await?;
    let query = "UPDATE rejudging_submissions SET open = FALSE WHERE rejudging_id = $1";
    tx.query(query).bind(rejudging.id).execute().await.map(drop)
}

/// Stores a judgement, and returns its rejudging. `None` if it has one, or is closed.
pub async fn judge(
    tx: &mut Tx,
    submission: Uuid,
    ordinal: i64,
    outcome: &Outcome,
) -> db::Result<Option<Uuid>> {
    let tests = outcome.tests.iter().map(wire::test_to_event).collect();
    let tests = event::JudgementCompleted { tests, ..Default::default() };
    tx.query(
        "UPDATE rejudging_submissions SET judgement_id = $3, verdict = $4, cpu_time_us = $5,
           memory_bytes = $6, test_count = $7, isolation = $8, judged_at = $9, tests = $10
         WHERE submission_id = $1 AND ordinal = $2 AND open AND verdict IS NULL
         RETURNING rejudging_id",
    )
    .bind(submission)
    .bind(ordinal)
    .bind(outcome.judgement_id)
    .bind(outcome.verdict.code())
    .bind(outcome.cpu_time_us)
    .bind(outcome.memory_bytes)
    .bind(i64::from(outcome.test_count))
    .bind(outcome.isolation.as_str())
    .bind(outcome.judged_at)
    .bind(tests.encode_to_vec())
    .fetch_scalar_optional()
    .await
}

/// Submissions of a rejudging after an id, in the order of their ids.
pub async fn submissions(
    read: impl Read<'_>,
    rejudging: Uuid,
    after: Uuid,
    limit: i64,
) -> Result<Vec<Rejudged>, Error> {
    let rows: Vec<SubmissionRow> = read
        .query(
            "SELECT submission_id, ordinal, problem_version, old_verdict, judgement_id, verdict,
               cpu_time_us, memory_bytes, test_count, isolation, judged_at, tests
             FROM rejudging_submissions WHERE rejudging_id = $1 AND submission_id > $2
             ORDER BY submission_id LIMIT $3",
        )
        .bind_all((rejudging, after, limit))
        .fetch_all()
        .await?;
    rows.into_iter().map(SubmissionRow::into_rejudged).collect()
}

/// The submissions whose new verdict differs from the old one.
pub async fn changed(read: impl Read<'_>, rejudging: Uuid) -> Result<Vec<(Uuid, Verdict)>, Error> {
    let rows: Vec<(Uuid, String)> = read
        .query(
            "SELECT submission_id, verdict FROM rejudging_submissions
             WHERE rejudging_id = $1 AND verdict <> old_verdict",
        )
        .bind(rejudging)
        .fetch_all()
        .await?;
    rows.into_iter().map(|(id, code)| Ok((id, verdict(&code)?))).collect()
}

/// The numbers of submissions of rejudgings by old and new verdict.
pub async fn counts(read: impl Read<'_>, rejudgings: &[Uuid]) -> Result<Vec<Count>, Error> {
    if rejudgings.is_empty() {
        return Ok(Vec::new());
    }
    let query = read.query(
        "SELECT rejudging_id, old_verdict, verdict, COUNT(*) FROM rejudging_submissions
         /* scans: sorts the submissions of the asked rejudgings */ WHERE rejudging_id",
    );
    let query = query.push_in(rejudgings.iter().copied());
    let query = query.push(" GROUP BY rejudging_id, old_verdict, verdict");
    let query = query.push(" ORDER BY rejudging_id, old_verdict, verdict");
    let rows: Vec<(Uuid, String, Option<String>, i64)> = query.fetch_all().await?;
    let count = |(rejudging_id, old, new, count): (Uuid, String, Option<String>, i64)| {
        let new_verdict = new.as_deref().map(verdict).transpose()?;
        Ok(Count { rejudging_id, old_verdict: verdict(&old)?, new_verdict, count })
    };
    rows.into_iter().map(count).collect()
}
