//! The REST client of the benchmarks, and measurements of processes.

use std::process::{Child, Command};
use std::time::{Duration, Instant};

use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};

const SOURCE: &str = "#include <stdio.h>\nint main(void) { return 0; }\n";

/// A client of one REST listener.
pub struct Rest {
    pub http: Client,
    /// `http://HOST:PORT` of the REST listener.
    pub url: String,
    /// The metrics of the process with the role worker.
    pub metrics: String,
}

impl Rest {
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    /// Registers a user; returns an access token.
    pub async fn register(&self) -> String {
        let password = "a rather long passphrase 42";
        let user = json!({ "username": "bench", "password": password });
        json_of(self.http.post(self.url("/v1/users")).json(&user)).await;
        let login = json!({ "identifier": "bench", "password": password });
        let session = json_of(self.http.post(self.url("/v1/sessions")).json(&login)).await;
        session["accessToken"].as_str().expect("an access token").to_owned()
    }

    /// Waits until `count` sample problems are verified and published; returns the slug of the first one.
    pub async fn sample(&self, count: usize) -> Option<String> {
        for _ in 0..480 {
            let list = json_of(self.http.get(self.url("/v1/problems"))).await;
            if list["problems"].as_array().is_some_and(|problems| problems.len() >= count) {
                return list["problems"][0]["slug"].as_str().map(str::to_owned);
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        println!("skipped: no sample problem is published, so judging does not work here");
        None
    }

    /// The times from POST to verdict without compile and run time, sorted. The first rounds only fill caches.
    pub async fn post_to_verdict(
        &self,
        problem: &str,
        token: &str,
        warm_up: usize,
        rounds: usize,
    ) -> Vec<Duration> {
        let mut times = Vec::new();
        for round in 0..warm_up + rounds {
            let before = self.busy().await;
            let start = Instant::now();
            self.judge(problem, token).await;
            let took = start.elapsed();
            let busy = self.busy().await - before;
            if round >= warm_up {
                times.push(took.saturating_sub(Duration::from_secs_f64(busy)));
            }
        }
        times.sort();
        times
    }

    /// Submits a short program and waits for its verdict.
    pub async fn judge(&self, problem: &str, token: &str) {
        let request = json!({ "problemId": problem, "language": "c17", "source": SOURCE });
        let post = self.http.post(self.url("/v1/submissions")).bearer_auth(token);
        let submission = json_of(post.json(&request)).await;
        let id = submission["submissionId"].as_str().unwrap_or_else(|| panic!("{submission}"));
        let watch = self.url(&format!("/v1/submissions/{id}:watch"));
        let watched = self.http.get(watch).bearer_auth(token).send().await.expect("a watch");
        watched.bytes().await.expect("the watch ends with the verdict");
    }

    /// Cumulative compile and run time of the worker, in seconds.
    async fn busy(&self) -> f64 {
        let answer = self.http.get(&self.metrics).send().await.expect("metrics");
        let text = answer.text().await.expect("metrics");
        let samples = text.lines().filter(|line| line.starts_with("agon_judge_busy_seconds"));
        samples.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }
}

pub async fn json_of(request: RequestBuilder) -> Value {
    request.send().await.expect("an answer").json().await.expect("JSON")
}

/// User and system time of a process.
pub fn cpu(child: &Child) -> Duration {
    let path = format!("/proc/{}/stat", child.id());
    let stat = std::fs::read_to_string(path).expect("the process runs");
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: u64 = fields.skip(11).take(2).filter_map(|n| n.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

/// Resident memory of a process in MiB.
pub fn resident_mib(child: &Child) -> f64 {
    let path = format!("/proc/{}/status", child.id());
    let status = std::fs::read_to_string(path).expect("the process runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib: Option<f64> = line.and_then(|text| text.split_whitespace().next()?.parse().ok());
    kib.unwrap_or(0.0) / 1024.0
}

/// Stops a process and waits for its end.
pub fn stop(child: &mut Child) {
    let _ = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
    let _ = child.wait();
}
