//! Expected verdicts of jury solutions, and what their runs imply for the time limit. Pure.

use serde::{Deserialize, Serialize};

use crate::glob;

/// A verdict of the package format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Class {
    Ac,
    Wa,
    Tle,
    /// Run-time error, also when it exceeded a limit other than time.
    Rte,
}

impl Class {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "AC" => Self::Ac,
            "WA" => Self::Wa,
            "TLE" => Self::Tle,
            "RTE" => Self::Rte,
            _ => return None,
        })
    }

    /// `AC`, `WA`, `TLE` or `RTE`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ac => "AC",
            Self::Wa => "WA",
            Self::Tle => "TLE",
            Self::Rte => "RTE",
        }
    }
}

/// How runs affect the time limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UseForTimeLimit {
    /// As the permitted and required verdicts imply.
    #[default]
    Default,
    /// Not at all.
    No,
    /// They must finish within the time limit.
    Lower,
    /// They must exceed the time limit.
    Upper,
}

/// The expected verdicts of a solution on some or all tests.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requirement {
    /// Pattern of test names; absent = all tests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tests: Option<String>,
    /// Every test must get one of these; absent = any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permitted: Option<Vec<Class>>,
    /// At least one test must get one of these; absent = not required.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub required: Option<Vec<Class>>,
    #[serde(default)]
    pub time_limit: UseForTimeLimit,
}

/// The run of a solution on one test.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    pub test: String,
    /// Absent if the test was not run.
    pub class: Option<Class>,
    /// CPU time in microseconds, normalised by the time factor of the language.
    pub time_us: i64,
}

impl Requirement {
    pub(crate) fn is_empty(&self) -> bool {
        self.permitted.is_none()
            && self.required.is_none()
            && self.time_limit == UseForTimeLimit::Default
    }

    fn covers(&self, test: &str) -> bool {
        self.tests.as_deref().is_none_or(|pattern| glob::matches(pattern, test))
    }

    fn permits(&self, class: Class) -> bool {
        let too_slow = self.time_limit == UseForTimeLimit::Lower && class == Class::Tle;
        !too_slow && self.permitted.as_ref().is_none_or(|permitted| permitted.contains(&class))
    }

    fn required_classes(&self) -> Option<&[Class]> {
        if self.time_limit == UseForTimeLimit::Upper {
            return Some(&[Class::Tle]);
        }
        self.required.as_deref()
    }

    /// Whether its runs must finish within the time limit.
    pub fn is_lower_bound(&self) -> bool {
        self.time_limit != UseForTimeLimit::No && !self.permits(Class::Tle)
    }

    /// Whether its runs must exceed the time limit.
    pub fn is_upper_bound(&self) -> bool {
        self.time_limit != UseForTimeLimit::No && self.required_classes() == Some(&[Class::Tle])
    }

    fn mismatch(&self, runs: &[Run]) -> Option<Mismatch> {
        let mut seen = false;
        for run in runs.iter().filter(|run| self.covers(&run.test)) {
            let Some(class) = run.class else { continue };
            seen |= self.required_classes().is_some_and(|required| required.contains(&class));
            if !self.permits(class) {
                let permitted =
                    self.permitted.as_deref().unwrap_or(&[Class::Ac, Class::Wa, Class::Rte]);
                let (name, expected) = (class.name(), join_names(permitted));
                let message = format!("test {}: {name}, expected {expected}", run.test);
                return Some(Mismatch { class: Some(class), message });
            }
        }
        let required = self.required_classes().filter(|_| !seen)?;
        let tests = self.tests.as_ref().map_or(String::new(), |tests| format!(" of {tests}"));
        let message = format!("expected {} on at least one test{tests}", join_names(required));
        Some(Mismatch { class: None, message })
    }
}

/// How the runs of a solution differ from a requirement.
struct Mismatch {
    /// The verdict that is not permitted; absent if a required verdict is missing.
    class: Option<Class>,
    message: String,
}

fn join_names(classes: &[Class]) -> String {
    classes.iter().map(|class| class.name()).collect::<Vec<_>>().join(" or ")
}

/// Whether a run has a verdict that is not permitted under any time limit. Under a lower limit its verdict could become
/// TLE.
pub fn is_certain_mismatch(requirements: &[Requirement], runs: &[Run]) -> bool {
    let wrong = |rule: &Requirement| {
        let mut covered = runs.iter().filter(|run| rule.covers(&run.test));
        covered.any(|run| run.class.is_some_and(|class| !rule.permits(class)))
    };
    requirements.iter().any(|rule| !rule.permits(Class::Tle) && wrong(rule))
}

/// What the judge must know to end the runs of a solution early.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The indices of the tests that a requirement covers; absent = all tests.
    pub tests: Option<Vec<usize>>,
    /// Any other verdict fails the solution; empty = none does for certain.
    pub permitted: Vec<Class>,
    /// One test with one of these meets the requirement; empty = all tests must run.
    pub decisive: Vec<Class>,
}

/// The decision about each requirement on these tests. Only solutions that must exceed the time limit end when they
/// meet their requirements: the runs of others can determine the time limit.
pub fn decisions(requirements: &[Requirement], tests: &[&str]) -> Vec<Decision> {
    let all = [Class::Ac, Class::Wa, Class::Tle, Class::Rte];
    let decision = |rule: &Requirement| Decision {
        tests: rule.tests.is_some().then(|| {
            let covered = tests.iter().enumerate().filter(|(_, test)| rule.covers(test));
            covered.map(|(index, _)| index).collect()
        }),
        // As in `is_certain_mismatch`.
        permitted: match rule.permits(Class::Tle) {
            true => Vec::new(),
            false => all.into_iter().filter(|class| rule.permits(*class)).collect(),
        },
        decisive: if rule.is_upper_bound() { vec![Class::Tle] } else { Vec::new() },
    };
    requirements.iter().map(decision).collect()
}

/// The first difference between the expected and actual verdicts of a solution, as a message.
pub fn mismatch(requirements: &[Requirement], runs: &[Run]) -> Option<String> {
    first_mismatch(requirements, runs).map(|mismatch| mismatch.message)
}

fn first_mismatch(requirements: &[Requirement], runs: &[Run]) -> Option<Mismatch> {
    requirements.iter().find_map(|requirement| requirement.mismatch(runs))
}

/// The overall verdict of a solution, for display: the one that is not permitted if there is one, otherwise the first
/// expected one, otherwise the first that is not accepted.
pub fn overall(requirements: &[Requirement], runs: &[Run]) -> Class {
    let mut classes: Vec<Class> = runs.iter().filter_map(|run| run.class).collect();
    // Stable: verdicts other than AC first, in the order of the tests.
    classes.sort_by_key(|class| *class == Class::Ac);
    let expected = expected(requirements);
    let shown = match first_mismatch(requirements, runs) {
        Some(mismatch) => mismatch.class,
        None => classes.iter().copied().find(|class| expected.contains(class)),
    };
    shown.or(classes.first().copied()).unwrap_or(Class::Ac)
}

/// The acceptable overall verdicts of a solution, for display. If no verdict on one test satisfies all requirements,
/// these are the verdicts that satisfy one of them.
pub fn expected(requirements: &[Requirement]) -> Vec<Class> {
    let all = [Class::Ac, Class::Wa, Class::Tle, Class::Rte];
    let whole: Vec<&Requirement> = requirements.iter().filter(|r| r.tests.is_none()).collect();
    let permitted = all.into_iter().filter(|class| whole.iter().all(|rule| rule.permits(*class)));
    let permitted: Vec<Class> = permitted.collect();
    let required: Vec<&[Class]> = whole.iter().filter_map(|rule| rule.required_classes()).collect();
    let of = |fits: &dyn Fn(&Class) -> bool| -> Vec<Class> {
        permitted.iter().copied().filter(fits).collect()
    };
    let all_satisfied = of(&|class| required.iter().all(|set| set.contains(class)));
    let narrowest = |set: &&[Class]| of(&|class| set.contains(class)) == all_satisfied;
    if required.is_empty() || required.iter().any(narrowest) {
        return all_satisfied;
    }
    of(&|class| required.iter().any(|set| set.contains(class)))
}

/// Whether all tests must run, even after one that is not accepted.
pub fn needs_all_tests(requirements: &[Requirement]) -> bool {
    let only_accepted = |requirement: &Requirement| {
        requirement.tests.is_none()
            && requirement.required.is_none()
            && requirement.permitted.as_deref() == Some(&[Class::Ac])
    };
    !requirements.iter().all(only_accepted) || requirements.is_empty()
}

/// CPU time of the slowest run that must finish within the time limit.
pub fn lower_bound_us(requirements: &[Requirement], runs: &[Run]) -> Option<i64> {
    let rules = requirements.iter().filter(|r| r.is_lower_bound());
    rules.filter_map(|rule| slowest_us(rule, runs)).max()
}

/// CPU time that the time limit must stay below: each requirement that runs exceed the limit yields its slowest run; the
/// result is the minimum of these.
pub fn upper_bound_us(requirements: &[Requirement], runs: &[Run]) -> Option<i64> {
    let rules = requirements.iter().filter(|r| r.is_upper_bound());
    rules.filter_map(|rule| slowest_us(rule, runs)).min()
}

fn slowest_us(rule: &Requirement, runs: &[Run]) -> Option<i64> {
    let covered = runs.iter().filter(|run| run.class.is_some() && rule.covers(&run.test));
    covered.map(|run| run.time_us).max()
}

/// Required distance between the time limit and the runs of jury solutions.
#[derive(Clone, Copy, Debug)]
pub struct Margins {
    /// Inferred limits are multiples of this, in microseconds.
    pub resolution_us: i64,
    /// The limit is at least this factor times the slowest accepted run.
    pub ac_to_time_limit: f64,
    /// Runs that must exceed the limit take at least this factor times the limit.
    pub time_limit_to_tle: f64,
}

impl Margins {
    /// The smallest limit with the required distance to the slowest accepted run.
    #[expect(clippy::cast_possible_truncation, reason = "far below 2^53")]
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    pub fn infer_limit(&self, slowest_us: i64) -> i64 {
        let wanted = slowest_us as f64 * self.ac_to_time_limit;
        let steps = (wanted / self.resolution_us as f64).ceil().max(1.0);
        steps as i64 * self.resolution_us
    }

    /// Minimum CPU time of runs that must exceed the limit.
    #[expect(clippy::cast_possible_truncation, reason = "far below 2^53")]
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    pub fn min_slow_us(&self, limit_us: i64) -> i64 {
        (limit_us as f64 * self.time_limit_to_tle).ceil() as i64
    }

    /// Maximum CPU time of accepted runs.
    #[expect(clippy::cast_possible_truncation, reason = "far below 2^53")]
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    pub fn max_fast_us(&self, limit_us: i64) -> i64 {
        (limit_us as f64 / self.ac_to_time_limit).floor() as i64
    }
}

#[cfg(test)]
mod tests;
