//! Benchmark of a distributed installation, one process per role, on the engines whose URLs are in the environment:
//! `deploy/engines/with.sh cargo bench -p agon --bench cluster`.
//!
//! Measures POST to verdict without compile and run time, requests per second through gateway and auth with one and
//! with two processes of each, and the cost of another idle process.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use futures_util::future::join_all;

#[path = "support/process.rs"]
mod process;

use process::Rest;

const SECRET: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const IDLE: Duration = Duration::from_secs(20);

#[tokio::main]
async fn main() {
    let names = ["POSTGRES", "KAFKA", "REDIS"];
    let urls = names.map(|name| std::env::var(format!("AGON_TEST_{name}")).unwrap_or_default());
    if urls.iter().any(String::is_empty) {
        println!(
            "skipped: set AGON_TEST_POSTGRES, AGON_TEST_KAFKA and AGON_TEST_REDIS to the engines' URLs"
        );
        return;
    }
    let dir = tempfile::tempdir().expect("a temporary directory");
    let http = reqwest::Client::new();
    let mut cluster = Cluster::new(dir.path(), &urls);
    for role in roles() {
        cluster.start(role, 1, &http).await;
    }
    let metrics = format!("http://127.0.0.1:{}/metrics", port("worker", 1, 2));
    let client = Rest { http: http.clone(), url: rest(1, ""), metrics };
    let token = client.register().await;
    if let Some(problem) = client.sample(3).await {
        // Wait for the start-up work of the worker, which would distort the results.
        tokio::time::sleep(Duration::from_secs(20)).await;
        let times = client.post_to_verdict(&problem, &token, 20, 40).await;
        let [median, p90] = [20, 36].map(|at: usize| times[at].as_secs_f64() * 1e3);
        println!(
            "POST to verdict without compile and run: {median:.1} ms (median of 40), {p90:.1} ms (90 %)"
        );
    }
    let one = cluster.rate(&http, &token, &[1]).await;
    for role in ["auth", "gateway"] {
        cluster.start(role, 2, &http).await;
    }
    let two = cluster.rate(&http, &token, &[1, 2]).await;
    println!(
        "GET /v1/users/me through gateway and auth: {one:.0}/s with one process each, {two:.0}/s with two, ratio {:.2}",
        two / one
    );
    cluster.idle(&http).await;
}

fn services() -> impl Iterator<Item = &'static str> {
    agon::services::ALL.iter().map(|service| service.name)
}

/// The roles in start order.
fn roles() -> impl Iterator<Item = &'static str> {
    services().chain(["gateway", "worker"])
}

struct Cluster<'a> {
    dir: &'a Path,
    urls: &'a [String; 3],
    name: String,
    processes: BTreeMap<(&'static str, u16), Child>,
}

/// The port of a process. Only one installation runs per machine.
fn port(role: &str, number: u16, what: u16) -> u16 {
    let at = roles().position(|known| known == role).expect("a role");
    22_000 + 100 * u16::try_from(at).expect("few roles") + 10 * number + what
}

fn rest(number: u16, path: &str) -> String {
    format!("http://127.0.0.1:{}{path}", port("gateway", number, 1))
}

impl<'a> Cluster<'a> {
    fn new(dir: &'a Path, urls: &'a [String; 3]) -> Self {
        let name = format!("b{}", std::process::id());
        Self { dir, urls, name, processes: BTreeMap::new() }
    }

    async fn start(&mut self, role: &'static str, number: u16, http: &reqwest::Client) {
        let [postgres, kafka, redis] = self.urls;
        let mut command = Command::new(env!("CARGO_BIN_EXE_agon"));
        command.args(["serve", "--log", "warn", "--roles", role]);
        command.args(["--database", postgres, "--events", kafka, "--cache", redis]);
        command.arg("--data").arg(self.dir.join(format!("{role}-{number}")));
        for (flag, what) in [("--grpc", 0), ("--rest", 1), ("--admin", 2)] {
            command.args([flag, &format!("127.0.0.1:{}", port(role, number, what))]);
        }
        let mut settings = vec![
            format!("database.schema_prefix={}_", self.name),
            format!("events.prefix={}-", self.name),
            format!("cache.prefix={}", self.name),
            format!("root_secret={SECRET}"),
            format!("problem.objects.url=file:{}", self.dir.join("objects").display()),
            "challenge.submissions_per_hour=0".to_owned(),
            "limits.read=0".to_owned(),
        ];
        for peer in services() {
            let url = |number| format!("http://127.0.0.1:{}", port(peer, number, 0));
            let urls: Vec<_> = match peer {
                "auth" => vec![url(1), url(2)],
                _ => vec![url(1)],
            };
            settings.push(format!("peers.{peer}={}", urls.join(",")));
        }
        for setting in settings {
            command.args(["--set", &setting]);
        }
        let child = command.stdout(Stdio::null()).spawn().expect("the program starts");
        self.processes.insert((role, number), child);
        let ready = format!("http://127.0.0.1:{}/readyz", port(role, number, 2));
        let start = Instant::now();
        loop {
            let answer = http.get(&ready).send().await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                return;
            }
            assert!(start.elapsed() < Duration::from_secs(60), "{role} does not get ready");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Requests per second through these gateways, median of seven rounds.
    async fn rate(&self, http: &reqwest::Client, token: &str, edges: &[u16]) -> f64 {
        let mut rates = Vec::new();
        for _ in 0..7 {
            let start = Instant::now();
            let loops = (0..32).map(|at| async move {
                let url = rest(edges[at % edges.len()], "/v1/users/me");
                let mut count = 0.0;
                while start.elapsed() < Duration::from_secs(2) {
                    let answer = http.get(&url).bearer_auth(token).send().await.expect("an answer");
                    assert!(answer.status().is_success(), "{}", answer.status());
                    answer.bytes().await.expect("a body");
                    count += 1.0;
                }
                count
            });
            let count: f64 = join_all(loops).await.into_iter().sum();
            rates.push(count / start.elapsed().as_secs_f64());
        }
        rates.sort_by(f64::total_cmp);
        rates[rates.len() / 2]
    }

    /// Measures machine and engines with and without another idle process of each role.
    async fn idle(&mut self, http: &reqwest::Client) {
        println!(
            "one more idle process   CPU %   memory MB   PostgreSQL transactions/s   Redis commands/s"
        );
        // Wait until earlier work has settled.
        tokio::time::sleep(IDLE).await;
        for role in roles() {
            let alone = self.engines().await;
            self.start(role, 3, http).await;
            tokio::time::sleep(Duration::from_secs(5)).await;
            let child = &self.processes[&(role, 3)];
            let before = process::cpu(child);
            let with = self.engines().await;
            let cpu = (process::cpu(child) - before).as_secs_f64() / IDLE.as_secs_f64() * 100.0;
            let memory = process::resident_mib(child);
            let [transactions, commands] = [0, 1].map(|at: usize| with[at] - alone[at]);
            println!("{role:20} {cpu:10.1} {memory:11.0} {transactions:27.1} {commands:18.1}");
            if let Some(mut child) = self.processes.remove(&(role, 3)) {
                process::stop(&mut child);
            }
        }
    }

    /// PostgreSQL transactions and Redis commands per second.
    async fn engines(&self) -> [f64; 2] {
        let before = self.counters();
        tokio::time::sleep(IDLE).await;
        let after = self.counters();
        [0, 1].map(|at: usize| (after[at] - before[at]) / IDLE.as_secs_f64())
    }

    fn counters(&self) -> [f64; 2] {
        let [postgres, _, redis] = self.urls;
        let query = "SELECT sum(xact_commit + xact_rollback) FROM pg_stat_database";
        let transactions = printed(Command::new("psql").args([postgres, "-Atc", query]));
        let stats = printed(Command::new("redis-cli").args(["-u", redis, "info", "stats"]));
        let commands =
            stats.lines().find_map(|line| line.strip_prefix("total_commands_processed:"));
        [transactions.as_str(), commands.unwrap_or("0")]
            .map(|text| text.trim().parse().unwrap_or(0.0))
    }
}

impl Drop for Cluster<'_> {
    fn drop(&mut self) {
        for child in self.processes.values_mut() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn printed(command: &mut Command) -> String {
    let output = command.output().expect("the engine's client is installed");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
