//! What the judge says of a submission while it works on it.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::submission::Test;

/// Where a submission stands, in the order in which it gets there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// Waits for a judge.
    #[default]
    Queued,
    /// The compiler runs.
    Compiling,
    /// The tests run.
    Running,
    /// Judged.
    Done,
    /// Given up on request.
    Aborted,
}

/// The judge's view of one submission, put together from answers and live glimpses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judging {
    /// The judgement, once the judge has named it.
    pub judgement_id: Option<Uuid>,
    /// Which try this is, from 1; 0 before the first.
    pub attempt: i32,
    /// Where it stands.
    pub state: State,
    /// Tests done.
    pub done_count: i32,
    /// Tests in all; 0 while not known.
    pub test_count: i32,
    /// Tests done, by index.
    pub tests: BTreeMap<i32, Test>,
    /// What the compiler said.
    pub compile_output: String,
}

/// One live glimpse. Glimpses may be lost, doubled or late.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Glimpse {
    /// Which try it is of.
    pub attempt: i32,
    /// Where that try stands.
    pub state: State,
    /// Tests done.
    pub done_count: i32,
    /// Tests in all.
    pub test_count: i32,
    /// Tests done since the glimpse before.
    pub tests: Vec<Test>,
}

impl Judging {
    /// Takes in a glimpse; false when it brought nothing new. Within one try nothing ever goes
    /// back; a new try starts over.
    pub fn see(&mut self, glimpse: Glimpse) -> bool {
        if glimpse.attempt < self.attempt {
            return false;
        }
        let mut next = if glimpse.attempt > self.attempt {
            Self { attempt: glimpse.attempt, ..Self::default() }
        } else {
            self.clone()
        };
        next.state = next.state.max(glimpse.state);
        next.test_count = next.test_count.max(glimpse.test_count);
        next.tests.extend(glimpse.tests.into_iter().map(|test| (test.index, test)));
        let known = i32::try_from(next.tests.len()).unwrap_or(i32::MAX);
        next.done_count = next.done_count.max(glimpse.done_count).max(known);
        let changed = next != *self;
        *self = next;
        changed
    }

    /// Takes in an answer of the judge, unless glimpses have overtaken it; false when it brought
    /// nothing new.
    pub fn hear(&mut self, answer: Self) -> bool {
        let place = |judging: &Self| (judging.attempt, judging.state, judging.done_count);
        let last_word = answer.state == State::Done && answer.attempt >= self.attempt;
        if answer == *self || (!last_word && place(&answer) < place(self)) {
            return false;
        }
        let seen = std::mem::replace(self, answer);
        // An answer about tests under way may know fewer of them than the glimpses told.
        if !last_word && seen.attempt == self.attempt {
            for (index, test) in seen.tests {
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
    use crate::verdict::Verdict;

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

    fn running(attempt: i32, tests: impl IntoIterator<Item = i32>) -> Glimpse {
        let tests: Vec<Test> = tests.into_iter().map(test).collect();
        Glimpse { attempt, state: State::Running, done_count: 0, test_count: 9, tests }
    }

    fn indexes(judging: &Judging) -> Vec<i32> {
        judging.tests.keys().copied().collect()
    }

    #[test]
    fn glimpses_add_up_in_any_order() {
        let mut judging = Judging::default();
        assert!(judging.see(Glimpse { attempt: 1, state: State::Compiling, ..Glimpse::default() }));
        assert!(judging.see(running(1, [2, 0])));
        assert!(judging.see(running(1, [1])));
        assert!(!judging.see(running(1, [0])), "doubled");
        assert!(!judging.see(Glimpse {
            attempt: 1,
            state: State::Compiling,
            ..Glimpse::default()
        }));
        assert_eq!(indexes(&judging), [0, 1, 2]);
        assert_eq!((judging.state, judging.done_count, judging.test_count), (State::Running, 3, 9));
    }

    #[test]
    fn a_new_try_starts_over_and_the_old_one_is_silent() {
        let mut judging = Judging::default();
        judging.see(running(1, [0, 1, 2]));
        assert!(judging.see(Glimpse { attempt: 2, state: State::Compiling, ..Glimpse::default() }));
        assert_eq!((judging.state, judging.done_count), (State::Compiling, 0));
        assert!(!judging.see(running(1, [3])));
        assert!(judging.tests.is_empty());
    }

    #[test]
    fn an_answer_heals_lost_glimpses_but_never_takes_back() {
        let mut judging = Judging::default();
        judging.see(running(1, [4]));
        let mut answer = Judging { attempt: 1, state: State::Running, ..Judging::default() };
        answer.done_count = 3;
        answer.tests = [0, 1, 2].into_iter().map(|i| (i, test(i))).collect();
        assert!(judging.hear(answer.clone()));
        assert_eq!(indexes(&judging), [0, 1, 2, 4]);
        judging.see(running(1, [5, 6]));
        assert!(!judging.hear(answer));
        assert_eq!(indexes(&judging), [0, 1, 2, 4, 5, 6]);
        assert!(!judging.hear(Judging::default()));
        let last = Judging { attempt: 1, state: State::Done, ..Judging::default() };
        assert!(judging.hear(last.clone()), "the last word stands, whatever was glimpsed");
        assert_eq!(judging, last);
    }
}
