//! A running agon, and what a client needs to talk to it.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use db::testing::{Kind, kinds};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

/// The program under test.
pub const AGON: &str = env!("CARGO_BIN_EXE_agon");

/// How long anything may take that a test waits for. Generous: tests share few cores.
pub const PATIENCE: Duration = Duration::from_secs(240);

/// Trying languages costs seconds each: worlds of stories have few.
const FEW_LANGUAGES: &str = "java.enabled = false\njavascript.enabled = false\nrust.enabled = false\n\
    pypy3.enabled = false\n";

/// The problem of the stories: read two numbers, print their sum.
pub const PROBLEM: &str = "sum";
pub const C: &str = "#include <stdio.h>\nint main(void) { long long a, b; \
    if (scanf(\"%lld %lld\", &a, &b) == 2) printf(\"%lld\\n\", a + b); }\n";
pub const CPP: &str = "#include <iostream>\nint main() { long long a, b; \
    std::cin >> a >> b; std::cout << a + b << '\\n'; }\n";
pub const PYTHON: &str = "a, b = map(int, input().split())\nprint(a + b)\n";

const PACKAGE: [(&str, &str); 9] = [
    (
        "problem.yaml",
        "problem_format_version: 2025-09\nname: Sum\n\
         uuid: 5c0f1a52-7f0e-4a53-9d0b-3f6f6f1d2b01\nlimits:\n  time_limit: 2\n  memory: 256\n",
    ),
    ("statement/problem.en.md", "Two numbers are given. Print their sum.\n"),
    ("data/sample/1.in", "1 2\n"),
    ("data/sample/1.ans", "3\n"),
    ("data/secret/1.in", "-5 7\n"),
    ("data/secret/1.ans", "2\n"),
    ("data/secret/2.in", "0 0\n"),
    ("data/secret/2.ans", "0\n"),
    (
        "input_validators/validate.py",
        "import sys\na, b = map(int, sys.stdin.read().split())\nsys.exit(42)\n",
    ),
];

/// One installation: a data directory, a database, and the server that runs on them.
pub struct World {
    pub dir: tempfile::TempDir,
    pub kind: Kind,
    pub prefix: String,
    pub extra: Vec<String>,
    pub server: Server,
    pub http: reqwest::Client,
}

/// A child process that serves.
pub struct Server {
    pub child: Child,
    pub rest: String,
    pub grpc: String,
    pub admin: String,
    /// What it printed until it was ready.
    pub banner: String,
    pub ready_after: Duration,
    _log: Log,
}

/// What a server logged; a failing test shows the end of it.
struct Log(File);

impl Drop for Log {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let mut text = Vec::new();
            let _ = self.0.rewind();
            let _ = self.0.read_to_end(&mut text);
            let text = String::from_utf8_lossy(&text);
            let lines: Vec<&str> = text.lines().collect();
            let end = &lines[lines.len().saturating_sub(200)..];
            println!(
                "--- the server's log, its last {} lines:\n{}\n---",
                end.len(),
                end.join("\n")
            );
        }
    }
}

impl World {
    /// A new installation on one kind of database, as it comes.
    pub fn new(kind: &Kind) -> Self {
        Self::with(kind, &[])
    }

    /// One that judges nothing, and so starts at once.
    pub fn idle(kind: &Kind) -> Self {
        Self::with(kind, &["--set", "samples.import=false", "--set", "judge.worker=false"])
    }

    /// One with few languages and one problem, [`PROBLEM`], which the administrator imports.
    pub fn small(kind: &Kind, extra: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let languages = dir.path().join("languages.toml");
        std::fs::write(&languages, FEW_LANGUAGES).unwrap();
        let languages = format!("judge.languages={}", languages.display());
        let mut flags = vec!["--set", "samples.import=false", "--set", &languages];
        flags.extend(extra);
        let world = Self::in_dir(dir, kind, &flags);
        world.admin_logs_in();
        let package = world.package("sum");
        let said = world.agon(&["problem", "import", &package, "--problem", PROBLEM, "--publish"]);
        let said = succeeded(&said);
        assert!(said.contains("is published"), "{said}");
        world
    }

    /// What makes an installation use the other engines beside PostgreSQL, under names of its own; none where these
    /// tests may be skipped.
    pub fn engines() -> Option<Vec<String>> {
        let of = |name: &str| std::env::var(name).ok().filter(|url| !url.is_empty());
        let urls = ["AGON_TEST_KAFKA", "AGON_TEST_REDIS", "AGON_TEST_S3"].map(of);
        let [Some(kafka), Some(redis), Some(s3)] = urls else {
            let required = std::env::var("AGON_TEST_REQUIRE_ENGINES").is_ok_and(|v| v == "1");
            assert!(!required, "AGON_TEST_REQUIRE_ENGINES=1, but an engine's URL is not set");
            eprintln!("skipped: Kafka, Redis and S3 are not all there");
            return None;
        };
        // http://ACCESS:SECRET@HOST:PORT/BUCKET
        let (account, place) = s3.strip_prefix("http://")?.split_once('@')?;
        let ((access, secret), (host, bucket)) = (account.split_once(':')?, place.split_once('/')?);
        let name = ids::Clock::system().new_id().simple().to_string();
        let mut flags: Vec<String> =
            ["--events", &kafka, "--cache", &redis].map(str::to_owned).into();
        let settings = [
            format!("events.prefix=t{name}-"),
            "events.partitions=3".to_owned(),
            format!("cache.prefix=t{name}"),
            format!("problem.objects.url=s3://{bucket}/{name}"),
            format!("problem.objects.endpoint=http://{host}"),
            format!("problem.objects.access_key={access}"),
            format!("problem.objects.secret_key={secret}"),
            "problem.objects.allow_http=true".to_owned(),
        ];
        flags.extend(settings.into_iter().flat_map(|setting| ["--set".to_owned(), setting]));
        Some(flags)
    }

    /// Where an installation can be: each kind of database by itself, and PostgreSQL with all the other engines.
    pub fn places() -> Vec<(Kind, Vec<String>)> {
        let mut places: Vec<_> = kinds().into_iter().map(|kind| (kind, Vec::new())).collect();
        let postgres = kinds().into_iter().find(|kind| matches!(kind, Kind::Postgres(_)));
        places.extend(postgres.zip(Self::engines()));
        places
    }

    /// Writes the package of [`PROBLEM`]; its folder.
    pub fn package(&self, name: &str) -> String {
        let folder = self.dir.path().join(name);
        let mut files = PACKAGE.to_vec();
        files.push(("submissions/accepted/sum.py", PYTHON));
        files.push(("submissions/wrong_answer/zero.py", "print(0)\n"));
        for (path, text) in files {
            let path = folder.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        folder.display().to_string()
    }

    /// `agon login` as the administrator.
    pub fn admin_logs_in(&self) {
        let file = self.data().join("admin-password").display().to_string();
        succeeded(&self.agon(&["login", "admin", "--password-file", &file]));
    }

    /// The same with further flags.
    pub fn with(kind: &Kind, extra: &[&str]) -> Self {
        Self::in_dir(tempfile::tempdir().unwrap(), kind, extra)
    }

    fn in_dir(dir: tempfile::TempDir, kind: &Kind, extra: &[&str]) -> Self {
        let id = ids::Clock::system().new_id().simple().to_string();
        let prefix = format!("t_agon_{}_", &id[20..]);
        let extra: Vec<String> = extra.iter().map(|flag| (*flag).to_owned()).collect();
        let server = Server::start(&flags(kind, &prefix, dir.path(), &extra));
        let http = reqwest::Client::builder().timeout(PATIENCE).build().unwrap();
        Self { dir, kind: kind.clone(), prefix, extra, server, http }
    }

    pub fn flags(&self) -> Vec<String> {
        flags(&self.kind, &self.prefix, self.dir.path(), &self.extra)
    }

    pub fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// The arguments with which this installation, which is on SQLite, moves to PostgreSQL and `engines`.
    pub fn promotion(&self, url: &str, engines: &[String]) -> Vec<String> {
        let data = self.data().display().to_string();
        let mut arguments: Vec<String> =
            ["promote", "--data", &data, "--to", url, "--set"].map(str::to_owned).into();
        arguments.push(format!("database.schema_prefix={}", self.prefix));
        let mut rest = engines.iter();
        while let Some(flag) = rest.next() {
            let Some(value) = rest.next() else { break };
            match value.strip_prefix("problem.objects.url=") {
                Some(bucket) => arguments.extend(["--objects".to_owned(), bucket.to_owned()]),
                None => arguments.extend([flag.clone(), value.clone()]),
            }
        }
        arguments
    }

    /// Serves where the installation was moved to.
    pub fn start_moved(&mut self, kind: &Kind, engines: &[String]) {
        self.server.kill();
        self.kind = kind.clone();
        self.extra.extend(engines.iter().cloned());
        self.server = Server::start(&self.flags());
    }

    /// `kill -9`, and a new process on the same data.
    pub fn crash_and_restart(&mut self) {
        self.server.kill();
        self.server = Server::start(&self.flags());
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.server.rest)
    }

    /// A REST call; the status and the JSON that came back.
    pub async fn call(
        &self,
        method: Method,
        path: &str,
        token: Option<&str>,
        body: Option<Value>,
    ) -> (StatusCode, Value) {
        let mut request = self.http.request(method, self.url(path));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.unwrap();
        let status = response.status();
        let bytes = response.bytes().await.unwrap();
        let json = serde_json::from_slice(&bytes)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).into_owned()));
        (status, json)
    }

    #[track_caller]
    pub fn get(&self, path: &str, token: Option<&str>) -> impl Future<Output = Value> {
        self.good(Method::GET, path, token, None)
    }

    #[track_caller]
    pub fn post(
        &self,
        path: &str,
        token: Option<&str>,
        body: Value,
    ) -> impl Future<Output = Value> {
        self.good(Method::POST, path, token, Some(body))
    }

    #[track_caller]
    fn good(
        &self,
        method: Method,
        path: &str,
        token: Option<&str>,
        body: Option<Value>,
    ) -> impl Future<Output = Value> {
        let caller = std::panic::Location::caller();
        let what = format!("{method} {path}");
        async move {
            let (status, json) = self.call(method, path, token, body).await;
            assert!(status.is_success(), "{caller}: {what}: {status}: {json}");
            json
        }
    }

    /// Registers and logs in; the access token.
    pub async fn player(&self, name: &str) -> String {
        let password = format!("a long password of {name}");
        self.post("/v1/users", None, json!({"username": name, "password": password})).await;
        self.log_in(name, &password).await
    }

    pub async fn log_in(&self, name: &str, password: &str) -> String {
        let body = json!({"identifier": name, "password": password});
        let session = self.post("/v1/sessions", None, body).await;
        session["accessToken"].as_str().unwrap().to_owned()
    }

    /// The administrator's password, from the file that the banner names.
    pub fn admin_password(&self) -> String {
        let text = std::fs::read_to_string(self.data().join("admin-password")).unwrap();
        text.trim().to_owned()
    }

    /// Waits until the sample problems are judged and published.
    pub async fn samples(&self) -> Vec<Value> {
        eventually("the sample problems are published", async || {
            let list = self.get("/v1/problems", None).await;
            let problems = list["problems"].as_array().cloned().unwrap_or_default();
            (problems.len() >= 3).then_some(problems)
        })
        .await
    }

    /// Submits and waits for the verdict; the submission.
    pub async fn judged(&self, token: &str, problem: &str, language: &str, source: &str) -> Value {
        let body = json!({"problemId": problem, "language": language, "source": source});
        let submission = self.post("/v1/submissions", Some(token), body).await;
        let id = submission["submissionId"].as_str().unwrap().to_owned();
        self.verdict(token, &id).await
    }

    pub async fn verdict(&self, token: &str, id: &str) -> Value {
        eventually("the submission is judged", async || {
            let submission = self.get(&format!("/v1/submissions/{id}"), Some(token)).await;
            let done = submission["state"] == "SUBMISSION_STATE_DONE";
            done.then_some(submission)
        })
        .await
    }

    /// Runs a command of the program against this world.
    pub fn agon(&self, arguments: &[&str]) -> Output {
        Command::new(AGON)
            .args(arguments)
            .env("AGON_HOME", self.dir.path().join("home"))
            .env("AGON_SERVER", &self.server.grpc)
            .env("AGON_DATA", self.data())
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.server.kill();
        if let Kind::Postgres(url) = &self.kind {
            let schemas: Vec<String> = ["auth", "problem", "judge", "challenge"]
                .map(|service| format!("{}{service}", self.prefix))
                .into();
            db::testing::drop_schemas(url, &schemas);
        }
    }
}

fn flags(kind: &Kind, prefix: &str, dir: &Path, extra: &[String]) -> Vec<String> {
    let data = dir.join("data").display().to_string();
    let mut flags: Vec<String> = ["--grpc", "--rest", "--admin"]
        .iter()
        .flat_map(|flag| [(*flag).to_owned(), "127.0.0.1:0".to_owned()])
        .collect();
    flags.extend(["--data".into(), data]);
    if let Kind::Postgres(url) = kind {
        flags.extend(["--database".into(), url.clone()]);
        flags.extend(["--set".into(), format!("database.schema_prefix={prefix}")]);
        flags.extend(["--set".into(), "database.read_connections=2".into()]);
        flags.extend(["--set".into(), "database.write_connections=3".into()]);
    }
    flags.extend(extra.iter().cloned());
    flags
}

impl Server {
    /// Starts and waits until it is ready.
    pub fn start(flags: &[String]) -> Self {
        Self::start_as(flags, |_| {})
    }

    pub fn start_as(flags: &[String], adjust: impl FnOnce(&mut Command)) -> Self {
        let start = Instant::now();
        let mut command = Command::new(AGON);
        command.arg("serve").args(flags).stdin(Stdio::null()).stdout(Stdio::piped());
        let log = tempfile::tempfile().unwrap();
        command.stderr(log.try_clone().unwrap());
        adjust(&mut command);
        let mut child = command.spawn().unwrap();
        let lines = lines_of(child.stdout.take().unwrap());
        let log = Log(log);
        let mut banner = String::new();
        while !banner.contains("Try:") {
            let left = PATIENCE.saturating_sub(start.elapsed());
            let Ok(line) = lines.recv_timeout(left) else {
                let _ = child.kill();
                panic!("the server does not get ready; it said: {banner}");
            };
            banner += &line;
        }
        let find = |name: &str| {
            let line = banner.lines().find(|line| line.trim_start().starts_with(name));
            let address = line.and_then(|line| line.split_whitespace().nth(1)).unwrap();
            format!("http://{}", address.trim_start_matches("http://"))
        };
        let (rest, grpc, admin) = (find("REST"), find("gRPC"), find("admin"));
        Self { child, rest, grpc, admin, banner, ready_after: start.elapsed(), _log: log }
    }

    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// SIGTERM, and how it ended.
    pub fn terminate(&mut self) -> ExitStatus {
        let id = self.child.id().to_string();
        Command::new("kill").args(["-TERM", &id]).status().unwrap();
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "the server does not stop");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The lines of a pipe; it is read to its end, so that the writer never blocks.
fn lines_of(pipe: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            // Nobody listens once the server is ready.
            let _ = send.send(line + "\n");
        }
    });
    receive
}

/// Waits until `probe` gives something.
pub async fn eventually<T>(what: &str, probe: impl AsyncFn() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = probe().await {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

pub fn text(output: &Output) -> String {
    let both = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    String::from_utf8_lossy(&both).into_owned()
}

#[track_caller]
pub fn succeeded(output: &Output) -> String {
    assert!(output.status.success(), "{:?}: {}", output.status, text(output));
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// True when a process was ended by a signal rather than by itself.
pub fn was_killed(status: ExitStatus) -> bool {
    status.signal().is_some()
}
