//! The judge's progress on a submission.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::submission::Test;

/// The states of a submission, in order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    #[default]
    Queued,
    Compiling,
    Running,
    Done,
    /// Aborted by an operator.
    Aborted,
}

/// The judge's progress on one submission, merged from responses and live messages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judging {
    /// `None` until a response of the judge names it.
    pub judgement_id: Option<Uuid>,
    /// From 1; 0 before the first attempt.
    pub attempt: i32,
    pub state: State,
    pub done_count: i32,
    /// 0 while unknown.
    pub test_count: i32,
    /// Finished tests by index.
    pub tests: BTreeMap<i32, Test>,
    pub compile_output: String,
}

/// A live message of the judge. Messages may be lost, duplicated or late.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    pub attempt: i32,
    pub state: State,
    pub done_count: i32,
    pub test_count: i32,
    /// Tests finished since the previous message.
    pub tests: Vec<Test>,
}

impl Judging {
    /// Applies a live message; false when nothing changed. Within an attempt the progress never decreases; a new attempt
    /// starts from zero.
    pub fn apply(&mut self, progress: Progress) -> bool {
        if progress.attempt < self.attempt {
            return false;
        }
        let mut next = if progress.attempt > self.attempt {
            Self { attempt: progress.attempt, ..Self::default() }
        } else {
            self.clone()
        };
        next.state = next.state.max(progress.state);
        next.test_count = next.test_count.max(progress.test_count);
        next.tests.extend(progress.tests.into_iter().map(|test| (test.index, test)));
        let known = i32::try_from(next.tests.len()).unwrap_or(i32::MAX);
        next.done_count = next.done_count.max(progress.done_count).max(known);
        let changed = next != *self;
        *self = next;
        changed
    }

    /// Applies a response of the judge, unless live messages are ahead of it; false when nothing changed.
    pub fn merge(&mut self, response: Self) -> bool {
        let order = |judging: &Self| (judging.attempt, judging.state, judging.done_count);
        let is_final = response.state == State::Done && response.attempt >= self.attempt;
        if response == *self || (!is_final && order(&response) < order(self)) {
            return false;
        }
        let before = std::mem::replace(self, response);
        // The response may have fewer tests than the live messages.
        if !is_final && before.attempt == self.attempt {
            for (index, test) in before.tests {
                self.tests.entry(index).or_insert(test);
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::submission::Detail;
    use proto::Verdict;

    fn test(index: i32) -> Test {
        Test {
            index,
            verdict: Verdict::Accepted,
            cpu_time_us: 1,
            memory_bytes: 1,
            sample: false,
            detail: Detail::default(),
        }
    }

    fn running(attempt: i32, tests: impl IntoIterator<Item = i32>) -> Progress {
        let tests: Vec<Test> = tests.into_iter().map(test).collect();
        Progress { attempt, state: State::Running, done_count: 0, test_count: 9, tests }
    }

    fn compiling(attempt: i32) -> Progress {
        Progress { attempt, state: State::Compiling, ..Progress::default() }
    }

    fn indexes(judging: &Judging) -> Vec<i32> {
        judging.tests.keys().copied().collect()
    }

    #[test]
    fn messages_are_merged_in_any_order() {
        let mut judging = Judging::default();
        assert!(judging.apply(compiling(1)));
        assert!(judging.apply(running(1, [2, 0])));
        assert!(judging.apply(running(1, [1])));
        assert!(!judging.apply(running(1, [0])), "duplicate");
        assert!(!judging.apply(compiling(1)));
        assert_eq!(indexes(&judging), [0, 1, 2]);
        assert_eq!((judging.state, judging.done_count, judging.test_count), (State::Running, 3, 9));
    }

    #[test]
    fn a_new_attempt_starts_from_zero_and_the_old_one_is_ignored() {
        let mut judging = Judging::default();
        judging.apply(running(1, [0, 1, 2]));
        assert!(judging.apply(compiling(2)));
        assert_eq!((judging.state, judging.done_count), (State::Compiling, 0));
        assert!(!judging.apply(running(1, [3])));
        assert!(judging.tests.is_empty());
    }

    #[test]
    fn a_response_fills_gaps_but_never_removes_progress() {
        let mut judging = Judging::default();
        judging.apply(running(1, [4]));
        let mut response = Judging { attempt: 1, state: State::Running, ..Judging::default() };
        response.done_count = 3;
        response.tests = [0, 1, 2].into_iter().map(|i| (i, test(i))).collect();
        assert!(judging.merge(response.clone()));
        assert_eq!(indexes(&judging), [0, 1, 2, 4]);
        judging.apply(running(1, [5, 6]));
        assert!(!judging.merge(response));
        assert_eq!(indexes(&judging), [0, 1, 2, 4, 5, 6]);
        assert!(!judging.merge(Judging::default()));
        let last = Judging { attempt: 1, state: State::Done, ..Judging::default() };
        assert!(judging.merge(last.clone()), "the final response replaces live progress");
        assert_eq!(judging, last);
    }
}
