//! The verdict rules for one run and for all tests of a submission.
//!
//! Pure. The verdict of a submission depends only on the verdicts of its tests, never on their order of completion
//! or on the number of parallel runs.

use std::collections::BTreeSet;
use std::time::Duration;

use proto::Verdict;
use sandbox::{Exit, Limit, Violation};

/// The measurements of a run, without its output.
#[derive(Clone, Debug)]
pub struct Run {
    pub exit: Exit,
    /// The limit that was exceeded first.
    pub limit: Option<Limit>,
    pub violation: Option<Violation>,
    pub cpu_time: Duration,
    /// Whether the language runtime reported that it is out of memory.
    pub out_of_memory: bool,
}

/// The verdict of a run without its output; `None` if the output determines it.
pub fn of_run(run: &Run, time_limit: Duration) -> Option<Verdict> {
    // The enforced limit is higher than the time limit; see `extended_limit`.
    let late = run.cpu_time > time_limit;
    if matches!(run.exit, Exit::NotStarted(_)) {
        return Some(Verdict::JudgeError);
    }
    if run.violation.is_some() {
        return Some(Verdict::SecurityViolation);
    }
    match run.limit {
        Some(Limit::Cpu) => return Some(Verdict::TimeLimitExceeded),
        Some(Limit::Wall) if late => return Some(Verdict::TimeLimitExceeded),
        Some(Limit::Wall) => return Some(Verdict::IdlenessLimitExceeded),
        Some(Limit::Memory) => return Some(Verdict::MemoryLimitExceeded),
        Some(Limit::Output) => return Some(Verdict::OutputLimitExceeded),
        None if late => return Some(Verdict::TimeLimitExceeded),
        None if run.out_of_memory => return Some(Verdict::MemoryLimitExceeded),
        None => {}
    }
    match run.exit {
        Exit::Code(0) => None,
        Exit::Code(_) | Exit::Signal(_) => Some(Verdict::RuntimeError),
        // Killed by the sandbox without an exceeded limit.
        Exit::Killed | Exit::NotStarted(_) => Some(Verdict::JudgeError),
    }
}

/// Whether a run is so close to its time limit (within a tenth) that it is repeated.
pub fn is_close(cpu_time: Duration, time_limit: Duration) -> bool {
    cpu_time >= time_limit - time_limit / 10 && cpu_time <= extended_limit(time_limit)
}

/// The enforced limit, so that a run slightly above the time limit is measured exactly.
pub fn extended_limit(time_limit: Duration) -> Duration {
    time_limit + time_limit / 10
}

/// The wall time limit for a CPU time limit.
pub fn wall_limit(time_limit: Duration) -> Duration {
    (time_limit * 3).max(time_limit + Duration::from_secs(2))
}

/// When the runs of a program end before its last test.
#[derive(Clone, Debug)]
pub enum Stop {
    /// At the first of this number of leading tests that is not accepted.
    FirstFailure(usize),
    /// When it is certain whether a jury solution meets its expectations.
    Decided(Vec<Expectation>),
}

/// The expected verdicts of a jury solution on some or all tests.
#[derive(Clone, Debug, Default)]
pub struct Expectation {
    /// Empty means all tests.
    pub tests: BTreeSet<usize>,
    /// Any other verdict fails the expectation. Empty means that all are permitted.
    pub permitted: Vec<Verdict>,
    /// One test with one of these verdicts makes further tests unnecessary. Empty means that all tests are needed.
    pub decisive: Vec<Verdict>,
}

impl Expectation {
    fn covers(&self, index: usize) -> bool {
        self.tests.is_empty() || self.tests.contains(&index)
    }
}

impl Stop {
    /// The lowest test after which no other is needed, given the verdicts of finished tests.
    fn last(&self, verdicts: &[Option<Verdict>]) -> Option<usize> {
        let done = verdicts.iter().enumerate().filter_map(|(at, verdict)| Some((at, (*verdict)?)));
        match self {
            Stop::FirstFailure(count) => {
                let mut done = done.take_while(|(index, _)| index < count);
                done.find(|(_, verdict)| *verdict != Verdict::Accepted).map(|(index, _)| index)
            }
            Stop::Decided(expectations) => {
                let mut met = vec![false; expectations.len()];
                for (index, verdict) in done {
                    for (expectation, met) in expectations.iter().zip(&mut met) {
                        if !expectation.covers(index) {
                            continue;
                        }
                        let permitted = &expectation.permitted;
                        if !permitted.is_empty() && !permitted.contains(&verdict) {
                            return Some(index);
                        }
                        *met |= expectation.decisive.contains(&verdict);
                    }
                    if !met.is_empty() && met.iter().all(|met| *met) {
                        return Some(index);
                    }
                }
                None
            }
        }
    }
}

/// Decides which tests to run, given the verdicts of finished ones.
#[derive(Clone, Debug)]
pub struct Schedule {
    stop: Stop,
    next: usize,
    /// Aborted tests to run again.
    aborted: BTreeSet<usize>,
    verdicts: Vec<Option<Verdict>>,
    /// The last test that is needed, as far as known.
    last: usize,
}

impl Schedule {
    pub fn new(count: usize, stop: Stop) -> Self {
        let (next, aborted, verdicts) = (0, BTreeSet::new(), vec![None; count]);
        Schedule { stop, next, aborted, verdicts, last: usize::MAX }
    }

    /// Returns the next test to run.
    pub fn start(&mut self) -> Option<usize> {
        let index = self.peek()?;
        if !self.aborted.remove(&index) {
            self.next += 1;
        }
        Some(index)
    }

    /// Whether a test is left to start.
    pub fn has_more(&self) -> bool {
        self.peek().is_some()
    }

    fn peek(&self) -> Option<usize> {
        let fresh = (self.next < self.verdicts.len()).then_some(self.next);
        let index = self.aborted.first().copied().or(fresh)?;
        self.is_wanted(index).then_some(index)
    }

    /// Runs a test again that was started and aborted.
    pub fn repeat(&mut self, index: usize) {
        self.aborted.insert(index);
    }

    /// Records the verdict of a test.
    pub fn done(&mut self, index: usize, verdict: Verdict) {
        self.verdicts[index] = Some(verdict);
        self.last = self.stop.last(&self.verdicts).unwrap_or(usize::MAX);
    }

    /// Whether the verdict of a test can still affect the result.
    pub fn is_wanted(&self, index: usize) -> bool {
        index <= self.last
    }

    /// The last test that is needed, as far as known.
    pub fn last(&self) -> usize {
        self.last
    }

    /// The number of leading tests whose results count. Results of later ones are discarded.
    pub fn needed_count(&self) -> usize {
        self.verdicts.len().min(self.last.saturating_add(1))
    }
}

/// The verdict of a submission: that of the first test that is not accepted, or accepted.
pub fn total(verdicts: impl IntoIterator<Item = Verdict>) -> Verdict {
    let failed = verdicts.into_iter().find(|verdict| *verdict != Verdict::Accepted);
    failed.unwrap_or(Verdict::Accepted)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(1);

    fn run() -> Run {
        Run {
            exit: Exit::Code(0),
            limit: None,
            violation: None,
            cpu_time: LIMIT / 2,
            out_of_memory: false,
        }
    }

    #[track_caller]
    fn check(run: &Run, expected: impl Into<Option<Verdict>>) {
        assert_eq!(of_run(run, LIMIT), expected.into(), "{run:?}");
    }

    #[test]
    fn verdict_of_each_kind_of_run() {
        check(&run(), None);
        check(&Run { cpu_time: LIMIT, ..run() }, None);
        let late = LIMIT + Duration::from_nanos(1);
        check(&Run { cpu_time: late, ..run() }, Verdict::TimeLimitExceeded);
        check(&Run { exit: Exit::Code(1), ..run() }, Verdict::RuntimeError);
        check(&Run { exit: Exit::Code(42), ..run() }, Verdict::RuntimeError);
        check(&Run { exit: Exit::Signal(11), ..run() }, Verdict::RuntimeError);
        check(&Run { exit: Exit::Killed, ..run() }, Verdict::JudgeError);
        check(&Run { exit: Exit::NotStarted("no".into()), ..run() }, Verdict::JudgeError);
        for (limit, verdict) in [
            (Limit::Cpu, Verdict::TimeLimitExceeded),
            (Limit::Wall, Verdict::IdlenessLimitExceeded),
            (Limit::Memory, Verdict::MemoryLimitExceeded),
            (Limit::Output, Verdict::OutputLimitExceeded),
        ] {
            check(&Run { exit: Exit::Killed, limit: Some(limit), ..run() }, verdict);
        }
    }

    #[test]
    fn precedence_of_verdicts() {
        let all = Run {
            exit: Exit::Signal(31),
            limit: Some(Limit::Memory),
            violation: Some(Violation::SystemCall),
            cpu_time: LIMIT * 2,
            out_of_memory: true,
        };
        check(&all, Verdict::SecurityViolation);
        check(&Run { violation: None, ..all.clone() }, Verdict::MemoryLimitExceeded);
        let late = Run { violation: None, limit: None, ..all };
        check(&late, Verdict::TimeLimitExceeded);
        check(&Run { cpu_time: LIMIT, ..late.clone() }, Verdict::MemoryLimitExceeded);
        check(&Run { cpu_time: LIMIT, out_of_memory: false, ..late }, Verdict::RuntimeError);
    }

    #[test]
    fn runs_within_a_tenth_of_the_limit_are_close() {
        let percent = |n: u32| LIMIT * n / 100;
        assert!(!is_close(percent(89), LIMIT) && is_close(percent(90), LIMIT));
        assert!(is_close(percent(110), LIMIT) && !is_close(percent(111), LIMIT));
        assert_eq!(wall_limit(LIMIT), Duration::from_secs(3));
        assert_eq!(wall_limit(LIMIT / 10), Duration::from_millis(2100));
    }

    fn verdict() -> impl Strategy<Value = Verdict> {
        prop_oneof![
            6 => Just(Verdict::Accepted),
            1 => Just(Verdict::WrongAnswer),
            1 => Just(Verdict::TimeLimitExceeded),
        ]
    }

    fn set(verdicts: &[Verdict]) -> Vec<Verdict> {
        verdicts.to_vec()
    }

    #[track_caller]
    fn check_stop(stop: &Stop, verdicts: &[Option<Verdict>], last: Option<usize>) {
        assert_eq!(stop.last(verdicts), last, "{stop:?} {verdicts:?}");
    }

    #[test]
    fn expectations_end_the_runs_as_soon_as_they_are_decided() {
        use Verdict::{Accepted, RuntimeError, TimeLimitExceeded, WrongAnswer};
        let (ac, wa, tle) = (Some(Accepted), Some(WrongAnswer), Some(TimeLimitExceeded));
        let slow = Expectation {
            permitted: set(&[Accepted, TimeLimitExceeded]),
            decisive: set(&[TimeLimitExceeded]),
            ..Expectation::default()
        };
        let stop = Stop::Decided(vec![slow.clone()]);
        check_stop(&stop, &[ac, ac, None], None);
        check_stop(&stop, &[ac, tle, None], Some(1));
        // Not permitted: it fails for certain. A lower test can still be the first to decide.
        check_stop(&stop, &[None, None, wa], Some(2));
        check_stop(&stop, &[tle, None, wa], Some(0));
        let last_test = Expectation { tests: [2].into(), ..slow.clone() };
        let both = Stop::Decided(vec![slow, last_test]);
        check_stop(&both, &[tle, tle, None], None);
        check_stop(&both, &[tle, wa, None], Some(1));
        check_stop(&both, &[ac, ac, tle], Some(2));
        // A wrong solution runs all tests, because its times count.
        let wrong =
            Expectation { permitted: set(&[Accepted, WrongAnswer]), ..Expectation::default() };
        let stop = Stop::Decided(vec![wrong]);
        check_stop(&stop, &[wa, wa, ac], None);
        check_stop(&stop, &[wa, Some(RuntimeError), None], Some(1));
        check_stop(&Stop::Decided(Vec::new()), &[wa, tle, wa], None);
        // A failed invalid input does not end the runs of a validator.
        check_stop(&Stop::FirstFailure(2), &[ac, ac, wa], None);
        check_stop(&Stop::FirstFailure(2), &[None, wa, wa], Some(1));
    }

    #[test]
    fn aborted_test_runs_again_unless_it_is_unneeded() {
        let mut schedule = Schedule::new(3, Stop::FirstFailure(3));
        assert_eq!([schedule.start(), schedule.start()], [Some(0), Some(1)]);
        schedule.repeat(0);
        schedule.repeat(1);
        assert_eq!(schedule.start(), Some(0));
        schedule.done(0, Verdict::WrongAnswer);
        assert!(!schedule.has_more() && schedule.needed_count() == 1);
    }

    fn stop() -> impl Strategy<Value = Stop> {
        let expectation = prop_oneof![Just(Verdict::WrongAnswer), Just(Verdict::TimeLimitExceeded)];
        let expectation = expectation.prop_map(|verdict| Expectation {
            permitted: vec![Verdict::Accepted, verdict],
            decisive: [Verdict::TimeLimitExceeded]
                .into_iter()
                .filter(|it| *it == verdict)
                .collect(),
            ..Expectation::default()
        });
        prop_oneof![
            (0..20usize).prop_map(Stop::FirstFailure),
            prop::collection::vec(expectation, 0..3).prop_map(Stop::Decided),
        ]
    }

    proptest! {
        #[test]
        fn verdict_is_independent_of_parallelism_order_and_aborted_runs(
            verdicts in prop::collection::vec(verdict(), 1..20),
            slots in 1..5usize,
            picks in prop::collection::vec((any::<prop::sample::Index>(), prop::bool::weighted(0.2)), 200),
            stop in stop(),
        ) {
            let mut schedule = Schedule::new(verdicts.len(), stop.clone());
            let mut running = Vec::new();
            let mut found = vec![None; verdicts.len()];
            for (pick, aborted) in picks {
                while running.len() < slots && let Some(index) = schedule.start() {
                    running.push(index);
                }
                if running.is_empty() {
                    break;
                }
                let index = running.swap_remove(pick.index(running.len()));
                if aborted {
                    schedule.repeat(index);
                } else if schedule.is_wanted(index) {
                    schedule.done(index, verdicts[index]);
                    found[index] = Some(verdicts[index]);
                }
            }
            prop_assert!(!schedule.has_more() && running.is_empty());
            let all: Vec<_> = verdicts.iter().copied().map(Some).collect();
            let expected = stop.last(&all).map_or(all.len(), |last| last + 1);
            prop_assert_eq!(schedule.needed_count(), expected);
            prop_assert_eq!(&found[..expected], &all[..expected]);
        }
    }
}
