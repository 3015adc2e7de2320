//! The first participant to solve each problem.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::roster::{Attempt, Index, Participant};
use super::row::{Standing, View};
use proto::Verdict;

/// Contest time of the acknowledgement, with removed intervals; then the submission, then its participant.
pub type Key = (i64, Uuid, Index);

/// By problem, as numbered by the roster.
#[derive(Debug, Default)]
pub struct Solves(Vec<Problem>);

#[derive(Debug, Default)]
struct Problem {
    /// The first accepted attempt of each participant.
    accepted: BTreeSet<Key>,
    /// The first attempt without a verdict of each participant.
    pending: BTreeSet<Key>,
}

/// What one participant adds for one problem.
#[derive(Debug, PartialEq, Eq)]
pub struct Part {
    problem: u32,
    accepted: Option<Key>,
    pending: Option<Key>,
}

impl Part {
    /// Only participants with a rank in the public view can be first.
    pub fn all_of(index: Index, participant: &Participant) -> Vec<Self> {
        if participant.standing(View::Public) != Some(Standing::Ranked) {
            return Vec::new();
        }
        let part = |attempts: &[Attempt]| {
            let first = |verdict: Option<Verdict>| {
                let mut counted = attempts.iter().filter(|attempt| !attempt.ignored);
                let attempt = counted.find(|attempt| attempt.verdict == verdict)?;
                Some((attempt.at_us, attempt.submission, index))
            };
            let (accepted, pending) = (first(Some(Verdict::Accepted)), first(None));
            Self { problem: attempts[0].problem, accepted, pending }
        };
        participant.by_problem().map(part).collect()
    }
}

impl Solves {
    pub fn rebuild(&mut self, participants: &[Participant]) {
        let mut keys: Vec<(Vec<Key>, Vec<Key>)> = Vec::new();
        for (index, participant) in (0..).zip(participants) {
            for part in Part::all_of(index, participant) {
                let problem = part.problem as usize;
                keys.resize_with(keys.len().max(problem + 1), Default::default);
                keys[problem].0.extend(part.accepted);
                keys[problem].1.extend(part.pending);
            }
        }
        let collect = |(accepted, pending): (Vec<Key>, Vec<Key>)| Problem {
            accepted: accepted.into_iter().collect(),
            pending: pending.into_iter().collect(),
        };
        self.0 = keys.into_iter().map(collect).collect();
    }

    /// Replaces the parts of one participant.
    pub fn replace(&mut self, before: &[Part], after: &[Part]) {
        if before == after {
            return;
        }
        for part in before {
            let problem = &mut self.0[part.problem as usize];
            if let Some(key) = &part.accepted {
                problem.accepted.remove(key);
            }
            if let Some(key) = &part.pending {
                problem.pending.remove(key);
            }
        }
        for part in after {
            let index = part.problem as usize;
            self.0.resize_with(self.0.len().max(index + 1), Default::default);
            self.0[index].accepted.extend(part.accepted);
            self.0[index].pending.extend(part.pending);
        }
    }

    /// `None` while an earlier attempt is pending.
    pub fn first(&self, problem: usize) -> Option<Key> {
        let problem = self.0.get(problem)?;
        let first = *problem.accepted.first()?;
        let certain = problem.pending.first().is_none_or(|pending| *pending > first);
        certain.then_some(first)
    }
}
