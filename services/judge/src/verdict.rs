//! Verdicts: what one run means, and what all runs of a submission mean together.
//!
//! Pure. The verdict of a submission depends on the verdicts of its tests alone, never on the order in
//! which they came in or on how many ran at a time.

use std::time::Duration;

use proto::judge::Verdict;
use sandbox::{Exit, Limit, Violation};

/// What is measured of a run, apart from its output.
#[derive(Clone, Debug)]
pub struct Run {
    /// How the program ended.
    pub exit: Exit,
    /// The limit it met first.
    pub limit: Option<Limit>,
    /// A forbidden action.
    pub violation: Option<Violation>,
    /// CPU time.
    pub cpu_time: Duration,
    /// Ended as a runtime ends that found no memory.
    pub out_of_memory: bool,
}

/// The verdict that stands before anyone looks at the output; `None` when the output decides.
pub fn of_run(run: &Run, time_limit: Duration) -> Option<Verdict> {
    // A run may go a little beyond its time limit, so as to tell how close it was.
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
        // Killed by the sandbox, without a limit to show for it.
        Exit::Killed | Exit::NotStarted(_) => Some(Verdict::JudgeError),
    }
}

/// How close to its limit a run has to be to be repeated: a tenth.
pub fn is_close(cpu_time: Duration, time_limit: Duration) -> bool {
    cpu_time >= time_limit - time_limit / 10 && cpu_time <= stretched(time_limit)
}

/// The limit that runs get, so that one just above the real limit ends by itself.
pub fn stretched(time_limit: Duration) -> Duration {
    time_limit + time_limit / 10
}

/// Time on the clock for a CPU limit.
pub fn wall_limit(time_limit: Duration) -> Duration {
    (time_limit * 3).max(time_limit + Duration::from_secs(2))
}

/// Which tests to run, and what is decided by those that did.
#[derive(Clone, Debug)]
pub struct Schedule {
    count: usize,
    next: usize,
    /// The lowest test that is not accepted, so far.
    failed: Option<usize>,
    run_all: bool,
}

impl Schedule {
    /// `count` tests; all of them run when `run_all`, otherwise those below the first failure.
    pub fn new(count: usize, run_all: bool) -> Self {
        Schedule { count, next: 0, failed: None, run_all }
    }

    /// The next test to run.
    pub fn start(&mut self) -> Option<usize> {
        let index = self.next;
        (index < self.count && self.is_wanted(index)).then(|| {
            self.next += 1;
            index
        })
    }

    /// Whether anything is left to start.
    pub fn has_more(&self) -> bool {
        self.next < self.count && self.is_wanted(self.next)
    }

    /// A test's verdict is known.
    pub fn done(&mut self, index: usize, verdict: Verdict) {
        if verdict != Verdict::Accepted {
            self.failed = Some(self.failed.map_or(index, |failed| failed.min(index)));
        }
    }

    /// Whether the outcome of a test still matters.
    pub fn is_wanted(&self, index: usize) -> bool {
        self.run_all || self.failed.is_none_or(|failed| index <= failed)
    }
}

/// What a submission's tests say together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Total {
    /// Of the lowest-index test that is not accepted.
    pub verdict: Verdict,
    /// How many tests count, from the first on; later ones were run for nothing.
    pub counted: usize,
}

/// Adds up the verdicts of tests, by index; with `run_all` every test counts.
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
    fn what_a_run_says() {
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
    fn precedence() {
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
    fn closeness() {
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
        /// Any number of lanes, finishing in any order, gives what one lane gives.
        #[test]
        fn parallelism_does_not_matter(
            verdicts in prop::collection::vec(verdict(), 1..20),
            lanes in 1..5usize,
            picks in prop::collection::vec(any::<prop::sample::Index>(), 100),
            run_all in any::<bool>(),
        ) {
            let mut schedule = Schedule::new(verdicts.len(), run_all);
            let mut running = Vec::new();
            let mut found = vec![Verdict::Skipped; verdicts.len()];
            for pick in picks {
                while running.len() < lanes && let Some(index) = schedule.start() {
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
