//! Compiling: the commands of a language, run on a program's files in the sandbox.

use std::sync::Arc;
use std::time::Duration;

use sandbox::{Content, Cores, Limits, Mount, Outcome, Output, RunSpec, Slot};
use sha2::{Digest, Sha256};

use super::Bench;
use super::artefacts::{Artefact, Blob, Program};
use super::failure::Failure;
use super::offer::Offered;
use crate::judgement::bounded;
use crate::languages::{Commands, Files};

/// What is kept of a compiler's words.
const DIAGNOSTICS: usize = 64 << 10;
/// What it may say before it is stopped.
const OUTPUT: u64 = 16 << 20;
/// The largest file that a compiler may make.
const ARTEFACT: u64 = 256 << 20;
/// Files of one program.
const ARTEFACTS: usize = 4096;
const PROCESSES: u32 = 256;

/// What compiling may use.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    /// CPU time.
    pub cpu: Duration,
    /// Time on the clock.
    pub wall: Duration,
    /// Memory.
    pub memory: u64,
}

/// What came of compiling.
pub(super) enum Compiled {
    /// The program, what the compiler said, and under which key to keep it.
    Ready { program: Arc<Program>, output: String, key: String },
    /// The compiler's reasons.
    Refused(String),
}

/// Compiles, or finds what was compiled before.
pub(super) async fn compile(
    bench: &Bench,
    slot: &mut Slot,
    offered: &Offered,
    files: &Files,
    budget: Budget,
) -> Result<Compiled, Failure> {
    let key = key(offered, files);
    if let Some(program) = bench.artefacts.get(&key).await {
        return Ok(Compiled::Ready { program: program.into(), output: String::new(), key });
    }
    let _quiet = bench.quiet.read().await;
    for (path, content) in &files.files {
        let path = format!("/box/src/{path}");
        slot.put(&path, Content::Bytes(content.clone()), 0o644).await?;
    }
    let mut said = String::new();
    for (number, words) in offered.language.compile.iter().enumerate() {
        let mut spec = spec(offered, files, words, budget);
        spec.keep_files = number > 0;
        let outcome = bench.run(slot, "compile", spec).await?;
        let success = outcome.is_success();
        let problem = problem(&outcome, words, budget);
        let output = outcome.stdout.into_bytes();
        let output = output.map_err(|error| Failure::of_disk("compiler output", &error))?;
        said.push_str(&String::from_utf8_lossy(&output));
        if !success {
            let text = format!("{said}{}{problem}", if said.is_empty() { "" } else { "\n" });
            return Ok(Compiled::Refused(bounded(text.trim_end(), DIAGNOSTICS)));
        }
    }
    match collect(slot, offered, files).await? {
        Ok(files) => {
            let program = Program::new(files).into();
            Ok(Compiled::Ready { program, output: bounded(&said, DIAGNOSTICS), key })
        }
        Err(reason) => Ok(Compiled::Refused(bounded(&format!("{said}{reason}"), DIAGNOSTICS))),
    }
}

fn spec(offered: &Offered, files: &Files, words: &[String], budget: Budget) -> RunSpec {
    let Offered { language, toolchain, precompiled, .. } = offered;
    let commands = Commands { language, toolchain, files };
    let mut spec = RunSpec::new(commands.fill(words, budget.memory, precompiled.is_some()));
    spec.env.extend(language.env.clone());
    spec.cwd = "/box/src".into();
    spec.stdout = Output::Capture { limit: DIAGNOSTICS as u64 };
    spec.stderr = Output::Stdout;
    spec.cores = Cores::All;
    spec.limits = Limits {
        cpu: budget.cpu,
        wall: budget.wall,
        memory: budget.memory,
        output: OUTPUT,
        processes: PROCESSES,
        file_size: ARTEFACT,
        ..Limits::default()
    };
    let mount = |path: &std::path::PathBuf| Mount {
        source: path.clone(),
        target: crate::languages::PRECOMPILED.into(),
    };
    spec.mounts = precompiled.iter().map(mount).collect();
    spec
}

/// What to add to the compiler's own words.
fn problem(outcome: &Outcome, words: &[String], budget: Budget) -> String {
    use sandbox::{Exit, Limit};
    match (outcome.limit, &outcome.exit) {
        (Some(Limit::Cpu), _) => format!("compiling took more than {:?} of CPU time", budget.cpu),
        (Some(Limit::Wall), _) => format!("compiling took more than {:?}", budget.wall),
        (Some(Limit::Memory), _) => {
            format!("compiling took more than {} MiB of memory", budget.memory >> 20)
        }
        (Some(Limit::Output), _) => "the compiler wrote too much".to_owned(),
        (None, _) if outcome.violation.is_some() => "the compiler did what is forbidden".to_owned(),
        (None, Exit::Signal(signal)) => format!("the compiler died of signal {signal}"),
        (None, Exit::NotStarted(why)) => {
            let name = words.first().map_or("", String::as_str);
            format!("the compiler {name} did not start: {why}")
        }
        (None, _) => String::new(),
    }
}

/// The program's files; the inner error is the program's own fault.
async fn collect(
    slot: &mut Slot,
    offered: &Offered,
    files: &Files,
) -> Result<Result<Vec<Artefact>, String>, Failure> {
    let from = offered.language.artefacts.as_str();
    if from == "/box/src/" {
        // Nothing is made of sources: they are what they were.
        let own = files.files.iter().map(|(path, content)| Artefact {
            path: path.clone(),
            mode: 0o644,
            blob: Blob::Bytes(content.as_slice().into()),
        });
        return Ok(Ok(own.collect()));
    }
    let paths = match from.strip_suffix('/') {
        Some(directory) => match slot.list(directory, ARTEFACTS).await {
            Ok(names) => {
                // Whether they are relative to the directory or to the area it lies in.
                let below = directory.strip_prefix("/box/").unwrap_or_default();
                let relative = |name: &String| {
                    let rest = name.strip_prefix(below).and_then(|rest| rest.strip_prefix('/'));
                    rest.unwrap_or(name).to_owned()
                };
                names.iter().map(relative).collect()
            }
            Err(sandbox::Error::File { .. }) => Vec::new(),
            Err(error) => return Err(error.into()),
        },
        None => vec![from.rsplit('/').next().unwrap_or(from).to_owned()],
    };
    let mut made = Vec::new();
    for path in paths {
        let place = match from.ends_with('/') {
            true => format!("{from}{path}"),
            false => from.to_owned(),
        };
        match slot.take(&place, ARTEFACT).await {
            Ok(file) => made.push(Artefact { path, mode: 0o755, blob: Blob::Open(file) }),
            Err(sandbox::Error::File { reason, .. }) => {
                return Ok(Err(format!("the compiler made nothing that can be run: {reason}")));
            }
            Err(error) => return Err(error.into()),
        }
    }
    match made.is_empty() {
        true => Ok(Err("the compiler made nothing that can be run".into())),
        false => Ok(Ok(made)),
    }
}

/// Everything that what a compiler makes depends on.
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
