//! Tickets of players, and the duels that the matchmaker makes of them.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use access::Caller;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use db::lease::{self, Lease};
use db::{Tx, TxGuard};
use proto::challenge as pb;
use rpc::Violations;
use service::{Idempotent, check_request_id};
use uuid::Uuid;

use super::wire;
use crate::Challenge;
use crate::contests::viewer::Viewer;
use crate::duel::choice::mix;
use crate::duel::{Duel, Player, State as DuelState, TIME_LIMIT};
use crate::error::Error;
use crate::log::Log;
use crate::matchmaker::{
    self, EXPIRY, Match, PAIR_PAUSE, State, Ticket, UNRATED, pairs, unordered,
};
use crate::schedule::Schedule;
use crate::store;

/// The most tickets of one round; the oldest come first.
const BATCH: i64 = 5000;

/// The channel that announces changes of a ticket.
pub fn channel(id: Uuid) -> String {
    format!("ticket/{id}")
}

pub fn closed() -> Error {
    Error::precondition("TICKET_CLOSED", "the ticket is not open")
}

impl Challenge {
    /// Opens a ticket, once per request id.
    pub async fn create_ticket(
        &self,
        caller: &Caller,
        request: &pb::CreateTicketRequest,
    ) -> Result<pb::Ticket, Error> {
        let user = caller.user()?;
        let mut violations = Violations::default();
        let mode = wire::mode_of(request.mode);
        violations.check(mode.is_some(), "mode", "must be a value of the enum DuelMode");
        check_request_id(&mut violations, &request.request_id);
        violations.into_result()?;
        let Some(mode) = mode else { return Err(Error::TicketNotFound) };
        let content = [mode.name().as_bytes()];
        let once = Idempotent::new(user.id, "CreateTicket", &request.request_id, &content);
        let create = |mut tx: TxGuard| async move {
            if store::duels::lock_player(&mut tx, user.id).await?.is_some() {
                return Err(Error::precondition("PLAYER_BUSY", "you are in a duel"));
            }
            if let Some(open) = store::tickets::open_of(&mut *tx, user.id).await? {
                let text = format!("your ticket {} is open; delete it first", open.id);
                return Err(Error::Exists("TICKET_OPEN", text));
            }
            let ticket = Ticket {
                id: tx.new_id(),
                user_id: user.id,
                user_name: user.name.clone(),
                mode,
                rating: UNRATED,
                state: State::Open,
                created_at: tx.now(),
                duel_id: None,
                explanation: None,
            };
            store::tickets::insert(&mut tx, &ticket).await?;
            Ok(wire::ticket(&ticket))
        };
        once.run(&self.db, create).await
    }

    /// A ticket of the viewer.
    pub(crate) async fn ticket(&self, viewer: &Viewer, id: &str) -> Result<Ticket, Error> {
        let Some(id) = ids::parse(id) else {
            return Err(Error::invalid("ticket_id", "must be a ticket id (a UUID)"));
        };
        let ticket = store::tickets::by_id(&self.db, id).await?;
        let own = |ticket: &Ticket| viewer.user == Some(ticket.user_id);
        ticket.filter(own).ok_or(Error::TicketNotFound)
    }

    pub async fn get_ticket(&self, viewer: &Viewer, id: &str) -> Result<pb::Ticket, Error> {
        Ok(wire::ticket(&self.ticket(viewer, id).await?))
    }

    pub async fn delete_ticket(&self, viewer: &Viewer, id: &str) -> Result<pb::Ticket, Error> {
        let id = self.ticket(viewer, id).await?.id;
        let deleted: Result<Option<Ticket>, Error> = self
            .db
            .transact(|mut tx| async move {
                if !store::tickets::close(&mut tx, id, State::Canceled, None).await? {
                    return Err(closed());
                }
                self.notify_ticket(&mut tx, id);
                store::tickets::by_id(&mut *tx, id).await
            })
            .await;
        Ok(wire::ticket(&deleted?.ok_or(Error::TicketNotFound)?))
    }

    pub(crate) fn notify_ticket(&self, tx: &mut Tx, id: Uuid) {
        let cache = self.cache.clone();
        tx.after_commit(move || cache.publish(&channel(id), Bytes::new()));
    }
}

/// Makes duels of tickets.
pub struct Matchmaker {
    challenge: Challenge,
    /// Pairs of users for whom no duel could start, and when: they are not tried again at once.
    failed: Mutex<HashMap<(Uuid, Uuid), DateTime<Utc>>>,
}

impl Schedule for Matchmaker {
    const NAME: &'static str = "matchmaker";
    const PAUSE: Duration = Duration::from_secs(1);

    async fn next(&self) -> Result<Option<DateTime<Utc>>, Error> {
        let now = self.challenge.clock.now();
        let needed = store::tickets::need_matchmaker(&self.challenge.db, now - EXPIRY).await?;
        Ok(needed.then_some(now))
    }

    async fn run(&self, lease: &Lease) -> Result<(), Error> {
        let db = &self.challenge.db;
        let now = self.challenge.clock.now();
        let tickets = store::tickets::open(db, BATCH).await?;
        let (open, expired): (Vec<Ticket>, Vec<Ticket>) =
            tickets.into_iter().partition(|ticket| now < ticket.expires_at());
        for ticket in expired {
            self.expire(lease, ticket.id).await?;
        }
        let seed = mix(u64::try_from(now.timestamp_micros()).unwrap_or_default());
        for made in pairs(&open, &self.excluded(now).await?, now, seed) {
            let [first, second] = made.tickets.each_ref().map(|ticket| ticket.user_id);
            match self.start(lease, &made).await {
                Ok(true) => {}
                Ok(false) => return Ok(()),
                // The state of a player or ticket has changed, or the problems do not suffice.
                Err(Error::Precondition(reason, text)) => {
                    tracing::info!(reason, text, "match failed, pair skipped");
                    self.failed().insert(unordered(first, second), now);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl Matchmaker {
    pub fn new(challenge: Challenge) -> Self {
        Self { challenge, failed: Mutex::default() }
    }

    fn failed(&self) -> std::sync::MutexGuard<'_, HashMap<(Uuid, Uuid), DateTime<Utc>>> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The pairs of users that are not matched now.
    async fn excluded(&self, now: DateTime<Utc>) -> Result<HashSet<(Uuid, Uuid)>, Error> {
        let after = now - PAIR_PAUSE;
        let recent = store::duels::recent_pairs(&self.challenge.db, after).await?;
        let mut failed = self.failed();
        failed.retain(|_, at| *at > after);
        let recent = recent.into_iter().map(|(first, second)| unordered(first, second));
        Ok(recent.chain(failed.keys().copied()).collect())
    }

    async fn expire(&self, lease: &Lease, id: Uuid) -> Result<(), Error> {
        let challenge = &self.challenge;
        let expire = challenge.db.transact(|mut tx| async move {
            if lease::check(&mut tx, lease).await?
                && store::tickets::close(&mut tx, id, State::Expired, None).await?
            {
                challenge.notify_ticket(&mut tx, id);
            }
            Ok(())
        });
        expire.await
    }

    /// Starts the duel of a match; false if the lease is lost.
    async fn start(&self, lease: &Lease, made: &Match) -> Result<bool, Error> {
        let challenge = &self.challenge;
        let start = challenge.db.transact(|mut tx| async move {
            if !lease::check(&mut tx, lease).await? {
                return Ok(false);
            }
            let mut duel = duel_of(made, tx.new_id(), tx.now());
            let mut log = Log::create(&mut tx, duel.id).await?;
            challenge.start_duel(&mut tx, &mut log, &mut duel, Some(made)).await?;
            let waits = made.explanation.waits.clone();
            tx.after_commit(move || {
                for wait in waits {
                    let wait = Duration::from_secs(wait.unsigned_abs());
                    metrics::histogram!("agon_matchmaker_wait_seconds").record(wait);
                }
            });
            Ok(true)
        });
        start.await
    }
}

fn duel_of(made: &Match, id: Uuid, now: DateTime<Utc>) -> Duel {
    let Match { tickets, explanation } = made;
    let mode = tickets[0].mode;
    let player =
        |ticket: &Ticket| Player { user_id: ticket.user_id, name: ticket.user_name.clone() };
    Duel {
        id,
        mode,
        state: DuelState::Invited,
        ending: None,
        players: tickets.each_ref().map(player),
        problem_count: mode.default_problem_count(),
        time_limit: TIME_LIMIT,
        problems: Vec::new(),
        created_at: now,
        expires_at: None,
        started_at: None,
        ends_at: None,
        finished_at: None,
        draw_offer: None,
        void_reason: String::new(),
        rematch_of: None,
        matched: Some(matchmaker::Explanation::clone(explanation)),
        due_at: None,
    }
}
