//! Conversions between domain values and messages.

use chrono::{DateTime, Utc};
use package::expectation::{Class, Decision};
use package::{Checker, Finding, Limits, Sample, Severity};
use proto::Verdict;
use proto::problem as pb;

use crate::check::{self, Check};
use crate::error::Result;
use crate::import::Report;
use crate::problem::{Problem, Visibility};
use crate::store::imports::Import;
use crate::store::versions::{Statement, Version};
use crate::verification;
use crate::version::{Attachment, Manifest, Object, Summary};

fn time(time: DateTime<Utc>) -> prost_types::Timestamp {
    let nanos = i32::try_from(time.timestamp_subsec_nanos()).unwrap_or(0);
    prost_types::Timestamp { seconds: time.timestamp(), nanos }
}

fn micros(us: i64) -> prost_types::Duration {
    let nanos = i32::try_from(us % 1_000_000 * 1000).unwrap_or(0);
    prost_types::Duration { seconds: us / 1_000_000, nanos }
}

fn count(n: impl TryInto<i32>) -> i32 {
    n.try_into().unwrap_or(i32::MAX)
}

/// Parses a visibility; unspecified is a draft.
pub fn visibility_of(visibility: i32) -> Result<Visibility, String> {
    match pb::Visibility::try_from(visibility) {
        Ok(pb::Visibility::Unspecified | pb::Visibility::Draft) => Ok(Visibility::Draft),
        Ok(pb::Visibility::Private) => Ok(Visibility::Private),
        Ok(pb::Visibility::Public) => Ok(Visibility::Public),
        Err(_) => Err("must be draft, private or public".into()),
    }
}

fn visibility(visibility: Visibility) -> pb::Visibility {
    match visibility {
        Visibility::Draft => pb::Visibility::Draft,
        Visibility::Private => pb::Visibility::Private,
        Visibility::Public => pb::Visibility::Public,
    }
}

pub fn problem(problem: Problem) -> pb::Problem {
    let etag = problem.etag();
    let Problem { id, slug, title, tags, owner_id, authors, published, .. } = problem;
    let (time_limit_us, summary) = published.unzip();
    let limits = summary.as_ref().map(|summary| limits(time_limit_us.flatten(), &summary.limits));
    let attachments = summary.as_ref().map(|s| s.attachments.iter().map(attachment).collect());
    pb::Problem {
        problem_id: id.to_string(),
        slug,
        title,
        visibility: visibility(problem.visibility).into(),
        tags,
        difficulty: count(problem.difficulty),
        owner_id: owner_id.to_string(),
        authors,
        published_version: problem.published_version,
        limits,
        statement_languages: summary.map(|summary| summary.languages).unwrap_or_default(),
        attachments: attachments.unwrap_or_default(),
        create_time: Some(time(problem.created_at)),
        update_time: Some(time(problem.updated_at)),
        delete_time: problem.deleted_at.map(time),
        etag,
    }
}

fn attachment(attachment: &Attachment) -> pb::Attachment {
    pb::Attachment {
        name: attachment.name.clone(),
        size_bytes: attachment.object.size,
        content_type: attachment.content_type.clone(),
    }
}

fn limits(time_limit_us: Option<i64>, limits: &Limits) -> pb::Limits {
    pb::Limits {
        time_limit: time_limit_us.map(micros),
        memory_limit_bytes: limits.memory,
        output_limit_bytes: limits.output,
        source_limit_bytes: limits.code,
        compile_time_limit: limits.compile_us.map(micros),
        compile_memory_limit_bytes: limits.compile_memory.unwrap_or(0),
        file_writing: limits.file_writing,
    }
}

pub fn version(version: &Version, published: i64) -> Result<pb::ProblemVersion> {
    let state = match version.state.as_str() {
        "verified" => pb::VersionState::Verified,
        "rejected" => pb::VersionState::Rejected,
        _ => pb::VersionState::Verifying,
    };
    let summary: Summary = serde_json::from_str(&version.summary)?;
    Ok(pb::ProblemVersion {
        problem_id: version.problem_id.to_string(),
        version: version.version,
        state: state.into(),
        limits: Some(limits(version.time_limit_us, &summary.limits)),
        test_count: count(version.test_count),
        sample_count: count(version.sample_count),
        digest: version.digest.clone(),
        problem_import_id: version.import_id.to_string(),
        published: version.version == published,
        create_time: Some(time(version.created_at)),
    })
}

pub fn statement(statement: Statement, samples: Vec<Sample>) -> pb::Statement {
    let sample = |sample: Sample| pb::Sample {
        name: sample.name,
        input: sample.input,
        answer: sample.answer,
        description: sample.description,
        truncated: sample.truncated,
    };
    pb::Statement {
        language: statement.language,
        title: statement.title,
        html: statement.html,
        markdown: statement.markdown,
        samples: samples.into_iter().map(sample).collect(),
    }
}

pub fn import(report: &Report) -> Result<pb::ProblemImport> {
    let Report { import, slug, checks, .. } = report;
    let state = match import.state.as_str() {
        _ if import.canceled => pb::ImportState::Canceled,
        "succeeded" => pb::ImportState::Succeeded,
        "failed" => pb::ImportState::Failed,
        _ => pb::ImportState::Verifying,
    };
    let done = checks.iter().filter(|check| check.state == check::State::Done).count();
    Ok(pb::ProblemImport {
        problem_import_id: import.id.to_string(),
        problem_id: import.problem_id.to_string(),
        slug: slug.clone(),
        version: import.version,
        state: state.into(),
        done_count: count(done),
        check_count: count(checks.len()),
        findings: import.findings()?.iter().map(finding).collect(),
        checks: checks.iter().map(|check| import_check(report, check)).collect(),
        publish: import.publish,
        create_time: Some(time(import.created_at)),
        done_time: import.done_at.map(time),
    })
}

fn finding(finding: &Finding) -> pb::ImportFinding {
    let severity = match finding.severity {
        Severity::Info => pb::Severity::Info,
        Severity::Warning => pb::Severity::Warning,
        Severity::Error => pb::Severity::Error,
    };
    pb::ImportFinding {
        severity: severity.into(),
        file: finding.file.clone(),
        message: finding.text(),
    }
}

fn import_check(report: &Report, check: &Check) -> pb::ImportCheck {
    let progress = report.progress.get(&check.id);
    let state = match check.state {
        check::State::Waiting => pb::ImportCheckState::Waiting,
        check::State::Requested if progress.is_some_and(|progress| progress.running) => {
            pb::ImportCheckState::Running
        }
        check::State::Requested => pb::ImportCheckState::Queued,
        check::State::Done => pb::ImportCheckState::Done,
        check::State::Canceled => pb::ImportCheckState::Canceled,
    };
    let kind = match check.kind {
        check::Kind::Solution => pb::ImportCheckKind::Solution,
        check::Kind::InputValidator => pb::ImportCheckKind::InputValidator,
        check::Kind::Outputs => pb::ImportCheckKind::Outputs,
    };
    pb::ImportCheck {
        file: check.file.clone(),
        kind: kind.into(),
        expected: check.expected().into_iter().map(str::to_owned).collect(),
        actual: check.actual.clone(),
        passed: check.passed,
        cpu_time_us: check.cpu_time_us,
        memory_bytes: check.memory_bytes,
        message: progress.map_or(&check.message, |progress| &progress.message).clone(),
        state: state.into(),
        done_count: progress.map_or(count(check.done_count()), |progress| progress.done_count),
        run_count: count(check.run_count(report.test_count)),
        queue_time: progress.and_then(|progress| progress.queued_at),
    }
}

fn object(object: &Object) -> pb::ObjectRef {
    pb::ObjectRef { digest: object.digest.clone(), size_bytes: object.size }
}

fn checker(checker: &Checker) -> pb::Checker {
    pb::Checker {
        case_sensitive: checker.case_sensitive,
        space_change_sensitive: checker.space_change_sensitive,
        float_absolute_tolerance: checker.absolute,
        float_relative_tolerance: checker.relative,
    }
}

pub fn judge_data(version: &Version, manifest: &Manifest) -> pb::JudgeData {
    let tests = manifest.tests.iter().enumerate().map(|(index, test)| pb::JudgeTest {
        index: count(index),
        name: test.name.clone(),
        input: Some(object(&test.input)),
        answer: Some(object(&test.answer)),
        sample: test.sample,
        checker: test.checker.as_ref().map(checker),
    });
    pb::JudgeData {
        problem_id: version.problem_id.to_string(),
        version: version.version,
        limits: Some(limits(version.time_limit_us, &manifest.limits)),
        checker: Some(checker(&manifest.checker)),
        tests: tests.collect(),
    }
}

pub fn verification(check: &Check, import: &Import, manifest: &Manifest) -> pb::Verification {
    let spec = &check.spec;
    let input = |(index, input): (usize, &check::Input)| pb::JudgeTest {
        index: count(index),
        name: input.name.clone(),
        input: Some(object(&input.object)),
        ..pb::JudgeTest::default()
    };
    let first = spec.inputs.len();
    let invalid = spec.invalid_inputs.iter().enumerate().map(|(i, one)| input((first + i, one)));
    let output = |(index, output): (usize, &check::Output)| pb::OutputCheck {
        index: count(index),
        name: output.name.clone(),
        answer: Some(object(&output.answer)),
        output: Some(object(&output.output)),
        valid: output.valid,
        checker: Some(checker(&output.checker)),
    };
    let (kind, time_limit_us, memory_limit_bytes) = match check.kind {
        check::Kind::Solution => (pb::VerificationKind::Solution, check.limit_us, 0),
        check::Kind::Outputs => (pb::VerificationKind::Outputs, 0, 0),
        check::Kind::InputValidator => {
            let limits = &manifest.limits;
            let kind = pb::VerificationKind::InputValidator;
            (kind, limits.validation_us, limits.validation_memory)
        }
    };
    let source = |(path, content): &(String, Object)| pb::SourceFile {
        path: path.clone(),
        content: Some(object(content)),
    };
    pb::Verification {
        verification_id: check.id.to_string(),
        problem_id: import.problem_id.to_string(),
        version: import.version,
        sources: spec.sources.iter().map(source).collect(),
        language: spec.language.clone(),
        entry_point: spec.entry_point.clone(),
        kind: kind.into(),
        inputs: spec.inputs.iter().enumerate().map(input).collect(),
        invalid_inputs: invalid.collect(),
        arguments: spec.arguments.clone(),
        time_limit_us,
        run_all_tests: package::expectation::needs_all_tests(&spec.requirements),
        memory_limit_bytes,
        outputs: spec.outputs.iter().enumerate().map(output).collect(),
        expectations: expectations(check, manifest),
    }
}

/// When the judge can end the runs of a solution.
fn expectations(check: &Check, manifest: &Manifest) -> Vec<pb::Expectation> {
    let names = check.test_names(manifest);
    let codes = |classes: &[Class]| {
        let verdicts = Verdict::ALL.into_iter().filter(|verdict| {
            verification::class_of((*verdict).into()).is_some_and(|class| classes.contains(&class))
        });
        verdicts.map(|verdict| verdict.code().to_owned()).collect()
    };
    let decisions = package::expectation::decisions(&check.spec.requirements, &names);
    // A requirement without tests is decided by its absence, which an empty list cannot express.
    let decisions =
        decisions.into_iter().filter(|it| it.tests.as_ref().is_none_or(|t| !t.is_empty()));
    let expectation = |decision: Decision| pb::Expectation {
        tests: decision.tests.unwrap_or_default().into_iter().map(count).collect(),
        permitted: codes(&decision.permitted),
        decisive: codes(&decision.decisive),
    };
    decisions.map(expectation).collect()
}
