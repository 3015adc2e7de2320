//! Duels.

use chrono::{DateTime, TimeDelta, Utc};
use db::{Read, Tx};
use prost::Message as _;
use proto::Verdict;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::duel::score::Attempt;
use crate::duel::{DrawOffer, Duel, Ending, INVITATION, Mode, Player, Problem, Side, State};
use crate::error::Error;
use crate::matchmaker::Explanation;

db::record! {
    struct Row {
        duel_id: Uuid,
        mode: String,
        state: String,
        ending: Option<String>,
        winner_id: Option<Uuid>,
        first_id: Uuid,
        first_name: String,
        second_id: Uuid,
        second_name: String,
        problem_count: i64,
        time_limit_s: i64,
        problems: String,
        created_at: DateTime<Utc>,
        expires_at: Option<DateTime<Utc>>,
        started_at: Option<DateTime<Utc>>,
        ends_at: Option<DateTime<Utc>>,
        finished_at: Option<DateTime<Utc>>,
        draw_offered_by: Option<Uuid>,
        draw_offer_expires_at: Option<DateTime<Utc>>,
        void_reason: String,
        rematch_of: Option<Uuid>,
        explanation: Option<Vec<u8>>,
        due_at: Option<DateTime<Utc>>,
    }
}

const COLUMNS: &str = "d.duel_id, d.mode, d.state, d.ending, d.winner_id, d.first_id, d.first_name, d.second_id, \
     d.second_name, d.problem_count, d.time_limit_s, d.problems, d.created_at, d.expires_at, d.started_at, d.ends_at, \
     d.finished_at, d.draw_offered_by, d.draw_offer_expires_at, d.void_reason, d.rematch_of, d.explanation, d.due_at";

/// A problem as it is stored.
#[derive(Serialize, Deserialize)]
struct StoredProblem {
    id: Uuid,
    difficulty: i64,
    points: i64,
    reason: String,
}

impl Row {
    fn into_duel(self) -> Result<Duel, Error> {
        let unknown = |what: &str, value: &str| {
            service::Error::stored(format!("unknown {what} {value:?} of a duel"))
        };
        let mode = Mode::of(&self.mode).ok_or_else(|| unknown("mode", &self.mode))?;
        let state = State::of(&self.state).ok_or_else(|| unknown("state", &self.state))?;
        let side = |user: Uuid| if user == self.first_id { Side::First } else { Side::Second };
        let ending = match &self.ending {
            None => None,
            Some(name) => {
                let ending = Ending::of(name, self.winner_id.map(side));
                Some(ending.ok_or_else(|| unknown("ending", name))?)
            }
        };
        let stored: Vec<StoredProblem> = serde_json::from_str(&self.problems)
            .map_err(|error| service::Error::stored(format!("problems of a duel: {error}")))?;
        let problems = stored.into_iter().map(|it| Problem {
            problem_id: it.id,
            difficulty: it.difficulty,
            points: it.points,
            reason: it.reason,
        });
        let draw_offer = self.draw_offered_by.zip(self.draw_offer_expires_at);
        Ok(Duel {
            id: self.duel_id,
            mode,
            state,
            ending,
            draw_offer: draw_offer
                .map(|(user, expires_at)| DrawOffer { side: side(user), expires_at }),
            players: [
                Player { user_id: self.first_id, name: self.first_name },
                Player { user_id: self.second_id, name: self.second_name },
            ],
            problem_count: self.problem_count,
            time_limit: TimeDelta::seconds(self.time_limit_s),
            problems: problems.collect(),
            created_at: self.created_at,
            expires_at: self.expires_at,
            started_at: self.started_at,
            ends_at: self.ends_at,
            finished_at: self.finished_at,
            void_reason: self.void_reason,
            rematch_of: self.rematch_of,
            matched: explanation(self.explanation.as_deref())?,
            due_at: self.due_at,
        })
    }
}

pub fn explanation(bytes: Option<&[u8]>) -> Result<Option<Explanation>, Error> {
    let decoded = bytes.map(Explanation::decode).transpose();
    Ok(decoded.map_err(service::Error::from)?)
}

fn problems(duel: &Duel) -> Result<String, Error> {
    let stored = duel.problems.iter().map(|it| StoredProblem {
        id: it.problem_id,
        difficulty: it.difficulty,
        points: it.points,
        reason: it.reason.clone(),
    });
    serde_json::to_string(&stored.collect::<Vec<_>>())
        .map_err(|error| service::Error::stored(format!("problems of a duel: {error}")).into())
}

/// Inserts a duel, or overwrites what can change of the one with the same id.
pub async fn save(tx: &mut Tx, duel: &Duel) -> Result<(), Error> {
    let user = |side: Side| duel.players[side.index()].user_id;
    let [first, second] = &duel.players;
    tx.query(
        "INSERT INTO duels (duel_id, mode, state, ending, winner_id, first_id, first_name, second_id, second_name,
           problem_count, time_limit_s, problems, created_at, expires_at, started_at, ends_at, finished_at,
           draw_offered_by, draw_offer_expires_at, void_reason, rematch_of, explanation, due_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22,
           $23)
         ON CONFLICT (duel_id) DO UPDATE SET state = excluded.state, ending = excluded.ending,
           winner_id = excluded.winner_id, problems = excluded.problems, started_at = excluded.started_at,
           ends_at = excluded.ends_at, finished_at = excluded.finished_at,
           draw_offered_by = excluded.draw_offered_by, draw_offer_expires_at = excluded.draw_offer_expires_at,
           void_reason = excluded.void_reason, due_at = excluded.due_at",
    )
    .bind(duel.id)
    .bind(duel.mode.name())
    .bind(duel.state.name())
    .bind(duel.ending.map(Ending::name))
    .bind(duel.ending.and_then(Ending::winner).map(user))
    .bind(first.user_id)
    .bind(first.name.as_str())
    .bind(second.user_id)
    .bind(second.name.as_str())
    .bind(duel.problem_count)
    .bind(duel.time_limit.num_seconds())
    .bind(problems(duel)?)
    .bind(duel.created_at)
    .bind(duel.expires_at)
    .bind(duel.started_at)
    .bind(duel.ends_at)
    .bind(duel.finished_at)
    .bind(duel.draw_offer.map(|offer| user(offer.side)))
    .bind(duel.draw_offer.map(|offer| offer.expires_at))
    .bind(duel.void_reason.as_str())
    .bind(duel.rematch_of)
    .bind(duel.matched.as_ref().map(prost::Message::encode_to_vec))
    .bind(duel.due_at)
    .execute()
    .await?;
    Ok(())
}

/// Adds the players of a new duel to the lists of duels.
pub async fn insert_players(tx: &mut Tx, duel: &Duel) -> db::Result<()> {
    for user in duel.user_ids() {
        let query = "INSERT INTO duel_players (user_id, duel_id) VALUES ($1, $2)";
        tx.query(query).bind_all((user, duel.id)).execute().await?;
    }
    Ok(())
}

/// Remembers the problems of a duel that starts.
pub async fn insert_problems(tx: &mut Tx, duel: &Duel) -> db::Result<()> {
    for problem in &duel.problems {
        let query = "INSERT INTO duel_problems (problem_id, duel_id) VALUES ($1, $2)";
        tx.query(query).bind_all((problem.problem_id, duel.id)).execute().await?;
    }
    Ok(())
}

pub async fn by_id(read: impl Read<'_>, id: Uuid) -> Result<Option<Duel>, Error> {
    let query = read.query("SELECT ").push(COLUMNS).push(" FROM duels d WHERE d.duel_id = ");
    let row: Option<Row> = query.push_bind(id).fetch_optional().await?;
    row.map(Row::into_duel).transpose()
}

/// What a list of duels is filtered by.
#[derive(Clone, Debug)]
pub struct Filter {
    pub user_id: Option<Uuid>,
    pub state: Option<State>,
    /// Whether duels are included that never started.
    pub all: bool,
}

/// Duels before an id, the newest first.
pub async fn list(
    read: impl Read<'_>,
    filter: &Filter,
    before: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Duel>, Error> {
    let before = before.unwrap_or(Uuid::max());
    let mut query = read.query("SELECT ").push(COLUMNS);
    query = match filter.user_id {
        Some(user) => {
            let joined = " FROM duel_players p JOIN duels d ON d.duel_id = p.duel_id";
            let query = query.push(joined).push(" WHERE p.user_id = ").push_bind(user);
            query.push(" AND p.duel_id < ").push_bind(before)
        }
        None => query.push(" FROM duels d WHERE d.duel_id < ").push_bind(before),
    };
    if let Some(state) = filter.state {
        query = query.push(" AND d.state = ").push_bind(state.name());
    }
    if !filter.all {
        query = query.push(" AND d.started_at IS NOT NULL");
    }
    let order = if filter.user_id.is_some() { "p.duel_id" } else { "d.duel_id" };
    query = query.push(" ORDER BY ").push(order).push(" DESC LIMIT ").push_bind(limit);
    let rows: Vec<Row> = query.fetch_all().await?;
    rows.into_iter().map(Row::into_duel).collect()
}

/// The submissions of a duel in the order of their acknowledgement.
pub async fn attempts(read: impl Read<'_>, duel: &Duel) -> db::Result<Vec<Attempt>> {
    let rows: Vec<(Uuid, Uuid, i64, Option<String>)> = read
        .query(
            "SELECT user_id, problem_id, contest_time_us, verdict FROM submissions /* scans: of one duel */
             WHERE challenge_id = $1 ORDER BY contest_time_us, submission_id",
        )
        .bind(duel.id)
        .fetch_all()
        .await?;
    let attempt = |(user, problem, time_us, verdict): (Uuid, Uuid, i64, Option<String>)| {
        let side = duel.side(user)?;
        let problem = duel.problems.iter().position(|it| it.problem_id == problem)?;
        let verdict = verdict.and_then(|code| Verdict::from_code(&code));
        Some(Attempt { side, problem, time_us, verdict })
    };
    Ok(rows.into_iter().filter_map(attempt).collect())
}

/// Duels on which the scheduler must act, in the order of their times.
pub async fn due(read: impl Read<'_>, now: DateTime<Utc>, limit: i64) -> db::Result<Vec<Uuid>> {
    let rows: Vec<(Uuid,)> = read
        .query("SELECT duel_id FROM duels WHERE due_at <= $1 ORDER BY due_at, duel_id LIMIT $2")
        .bind_all((now, limit))
        .fetch_all()
        .await?;
    Ok(rows.into_iter().map(|(id,)| id).collect())
}

pub async fn next_due(read: impl Read<'_>) -> db::Result<Option<DateTime<Utc>>> {
    let query =
        "SELECT due_at FROM duels WHERE due_at IS NOT NULL ORDER BY due_at, duel_id LIMIT 1";
    read.query(query).fetch_scalar_optional().await
}

/// The open invitations that a player sent: the ids of the invited.
pub async fn invited_by(read: impl Read<'_>, user: Uuid) -> db::Result<Vec<Uuid>> {
    let query = "SELECT second_id FROM duels WHERE state = 'invited' AND first_id = $1 ORDER BY duel_id LIMIT 100";
    let rows: Vec<(Uuid,)> = read.query(query).bind(user).fetch_all().await?;
    Ok(rows.into_iter().map(|(id,)| id).collect())
}

/// Locks a player until the end of the transaction, and returns the running duel.
pub async fn lock_player(tx: &mut Tx, user: Uuid) -> db::Result<Option<Uuid>> {
    let query = "INSERT INTO player_duels (user_id) VALUES ($1)
                 ON CONFLICT (user_id) DO UPDATE SET user_id = excluded.user_id RETURNING duel_id";
    tx.query(query).bind(user).fetch_scalar().await
}

/// Sets the running duel of a player who is locked.
pub async fn occupy(tx: &mut Tx, user: Uuid, duel: Uuid) -> db::Result<()> {
    let query = "UPDATE player_duels SET duel_id = $2 WHERE user_id = $1";
    tx.query(query).bind_all((user, duel)).execute().await.map(drop)
}

/// Ends the running duel of a player, if it is this one.
pub async fn release(tx: &mut Tx, user: Uuid, duel: Uuid) -> db::Result<()> {
    let query = "UPDATE player_duels SET duel_id = NULL WHERE user_id = $1 AND duel_id = $2";
    tx.query(query).bind_all((user, duel)).execute().await.map(drop)
}

/// Pairs of players whose duel started after a time.
pub async fn recent_pairs(
    read: impl Read<'_>,
    after: DateTime<Utc>,
) -> db::Result<Vec<(Uuid, Uuid)>> {
    // Ids begin with the time in milliseconds (RFC 9562, section 5.7).
    let created = (after - INVITATION).timestamp_millis();
    let first_id = Uuid::from_u128(u128::try_from(created).unwrap_or_default() << 80);
    read.query(
        "SELECT first_id, second_id FROM duels /* scans: those of some minutes */
         WHERE duel_id >= $1 AND started_at > $2 ORDER BY duel_id",
    )
    .bind_all((first_id, after))
    .fetch_all()
    .await
}

/// Duels with a problem that have not ended.
pub async fn open_with_problem(read: impl Read<'_>, problem: Uuid) -> db::Result<Vec<Uuid>> {
    let rows: Vec<(Uuid,)> = read
        .query(
            "SELECT d.duel_id FROM duel_problems u JOIN duels d ON d.duel_id = u.duel_id
             WHERE u.problem_id = $1 AND d.state = 'running' ORDER BY d.duel_id",
        )
        .bind(problem)
        .fetch_all()
        .await?;
    Ok(rows.into_iter().map(|(id,)| id).collect())
}

/// Duels of a player that have not ended, in the order in which they are locked.
pub async fn open_of_player(read: impl Read<'_>, user: Uuid) -> db::Result<Vec<Uuid>> {
    let rows: Vec<(Uuid,)> = read
        .query(
            "SELECT d.duel_id FROM duel_players p JOIN duels d ON d.duel_id = p.duel_id
             WHERE p.user_id = $1 AND d.state IN ('invited', 'running') ORDER BY p.duel_id",
        )
        .bind(user)
        .fetch_all()
        .await?;
    Ok(rows.into_iter().map(|(id,)| id).collect())
}
