//! Measures the overhead of judging: a C++ program for A+B with twenty tests, compared with a plain loop that
//! compiles, spawns and compares, in the same process.
//!
//! `cargo bench -p judge` prints medians and ratios. The argument `runs` omits compiling, for profiling.

#[path = "../tests/it/fakes.rs"]
#[expect(dead_code, reason = "only the tests use everything")]
mod fakes;
#[path = "../tests/it/world.rs"]
#[expect(dead_code, reason = "only the tests use everything")]
mod world;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use ids::Uuid;
use judge::Config;
use proto::judge::{Judgement, JudgementState, Verdict};
use world::{Problem, World};

const ROUNDS: usize = 15;
const TESTS: usize = 20;
const SOURCE: &str = "#include <bits/stdc++.h>\nusing namespace std;\n\
    int main() { long long a, b; cin >> a >> b; cout << a + b << endl; }\n";

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.expect("a runtime").block_on(run());
}

async fn run() {
    let inputs: Vec<(String, String)> =
        (0..TESTS).map(|n| (format!("{n} 1000\n"), format!("{}\n", n + 1000))).collect();
    let tests = || inputs.iter().map(|(i, a)| (i.as_str(), a.as_str(), false));
    let world = World::judging(Config::default()).await;
    let many = world.problem(&Problem { tests: tests().collect(), ..Problem::default() });
    let single = world.problem(&Problem { tests: tests().take(1).collect(), ..Problem::default() });
    let plain = Plain::new(&inputs);
    ready(&world, &many).await;

    let runs_only = std::env::args().any(|argument| argument == "runs");
    let rounds = if runs_only { 20 * ROUNDS } else { ROUNDS };
    let (mut compiled, mut cached, mut overhead) = (Vec::new(), Vec::new(), Vec::new());
    let (mut plain_compile, mut plain_runs) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        let round = if runs_only { 0 } else { round };
        let source = format!("{SOURCE}// {round} {}\n", world.directory().display());
        if plain_compile.is_empty() || !runs_only {
            plain_compile.push(plain.compile(&source));
        }
        plain_runs.push(plain.run_all());
        compiled.push(timed(&world, &many, &source).await.0);
        cached.push(timed(&world, &many, &source).await.0);
        let (total, judgement) = timed(&world, &single, &source).await;
        let ran = Duration::from_micros(judgement.tests[0].wall_time_us.unsigned_abs());
        overhead.push(total.saturating_sub(ran));
    }
    let [compiled, cached, overhead] = [compiled, cached, overhead].map(median);
    let [plain_compile, plain_runs] = [plain_compile, plain_runs].map(median);
    let ratio = |a: Duration, b: Duration| a.as_secs_f64() / b.as_secs_f64();
    println!("medians of {rounds} rounds, {TESTS} tests each");
    println!("plain loop: compile {plain_compile:?}, spawn and compare {plain_runs:?}");
    println!("judge:      new source {compiled:?}, cached program {cached:?}");
    println!("ratio with compile time:    {:.2}", ratio(compiled, plain_compile + plain_runs));
    println!("ratio without compile time: {:.2}", ratio(cached, plain_runs));
    println!("event to verdict without the run, one test: {overhead:?}");
}

/// Waits until C++ is offered and its headers are precompiled.
async fn ready(world: &World, problem: &str) {
    let languages = world.directory().join("languages/precompiled");
    let deadline = Instant::now() + Duration::from_secs(120);
    while fs::read_dir(&languages).map_or(0, Iterator::count) == 0 && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    timed(world, problem, SOURCE).await;
}

/// The time from the request event to the completed event.
async fn timed(world: &World, problem: &str, source: &str) -> (Duration, Judgement) {
    let mut appended = world.db.appended();
    appended.mark_unchanged();
    let started = Instant::now();
    let id: Uuid = world.submit(problem, "cpp20", source).await;
    loop {
        appended.changed().await.expect("the event log is open");
        let took = started.elapsed();
        let judgement = world.submission(id).await.expect("a judgement");
        if judgement.state() == JudgementState::Done {
            assert_eq!(judgement.verdict(), Verdict::Accepted, "{judgement:?}");
            return (took, judgement);
        }
    }
}

/// The baseline: no limits, no isolation, no database.
struct Plain {
    directory: tempfile::TempDir,
    answers: Vec<Vec<u8>>,
}

impl Plain {
    fn new(tests: &[(String, String)]) -> Plain {
        let directory = tempfile::tempdir().expect("a directory");
        for (number, (input, _)) in tests.iter().enumerate() {
            fs::write(directory.path().join(format!("{number}.in")), input).expect("a file");
        }
        let answers = tests.iter().map(|(_, answer)| answer.clone().into_bytes()).collect();
        Plain { directory, answers }
    }

    fn program(&self) -> PathBuf {
        self.directory.path().join("plain")
    }

    fn compile(&self, source: &str) -> Duration {
        let path: &Path = self.directory.path();
        fs::write(path.join("main.cpp"), source).expect("a file");
        let started = Instant::now();
        let status = Command::new("/usr/bin/g++")
            .args(["-std=gnu++20", "-O2", "-pipe", "-static", "-o", "plain", "main.cpp"])
            .current_dir(path)
            .status();
        assert!(status.expect("g++").success());
        started.elapsed()
    }

    fn run_all(&self) -> Duration {
        let started = Instant::now();
        for (number, answer) in self.answers.iter().enumerate() {
            let input = File::open(self.directory.path().join(format!("{number}.in")));
            let output = Command::new(self.program())
                .stdin(Stdio::from(input.expect("an input")))
                .output()
                .expect("a run");
            assert!(output.status.success() && output.stdout == *answer);
        }
        started.elapsed()
    }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}
