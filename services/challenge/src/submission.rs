//! A submission, its outcome, and which part of it a viewer may see.

use chrono::{DateTime, Utc};
use proto::Verdict;
use uuid::Uuid;

use crate::judging::{Judging, State};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submission {
    pub id: Uuid,
    /// Increased by every change.
    pub version: i64,
    pub user_id: Uuid,
    pub problem_id: Uuid,
    /// The published version of the problem at the time of the submission.
    pub problem_version: i64,
    pub language: String,
    /// In bytes.
    pub source_size: i64,
    pub created_at: DateTime<Utc>,
    /// `None` in practice.
    pub place: Option<Place>,
    /// `None` until it is judged.
    pub outcome: Option<Outcome>,
}

/// The place of a submission in a contest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub challenge_id: Uuid,
    pub participant_id: Uuid,
    /// The contest time at which it was stored, in microseconds.
    pub time_us: i64,
    /// The number of the attempt of the participant at the problem, from 1.
    pub attempt: i64,
    /// The jury made it count no more.
    pub ignored: bool,
}

/// The result of judging a submission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    pub judgement_id: Uuid,
    pub verdict: Verdict,
    /// The highest CPU time of a test, in microseconds.
    pub cpu_time_us: i64,
    /// The highest memory use of a test, in bytes.
    pub memory_bytes: i64,
    /// Tests of the problem.
    pub test_count: i32,
    /// The isolation level of the sandbox.
    pub isolation: String,
    /// When this service received the verdict.
    pub judged_at: DateTime<Utc>,
    /// Tests that ran, by index; empty when only the submission itself was read.
    pub tests: Vec<Test>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Test {
    /// From 0.
    pub index: i32,
    pub verdict: Verdict,
    /// In microseconds.
    pub cpu_time_us: i64,
    /// Peak, in bytes.
    pub memory_bytes: i64,
    /// Sample tests are public.
    pub sample: bool,
    pub detail: Detail,
}

/// Details of a run that would reveal a secret test. Shown for sample tests only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Detail {
    pub message: String,
    /// The beginning of the output.
    pub output: String,
    pub exit_code: Option<i32>,
    pub signal: Option<i32>,
}

/// The caller who reads a submission, and their permissions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Viewer {
    /// `None` for a service that acts for itself.
    pub user_id: Option<Uuid>,
    pub service: bool,
    /// May see the submissions of all users.
    pub sees_submissions: bool,
    /// May read the sources of all users.
    pub sees_sources: bool,
}

/// The parts of one submission that one viewer may see.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sight {
    /// Its existence and verdict.
    pub submission: bool,
    /// The source, and the compiler output, which quotes it.
    pub source: bool,
    /// Every test that ran, including those after the test that decided the verdict.
    pub every_test: bool,
    /// Only sample tests, and no numbers of tests: how far a program gets is secret during a contest.
    pub samples_only: bool,
}

impl Viewer {
    pub fn sight(&self, author: Uuid) -> Sight {
        let own = self.user_id == Some(author);
        Sight {
            submission: own || self.service || self.sees_submissions,
            source: own || self.service || self.sees_sources,
            every_test: self.service || self.sees_submissions,
            samples_only: false,
        }
    }
}

impl Sight {
    /// Members of a team see what its authors see.
    pub fn of_team_mate(self) -> Self {
        Self { submission: true, source: true, ..self }
    }
}

/// A submission as one viewer sees it at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// The submission; the outcome's tests are in `tests`.
    pub submission: Submission,
    pub state: State,
    pub done_count: i32,
    /// 0 while unknown.
    pub test_count: i32,
    pub tests: Vec<Test>,
    pub compile_output: String,
}

impl View {
    /// The parts of `submission` and `judging` that `sight` allows; `None` when it allows nothing. Every response is made
    /// from a view.
    pub fn new(mut submission: Submission, judging: &Judging, sight: Sight) -> Option<Self> {
        if !sight.submission {
            return None;
        }
        let Some(outcome) = &mut submission.outcome else {
            return Some(Self::of_pending(submission, judging).limited_to(sight));
        };
        // The stored event decides which tests ran and which are samples. The judge's response only adds details, and only
        // if it is about the same judgement.
        let same_run = judging.judgement_id == Some(outcome.judgement_id);
        let mut tests = std::mem::take(&mut outcome.tests);
        tests.sort_by_key(|test| test.index);
        if !sight.every_test {
            truncate_after_decision(&mut tests);
        }
        for test in &mut tests {
            let known = judging.tests.get(&test.index).filter(|known| known.sample && same_run);
            test.detail = match known {
                Some(known) if test.sample => known.detail.clone(),
                _ => Detail::default(),
            };
        }
        let compile_output = match same_run && sight.source {
            true => judging.compile_output.clone(),
            false => String::new(),
        };
        let view = Self {
            state: State::Done,
            done_count: i32::try_from(tests.len()).unwrap_or(i32::MAX),
            test_count: outcome.test_count,
            compile_output,
            tests,
            submission,
        };
        Some(view.limited_to(sight))
    }

    /// Hides the tests that `sight` does not include.
    fn limited_to(mut self, sight: Sight) -> Self {
        if sight.samples_only {
            self.tests.retain(|test| test.sample);
            (self.done_count, self.test_count) = (0, 0);
        }
        self
    }

    /// The view in lists, where the judge is not asked.
    pub fn listed(submission: Submission, sight: Sight) -> Option<Self> {
        let mut view = Self::new(submission, &Judging::default(), sight)?;
        view.tests.clear();
        if let Some(outcome) = &view.submission.outcome {
            (view.done_count, view.test_count) = (outcome.test_count, outcome.test_count);
        }
        Some(view.limited_to(sight))
    }

    /// The view before the verdict, for a viewer who may see the submission.
    pub fn of_pending(submission: Submission, judging: &Judging) -> Self {
        let mut tests: Vec<Test> = judging.tests.values().cloned().collect();
        for test in &mut tests {
            test.detail = Detail::default();
        }
        // The judge finishes before its verdict is durable here; DONE requires a durable verdict.
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

/// Tests run in parallel, so which tests ran after the deciding one is random. Contestants do not see them: their view
/// depends on the program alone.
fn truncate_after_decision(tests: &mut Vec<Test>) {
    if let Some(decision) = tests.iter().position(|test| !test.verdict.is_accepted()) {
        tests.truncate(decision + 1);
    }
}

#[cfg(test)]
mod tests;
