use uuid::Uuid;

use super::*;
use crate::check::{Input, JudgeResult, Spec};
use crate::version::Object;
use Class::{Ac, Tle, Wa};
use package::expectation::{Requirement, Run};

const MAX: i64 = 60_000_000;

fn time(limit_us: Option<i64>) -> TimeLimit {
    let margins =
        Margins { resolution_us: 1_000_000, ac_to_time_limit: 2.0, time_limit_to_tle: 1.5 };
    TimeLimit { limit_us, declared: limit_us.is_some(), max_us: MAX, margins }
}

fn check(kind: Kind, file: &str, permitted: &[Class], required: &[Class]) -> Check {
    let some = |set: &[Class]| (!set.is_empty()).then(|| set.to_vec());
    let requirement = Requirement {
        permitted: some(permitted),
        required: some(required),
        ..Requirement::default()
    };
    let requirements = if kind == Kind::Solution { vec![requirement] } else { Vec::new() };
    Check {
        id: Uuid::nil(),
        import_id: Uuid::nil(),
        position: 0,
        kind,
        file: file.to_owned(),
        spec: Spec { requirements, ..Spec::default() },
        state: State::Waiting,
        limit_us: 0,
        runs: Vec::new(),
        actual: String::new(),
        passed: false,
        cpu_time_us: 0,
        memory_bytes: 0,
        message: String::new(),
    }
}

fn accepted() -> Check {
    check(Kind::Solution, "accepted", &[Ac], &[])
}

fn slow() -> Check {
    check(Kind::Solution, "slow", &[Ac, Tle], &[Tle])
}

fn validator() -> Check {
    check(Kind::InputValidator, "validator", &[], &[])
}

fn complete(check: &mut Check, limit_us: i64, class: Class, time_us: i64) {
    check.state = State::Requested;
    check.limit_us = limit_us;
    let run = Run { test: "secret/1".into(), class: Some(class), time_us };
    check.complete(JudgeResult { verdict: "AC", runs: vec![run], cpu_time_us: 0, memory_bytes: 0 });
}

#[test]
fn declared_limit_requests_all_checks_at_once() {
    let mut checks = [validator(), accepted(), slow()];
    let limits = vec![(0, 0), (1, 2_000_000), (2, 3_000_000)];
    let wanted = Next::Request { inferred_us: None, checks: limits };
    assert_eq!(next(&mut checks, time(Some(2_000_000))), wanted);
    checks[0].state = State::Requested;
    assert_eq!(next(&mut checks, time(Some(2_000_000))), Next::Wait);
}

#[test]
fn limit_is_inferred_in_two_phases() {
    let mut checks = [validator(), accepted(), slow()];
    let wanted = Next::Request { inferred_us: None, checks: vec![(0, 0), (1, MAX)] };
    assert_eq!(next(&mut checks, time(None)), wanted);
    complete(&mut checks[0], 0, Ac, 0);
    complete(&mut checks[1], MAX, Ac, 1_200_000);
    let wanted = Next::Request { inferred_us: Some(3_000_000), checks: vec![(2, 4_500_000)] };
    assert_eq!(next(&mut checks, time(None)), wanted);
    complete(&mut checks[2], 4_500_000, Tle, 4_499_000);
    let done = next(&mut checks, time(Some(3_000_000)));
    assert_eq!(done, Next::Done { inferred_us: None, passed: true, findings: vec![] });
    assert_eq!((checks[1].actual.as_str(), checks[2].actual.as_str()), ("AC", "TLE"));
}

#[test]
fn one_phase_suffices_without_slow_solutions() {
    let mut checks = [accepted()];
    complete(&mut checks[0], MAX, Ac, 100);
    let done = next(&mut checks, time(None));
    assert_eq!(done, Next::Done { inferred_us: Some(1_000_000), passed: true, findings: vec![] });
}

#[test]
fn runs_under_a_higher_limit_are_judged_by_the_effective_one() {
    let mut checks = [accepted(), slow()];
    complete(&mut checks[0], 2_000_000, Ac, 10);
    complete(&mut checks[1], 3_000_000, Ac, 2_500_000);
    let Next::Done { passed, findings, .. } = next(&mut checks, time(Some(2_000_000))) else {
        panic!()
    };
    assert!(checks[1].passed && !passed, "{:?}", checks[1]);
    assert_eq!(findings[0].severity, Severity::Error);
    assert!(findings[0].message.contains("at least 1.5 times"), "{findings:?}");
}

#[test]
fn limits_without_margins_fail() {
    let mut checks = [accepted()];
    complete(&mut checks[0], 2_000_000, Ac, 1_200_000);
    let Next::Done { passed, findings, .. } = next(&mut checks, time(Some(2_000_000))) else {
        panic!()
    };
    assert!(!passed);
    assert!(findings[0].message.contains("must be at least 2 times"), "{findings:?}");
    let mut checks = [accepted(), slow()];
    complete(&mut checks[0], MAX, Ac, 900_000);
    let Next::Request { inferred_us: Some(limit), .. } = next(&mut checks, time(None)) else {
        panic!()
    };
    complete(&mut checks[1], limit, Ac, limit + limit / 4);
    let found = TimeLimit { declared: false, ..time(Some(limit)) };
    let Next::Done { passed: false, findings, .. } = next(&mut checks, found) else { panic!() };
    assert!(findings[0].message.contains("no time limit satisfies both"), "{findings:?}");
}

#[test]
fn unexpected_verdicts_fail() {
    let mut checks = [accepted()];
    complete(&mut checks[0], 2_000_000, Wa, 10);
    let Next::Done { passed, .. } = next(&mut checks, time(Some(2_000_000))) else { panic!() };
    assert!(!passed);
    assert_eq!(checks[0].message, "test secret/1: WA, expected AC");
}

#[test]
fn limits_above_the_maximum_fail() {
    let mut checks = [accepted(), slow()];
    complete(&mut checks[0], MAX, Tle, MAX);
    let Next::Done { passed: false, findings, .. } = next(&mut checks, time(None)) else {
        panic!()
    };
    assert!(findings[0].message.contains("exceed the maximum"));
    let mut checks = [slow()];
    let Next::Done { passed: false, findings, .. } = next(&mut checks, time(None)) else {
        panic!()
    };
    assert!(findings[0].message.contains("cannot infer a time limit"));
}

#[test]
fn invalid_inputs_must_be_refused_by_one_validator() {
    let object = Object { digest: String::new(), size: 0 };
    let invalid = || Input { name: "invalid_input/x".into(), object: object.clone() };
    let mut checks = [validator(), validator(), accepted()];
    for (check, class) in checks.iter_mut().zip([Wa, Ac]) {
        check.spec.invalid_inputs.push(invalid());
        complete(check, 0, class, 0);
        check.runs[0].test = "invalid_input/x".into();
    }
    complete(&mut checks[2], 1_000_000, Ac, 0);
    assert!(matches!(next(&mut checks, time(Some(1_000_000))), Next::Done { passed: true, .. }));
    checks[1].runs[0].class = Some(Wa);
    assert!(matches!(next(&mut checks, time(Some(1_000_000))), Next::Done { passed: false, .. }));
}

#[test]
fn first_failure_ends_the_import() {
    let limit = Some(2_000_000);
    let fails = |checks: &mut [Check], time: TimeLimit| {
        let next = next(checks, time);
        let Next::Done { passed: false, findings, inferred_us: None } = next else {
            panic!("{next:?}")
        };
        assert!(findings.last().unwrap().message.contains("1 check was not finished"));
        findings
    };
    // A validator that does not compile.
    let mut checks = [validator(), accepted()];
    checks[1].state = State::Requested;
    let (runs, verdict) = (Vec::new(), "CE");
    checks[0].complete(JudgeResult { verdict, runs, cpu_time_us: 0, memory_bytes: 0 });
    assert_eq!(fails(&mut checks, time(limit)).len(), 1);
    // A wrong jury solution, whether the time limit is known or not.
    for limit in [limit, None] {
        let mut checks = [accepted(), validator()];
        complete(&mut checks[0], MAX, Wa, 10);
        assert_eq!(fails(&mut checks, time(limit)).len(), 1);
        assert_eq!(checks[0].message, "test secret/1: WA, expected AC");
    }
    // A solution too close to the limit.
    let mut checks = [accepted(), validator()];
    complete(&mut checks[0], 2_000_000, Ac, 1_200_000);
    assert!(fails(&mut checks, time(limit))[0].message.contains("at least 2 times"));
    // One too slow for any limit.
    let mut checks = [accepted(), validator()];
    complete(&mut checks[0], MAX, Ac, MAX - 1);
    assert!(fails(&mut checks, time(None))[0].message.contains("exceed the maximum"));
    // The verdict of a run can still become TLE.
    let wrong = || check(Kind::Solution, "wrong", &[Wa, Tle], &[Wa]);
    let mut checks = [wrong(), accepted()];
    complete(&mut checks[0], MAX, Ac, 5_000_000);
    checks[1].state = State::Requested;
    assert_eq!(next(&mut checks, time(None)), Next::Wait);
}
