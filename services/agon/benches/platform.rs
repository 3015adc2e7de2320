//! Benchmark of the whole program: `cargo bench -p agon --bench platform`.
//!
//! Measures cold start on a used data directory, idle memory, POST to verdict without compile and run time, the CPU time
//! of a REST request relative to the same gRPC call, and submissions per second. With the argument `submissions` only the
//! latter; with `imports` the wait of a player beside heavy imports (`cargo bench -p agon --bench platform -- imports`).

use std::time::Duration;

use proto::problem::GetProblemRequest;
use proto::problem::problem_service_client::ProblemServiceClient;

#[path = "support/imports.rs"]
mod imports;
#[path = "support/process.rs"]
mod process;
#[path = "support/server.rs"]
mod server;
#[path = "support/submissions.rs"]
mod submissions;

use server::Server;

#[tokio::main]
async fn main() {
    let has = |wanted: &str| std::env::args().any(|argument| argument == wanted);
    if has("imports") {
        return imports::run().await;
    }
    if !has("submissions") {
        starts_and_calls().await;
    }
    submissions::run().await;
}

async fn starts_and_calls() {
    let data = tempfile::tempdir().expect("a temporary directory");
    let http = reqwest::Client::new();

    let first = Server::start(data.path(), &http, &[]).await;
    let rest = first.rest(&http);
    let problem = rest.sample(1).await;
    let token = rest.register().await;
    first.stop();

    let mut starts = Vec::new();
    for _ in 0..10 {
        let server = Server::start(data.path(), &http, &[]).await;
        starts.push(server.ready_after);
        server.stop();
    }
    println!("cold start of a used data directory: {} ms (median of 10)", ms(median(&mut starts)));

    let server = Server::start(data.path(), &http, &[]).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    println!("idle resident memory: {:.1} MB", process::resident_mib(&server.child));
    if let Some(problem) = &problem {
        rest_against_grpc(&server, &http, problem).await;
        let mut times = server.rest(&http).post_to_verdict(problem, &token, 10, 30).await;
        let median = ms(median(&mut times));
        println!("POST to verdict without compile and run: {median} ms (median of 30)");
    }
    server.stop();
}

/// Compares the server's CPU time per call of REST and gRPC.
async fn rest_against_grpc(server: &Server, http: &reqwest::Client, problem: &str) {
    const CALLS: u32 = 2000;
    let url = format!("http://127.0.0.1:{}/v1/problems/{problem}", server.rest_port);
    let address = format!("http://127.0.0.1:{}", server.grpc_port);
    let mut grpc = ProblemServiceClient::connect(address).await.expect("the gRPC listener");
    let (mut rest_cpu, mut grpc_cpu) = (Vec::new(), Vec::new());
    for _ in 0..5 {
        let before = process::cpu(&server.child);
        for _ in 0..CALLS {
            let answer = http.get(&url).send().await.expect("an answer");
            answer.bytes().await.expect("a body");
        }
        let middle = process::cpu(&server.child);
        for _ in 0..CALLS {
            let request = GetProblemRequest { problem_id: problem.into() };
            grpc.get_problem(request).await.expect("an answer");
        }
        rest_cpu.push((middle - before) / CALLS);
        grpc_cpu.push((process::cpu(&server.child) - middle) / CALLS);
    }
    let (rest, grpc) = (median(&mut rest_cpu), median(&mut grpc_cpu));
    let ratio = rest.as_secs_f64() / grpc.as_secs_f64();
    println!("CPU a GET: REST {rest:?}, gRPC {grpc:?}, ratio {ratio:.2} (median of 5 x {CALLS})");
}

fn median(values: &mut [Duration]) -> Duration {
    values.sort();
    values[values.len() / 2]
}

fn ms(duration: Duration) -> String {
    format!("{:.1}", duration.as_secs_f64() * 1000.0)
}
