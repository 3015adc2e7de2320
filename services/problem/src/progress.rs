//! The next step of an import after the result of a check: phases, time limit, completion. Pure.
//!
//! A package that declares its time limit is checked in one phase. Otherwise the solutions that must finish within
//! the limit run first, under the maximum limit. The time limit is inferred from their runs, and the other solutions
//! run under it.

use crate::check::{Check, Kind, State};
use package::expectation::{self, Class, Margins};
use package::{Finding, Severity};

#[derive(Clone, Copy, Debug)]
pub struct TimeLimit {
    /// `None` until it is inferred.
    pub limit_us: Option<i64>,
    pub declared: bool,
    /// Maximum that the server allows.
    pub max_us: i64,
    pub margins: Margins,
}

#[derive(Debug, PartialEq)]
pub enum Next {
    /// Requested checks are not complete.
    Wait,
    /// Request these checks from the judge.
    Request {
        /// The time limit, if it was inferred in this step.
        inferred_us: Option<i64>,
        /// Indices of checks with their time limits.
        checks: Vec<(usize, i64)>,
    },
    /// All checks are complete.
    Done {
        /// The time limit, if it was inferred in this step.
        inferred_us: Option<i64>,
        passed: bool,
        findings: Vec<Finding>,
    },
}

/// Decides the next step; settles finished solutions when the time limit is known. The first failed check ends the
/// import.
pub fn next(checks: &mut [Check], time: TimeLimit) -> Next {
    if let Some(limit) = time.limit_us {
        checks.iter_mut().for_each(|check| check.settle(limit));
    }
    if let Some(findings) = stop_at_failure(checks, time) {
        return Next::Done { inferred_us: None, passed: false, findings };
    }
    if checks.iter().any(|check| check.state == State::Requested) {
        return Next::Wait;
    }
    if checks.iter().all(|check| check.state == State::Done) {
        return match time.limit_us.map_or_else(|| infer_limit(checks, time), Ok) {
            Ok(limit) => finish(checks, limit, time),
            Err(finding) => fail(finding),
        };
    }
    let started = checks.iter().any(|check| check.state == State::Done);
    match time.limit_us {
        Some(limit) => request_waiting(checks, limit, None, time.margins),
        None if started => match infer_limit(checks, time) {
            Ok(limit) => request_waiting(checks, limit, Some(limit), time.margins),
            Err(finding) => fail(finding),
        },
        None => {
            let first = checks.iter().enumerate().filter(|(_, c)| runs_first(c));
            let checks: Vec<_> =
                first.map(|(at, check)| (at, limit_of(check, time.max_us, None))).collect();
            if checks.is_empty() {
                return infer_limit(&[], time).map_or_else(fail, |_| Next::Wait);
            }
            Next::Request { inferred_us: None, checks }
        }
    }
}

/// The findings if a check has failed and others are not finished.
fn stop_at_failure(checks: &mut [Check], time: TimeLimit) -> Option<Vec<Finding>> {
    let unfinished = checks.iter().filter(|check| check.state != State::Done).count();
    if unfinished == 0 {
        return None;
    }
    let mut findings = Vec::new();
    match time.limit_us {
        Some(limit) => check_margins(checks, limit, time, &mut findings),
        None => findings.extend(above_maximum(checks, time)),
    }
    let limit_is_known = time.limit_us.is_some();
    let mut failed = checks.iter_mut().filter(|check| check.has_failed(limit_is_known)).peekable();
    if failed.peek().is_none() && findings.is_empty() {
        return None;
    }
    failed.filter(|check| check.kind == Kind::Solution).for_each(Check::compare);
    let were = if unfinished == 1 { "check was" } else { "checks were" };
    let text = format!("stopped at the first failure; {unfinished} {were} not finished");
    findings.push(Finding::new(Severity::Info, "", text));
    Some(findings)
}

/// Whether a check is independent of the time limit, or needed to infer it.
fn runs_first(check: &Check) -> bool {
    check.kind != Kind::Solution || check.is_lower_bound()
}

fn limit_of(check: &Check, limit_us: i64, margins: Option<Margins>) -> i64 {
    match check.kind {
        // Validators have their own limit; outputs are not run.
        Kind::InputValidator | Kind::Outputs => 0,
        // It must exceed the limit by its margin.
        Kind::Solution if check.is_upper_bound() => {
            margins.map_or(limit_us, |margins| margins.min_slow_us(limit_us))
        }
        Kind::Solution => limit_us,
    }
}

fn request_waiting(
    checks: &[Check],
    limit_us: i64,
    inferred_us: Option<i64>,
    margins: Margins,
) -> Next {
    let waiting = checks.iter().enumerate().filter(|(_, check)| check.state == State::Waiting);
    let checks =
        waiting.map(|(at, check)| (at, limit_of(check, limit_us, Some(margins)))).collect();
    Next::Request { inferred_us, checks }
}

/// The slowest run that must finish within the time limit, with its solution.
fn slowest(checks: &[Check]) -> Option<(i64, &str)> {
    let mut slowest: Option<(i64, &str)> = None;
    for check in checks.iter().filter(|c| c.kind == Kind::Solution && c.is_lower_bound()) {
        let needed = expectation::lower_bound_us(&check.spec.requirements, &check.runs);
        if let Some(needed) = needed.filter(|needed| slowest.is_none_or(|(s, _)| *needed > s)) {
            slowest = Some((needed, &check.file));
        }
    }
    slowest
}

/// The finding if a solution is too slow for the maximum time limit.
fn above_maximum(checks: &[Check], time: TimeLimit) -> Option<Finding> {
    let (slowest, file) = slowest(checks)?;
    if time.margins.infer_limit(slowest) <= time.max_us {
        return None;
    }
    let (seconds, max) = (slowest / 1_000_000, time.max_us / 1_000_000);
    let message =
        format!("takes {seconds} s; the inferred time limit would exceed the maximum ({max} s)");
    Some(Finding::new(Severity::Error, file, message))
}

/// Infers the time limit from the runs of jury solutions.
fn infer_limit(checks: &[Check], time: TimeLimit) -> Result<i64, Finding> {
    let Some((slowest, _)) = slowest(checks) else {
        let message = "cannot infer a time limit: no solution that must finish within it has run";
        return Err(Finding::new(Severity::Error, "submissions", message));
    };
    above_maximum(checks, time).map_or_else(|| Ok(time.margins.infer_limit(slowest)), Err)
}

fn fail(finding: Finding) -> Next {
    Next::Done { inferred_us: None, passed: false, findings: vec![finding] }
}

fn finish(checks: &mut [Check], limit_us: i64, time: TimeLimit) -> Next {
    let inferred_us = time.limit_us.is_none().then_some(limit_us);
    for check in checks.iter_mut() {
        check.settle(limit_us);
    }
    let mut findings = accepted_invalid_inputs(checks);
    check_margins(checks, limit_us, time, &mut findings);
    let has_errors = findings.iter().any(|finding| finding.severity == Severity::Error);
    let passed = !has_errors && checks.iter().all(|check| check.passed);
    Next::Done { inferred_us, passed, findings }
}

/// Reports invalid inputs that no validator refuses.
fn accepted_invalid_inputs(checks: &[Check]) -> Vec<Finding> {
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
        Finding::new(Severity::Error, &file, "is not refused by any input validator")
    };
    accepted.map(finding).collect()
}

/// Reports solutions too close to the time limit. The format requires an error also for a declared limit.
fn check_margins(checks: &[Check], limit_us: i64, time: TimeLimit, findings: &mut Vec<Finding>) {
    let margins = time.margins;
    let seconds = |us: i64| format!("{}.{:03} s", us / 1_000_000, us / 1000 % 1000);
    let limit = seconds(limit_us);
    let mut add = |check: &Check, message| {
        findings.push(Finding::new(Severity::Error, &check.file, message));
    };
    for check in checks.iter().filter(|check| check.kind == Kind::Solution && check.passed) {
        let requirements = &check.spec.requirements;
        if let Some(slowest) = expectation::lower_bound_us(requirements, &check.runs)
            && slowest > margins.max_fast_us(limit_us)
        {
            let (took, factor) = (seconds(slowest), margins.ac_to_time_limit);
            add(
                check,
                format!(
                    "takes {took}; the time limit {limit} must be at least {factor} times that"
                ),
            );
        }
        if let Some(slow) = expectation::upper_bound_us(requirements, &check.runs)
            && slow < margins.min_slow_us(limit_us)
        {
            let (took, factor) = (seconds(slow), margins.time_limit_to_tle);
            let mut message = format!(
                "takes {took}, but must take at least {factor} times the time limit {limit}"
            );
            if !time.declared {
                message += ", the lowest with the required distance to the accepted solutions: no time \
                            limit satisfies both";
            }
            add(check, message);
        }
    }
}

#[cfg(test)]
mod tests;
