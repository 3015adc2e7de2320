//! Judges a job: fetches the program and the problem, compiles, runs the tests and sums up the verdicts.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use proto::Verdict;
use proto::judge as pb;
use proto::problem::{OutputCheck, Verification, VerificationKind};
use std::time::Duration;
use tokio::sync::mpsc;
use tracing::Instrument as _;

use super::Engine;
use super::admission::Class;
use super::artefacts::Program;
use super::cases::{self, Plan};
use super::compile::{self, Compiled};
use super::failure::Failure;
use super::offer::Offered;
use super::run::{CaseResult, Runner};
use super::slots::{self, LeasedSlot};
use crate::checker::Finding;
use crate::languages::{Files, guess};
use crate::{measure, verdict};

/// A message from a job to the connection.
pub(super) enum Report {
    Progress(pb::JobProgress),
    Done(pb::JobLease, Box<Done>),
}

pub(super) struct Done {
    pub result: Result<pb::Judgement, Failure>,
    /// The trace to continue when the result is stored.
    pub traceparent: String,
}

pub(super) struct Reporter {
    lease: pb::JobLease,
    sender: mpsc::UnboundedSender<Report>,
    test_count: AtomicI32,
    done_count: AtomicI32,
}

impl Reporter {
    pub fn new(job: &pb::Job, sender: mpsc::UnboundedSender<Report>) -> Reporter {
        let lease = pb::JobLease { job_id: job.job_id.clone(), attempt: job.attempt };
        let zero = || AtomicI32::new(0);
        Reporter { lease, sender, test_count: zero(), done_count: zero() }
    }

    /// Reports that the job waits for a slot.
    pub fn waiting(&self) {
        self.send(pb::JudgementState::Queued, Vec::new());
    }

    fn compiling(&self, plan: &Plan) {
        let count = i32::try_from(plan.cases.len()).unwrap_or(i32::MAX);
        self.test_count.store(count, Ordering::Relaxed);
        self.send(pb::JudgementState::Compiling, Vec::new());
    }

    pub fn running(&self) {
        self.send(pb::JudgementState::Running, Vec::new());
    }

    /// Reports a finished test, without message and output.
    pub fn test(&self, result: &pb::TestResult) {
        self.done_count.fetch_add(1, Ordering::Relaxed);
        let mut summary = result.clone();
        summary.message.clear();
        summary.output.clear();
        self.send(pb::JudgementState::Running, vec![summary]);
    }

    fn send(&self, state: pb::JudgementState, tests: Vec<pb::TestResult>) {
        let progress = pb::JudgementProgress {
            state: state.into(),
            done_count: self.done_count.load(Ordering::Relaxed),
            test_count: self.test_count.load(Ordering::Relaxed),
            tests,
            ..pb::JudgementProgress::default()
        };
        let progress =
            pb::JobProgress { lease: Some(self.lease.clone()), progress: Some(progress) };
        self.sender.send(Report::Progress(progress)).ok();
    }

    fn done(&self, done: Done) {
        self.sender.send(Report::Done(self.lease.clone(), Box::new(done))).ok();
    }
}

/// The cache key and the program, if it was compiled for this job and must be added to the cache.
type NewProgram = Option<(String, Arc<Program>)>;

pub(super) async fn judge(engine: Arc<Engine>, job: pb::Job, reporter: Reporter) {
    let mut context = ::rpc::Context::continuing(Some(job.traceparent.as_str()));
    context.start(span(&engine, &job));
    let _in_flight = measure::InFlight::job();
    let traceparent = context.traceparent().unwrap_or_default();
    let (id, started) = (job.job_id.clone(), std::time::Instant::now());
    let work = async {
        let mut new_program = None;
        let result = match job.verification_id.as_str() {
            "" => submission(&engine, &job, &reporter, &mut new_program).await,
            id => verification(&engine, id, &reporter, &mut new_program).await,
        };
        let result = result.map(|judgement| pb::Judgement {
            isolation: engine.isolation.clone(),
            worker: engine.name.clone(),
            ..judgement
        });
        let verdict = result.as_ref().map(|judgement| judgement.verdict().as_str_name());
        tracing::debug!(job = id, ?verdict, took = ?started.elapsed(), "judged");
        match verdict {
            Ok(verdict) => context.set_attribute("agon.judge.verdict", verdict),
            Err(_) => context.fail("the job could not be judged"),
        }
        measure::job_finished(started.elapsed());
        reporter.done(Done { result, traceparent });
        new_program
    };
    // Saved after the report, so that the verdict does not wait for the cache.
    if let Some((key, program)) = context.clone().scope(work).await {
        engine.artefacts.save(key, program).await;
    }
}

fn span(engine: &Engine, job: &pb::Job) -> tracing::Span {
    let what = if job.verification_id.is_empty() { "submission" } else { "verification" };
    tracing::info_span!(
        "job",
        otel.kind = "consumer",
        otel.name = format!("judge {what}"),
        agon.judge.job.id = job.job_id,
        agon.judge.job.attempt = job.attempt,
        agon.judge.language = job.language,
        agon.judge.worker = engine.name,
    )
}

async fn submission(
    engine: &Engine,
    job: &pb::Job,
    reporter: &Reporter,
    new_program: &mut NewProgram,
) -> Result<pb::Judgement, Failure> {
    let (source, data) = async {
        tokio::try_join!(
            engine.peers.source(&job.submission_id),
            engine.peers.judge_data(&job.problem_id, job.version),
        )
    }
    .instrument(tracing::info_span!("fetch program and problem", otel.kind = "internal"))
    .await?;
    let plan = cases::solution(&engine.config, &data)
        .ok_or_else(|| Failure::Internal("the problem has no time limit".into()))?;
    let offered = offered(engine, &job.language)?;
    let files = Files::single(&offered.language, source.into_bytes());
    let work = Work { engine, reporter, class: Class::Player };
    work.program(&offered, &files, &plan, new_program).await
}

async fn verification(
    engine: &Engine,
    id: &str,
    reporter: &Reporter,
    new_program: &mut NewProgram,
) -> Result<pb::Judgement, Failure> {
    let request = engine.peers.verification(id).await?;
    if request.kind() == VerificationKind::Outputs {
        return outputs(engine, &request.outputs).await;
    }
    let plan = match request.kind() {
        VerificationKind::InputValidator => cases::validator(&engine.config, &request),
        _ => solution_plan(engine, &request).await?,
    };
    let mut files = Vec::new();
    for source in &request.sources {
        let content = engine.objects.get(&engine.peers, source.content.as_ref()).await?;
        let content = std::fs::read(content.path());
        let content = content.map_err(|error| Failure::from_io("a source", &error))?;
        files.push((source.path.clone(), content));
    }
    let paths: Vec<&str> = files.iter().map(|(path, _)| path.as_str()).collect();
    let languages = engine.offer.languages();
    let language = match request.language.as_str() {
        "" => guess(&languages, &paths),
        given => Some(given),
    };
    let Some(language) = language else {
        let complete = engine.offer.watch().borrow().complete;
        let text = "no offered language has these file extensions";
        return match complete {
            true => Ok(compile_error(&plan, text.into())),
            false => Err(Failure::Unavailable("not all languages are tested yet".into())),
        };
    };
    let offered = offered(engine, language)?;
    match Files::many(&offered.language, files, &request.entry_point) {
        Ok(files) => {
            let work = Work { engine, reporter, class: Class::Background };
            work.program(&offered, &files, &plan, new_program).await
        }
        Err(reason) => Ok(compile_error(&plan, reason)),
    }
}

async fn solution_plan(engine: &Engine, request: &Verification) -> Result<Plan, Failure> {
    let mut data = engine.peers.judge_data(&request.problem_id, request.version).await?;
    if let Ok(micros) = u64::try_from(request.time_limit_us)
        && micros > 0
    {
        let mut limits = data.limits.unwrap_or_default();
        limits.time_limit = Duration::from_micros(micros).try_into().ok();
        data.limits = Some(limits);
    }
    let plan = cases::solution(&engine.config, &data)
        .ok_or_else(|| Failure::Internal("the problem version has no time limit".into()))?;
    Ok(Plan { stop: cases::stop_of(request, plan.cases.len()), ..plan })
}

fn offered(engine: &Engine, language: &str) -> Result<Arc<Offered>, Failure> {
    let missing = || Failure::Unavailable(format!("this worker does not offer {language}"));
    engine.offer.get(language).ok_or_else(missing)
}

/// The compiling and running of a program.
struct Work<'a> {
    engine: &'a Engine,
    reporter: &'a Reporter,
    class: Class,
}

impl Work<'_> {
    /// Compiles a program and runs its cases.
    async fn program(
        &self,
        offered: &Offered,
        files: &Files,
        plan: &Plan,
        new_program: &mut NewProgram,
    ) -> Result<pb::Judgement, Failure> {
        if plan.cases.is_empty() {
            return Err(Failure::Internal("the problem has no tests".into()));
        }
        let since = std::time::Instant::now();
        let (slot, compiled) = self.compile(offered, files, plan).await?;
        let (program, output) = match compiled {
            Compiled::Error(reason) => return Ok(compile_error(plan, reason)),
            Compiled::Ready { program, output, key } => {
                *new_program = Some((key, program.clone()));
                (program, output)
            }
        };
        tracing::debug!(took = ?since.elapsed(), "compiled");
        self.reporter.running();
        let runner = Runner::new(self.engine, offered, files, &program, plan, self.class);
        let running = slots::run(&runner, self.engine, &program, plan, slot, self.reporter);
        let tests = tracing::info_span!("run tests", otel.kind = "internal");
        let results = running.instrument(tests).await?;
        Ok(pb::Judgement { compile_output: output, ..summary(plan, results) })
    }

    /// Waits for a slot and compiles in it. Starts again when a player needs the slot.
    async fn compile(
        &self,
        offered: &Offered,
        files: &Files,
        plan: &Plan,
    ) -> Result<(LeasedSlot, Compiled), Failure> {
        let Work { engine, class, .. } = *self;
        loop {
            let waiting = tracing::info_span!("wait for a slot", otel.kind = "internal");
            let mut slot = slots::first_slot(engine, class).instrument(waiting).await?;
            self.reporter.compiling(plan);
            let compiling =
                compile::compile(engine, &mut slot.slot, offered, files, plan.compile, class)
                    .instrument(tracing::info_span!("compile", otel.kind = "internal"));
            tokio::select! {
                compiled = compiling => return Ok((slot, compiled?)),
                never = prefetch(engine, plan) => match never {},
                () = engine.admission.preempted(class) => {}
            }
            self.reporter.waiting();
        }
    }
}

/// Downloads test data while the compiler runs, and never returns. Errors are ignored here: the run that needs the
/// object fetches it again and reports them.
async fn prefetch(engine: &Engine, plan: &Plan) -> std::convert::Infallible {
    let all = async {
        for case in &plan.cases {
            let answer = match &case.expected {
                cases::Expected::Answer(answer, _) => answer.as_ref(),
                _ => None,
            };
            for object in [case.input.as_ref(), answer].into_iter().flatten() {
                engine.objects.get(&engine.peers, Some(object)).await.ok();
            }
        }
    };
    all.instrument(tracing::info_span!("fetch test data", otel.kind = "internal")).await;
    std::future::pending().await
}

fn compile_error(plan: &Plan, reason: String) -> pb::Judgement {
    pb::Judgement {
        verdict: Verdict::CompileError.into(),
        compile_output: reason,
        test_count: i32::try_from(plan.cases.len()).unwrap_or(i32::MAX),
        ..pb::Judgement::default()
    }
}

/// Sums up the results of the cases that were needed.
fn summary(plan: &Plan, results: Vec<CaseResult>) -> pb::Judgement {
    let verdict = verdict::total(results.iter().take(plan.deciding_count).map(|result| result.0));
    let tests: Vec<_> = results.into_iter().map(|(_, test)| test).collect();
    pb::Judgement {
        verdict: verdict.into(),
        cpu_time_us: tests.iter().map(|test| test.cpu_time_us).max().unwrap_or(0),
        memory_bytes: tests.iter().map(|test| test.memory_bytes).max().unwrap_or(0),
        tests,
        test_count: i32::try_from(plan.cases.len()).unwrap_or(i32::MAX),
        ..pb::Judgement::default()
    }
}

/// Checks that the default checker accepts or rejects stored outputs as expected.
async fn outputs(engine: &Engine, checks: &[OutputCheck]) -> Result<pb::Judgement, Failure> {
    let (mut tests, mut verdicts) = (Vec::new(), Vec::new());
    for check in checks {
        let output = engine.objects.get(&engine.peers, check.output.as_ref()).await?;
        let answer = engine.objects.get(&engine.peers, check.answer.as_ref()).await?;
        let (output, answer) = (output.path(), answer.path());
        let checker = cases::checker(check.checker.as_ref());
        let compared = tokio::task::spawn_blocking(move || {
            checker.check(std::fs::File::open(output)?, std::fs::File::open(answer)?)
        });
        let finding = compared.await.unwrap_or_else(|error| Err(std::io::Error::other(error)));
        let finding = finding.map_err(|error| Failure::from_io("comparing an output", &error))?;
        let is_expected = (finding == Finding::Accepted) == check.valid;
        let message = match finding {
            _ if is_expected => String::new(),
            Finding::Accepted => "was accepted".into(),
            Finding::NoOutput => "the output is empty".into(),
            Finding::Wrong(text) => text,
        };
        let verdict = if is_expected { Verdict::Accepted } else { Verdict::WrongAnswer };
        verdicts.push(verdict);
        let (index, verdict) = (check.index, verdict.into());
        tests.push(pb::TestResult { index, verdict, message, ..pb::TestResult::default() });
    }
    Ok(pb::Judgement {
        verdict: verdict::total(verdicts).into(),
        test_count: i32::try_from(tests.len()).unwrap_or(i32::MAX),
        tests,
        ..pb::Judgement::default()
    })
}
