//! Tests languages: each compiles and runs its hello-world program in the sandbox before it is offered.

use std::fs;
use std::time::Duration;

use runtime::Shutdown;
use sandbox::{Content, Outcome, RunSpec};

use super::Engine;
use super::admission::Class;
use super::compile::{self, Budget, Compiled};
use super::failure::Failure;
use super::offer::Offered;
use super::run;
use super::slots::{self, LeasedSlot};
use crate::languages::{Commands, Files, Precompile};

/// The pause after a header was preempted, and its bound when that happens again and again.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// The size limit of a precompiled header.
const MAX_HEADER_SIZE: u64 = 512 << 20;

/// Tests the languages that have no stored result, then precompiles headers.
pub(super) async fn probe_all(engine: &Engine, shutdown: &Shutdown) {
    let work = async {
        for mut offered in engine.offer.untested() {
            let language = offered.id.clone();
            match probe(engine, &offered).await {
                Ok(version) => {
                    tracing::info!(language, version, "language available");
                    offered.version = version;
                    engine.offer.add(offered);
                }
                Err(Failure::Unavailable(reason) | Failure::Internal(reason)) => {
                    tracing::warn!(language, reason, "language test failed, not offering it");
                }
            }
        }
        engine.offer.complete();
        for offered in engine.offer.with_headers() {
            if let Err(error) = precompile_when_idle(engine, &offered).await {
                tracing::warn!(language = offered.id, %error, "cannot precompile headers");
            }
        }
    };
    shutdown.unless_begun(work).await;
}

/// Returns the version.
pub(super) async fn probe(engine: &Engine, offered: &Offered) -> Result<String, Failure> {
    let hello = Files::single(&offered.language, offered.language.hello.clone().into_bytes());
    let Offered { language, toolchain, .. } = offered;
    let commands = Commands { language, toolchain, files: &hello, class: "" };
    let mut leased = slots::first_slot(engine, Class::Player).await?;
    let budget = Budget::configured(&engine.config);
    let mut spec = RunSpec::new(commands.fill(&language.version, 0, false));
    configure(&mut spec, offered, budget);
    let version = output_of("the version command", leased.slot.run(spec).await?)?;
    let compiled = {
        let slot = &mut leased.slot;
        compile::compile(engine, slot, offered, &hello, budget, Class::Player).await?
    };
    let program = match compiled {
        Compiled::Ready { program, .. } => program,
        Compiled::Error(reason) => return Err(Failure::Internal(reason)),
    };
    slots::install(&mut leased.slot, &program).await?;
    let limits = language.limits(Duration::from_secs(10), 256 << 20);
    let commands = Commands { class: &program.class, ..commands };
    let mut spec = RunSpec::new(commands.fill(&language.run, limits.memory, false));
    spec.cwd = hello.directory(language);
    configure(&mut spec, offered, budget);
    spec.limits.memory = limits.memory_with_runtime;
    let output = output_of("the hello-world program", leased.slot.run(spec).await?)?;
    if output.trim() != "hello" {
        let text = format!("the hello-world program must print `hello`, but printed {output:?}");
        return Err(Failure::Internal(text));
    }
    Ok(version.lines().next().unwrap_or_default().trim().to_owned())
}

/// The output of a run; an error if the run failed.
fn output_of(what: &str, outcome: Outcome) -> Result<String, Failure> {
    if outcome.is_success() {
        return text(outcome.stdout);
    }
    let how = match outcome.limit {
        Some(limit) => format!("exceeded its {limit:?} limit").to_lowercase(),
        None if outcome.violation.is_some() => "made a forbidden system call".to_owned(),
        None => run::describe_exit(&outcome.exit, &text(outcome.stderr)?),
    };
    Err(Failure::Internal(format!("{what} {how}")))
}

/// Precompiles missing headers. A header that a player's job preempts is started again after a pause, which grows while
/// players keep the worker busy: they would otherwise share it with work that is always thrown away.
async fn precompile_when_idle(engine: &Engine, offered: &Offered) -> Result<(), Failure> {
    let Some(precompile) = &offered.language.precompile else { return Ok(()) };
    let directory = engine.offer.header_directory(&offered.toolchain);
    let is_missing = |header: &&String| !directory.join(Precompile::file(header)).exists();
    let mut missing = precompile.headers.iter().filter(is_missing);
    let (mut next, mut pause) = (missing.next(), SHORTEST_PAUSE);
    while let Some(header) = next {
        let mut leased = slots::first_slot(engine, Class::Background).await?;
        tokio::select! {
            done = precompile_header(engine, offered, header, &mut leased) => {
                done?;
                (next, pause) = (missing.next(), SHORTEST_PAUSE);
            }
            () = engine.admission.preempted(Class::Background) => {
                drop(leased);
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
    Ok(())
}

async fn precompile_header(
    engine: &Engine,
    offered: &Offered,
    header: &str,
    leased: &mut LeasedSlot,
) -> Result<(), Failure> {
    let Some(precompile) = &offered.language.precompile else { return Ok(()) };
    let source = format!("#include <{header}>\n").into_bytes();
    let files = Files::single(&offered.language, source.clone());
    let Offered { language, toolchain, .. } = offered;
    let commands = Commands { language, toolchain, files: &files, class: "" };
    let path = format!("/box/src/{}", files.main);
    leased.slot.put(&path, Content::Bytes(source), 0o644).await?;
    let mut spec = RunSpec::new(commands.fill(&precompile.command, 0, false));
    configure(&mut spec, offered, Budget::configured(&engine.config));
    spec.cwd = "/box/src".into();
    spec.limits.file_size = MAX_HEADER_SIZE;
    let outcome = leased.slot.run(spec).await?;
    if !outcome.is_success() {
        return Err(Failure::Internal(text(outcome.stderr)?));
    }
    let mut compiled = leased.slot.get("/box/header.gch", MAX_HEADER_SIZE).await?;
    let directory = engine.offer.header_directory(&offered.toolchain);
    let target = directory.join(Precompile::file(header));
    let copied = tokio::task::spawn_blocking(move || -> std::io::Result<()> {
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent)?;
        }
        let staged = target.with_extension("draft");
        std::io::copy(&mut compiled, &mut fs::File::create(&staged)?)?;
        fs::rename(staged, target)
    });
    copied
        .await
        .unwrap_or_else(|error| Err(std::io::Error::other(error)))
        .map_err(|error| Failure::from_io("precompiled header", &error))?;
    engine.offer.add(Offered { precompiled: Some(directory), ..offered.clone() });
    tracing::info!(language = offered.id, header, "header precompiled");
    Ok(())
}

fn configure(spec: &mut RunSpec, offered: &Offered, budget: Budget) {
    spec.env.extend(offered.language.env.clone());
    spec.limits.cpu = budget.cpu;
    spec.limits.wall = budget.wall;
    spec.limits.memory = budget.memory;
    spec.limits.processes = 256;
}

fn text(capture: sandbox::Capture) -> Result<String, Failure> {
    capture.into_text().map_err(|error| Failure::from_io("output", &error))
}
