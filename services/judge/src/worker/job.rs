//! Judging one job, from its program to its judgement.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use proto::judge as pb;
use proto::judge::Verdict;
use proto::problem::{OutputCheck, Verification, VerificationKind};
use std::time::Duration;
use tokio::sync::mpsc;
use tracing::Instrument as _;

use super::Bench;
use super::artefacts::Program;
use super::cases::{self, Plan};
use super::compile::{self, Compiled};
use super::failure::Failure;
use super::lanes;
use super::offer::Offered;
use super::run::Runner;
use crate::checker::Finding;
use crate::languages::{Files, guess};
use crate::{measure, verdict};

/// What a job says while and when it is judged.
pub(super) enum Report {
    /// How it goes.
    Progress(pb::JobProgress),
    /// How it went.
    Done(pb::JobLease, Box<Done>),
}

/// How a job went.
pub(super) struct Done {
    /// What came of it.
    pub result: Result<pb::Judgement, Failure>,
    /// Where its trace goes on.
    pub traceparent: String,
}

/// Says how a job goes.
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

    fn compiling(&self, plan: &Plan) {
        let count = i32::try_from(plan.cases.len()).unwrap_or(i32::MAX);
        self.test_count.store(count, Ordering::Relaxed);
        self.send(pb::JudgementState::Compiling, Vec::new());
    }

    fn running(&self) {
        self.send(pb::JudgementState::Running, Vec::new());
    }

    /// A test is done.
    pub fn test(&self, result: &pb::TestResult) {
        self.done_count.fetch_add(1, Ordering::Relaxed);
        let mut shown = result.clone();
        shown.message.clear();
        shown.output.clear();
        self.send(pb::JudgementState::Running, vec![shown]);
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

/// A program that was compiled just now, to be kept when there is time.
type Fresh = Option<(String, Arc<Program>)>;

/// Judges a job and reports what came of it.
pub(super) async fn judge(bench: Arc<Bench>, job: pb::Job, reporter: Reporter) {
    let mut context = ::rpc::Context::continuing(Some(job.traceparent.as_str()));
    context.start(span(&bench, &job));
    let _working = measure::Counted::job();
    let traceparent = context.traceparent().unwrap_or_default();
    let (id, started) = (job.job_id.clone(), std::time::Instant::now());
    let work = async {
        let mut fresh = None;
        let result = match job.verification_id.as_str() {
            "" => submission(&bench, &job, &reporter, &mut fresh).await,
            id => verification(&bench, id, &reporter, &mut fresh).await,
        };
        let result = result.map(|judgement| pb::Judgement {
            isolation: bench.isolation.clone(),
            worker: bench.name.clone(),
            ..judgement
        });
        let verdict = result.as_ref().map(|judgement| judgement.verdict().as_str_name());
        tracing::debug!(job = id, ?verdict, took = ?started.elapsed(), "judged");
        match verdict {
            Ok(verdict) => context.set_attribute("agon.judge.verdict", verdict),
            Err(_) => context.fail("the job could not be judged"),
        }
        measure::took(started.elapsed());
        reporter.done(Done { result, traceparent });
        fresh
    };
    // The verdict does not wait for the cache.
    if let Some((key, program)) = context.clone().scope(work).await {
        bench.artefacts.save(key, program).await;
    }
}

/// The span of a job.
fn span(bench: &Bench, job: &pb::Job) -> tracing::Span {
    let what = if job.verification_id.is_empty() { "submission" } else { "verification" };
    tracing::info_span!(
        "job",
        otel.kind = "consumer",
        otel.name = format!("judge {what}"),
        agon.judge.job.id = job.job_id,
        agon.judge.job.attempt = job.attempt,
        agon.judge.language = job.language,
        agon.judge.worker = bench.name,
    )
}

async fn submission(
    bench: &Bench,
    job: &pb::Job,
    reporter: &Reporter,
    fresh: &mut Fresh,
) -> Result<pb::Judgement, Failure> {
    let (source, data) = async {
        tokio::try_join!(
            bench.peers.source(&job.submission_id),
            bench.peers.judge_data(&job.problem_id, job.version),
        )
    }
    .instrument(tracing::info_span!("fetch program and problem", otel.kind = "internal"))
    .await?;
    let plan = cases::solution(&bench.config, &data)
        .ok_or_else(|| Failure::Broken("the problem has no time limit".into()))?;
    let offered = offered(bench, &job.language)?;
    let files = Files::single(&offered.language, source.into_bytes());
    program(bench, &offered, &files, &plan, reporter, fresh).await
}

async fn verification(
    bench: &Bench,
    id: &str,
    reporter: &Reporter,
    fresh: &mut Fresh,
) -> Result<pb::Judgement, Failure> {
    let wanted = bench.peers.verification(id).await?;
    if wanted.kind() == VerificationKind::Outputs {
        return outputs(bench, &wanted.outputs).await;
    }
    let plan = match wanted.kind() {
        VerificationKind::InputValidator => cases::validator(&bench.config, &wanted),
        _ => solution_plan(bench, &wanted).await?,
    };
    let mut files = Vec::new();
    for source in &wanted.sources {
        let content = bench.objects.get(&bench.peers, source.content.as_ref()).await?;
        let content = std::fs::read(content.path());
        let content = content.map_err(|error| Failure::of_disk("a source", &error))?;
        files.push((source.path.clone(), content));
    }
    let paths: Vec<&str> = files.iter().map(|(path, _)| path.as_str()).collect();
    let languages = bench.offer.languages();
    let language = match wanted.language.as_str() {
        "" => guess(&languages, &paths),
        given => Some(given),
    };
    let Some(language) = language else {
        let complete = bench.offer.watch().borrow().complete;
        let text = "no language on offer has files like these";
        return match complete {
            true => Ok(refused(&plan, text.into())),
            false => Err(Failure::Away("languages are still being tried".into())),
        };
    };
    let offered = offered(bench, language)?;
    match Files::many(&offered.language, files, &wanted.entry_point) {
        Ok(files) => program(bench, &offered, &files, &plan, reporter, fresh).await,
        Err(reason) => Ok(refused(&plan, reason)),
    }
}

async fn solution_plan(bench: &Bench, wanted: &Verification) -> Result<Plan, Failure> {
    let mut data = bench.peers.judge_data(&wanted.problem_id, wanted.version).await?;
    if let Ok(micros) = u64::try_from(wanted.time_limit_us)
        && micros > 0
    {
        let mut limits = data.limits.unwrap_or_default();
        limits.time_limit = Duration::from_micros(micros).try_into().ok();
        data.limits = Some(limits);
    }
    let plan = cases::solution(&bench.config, &data)
        .ok_or_else(|| Failure::Broken("the version has no time limit yet".into()))?;
    Ok(Plan { run_all: wanted.run_all_tests, ..plan })
}

fn offered(bench: &Bench, language: &str) -> Result<Arc<Offered>, Failure> {
    let missing = || Failure::Away(format!("this worker does not offer {language}"));
    bench.offer.get(language).ok_or_else(missing)
}

/// Compiles a program and runs its cases.
async fn program(
    bench: &Bench,
    offered: &Offered,
    files: &Files,
    plan: &Plan,
    reporter: &Reporter,
    fresh: &mut Fresh,
) -> Result<pb::Judgement, Failure> {
    if plan.cases.is_empty() {
        return Err(Failure::Broken("there are no tests".into()));
    }
    reporter.compiling(plan);
    let waiting = tracing::info_span!("wait for a slot", otel.kind = "internal");
    let mut place = lanes::first_slot(bench).instrument(waiting).await?;
    let compiling_since = std::time::Instant::now();
    let compiling = compile::compile(bench, &mut place.slot, offered, files, plan.compile)
        .instrument(tracing::info_span!("compile", otel.kind = "internal"));
    let compiled = tokio::select! {
        compiled = compiling => compiled?,
        never = fetch(bench, plan) => match never {},
    };
    let (program, output) = match compiled {
        Compiled::Refused(reason) => return Ok(refused(plan, reason)),
        Compiled::Ready { program, output, key } => {
            *fresh = Some((key, program.clone()));
            (program, output)
        }
    };
    tracing::debug!(took = ?compiling_since.elapsed(), "compiled");
    reporter.running();
    let runner = Runner::new(bench, offered, files, plan);
    let running = lanes::run(&runner, bench, &program, plan, place, reporter);
    let results = running.instrument(tracing::info_span!("run tests", otel.kind = "internal")).await?;
    Ok(pb::Judgement { compile_output: output, ..summary(plan, results) })
}

/// Fetches what the cases need while the compiler works. What fails here fails again, and says so, when
/// it is needed.
async fn fetch(bench: &Bench, plan: &Plan) -> std::convert::Infallible {
    let all = async {
        for case in &plan.cases {
            let answer = match &case.expected {
                cases::Expected::Answer(answer, _) => answer.as_ref(),
                _ => None,
            };
            for object in [case.input.as_ref(), answer].into_iter().flatten() {
                bench.objects.get(&bench.peers, Some(object)).await.ok();
            }
        }
    };
    all.instrument(tracing::info_span!("fetch test data", otel.kind = "internal")).await;
    std::future::pending().await
}

fn refused(plan: &Plan, reason: String) -> pb::Judgement {
    pb::Judgement {
        verdict: Verdict::CompileError.into(),
        compile_output: reason,
        test_count: i32::try_from(plan.cases.len()).unwrap_or(i32::MAX),
        ..pb::Judgement::default()
    }
}

fn summary(plan: &Plan, results: Vec<Option<pb::TestResult>>) -> pb::Judgement {
    let verdict_of =
        |result: &Option<pb::TestResult>| result.as_ref().map_or(Verdict::Skipped, |r| r.verdict());
    let verdicts: Vec<Verdict> = results.iter().map(verdict_of).collect();
    let total = verdict::total(&verdicts[..plan.deciding], plan.run_all);
    let counted = if plan.run_all { results.len() } else { total.counted };
    let test_count = i32::try_from(results.len()).unwrap_or(i32::MAX);
    let tests: Vec<_> = results.into_iter().take(counted).flatten().collect();
    pb::Judgement {
        verdict: total.verdict.into(),
        cpu_time_us: tests.iter().map(|test| test.cpu_time_us).max().unwrap_or(0),
        memory_bytes: tests.iter().map(|test| test.memory_bytes).max().unwrap_or(0),
        tests,
        test_count,
        ..pb::Judgement::default()
    }
}

/// Stored outputs, which the default checker must accept or refuse.
async fn outputs(bench: &Bench, checks: &[OutputCheck]) -> Result<pb::Judgement, Failure> {
    let mut tests = Vec::new();
    for check in checks {
        let output = bench.objects.get(&bench.peers, check.output.as_ref()).await?;
        let answer = bench.objects.get(&bench.peers, check.answer.as_ref()).await?;
        let (output, answer) = (output.path(), answer.path());
        let checker = cases::checker(check.checker.as_ref());
        let compared = tokio::task::spawn_blocking(move || {
            checker.check(std::fs::File::open(output)?, std::fs::File::open(answer)?)
        });
        let finding = compared.await.unwrap_or_else(|error| Err(std::io::Error::other(error)));
        let finding = finding.map_err(|error| Failure::of_disk("comparing", &error))?;
        let held = (finding == Finding::Accepted) == check.valid;
        let message = match finding {
            _ if held => String::new(),
            Finding::Accepted => "was accepted".into(),
            Finding::NoOutput => "there is no output".into(),
            Finding::Wrong(text) => text,
        };
        let verdict = if held { Verdict::Accepted } else { Verdict::WrongAnswer };
        let (index, verdict) = (check.index, verdict.into());
        tests.push(pb::TestResult { index, verdict, message, ..pb::TestResult::default() });
    }
    let verdicts: Vec<Verdict> = tests.iter().map(pb::TestResult::verdict).collect();
    Ok(pb::Judgement {
        verdict: verdict::total(&verdicts, true).verdict.into(),
        test_count: i32::try_from(tests.len()).unwrap_or(i32::MAX),
        tests,
        ..pb::Judgement::default()
    })
}
