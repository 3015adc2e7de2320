//! Teams and their members.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use db::{Read, Tx};
use uuid::Uuid;

use crate::team::{Member, Team};

db::record! {
    struct Row {
        team_id: Uuid,
        version: i64,
        name: String,
        captain_id: Uuid,
        created_at: DateTime<Utc>,
        updated_at: DateTime<Utc>,
        deleted_at: Option<DateTime<Utc>>,
    }
}

const COLUMNS: &str = "team_id, version, name, captain_id, created_at, updated_at, deleted_at";

db::record! {
    struct MemberRow {
        team_id: Uuid,
        user_id: Uuid,
        name: String,
        invited_at: DateTime<Utc>,
        joined_at: Option<DateTime<Utc>>,
    }
}

fn team(row: Row, people: Vec<Member>) -> Team {
    Team {
        id: row.team_id,
        version: row.version,
        name: row.name,
        captain_id: row.captain_id,
        created_at: row.created_at,
        updated_at: row.updated_at,
        deleted_at: row.deleted_at,
        people,
    }
}

/// Inserts a team without its members; false if the name is taken.
pub async fn insert(tx: &mut Tx, team: &Team) -> db::Result<bool> {
    let query = tx.query(
        "INSERT INTO teams (team_id, version, name, name_key, captain_id, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING",
    );
    let query = query.bind(team.id).bind(team.version).bind(team.name.as_str());
    let query = query.bind(text::skeleton(&team.name)).bind(team.captain_id);
    Ok(query.bind(team.created_at).bind(team.updated_at).execute().await? == 1)
}

/// Writes a team that was read under its lock, without its members; false if the name is taken.
pub async fn save(tx: &mut Tx, team: &Team) -> db::Result<bool> {
    let key = text::skeleton(&team.name);
    let taken = "SELECT team_id FROM teams WHERE name_key = $1 AND deleted_at IS NULL";
    let other: Option<Uuid> = tx.query(taken).bind(key.as_str()).fetch_scalar_optional().await?;
    if team.deleted_at.is_none() && other.is_some_and(|other| other != team.id) {
        return Ok(false);
    }
    let query = tx.query(
        "UPDATE teams SET version = $2, name = $3, name_key = $4, captain_id = $5, updated_at = $6, deleted_at = $7
         WHERE team_id = $1",
    );
    let query = query.bind(team.id).bind(team.version).bind(team.name.as_str()).bind(key);
    let query = query.bind(team.captain_id).bind(team.updated_at).bind(team.deleted_at);
    match query.execute().await {
        Ok(_) => Ok(true),
        // A concurrent transaction took the name after the check.
        Err(db::Error::Conflict(_)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Locks a team until the end of the transaction; `None` if it does not exist or is deleted.
pub async fn lock(tx: &mut Tx, id: Uuid) -> db::Result<Option<Team>> {
    let query = tx.query(
        "UPDATE teams SET version = version WHERE team_id = $1 AND deleted_at IS NULL RETURNING ",
    );
    let row: Option<Row> = query.push(COLUMNS).bind(id).fetch_optional().await?;
    let Some(row) = row else { return Ok(None) };
    let people = people(&mut *tx, vec![id]).await?.remove(&id).unwrap_or_default();
    Ok(Some(team(row, people)))
}

/// The captain of a team; `None` if there is no such team or it is deleted.
pub async fn captain(read: impl Read<'_>, id: Uuid) -> db::Result<Option<Uuid>> {
    let query = "SELECT captain_id FROM teams WHERE team_id = $1 AND deleted_at IS NULL";
    read.query(query).bind(id).fetch_scalar_optional().await
}

/// `None` if there is no such team or it is deleted.
pub async fn by_id(db: &db::Db, id: Uuid) -> db::Result<Option<Team>> {
    let query =
        db.query("SELECT ").push(COLUMNS).push(" FROM teams WHERE team_id = ").push_bind(id);
    let row: Option<Row> = query.push(" AND deleted_at IS NULL").fetch_optional().await?;
    Ok(with_people(db, row.into_iter().collect()).await?.pop())
}

/// Teams after an id, in the order of creation: those that a user belongs to, or is invited to.
pub async fn list(
    db: &db::Db,
    user: Uuid,
    invited: bool,
    after: Option<Uuid>,
    limit: i64,
) -> db::Result<Vec<Team>> {
    let mut query = db.query("SELECT ").push(COLUMNS);
    query = query.push(" FROM teams WHERE deleted_at IS NULL AND team_id IN");
    query = query.push(" (SELECT team_id FROM team_members WHERE user_id = ").push_bind(user);
    query =
        query.push(if invited { " AND joined_at IS NULL)" } else { " AND joined_at IS NOT NULL)" });
    if let Some(after) = after {
        query = query.push(" AND team_id > ").push_bind(after);
    }
    let query = query.push(" ORDER BY team_id LIMIT ").push_bind(limit);
    let query = query.push(" /* scans: the teams of one user */");
    let rows: Vec<Row> = query.fetch_all().await?;
    with_people(db, rows).await
}

async fn with_people(db: &db::Db, rows: Vec<Row>) -> db::Result<Vec<Team>> {
    let mut people = people(db, rows.iter().map(|row| row.team_id).collect()).await?;
    let teams = rows.into_iter().map(|row| {
        let people = people.remove(&row.team_id).unwrap_or_default();
        team(row, people)
    });
    Ok(teams.collect())
}

/// Members and invited users of teams, by the time of the invitation.
async fn people(read: impl Read<'_>, teams: Vec<Uuid>) -> db::Result<HashMap<Uuid, Vec<Member>>> {
    let mut people: HashMap<Uuid, Vec<Member>> = HashMap::new();
    if teams.is_empty() {
        return Ok(people);
    }
    let query =
        "SELECT team_id, user_id, name, invited_at, joined_at FROM team_members WHERE team_id";
    let rows: Vec<MemberRow> = read.query(query).push_in(teams).fetch_all().await?;
    for row in rows {
        let MemberRow { team_id, user_id, name, invited_at, joined_at } = row;
        people.entry(team_id).or_default().push(Member { user_id, name, invited_at, joined_at });
    }
    for people in people.values_mut() {
        people.sort_by_key(|it| (it.invited_at, it.user_id));
    }
    Ok(people)
}

/// Inserts a member or an invited user, or overwrites when they joined.
pub async fn put_member(tx: &mut Tx, team: Uuid, member: &Member) -> db::Result<()> {
    let query = tx.query(
        "INSERT INTO team_members (team_id, user_id, name, invited_at, joined_at) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (team_id, user_id) DO UPDATE SET joined_at = excluded.joined_at",
    );
    let query = query.bind(team).bind(member.user_id).bind(member.name.as_str());
    query.bind(member.invited_at).bind(member.joined_at).execute().await.map(drop)
}

pub async fn remove_member(tx: &mut Tx, team: Uuid, user: Uuid) -> db::Result<()> {
    let query = "DELETE FROM team_members WHERE team_id = $1 AND user_id = $2";
    tx.query(query).bind_all((team, user)).execute().await.map(drop)
}

/// The number of teams that a user belongs to.
pub async fn count_of(read: impl Read<'_>, user: Uuid) -> db::Result<i64> {
    let query = "SELECT COUNT(*) FROM team_members m JOIN teams t ON t.team_id = m.team_id
                 WHERE m.user_id = $1 AND m.joined_at IS NOT NULL AND t.deleted_at IS NULL";
    read.query(query).bind(user).fetch_scalar().await
}

/// The contests for which a team is registered and that have not ended, in order of id; only those that have not
/// started, if `unstarted`.
pub async fn contests(
    read: impl Read<'_>,
    team: Uuid,
    unstarted: bool,
    now: DateTime<Utc>,
) -> db::Result<Vec<Uuid>> {
    let mut query = read.query("SELECT p.contest_id FROM participants p");
    query = query.push(" JOIN contests c ON c.contest_id = p.contest_id WHERE p.team_id = ");
    query = query.push_bind(team).push(" AND p.withdrawn_at IS NULL AND c.canceled_at IS NULL");
    query = query.push(" AND c.finalized_at IS NULL AND c.deleted_at IS NULL AND ");
    query = query.push(if unstarted { "c.starts_at" } else { "c.ends_at" }).push(" > ");
    let query = query.push_bind(now).push(" ORDER BY p.contest_id");
    let rows: Vec<(Uuid,)> = query.fetch_all().await?;
    Ok(rows.into_iter().map(|(id,)| id).collect())
}
