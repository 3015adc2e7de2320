//! Participants of contests.

use chrono::{DateTime, TimeDelta, Utc};
use db::{Read, Tx};
use uuid::Uuid;

use crate::contest::Participant;

db::record! {
    struct Row {
        participant_id: Uuid,
        contest_id: Uuid,
        user_id: Uuid,
        name: String,
        unofficial: bool,
        hidden: bool,
        disqualified: bool,
        extra_time_s: i64,
        registered_at: DateTime<Utc>,
        withdrawn_at: Option<DateTime<Utc>>,
    }
}

const COLUMNS: &str = "participant_id, contest_id, user_id, name, unofficial, hidden, disqualified, extra_time_s, \
     registered_at, withdrawn_at";

impl From<Row> for Participant {
    fn from(row: Row) -> Self {
        Self {
            id: row.participant_id,
            contest_id: row.contest_id,
            user_id: row.user_id,
            name: row.name,
            unofficial: row.unofficial,
            hidden: row.hidden,
            disqualified: row.disqualified,
            extra_time: TimeDelta::seconds(row.extra_time_s),
            registered_at: row.registered_at,
            withdrawn_at: row.withdrawn_at,
        }
    }
}

/// Inserts a participant, or overwrites the one with the same id.
pub async fn save(tx: &mut Tx, participant: &Participant) -> db::Result<()> {
    tx.query(
        "INSERT INTO participants (participant_id, contest_id, user_id, name, unofficial, hidden, disqualified,
           extra_time_s, registered_at, withdrawn_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
         ON CONFLICT (participant_id) DO UPDATE SET unofficial = excluded.unofficial, hidden = excluded.hidden,
           disqualified = excluded.disqualified, extra_time_s = excluded.extra_time_s,
           withdrawn_at = excluded.withdrawn_at",
    )
    .bind(participant.id)
    .bind(participant.contest_id)
    .bind(participant.user_id)
    .bind(participant.name.as_str())
    .bind(participant.unofficial)
    .bind(participant.hidden)
    .bind(participant.disqualified)
    .bind(participant.extra_time.num_seconds())
    .bind(participant.registered_at)
    .bind(participant.withdrawn_at)
    .execute()
    .await
    .map(drop)
}

pub async fn by_user(
    read: impl Read<'_>,
    contest: Uuid,
    user: Uuid,
) -> db::Result<Option<Participant>> {
    let query = read.query("SELECT ").push(COLUMNS).push(" FROM participants WHERE contest_id = ");
    let query = query.push_bind(contest).push(" AND user_id = ").push_bind(user);
    let row: Option<Row> = query.fetch_optional().await?;
    Ok(row.map(Participant::from))
}

pub async fn by_ids(read: impl Read<'_>, ids: Vec<Uuid>) -> db::Result<Vec<Participant>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let query = read.query("SELECT ").push(COLUMNS).push(" FROM participants WHERE participant_id");
    let rows: Vec<Row> = query.push_in(ids).fetch_all().await?;
    Ok(rows.into_iter().map(Participant::from).collect())
}

/// Participants after an id, in the order of registration. Only those whom everyone sees, unless `all`.
pub async fn list(
    read: impl Read<'_>,
    contest: Uuid,
    all: bool,
    after: Option<Uuid>,
    limit: i64,
) -> db::Result<Vec<Participant>> {
    let mut query = read.query("SELECT ").push(COLUMNS).push(" FROM participants");
    query = query.push(" WHERE contest_id = ").push_bind(contest);
    if !all {
        query = query.push(" /* scans: few participants are hidden or have withdrawn */");
        query = query.push(" AND NOT hidden AND withdrawn_at IS NULL");
    }
    if let Some(after) = after {
        query = query.push(" AND participant_id > ").push_bind(after);
    }
    let query = query.push(" ORDER BY participant_id LIMIT ").push_bind(limit);
    let rows: Vec<Row> = query.fetch_all().await?;
    Ok(rows.into_iter().map(Participant::from).collect())
}

/// The longest extra time of the participants of a contest, in seconds.
pub async fn longest_extra_time(read: impl Read<'_>, contest: Uuid) -> db::Result<i64> {
    let query = "SELECT COALESCE(MAX(extra_time_s), 0) FROM participants /* scans: once, for final results */
                 WHERE contest_id = $1 AND withdrawn_at IS NULL AND NOT disqualified";
    read.query(query).bind(contest).fetch_scalar().await
}
