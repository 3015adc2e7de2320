//! Compiles a program: runs the compile commands of its language in the sandbox.

use std::sync::Arc;
use std::time::Duration;

use sandbox::{Content, Cores, Limits, Mount, Outcome, Output, RunSpec, Slot};
use sha2::{Digest, Sha256};

use super::Engine;
use super::artefacts::{Artefact, Blob, Program};
use super::failure::Failure;
use super::offer::Offered;
use crate::config::Config;
use crate::judgement::bounded;
use crate::languages::{Commands, Files};

/// The size to which compiler output is truncated.
const MAX_DIAGNOSTICS: usize = 64 << 10;
/// The output limit of a compiler.
const OUTPUT_LIMIT: u64 = 16 << 20;
/// The size limit of each compiled file.
const MAX_FILE_SIZE: u64 = 256 << 20;
/// The maximum number of files of a compiled program.
const MAX_FILES: usize = 4096;
const PROCESSES: u32 = 256;

#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    pub cpu: Duration,
    pub wall: Duration,
    /// In bytes.
    pub memory: u64,
}

impl Budget {
    pub fn configured(config: &Config) -> Budget {
        Budget {
            cpu: Duration::from_secs(config.compile_seconds),
            wall: Duration::from_secs(config.compile_wall_seconds),
            memory: config.compile_memory_mib << 20,
        }
    }
}

pub(super) enum Compiled {
    /// The program, the compiler output, and the cache key.
    Ready { program: Arc<Program>, output: String, key: String },
    /// A compile error, with the compiler output.
    Error(String),
}

/// Compiles a program, or takes it from the cache.
pub(super) async fn compile(
    engine: &Engine,
    slot: &mut Slot,
    offered: &Offered,
    files: &Files,
    budget: Budget,
) -> Result<Compiled, Failure> {
    let key = key(offered, files);
    if let Some(program) = engine.artefacts.get(&key).await {
        return Ok(Compiled::Ready { program: program.into(), output: String::new(), key });
    }
    let _shared = engine.exclusive.read().await;
    for (path, content) in &files.files {
        let path = format!("/box/src/{path}");
        slot.put(&path, Content::Bytes(content.clone()), 0o644).await?;
    }
    let mut log = String::new();
    for (number, words) in offered.language.compile.iter().enumerate() {
        let mut spec = spec(offered, files, words, budget);
        spec.keep_files = number > 0;
        let outcome = engine.run(slot, "compile", spec).await?;
        let success = outcome.is_success();
        let reason = failure_reason(&outcome, words, budget);
        let output = outcome.stdout.into_bytes();
        let output = output.map_err(|error| Failure::from_io("compiler output", &error))?;
        log.push_str(&String::from_utf8_lossy(&output));
        if !success {
            let text = format!("{log}{}{reason}", if log.is_empty() { "" } else { "\n" });
            return Ok(Compiled::Error(bounded(text.trim_end(), MAX_DIAGNOSTICS)));
        }
    }
    match collect(slot, offered, files).await? {
        Ok(files) => {
            let program = Program::new(files).into();
            Ok(Compiled::Ready { program, output: bounded(&log, MAX_DIAGNOSTICS), key })
        }
        Err(reason) => Ok(Compiled::Error(bounded(&format!("{log}{reason}"), MAX_DIAGNOSTICS))),
    }
}

fn spec(offered: &Offered, files: &Files, words: &[String], budget: Budget) -> RunSpec {
    let Offered { language, toolchain, precompiled, .. } = offered;
    let commands = Commands { language, toolchain, files };
    let mut spec = RunSpec::new(commands.fill(words, budget.memory, precompiled.is_some()));
    spec.env.extend(language.env.clone());
    spec.cwd = "/box/src".into();
    spec.stdout = Output::Capture { limit: MAX_DIAGNOSTICS as u64 };
    spec.stderr = Output::Stdout;
    spec.cores = Cores::All;
    spec.limits = Limits {
        cpu: budget.cpu,
        wall: budget.wall,
        memory: budget.memory,
        output: OUTPUT_LIMIT,
        processes: PROCESSES,
        file_size: MAX_FILE_SIZE,
        ..Limits::default()
    };
    let mount = |path: &std::path::PathBuf| Mount {
        source: path.clone(),
        target: crate::languages::PRECOMPILED.into(),
    };
    spec.mounts = precompiled.iter().map(mount).collect();
    spec
}

/// Describes a failure that the compiler output may not explain.
fn failure_reason(outcome: &Outcome, words: &[String], budget: Budget) -> String {
    use sandbox::{Exit, Limit};
    match (outcome.limit, &outcome.exit) {
        (Some(Limit::Cpu), _) => {
            format!("compiling exceeded the CPU time limit of {:?}", budget.cpu)
        }
        (Some(Limit::Wall), _) => {
            format!("compiling exceeded the wall time limit of {:?}", budget.wall)
        }
        (Some(Limit::Memory), _) => {
            format!("compiling exceeded the memory limit of {} MiB", budget.memory >> 20)
        }
        (Some(Limit::Output), _) => "the compiler exceeded its output limit".to_owned(),
        (None, _) if outcome.violation.is_some() => {
            "the compiler made a forbidden system call".to_owned()
        }
        (None, Exit::Signal(signal)) => format!("the compiler was terminated by signal {signal}"),
        (None, Exit::NotStarted(why)) => {
            let name = words.first().map_or("", String::as_str);
            format!("cannot start the compiler {name}: {why}")
        }
        (None, _) => String::new(),
    }
}

/// Copies the compiled files out of the sandbox. The inner error is a compile error.
async fn collect(
    slot: &mut Slot,
    offered: &Offered,
    files: &Files,
) -> Result<Result<Vec<Artefact>, String>, Failure> {
    let from = offered.language.artefacts.as_str();
    if from == "/box/src/" {
        // Interpreted languages run the sources themselves.
        let own = files.files.iter().map(|(path, content)| Artefact {
            path: path.clone(),
            mode: 0o644,
            blob: Blob::Bytes(content.as_slice().into()),
        });
        return Ok(Ok(own.collect()));
    }
    let directory = from.rsplit_once('/').map_or("/box", |(directory, _)| directory);
    let paths = match from.ends_with('/') {
        true => match slot.list(directory, MAX_FILES).await {
            Ok(names) => names.iter().map(|name| format!("/box/{name}")).collect(),
            Err(sandbox::Error::File { .. }) => Vec::new(),
            Err(error) => return Err(error.into()),
        },
        false => vec![from.to_owned()],
    };
    let mut compiled = Vec::new();
    for path in paths {
        match slot.get(&path, MAX_FILE_SIZE).await {
            Ok(file) => {
                let path = path.get(directory.len() + 1..).unwrap_or(&path).to_owned();
                compiled.push(Artefact { path, mode: 0o755, blob: Blob::Open(file) });
            }
            Err(sandbox::Error::File { reason, .. }) => {
                return Ok(Err(format!("the compiler produced no program: {reason}")));
            }
            Err(error) => return Err(error.into()),
        }
    }
    match compiled.is_empty() {
        true => Ok(Err("the compiler produced no program".into())),
        false => Ok(Ok(compiled)),
    }
}

/// The cache key: a hash of everything that the compiler output depends on.
fn key(offered: &Offered, files: &Files) -> String {
    let mut hash = Sha256::new();
    let mut part = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    };
    part(offered.id.as_bytes());
    part(offered.toolchain.digest().as_bytes());
    part(files.main.as_bytes());
    part(files.class.as_bytes());
    for (path, content) in &files.files {
        part(path.as_bytes());
        part(content);
    }
    hex::encode(hash.finalize())
}
