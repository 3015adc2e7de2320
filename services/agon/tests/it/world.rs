//! A running agon, and what a client needs to talk to it.

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use db::testing::{Kind, kinds};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::cluster::{self, Cluster, Member};
pub use crate::server::Server;

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
    pub place: Place,
    pub prefix: String,
    pub extra: Vec<String>,
    /// The process that clients talk to.
    pub server: Server,
    /// The other processes, where the roles are apart.
    pub others: Vec<Member>,
    cluster: Option<Cluster>,
    pub http: reqwest::Client,
}

/// Where an installation can be.
#[derive(Clone)]
pub struct Place {
    pub kind: Kind,
    /// What makes it use the other engines.
    pub engines: Vec<String>,
    /// Whether every role is in processes of its own.
    pub apart: bool,
}

impl From<&Kind> for Place {
    fn from(kind: &Kind) -> Self {
        Self { kind: kind.clone(), engines: Vec::new(), apart: false }
    }
}

impl World {
    /// A new installation on one kind of database, as it comes.
    pub fn new(place: impl Into<Place>) -> Self {
        Self::with(place, &[])
    }

    /// One that judges nothing, and so starts at once.
    pub fn idle(place: impl Into<Place>) -> Self {
        Self::with(
            place,
            &[
                "--set",
                "samples.import=false",
                "--set",
                "roles=auth,problem,challenge,judge,gateway",
            ],
        )
    }

    /// One with few languages and one problem, [`PROBLEM`], which the administrator imports.
    pub fn small(place: impl Into<Place>, extra: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let languages = dir.path().join("languages.toml");
        std::fs::write(&languages, FEW_LANGUAGES).unwrap();
        let languages = format!("judge.languages={}", languages.display());
        let mut flags = vec!["--set", "samples.import=false", "--set", &languages];
        flags.extend(extra);
        let world = Self::in_dir(dir, place.into(), &flags);
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
        let name = ids::Clock::system().new_id().simple().to_string();
        let mut flags: Vec<String> =
            ["--events", &kafka, "--cache", &redis].map(str::to_owned).into();
        let names = [format!("events.prefix=t{name}-"), format!("cache.prefix=t{name}")];
        flags.extend(names.into_iter().flat_map(|setting| ["--set".to_owned(), setting]));
        flags.extend(object_store(&s3)?);
        Some(flags)
    }

    /// What makes an installation keep its objects in the object store; nothing where these tests may be skipped.
    pub fn object_store() -> Option<Vec<String>> {
        Self::engines()?;
        object_store(&std::env::var("AGON_TEST_S3").ok()?)
    }

    /// Where an installation can be: in one process, on each kind of database by itself and on PostgreSQL with all
    /// the other engines; and on these with every role apart.
    pub fn places() -> Vec<Place> {
        let mut places: Vec<_> = kinds().iter().map(Place::from).collect();
        let postgres = kinds().into_iter().find(|kind| matches!(kind, Kind::Postgres(_)));
        for apart in [false, true] {
            let kind = postgres.clone();
            places.extend(kind.zip(Self::engines()).map(|(kind, engines)| Place {
                kind,
                engines,
                apart,
            }));
        }
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
    pub fn with(place: impl Into<Place>, extra: &[&str]) -> Self {
        Self::in_dir(tempfile::tempdir().unwrap(), place.into(), extra)
    }

    fn in_dir(dir: tempfile::TempDir, place: Place, extra: &[&str]) -> Self {
        let id = ids::Clock::system().new_id().simple().to_string();
        let prefix = format!("t_agon_{}_", &id[20..]);
        let mut extra: Vec<String> = extra.iter().map(|flag| (*flag).to_owned()).collect();
        let http = reqwest::Client::builder().timeout(PATIENCE).build().unwrap();
        let Place { kind, engines, apart } = &place;
        let mut cluster = None;
        let (server, others) = if *apart {
            let cluster = cluster.insert(Cluster::new(kind, &prefix, dir.path(), engines, &extra));
            let mut members = cluster.start();
            let edge = members.iter().position(|member| member.role == "gateway").unwrap();
            (members.remove(edge).server, members)
        } else {
            extra.extend(engines.iter().cloned());
            (Server::start(&flags(kind, &prefix, dir.path(), &extra)), Vec::new())
        };
        Self { dir, place, prefix, extra, server, others, cluster, http }
    }

    /// Starts one more process of a role, where the roles are apart.
    pub fn one_more(&self, role: &'static str) -> Member {
        self.cluster.as_ref().unwrap().member(role, 3)
    }

    /// What the only process is started with.
    pub fn flags(&self) -> Vec<String> {
        flags(&self.place.kind, &self.prefix, self.dir.path(), &self.extra)
    }

    /// The data directory, of auth where the roles are apart: the one that made the administrator.
    pub fn data(&self) -> PathBuf {
        let names = ["data", "auth-1", "auth-2"].map(|name| self.dir.path().join(name));
        let has = |path: &&PathBuf| path.join("admin-password").exists();
        names.iter().find(has).unwrap_or(&names[0]).clone()
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
        self.place = Place::from(kind);
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
        let mut command = Command::new(AGON);
        command
            .args(arguments)
            .env("AGON_HOME", self.dir.path().join("home"))
            .env("AGON_SERVER", &self.server.grpc)
            .env("AGON_DATA", self.data());
        if self.place.apart {
            command.env("AGON_ROOT_SECRET", cluster::secret());
        }
        command.stdin(Stdio::null()).output().unwrap()
    }

    /// Runs a command that needs no server; what it printed.
    pub fn run(arguments: &[&str]) -> String {
        succeeded(&Command::new(AGON).args(arguments).stdin(Stdio::null()).output().unwrap())
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.server.kill();
        self.others.iter_mut().for_each(|member| member.server.kill());
        if let Kind::Postgres(url) = &self.place.kind {
            let schemas: Vec<String> = ["auth", "problem", "judge", "challenge"]
                .map(|service| format!("{}{service}", self.prefix))
                .into();
            db::testing::drop_schemas(url, &schemas);
        }
    }
}

/// `s3`: http://ACCESS:SECRET@HOST:PORT/BUCKET
fn object_store(s3: &str) -> Option<Vec<String>> {
    let (account, place) = s3.strip_prefix("http://")?.split_once('@')?;
    let ((access, secret), (host, bucket)) = (account.split_once(':')?, place.split_once('/')?);
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
        flags.extend(["--set".into(), "database.read_connections=2".into()]);
        flags.extend(["--set".into(), "database.write_connections=3".into()]);
    }
    flags.extend(extra.iter().cloned());
    flags
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
