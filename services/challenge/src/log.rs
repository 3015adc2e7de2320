//! The log of a contest or duel: everything that decides its standings or result, in order.
//!
//! Entries hold ids, never names. They are stored as protobuf messages, which later versions extend.

use chrono::{DateTime, Utc};
use db::Tx;
use prost::{Message, Oneof};
use proto::Verdict;
use uuid::Uuid;

use crate::contest::{Contest, Participant, State};
use crate::duel::{Duel, Ending, Side};
use crate::store;

/// The log of one contest, locked until the end of the transaction. Whatever changes a contest locks its log first.
pub struct Log {
    contest: Uuid,
    /// A number that is reserved and not used.
    next: Option<i64>,
}

impl Log {
    /// `None` if there is no such contest.
    pub async fn lock(tx: &mut Tx, contest: Uuid) -> db::Result<Option<Self>> {
        let next = store::log::lock(tx, contest).await?;
        Ok(next.map(|next| Self { contest, next: Some(next) }))
    }

    /// The log of a new contest.
    pub async fn create(tx: &mut Tx, contest: Uuid) -> db::Result<Self> {
        store::log::create(tx, contest).await?;
        Ok(Self { contest, next: Some(1) })
    }

    /// The next number, for an event without an entry. Numbers rise; some have no entry.
    pub async fn number(&mut self, tx: &mut Tx) -> db::Result<i64> {
        match self.next.take() {
            Some(next) => Ok(next),
            None => store::log::lock(tx, self.contest).await?.ok_or(db::Error::NotFound),
        }
    }

    /// Appends an entry and returns its number.
    pub async fn append(
        &mut self,
        tx: &mut Tx,
        time: DateTime<Utc>,
        entry: &Entry,
    ) -> db::Result<i64> {
        let number = self.number(tx).await?;
        store::log::write(tx, self.contest, number, time, entry).await?;
        Ok(number)
    }
}

/// An entry as it is stored.
#[derive(Clone, PartialEq, Message)]
pub struct Entry {
    #[prost(oneof = "Kind", tags = "1, 2, 3, 4, 5, 6, 7, 8, 9, 25")]
    pub kind: Option<Kind>,
}

#[derive(Clone, PartialEq, Oneof)]
pub enum Kind {
    /// The settings that matter for the standings.
    #[prost(message, tag = "1")]
    Settings(Settings),
    /// The contest reached a state.
    #[prost(message, tag = "2")]
    State(StateChanged),
    /// A participant registered, withdrew, or counts in another way.
    #[prost(message, tag = "3")]
    Participant(ParticipantChanged),
    /// A submission was acknowledged.
    #[prost(message, tag = "4")]
    Attempt(Attempt),
    /// A submission has a verdict.
    #[prost(message, tag = "5")]
    Judged(Judged),
    /// A submission counts no more, or again.
    #[prost(message, tag = "6")]
    Ignored(Ignored),
    #[prost(message, tag = "7")]
    PenaltyAdjusted(PenaltyAdjusted),
    #[prost(message, tag = "8")]
    IntervalRemoved(IntervalRemoved),
    #[prost(message, tag = "9")]
    IntervalRestored(IntervalRestored),
    /// A duel changed.
    #[prost(message, tag = "25")]
    Duel(DuelChanged),
}

#[derive(Clone, PartialEq, Message)]
pub struct Settings {
    #[prost(int64, tag = "1")]
    pub penalty_minutes: i64,
    /// In microseconds of contest time.
    #[prost(int64, optional, tag = "2")]
    pub freeze_us: Option<i64>,
    /// In the order of the contest.
    #[prost(bytes = "vec", repeated, tag = "3")]
    pub problem_ids: Vec<Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
pub struct StateChanged {
    #[prost(string, tag = "1")]
    pub state: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct ParticipantChanged {
    #[prost(bytes = "vec", tag = "1")]
    pub participant_id: Vec<u8>,
    #[prost(bool, tag = "2")]
    pub unofficial: bool,
    #[prost(bool, tag = "3")]
    pub hidden: bool,
    #[prost(bool, tag = "4")]
    pub disqualified: bool,
    #[prost(bool, tag = "5")]
    pub withdrawn: bool,
    #[prost(string, tag = "15")]
    pub group: String,
    #[prost(string, tag = "16")]
    pub country: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct Attempt {
    #[prost(bytes = "vec", tag = "1")]
    pub submission_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub participant_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    pub problem_id: Vec<u8>,
    /// Contest time, in microseconds.
    #[prost(int64, tag = "4")]
    pub time_us: i64,
}

#[derive(Clone, PartialEq, Message)]
pub struct Judged {
    #[prost(bytes = "vec", tag = "1")]
    pub submission_id: Vec<u8>,
    #[prost(int32, tag = "2")]
    pub verdict: i32,
}

#[derive(Clone, PartialEq, Message)]
pub struct Ignored {
    #[prost(bytes = "vec", tag = "1")]
    pub submission_id: Vec<u8>,
    #[prost(bool, tag = "2")]
    pub ignored: bool,
}

#[derive(Clone, PartialEq, Message)]
pub struct PenaltyAdjusted {
    #[prost(bytes = "vec", tag = "1")]
    pub participant_id: Vec<u8>,
    #[prost(int64, tag = "2")]
    pub minutes: i64,
}

/// Contest times are in seconds.
#[derive(Clone, PartialEq, Message)]
pub struct IntervalRemoved {
    #[prost(bytes = "vec", tag = "1")]
    pub interval_id: Vec<u8>,
    #[prost(int64, tag = "2")]
    pub from: i64,
    #[prost(int64, tag = "3")]
    pub to: i64,
}

#[derive(Clone, PartialEq, Message)]
pub struct IntervalRestored {
    #[prost(bytes = "vec", tag = "1")]
    pub interval_id: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
pub struct DuelChanged {
    #[prost(string, tag = "1")]
    pub state: String,
    /// Empty unless finished.
    #[prost(string, tag = "2")]
    pub ending: String,
    /// Empty without a winner.
    #[prost(bytes = "vec", tag = "3")]
    pub winner_id: Vec<u8>,
    /// The player who offers a draw; empty without an offer.
    #[prost(bytes = "vec", tag = "4")]
    pub draw_offered_by: Vec<u8>,
}

impl From<Kind> for Entry {
    fn from(kind: Kind) -> Self {
        Self { kind: Some(kind) }
    }
}

fn bytes(id: Uuid) -> Vec<u8> {
    id.as_bytes().to_vec()
}

pub fn settings(contest: &Contest) -> Entry {
    let problem_ids = contest.problems.iter().map(|problem| bytes(problem.problem_id)).collect();
    let (penalty_minutes, freeze_us) = (contest.penalty_minutes, contest.freeze_us());
    Kind::Settings(Settings { penalty_minutes, freeze_us, problem_ids }).into()
}

pub fn state(state: State) -> Entry {
    Kind::State(StateChanged { state: state.name().to_owned() }).into()
}

pub fn participant(participant: &Participant) -> Entry {
    Kind::Participant(ParticipantChanged {
        participant_id: bytes(participant.id),
        unofficial: participant.unofficial,
        hidden: participant.hidden,
        disqualified: participant.disqualified,
        withdrawn: participant.withdrawn_at.is_some(),
        group: participant.group.clone(),
        country: participant.country.clone(),
    })
    .into()
}

pub fn attempt(submission: Uuid, participant: Uuid, problem: Uuid, time_us: i64) -> Entry {
    let [submission_id, participant_id, problem_id] = [submission, participant, problem].map(bytes);
    Kind::Attempt(Attempt { submission_id, participant_id, problem_id, time_us }).into()
}

pub fn judged(submission: Uuid, verdict: Verdict) -> Entry {
    Kind::Judged(Judged { submission_id: bytes(submission), verdict: verdict.number() }).into()
}

pub fn ignored(submission: Uuid, ignored: bool) -> Entry {
    Kind::Ignored(Ignored { submission_id: bytes(submission), ignored }).into()
}

pub fn penalty_adjusted(participant: Uuid, minutes: i64) -> Entry {
    Kind::PenaltyAdjusted(PenaltyAdjusted { participant_id: bytes(participant), minutes }).into()
}

/// Contest times are in seconds.
pub fn interval_removed(interval: Uuid, from: i64, to: i64) -> Entry {
    Kind::IntervalRemoved(IntervalRemoved { interval_id: bytes(interval), from, to }).into()
}

pub fn interval_restored(interval: Uuid) -> Entry {
    Kind::IntervalRestored(IntervalRestored { interval_id: bytes(interval) }).into()
}

pub fn duel(duel: &Duel) -> Entry {
    let user = |side: Side| bytes(duel.players[side.index()].user_id);
    Kind::Duel(DuelChanged {
        state: duel.state.name().to_owned(),
        ending: duel.ending.map(Ending::name).unwrap_or_default().to_owned(),
        winner_id: duel.ending.and_then(Ending::winner).map(user).unwrap_or_default(),
        draw_offered_by: duel.draw_offer.map(|offer| user(offer.side)).unwrap_or_default(),
    })
    .into()
}
