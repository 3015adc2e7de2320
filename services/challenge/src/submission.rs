//! A submission, how it was judged, and who may see what of it.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::judging::{Judging, State};
use crate::verdict::Verdict;

/// A program handed in for a problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submission {
    /// The id.
    pub id: Uuid,
    /// Rises with every change.
    pub version: i64,
    /// Its author.
    pub user_id: Uuid,
    /// The problem.
    pub problem_id: Uuid,
    /// The version of the problem that was published at the time.
    pub problem_version: i64,
    /// The language.
    pub language: String,
    /// The size of the program in bytes.
    pub source_size: i64,
    /// When it was acknowledged.
    pub created_at: DateTime<Utc>,
    /// How it was judged; `None` until the verdict stands.
    pub outcome: Option<Outcome>,
}

/// How a submission was judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The judge's id of it.
    pub judgement_id: Uuid,
    /// The verdict.
    pub verdict: Verdict,
    /// CPU time of the worst test, in microseconds.
    pub cpu_time_us: i64,
    /// Memory of the worst test, in bytes.
    pub memory_bytes: i64,
    /// How many tests the problem has.
    pub test_count: i32,
    /// How strong the sandbox was.
    pub isolation: String,
    /// When the verdict reached us.
    pub judged_at: DateTime<Utc>,
    /// The tests that ran, by index; empty where only the submission itself was asked for.
    pub tests: Vec<Test>,
}

/// One test's outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Test {
    /// From 0.
    pub index: i32,
    /// The outcome.
    pub verdict: Verdict,
    /// CPU time, in microseconds.
    pub cpu_time_us: i64,
    /// The peak of memory, in bytes.
    pub memory_bytes: i64,
    /// Whether everyone may see the test.
    pub sample: bool,
    /// What would give a secret test away.
    pub detail: Detail,
}

/// What a run left behind beyond its verdict. Shown of sample tests only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Detail {
    /// What the checker said.
    pub message: String,
    /// The start of the output.
    pub output: String,
    /// The exit code.
    pub exit_code: Option<i32>,
    /// The signal it died of.
    pub signal: Option<i32>,
}

/// Who looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Viewer {
    /// The acting user; `None` for a service that acts for itself.
    pub user_id: Option<Uuid>,
    /// A service that acts for itself.
    pub service: bool,
    /// May see everybody's submissions.
    pub sees_submissions: bool,
    /// May read everybody's programs.
    pub sees_sources: bool,
}

/// What one viewer may see of one submission.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sight {
    /// That it exists, and its verdict.
    pub submission: bool,
    /// The program, and what the compiler said, which quotes it.
    pub source: bool,
    /// Every test that ran, also those behind the one that decided.
    pub every_test: bool,
}

impl Viewer {
    /// What the viewer may see of a submission of `author`.
    pub fn sight(&self, author: Uuid) -> Sight {
        let own = self.user_id == Some(author);
        Sight {
            submission: own || self.service || self.sees_submissions,
            source: own || self.service || self.sees_sources,
            every_test: self.service || self.sees_submissions,
        }
    }
}

/// A submission as one viewer sees it at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// The submission; the outcome's tests are in `tests`.
    pub submission: Submission,
    /// Where it stands.
    pub state: State,
    /// Tests done.
    pub done_count: i32,
    /// Tests in all; 0 while not known.
    pub test_count: i32,
    /// Tests, by index.
    pub tests: Vec<Test>,
    /// What the compiler said.
    pub compile_output: String,
}

impl View {
    /// What `sight` allows to see of `submission`, of which the judge says `judging`; `None` when
    /// nothing. Every response is made of this and of nothing else.
    pub fn new(mut submission: Submission, judging: &Judging, sight: Sight) -> Option<Self> {
        if !sight.submission {
            return None;
        }
        let Some(outcome) = &mut submission.outcome else {
            return Some(Self::of_pending(submission, judging));
        };
        // The event that carried the verdict decides what ran and what is a sample; the judge only
        // adds to it, and only if it speaks of the same run.
        let same_run = judging.judgement_id == Some(outcome.judgement_id);
        let mut tests = std::mem::take(&mut outcome.tests);
        tests.sort_by_key(|test| test.index);
        if !sight.every_test {
            cut_behind_decision(&mut tests);
        }
        for test in &mut tests {
            let known = judging.tests.get(&test.index).filter(|known| known.sample && same_run);
            test.detail = match known {
                Some(known) if test.sample => known.detail.clone(),
                _ => Detail::default(),
            };
        }
        let quotes = same_run && sight.source;
        Some(Self {
            state: State::Done,
            done_count: i32::try_from(tests.len()).unwrap_or(i32::MAX),
            test_count: outcome.test_count,
            compile_output: if quotes { judging.compile_output.clone() } else { String::new() },
            tests,
            submission,
        })
    }

    /// A submission as it stands in lists, where the judge is not asked.
    pub fn listed(submission: Submission, sight: Sight) -> Option<Self> {
        let mut view = Self::new(submission, &Judging::default(), sight)?;
        view.tests.clear();
        if let Some(outcome) = &view.submission.outcome {
            (view.done_count, view.test_count) = (outcome.test_count, outcome.test_count);
        }
        Some(view)
    }

    fn of_pending(submission: Submission, judging: &Judging) -> Self {
        let mut tests: Vec<Test> = judging.tests.values().cloned().collect();
        for test in &mut tests {
            test.detail = Detail::default();
        }
        // The judge is done before its verdict is durable here, and there is no DONE without one.
        let state = match judging.state {
            State::Done => State::Running,
            state => state,
        };
        Self {
            state,
            done_count: judging.done_count,
            test_count: judging.test_count,
            tests,
            compile_output: String::new(),
            submission,
        }
    }
}

/// Tests run in parallel, so what ran behind the deciding test is chance; a contestant's view
/// depends on the program alone.
fn cut_behind_decision(tests: &mut Vec<Test>) {
    if let Some(decision) = tests.iter().position(|test| !test.verdict.is_accepted()) {
        tests.truncate(decision + 1);
    }
}

#[cfg(test)]
#[path = "submission_tests.rs"]
mod tests;
