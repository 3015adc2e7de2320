//! Compiles a program: runs the compile commands of its language in the sandbox.

use std::sync::Arc;
use std::time::Duration;

use sandbox::{Content, Cores, Limits, Mount, Outcome, Output, RunSpec, Slot};
use sha2::{Digest, Sha256};

use super::Engine;
use super::admission::Class;
use super::artefacts::{Artefact, Blob, Program};
use super::failure::Failure;
use super::offer::Offered;
use crate::config::Config;
use crate::judgement::bounded;
use crate::languages::{Commands, Entry, Files, PROGRAM_FILES, java};

/// The size to which compiler output is truncated.
const MAX_DIAGNOSTICS: usize = 64 << 10;
/// The output limit of a compiler.
const OUTPUT_LIMIT: u64 = 16 << 20;
/// The minimum size limit of a compiled program; see [`Budget::artefacts`].
const MIN_ARTEFACT_LIMIT: u64 = 256 << 20;
/// The maximum number of files of a compiled program.
const MAX_FILES: usize = 4096;
const PROCESSES: u32 = 256;
/// Identifies the arrangement of the files of cached programs.
const LAYOUT: &[u8] = b"2";

#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    pub cpu: Duration,
    pub wall: Duration,
    /// In bytes.
    pub memory: u64,
    /// The size limit of the compiled program, in bytes. A program within its memory limit must not exceed it.
    pub artefacts: u64,
}

impl Budget {
    pub fn configured(config: &Config) -> Budget {
        Budget {
            cpu: Duration::from_secs(config.compile_seconds),
            wall: Duration::from_secs(config.compile_wall_seconds),
            memory: config.compile_memory_mib << 20,
            artefacts: MIN_ARTEFACT_LIMIT,
        }
    }

    /// The budget for a program with this memory limit.
    pub fn for_memory(self, limit: u64) -> Budget {
        Budget { artefacts: self.artefacts.max(limit), ..self }
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
    class: Class,
) -> Result<Compiled, Failure> {
    let key = key(offered, files);
    if let Some(program) = engine.artefacts.get(&key).await {
        return Ok(Compiled::Ready { program: program.into(), output: String::new(), key });
    }
    let _shared = engine.admission.shared(class).await;
    let attempt = run_commands(engine, slot, offered, files, budget).await?;
    let misnamed = match &attempt {
        Err(log) if offered.language.entry == Entry::Java => java::renamed(files, log),
        _ => None,
    };
    let (files, attempt) = match &misnamed {
        Some(files) => (files, run_commands(engine, slot, offered, files, budget).await?),
        None => (files, attempt),
    };
    let log = match attempt {
        Ok(log) => log,
        Err(text) => return Ok(Compiled::Error(bounded(text.trim_end(), MAX_DIAGNOSTICS))),
    };
    let collected = collect(slot, offered, files, budget.artefacts).await?;
    match collected.and_then(|compiled| program(offered, files, compiled)) {
        Ok(program) => {
            let program = program.into();
            Ok(Compiled::Ready { program, output: bounded(&log, MAX_DIAGNOSTICS), key })
        }
        Err(reason) => Ok(Compiled::Error(bounded(&format!("{log}{reason}"), MAX_DIAGNOSTICS))),
    }
}

/// Runs the compile commands. Returns the compiler output, as an error if a command failed.
async fn run_commands(
    engine: &Engine,
    slot: &mut Slot,
    offered: &Offered,
    files: &Files,
    budget: Budget,
) -> Result<Result<String, String>, Failure> {
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
            return Ok(Err(text));
        }
    }
    Ok(Ok(log))
}

/// The compiled program. The error is a compile error.
fn program(
    offered: &Offered,
    files: &Files,
    mut compiled: Vec<Artefact>,
) -> Result<Program, String> {
    let class = match offered.language.entry {
        Entry::Java => main_class(&compiled, &files.main)?,
        Entry::File => String::new(),
    };
    if files.are_several() && !offered.language.runs_sources() {
        compiled.extend(own_files(files, &format!("{PROGRAM_FILES}/")));
    }
    Ok(Program::new(compiled, class))
}

fn main_class(compiled: &[Artefact], main: &str) -> Result<String, String> {
    let unreadable = |error: &dyn std::fmt::Display| format!("cannot read a class file: {error}");
    let classes = compiled.iter().filter(|file| file.path.ends_with(".class"));
    let classes = classes.map(Artefact::read).collect::<Result<Vec<_>, _>>();
    let classes = classes.map_err(|error| unreadable(&error))?;
    let class = java::main_class(classes.iter().map(Vec::as_slice), main);
    let class = class.map_err(|error| unreadable(&error))?;
    class.ok_or_else(|| "the source contains no class".to_owned())
}

/// The files of the program itself, below `directory`.
fn own_files(files: &Files, directory: &str) -> impl Iterator<Item = Artefact> {
    files.files.iter().map(move |(path, content)| Artefact {
        path: format!("{directory}{path}"),
        mode: 0o644,
        blob: Blob::Bytes(content.as_slice().into()),
    })
}

fn spec(offered: &Offered, files: &Files, words: &[String], budget: Budget) -> RunSpec {
    let Offered { language, toolchain, precompiled, .. } = offered;
    let commands = Commands { language, toolchain, files, class: "" };
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
        file_size: budget.artefacts,
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
        (None, Exit::Signal(_)) => format!("the compiler {}", outcome.exit),
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
    mut limit: u64,
) -> Result<Result<Vec<Artefact>, String>, Failure> {
    let from = offered.language.artefacts.as_str();
    if offered.language.runs_sources() {
        return Ok(Ok(own_files(files, "").collect()));
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
        match slot.get(&path, limit).await {
            Ok(file) => {
                let size = file.metadata().map_or(0, |file| file.len());
                limit = limit.saturating_sub(size);
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
    part(LAYOUT);
    part(offered.id.as_bytes());
    part(offered.toolchain.digest().as_bytes());
    part(files.main.as_bytes());
    for (path, content) in &files.files {
        part(path.as_bytes());
        part(content);
    }
    hex::encode(hash.finalize())
}
