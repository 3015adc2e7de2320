//! The participants of a contest and their attempts, as entries of the log set them. Nothing here is derived.

use std::collections::HashMap;

use uuid::Uuid;

use super::entry::Entry;
use super::row::{Standing, View};
use proto::Verdict;

/// The position of a participant in [`Roster::participants`], which is the order of registration.
pub type Index = u32;

#[derive(Debug, Default)]
pub struct Roster {
    pub participants: Vec<Participant>,
    by_id: HashMap<Uuid, Index>,
    /// The participant of each submission.
    submissions: HashMap<Uuid, Index>,
    /// Every problem with attempts. Attempts hold the position in this list, which never changes.
    pub problems: Vec<Uuid>,
}

#[derive(Debug)]
pub struct Participant {
    pub id: Uuid,
    /// In order of [`Attempt::key`].
    pub attempts: Vec<Attempt>,
    pub adjustment_minutes: i64,
    pub hidden: bool,
    pub unofficial: bool,
    pub disqualified: bool,
    pub withdrawn: bool,
    pub group: Box<str>,
    pub country: Box<str>,
}

#[derive(Debug)]
pub struct Attempt {
    /// With removed intervals.
    pub at_us: i64,
    pub submission: Uuid,
    /// Position in [`Roster::problems`].
    pub problem: u32,
    pub verdict: Option<Verdict>,
    pub ignored: bool,
}

impl Attempt {
    fn key(&self) -> (u32, i64, Uuid) {
        (self.problem, self.at_us, self.submission)
    }
}

impl Participant {
    /// `None` if the view does not list the participant.
    pub fn standing(&self, view: View) -> Option<Standing> {
        let left = self.withdrawn && self.attempts.is_empty();
        if left || (self.hidden && view == View::Public) {
            return None;
        }
        if self.disqualified {
            return Some(Standing::Disqualified);
        }
        let official = !self.unofficial && !self.withdrawn;
        Some(if official { Standing::Ranked } else { Standing::Unofficial })
    }

    /// The attempts at each attempted problem, in order of time.
    pub fn by_problem(&self) -> impl Iterator<Item = &[Attempt]> {
        self.attempts.chunk_by(|left, right| left.problem == right.problem)
    }

    fn insert(&mut self, attempt: Attempt) {
        // Most participants have few attempts, and a vector would start with room for four.
        if self.attempts.len() == self.attempts.capacity() {
            self.attempts.reserve_exact(1 + self.attempts.len() / 2);
        }
        let at = self.attempts.partition_point(|other| other.key() < attempt.key());
        self.attempts.insert(at, attempt);
    }

    fn attempt(&mut self, submission: Uuid) -> Option<&mut Attempt> {
        self.attempts.iter_mut().find(|attempt| attempt.submission == submission)
    }
}

impl Roster {
    pub fn index(&self, participant: Uuid) -> Option<Index> {
        self.by_id.get(&participant).copied()
    }

    pub fn get(&self, index: Index) -> &Participant {
        &self.participants[index as usize]
    }

    /// The participant whom the entry is about; a new one is appended first. `None` if the entry is about the contest, or if
    /// it changes nothing.
    pub fn locate(&mut self, entry: &Entry) -> Option<Index> {
        match entry {
            Entry::ParticipantAdded { participant, .. } => Some(self.append(*participant)),
            Entry::ParticipantUpdated { participant, .. }
            | Entry::ParticipantWithdrawn { participant }
            | Entry::ParticipantTagged { participant, .. }
            | Entry::PenaltyAdjusted { participant, .. } => self.index(*participant),
            Entry::Attempt { submission, participant, .. } => {
                let known = self.submissions.contains_key(submission);
                if known { None } else { self.index(*participant) }
            }
            Entry::Judged { submission, .. }
            | Entry::Unjudged { submission }
            | Entry::Ignored { submission, .. } => self.submissions.get(submission).copied(),
            Entry::IntervalRemoved { .. }
            | Entry::IntervalRestored { .. }
            | Entry::Thawed
            | Entry::RulesChanged(_) => None,
        }
    }

    /// `index` is the one that [`Self::locate`] returned for this entry.
    pub fn apply(&mut self, index: Index, entry: &Entry) {
        if let Entry::Attempt { submission, problem, at_us, .. } = *entry {
            let problem = self.problem(problem);
            self.submissions.insert(submission, index);
            let attempt = Attempt { at_us, submission, problem, verdict: None, ignored: false };
            self.participants[index as usize].insert(attempt);
            return;
        }
        let row = &mut self.participants[index as usize];
        if let Entry::ParticipantTagged { group, country, .. } = entry {
            (row.group, row.country) = (group.as_str().into(), country.as_str().into());
            return;
        }
        match *entry {
            Entry::ParticipantAdded { hidden, unofficial, .. } => {
                (row.hidden, row.unofficial, row.withdrawn) = (hidden, unofficial, false);
            }
            Entry::ParticipantUpdated { hidden, unofficial, disqualified, .. } => {
                (row.hidden, row.unofficial, row.disqualified) = (hidden, unofficial, disqualified);
            }
            Entry::ParticipantWithdrawn { .. } => row.withdrawn = true,
            Entry::PenaltyAdjusted { minutes, .. } => row.adjustment_minutes += i64::from(minutes),
            Entry::Judged { submission, verdict } => {
                if let Some(attempt) = row.attempt(submission) {
                    attempt.verdict = Some(verdict);
                }
            }
            Entry::Unjudged { submission } => {
                if let Some(attempt) = row.attempt(submission) {
                    attempt.verdict = None;
                }
            }
            Entry::Ignored { submission, ignored } => {
                if let Some(attempt) = row.attempt(submission) {
                    attempt.ignored = ignored;
                }
            }
            _ => {}
        }
    }

    /// A new participant is in no view until the entry is applied.
    fn append(&mut self, id: Uuid) -> Index {
        let next = Index::try_from(self.participants.len()).unwrap_or(Index::MAX);
        let index = *self.by_id.entry(id).or_insert(next);
        if index == next {
            self.participants.push(Participant {
                id,
                attempts: Vec::new(),
                adjustment_minutes: 0,
                hidden: false,
                unofficial: false,
                disqualified: false,
                withdrawn: true,
                group: Box::default(),
                country: Box::default(),
            });
        }
        index
    }

    /// A contest has a few dozen problems, so a linear search is the fastest.
    fn problem(&mut self, id: Uuid) -> u32 {
        let found = self.problems.iter().position(|&known| known == id);
        let index = found.unwrap_or_else(|| {
            self.problems.push(id);
            self.problems.len() - 1
        });
        u32::try_from(index).unwrap_or(u32::MAX)
    }
}
