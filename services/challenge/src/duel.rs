//! Duels: states and moves. Pure.

pub mod choice;
pub mod score;

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use score::{Attempt, Decision};

/// The time in which an invitation must be answered.
pub const INVITATION: TimeDelta = TimeDelta::minutes(5);
/// No draw can be offered in this time after the start.
pub const NO_DRAW: TimeDelta = TimeDelta::minutes(10);
/// The time in which a draw offer must be accepted.
pub const DRAW_OFFER: TimeDelta = TimeDelta::minutes(2);
/// The default from start to end.
pub const TIME_LIMIT: TimeDelta = TimeDelta::minutes(45);
/// The default number of problems in modes that have several.
pub const PROBLEMS: i64 = 5;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    FirstToSolve,
    Lockout,
    Points,
}

impl Mode {
    const ALL: [Self; 3] = [Self::FirstToSolve, Self::Lockout, Self::Points];

    /// The name in the database.
    pub fn name(self) -> &'static str {
        match self {
            Self::FirstToSolve => "first_to_solve",
            Self::Lockout => "lockout",
            Self::Points => "points",
        }
    }

    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.name() == name)
    }

    pub fn default_problem_count(self) -> i64 {
        if self == Self::FirstToSolve { 1 } else { PROBLEMS }
    }

    /// The points of a problem, by its index.
    pub fn points(self, index: usize) -> i64 {
        match self {
            Self::FirstToSolve | Self::Lockout => 1,
            Self::Points => i64::try_from(index).map_or(0, |index| 100 * (index + 1)),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Invited,
    Running,
    Finished,
    Declined,
    Canceled,
    Expired,
}

impl State {
    const ALL: [Self; 6] = [
        Self::Invited,
        Self::Running,
        Self::Finished,
        Self::Declined,
        Self::Canceled,
        Self::Expired,
    ];

    /// The name in the database.
    pub fn name(self) -> &'static str {
        match self {
            Self::Invited => "invited",
            Self::Running => "running",
            Self::Finished => "finished",
            Self::Declined => "declined",
            Self::Canceled => "canceled",
            Self::Expired => "expired",
        }
    }

    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }

    /// Whether everyone may see the duel.
    pub fn is_public(self) -> bool {
        matches!(self, Self::Running | Self::Finished)
    }
}

/// How a duel ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    Won(Side),
    Drawn,
    /// The winner is the other player.
    Forfeited(Side),
    TimedOut,
    Voided,
}

impl Ending {
    /// The name in the database.
    pub fn name(self) -> &'static str {
        match self {
            Self::Won(_) => "won",
            Self::Drawn => "drawn",
            Self::Forfeited(_) => "forfeited",
            Self::TimedOut => "timed_out",
            Self::Voided => "voided",
        }
    }

    pub fn of(name: &str, winner: Option<Side>) -> Option<Self> {
        Some(match (name, winner) {
            ("won", Some(winner)) => Self::Won(winner),
            ("drawn", None) => Self::Drawn,
            ("forfeited", Some(winner)) => Self::Forfeited(winner.other()),
            ("timed_out", None) => Self::TimedOut,
            ("voided", None) => Self::Voided,
            _ => return None,
        })
    }

    pub fn winner(self) -> Option<Side> {
        match self {
            Self::Won(winner) => Some(winner),
            Self::Forfeited(loser) => Some(loser.other()),
            Self::Drawn | Self::TimedOut | Self::Voided => None,
        }
    }
}

/// One of the two players.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Invited, or waited longer for a match.
    First,
    Second,
}

impl Side {
    pub const BOTH: [Self; 2] = [Self::First, Self::Second];

    pub fn other(self) -> Self {
        match self {
            Self::First => Self::Second,
            Self::Second => Self::First,
        }
    }

    pub fn index(self) -> usize {
        match self {
            Self::First => 0,
            Self::Second => 1,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Player {
    pub user_id: Uuid,
    pub name: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub problem_id: Uuid,
    /// 0 = unknown.
    pub difficulty: i64,
    pub points: i64,
    /// Why it was chosen.
    pub reason: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Duel {
    pub id: Uuid,
    pub mode: Mode,
    pub state: State,
    /// Set if finished.
    pub ending: Option<Ending>,
    pub players: [Player; 2],
    pub problem_count: i64,
    pub time_limit: TimeDelta,
    /// Empty until the start.
    pub problems: Vec<Problem>,
    pub created_at: DateTime<Utc>,
    /// The end of the invitation; `None` for a duel of the matchmaker.
    pub expires_at: Option<DateTime<Utc>>,
    pub started_at: Option<DateTime<Utc>>,
    pub ends_at: Option<DateTime<Utc>>,
    pub finished_at: Option<DateTime<Utc>>,
    pub draw_offer: Option<DrawOffer>,
    pub void_reason: String,
    pub rematch_of: Option<Uuid>,
    /// Why the matchmaker paired the players.
    pub matched: Option<crate::matchmaker::Explanation>,
    /// When the scheduler must act; `None` if time changes nothing.
    pub due_at: Option<DateTime<Utc>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DrawOffer {
    pub side: Side,
    pub expires_at: DateTime<Utc>,
}

/// What a player can do, apart from accepting the invitation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    Decline,
    Cancel,
    Forfeit,
    OfferDraw,
    AcceptDraw,
}

/// Why a move is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    NotInvited,
    NotRunning,
    /// Only the other player can do it.
    OtherPlayer,
    /// A draw can be offered later.
    TooEarly,
    NoDrawOffer,
}

impl Duel {
    pub fn side(&self, user: Uuid) -> Option<Side> {
        Side::BOTH.into_iter().find(|side| self.players[side.index()].user_id == user)
    }

    pub fn user_ids(&self) -> [Uuid; 2] {
        [self.players[0].user_id, self.players[1].user_id]
    }

    /// The index of the problem with this label or id.
    pub fn problem(&self, name: &str) -> Option<usize> {
        let id = ids::parse(name);
        let mut problems = self.problems.iter().enumerate();
        let found = problems
            .find(|(index, problem)| Some(problem.problem_id) == id || label(*index) == name);
        found.map(|(index, _)| index)
    }

    /// The draw offer that can be accepted at a time.
    pub fn open_offer(&self, now: DateTime<Utc>) -> Option<DrawOffer> {
        self.draw_offer.filter(|offer| self.state == State::Running && now < offer.expires_at)
    }

    /// Whether submissions are accepted.
    pub fn accepts_submissions(&self, now: DateTime<Utc>) -> bool {
        self.state == State::Running && self.ends_at.is_some_and(|end| now < end)
    }

    fn check_invited(&self, now: DateTime<Utc>) -> Result<(), Refusal> {
        let open = self.expires_at.is_some_and(|end| now < end);
        if self.state == State::Invited && open { Ok(()) } else { Err(Refusal::NotInvited) }
    }

    /// Whether this player can start the duel by accepting the invitation.
    pub fn check_accept(&self, side: Side, now: DateTime<Utc>) -> Result<(), Refusal> {
        self.check_invited(now)?;
        if side == Side::Second { Ok(()) } else { Err(Refusal::OtherPlayer) }
    }

    pub fn start(&mut self, problems: Vec<Problem>, now: DateTime<Utc>) {
        let end = now + self.time_limit;
        self.state = State::Running;
        self.problems = problems;
        (self.started_at, self.ends_at, self.due_at) = (Some(now), Some(end), Some(end));
    }

    pub fn make(&mut self, made: Move, side: Side, now: DateTime<Utc>) -> Result<(), Refusal> {
        match made {
            Move::Decline => {
                self.check_accept(side, now)?;
                self.close(State::Declined);
            }
            Move::Cancel => {
                self.check_invited(now)?;
                if side != Side::First {
                    return Err(Refusal::OtherPlayer);
                }
                self.close(State::Canceled);
            }
            Move::Forfeit => {
                self.check_running()?;
                self.finish(Ending::Forfeited(side), now);
            }
            Move::OfferDraw => {
                if !self.accepts_submissions(now) {
                    return Err(Refusal::NotRunning);
                }
                if self.started_at.is_some_and(|start| now < start + NO_DRAW) {
                    return Err(Refusal::TooEarly);
                }
                match self.open_offer(now) {
                    // Both want a draw.
                    Some(offer) if offer.side != side => self.finish(Ending::Drawn, now),
                    _ => self.draw_offer = Some(DrawOffer { side, expires_at: now + DRAW_OFFER }),
                }
            }
            Move::AcceptDraw => {
                self.check_running()?;
                let offer = self.open_offer(now).filter(|offer| offer.side != side);
                offer.ok_or(Refusal::NoDrawOffer)?;
                self.finish(Ending::Drawn, now);
            }
        }
        Ok(())
    }

    fn check_running(&self) -> Result<(), Refusal> {
        if self.state == State::Running { Ok(()) } else { Err(Refusal::NotRunning) }
    }

    /// What the time and the verdicts make of the duel. Returns whether it changed.
    pub fn settle(&mut self, attempts: &[Attempt], now: DateTime<Utc>) -> bool {
        match self.state {
            State::Invited if self.check_invited(now).is_err() => self.close(State::Expired),
            State::Running => return self.decide(attempts, now),
            _ => return false,
        }
        true
    }

    fn decide(&mut self, attempts: &[Attempt], now: DateTime<Utc>) -> bool {
        let over = self.ends_at.is_none_or(|end| now >= end);
        let points: Vec<i64> = self.problems.iter().map(|problem| problem.points).collect();
        let ending = match score::decide(self.mode, &points, attempts, over) {
            Decision::Won(side) => Ending::Won(side),
            Decision::Drawn => Ending::Drawn,
            Decision::NoPoints => Ending::TimedOut,
            // The last verdict decides, not the time.
            Decision::Open => {
                let waited = over && self.due_at.is_some();
                if over {
                    self.due_at = None;
                }
                return waited;
            }
        };
        self.finish(ending, now);
        true
    }

    /// Ends the duel because a player was suspended. Returns whether it changed.
    pub fn suspend(&mut self, side: Side, now: DateTime<Utc>) -> bool {
        match self.state {
            State::Invited => self.close(State::Canceled),
            State::Running => self.finish(Ending::Forfeited(side), now),
            _ => return false,
        }
        true
    }

    pub fn void(&mut self, reason: &str, now: DateTime<Utc>) -> Result<(), Refusal> {
        if !self.state.is_public() {
            return Err(Refusal::NotRunning);
        }
        self.void_reason = reason.to_owned();
        self.finish(Ending::Voided, now);
        Ok(())
    }

    fn close(&mut self, state: State) {
        (self.state, self.due_at) = (state, None);
    }

    fn finish(&mut self, ending: Ending, now: DateTime<Utc>) {
        self.close(State::Finished);
        (self.ending, self.finished_at, self.draw_offer) = (Some(ending), Some(now), None);
    }
}

/// The label of a problem, by its index.
pub fn label(index: usize) -> String {
    let letter = u8::try_from(index).ok().and_then(|index| b'A'.checked_add(index));
    letter.map(|letter| char::from(letter).to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
