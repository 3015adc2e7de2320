//! The start of a duel.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use db::Tx;
use uuid::Uuid;

use super::tickets;
use crate::Challenge;
use crate::duel::{Duel, Problem, choice};
use crate::error::Error;
use crate::log::Log;
use crate::matchmaker::{self, Match, UNRATED};
use crate::{events, store};

/// The most candidates of one range of difficulties.
const CANDIDATES: i64 = 32;

impl Challenge {
    /// Chooses the problems and starts a duel, which may be one that the matchmaker has made. Fails if a player is in
    /// another duel or the problems do not suffice.
    pub(crate) async fn start_duel(
        &self,
        tx: &mut Tx,
        log: &mut Log,
        duel: &mut Duel,
        made: Option<&Match>,
    ) -> Result<(), Error> {
        // Every transaction locks players in this order, and tickets after them.
        let mut users = duel.user_ids();
        users.sort();
        for user in users {
            if store::duels::lock_player(tx, user).await?.is_some() {
                let player = duel.players.iter().find(|player| player.user_id == user);
                let name = player.map_or("a player", |player| player.name.as_str());
                let text = format!("{name} is in another duel");
                return Err(Error::precondition("PLAYER_BUSY", text));
            }
        }
        self.close_tickets(tx, duel, made).await?;
        let problems = choose(tx, duel).await?;
        let now = tx.now();
        duel.start(problems, now);
        self.save_duel(tx, log, duel, now).await?;
        if made.is_some() {
            store::duels::insert_players(tx, duel).await?;
        }
        store::duels::insert_problems(tx, duel).await?;
        for user in users {
            store::duels::occupy(tx, user, duel.id).await?;
        }
        let number = log.number(tx).await?;
        events::duel_started(tx, duel, number);
        Ok(())
    }

    /// Closes the tickets of the match, or those that the players of an accepted invitation have.
    async fn close_tickets(
        &self,
        tx: &mut Tx,
        duel: &Duel,
        made: Option<&Match>,
    ) -> Result<(), Error> {
        if let Some(Match { tickets, explanation }) = made {
            for ticket in tickets {
                let matched = Some((duel.id, explanation));
                let state = matchmaker::State::Matched;
                if !store::tickets::close(tx, ticket.id, state, matched).await? {
                    return Err(tickets::closed());
                }
                self.notify_ticket(tx, ticket.id);
            }
            return Ok(());
        }
        for user in duel.user_ids() {
            self.cancel_ticket(tx, user).await?;
        }
        Ok(())
    }
}

async fn choose(tx: &mut Tx, duel: &Duel) -> Result<Vec<Problem>, Error> {
    let ratings = duel.matched.as_ref().map(|matched| matched.ratings.as_slice());
    let lower = ratings.and_then(|ratings| ratings.iter().min()).copied().unwrap_or(UNRATED);
    let mut known: HashMap<i64, Vec<choice::Candidate>> = HashMap::new();
    let mut chosen: Vec<Problem> = Vec::new();
    for index in 0..usize::try_from(duel.problem_count).unwrap_or_default() {
        let target = choice::target(lower, index);
        let mut found = None;
        for band in choice::bands(target) {
            let candidates = match known.entry(band.start) {
                Entry::Occupied(read) => read.into_mut(),
                Entry::Vacant(unread) => {
                    let users = duel.user_ids();
                    unread.insert(
                        store::catalog::candidates(&mut *tx, band, users, CANDIDATES).await?,
                    )
                }
            };
            let count = candidates.len();
            let picked = choice::pick(candidates, duel.id.as_u128(), index).cloned();
            if let Some(picked) = picked {
                candidates.retain(|candidate| candidate.problem_id != picked.problem_id);
                found = Some(problem(
                    duel,
                    index,
                    &picked,
                    choice::reason(lower, target, &picked, count),
                ));
                break;
            }
        }
        chosen.push(found.ok_or_else(|| no_problems(duel, chosen.len()))?);
    }
    Ok(chosen)
}

fn problem(duel: &Duel, index: usize, picked: &choice::Candidate, reason: String) -> Problem {
    let choice::Candidate { problem_id, difficulty } = *picked;
    Problem { problem_id, difficulty, points: duel.mode.points(index), reason }
}

fn no_problems(duel: &Duel, found: usize) -> Error {
    let text = format!(
        "a duel with {} problems needs as many public ones that neither player has attempted, owns or met in a duel; \
         there are {found}",
        duel.problem_count
    );
    Error::precondition("NO_PROBLEMS", text)
}

impl Challenge {
    /// Closes the open ticket of a user, if there is one.
    pub(crate) async fn cancel_ticket(&self, tx: &mut Tx, user: Uuid) -> Result<(), Error> {
        if let Some(ticket) = store::tickets::open_of(&mut *tx, user).await? {
            store::tickets::close(tx, ticket.id, matchmaker::State::Canceled, None).await?;
            self.notify_ticket(tx, ticket.id);
        }
        Ok(())
    }
}
