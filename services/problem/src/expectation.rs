//! What must come of a jury solution, and what its runs say about the time limit. Pure.

use serde::{Deserialize, Serialize};

use crate::package::glob;

/// A verdict as packages know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Class {
    /// Accepted.
    Ac,
    /// A wrong answer, whatever is wrong with it.
    Wa,
    /// Too slow.
    Tle,
    /// Crashed, or used more than it may of something else than time.
    Rte,
}

impl Class {
    /// Reads `AC`, `WA`, `TLE` or `RTE`.
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "AC" => Self::Ac,
            "WA" => Self::Wa,
            "TLE" => Self::Tle,
            "RTE" => Self::Rte,
            _ => return None,
        })
    }

    /// Its name in packages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ac => "AC",
            Self::Wa => "WA",
            Self::Tle => "TLE",
            Self::Rte => "RTE",
        }
    }
}

/// Whether runs bear on the time limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UseForTimeLimit {
    /// As the verdicts say.
    #[default]
    Default,
    /// No.
    No,
    /// They must be fast enough.
    Lower,
    /// They must be too slow.
    Upper,
}

/// What must come of a solution on some or all tests.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requirement {
    /// Which tests, as a pattern; absent = all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tests: Option<String>,
    /// Every test must have one of these; absent = any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permitted: Option<Vec<Class>>,
    /// At least one test must have one of these; absent = no such demand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub required: Option<Vec<Class>>,
    /// What it means for the time limit.
    #[serde(default)]
    pub time_limit: UseForTimeLimit,
}

/// One test's run of a solution.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// The test's name.
    pub test: String,
    /// What came of it; absent when it was not run.
    pub class: Option<Class>,
    /// CPU time in microseconds, less what the language may take more than others.
    pub time_us: i64,
}

impl Requirement {
    /// Whether it demands nothing at all.
    pub fn is_empty(&self) -> bool {
        self.permitted.is_none()
            && self.required.is_none()
            && self.time_limit == UseForTimeLimit::Default
    }

    fn covers(&self, test: &str) -> bool {
        self.tests.as_deref().is_none_or(|pattern| glob::matches(pattern, test))
    }

    fn permits(&self, class: Class) -> bool {
        let forced = self.time_limit == UseForTimeLimit::Lower && class == Class::Tle;
        !forced && self.permitted.as_ref().is_none_or(|permitted| permitted.contains(&class))
    }

    fn demands(&self) -> Option<&[Class]> {
        if self.time_limit == UseForTimeLimit::Upper {
            return Some(&[Class::Tle]);
        }
        self.required.as_deref()
    }

    /// Whether its tests must be fast enough: a lower bound of the time limit.
    pub fn is_lower_bound(&self) -> bool {
        self.time_limit != UseForTimeLimit::No && !self.permits(Class::Tle)
    }

    /// Whether its tests must be too slow: an upper bound of the time limit.
    pub fn is_upper_bound(&self) -> bool {
        self.time_limit != UseForTimeLimit::No && self.demands() == Some(&[Class::Tle])
    }

    /// What is wrong with runs, if anything.
    fn surprise(&self, runs: &[Run]) -> Option<String> {
        let mut seen = false;
        for run in runs.iter().filter(|run| self.covers(&run.test)) {
            let Some(class) = run.class else { continue };
            seen |= self.demands().is_some_and(|required| required.contains(&class));
            if !self.permits(class) {
                let permitted =
                    self.permitted.as_deref().unwrap_or(&[Class::Ac, Class::Wa, Class::Rte]);
                let (name, wanted) = (class.name(), names(permitted, " or "));
                return Some(format!("test {}: {name}, expected {wanted}", run.test));
            }
        }
        let required = self.demands().filter(|_| !seen)?;
        let where_ = self.tests.as_ref().map_or(String::new(), |tests| format!(" of {tests}"));
        Some(format!("expected {} on at least one test{where_}", names(required, " or ")))
    }
}

fn names(classes: &[Class], between: &str) -> String {
    classes.iter().map(|class| class.name()).collect::<Vec<_>>().join(between)
}

/// What is wrong with a solution's runs, if anything.
pub fn surprise(requirements: &[Requirement], runs: &[Run]) -> Option<String> {
    requirements.iter().find_map(|requirement| requirement.surprise(runs))
}

/// The verdicts that would be right for the solution as a whole, for people.
pub fn expected(requirements: &[Requirement]) -> Vec<Class> {
    let all = [Class::Ac, Class::Wa, Class::Tle, Class::Rte];
    let whole = |requirement: &&Requirement| requirement.tests.is_none();
    let fits = |class: &Class| {
        requirements.iter().filter(whole).all(|requirement| {
            let demanded = requirement.demands().is_none_or(|set| set.contains(class));
            requirement.permits(*class) && demanded
        })
    };
    all.into_iter().filter(fits).collect()
}

/// Whether all tests must run, whatever comes of the first.
pub fn needs_all_tests(requirements: &[Requirement]) -> bool {
    let only_accepted = |requirement: &Requirement| {
        requirement.tests.is_none()
            && requirement.required.is_none()
            && requirement.permitted.as_deref() == Some(&[Class::Ac])
    };
    !requirements.iter().all(only_accepted) || requirements.is_empty()
}

/// The slowest run that must be fast enough.
pub fn slowest(requirements: &[Requirement], runs: &[Run]) -> Option<i64> {
    let rules = requirements.iter().filter(|r| r.is_lower_bound());
    rules.filter_map(|rule| slowest_of(rule, runs)).max()
}

/// The slowest run of the rule that must be too slow; the lowest of several such rules.
pub fn too_slow(requirements: &[Requirement], runs: &[Run]) -> Option<i64> {
    let rules = requirements.iter().filter(|r| r.is_upper_bound());
    rules.filter_map(|rule| slowest_of(rule, runs)).min()
}

fn slowest_of(rule: &Requirement, runs: &[Run]) -> Option<i64> {
    let covered = runs.iter().filter(|run| run.class.is_some() && rule.covers(&run.test));
    covered.map(|run| run.time_us).max()
}

/// The margins of a time limit.
#[derive(Clone, Copy, Debug)]
pub struct Margins {
    /// Found limits are multiples of this, in microseconds.
    pub resolution_us: i64,
    /// The limit is at least this many times the slowest accepted run.
    pub ac_to_time_limit: f64,
    /// The fastest slow solution takes at least this many times the limit.
    pub time_limit_to_tle: f64,
}

impl Margins {
    /// The smallest limit that leaves the slowest accepted run its margin.
    #[expect(clippy::cast_possible_truncation, reason = "far below 2^53")]
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    pub fn infer(&self, slowest_us: i64) -> i64 {
        let wanted = slowest_us as f64 * self.ac_to_time_limit;
        let steps = (wanted / self.resolution_us as f64).ceil().max(1.0);
        steps as i64 * self.resolution_us
    }

    /// What a run must take at least to be clearly too slow.
    #[expect(clippy::cast_possible_truncation, reason = "far below 2^53")]
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    pub fn clearly_slow(&self, limit_us: i64) -> i64 {
        (limit_us as f64 * self.time_limit_to_tle).ceil() as i64
    }

    /// What an accepted run may take at most, to be clearly fast enough.
    #[expect(clippy::cast_possible_truncation, reason = "far below 2^53")]
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    pub fn clearly_fast(&self, limit_us: i64) -> i64 {
        (limit_us as f64 / self.ac_to_time_limit).floor() as i64
    }
}

#[cfg(test)]
#[path = "expectation_tests.rs"]
mod tests;
