//! The verdict rules for one run and for all tests of a submission.
//!
//! Pure. The verdict of a submission depends only on the verdicts of its tests, never on their order of completion
//! or on the number of parallel runs.

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

/// Decides which tests to run, given the verdicts of finished ones.
#[derive(Clone, Debug)]
pub struct Schedule {
    count: usize,
    next: usize,
    /// The lowest index of a test that is not accepted.
    failed: Option<usize>,
    run_all: bool,
}

impl Schedule {
    /// Runs all `count` tests if `run_all`, otherwise those up to the first failure.
    pub fn new(count: usize, run_all: bool) -> Self {
        Schedule { count, next: 0, failed: None, run_all }
    }

    /// Returns the next test to run.
    pub fn start(&mut self) -> Option<usize> {
        let index = self.next;
        (index < self.count && self.is_wanted(index)).then(|| {
            self.next += 1;
            index
        })
    }

    /// Whether a test is left to start.
    pub fn has_more(&self) -> bool {
        self.next < self.count && self.is_wanted(self.next)
    }

    /// Records the verdict of a test.
    pub fn done(&mut self, index: usize, verdict: Verdict) {
        if verdict != Verdict::Accepted {
            self.failed = Some(self.failed.map_or(index, |failed| failed.min(index)));
        }
    }

    /// Whether the verdict of a test can still affect the result.
    pub fn is_wanted(&self, index: usize) -> bool {
        self.run_all || self.failed.is_none_or(|failed| index <= failed)
    }
}

/// The verdict of a submission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Total {
    /// The verdict of the first test that is not accepted, or accepted.
    pub verdict: Verdict,
    /// The number of leading tests that count; results of later ones are discarded.
    pub counted: usize,
}

/// Combines the verdicts of tests, by index. With `run_all` every test counts.
pub fn total(verdicts: &[Verdict], run_all: bool) -> Total {
    let failed = verdicts.iter().position(|&verdict| verdict != Verdict::Accepted);
    let verdict = failed.map_or(Verdict::Accepted, |index| verdicts[index]);
    let counted = match failed {
        Some(index) if !run_all => index + 1,
        _ => verdicts.len(),
    };
    Total { verdict, counted }
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

    proptest! {
        #[test]
        fn verdict_is_independent_of_parallelism_and_order(
            verdicts in prop::collection::vec(verdict(), 1..20),
            slots in 1..5usize,
            picks in prop::collection::vec(any::<prop::sample::Index>(), 100),
            run_all in any::<bool>(),
        ) {
            let mut schedule = Schedule::new(verdicts.len(), run_all);
            let mut running = Vec::new();
            let mut found = vec![Verdict::Skipped; verdicts.len()];
            for pick in picks {
                while running.len() < slots && let Some(index) = schedule.start() {
                    running.push(index);
                }
                if running.is_empty() {
                    break;
                }
                let index = running.swap_remove(pick.index(running.len()));
                if schedule.is_wanted(index) {
                    schedule.done(index, verdicts[index]);
                    found[index] = verdicts[index];
                }
            }
            prop_assert!(!schedule.has_more() && running.is_empty());
            let (expected, got) = (total(&verdicts, run_all), total(&found, run_all));
            prop_assert_eq!(got, expected);
            prop_assert_eq!(&found[..got.counted], &verdicts[..got.counted]);
        }
    }
}
