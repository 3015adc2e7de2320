//! A running installation and its clients.

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use db::testing::{Kind, kinds};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::cluster::{self, Cluster, Member};
pub use crate::server::Server;

pub const AGON: &str = env!("CARGO_BIN_EXE_agon");

/// Timeout of everything that tests wait for. Generous, because tests share few cores.
pub const TIMEOUT: Duration = Duration::from_secs(240);

/// Disables languages, because the test of each takes seconds.
const FEW_LANGUAGES: &str = "java.enabled = false\njavascript.enabled = false\nrust.enabled = false\n\
    pypy3.enabled = false\n";

/// The problem of the tests: read two numbers, print their sum.
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

/// One installation: a data directory, a database and one or several processes.
pub struct World {
    pub dir: tempfile::TempDir,
    pub setup: Setup,
    pub prefix: String,
    pub extra: Vec<String>,
    /// The process that clients call.
    pub server: Server,
    /// The other processes of a distributed installation.
    pub others: Vec<Member>,
    cluster: Option<Cluster>,
    pub http: reqwest::Client,
}

/// The engines of an installation.
#[derive(Clone)]
pub struct Setup {
    pub kind: Kind,
    /// Flags that select the other engines.
    pub engines: Vec<String>,
    /// Whether every role has its own processes.
    pub distributed: bool,
}

impl From<&Kind> for Setup {
    fn from(kind: &Kind) -> Self {
        Self { kind: kind.clone(), engines: Vec::new(), distributed: false }
    }
}

impl World {
    /// A new installation with default settings.
    pub fn new(setup: impl Into<Setup>) -> Self {
        Self::with(setup, &[])
    }

    /// An installation without worker, which starts fast.
    pub fn idle(setup: impl Into<Setup>) -> Self {
        let roles: Vec<_> = cluster::services().chain(["gateway"]).collect();
        let roles = format!("roles={}", roles.join(","));
        Self::with(setup, &["--set", "samples.import=false", "--set", &roles])
    }

    /// An installation with few languages and one imported problem, [`PROBLEM`].
    pub fn small(setup: impl Into<Setup>, extra: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let languages = dir.path().join("languages.toml");
        std::fs::write(&languages, FEW_LANGUAGES).unwrap();
        let languages = format!("judge.languages={}", languages.display());
        let mut flags = vec!["--set", "samples.import=false", "--set", &languages];
        flags.extend(extra);
        let world = Self::in_dir(dir, setup.into(), &flags);
        world.log_in_admin();
        let package = world.package("sum");
        let output =
            world.agon(&["problem", "import", &package, "--problem", PROBLEM, "--publish"]);
        let output = succeeded(&output);
        assert!(output.contains("is published"), "{output}");
        world
    }

    /// Flags for Kafka, Redis and S3 with unique names. `None` if the engines are not configured and tests that need
    /// them are skipped.
    pub fn engines() -> Option<Vec<String>> {
        let of = |name: &str| std::env::var(name).ok().filter(|url| !url.is_empty());
        let urls = ["AGON_TEST_KAFKA", "AGON_TEST_REDIS", "AGON_TEST_S3"].map(of);
        let [Some(kafka), Some(redis), Some(s3)] = urls else {
            let required = std::env::var("AGON_TEST_REQUIRE_ENGINES").is_ok_and(|v| v == "1");
            assert!(!required, "AGON_TEST_REQUIRE_ENGINES=1, but an engine's URL is not set");
            eprintln!("skipped: Kafka, Redis or S3 is not configured");
            return None;
        };
        let name = ids::Clock::system().new_id().simple().to_string();
        let mut flags: Vec<String> =
            ["--events", &kafka, "--cache", &redis].map(str::to_owned).into();
        let names = [format!("events.prefix=t{name}-"), format!("cache.prefix=t{name}")];
        flags.extend(names.into_iter().flat_map(|setting| ["--set".to_owned(), setting]));
        flags.extend(object_store(&s3)?);
        Some(flags)
    }

    /// Flags for the object store. `None` as for [`World::engines`].
    pub fn object_store() -> Option<Vec<String>> {
        Self::engines()?;
        object_store(&std::env::var("AGON_TEST_S3").ok()?)
    }

    /// All setups: one process on each database, one process on all engines, and distributed on all engines.
    pub fn setups() -> Vec<Setup> {
        let mut setups: Vec<_> = kinds().iter().map(Setup::from).collect();
        let postgres = kinds().into_iter().find(|kind| matches!(kind, Kind::Postgres(_)));
        for distributed in [false, true] {
            let kind = postgres.clone();
            setups.extend(kind.zip(Self::engines()).map(|(kind, engines)| Setup {
                kind,
                engines,
                distributed,
            }));
        }
        setups
    }

    /// Writes the package of [`PROBLEM`]. Returns its folder.
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
    pub fn log_in_admin(&self) {
        let file = self.data().join("admin-password").display().to_string();
        succeeded(&self.agon(&["login", "admin", "--password-file", &file]));
    }

    /// A new installation with additional flags.
    pub fn with(setup: impl Into<Setup>, extra: &[&str]) -> Self {
        Self::in_dir(tempfile::tempdir().unwrap(), setup.into(), extra)
    }

    fn in_dir(dir: tempfile::TempDir, setup: Setup, extra: &[&str]) -> Self {
        let id = ids::Clock::system().new_id().simple().to_string();
        let prefix = format!("t_agon_{}_", &id[20..]);
        let mut extra: Vec<String> = extra.iter().map(|flag| (*flag).to_owned()).collect();
        let http = reqwest::Client::builder().timeout(TIMEOUT).build().unwrap();
        let Setup { kind, engines, distributed } = &setup;
        let mut cluster = None;
        let (server, others) = if *distributed {
            let cluster = cluster.insert(Cluster::new(kind, &prefix, dir.path(), engines, &extra));
            let mut members = cluster.start();
            let edge = members.iter().position(|member| member.role == "gateway").unwrap();
            (members.remove(edge).server, members)
        } else {
            extra.extend(engines.iter().cloned());
            (Server::start(&flags(kind, &prefix, dir.path(), &extra)), Vec::new())
        };
        Self { dir, setup, prefix, extra, server, others, cluster, http }
    }

    /// Starts another process of a role of a distributed installation.
    pub fn one_more(&self, role: &'static str) -> Member {
        self.cluster.as_ref().unwrap().member(role, 3)
    }

    pub fn flags(&self) -> Vec<String> {
        flags(&self.setup.kind, &self.prefix, self.dir.path(), &self.extra)
    }

    /// The data directory with the administrator's password. In a distributed installation it is that of auth.
    pub fn data(&self) -> PathBuf {
        let names = ["data", "auth-1", "auth-2"].map(|name| self.dir.path().join(name));
        let has = |path: &&PathBuf| path.join("admin-password").exists();
        names.iter().find(has).unwrap_or(&names[0]).clone()
    }

    /// The arguments that promote this installation to PostgreSQL and `engines`.
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

    pub fn start_promoted(&mut self, kind: &Kind, engines: &[String]) {
        self.server.kill();
        self.setup = Setup::from(kind);
        self.extra.extend(engines.iter().cloned());
        self.server = Server::start(&self.flags());
    }

    /// Kills the process and starts a new one on the same data.
    pub fn crash_and_restart(&mut self) {
        self.server.kill();
        self.server = Server::start(&self.flags());
    }

    /// The readiness report; `None` if it is not JSON.
    pub async fn readiness(&self) -> Option<Value> {
        let url = format!("{}/readyz", self.server.admin);
        self.http.get(url).send().await.unwrap().json().await.ok()
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.server.rest)
    }

    /// Makes a REST call. A body that is not JSON is returned as a string.
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

    /// Registers and logs in. Returns the access token.
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

    /// Submits and waits for the verdict. Returns the submission.
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
        self.command(arguments).output().unwrap()
    }

    /// A command of the program against this world.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(AGON);
        command
            .args(arguments)
            .env("AGON_HOME", self.dir.path().join("home"))
            .env("AGON_SERVER", &self.server.grpc)
            .env("AGON_DATA", self.data());
        if self.setup.distributed {
            command.env("AGON_ROOT_SECRET", cluster::secret());
        }
        command.stdin(Stdio::null());
        command
    }

    /// Runs a command that needs no server. Returns its output.
    pub fn run(arguments: &[&str]) -> String {
        succeeded(&Command::new(AGON).args(arguments).stdin(Stdio::null()).output().unwrap())
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.server.kill();
        self.others.iter_mut().for_each(|member| member.server.kill());
        if let Kind::Postgres(url) = &self.setup.kind {
            let schemas: Vec<String> =
                cluster::services().map(|service| format!("{}{service}", self.prefix)).collect();
            db::testing::drop_schemas(url, &schemas);
        }
    }
}

/// `s3` is http://ACCESS:SECRET@HOST:PORT/BUCKET.
fn object_store(s3: &str) -> Option<Vec<String>> {
    let (account, location) = s3.strip_prefix("http://")?.split_once('@')?;
    let ((access, secret), (host, bucket)) = (account.split_once(':')?, location.split_once('/')?);
    let name = ids::Clock::system().new_id().simple().to_string();
    let settings = [
        "events.partitions=3".to_owned(),
        format!("problem.objects.url=s3://{bucket}/{name}"),
        format!("problem.objects.endpoint=http://{host}"),
        format!("problem.objects.access_key={access}"),
        format!("problem.objects.secret_key={secret}"),
        "problem.objects.allow_http=true".to_owned(),
    ];
    Some(settings.into_iter().flat_map(|setting| ["--set".to_owned(), setting]).collect())
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
    }
    flags.extend(extra.iter().cloned());
    flags
}

/// Waits until `probe` returns a value, with [`TIMEOUT`].
pub async fn eventually<T>(what: &str, probe: impl AsyncFn() -> Option<T>) -> T {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        if let Some(found) = probe().await {
            return found;
        }
        assert!(Instant::now() < deadline, "timed out waiting until {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

pub fn text(output: &Output) -> String {
    let both = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    String::from_utf8_lossy(&both).into_owned()
}

/// Asserts the exit code of a command that failed, and that its output contains the text.
#[track_caller]
pub fn failed(output: &Output, code: i32, expected: &str) {
    let text = text(output);
    assert_eq!(output.status.code(), Some(code), "{text}");
    assert!(text.contains(expected), "{expected:?} is not in {text}");
}

#[track_caller]
pub fn succeeded(output: &Output) -> String {
    assert!(output.status.success(), "{:?}: {}", output.status, text(output));
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub fn ended_by_signal(status: ExitStatus) -> bool {
    status.signal().is_some()
}
