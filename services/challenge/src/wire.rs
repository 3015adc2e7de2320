//! Conversions between the service's values and the protos.

use chrono::{DateTime, Utc};
use prost_types::Timestamp;
use proto::challenge::{self, SubmissionState};
use proto::{Verdict, event, judge};
use uuid::Uuid;

use crate::judging::{Judging, Progress, State};
use crate::submission::{Detail, Outcome, Place, Submission, Test, View};

pub fn submission(view: View) -> challenge::Submission {
    let View { submission, state, done_count, test_count, tests, compile_output } = view;
    let (outcome, place) = (submission.outcome, submission.place);
    let done = outcome.as_ref();
    challenge::Submission {
        submission_id: submission.id.to_string(),
        problem_id: submission.problem_id.to_string(),
        problem_version: submission.problem_version,
        user_id: submission.user_id.to_string(),
        language: submission.language,
        source_size_bytes: i32::try_from(submission.source_size).unwrap_or(i32::MAX),
        state: state_to_proto(state).into(),
        verdict: done.map_or(0, |outcome| outcome.verdict.number()),
        cpu_time_us: done.map_or(0, |outcome| outcome.cpu_time_us),
        memory_bytes: done.map_or(0, |outcome| outcome.memory_bytes),
        done_count,
        test_count,
        tests: tests.into_iter().map(test).collect(),
        compile_output,
        create_time: Some(timestamp(submission.created_at)),
        judge_time: done.map(|outcome| timestamp(outcome.judged_at)),
        isolation: outcome.map_or_else(String::new, |outcome| outcome.isolation),
        challenge_id: challenge_id(place),
        contest_time: place.map(|place| duration_us(place.time_us)),
        ignored: place.is_some_and(|place| place.ignored),
    }
}

fn challenge_id(place: Option<Place>) -> String {
    place.map_or_else(String::new, |place| place.challenge_id.to_string())
}

fn clamp(number: i64) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

pub fn duration_us(us: i64) -> prost_types::Duration {
    let nanos = i32::try_from(us.rem_euclid(1_000_000) * 1000).unwrap_or(0);
    prost_types::Duration { seconds: us.div_euclid(1_000_000), nanos }
}

fn test(test: Test) -> challenge::TestOutcome {
    challenge::TestOutcome {
        index: test.index,
        verdict: test.verdict.number(),
        cpu_time_us: test.cpu_time_us,
        memory_bytes: test.memory_bytes,
        sample: test.sample,
        message: test.detail.message,
        output: test.detail.output,
        exit_code: test.detail.exit_code,
        signal: test.detail.signal,
    }
}

fn state_to_proto(state: State) -> SubmissionState {
    match state {
        State::Queued => SubmissionState::Queued,
        State::Compiling => SubmissionState::Compiling,
        State::Running => SubmissionState::Running,
        State::Done => SubmissionState::Done,
        State::Aborted => SubmissionState::Aborted,
    }
}

/// Unknown states of a later version count as queued.
fn state_of_judge(number: i32) -> State {
    match judge::JudgementState::try_from(number) {
        Ok(judge::JudgementState::Compiling) => State::Compiling,
        Ok(judge::JudgementState::Running) => State::Running,
        Ok(judge::JudgementState::Done) => State::Done,
        Ok(judge::JudgementState::Aborted) => State::Aborted,
        Ok(judge::JudgementState::Unspecified | judge::JudgementState::Queued) | Err(_) => {
            State::Queued
        }
    }
}

pub fn timestamp(time: DateTime<Utc>) -> Timestamp {
    let nanos = i32::try_from(time.timestamp_subsec_nanos()).unwrap_or(0);
    Timestamp { seconds: time.timestamp(), nanos }
}

pub fn judging(judgement: judge::Judgement) -> Judging {
    let tests: Vec<Test> = judgement.tests.into_iter().filter_map(test_of_judge).collect();
    Judging {
        judgement_id: ids::parse(&judgement.judgement_id),
        attempt: judgement.attempt,
        state: state_of_judge(judgement.state),
        done_count: i32::try_from(tests.len()).unwrap_or(i32::MAX),
        test_count: judgement.test_count,
        tests: tests.into_iter().map(|test| (test.index, test)).collect(),
        compile_output: judgement.compile_output,
    }
}

pub fn progress(progress: judge::JudgementProgress) -> Progress {
    Progress {
        attempt: progress.attempt,
        state: state_of_judge(progress.state),
        done_count: progress.done_count,
        test_count: progress.test_count,
        tests: progress.tests.into_iter().filter_map(test_of_judge).collect(),
    }
}

fn test_of_judge(test: judge::TestResult) -> Option<Test> {
    Some(Test {
        index: test.index,
        verdict: Verdict::from_number(test.verdict)?,
        cpu_time_us: test.cpu_time_us,
        memory_bytes: test.memory_bytes,
        sample: test.sample,
        detail: Detail {
            message: test.message,
            output: test.output,
            exit_code: test.exit_code,
            signal: test.signal,
        },
    })
}

pub fn test_of_event(test: &event::JudgedTest) -> Option<Test> {
    Some(Test {
        index: test.index,
        verdict: Verdict::from_number(test.verdict)?,
        cpu_time_us: test.cpu_time_us,
        memory_bytes: test.memory_bytes,
        sample: test.sample,
        detail: Detail::default(),
    })
}

pub fn test_to_event(test: &Test) -> event::JudgedTest {
    event::JudgedTest {
        index: test.index,
        verdict: test.verdict.number(),
        cpu_time_us: test.cpu_time_us,
        memory_bytes: test.memory_bytes,
        sample: test.sample,
    }
}

/// The submission's id and outcome; `None` when the judgement has no submission, or a verdict of a later version.
pub fn outcome_of_event(
    judged: &event::JudgementCompleted,
    now: DateTime<Utc>,
) -> Option<(Uuid, Outcome)> {
    let outcome = Outcome {
        judgement_id: ids::parse(&judged.judgement_id)?,
        verdict: Verdict::from_number(judged.verdict)?,
        cpu_time_us: judged.cpu_time_us,
        memory_bytes: judged.memory_bytes,
        test_count: judged.test_count,
        isolation: judged.isolation.clone(),
        judged_at: now,
        tests: judged.tests.iter().filter_map(test_of_event).collect(),
    };
    Some((ids::parse(&judged.submission_id)?, outcome))
}

/// The outcome of a finished judgement; `None` while it is not finished.
pub fn outcome_of_judge(judgement: &judge::Judgement, now: DateTime<Utc>) -> Option<Outcome> {
    if judgement.state() != judge::JudgementState::Done {
        return None;
    }
    let tests = judgement.tests.iter().cloned().filter_map(test_of_judge);
    Some(Outcome {
        judgement_id: ids::parse(&judgement.judgement_id)?,
        verdict: Verdict::from_number(judgement.verdict)?,
        cpu_time_us: judgement.cpu_time_us,
        memory_bytes: judgement.memory_bytes,
        test_count: judgement.test_count,
        isolation: judgement.isolation.clone(),
        judged_at: now,
        tests: tests.map(|test| Test { detail: Detail::default(), ..test }).collect(),
    })
}

pub fn created(submission: &Submission) -> event::SubmissionCreated {
    event::SubmissionCreated {
        submission_id: submission.id.to_string(),
        problem_id: submission.problem_id.to_string(),
        problem_version: submission.problem_version,
        user_id: submission.user_id.to_string(),
        language: submission.language.clone(),
        challenge_id: challenge_id(submission.place),
        attempt: submission.place.map_or(0, |place| clamp(place.attempt)),
    }
}

pub fn judged(submission: &Submission, outcome: &Outcome) -> event::SubmissionJudged {
    event::SubmissionJudged {
        submission_id: submission.id.to_string(),
        problem_id: submission.problem_id.to_string(),
        problem_version: submission.problem_version,
        user_id: submission.user_id.to_string(),
        language: submission.language.clone(),
        verdict: outcome.verdict.number(),
        cpu_time_us: outcome.cpu_time_us,
        memory_bytes: outcome.memory_bytes,
        challenge_id: challenge_id(submission.place),
    }
}
