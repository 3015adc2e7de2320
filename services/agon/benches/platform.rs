//! Benchmark of the whole program: `cargo bench -p agon --bench platform`.
//!
//! Measures cold start on a used data directory, idle memory, POST to verdict without compile and run time, and the
//! CPU time of a REST request relative to the same gRPC call.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use proto::problem::GetProblemRequest;
use proto::problem::problem_service_client::ProblemServiceClient;
use serde_json::{Value, json};

const SOURCE: &str = "#include <stdio.h>\nint main(void) { return 0; }\n";

#[tokio::main]
async fn main() {
    let data = tempfile::tempdir().expect("a temporary directory");
    let http = reqwest::Client::new();

    let first = Server::start(data.path(), &http).await;
    let problem = first.first_problem(&http).await;
    let token = first.register(&http).await;
    first.stop().await;

    let mut starts = Vec::new();
    for _ in 0..10 {
        let server = Server::start(data.path(), &http).await;
        starts.push(server.ready_after);
        server.stop().await;
    }
    println!("cold start of a used data directory: {} ms (median of 10)", ms(median(&mut starts)));

    let server = Server::start(data.path(), &http).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    println!("idle resident memory: {:.1} MB", server.resident_kib() as f64 / 1024.0);
    if let Some(problem) = &problem {
        rest_against_grpc(&server, &http, problem).await;
        post_to_verdict(&server, &http, problem, &token).await;
    }
    server.stop().await;
}

/// Measures the time from the request to the end of the watch, without compile and run time of the judge.
async fn post_to_verdict(server: &Server, http: &reqwest::Client, problem: &str, token: &str) {
    let mut overheads = Vec::new();
    for round in 0..40 {
        let before = server.metric(http, "agon_judge_busy_seconds").await;
        let start = Instant::now();
        let request = json!({ "problemId": problem, "language": "c17", "source": SOURCE });
        let post = http.post(server.rest("/v1/submissions")).bearer_auth(token).json(&request);
        let submission: Value = json_of(post).await;
        let Some(id) = submission["submissionId"].as_str() else {
            println!("POST to verdict: skipped: {submission}");
            return;
        };
        let watch = server.rest(&format!("/v1/submissions/{id}:watch"));
        let watched = http.get(watch).bearer_auth(token).send().await.expect("a watch");
        watched.bytes().await.expect("the watch ends with the verdict");
        let took = start.elapsed();
        let busy = server.metric(http, "agon_judge_busy_seconds").await - before;
        // Ignore the first rounds, which fill caches.
        if round >= 10 {
            overheads.push(took.saturating_sub(Duration::from_secs_f64(busy)));
        }
    }
    println!(
        "POST to verdict without compile and run: {} ms (median of 30)",
        ms(median(&mut overheads))
    );
}

/// Compares the server's CPU time per call of REST and gRPC.
async fn rest_against_grpc(server: &Server, http: &reqwest::Client, problem: &str) {
    const CALLS: u32 = 2000;
    let url = server.rest(&format!("/v1/problems/{problem}"));
    let address = format!("http://127.0.0.1:{}", server.grpc_port);
    let mut grpc = ProblemServiceClient::connect(address).await.expect("the gRPC listener");
    let (mut rest_cpu, mut grpc_cpu) = (Vec::new(), Vec::new());
    for _ in 0..5 {
        let before = server.cpu();
        for _ in 0..CALLS {
            let answer = http.get(&url).send().await.expect("an answer");
            answer.bytes().await.expect("a body");
        }
        let middle = server.cpu();
        for _ in 0..CALLS {
            let request = GetProblemRequest { problem_id: problem.into() };
            grpc.get_problem(request).await.expect("an answer");
        }
        rest_cpu.push((middle - before) / CALLS);
        grpc_cpu.push((server.cpu() - middle) / CALLS);
    }
    let (rest, grpc) = (median(&mut rest_cpu), median(&mut grpc_cpu));
    let ratio = rest.as_secs_f64() / grpc.as_secs_f64();
    println!("CPU a GET: REST {rest:?}, gRPC {grpc:?}, ratio {ratio:.2} (median of 5 x {CALLS})");
}

struct Server {
    child: Child,
    rest_port: u16,
    grpc_port: u16,
    admin_port: u16,
    ready_after: Duration,
}

impl Server {
    async fn start(data: &Path, http: &reqwest::Client) -> Server {
        let [rest_port, grpc_port, admin_port] = free_ports();
        let start = Instant::now();
        let child = Command::new(env!("CARGO_BIN_EXE_agon"))
            .args(["serve", "--log", "warn"])
            .args(["--data".as_ref(), data.as_os_str()])
            .args(["--rest", &format!("127.0.0.1:{rest_port}")])
            .args(["--grpc", &format!("127.0.0.1:{grpc_port}")])
            .args(["--admin", &format!("127.0.0.1:{admin_port}")])
            .args(["--set", "challenge.submissions_per_hour=100000"])
            .stdout(Stdio::null())
            .spawn()
            .expect("the program starts");
        let ready = format!("http://127.0.0.1:{rest_port}/v1/problems");
        while http.get(&ready).send().await.is_err() {
            assert!(start.elapsed() < Duration::from_secs(60), "the program does not answer");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Server { child, rest_port, grpc_port, admin_port, ready_after: start.elapsed() }
    }

    fn rest(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.rest_port)
    }

    /// Waits until a sample problem is verified and published.
    async fn first_problem(&self, http: &reqwest::Client) -> Option<String> {
        for _ in 0..240 {
            let list: Value = json_of(http.get(self.rest("/v1/problems"))).await;
            if let Some(slug) = list["problems"][0]["slug"].as_str() {
                return Some(slug.to_owned());
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        println!(
            "skipped: no sample problem was published, so judging does not work on this machine"
        );
        None
    }

    async fn register(&self, http: &reqwest::Client) -> String {
        let password = "a rather long passphrase 42";
        let user = json!({ "username": "bench", "password": password });
        let _: Value = json_of(http.post(self.rest("/v1/users")).json(&user)).await;
        let login = json!({ "identifier": "bench", "password": password });
        let session: Value = json_of(http.post(self.rest("/v1/sessions")).json(&login)).await;
        session["accessToken"].as_str().expect("an access token").to_owned()
    }

    /// The sum of a counter over its labels.
    async fn metric(&self, http: &reqwest::Client, name: &str) -> f64 {
        let url = format!("http://127.0.0.1:{}/metrics", self.admin_port);
        let answer = http.get(url).send().await.expect("metrics");
        let text = answer.text().await.expect("metrics");
        let samples = text.lines().filter(|line| line.starts_with(name));
        samples.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }

    fn resident_kib(&self) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(path).expect("the program runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        line.and_then(|text| text.split_whitespace().next()?.parse().ok()).unwrap_or(0)
    }

    /// User and system time of the process.
    fn cpu(&self) -> Duration {
        let path = format!("/proc/{}/stat", self.child.id());
        let stat = std::fs::read_to_string(path).expect("the program runs");
        let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
        let ticks: u64 = fields.skip(11).take(2).filter_map(|n| n.parse::<u64>().ok()).sum();
        Duration::from_millis(ticks * 10)
    }

    async fn stop(mut self) {
        let pid = self.child.id().to_string();
        let _ = Command::new("kill").args(["-TERM", &pid]).status();
        while self.child.try_wait().expect("a child").is_none() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

async fn json_of(request: reqwest::RequestBuilder) -> Value {
    request.send().await.expect("an answer").json().await.expect("JSON")
}

fn free_ports() -> [u16; 3] {
    let listeners = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").expect("a free port"));
    listeners.map(|listener| listener.local_addr().expect("an address").port())
}

fn median(values: &mut [Duration]) -> Duration {
    values.sort();
    values[values.len() / 2]
}

fn ms(duration: Duration) -> String {
    format!("{:.1}", duration.as_secs_f64() * 1000.0)
}
