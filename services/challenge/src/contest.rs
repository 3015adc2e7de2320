//! Contests: settings, states and times. Pure.

pub mod origin;
pub mod request;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The states of a contest, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    Draft,
    Scheduled,
    Running,
    Frozen,
    Ended,
    Thawed,
    Finalized,
    Canceled,
}

impl State {
    const ALL: [Self; 8] = [
        Self::Draft,
        Self::Scheduled,
        Self::Running,
        Self::Frozen,
        Self::Ended,
        Self::Thawed,
        Self::Finalized,
        Self::Canceled,
    ];

    /// The name in the database.
    pub fn name(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Scheduled => "scheduled",
            Self::Running => "running",
            Self::Frozen => "frozen",
            Self::Ended => "ended",
            Self::Thawed => "thawed",
            Self::Finalized => "finalized",
            Self::Canceled => "canceled",
        }
    }

    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }

    /// Whether the contest changes no more.
    pub fn is_closed(self) -> bool {
        matches!(self, Self::Finalized | Self::Canceled)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visibility {
    Public,
    /// For participants and organisers.
    Private,
}

impl Visibility {
    /// The name in the database.
    pub fn name(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Private => "private",
        }
    }

    pub fn of(name: &str) -> Option<Self> {
        [Self::Public, Self::Private].into_iter().find(|it| it.name() == name)
    }
}

/// How participants are ranked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Icpc,
}

impl Format {
    /// The name in the database.
    pub fn name(self) -> &'static str {
        match self {
            Self::Icpc => "icpc",
        }
    }

    pub fn of(name: &str) -> Option<Self> {
        (name == Self::Icpc.name()).then_some(Self::Icpc)
    }
}

/// How participants join.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Registration {
    Open,
    /// With the access code.
    Code,
}

impl Registration {
    /// The name in the database.
    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Code => "code",
        }
    }

    pub fn of(name: &str) -> Option<Self> {
        [Self::Open, Self::Code].into_iter().find(|it| it.name() == name)
    }
}

/// A problem of a contest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    pub label: String,
    pub problem_id: Uuid,
    /// When it was added.
    pub title: String,
    /// `#rrggbb`, or empty.
    pub color: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contest {
    pub id: Uuid,
    /// Increased by every change of the settings.
    pub version: i64,
    pub slug: String,
    pub title: String,
    pub description: String,
    pub owner_id: Uuid,
    pub visibility: Visibility,
    pub format: Format,
    pub registration: Registration,
    pub access_code: String,
    pub starts_at: DateTime<Utc>,
    pub ends_at: DateTime<Utc>,
    /// `None`: the standings never freeze.
    pub freezes_at: Option<DateTime<Utc>>,
    pub penalty_minutes: i64,
    /// Allowed languages; empty = all.
    pub languages: Vec<String>,
    /// Bytes; 0 = the limit of the server.
    pub source_limit: i64,
    pub problems: Vec<Problem>,
    /// Participants who are not hidden and have not withdrawn.
    pub participant_count: i64,
    /// The last state in the log.
    pub recorded_state: State,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub published_at: Option<DateTime<Utc>>,
    pub canceled_at: Option<DateTime<Utc>>,
    pub thawed_at: Option<DateTime<Utc>>,
    pub finalized_at: Option<DateTime<Utc>>,
    pub deleted_at: Option<DateTime<Utc>>,
}

impl Contest {
    pub fn etag(&self) -> String {
        format!("{:x}", self.version)
    }

    /// Whether the etag is empty or current.
    pub fn matches(&self, etag: &str) -> bool {
        etag.is_empty() || etag == self.etag()
    }

    /// The text that searches match, lower-case.
    pub fn search_text(&self) -> String {
        format!("{} {}", self.title.to_lowercase(), self.slug)
    }

    /// Whether everyone may see it.
    pub fn is_public(&self) -> bool {
        self.visibility == Visibility::Public && self.published_at.is_some()
    }

    /// The state follows from the times alone: it is right also while the scheduler does not run.
    pub fn state(&self, now: DateTime<Utc>) -> State {
        if self.canceled_at.is_some() {
            State::Canceled
        } else if self.published_at.is_none() {
            State::Draft
        } else if self.finalized_at.is_some() {
            State::Finalized
        } else if self.thawed_at.is_some() {
            State::Thawed
        } else {
            self.timed_state(now)
        }
    }

    fn timed_state(&self, now: DateTime<Utc>) -> State {
        if now >= self.ends_at {
            State::Ended
        } else if now < self.starts_at {
            State::Scheduled
        } else if self.freezes_at.is_some_and(|at| now >= at) {
            State::Frozen
        } else {
            State::Running
        }
    }

    pub fn has_started(&self, now: DateTime<Utc>) -> bool {
        self.published_at.is_some() && now >= self.starts_at
    }

    pub fn has_ended(&self, now: DateTime<Utc>) -> bool {
        self.published_at.is_some() && now >= self.ends_at
    }

    /// The states that a published contest reaches by time, with the planned times, in order.
    fn schedule(&self) -> impl Iterator<Item = (State, DateTime<Utc>)> {
        let freeze = self.freezes_at.filter(|at| *at < self.ends_at);
        let running = (State::Running, self.starts_at);
        let frozen = freeze.map(|at| (State::Frozen, at.max(self.starts_at)));
        [Some(running), frozen, Some((State::Ended, self.ends_at))].into_iter().flatten()
    }

    /// The states that began by `now` and are not recorded, with the planned times, in order.
    pub fn due(&self, now: DateTime<Utc>) -> Vec<(State, DateTime<Utc>)> {
        self.unrecorded().filter(|(_, at)| *at <= now).collect()
    }

    /// When the next state begins that is not recorded.
    pub fn transition_at(&self) -> Option<DateTime<Utc>> {
        self.unrecorded().next().map(|(_, at)| at)
    }

    fn unrecorded(&self) -> impl Iterator<Item = (State, DateTime<Utc>)> {
        let active = self.published_at.is_some() && self.canceled_at.is_none();
        self.schedule().filter(move |(state, _)| active && *state > self.recorded_state)
    }

    /// The contest time of a moment, in microseconds from the start.
    pub fn time_us(&self, at: DateTime<Utc>) -> i64 {
        (at - self.starts_at).num_microseconds().unwrap_or(i64::MAX)
    }

    /// The contest time at which the public standings freeze.
    pub fn freeze_us(&self) -> Option<i64> {
        self.freezes_at.map(|at| self.time_us(at))
    }

    /// Moves the end. A freeze that has not begun keeps its distance to the end; one that has begun
    /// stays, because moving it would reveal what it hides.
    pub fn extend(&mut self, ends_at: DateTime<Utc>, now: DateTime<Utc>) {
        if let Some(freezes_at) = &mut self.freezes_at
            && now < *freezes_at
        {
            *freezes_at = (ends_at - (self.ends_at - *freezes_at)).max(self.starts_at);
        }
        self.ends_at = ends_at;
    }

    /// The problem with this label, in any case, or this id.
    pub fn problem(&self, name: &str) -> Option<&Problem> {
        let id = ids::parse(name);
        let by_label = self.problems.iter().find(|it| it.label.eq_ignore_ascii_case(name));
        by_label.or_else(|| self.problems.iter().find(|it| Some(it.problem_id) == id))
    }
}

/// A user or a team that takes part in a contest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Participant {
    pub id: Uuid,
    pub contest_id: Uuid,
    /// The user, or the captain of the team.
    pub user_id: Uuid,
    /// The username, or the name of the team, at registration.
    pub name: String,
    pub unofficial: bool,
    pub hidden: bool,
    pub disqualified: bool,
    pub extra_time: TimeDelta,
    pub registered_at: DateTime<Utc>,
    pub withdrawn_at: Option<DateTime<Utc>>,
    pub team_id: Option<Uuid>,
    pub organization: String,
    /// ISO 3166-1 alpha-3, or empty.
    pub country: String,
    /// What standings can be filtered by; may be empty.
    pub group: String,
    /// The id in an import, or empty.
    pub external_id: String,
}

/// A user who belongs to a participant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    pub user_id: Uuid,
    /// The username at registration.
    pub name: String,
}

impl Participant {
    pub fn new(id: Uuid, contest_id: Uuid, user_id: Uuid, name: &str, now: DateTime<Utc>) -> Self {
        Self {
            id,
            contest_id,
            user_id,
            name: name.to_owned(),
            unofficial: false,
            hidden: false,
            disqualified: false,
            extra_time: TimeDelta::zero(),
            registered_at: now,
            withdrawn_at: None,
            team_id: None,
            organization: String::new(),
            country: String::new(),
            group: String::new(),
            external_id: String::new(),
        }
    }

    pub fn is_active(&self) -> bool {
        self.withdrawn_at.is_none()
    }

    /// Whether the participant counts in `participant_count`.
    pub fn is_counted(&self) -> bool {
        !self.hidden && self.withdrawn_at.is_none()
    }
}

/// Why a submission to a contest is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    NotParticipant,
    NotStarted,
    Ended,
    Closed,
}

/// Whether a user may submit at `now`.
pub fn check_submission(
    contest: &Contest,
    participant: Option<&Participant>,
    now: DateTime<Utc>,
) -> Result<(), Refusal> {
    let active = |it: &&Participant| it.withdrawn_at.is_none() && !it.disqualified;
    let Some(participant) = participant.filter(active) else {
        return Err(Refusal::NotParticipant);
    };
    if contest.state(now).is_closed() {
        return Err(Refusal::Closed);
    }
    if !contest.has_started(now) {
        return Err(Refusal::NotStarted);
    }
    if now >= contest.ends_at + participant.extra_time {
        return Err(Refusal::Ended);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
