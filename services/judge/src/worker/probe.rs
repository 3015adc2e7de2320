//! Trying languages: each compiles and runs its hello-world in the sandbox before it is offered.

use std::fs;
use std::time::Duration;

use runtime::Shutdown;
use sandbox::{Content, RunSpec};

use super::Bench;
use super::compile::{self, Budget, Compiled};
use super::failure::Failure;
use super::lanes;
use super::offer::Offered;
use crate::languages::{Commands, Files};

/// The largest precompiled header.
const HEADER: u64 = 512 << 20;

/// Tries what was not tried before with these programs, then prepares what can be prepared.
pub(super) async fn all(bench: &Bench, shutdown: &Shutdown) {
    let work = async {
        for mut offered in bench.offer.untried() {
            let language = offered.id.clone();
            match probe(bench, &offered).await {
                Ok(version) => {
                    tracing::info!(language, version, "works");
                    offered.version = version;
                    bench.offer.add(offered);
                }
                Err(Failure::Away(reason) | Failure::Broken(reason)) => {
                    tracing::warn!(language, reason, "does not work here and is not offered");
                }
            }
        }
        bench.offer.complete();
        for offered in bench.offer.unprepared() {
            if let Err(error) = precompile(bench, &offered).await {
                tracing::warn!(language = offered.id, %error, "headers are not precompiled");
            }
        }
    };
    shutdown.unless_begun(work).await;
}

async fn probe(bench: &Bench, offered: &Offered) -> Result<String, Failure> {
    let hello = Files::single(&offered.language, offered.language.hello.clone().into_bytes());
    let commands =
        Commands { language: &offered.language, toolchain: &offered.toolchain, files: &hello };
    let mut place = lanes::first_slot(bench).await?;
    let budget = budget(bench);
    let mut spec = RunSpec::new(commands.fill(&offered.language.version, 0, false));
    generous(&mut spec, offered, budget);
    let outcome = place.slot.run(spec).await?;
    if !outcome.is_success() {
        return Err(Failure::Broken(format!("the version command: {:?}", outcome.exit)));
    }
    let version = text(outcome.stdout)?;
    let version = version.lines().next().unwrap_or_default().trim().to_owned();
    let compiled = compile::compile(bench, &mut place.slot, offered, &hello, budget).await?;
    let program = match compiled {
        Compiled::Ready { program, .. } => program,
        Compiled::Refused(reason) => return Err(Failure::Broken(reason)),
    };
    lanes::install(&mut place.slot, &program).await?;
    let limits = offered.language.limits(Duration::from_secs(10), 256 << 20);
    let mut spec = RunSpec::new(commands.fill(&offered.language.run, limits.memory, false));
    generous(&mut spec, offered, budget);
    spec.limits.memory = limits.memory_with_runtime;
    let outcome = place.slot.run(spec).await?;
    let (success, exit, limit) = (outcome.is_success(), outcome.exit.clone(), outcome.limit);
    let stderr = text(outcome.stderr)?;
    if !success || text(outcome.stdout)?.trim() != "hello" {
        return Err(Failure::Broken(format!("hello-world: {exit:?} {limit:?} {}", stderr.trim())));
    }
    Ok(version)
}

async fn precompile(bench: &Bench, offered: &Offered) -> Result<(), Failure> {
    let Some(precompile) = &offered.language.precompile else { return Ok(()) };
    let source = precompile.source.clone().into_bytes();
    let files = Files::single(&offered.language, source.clone());
    let commands =
        Commands { language: &offered.language, toolchain: &offered.toolchain, files: &files };
    let mut place = lanes::first_slot(bench).await?;
    let path = format!("/box/src/{}", files.main);
    place.slot.put(&path, Content::Bytes(source), 0o644).await?;
    let mut spec = RunSpec::new(commands.fill(&precompile.command, 0, false));
    generous(&mut spec, offered, budget(bench));
    spec.cwd = "/box/src".into();
    spec.limits.file_size = HEADER;
    let outcome = place.slot.run(spec).await?;
    if !outcome.is_success() {
        return Err(Failure::Broken(text(outcome.stderr)?));
    }
    let mut made = place.slot.take("/box/header.gch", HEADER).await?;
    let directory = bench.offer.header_directory(&offered.toolchain);
    let target = directory.join(&precompile.file);
    let copied = tokio::task::spawn_blocking(move || -> std::io::Result<()> {
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent)?;
        }
        let draft = target.with_extension("draft");
        std::io::copy(&mut made, &mut fs::File::create(&draft)?)?;
        fs::rename(draft, target)
    });
    copied
        .await
        .unwrap_or_else(|error| Err(std::io::Error::other(error)))
        .map_err(|error| Failure::of_disk("precompiled header", &error))?;
    bench.offer.add(Offered { precompiled: Some(directory), ..offered.clone() });
    tracing::info!(language = offered.id, "headers are precompiled");
    Ok(())
}

fn generous(spec: &mut RunSpec, offered: &Offered, budget: Budget) {
    spec.env.extend(offered.language.env.clone());
    spec.limits.cpu = budget.cpu;
    spec.limits.wall = budget.wall;
    spec.limits.memory = budget.memory;
    spec.limits.processes = 256;
}

fn budget(bench: &Bench) -> Budget {
    let config = &bench.config;
    Budget {
        cpu: Duration::from_secs(config.compile_seconds),
        wall: Duration::from_secs(config.compile_wall_seconds),
        memory: config.compile_memory_mib << 20,
    }
}

fn text(capture: sandbox::Capture) -> Result<String, Failure> {
    capture.into_text().map_err(|error| Failure::of_disk("output", &error))
}
