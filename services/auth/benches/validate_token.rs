//! ValidateToken with warm caches, compared with an empty unary RPC on the same server: calls per
//! second over gRPC on loopback, and their ratio.
//!
//! `cargo bench -p auth` prints the ratio after criterion's own figures, and then the CPU time per call
//! of a server in a process of its own, which writes the usual log lines. Both are measured in
//! alternating rounds, so that other load on the machine affects both kinds of calls.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use access::{Credentials, Layer, Policy, SigningKey};
use auth::{Auth, Config};
use cache::Cache;
use criterion::Criterion;
use db::testing::{Kind, TestDb};
use futures_util::future::join_all;
use ids::Clock;
use proto::auth as pb;
use proto::auth::session_service_client::SessionServiceClient;
use proto::auth::token_service_client::TokenServiceClient;
use proto::auth::user_service_client::UserServiceClient;
use rpc::{Channel, Local, Stack};
use service::Service as _;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tonic::Request;
use tonic::metadata::{Ascii, MetadataValue};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

/// Concurrent calls on one connection.
const CONCURRENCY: usize = 32;
const ROUNDS: usize = 40;
const ROUND: Duration = Duration::from_millis(150);
/// Set in the process that only serves.
const SERVER: &str = "AGON_BENCH_SERVER";

struct Server {
    url: String,
    /// Access token of the calling service.
    service: String,
    /// The token to validate.
    token: String,
    _db: TestDb,
}

struct Bench {
    health: HealthClient<Channel>,
    tokens: TokenServiceClient<Channel>,
    /// The credential of the calling service, parsed once, as services keep it.
    service: MetadataValue<Ascii>,
    token: String,
}

async fn serve() -> Server {
    let clock = Clock::system();
    let db = Kind::Sqlite.create(&Auth::DESCRIPTOR.migrations).await;
    let cache = Cache::memory(clock.clone());
    let context = service::testing::context(db.db(), cache.clone());
    let auth = Auth::open(Config::default(), context).await.unwrap();
    let layer = Layer::new(Policy::of_agon(), auth.verifier());
    let layer = layer.limited(access::Limits::default(), cache, rpc::Trusted::default());
    let (served, health) = Stack::new(proto::DESCRIPTOR_SET)
        .internal(Policy::is_internal)
        .build(auth.routes(), &layer);
    health.serving().await;
    let local = Local::new();
    local.set(served.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let tasks = runtime::Tasks::default();
    let shutdown = tasks.shutdown().wait();
    tasks.spawn("server", async move {
        rpc::serve(listener, served, rpc::Limits::default(), None, shutdown).await;
    });

    let key = SigningKey::generate();
    auth.ensure_service("bench", &key.public()).await.unwrap();
    let service = Credentials::new("bench", key, Channel::from(local.clone()), clock);
    let service = service.token().await.unwrap();
    let (username, password) = ("ada".to_owned(), "correct horse battery staple".to_owned());
    let request = pb::RegisterUserRequest {
        username: username.clone(),
        password: password.clone(),
        ..Default::default()
    };
    UserServiceClient::new(Channel::from(local.clone())).register_user(request).await.unwrap();
    let request = pb::CreateSessionRequest { identifier: username, password, ..Default::default() };
    let mut sessions = SessionServiceClient::new(Channel::from(local));
    let token = sessions.create_session(request).await.unwrap().into_inner().access_token;
    Server { url, service, token, _db: db }
}

impl Bench {
    fn new(url: &str, service: &str, token: &str) -> Self {
        let channel = Channel::connect(url).unwrap();
        Self {
            health: HealthClient::new(channel.clone()),
            tokens: TokenServiceClient::new(channel),
            service: format!("Bearer {service}").parse().unwrap(),
            token: token.to_owned(),
        }
    }

    async fn empty(&self) {
        let request = HealthCheckRequest { service: String::new() };
        self.health.clone().check(request).await.unwrap();
    }

    async fn validate(&self) {
        let request = pb::ValidateTokenRequest { token: self.token.clone(), ..Default::default() };
        let mut request = Request::new(request);
        request.metadata_mut().insert("authorization", self.service.clone());
        let answer = self.tokens.clone().validate_token(request).await;
        let result = answer.unwrap().into_inner().result;
        assert!(matches!(result, Some(pb::validate_token_response::Result::Principal(_))));
    }
}

/// Calls per second of [`CONCURRENCY`] concurrent loops.
async fn rate<F: Future<Output = ()>>(call: impl Fn() -> F) -> f64 {
    let (count, seconds) = round(call).await;
    count / seconds
}

/// The number of calls in a round, and its duration in seconds.
async fn round<F: Future<Output = ()>>(call: impl Fn() -> F) -> (f64, f64) {
    let started = Instant::now();
    let loops = (0..CONCURRENCY).map(|_| async {
        let mut count = 0_u32;
        while started.elapsed() < ROUND {
            call().await;
            count += 1;
        }
        f64::from(count)
    });
    let count: f64 = join_all(loops).await.into_iter().sum();
    (count, started.elapsed().as_secs_f64())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

async fn ratio(bench: &Bench) {
    let (mut empty, mut validate, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let (one, other) = (rate(|| bench.empty()).await, rate(|| bench.validate()).await);
        empty.push(one);
        validate.push(other);
        ratios.push(other / one);
    }
    println!(
        "empty unary RPC {:.0}/s, ValidateToken {:.0}/s, ratio {:.3} (medians of {ROUNDS} rounds)",
        median(empty),
        median(validate),
        median(ratios),
    );
}

/// Serves until standard input ends; the first lines of standard output say where.
async fn serve_alone() {
    runtime::logs::install(runtime::logs::Format::Json, "info", None).unwrap();
    let Server { url, service, token, _db } = serve().await;
    println!("{url}\n{service}\n{token}");
    let ended = || std::io::stdin().lines().count();
    tokio::task::spawn_blocking(ended).await.unwrap();
}

/// Measures the CPU time per call of a server without its clients.
async fn server_cpu() {
    let mut server = Command::new(std::env::current_exe().unwrap());
    server.env(SERVER, "1").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut server = server.spawn().unwrap();
    let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
    let mut line = || lines.next().unwrap().unwrap();
    let bench = Bench::new(&line(), &line(), &line());
    let (mut empty, mut validate) = ((0.0, 0.0), (0.0, 0.0));
    let add = |sum: &mut (f64, f64), count, cpu| *sum = (sum.0 + count, sum.1 + cpu);
    // The first round warms caches and connections up.
    for measured in 0..=ROUNDS {
        let start = cpu_seconds(server.id());
        let (empty_count, _) = round(|| bench.empty()).await;
        let middle = cpu_seconds(server.id());
        let (validate_count, _) = round(|| bench.validate()).await;
        let end = cpu_seconds(server.id());
        if measured > 0 {
            add(&mut empty, empty_count, middle - start);
            add(&mut validate, validate_count, end - middle);
        }
    }
    drop(server.stdin.take());
    server.wait().unwrap();
    let micros = |(count, cpu): (f64, f64)| cpu * 1e6 / count;
    let (empty, validate) = (micros(empty), micros(validate));
    println!(
        "CPU time of the server: empty unary RPC {empty:.1} us, ValidateToken {validate:.1} us, \
         ratio {:.2}",
        validate / empty
    );
}

/// User and system time of a process.
fn cpu_seconds(process: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let fields = stat.rsplit_once(')').unwrap().1.split_ascii_whitespace().skip(11).take(2);
    // Linux reports both in hundredths of a second.
    fields.map(|ticks| ticks.parse::<f64>().unwrap() / 100.0).sum()
}

fn main() {
    let runtime = Runtime::new().unwrap();
    if std::env::var_os(SERVER).is_some() {
        return runtime.block_on(serve_alone());
    }
    let server = runtime.block_on(serve());
    let bench = runtime.block_on(async { Bench::new(&server.url, &server.service, &server.token) });
    let mut criterion = Criterion::default().configure_from_args();
    criterion.bench_function("empty unary RPC", |b| b.to_async(&runtime).iter(|| bench.empty()));
    criterion.bench_function("ValidateToken", |b| b.to_async(&runtime).iter(|| bench.validate()));
    criterion.final_summary();
    runtime.block_on(ratio(&bench));
    runtime.block_on(server_cpu());
}
