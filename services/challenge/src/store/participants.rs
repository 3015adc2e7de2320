//! Participants of contests, and the users who belong to them.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use db::{Read, Tx};
use uuid::Uuid;

use crate::contest::{Participant, Person};

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
        team_id: Option<Uuid>,
        organization: String,
        country: String,
        group_name: String,
        external_id: String,
    }
}

const COLUMNS: &str = "participant_id, contest_id, user_id, name, unofficial, hidden, disqualified, extra_time_s, \
     registered_at, withdrawn_at, team_id, organization, country, group_name, external_id";

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
            team_id: row.team_id,
            organization: row.organization,
            country: row.country,
            group: row.group_name,
            external_id: row.external_id,
        }
    }
}

/// Inserts a participant, or overwrites the one with the same id.
pub async fn save(tx: &mut Tx, participant: &Participant) -> db::Result<()> {
    tx.query(
        "INSERT INTO participants (participant_id, contest_id, user_id, name, unofficial, hidden, disqualified,
           extra_time_s, registered_at, withdrawn_at, team_id, organization, country, group_name, external_id)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
         ON CONFLICT (participant_id) DO UPDATE SET user_id = excluded.user_id, name = excluded.name,
           unofficial = excluded.unofficial, hidden = excluded.hidden, disqualified = excluded.disqualified,
           extra_time_s = excluded.extra_time_s, withdrawn_at = excluded.withdrawn_at,
           organization = excluded.organization, country = excluded.country, group_name = excluded.group_name,
           external_id = excluded.external_id",
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
    .bind(participant.team_id)
    .bind(participant.organization.as_str())
    .bind(participant.country.as_str())
    .bind(participant.group.as_str())
    .bind(participant.external_id.as_str())
    .execute()
    .await
    .map(drop)
}

/// The participant that a user is, or belongs to.
pub async fn by_user(
    read: impl Read<'_>,
    contest: Uuid,
    user: Uuid,
) -> db::Result<Option<Participant>> {
    let query = read.query("SELECT ").push(COLUMNS).push(" FROM participants WHERE participant_id");
    let query =
        query.push(" = (SELECT participant_id FROM participant_members WHERE contest_id = ");
    let query = query.push_bind(contest).push(" AND user_id = ").push_bind(user).push(")");
    let row: Option<Row> = query.fetch_optional().await?;
    Ok(row.map(Participant::from))
}

/// The participant that a team is.
pub async fn by_team(
    read: impl Read<'_>,
    contest: Uuid,
    team: Uuid,
) -> db::Result<Option<Participant>> {
    let query = read.query("SELECT ").push(COLUMNS).push(" FROM participants WHERE team_id = ");
    let query = query.push_bind(team).push(" AND contest_id = ").push_bind(contest);
    let row: Option<Row> = query.fetch_optional().await?;
    Ok(row.map(Participant::from))
}

/// The participants of a contest with some ids of an import (at least one).
pub async fn by_external_ids(
    read: impl Read<'_>,
    contest: Uuid,
    ids: Vec<String>,
) -> db::Result<Vec<Participant>> {
    let query = read.query("SELECT ").push(COLUMNS).push(" FROM participants WHERE contest_id = ");
    let query = query.push_bind(contest).push(" AND external_id <> '' AND external_id");
    let rows: Vec<Row> = query.push_in(ids).fetch_all().await?;
    Ok(rows.into_iter().map(Participant::from).collect())
}

/// Whether a user belongs to a participant.
pub async fn has_member(read: impl Read<'_>, participant: Uuid, user: Uuid) -> db::Result<bool> {
    let query =
        "SELECT user_id FROM participant_members WHERE participant_id = $1 AND user_id = $2";
    let query = read.query(query).bind_all((participant, user));
    Ok(query.fetch_scalar_optional::<Uuid>().await?.is_some())
}

/// The users who belong to each participant, by name.
pub async fn members(
    read: impl Read<'_>,
    participants: Vec<Uuid>,
) -> db::Result<HashMap<Uuid, Vec<Person>>> {
    let mut members: HashMap<Uuid, Vec<Person>> = HashMap::new();
    if participants.is_empty() {
        return Ok(members);
    }
    let query =
        "SELECT participant_id, user_id, name FROM participant_members WHERE participant_id";
    let rows: Vec<(Uuid, Uuid, String)> =
        read.query(query).push_in(participants).fetch_all().await?;
    for (participant, user_id, name) in rows {
        members.entry(participant).or_default().push(Person { user_id, name });
    }
    for members in members.values_mut() {
        members
            .sort_by(|left, right| (&left.name, left.user_id).cmp(&(&right.name, right.user_id)));
    }
    Ok(members)
}

/// Adds a user to a participant; false if the user belongs to a participant of the contest.
pub async fn add_member(
    tx: &mut Tx,
    participant: &Participant,
    member: &Person,
) -> db::Result<bool> {
    let query = "INSERT INTO participant_members (contest_id, user_id, participant_id, name)
                 VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING";
    let query = tx.query(query).bind(participant.contest_id).bind(member.user_id);
    Ok(query.bind(participant.id).bind(member.name.as_str()).execute().await? == 1)
}

pub async fn remove_member(tx: &mut Tx, participant: Uuid, user: Uuid) -> db::Result<()> {
    let query = "DELETE FROM participant_members WHERE participant_id = $1 AND user_id = $2";
    tx.query(query).bind_all((participant, user)).execute().await.map(drop)
}

/// Deletes a participant without submissions.
pub async fn delete(tx: &mut Tx, participant: Uuid) -> db::Result<()> {
    let members = "DELETE FROM participant_members WHERE participant_id = $1";
    tx.query(members).bind(participant).execute().await?;
    let query = "DELETE FROM participants WHERE participant_id = $1";
    tx.query(query).bind(participant).execute().await.map(drop)
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
