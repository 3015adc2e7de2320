//! Contests.

use chrono::{DateTime, Utc};
use db::{Query, Read, Tx};
use uuid::Uuid;

use crate::contest::{Contest, Format, Registration, State, Visibility};
use crate::error::Error;

db::record! {
    struct Row {
        contest_id: Uuid,
        version: i64,
        slug: String,
        title: String,
        description: String,
        owner_id: Uuid,
        visibility: String,
        format: String,
        registration: String,
        access_code: String,
        starts_at: DateTime<Utc>,
        ends_at: DateTime<Utc>,
        freezes_at: Option<DateTime<Utc>>,
        penalty_minutes: i64,
        languages: String,
        source_limit: i64,
        problems: String,
        participant_count: i64,
        recorded_state: String,
        created_at: DateTime<Utc>,
        updated_at: DateTime<Utc>,
        published_at: Option<DateTime<Utc>>,
        canceled_at: Option<DateTime<Utc>>,
        thawed_at: Option<DateTime<Utc>>,
        finalized_at: Option<DateTime<Utc>>,
        deleted_at: Option<DateTime<Utc>>,
    }
}

const COLUMNS: &str = "contest_id, version, slug, title, description, owner_id, visibility, format, registration, \
     access_code, starts_at, ends_at, freezes_at, penalty_minutes, languages, source_limit, problems, \
     participant_count, recorded_state, created_at, updated_at, published_at, canceled_at, thawed_at, finalized_at, \
     deleted_at";

impl Row {
    fn into_contest(self) -> Result<Contest, Error> {
        let unknown = |what: &str| service::Error::stored(format!("unknown {what} of a contest"));
        let json = |error: serde_json::Error| service::Error::stored(error);
        Ok(Contest {
            id: self.contest_id,
            version: self.version,
            slug: self.slug,
            title: self.title,
            description: self.description,
            owner_id: self.owner_id,
            visibility: Visibility::of(&self.visibility).ok_or_else(|| unknown("visibility"))?,
            format: Format::of(&self.format).ok_or_else(|| unknown("format"))?,
            registration: Registration::of(&self.registration)
                .ok_or_else(|| unknown("registration"))?,
            access_code: self.access_code,
            starts_at: self.starts_at,
            ends_at: self.ends_at,
            freezes_at: self.freezes_at,
            penalty_minutes: self.penalty_minutes,
            languages: serde_json::from_str(&self.languages).map_err(json)?,
            source_limit: self.source_limit,
            problems: serde_json::from_str(&self.problems).map_err(json)?,
            participant_count: self.participant_count,
            recorded_state: State::of(&self.recorded_state).ok_or_else(|| unknown("state"))?,
            created_at: self.created_at,
            updated_at: self.updated_at,
            published_at: self.published_at,
            canceled_at: self.canceled_at,
            thawed_at: self.thawed_at,
            finalized_at: self.finalized_at,
            deleted_at: self.deleted_at,
        })
    }
}

/// Binds the columns that [`insert`] and [`save`] write, from `$2` on.
fn bind<'q>(query: Query<'q>, contest: &Contest) -> Result<Query<'q>, Error> {
    let json = |error: serde_json::Error| service::Error::stored(error);
    Ok(query
        .bind(contest.version)
        .bind(contest.slug.as_str())
        .bind(contest.title.as_str())
        .bind(contest.search_text())
        .bind(contest.description.as_str())
        .bind(contest.owner_id)
        .bind(contest.visibility.name())
        .bind(contest.format.name())
        .bind(contest.registration.name())
        .bind(contest.access_code.as_str())
        .bind(contest.starts_at)
        .bind(contest.ends_at)
        .bind(contest.freezes_at)
        .bind(contest.penalty_minutes)
        .bind(serde_json::to_string(&contest.languages).map_err(json)?)
        .bind(contest.source_limit)
        .bind(serde_json::to_string(&contest.problems).map_err(json)?)
        .bind(contest.participant_count)
        .bind(contest.recorded_state.name())
        .bind(contest.transition_at())
        .bind(contest.updated_at)
        .bind(contest.published_at)
        .bind(contest.canceled_at)
        .bind(contest.thawed_at)
        .bind(contest.finalized_at)
        .bind(contest.deleted_at))
}

/// Inserts a contest; false if the slug is taken.
pub async fn insert(tx: &mut Tx, contest: &Contest) -> Result<bool, Error> {
    let query = tx.query(
        "INSERT INTO contests (contest_id, version, slug, title, search, description, owner_id, visibility, format,
           registration, access_code, starts_at, ends_at, freezes_at, penalty_minutes, languages, source_limit,
           problems, participant_count, recorded_state, transition_at, updated_at, published_at, canceled_at,
           thawed_at, finalized_at, deleted_at, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22,
           $23, $24, $25, $26, $27, $28)
         ON CONFLICT DO NOTHING",
    );
    let query = bind(query.bind(contest.id), contest)?.bind(contest.created_at);
    Ok(query.execute().await? == 1)
}

/// Writes a contest that was read under its lock; false if the slug is taken.
pub async fn save(tx: &mut Tx, contest: &Contest) -> Result<bool, Error> {
    let taken = "SELECT contest_id FROM contests WHERE slug = $1 AND deleted_at IS NULL";
    let other: Option<Uuid> =
        tx.query(taken).bind(contest.slug.as_str()).fetch_scalar_optional().await?;
    if contest.deleted_at.is_none() && other.is_some_and(|other| other != contest.id) {
        return Ok(false);
    }
    let query = tx.query(
        "UPDATE contests SET version = $2, slug = $3, title = $4, search = $5, description = $6, owner_id = $7,
           visibility = $8, format = $9, registration = $10, access_code = $11, starts_at = $12, ends_at = $13,
           freezes_at = $14, penalty_minutes = $15, languages = $16, source_limit = $17, problems = $18,
           participant_count = $19, recorded_state = $20, transition_at = $21, updated_at = $22, published_at = $23,
           canceled_at = $24, thawed_at = $25, finalized_at = $26, deleted_at = $27
         WHERE contest_id = $1",
    );
    match bind(query.bind(contest.id), contest)?.execute().await {
        Ok(_) => Ok(true),
        // A concurrent transaction took the slug after the check.
        Err(db::Error::Conflict(_)) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Includes deleted contests.
pub async fn by_id(read: impl Read<'_>, id: Uuid) -> Result<Option<Contest>, Error> {
    let query = read.query("SELECT ").push(COLUMNS).push(" FROM contests WHERE contest_id = ");
    let row: Option<Row> = query.push_bind(id).fetch_optional().await?;
    row.map(Row::into_contest).transpose()
}

/// Excludes deleted contests.
pub async fn by_slug(read: impl Read<'_>, slug: &str) -> Result<Option<Contest>, Error> {
    let query = read.query("SELECT ").push(COLUMNS).push(" FROM contests WHERE slug = ");
    let query = query.push_bind(slug).push(" AND deleted_at IS NULL");
    let row: Option<Row> = query.fetch_optional().await?;
    row.map(Row::into_contest).transpose()
}

/// Contests with a state to record by `now`, the earliest first.
pub async fn due(read: impl Read<'_>, now: DateTime<Utc>, limit: i64) -> db::Result<Vec<Uuid>> {
    let rows: Vec<(Uuid,)> = read
        .query(
            "SELECT contest_id FROM contests WHERE transition_at IS NOT NULL AND transition_at <= $1
             ORDER BY transition_at, contest_id LIMIT $2",
        )
        .bind_all((now, limit))
        .fetch_all()
        .await?;
    Ok(rows.into_iter().map(|(id,)| id).collect())
}

/// When the next state of a contest is to be recorded.
pub async fn next_transition(read: impl Read<'_>) -> db::Result<Option<DateTime<Utc>>> {
    read.query(
        "SELECT transition_at FROM contests WHERE transition_at IS NOT NULL
         ORDER BY transition_at, contest_id LIMIT 1",
    )
    .fetch_scalar_optional()
    .await
}

/// What a list of contests is filtered by.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// The user who reads the list.
    pub user_id: Option<Uuid>,
    /// Includes contests that the user does not take part in or own, and that are not public.
    pub all: bool,
    /// Lower-case text in title or slug.
    pub text: String,
    pub state: Option<State>,
    pub mine: bool,
    pub registered: bool,
}

/// Participants that a user belongs to; the user follows.
const TAKES_PART: &str = "SELECT 1 FROM participant_members m JOIN participants p \
     ON p.participant_id = m.participant_id WHERE m.contest_id = contests.contest_id AND m.user_id = ";

/// Contests before a start time and id, the latest first.
pub async fn list(
    read: impl Read<'_>,
    filter: &Filter,
    before: Option<(DateTime<Utc>, Uuid)>,
    limit: i64,
    now: DateTime<Utc>,
) -> Result<Vec<Contest>, Error> {
    let user = filter.user_id.unwrap_or_default();
    let mut query = read.query("SELECT ").push(COLUMNS);
    query = query.push(" FROM contests /* scans: contests, which people make one by one */");
    query = query.push(" WHERE deleted_at IS NULL");
    if !filter.all {
        query =
            query.push(" AND ((published_at IS NOT NULL AND visibility = 'public') OR owner_id = ");
        query = query.push_bind(user).push(" OR EXISTS (").push(TAKES_PART);
        query = query.push_bind(user).push(" AND p.withdrawn_at IS NULL))");
    }
    if filter.mine {
        query = query.push(" AND owner_id = ").push_bind(user);
    }
    if filter.registered {
        query = query.push(" AND EXISTS (").push(TAKES_PART);
        query = query.push_bind(user).push(" AND p.withdrawn_at IS NULL)");
    }
    if !filter.text.is_empty() {
        query = query.push(" AND search LIKE ").push_bind(db::like_contains(&filter.text));
        query = query.push(" ESCAPE '\\'");
    }
    if let Some(state) = filter.state {
        query = in_state(query, state, now);
    }
    if let Some((start, id)) = before {
        query = query.push(" AND (starts_at, contest_id) < (").push_bind_all((start, id)).push(")");
    }
    query = query.push(" ORDER BY starts_at DESC, contest_id DESC LIMIT ").push_bind(limit);
    let rows: Vec<Row> = query.fetch_all().await?;
    rows.into_iter().map(Row::into_contest).collect()
}

/// Appends the condition of a state; the same rules as [`Contest::state`].
fn in_state(query: Query<'_>, state: State, now: DateTime<Utc>) -> Query<'_> {
    const OPEN: &str =
        " AND canceled_at IS NULL AND published_at IS NOT NULL AND finalized_at IS NULL";
    const UNTHAWED: &str = " AND thawed_at IS NULL";
    match state {
        State::Canceled => query.push(" AND canceled_at IS NOT NULL"),
        State::Draft => query.push(" AND canceled_at IS NULL AND published_at IS NULL"),
        State::Finalized => query.push(
            " AND canceled_at IS NULL AND published_at IS NOT NULL AND finalized_at IS NOT NULL",
        ),
        State::Thawed => query.push(OPEN).push(" AND thawed_at IS NOT NULL"),
        State::Scheduled => {
            let query = query.push(OPEN).push(UNTHAWED).push(" AND starts_at > ").push_bind(now);
            query.push(" AND ends_at > ").push_bind(now)
        }
        State::Running => {
            let query = query.push(OPEN).push(UNTHAWED).push(" AND starts_at <= ").push_bind(now);
            let query = query.push(" AND ends_at > ").push_bind(now);
            query.push(" AND (freezes_at IS NULL OR freezes_at > ").push_bind(now).push(")")
        }
        State::Frozen => {
            let query = query.push(OPEN).push(UNTHAWED).push(" AND starts_at <= ").push_bind(now);
            let query = query.push(" AND ends_at > ").push_bind(now);
            query.push(" AND freezes_at <= ").push_bind(now)
        }
        State::Ended => query.push(OPEN).push(UNTHAWED).push(" AND ends_at <= ").push_bind(now),
    }
}
