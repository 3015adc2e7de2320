//! A player beside heavy imports: three setters import packages whose jury solutions keep both slots busy for minutes,
//! while a player submits a short program in a loop.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::process::{Rest, json_of};
use crate::server::Server;

const IMPORTS: usize = 3;
const ROUNDS: usize = 100;
const PAUSE: Duration = Duration::from_millis(500);

/// A jury solution that takes about two seconds of CPU time on each test.
const SLOW: &str = "#include <stdio.h>\nint main(void) { volatile unsigned x = 0;\n\
    for (unsigned i = 0; i < 1200000000u; i++) x = x + 1;\nputs(\"3\"); }\n";

/// Prints the time from POST to verdict with and without the imports.
pub async fn run() {
    let data = tempfile::tempdir().expect("a temporary directory");
    let http = reqwest::Client::new();
    let server = Server::start(data.path(), &http, &["judge.slots=2"]).await;
    let rest = server.rest(&http);
    let token = rest.register().await;
    let Some(problem) = rest.sample(1).await else { return server.stop() };
    let alone = round_trips(&rest, &problem, &token).await;
    let own = alone[alone.len() / 2];
    print("alone", &alone, own);
    let imports = start_imports(&rest, data.path()).await;
    let beside = round_trips(&rest, &problem, &token).await;
    let states = states(&rest, &imports).await;
    assert!(states.iter().all(|state| state == "IMPORT_STATE_VERIFYING"), "too short: {states:?}");
    print(&format!("beside {IMPORTS} imports"), &beside, own);
    server.stop();
}

fn print(what: &str, times: &[Duration], own: Duration) {
    let [median, p99, max] =
        [50, 99, 100].map(|percent: usize| times[times.len() * percent / 100 - 1]);
    let wait = p99.saturating_sub(own);
    println!(
        "{what}: POST to verdict {median:.0?} (median), {p99:.0?} (99 %), {max:.0?} (maximum); \
         99 % above the median alone: {wait:.0?}"
    );
}

/// The times from POST to verdict, sorted.
async fn round_trips(rest: &Rest, problem: &str, token: &str) -> Vec<Duration> {
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let start = Instant::now();
        rest.judge(problem, token).await;
        times.push(start.elapsed());
        tokio::time::sleep(PAUSE).await;
    }
    times.sort();
    times
}

/// Imports the packages as the administrator; returns the token and the paths of the imports.
async fn start_imports(rest: &Rest, data: &Path) -> (String, Vec<String>) {
    let password = std::fs::read_to_string(data.join("admin-password")).expect("a password");
    let login = json!({ "identifier": "admin", "password": password.trim() });
    let session = json_of(rest.http.post(rest.url("/v1/sessions")).json(&login)).await;
    let token = session["accessToken"].as_str().expect("an access token").to_owned();
    let mut paths = Vec::new();
    for number in 0..IMPORTS {
        let url = rest.url(&format!("/v1/problem-imports?problemId=heavy-{number}"));
        let post =
            rest.http.post(url).bearer_auth(&token).header("content-type", "application/x-tar");
        let import = json_of(post.body(package(number))).await;
        let id = import["problemImportId"].as_str().unwrap_or_else(|| panic!("{import}"));
        paths.push(format!("/v1/problem-imports/{id}"));
    }
    (token, paths)
}

async fn states(rest: &Rest, (token, paths): &(String, Vec<String>)) -> Vec<Value> {
    let mut states = Vec::new();
    for path in paths {
        let import = json_of(rest.http.get(rest.url(path)).bearer_auth(token)).await;
        states.push(import["state"].clone());
    }
    states
}

/// A package with ten jury solutions and ten tests, as a tar file.
fn package(number: usize) -> Vec<u8> {
    let mut files = vec![
        (
            "problem.yaml".to_owned(),
            format!(
                "problem_format_version: 2025-09\nname: Heavy {number}\n\
                 uuid: 5c0f1a52-7f0e-4a53-9d0b-3f6f6f1d2c0{number}\n\
                 limits:\n  time_limit: 20\n  memory: 256\n"
            ),
        ),
        ("statement/problem.en.md".to_owned(), "Print 3.\n".to_owned()),
        (
            "input_validators/validate.py".to_owned(),
            "import sys\nsys.stdin.read()\nsys.exit(42)\n".to_owned(),
        ),
    ];
    for test in 0..10 {
        files.push((format!("data/secret/{test}.in"), format!("{test}\n")));
        files.push((format!("data/secret/{test}.ans"), "3\n".to_owned()));
    }
    for solution in 0..10 {
        let source = format!("// {number} {solution}\n{SLOW}");
        files.push((format!("submissions/accepted/slow{solution}.c"), source));
    }
    let mut tar = tar::Builder::new(Vec::new());
    for (path, text) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, format!("heavy/{path}"), text.as_bytes())
            .expect("short paths");
    }
    tar.into_inner().expect("memory")
}
