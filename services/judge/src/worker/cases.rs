//! The runs of a job: tests of a submission or jury solution, or inputs for an input validator.

use std::time::Duration;

use proto::Verdict;
use proto::problem as pb;

use super::compile::Budget;
use crate::checker::{Checker, Tolerance};
use crate::config::Config;
use crate::verdict::{Expectation, Stop};

/// The runs of a program, and their limits.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub cases: Vec<Case>,
    /// When the runs end before the last case.
    pub stop: Stop,
    /// The number of leading cases that determine the verdict.
    pub deciding_count: usize,
    /// The CPU time limit of a run, before the multiplier of the language.
    pub time: Duration,
    /// The memory limit of a run, in bytes.
    pub memory: u64,
    /// The output limit of a run, in bytes.
    pub output: u64,
    /// Whether the program may write files in its working directory.
    pub file_writing: bool,
    /// Command-line arguments.
    pub arguments: Vec<String>,
    pub compile: Budget,
}

#[derive(Clone, Debug)]
pub(super) struct Case {
    pub index: i32,
    /// Whether the test is public.
    pub sample: bool,
    pub input: Option<pb::ObjectRef>,
    pub expected: Expected,
}

#[derive(Clone, Debug)]
pub(super) enum Expected {
    /// Output that the checker accepts for this answer.
    Answer(Option<pb::ObjectRef>, Checker),
    /// Exit code 42: a validator accepts the input.
    Accepted,
    /// Any other exit code: a validator rejects the input.
    Rejected,
}

/// The tests of a problem version, for a submission or a jury solution. `None` if it has no time limit.
pub(super) fn solution(config: &Config, data: &pb::JudgeData) -> Option<Plan> {
    let limits = data.limits.unwrap_or_default();
    let default = checker(data.checker.as_ref());
    let case = |test: &pb::JudgeTest| {
        let own = test.checker.as_ref().map(|own| checker(Some(own)));
        let checker = own.unwrap_or_else(|| default.clone());
        Case {
            index: test.index,
            sample: test.sample,
            input: test.input.clone(),
            expected: Expected::Answer(test.answer.clone(), checker),
        }
    };
    let budget = Budget::configured(config);
    let cpu = duration(limits.compile_time_limit).unwrap_or(budget.cpu);
    let memory = positive(limits.compile_memory_limit_bytes).unwrap_or(budget.memory);
    let wall = budget.wall.max(cpu * 2);
    let program_memory = positive(limits.memory_limit_bytes).unwrap_or(512 << 20);
    Some(Plan {
        cases: data.tests.iter().map(case).collect(),
        stop: Stop::FirstFailure(data.tests.len()),
        deciding_count: data.tests.len(),
        time: duration(limits.time_limit)?,
        memory: program_memory,
        output: positive(limits.output_limit_bytes).unwrap_or(64 << 20),
        file_writing: limits.file_writing,
        arguments: Vec::new(),
        compile: Budget { cpu, wall, memory, ..budget }.for_memory(program_memory),
    })
}

/// When the runs of a jury solution end.
pub(super) fn stop_of(verification: &pb::Verification, test_count: usize) -> Stop {
    if !verification.run_all_tests {
        return Stop::FirstFailure(test_count);
    }
    let verdicts = |codes: &[String]| {
        codes.iter().filter_map(|code| Verdict::from_code(code)).collect::<Vec<_>>()
    };
    let expectation = |expectation: &pb::Expectation| Expectation {
        tests: expectation.tests.iter().filter_map(|index| usize::try_from(*index).ok()).collect(),
        permitted: verdicts(&expectation.permitted),
        decisive: verdicts(&expectation.decisive),
    };
    Stop::Decided(verification.expectations.iter().map(expectation).collect())
}

pub(super) fn validator(config: &Config, verification: &pb::Verification) -> Plan {
    let case = |test: &pb::JudgeTest, expected: Expected| Case {
        index: test.index,
        sample: test.sample,
        input: test.input.clone(),
        expected,
    };
    let valid = verification.inputs.iter().map(|test| case(test, Expected::Accepted));
    let invalid = verification.invalid_inputs.iter().map(|test| case(test, Expected::Rejected));
    Plan {
        cases: valid.chain(invalid).collect(),
        stop: Stop::FirstFailure(verification.inputs.len()),
        deciding_count: verification.inputs.len(),
        time: positive(verification.time_limit_us)
            .map_or(Duration::from_secs(config.validator_seconds), Duration::from_micros),
        memory: positive(verification.memory_limit_bytes)
            .unwrap_or(config.validator_memory_mib << 20),
        output: 64 << 20,
        file_writing: false,
        arguments: verification.arguments.clone(),
        compile: Budget::configured(config),
    }
}

/// The default checker with the flags of a problem.
pub(super) fn checker(flags: Option<&pb::Checker>) -> Checker {
    let Some(flags) = flags else { return Checker::default() };
    let tolerance = Tolerance {
        absolute: flags.float_absolute_tolerance,
        relative: flags.float_relative_tolerance,
    };
    Checker {
        case_sensitive: flags.case_sensitive,
        space_change_sensitive: flags.space_change_sensitive,
        tolerance: (tolerance != Tolerance::default()).then_some(tolerance),
    }
}

fn duration(duration: Option<prost_types::Duration>) -> Option<Duration> {
    duration.and_then(|duration| duration.try_into().ok()).filter(|d: &Duration| !d.is_zero())
}

fn positive(number: i64) -> Option<u64> {
    u64::try_from(number).ok().filter(|&number| number > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_and_limits_override_defaults() {
        let second = prost_types::Duration { seconds: 1, nanos: 0 };
        let own = pb::Checker { case_sensitive: true, ..pb::Checker::default() };
        let all = pb::Checker { float_absolute_tolerance: Some(0.5), ..pb::Checker::default() };
        let data = pb::JudgeData {
            limits: Some(pb::Limits { time_limit: Some(second), ..pb::Limits::default() }),
            checker: Some(all),
            tests: vec![
                pb::JudgeTest { checker: Some(own), ..pb::JudgeTest::default() },
                pb::JudgeTest { index: 1, ..pb::JudgeTest::default() },
            ],
            ..pb::JudgeData::default()
        };
        let plan = solution(&Config::default(), &data).unwrap();
        let tolerant = |case: &Case| match &case.expected {
            Expected::Answer(_, checker) => checker.tolerance.is_some(),
            _ => false,
        };
        assert_eq!(plan.cases.iter().map(tolerant).collect::<Vec<_>>(), [false, true]);
        assert_eq!(plan.time, Duration::from_secs(1));
        let configured = Budget::configured(&Config::default());
        assert_eq!(plan.compile.cpu, configured.cpu);
        assert_eq!(plan.compile.memory, configured.memory);
        let limits = pb::Limits {
            compile_time_limit: Some(prost_types::Duration { seconds: 90, nanos: 0 }),
            compile_memory_limit_bytes: 64 << 20,
            memory_limit_bytes: 1 << 30,
            ..data.limits.unwrap()
        };
        let data = pb::JudgeData { limits: Some(limits), ..data };
        let compile = solution(&Config::default(), &data).unwrap().compile;
        assert_eq!((compile.cpu.as_secs(), compile.wall.as_secs()), (90, 180));
        assert_eq!((compile.memory, compile.artefacts), (64 << 20, 1 << 30));
        let unknown = pb::JudgeData { limits: None, ..data };
        assert!(solution(&Config::default(), &unknown).is_none());
    }
}
