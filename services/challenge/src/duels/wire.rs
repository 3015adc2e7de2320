//! Conversions of duels and tickets to protos.

use chrono::{DateTime, TimeDelta, Utc};
use proto::challenge as pb;
use uuid::Uuid;

use crate::duel::score::{Attempt, Cell, cells};
use crate::duel::{Duel, Ending, Mode, Side, State, label};
use crate::matchmaker::{self, Explanation, Ticket};
use crate::wire::{duration_us, timestamp};

/// A duel with what its players did.
pub fn duel(duel: &Duel, attempts: &[Attempt], now: DateTime<Utc>) -> pb::Duel {
    let mut shown = listed(duel, now);
    let mut points = [0_i64; 2];
    for (index, problem) in shown.problems.iter_mut().enumerate() {
        let cells = cells(duel.mode, index, attempts);
        for side in Side::BOTH.map(Side::index) {
            if cells[side].scored {
                points[side] += duel.problems[index].points;
            }
        }
        problem.cells = cells.iter().map(cell).collect();
    }
    for (player, points) in shown.players.iter_mut().zip(points) {
        player.points = clamp(points);
    }
    shown
}

/// A duel without cells and points of players.
pub fn listed(duel: &Duel, now: DateTime<Utc>) -> pb::Duel {
    let user = |side: Side| duel.players[side.index()].user_id.to_string();
    let offer = duel.open_offer(now);
    pb::Duel {
        duel_id: duel.id.to_string(),
        mode: mode(duel.mode).into(),
        state: state(duel.state).into(),
        result: duel.ending.map_or(pb::DuelResult::Unspecified, result).into(),
        winner_id: duel.ending.and_then(Ending::winner).map(user).unwrap_or_default(),
        players: duel.players.iter().map(player).collect(),
        problem_count: clamp(duel.problem_count),
        time_limit: Some(duration(duel.time_limit)),
        problems: duel.problems.iter().enumerate().map(problem).collect(),
        create_time: Some(timestamp(duel.created_at)),
        expire_time: duel.expires_at.map(timestamp),
        start_time: duel.started_at.map(timestamp),
        end_time: duel.ends_at.map(timestamp),
        finish_time: duel.finished_at.map(timestamp),
        draw_offer: offer.map(|offer| pb::DrawOffer {
            user_id: user(offer.side),
            expire_time: Some(timestamp(offer.expires_at)),
        }),
        void_reason: duel.void_reason.clone(),
        rematch_of: text(duel.rematch_of),
        r#match: duel.matched.as_ref().map(explanation),
    }
}

fn player(player: &crate::duel::Player) -> pb::DuelPlayer {
    pb::DuelPlayer { user_id: player.user_id.to_string(), name: player.name.clone(), points: 0 }
}

fn problem((index, problem): (usize, &crate::duel::Problem)) -> pb::DuelProblem {
    pb::DuelProblem {
        label: label(index),
        problem_id: problem.problem_id.to_string(),
        difficulty: clamp(problem.difficulty),
        points: clamp(problem.points),
        reason: problem.reason.clone(),
        cells: Vec::new(),
    }
}

fn cell(cell: &Cell) -> pb::DuelCell {
    pb::DuelCell {
        solved: cell.solved,
        scored: cell.scored,
        attempt_count: cell.tries,
        pending_count: cell.pending,
        solve_time: cell.time_us.map(duration_us),
    }
}

pub fn ticket(ticket: &Ticket) -> pb::Ticket {
    pb::Ticket {
        ticket_id: ticket.id.to_string(),
        user_id: ticket.user_id.to_string(),
        mode: mode(ticket.mode).into(),
        rating: clamp(ticket.rating),
        state: match ticket.state {
            matchmaker::State::Open => pb::TicketState::Open,
            matchmaker::State::Matched => pb::TicketState::Matched,
            matchmaker::State::Canceled => pb::TicketState::Canceled,
            matchmaker::State::Expired => pb::TicketState::Expired,
        }
        .into(),
        duel_id: text(ticket.duel_id),
        r#match: ticket.explanation.as_ref().map(explanation),
        create_time: Some(timestamp(ticket.created_at)),
        expire_time: Some(timestamp(ticket.expires_at())),
    }
}

fn explanation(explanation: &Explanation) -> pb::DuelMatch {
    let numbers = |numbers: &[i64]| numbers.iter().map(|number| clamp(*number)).collect();
    let wait = |seconds: &i64| duration(TimeDelta::seconds(*seconds));
    pb::DuelMatch {
        ratings: numbers(&explanation.ratings),
        ranges: numbers(&explanation.ranges),
        waits: explanation.waits.iter().map(wait).collect(),
        reason: explanation.reason.clone(),
    }
}

fn mode(mode: Mode) -> pb::DuelMode {
    match mode {
        Mode::FirstToSolve => pb::DuelMode::FirstToSolve,
        Mode::Lockout => pb::DuelMode::Lockout,
        Mode::Points => pb::DuelMode::Points,
    }
}

/// The mode of a number, the default one for 0; `None` for unknown numbers.
pub fn mode_of(number: i32) -> Option<Mode> {
    Some(match pb::DuelMode::try_from(number).ok()? {
        pb::DuelMode::Unspecified | pb::DuelMode::FirstToSolve => Mode::FirstToSolve,
        pb::DuelMode::Lockout => Mode::Lockout,
        pb::DuelMode::Points => Mode::Points,
    })
}

fn state(state: State) -> pb::DuelState {
    match state {
        State::Invited => pb::DuelState::Invited,
        State::Running => pb::DuelState::Running,
        State::Finished => pb::DuelState::Finished,
        State::Declined => pb::DuelState::Declined,
        State::Canceled => pb::DuelState::Canceled,
        State::Expired => pb::DuelState::Expired,
    }
}

/// The state of a number; `None` for 0 and unknown numbers.
pub fn state_of(number: i32) -> Option<State> {
    Some(match pb::DuelState::try_from(number).ok()? {
        pb::DuelState::Unspecified => return None,
        pb::DuelState::Invited => State::Invited,
        pb::DuelState::Running => State::Running,
        pb::DuelState::Finished => State::Finished,
        pb::DuelState::Declined => State::Declined,
        pb::DuelState::Canceled => State::Canceled,
        pb::DuelState::Expired => State::Expired,
    })
}

/// The values of the enum of events are the same.
pub fn result(ending: Ending) -> pb::DuelResult {
    match ending {
        Ending::Won(_) => pb::DuelResult::Won,
        Ending::Drawn => pb::DuelResult::Drawn,
        Ending::Forfeited(_) => pb::DuelResult::Forfeited,
        Ending::TimedOut => pb::DuelResult::TimedOut,
        Ending::Voided => pb::DuelResult::Voided,
    }
}

fn text(id: Option<Uuid>) -> String {
    id.map(|id| id.to_string()).unwrap_or_default()
}

fn duration(delta: TimeDelta) -> prost_types::Duration {
    duration_us(delta.num_microseconds().unwrap_or(i64::MAX))
}

fn clamp(number: i64) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}
