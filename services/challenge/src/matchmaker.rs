//! Pairs the tickets of players who look for an opponent. Pure: the same tickets, time and seed give the same pairs.
//!
//! Two tickets fit if they have the same mode and their ratings differ by no more than the range of either, which widens
//! with the wait. Pairs are made in the order of their cost: the difference of the ratings less a credit for the waits,
//! so that long waits come before small differences. A ticket without a partner does not hold up others.

use std::collections::HashSet;

use chrono::{DateTime, TimeDelta, Utc};
use prost::Message;
use uuid::Uuid;

use crate::duel::Mode;
use crate::duel::choice::{fold, mix};

/// The rating of players without a rated duel.
pub const UNRATED: i64 = 1500;
/// After this time a ticket expires.
pub const EXPIRY: TimeDelta = TimeDelta::minutes(15);
/// Two players are not paired again for this time after the start of their duel.
pub const PAIR_PAUSE: TimeDelta = TimeDelta::minutes(10);

/// The range of ratings at first, its growth per second, and its maximum.
const RANGE: (i64, i64, i64) = (50, 5, 500);
/// The most partners with a higher rating that are considered for a ticket.
const NEIGHBOURS: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Open,
    Matched,
    Canceled,
    Expired,
}

impl State {
    const ALL: [Self; 4] = [Self::Open, Self::Matched, Self::Canceled, Self::Expired];

    /// The name in the database.
    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Matched => "matched",
            Self::Canceled => "canceled",
            Self::Expired => "expired",
        }
    }

    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Ticket {
    pub id: Uuid,
    pub user_id: Uuid,
    pub user_name: String,
    pub mode: Mode,
    pub rating: i64,
    pub state: State,
    pub created_at: DateTime<Utc>,
    /// Set if matched.
    pub duel_id: Option<Uuid>,
    pub explanation: Option<Explanation>,
}

impl Ticket {
    pub fn expires_at(&self) -> DateTime<Utc> {
        self.created_at + EXPIRY
    }

    fn wait(&self, now: DateTime<Utc>) -> i64 {
        (now - self.created_at).num_seconds().max(0)
    }
}

/// Why two tickets were paired, as it is stored. The first elements are those of the older ticket.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Explanation {
    #[prost(int64, repeated, tag = "1")]
    pub ratings: Vec<i64>,
    #[prost(int64, repeated, tag = "2")]
    pub ranges: Vec<i64>,
    /// In seconds.
    #[prost(int64, repeated, tag = "3")]
    pub waits: Vec<i64>,
    #[prost(string, tag = "4")]
    pub reason: String,
}

/// Two tickets, the older first.
#[derive(Clone, Debug, PartialEq)]
pub struct Match {
    pub tickets: [Ticket; 2],
    pub explanation: Explanation,
}

/// How far the rating of an opponent may differ after a wait in seconds.
pub fn range(wait: i64) -> i64 {
    let (first, growth, most) = RANGE;
    first.saturating_add(growth.saturating_mul(wait)).min(most)
}

/// Two users in the order of their ids.
pub fn unordered(a: Uuid, b: Uuid) -> (Uuid, Uuid) {
    (a.min(b), a.max(b))
}

/// The pairs, the best first. `excluded` pairs of users, as [`unordered`], are not made.
pub fn pairs(
    tickets: &[Ticket],
    excluded: &HashSet<(Uuid, Uuid)>,
    now: DateTime<Utc>,
    seed: u64,
) -> Vec<Match> {
    let mut sorted: Vec<&Ticket> = tickets.iter().collect();
    sorted.sort_by_key(|ticket| (ticket.mode.name(), ticket.rating, ticket.id));
    let mut possible = Vec::new();
    for (index, low) in sorted.iter().enumerate() {
        let above = sorted[index + 1..].iter().enumerate();
        let near = above.take_while(|(_, high)| {
            high.mode == low.mode && high.rating - low.rating <= range(low.wait(now))
        });
        let fits = near.filter(|(_, high)| {
            high.rating - low.rating <= range(high.wait(now))
                && high.user_id != low.user_id
                && !excluded.contains(&unordered(low.user_id, high.user_id))
        });
        for (offset, high) in fits.take(NEIGHBOURS) {
            let cost = high.rating - low.rating - low.wait(now) - high.wait(now);
            let tie = mix(seed ^ fold(low.id.as_u128()) ^ fold(high.id.as_u128()).rotate_left(1));
            possible.push((cost, tie, index, index + 1 + offset));
        }
    }
    possible.sort_unstable();
    let mut taken = vec![false; sorted.len()];
    let mut matches = Vec::new();
    for (_, _, a, b) in possible {
        if !taken[a] && !taken[b] {
            (taken[a], taken[b]) = (true, true);
            matches.push(Match::of(sorted[a], sorted[b], now));
        }
    }
    matches
}

impl Match {
    fn of(a: &Ticket, b: &Ticket, now: DateTime<Utc>) -> Self {
        let (older, newer) =
            if (a.created_at, a.id) <= (b.created_at, b.id) { (a, b) } else { (b, a) };
        let both = [older, newer];
        let waits = both.map(|ticket| ticket.wait(now));
        let reason = format!(
            "the ratings differ by {}, within the ranges that {} s and {} s of waiting allow",
            (older.rating - newer.rating).abs(),
            waits[0],
            waits[1],
        );
        let explanation = Explanation {
            ratings: both.map(|ticket| ticket.rating).to_vec(),
            ranges: waits.map(range).to_vec(),
            waits: waits.to_vec(),
            reason,
        };
        Self { tickets: both.map(Clone::clone), explanation }
    }
}

#[cfg(test)]
mod tests;
