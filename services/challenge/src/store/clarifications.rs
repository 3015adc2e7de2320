//! Questions of participants and announcements of the jury.

use chrono::{DateTime, Utc};
use db::{Read, Tx};
use uuid::Uuid;

use crate::clarification::Clarification;

db::record! {
    struct Row {
        clarification_id: Uuid,
        contest_id: Uuid,
        version: i64,
        participant_id: Option<Uuid>,
        problem_id: Option<Uuid>,
        question: String,
        answer: String,
        public: bool,
        created_at: DateTime<Utc>,
        answered_at: Option<DateTime<Utc>>,
        answered_by: Option<Uuid>,
    }
}

const COLUMNS: &str = "clarification_id, contest_id, version, participant_id, problem_id, question, answer, public, \
     created_at, answered_at, answered_by";

impl From<Row> for Clarification {
    fn from(row: Row) -> Self {
        Self {
            id: row.clarification_id,
            contest_id: row.contest_id,
            version: row.version,
            participant_id: row.participant_id,
            problem_id: row.problem_id,
            question: row.question,
            answer: row.answer,
            public: row.public,
            created_at: row.created_at,
            answered_at: row.answered_at,
            answered_by: row.answered_by,
        }
    }
}

pub async fn insert(tx: &mut Tx, new: &Clarification) -> db::Result<()> {
    tx.query(
        "INSERT INTO clarifications (clarification_id, contest_id, version, participant_id, problem_id, question,
           answer, public, created_at, answered_at, answered_by)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
    )
    .bind(new.id)
    .bind(new.contest_id)
    .bind(new.version)
    .bind(new.participant_id)
    .bind(new.problem_id)
    .bind(new.question.as_str())
    .bind(new.answer.as_str())
    .bind(new.public)
    .bind(new.created_at)
    .bind(new.answered_at)
    .bind(new.answered_by)
    .execute()
    .await
    .map(drop)
}

/// Writes the answer of a question that was read under the lock of its contest.
pub async fn save_answer(tx: &mut Tx, answered: &Clarification) -> db::Result<()> {
    tx.query(
        "UPDATE clarifications SET version = $2, answer = $3, public = $4, answered_at = $5, answered_by = $6
         WHERE clarification_id = $1",
    )
    .bind(answered.id)
    .bind(answered.version)
    .bind(answered.answer.as_str())
    .bind(answered.public)
    .bind(answered.answered_at)
    .bind(answered.answered_by)
    .execute()
    .await
    .map(drop)
}

pub async fn by_id(read: impl Read<'_>, id: Uuid) -> db::Result<Option<Clarification>> {
    let query = read.query("SELECT ").push(COLUMNS).push(" FROM clarifications");
    let query = query.push(" WHERE clarification_id = ").push_bind(id);
    let row: Option<Row> = query.fetch_optional().await?;
    Ok(row.map(Clarification::from))
}

/// Which clarifications a list contains.
#[derive(Clone, Copy, Debug)]
pub enum Scope {
    /// All of a contest.
    All(Uuid),
    /// The public ones of a contest.
    Public(Uuid),
    /// The questions of a participant.
    Participant(Uuid),
}

/// Clarifications after an id: the newest first, or those without an answer, the oldest first.
pub async fn list(
    read: impl Read<'_>,
    scope: Scope,
    unanswered: bool,
    after: Option<Uuid>,
    limit: i64,
) -> db::Result<Vec<Clarification>> {
    let query = read.query("SELECT ").push(COLUMNS).push(" FROM clarifications WHERE ");
    let query = match scope {
        Scope::All(contest) => query.push("contest_id = ").push_bind(contest),
        Scope::Public(contest) => query.push("public AND contest_id = ").push_bind(contest),
        Scope::Participant(participant) => query.push("participant_id = ").push_bind(participant),
    };
    let query = if unanswered {
        let query = query.push(" AND answered_at IS NULL AND clarification_id > ");
        query.push_bind(after.unwrap_or(Uuid::nil())).push(" ORDER BY clarification_id LIMIT ")
    } else {
        let query = query.push(" AND clarification_id < ");
        query.push_bind(after.unwrap_or(Uuid::max())).push(" ORDER BY clarification_id DESC LIMIT ")
    };
    let rows: Vec<Row> = query.push_bind(limit).fetch_all().await?;
    Ok(rows.into_iter().map(Clarification::from).collect())
}

/// The number of a participant's questions without an answer.
pub async fn open_count(read: impl Read<'_>, participant: Uuid) -> db::Result<i64> {
    let query =
        "SELECT COUNT(*) FROM clarifications WHERE participant_id = $1 AND answered_at IS NULL";
    read.query(query).bind(participant).fetch_scalar().await
}

/// Up to `limit` questions of a contest without an answer, the oldest first.
pub async fn unanswered_in(
    read: impl Read<'_>,
    contest: Uuid,
    limit: i64,
) -> db::Result<Vec<Uuid>> {
    let rows: Vec<(Uuid,)> = read
        .query(
            "SELECT clarification_id FROM clarifications WHERE contest_id = $1 AND answered_at IS NULL
             ORDER BY clarification_id LIMIT $2",
        )
        .bind_all((contest, limit))
        .fetch_all()
        .await?;
    Ok(rows.into_iter().map(|(id,)| id).collect())
}
