//! Runs a program with one input and determines the verdict of the test.

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use proto::Verdict;
use proto::judge as pb;
use sandbox::{Capture, Content, Exit, Limits, Outcome, Output, RunSpec, Slot, Stdin};

use super::Engine;
use super::admission::Class;
use super::artefacts::Program;
use super::cases::{Case, Expected, Plan};
use super::failure::Failure;
use super::offer::Offered;
use crate::checker::{Checker, Finding};
use crate::judgement::bounded;
use crate::languages::{self, Commands, Files};
use crate::verdict;

/// The size to which outputs and messages in results are truncated.
const MAX_SHOWN: usize = 4 << 10;
/// Outputs up to this size are compared on the async thread, larger ones on a blocking thread.
const MAX_INLINE_COMPARISON: u64 = 64 << 10;
/// The maximum number of runs of a program that are repeated because they are close to the time limit.
const MAX_REPEATS: u32 = 8;

pub(super) type CaseResult = (Verdict, pb::TestResult);

/// Runs the cases of a program.
pub(super) struct Runner<'a> {
    engine: &'a Engine,
    offered: &'a Offered,
    plan: &'a Plan,
    class: Class,
    files: &'a Files,
    command: Vec<String>,
    limits: languages::Limits,
    repeats: AtomicU32,
}

impl<'a> Runner<'a> {
    pub fn new(
        engine: &'a Engine,
        offered: &'a Offered,
        files: &'a Files,
        program: &Program,
        plan: &'a Plan,
        class: Class,
    ) -> Self {
        let Offered { language, toolchain, .. } = offered;
        let limits = language.limits(plan.time, plan.memory);
        let commands = Commands { language, toolchain, files, class: &program.class };
        let mut command = commands.fill(&language.run, limits.memory, false);
        command.extend(plan.arguments.iter().cloned());
        let repeats = AtomicU32::new(0);
        Runner { engine, offered, plan, class, files, command, limits, repeats }
    }

    pub fn class(&self) -> Class {
        self.class
    }

    /// Runs a case in a slot that contains the program.
    pub async fn case(&self, slot: &mut Slot, case: &Case) -> Result<CaseResult, Failure> {
        let input = self.engine.objects.get(&self.engine.peers, case.input.as_ref()).await?;
        match &case.expected {
            Expected::Answer(answer, checker) => {
                let answer = self.engine.objects.get(&self.engine.peers, answer.as_ref()).await?;
                let outcome = self.run_measured(slot, input.path()).await?;
                self.judge_output(case, outcome, answer.path(), checker).await
            }
            Expected::Accepted | Expected::Rejected => {
                let _shared = self.engine.admission.shared(self.class).await;
                let outcome = self.run(slot, "validate", input.path(), self.limits.time).await?;
                self.judge_validation(case, outcome)
            }
        }
    }

    /// Runs the program. Repeats a run that is close to the time limit without parallel runs, and keeps the faster one.
    async fn run_measured(&self, slot: &mut Slot, input: PathBuf) -> Result<Outcome, Failure> {
        let limit = verdict::extended_limit(self.limits.time);
        let outcome = {
            let _shared = self.engine.admission.shared(self.class).await;
            self.run(slot, "test", input.clone(), limit).await?
        };
        let decided_by_time = outcome.limit.is_none() && outcome.violation.is_none();
        if !decided_by_time
            || !verdict::is_close(outcome.cpu_time, self.limits.time)
            || self.repeats.fetch_add(1, Ordering::Relaxed) >= MAX_REPEATS
        {
            return Ok(outcome);
        }
        let _exclusive = self.engine.admission.exclusive(self.class).await;
        let again = self.run(slot, "test", input, limit).await?;
        Ok(if again.cpu_time < outcome.cpu_time { again } else { outcome })
    }

    async fn run(
        &self,
        slot: &mut Slot,
        kind: &'static str,
        input: PathBuf,
        cpu: Duration,
    ) -> Result<Outcome, Failure> {
        if self.plan.file_writing && self.files.are_several() {
            for (path, content) in &self.files.files {
                let content = Content::Bytes(content.clone());
                slot.put(&format!("/box/{path}"), content, 0o644).await?;
            }
        }
        Ok(self.engine.run(slot, kind, self.spec(input, cpu)).await?)
    }

    fn spec(&self, input: PathBuf, cpu: Duration) -> RunSpec {
        let language = &self.offered.language;
        let mut spec = RunSpec::new(self.command.iter().cloned());
        spec.cwd = match self.plan.file_writing {
            true => "/box".to_owned(),
            false => self.files.directory(language),
        };
        spec.env.push(("ONLINE_JUDGE".into(), "1".into()));
        spec.env.extend(language.env.clone());
        spec.stdin = Stdin::Path(input);
        spec.stdout = Output::Capture { limit: self.plan.output };
        spec.stderr = Output::Capture { limit: MAX_SHOWN as u64 };
        spec.limits = Limits {
            cpu,
            wall: verdict::wall_limit(self.limits.time),
            memory: self.limits.memory_with_runtime,
            output: self.plan.output,
            processes: language.processes,
            file_size: self.plan.output,
            ..Limits::default()
        };
        spec
    }

    async fn judge_output(
        &self,
        case: &Case,
        outcome: Outcome,
        answer: PathBuf,
        checker: &Checker,
    ) -> Result<CaseResult, Failure> {
        let mut result = measures(case, &outcome);
        let stderr = text(outcome.stderr)?;
        let run = verdict::Run {
            out_of_memory: self.ran_out_of_memory(&outcome.exit, &stderr),
            exit: outcome.exit,
            limit: outcome.limit,
            violation: outcome.violation,
            cpu_time: outcome.cpu_time,
        };
        let mut stdout = outcome.stdout;
        let output = head(&mut stdout)?;
        let (verdict, message) = match verdict::of_run(&run, self.limits.time) {
            Some(Verdict::JudgeError) => {
                return Err(Failure::Internal(format!("a run ended with {:?}", run.exit)));
            }
            Some(Verdict::RuntimeError) => {
                (Verdict::RuntimeError, describe_exit(&run.exit, &stderr))
            }
            Some(verdict) => (verdict, String::new()),
            None => match compare(checker.clone(), stdout, answer).await? {
                Finding::Accepted => (Verdict::Accepted, String::new()),
                Finding::NoOutput => (Verdict::NoOutput, "the output is empty".into()),
                Finding::Wrong(text) => (Verdict::WrongAnswer, text),
            },
        };
        result.verdict = verdict.into();
        result.message = bounded(&message, MAX_SHOWN);
        if case.sample || verdict != Verdict::Accepted {
            result.output = output;
        }
        Ok((verdict, result))
    }

    fn judge_validation(&self, case: &Case, outcome: Outcome) -> Result<CaseResult, Failure> {
        let mut result = measures(case, &outcome);
        let ended = outcome.limit.is_none() && outcome.violation.is_none();
        if let Exit::NotStarted(why) = &outcome.exit {
            return Err(Failure::Internal(format!("cannot start the validator: {why}")));
        }
        let is_expected = match (&case.expected, &outcome.exit) {
            (Expected::Accepted, Exit::Code(42)) => ended,
            (Expected::Rejected, Exit::Code(code)) => ended && *code != 42,
            _ => false,
        };
        let verdict = if is_expected { Verdict::Accepted } else { Verdict::WrongAnswer };
        result.verdict = verdict.into();
        if !is_expected {
            let (mut stdout, stderr) = (outcome.stdout, text(outcome.stderr)?);
            let output = format!("{}\n{stderr}", head(&mut stdout)?);
            let message = match outcome.limit {
                Some(limit) => format!("the validator exceeded its {limit:?} limit").to_lowercase(),
                None => describe_exit(&outcome.exit, output.trim()),
            };
            result.message = bounded(&message, MAX_SHOWN);
        }
        Ok((verdict, result))
    }

    fn ran_out_of_memory(&self, exit: &Exit, stderr: &str) -> bool {
        let rule = self.offered.language.out_of_memory.as_ref();
        rule.is_some_and(|rule| {
            let exit_matches = match exit {
                Exit::Code(code) => rule.exit_code == Some(*code),
                Exit::Signal(signal) => rule.signal == Some(*signal),
                Exit::Killed | Exit::NotStarted(_) => false,
            };
            exit_matches && stderr.contains(&rule.stderr)
        })
    }
}

fn measures(case: &Case, outcome: &Outcome) -> pb::TestResult {
    let micros = |time: Duration| i64::try_from(time.as_micros()).unwrap_or(i64::MAX);
    let (exit_code, signal) = match outcome.exit {
        Exit::Code(code) => (Some(code), None),
        Exit::Signal(signal) => (None, Some(signal)),
        Exit::Killed | Exit::NotStarted(_) => (None, None),
    };
    pb::TestResult {
        index: case.index,
        cpu_time_us: micros(outcome.cpu_time),
        wall_time_us: micros(outcome.wall_time),
        memory_bytes: i64::try_from(outcome.memory_peak).unwrap_or(i64::MAX),
        exit_code,
        signal,
        sample: case.sample,
        ..pb::TestResult::default()
    }
}

async fn compare(
    checker: Checker,
    mut output: Capture,
    answer: PathBuf,
) -> Result<Finding, Failure> {
    let size = output.len();
    let work = move || {
        let answer = File::open(answer)?;
        checker.check(output.reader()?, answer)
    };
    let finding = if size <= MAX_INLINE_COMPARISON {
        work()
    } else {
        let joined = tokio::task::spawn_blocking(work).await;
        joined.unwrap_or_else(|error| Err(std::io::Error::other(error)))
    };
    finding.map_err(|error| Failure::from_io("comparing an output", &error))
}

/// Describes an unexpected exit, with the standard error output.
pub(super) fn describe_exit(exit: &Exit, stderr: &str) -> String {
    match stderr.trim_end() {
        "" => exit.to_string(),
        text => format!("{exit}\n{text}"),
    }
}

fn text(capture: Capture) -> Result<String, Failure> {
    capture.into_text().map_err(|error| Failure::from_io("standard error", &error))
}

/// The first bytes of an output, as text.
fn head(capture: &mut Capture) -> Result<String, Failure> {
    let mut bytes = Vec::new();
    let read =
        capture.reader().and_then(|reader| reader.take(MAX_SHOWN as u64).read_to_end(&mut bytes));
    read.map_err(|error| Failure::from_io("output", &error))?;
    Ok(bounded(&String::from_utf8_lossy(&bytes), MAX_SHOWN))
}
