//! `agon submit`

use std::cell::{Cell, RefCell};
use std::future::{pending, ready};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use futures_util::TryStreamExt as _;
use ids::Clock;
use proto::challenge::submission_service_client::SubmissionServiceClient;
use proto::challenge::{
    CreateSubmissionRequest, Submission, SubmissionState, TestOutcome, Verdict,
    WatchSubmissionRequest,
};
use proto::judge::language_service_client::LanguageServiceClient;
use proto::judge::{Language, ListLanguagesRequest};
use tonic::Status;

use crate::cli::arguments::Submit;
use crate::cli::client::{self, SignedIn};
use crate::cli::progress::Progress;
use crate::failure::Failure;

type Client = SubmissionServiceClient<SignedIn>;

/// How often a queued submission asks whether a worker can take it.
const WAIT_INTERVAL: Duration = Duration::from_secs(3);
const QUEUED: &str = "queued";

/// Submits a program, waits for the judgement and prints the verdict.
pub async fn run(arguments: Submit) -> Result<ExitCode, Failure> {
    submit(arguments).await.map_err(Failure::refused)
}

async fn submit(arguments: Submit) -> Result<ExitCode, Failure> {
    let source = std::fs::read(&arguments.file).map_err(|error| {
        Failure::usage(format!("cannot read {}: {error}", arguments.file.display()))
    })?;
    let source = String::from_utf8(source)
        .map_err(|_| Failure::usage(format!("{} is not valid UTF-8", arguments.file.display())))?;
    let channel = client::signed_in(&arguments.remote).await?;
    let language = match arguments.language {
        Some(language) => language,
        None => language_of(&channel, &arguments.file).await?,
    };
    let mut client = Client::new(channel.clone());
    let request = CreateSubmissionRequest {
        problem_id: arguments.problem,
        language,
        source,
        request_id: Clock::system().new_id().to_string(),
        challenge_id: arguments.contest.unwrap_or_default(),
    };
    let answer = client.create_submission(request).await?.into_inner();
    let submission = answer.submission.unwrap_or_default();
    if arguments.no_wait {
        print_line!("{}", submission.submission_id);
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("submission {}", submission.submission_id);
    let done = follow(&client, channel, submission).await?;
    if done.state() == SubmissionState::Aborted {
        return Err(Failure::new("the submission was aborted by an operator"));
    }
    crate::cli::output::print(report(&done));
    let accepted = done.verdict() == Verdict::Accepted;
    Ok(if accepted { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The language of the file, by its extension.
async fn language_of(channel: &SignedIn, file: &Path) -> Result<String, Failure> {
    choose(&languages(channel).await?, file).map_err(Failure::usage)
}

async fn languages(channel: &SignedIn) -> Result<Vec<Language>, Status> {
    let mut client = LanguageServiceClient::new(channel.clone());
    Ok(client.list_languages(ListLanguagesRequest {}).await?.into_inner().languages)
}

fn choose(languages: &[Language], file: &Path) -> Result<String, String> {
    let extension = file.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    let matches = |language: &&Language| {
        language.extensions.iter().any(|known| known.trim_start_matches('.') == extension)
    };
    if let Some(language) = languages.iter().find(matches) {
        return Ok(language.language_id.clone());
    }
    let known: Vec<_> = languages.iter().map(|language| language.language_id.as_str()).collect();
    let known = match known.as_slice() {
        [] => "no languages: its judge is not running".to_owned(),
        known => known.join(", "),
    };
    Err(format!(
        "unknown file extension: {}; set --language (the server supports {known})",
        file.display()
    ))
}

async fn follow(
    client: &Client,
    channel: SignedIn,
    submission: Submission,
) -> Result<Submission, Failure> {
    let progress = RefCell::new(Progress::new(QUEUED));
    let language = submission.language.clone();
    let begun = Cell::new(false);
    let explain = async {
        while !begun.get() {
            tokio::time::sleep(WAIT_INTERVAL).await;
            // A failed call says nothing; the watch reports its own failures.
            let Ok(languages) = languages(&channel).await else { continue };
            if !begun.get() {
                progress.borrow_mut().update(&waiting(&languages, &language), 0, 0);
            }
        }
        pending().await
    };
    let done = tokio::select! {
        done = watch(client, submission, &progress, &begun) => done?,
        never = explain => never,
    };
    progress.into_inner().finish();
    Ok(done)
}

/// What a submission in this language waits for.
fn waiting(languages: &[Language], id: &str) -> String {
    let unserved = languages.iter().any(|it| it.language_id == id && it.unserved);
    match unserved || !languages.iter().any(|it| it.language_id == id) {
        true => format!("{QUEUED}: no connected worker offers the language {id}"),
        false => QUEUED.to_owned(),
    }
}

async fn watch(
    client: &Client,
    submission: Submission,
    progress: &RefCell<Progress>,
    begun: &Cell<bool>,
) -> Result<Submission, Failure> {
    let submission_id = submission.submission_id.clone();
    let watch = async || {
        let request = WatchSubmissionRequest { submission_id: submission_id.clone() };
        let stream = client.clone().watch_submission(request).await?.into_inner();
        Ok::<_, Status>(stream.try_filter_map(|message| ready(Ok(message.submission))))
    };
    let show = |now: &Submission| {
        let phase = match now.state() {
            SubmissionState::Compiling => "compiling",
            SubmissionState::Running => "running",
            // Over: its result follows.
            SubmissionState::Done | SubmissionState::Aborted => return,
            // A worker was lost, or a message was late.
            SubmissionState::Queued | SubmissionState::Unspecified if begun.get() => "judging",
            // Shown already, perhaps with the reason.
            SubmissionState::Queued | SubmissionState::Unspecified => return,
        };
        begun.set(true);
        let (done, total) = (count(now.done_count), count(now.test_count));
        progress.borrow_mut().update(phase, done, total);
    };
    client::follow(submission, is_over, watch, show).await
}

fn count(n: i32) -> u64 {
    u64::try_from(n).unwrap_or_default()
}

fn is_over(submission: &Submission) -> bool {
    matches!(submission.state(), SubmissionState::Done | SubmissionState::Aborted)
}

fn report(submission: &Submission) -> String {
    let mut text = verdict_name(submission.verdict()).to_owned();
    // A program that did not compile has run no test.
    if submission.done_count > 0 {
        text += &format!(
            "  {} of {} tests  {:.3} s  {:.1} MiB",
            submission.done_count,
            submission.test_count,
            submission.cpu_time_us as f64 / 1e6,
            submission.memory_bytes as f64 / f64::from(1 << 20),
        );
    }
    text.push('\n');
    if !submission.compile_output.trim().is_empty() {
        text += &format!("\n{}\n", submission.compile_output.trim_end());
    }
    let failed = |test: &&TestOutcome| test.verdict() != Verdict::Accepted;
    for test in submission.tests.iter().filter(failed).take(3) {
        text += &test_report(test);
    }
    text
}

fn test_report(test: &TestOutcome) -> String {
    let mut text = format!("test {}: {}", test.index, verdict_name(test.verdict()));
    if let Some(signal) = test.signal {
        text += &format!(", signal {signal}");
    } else if let Some(code) = test.exit_code.filter(|code| *code != 0) {
        text += &format!(", exit code {code}");
    }
    if !test.message.is_empty() {
        text += &format!(", {}", test.message.trim_end());
    }
    text.push('\n');
    for line in test.output.lines().take(20) {
        text += &format!("  | {line}\n");
    }
    text
}

fn verdict_name(verdict: Verdict) -> &'static str {
    verdict.as_str_name().trim_start_matches("VERDICT_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn language_is_chosen_by_extension() {
        let language = |id: &str, extensions: &[&str]| Language {
            language_id: id.into(),
            extensions: extensions.iter().map(|text| (*text).into()).collect(),
            ..Language::default()
        };
        let all = [language("cpp", &["cpp", "cc"]), language("python", &[".py"])];
        assert_eq!(choose(&all, Path::new("a/b.CC")).as_deref(), Ok("cpp"));
        assert_eq!(choose(&all, Path::new("b.py")).as_deref(), Ok("python"));
        assert!(choose(&all, Path::new("b")).unwrap_err().contains("cpp, python"));
        assert!(choose(&[], Path::new("b.c")).unwrap_err().contains("judge is not running"));
    }

    #[test]
    fn queued_submissions_name_a_missing_language() {
        let language = |id: &str, unserved| Language {
            language_id: id.into(),
            unserved,
            ..Language::default()
        };
        let all = [language("c17", false), language("java", true)];
        assert_eq!(waiting(&all, "c17"), "queued");
        for id in ["java", "go"] {
            let text = format!("queued: no connected worker offers the language {id}");
            assert_eq!(waiting(&all, id), text);
        }
    }

    #[test]
    fn report_shows_verdict_usage_and_failed_tests() {
        let test = TestOutcome {
            index: 2,
            verdict: Verdict::RuntimeError.into(),
            signal: Some(11),
            output: "half an\nanswer".into(),
            ..TestOutcome::default()
        };
        let submission = Submission {
            verdict: Verdict::RuntimeError.into(),
            cpu_time_us: 1500,
            memory_bytes: 3 << 20,
            done_count: 2,
            test_count: 9,
            tests: vec![test],
            ..Submission::default()
        };
        assert_eq!(
            report(&submission),
            "RUNTIME_ERROR  2 of 9 tests  0.002 s  3.0 MiB\n\
             test 2: RUNTIME_ERROR, signal 11\n  | half an\n  | answer\n"
        );
        let broken = Submission {
            verdict: Verdict::CompileError.into(),
            test_count: 8,
            compile_output: "main.c:1: error\n".into(),
            ..Submission::default()
        };
        assert_eq!(report(&broken), "COMPILE_ERROR\n\nmain.c:1: error\n");
    }
}
