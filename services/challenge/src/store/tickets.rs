//! Tickets of the matchmaker.

use chrono::{DateTime, Utc};
use db::{Read, Tx};
use prost::Message as _;
use uuid::Uuid;

use super::duels::explanation;
use crate::duel::Mode;
use crate::error::Error;
use crate::matchmaker::{Explanation, State, Ticket};

db::record! {
    struct Row {
        ticket_id: Uuid,
        user_id: Uuid,
        user_name: String,
        mode: String,
        rating: i64,
        state: String,
        created_at: DateTime<Utc>,
        duel_id: Option<Uuid>,
        explanation: Option<Vec<u8>>,
    }
}

const COLUMNS: &str =
    "ticket_id, user_id, user_name, mode, rating, state, created_at, duel_id, explanation";

impl Row {
    fn into_ticket(self) -> Result<Ticket, Error> {
        let unknown = |what: &str, value: &str| {
            service::Error::stored(format!("unknown {what} {value:?} of a ticket"))
        };
        Ok(Ticket {
            id: self.ticket_id,
            user_id: self.user_id,
            user_name: self.user_name,
            mode: Mode::of(&self.mode).ok_or_else(|| unknown("mode", &self.mode))?,
            rating: self.rating,
            state: State::of(&self.state).ok_or_else(|| unknown("state", &self.state))?,
            created_at: self.created_at,
            duel_id: self.duel_id,
            explanation: explanation(self.explanation.as_deref())?,
        })
    }
}

pub async fn insert(tx: &mut Tx, ticket: &Ticket) -> db::Result<()> {
    tx.query(
        "INSERT INTO tickets (ticket_id, user_id, user_name, mode, rating, state, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(ticket.id)
    .bind(ticket.user_id)
    .bind(ticket.user_name.as_str())
    .bind(ticket.mode.name())
    .bind(ticket.rating)
    .bind(ticket.state.name())
    .bind(ticket.created_at)
    .execute()
    .await
    .map(drop)
}

pub async fn by_id(read: impl Read<'_>, id: Uuid) -> Result<Option<Ticket>, Error> {
    let query = read.query("SELECT ").push(COLUMNS).push(" FROM tickets WHERE ticket_id = ");
    let row: Option<Row> = query.push_bind(id).fetch_optional().await?;
    row.map(Row::into_ticket).transpose()
}

pub async fn open_of(read: impl Read<'_>, user: Uuid) -> Result<Option<Ticket>, Error> {
    let query = read.query("SELECT ").push(COLUMNS);
    let query = query.push(" FROM tickets WHERE state = 'open' AND user_id = ").push_bind(user);
    let row: Option<Row> = query.fetch_optional().await?;
    row.map(Row::into_ticket).transpose()
}

/// The open tickets, the oldest first.
pub async fn open(read: impl Read<'_>, limit: i64) -> Result<Vec<Ticket>, Error> {
    let query = read.query("SELECT ").push(COLUMNS).push(" FROM tickets WHERE state = 'open'");
    let query = query.push(" ORDER BY created_at, ticket_id LIMIT ").push_bind(limit);
    let rows: Vec<Row> = query.fetch_all().await?;
    rows.into_iter().map(Row::into_ticket).collect()
}

/// Whether there are at least two open tickets, or one that has expired.
pub async fn need_matchmaker(
    read: impl Read<'_>,
    created_before: DateTime<Utc>,
) -> db::Result<bool> {
    let rows: Vec<(DateTime<Utc>,)> = read
        .query(
            "SELECT created_at FROM tickets WHERE state = 'open' ORDER BY created_at, ticket_id LIMIT 2",
        )
        .fetch_all()
        .await?;
    Ok(rows.len() == 2 || rows.iter().any(|(created,)| *created <= created_before))
}

/// Closes an open ticket; false if it is closed already.
pub async fn close(
    tx: &mut Tx,
    id: Uuid,
    state: State,
    matched: Option<(Uuid, &Explanation)>,
) -> db::Result<bool> {
    let query = "UPDATE tickets SET state = $2, duel_id = $3, explanation = $4
                 WHERE ticket_id = $1 AND state = 'open'";
    let query = tx.query(query).bind(id).bind(state.name());
    let query = query.bind(matched.map(|(duel, _)| duel));
    let query = query.bind(matched.map(|(_, explanation)| explanation.encode_to_vec()));
    Ok(query.execute().await? == 1)
}
