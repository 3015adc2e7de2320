//! The boards of contests in this process, built from their logs.
//!
//! Every process keeps its own boards. A reader first applies what the log holds beyond its board, so that any process
//! answers with the newest committed state.

use std::sync::Arc;

use db::Db;
use proto::Verdict;
use quick_cache::sync::Cache;
use tokio::sync::{Mutex, OwnedMutexGuard};
use uuid::Uuid;

use crate::contest::State;
use crate::error::Error;
use crate::format::{Icpc, Settings};
use crate::log::{Entry, Kind, ParticipantChanged};
use crate::standings::{self, Board, Past, Rules, View};
use crate::store;

/// The most boards in memory; the least used ones are built again when they are needed.
const MAX_BOARDS: usize = 64;
/// The most earlier minutes that are kept per board: about 5 MB each for 100,000 participants.
const MAX_PASTS: usize = 4;
/// Entries read by one statement.
const BATCH: i64 = 20_000;

pub struct Boards(Cache<Uuid, Arc<Mutex<Current>>>);

/// A board with the number of the last entry that it contains.
#[derive(Default)]
pub struct Current {
    board: Option<Board>,
    seq: i64,
    /// Standings of earlier minutes that were read last, the newest at the end.
    pasts: Vec<Past>,
}

impl Current {
    pub fn board(&mut self) -> &Board {
        self.board.get_or_insert_with(|| Board::new(no_rules()))
    }

    /// The board, and its standings at an earlier contest time if there is one.
    pub fn board_at(&mut self, view: View, until_us: Option<i64>) -> (&Board, Option<&Past>) {
        let board = self.board.get_or_insert_with(|| Board::new(no_rules()));
        let Some(until_us) = until_us else { return (board, None) };
        let known = self.pasts.iter().position(|past| past.is_of(view, until_us));
        let past = match known {
            Some(at) => self.pasts.remove(at),
            None => board.past(view, until_us),
        };
        if self.pasts.len() >= MAX_PASTS {
            self.pasts.remove(0);
        }
        self.pasts.push(past);
        (board, self.pasts.last())
    }
}

impl Default for Boards {
    fn default() -> Self {
        Self(Cache::new(MAX_BOARDS))
    }
}

impl Boards {
    /// The board of a contest with every committed entry, locked for reading.
    pub async fn current(&self, db: &Db, contest: Uuid) -> Result<OwnedMutexGuard<Current>, Error> {
        let slot = match self.0.get(&contest) {
            Some(slot) => slot,
            None => {
                let new = Arc::new(Mutex::new(Current::default()));
                match self.0.get_value_or_guard(&contest, None) {
                    quick_cache::sync::GuardResult::Value(slot) => slot,
                    quick_cache::sync::GuardResult::Guard(guard) => {
                        // Fails only if the entry was replaced, which nothing does.
                        guard.insert(new.clone()).ok();
                        new
                    }
                    quick_cache::sync::GuardResult::Timeout => new,
                }
            }
        };
        let mut current = slot.lock_owned().await;
        let start = std::time::Instant::now();
        match &mut current.board {
            Some(_) => catch_up(db, contest, &mut current).await?,
            None => build(db, contest, &mut current).await?,
        }
        metrics::histogram!("agon_standings_update_seconds").record(start.elapsed());
        Ok(current)
    }
}

/// Builds the board from the whole log, which is much faster than applying one entry after the other.
async fn build(db: &Db, contest: Uuid, current: &mut Current) -> Result<(), Error> {
    let (mut all, mut seq) = (Vec::new(), 0);
    while let Some(entries) = next(db, contest, &mut seq).await? {
        all.extend(entries);
    }
    current.board = Some(Board::load(no_rules(), all));
    current.seq = seq;
    Ok(())
}

/// A board of its own with every committed entry.
pub async fn fresh(db: &Db, contest: Uuid) -> Result<Board, Error> {
    let mut current = Current::default();
    build(db, contest, &mut current).await?;
    Ok(current.board.unwrap_or_else(|| Board::new(no_rules())))
}

/// Applies the entries that the log holds beyond the board.
async fn catch_up(db: &Db, contest: Uuid, current: &mut Current) -> Result<(), Error> {
    let mut seq = current.seq;
    while let Some(entries) = next(db, contest, &mut seq).await? {
        let Some(board) = &mut current.board else { return Ok(()) };
        for entry in entries {
            board.apply(entry);
        }
        current.seq = seq;
        current.pasts.clear();
    }
    Ok(())
}

/// The entries after a number, which becomes that of the last one; `None` if there are none.
async fn next(
    db: &Db,
    contest: Uuid,
    seq: &mut i64,
) -> Result<Option<Vec<standings::Entry>>, Error> {
    let entries = store::log::read(db, contest, *seq, BATCH).await?;
    let Some((last, _)) = entries.last() else { return Ok(None) };
    *seq = *last;
    Ok(Some(entries.iter().flat_map(|(_, entry)| of_log(entry)).collect()))
}

/// The rules before the first entry, which holds those of the contest.
fn no_rules() -> Rules {
    let format = Settings::Icpc(Icpc { penalty_minutes: 0 });
    Rules { format, freeze_us: None, problems: Vec::new() }
}

/// What an entry of the log means for the board; nothing for entries of a later version.
fn of_log(entry: &Entry) -> Vec<standings::Entry> {
    let Some(kind) = &entry.kind else { return Vec::new() };
    match kind {
        Kind::Settings(settings) => {
            let problems = settings.problem_ids.iter().filter_map(|id| uuid(id)).collect();
            let penalty_minutes = u32::try_from(settings.penalty_minutes).unwrap_or_default();
            let format = Settings::Icpc(Icpc { penalty_minutes });
            let rules = Rules { format, freeze_us: settings.freeze_us, problems };
            vec![standings::Entry::RulesChanged(rules)]
        }
        Kind::State(changed) => match State::of(&changed.state) {
            Some(State::Thawed) => vec![standings::Entry::Thawed],
            _ => Vec::new(),
        },
        Kind::Participant(changed) => participant(changed),
        Kind::Attempt(attempt) => {
            let ids = [&attempt.submission_id, &attempt.participant_id, &attempt.problem_id];
            let [Some(submission), Some(participant), Some(problem)] = ids.map(|id| uuid(id))
            else {
                return Vec::new();
            };
            let at_us = attempt.time_us;
            vec![standings::Entry::Attempt { submission, participant, problem, at_us }]
        }
        Kind::Judged(judged) => {
            let verdict = Verdict::from_number(judged.verdict);
            let (Some(submission), Some(verdict)) = (uuid(&judged.submission_id), verdict) else {
                return Vec::new();
            };
            vec![judged_entry(submission, verdict)]
        }
        _ => of_jury(kind).into_iter().collect(),
    }
}

/// What a verdict means for the board. After a judge error the submission waits for another judgement.
pub fn judged_entry(submission: Uuid, verdict: Verdict) -> standings::Entry {
    match verdict {
        Verdict::JudgeError => standings::Entry::Unjudged { submission },
        verdict => standings::Entry::Judged { submission, verdict },
    }
}

/// What an action of the jury means for the board.
fn of_jury(kind: &Kind) -> Option<standings::Entry> {
    const SECOND_US: i64 = 1_000_000;
    Some(match kind {
        Kind::Ignored(it) => {
            standings::Entry::Ignored { submission: uuid(&it.submission_id)?, ignored: it.ignored }
        }
        Kind::PenaltyAdjusted(it) => standings::Entry::PenaltyAdjusted {
            participant: uuid(&it.participant_id)?,
            minutes: i32::try_from(it.minutes).ok()?,
        },
        Kind::IntervalRemoved(it) => standings::Entry::IntervalRemoved {
            id: uuid(&it.interval_id)?,
            from_us: it.from.checked_mul(SECOND_US)?,
            to_us: it.to.checked_mul(SECOND_US)?,
        },
        Kind::IntervalRestored(it) => {
            standings::Entry::IntervalRestored { id: uuid(&it.interval_id)? }
        }
        _ => return None,
    })
}

fn participant(changed: &ParticipantChanged) -> Vec<standings::Entry> {
    let Some(participant) = uuid(&changed.participant_id) else { return Vec::new() };
    let ParticipantChanged { unofficial, hidden, disqualified, withdrawn, .. } = *changed;
    if withdrawn {
        return vec![standings::Entry::ParticipantWithdrawn { participant }];
    }
    let (group, country) = (changed.group.clone(), changed.country.clone());
    vec![
        standings::Entry::ParticipantAdded { participant, hidden, unofficial },
        standings::Entry::ParticipantUpdated { participant, hidden, unofficial, disqualified },
        standings::Entry::ParticipantTagged { participant, group, country },
    ]
}

fn uuid(bytes: &[u8]) -> Option<Uuid> {
    Uuid::from_slice(bytes).ok()
}
