//! How an import goes on when a check was answered: the two phases, the time limit, the end. Pure.
//!
//! A package that declares its time limit is checked at once. Otherwise those solutions that must be
//! fast enough run first, under the highest limit there is; they give the time limit, under which the
//! others run.

use crate::check::{Check, Kind, State};
use crate::expectation::{self, Class, Margins};
use crate::package::{Finding, Severity};

/// What is known of the time limit.
#[derive(Clone, Copy, Debug)]
pub struct TimeLimit {
    /// The limit; `None` while it is being found.
    pub limit_us: Option<i64>,
    /// Whether the package declares it.
    pub declared: bool,
    /// The highest there is.
    pub max_us: i64,
    /// How far it must be from the jury's times.
    pub margins: Margins,
}

/// What is to be done next.
#[derive(Debug, PartialEq)]
pub enum Next {
    /// Nothing: the judge is at work.
    Wait,
    /// Ask the judge to run these checks, each under a time limit.
    Request {
        /// The limit that was found just now.
        found_us: Option<i64>,
        /// Places of checks, and the limit they run under.
        checks: Vec<(usize, i64)>,
    },
    /// Everything was checked.
    Done {
        /// The limit that was found just now.
        found_us: Option<i64>,
        /// Whether everything came out as it must.
        passed: bool,
        /// What else there is to say.
        findings: Vec<Finding>,
    },
}

/// Decides what is next; settles solutions when the end is reached.
pub fn next(checks: &mut [Check], time: TimeLimit) -> Next {
    if checks.iter().any(|check| check.state == State::Requested) {
        return Next::Wait;
    }
    if checks.iter().all(|check| check.state == State::Done) {
        return match time.limit_us.map_or_else(|| find(checks, time), Ok) {
            Ok(limit) => finish(checks, limit, time),
            Err(finding) => give_up(finding),
        };
    }
    let started = checks.iter().any(|check| check.state == State::Done);
    match time.limit_us {
        Some(limit) => request_waiting(checks, limit, None, time.margins),
        None if started => match find(checks, time) {
            Ok(limit) => request_waiting(checks, limit, Some(limit), time.margins),
            Err(finding) => give_up(finding),
        },
        None => {
            let first = checks.iter().enumerate().filter(|(_, c)| runs_first(c));
            let checks: Vec<_> =
                first.map(|(at, check)| (at, limit_of(check, time.max_us, None))).collect();
            if checks.is_empty() {
                return find(&[], time).map_or_else(give_up, |_| Next::Wait);
            }
            Next::Request { found_us: None, checks }
        }
    }
}

/// Whether a check does not need the time limit, or helps to find it.
fn runs_first(check: &Check) -> bool {
    check.kind != Kind::Solution || check.is_lower_bound()
}

fn limit_of(check: &Check, limit_us: i64, margins: Option<Margins>) -> i64 {
    match check.kind {
        // The judge knows better what validators need; outputs are not run.
        Kind::InputValidator | Kind::Outputs => 0,
        // Only past this is it seen to be clearly too slow.
        Kind::Solution if check.is_upper_bound() => {
            margins.map_or(limit_us, |margins| margins.clearly_slow(limit_us))
        }
        Kind::Solution => limit_us,
    }
}

fn request_waiting(
    checks: &[Check],
    limit_us: i64,
    found_us: Option<i64>,
    margins: Margins,
) -> Next {
    let waiting = checks.iter().enumerate().filter(|(_, check)| check.state == State::Waiting);
    let checks =
        waiting.map(|(at, check)| (at, limit_of(check, limit_us, Some(margins)))).collect();
    Next::Request { found_us, checks }
}

/// The time limit that the jury's solutions ask for.
fn find(checks: &[Check], time: TimeLimit) -> Result<i64, Finding> {
    let mut slowest: Option<(i64, &str)> = None;
    for check in checks.iter().filter(|c| c.kind == Kind::Solution && c.is_lower_bound()) {
        let needed = expectation::slowest(&check.spec.requirements, &check.runs);
        if let Some(needed) = needed.filter(|needed| slowest.is_none_or(|(s, _)| *needed > s)) {
            slowest = Some((needed, &check.file));
        }
    }
    let Some((slowest, file)) = slowest else {
        let message = "no time limit can be found: no solution that must be fast enough has run";
        return Err(Finding::new(Severity::Error, "submissions", message));
    };
    let limit = time.margins.infer(slowest);
    if limit > time.max_us {
        let (seconds, max) = (slowest / 1_000_000, time.max_us / 1_000_000);
        let message = format!(
            "takes {seconds} s; no time limit can be found that is not above the highest there is ({max} s)"
        );
        return Err(Finding::new(Severity::Error, file, message));
    }
    Ok(limit)
}

fn give_up(finding: Finding) -> Next {
    Next::Done { found_us: None, passed: false, findings: vec![finding] }
}

fn finish(checks: &mut [Check], limit_us: i64, time: TimeLimit) -> Next {
    let found_us = time.limit_us.is_none().then_some(limit_us);
    for check in checks.iter_mut() {
        check.settle(limit_us);
    }
    let mut findings = invalid_inputs(checks);
    margins(checks, limit_us, time, &mut findings);
    let wrong = findings.iter().any(|finding| finding.severity == Severity::Error);
    let passed = !wrong && checks.iter().all(|check| check.passed);
    Next::Done { found_us, passed, findings }
}

/// Each invalid input must be refused by one validator at least.
fn invalid_inputs(checks: &[Check]) -> Vec<Finding> {
    let mut refused: std::collections::BTreeMap<&str, bool> = std::collections::BTreeMap::new();
    for check in checks.iter().filter(|check| check.kind == Kind::InputValidator) {
        for input in &check.spec.invalid_inputs {
            let run = check.runs.iter().find(|run| run.test == input.name);
            let refuses = run.is_some_and(|run| run.class == Some(Class::Ac));
            *refused.entry(&input.name).or_default() |= refuses;
        }
    }
    let accepted = refused.into_iter().filter(|(_, refused)| !refused);
    let finding = |(name, _): (&str, bool)| {
        let file = format!("data/{name}.in");
        Finding::new(Severity::Error, &file, "must be refused by an input validator, but is not")
    };
    accepted.map(finding).collect()
}

/// Whether the time limit is far enough from the jury's times. The format asks for an error where it is
/// not, also where the package declares the limit.
fn margins(checks: &[Check], limit_us: i64, time: TimeLimit, findings: &mut Vec<Finding>) {
    let margins = time.margins;
    let seconds = |us: i64| format!("{}.{:03} s", us / 1_000_000, us / 1000 % 1000);
    let limit = seconds(limit_us);
    let mut add = |check: &Check, message| {
        findings.push(Finding::new(Severity::Error, &check.file, message));
    };
    for check in checks.iter().filter(|check| check.kind == Kind::Solution && check.passed) {
        let requirements = &check.spec.requirements;
        if let Some(slowest) = expectation::slowest(requirements, &check.runs)
            && slowest > margins.clearly_fast(limit_us)
        {
            let (took, factor) = (seconds(slowest), margins.ac_to_time_limit);
            add(
                check,
                format!(
                    "takes {took}; the time limit {limit} must be at least {factor} times that"
                ),
            );
        }
        if let Some(slow) = expectation::too_slow(requirements, &check.runs)
            && slow < margins.clearly_slow(limit_us)
        {
            let (took, factor) = (seconds(slow), margins.time_limit_to_tle);
            let mut message = format!(
                "takes {took}, but must take at least {factor} times the time limit {limit}"
            );
            if !time.declared {
                message += ", the lowest that leaves accepted solutions their margin: no time limit \
                            can be found that satisfies both";
            }
            add(check, message);
        }
    }
}

#[cfg(test)]
#[path = "progress_tests.rs"]
mod tests;
