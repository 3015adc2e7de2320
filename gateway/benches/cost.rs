//! CPU time that the gateway alone spends on a request: `cargo bench -p gateway --bench cost 2>/dev/null`.
//!
//! Requests arrive by HTTP/1.1 and are answered by an HTTP/2 server in other threads of this process. Logs and metrics
//! are those of production; the log lines are written to standard error.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::mpsc;
use std::time::Duration;

use bytes::Bytes;
use gateway::{Config, Gateway};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use proto::problem::{GetProblemResponse, ListProblemsResponse};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use transcode::Plan;

const CONNECTIONS: usize = 16;
const REQUESTS: usize = 1000;
const ROUNDS: usize = 7;
/// The threads of the gateway have this name.
const EDGE: &str = "edge";

fn main() {
    runtime::logs::install(runtime::logs::Format::Json, "info", None).expect("a valid filter");
    let _metrics = runtime::metrics::Metrics::install();
    let upstream = on_own_threads("upstream", serve_upstream);
    let edge = on_own_threads(EDGE, move |listener| serve_edge(listener, upstream));
    let client = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let client = client.expect("a runtime");
    for (name, path) in [
        ("GET of a problem", "/v1/problems/p1"),
        ("list of 50 problems", "/v1/problems?pageSize=50"),
    ] {
        let round = || {
            let before = cpu(EDGE);
            let size = client.block_on(requests(edge, path));
            ((cpu(EDGE) - before) / (CONNECTIONS * REQUESTS) as u32, size)
        };
        let mut times: Vec<(Duration, usize)> = (0..ROUNDS).map(|_| round()).collect();
        times.sort();
        let ((best, size), (median, _)) = (times[0], times[ROUNDS / 2]);
        println!("{name} ({size} bytes): {median:.1?} CPU (median of {ROUNDS}), best {best:.1?}");
    }
}

/// Starts a server on a new runtime, whose threads have this name.
fn on_own_threads<F: Future<Output = ()> + Send>(
    name: &'static str,
    serve: impl FnOnce(TcpListener) -> F + Send + 'static,
) -> SocketAddr {
    let (send, address) = mpsc::channel();
    let builder = std::thread::Builder::new().name(name.to_owned());
    let run = move || {
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(2).thread_name(name).enable_all().build();
        runtime.expect("a runtime").block_on(async move {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
            send.send(listener.local_addr().expect("an address")).expect("a receiver");
            serve(listener).await;
        });
    };
    builder.spawn(run).expect("a thread");
    address.recv().expect("the server starts")
}

async fn serve_edge(listener: TcpListener, upstream: SocketAddr) {
    let plan = Plan::new(proto::DESCRIPTOR_SET).expect("valid descriptors");
    let peer = rpc::Peer { urls: vec![format!("http://{upstream}")], ..rpc::Peer::default() };
    let methods = rpc::Methods::new(&[proto::DESCRIPTOR_SET]);
    let channel = rpc::Channel::connect_all("problem", &peer, &methods).expect("a valid URL");
    let trusted = rpc::Trusted::default();
    let gateway = Gateway::open(Config::default(), plan, channel, trusted, None);
    let gateway = gateway.expect("a valid configuration");
    gateway::serve(listener, gateway, Duration::ZERO, std::future::pending()).await;
}

/// Answers every call with the same messages.
async fn serve_upstream(listener: TcpListener) {
    let plan = Plan::new(proto::DESCRIPTOR_SET).expect("valid descriptors");
    let one = json!({"problem": problem(1)});
    let one = framed::<GetProblemResponse>(&plan, "GetProblemResponse", &one);
    let problems: Vec<Value> = (0..50).map(problem).collect();
    let list = json!({"problems": problems, "nextPageToken": "0123456789abcdef"});
    let list = framed::<ListProblemsResponse>(&plan, "ListProblemsResponse", &list);
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        stream.set_nodelay(true).expect("a TCP connection");
        let (one, list) = (one.clone(), list.clone());
        let answer = move |request: Request<Incoming>| {
            let is_list = request.uri().path().ends_with("/ListProblems");
            let message = if is_list { list.clone() } else { one.clone() };
            async move {
                request.into_body().collect().await.expect("a request");
                Ok::<_, Infallible>(grpc(message))
            }
        };
        let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        connections.spawn(server.serve_connection(TokioIo::new(stream), service_fn(answer)));
    }
}

/// The message as a service encodes it, behind its length.
fn framed<M: prost::Message + Default>(plan: &Plan, name: &str, json: &Value) -> Bytes {
    let name = format!("agon.problem.v1.{name}");
    let message = plan.json_to_wire(&name, json.to_string().as_bytes());
    let message = message.unwrap_or_else(|error| panic!("{error}"));
    let message = M::decode(&message[..]).expect("a valid message").encode_to_vec();
    let mut framed = vec![0];
    framed.extend_from_slice(&(message.len() as u32).to_be_bytes());
    framed.extend_from_slice(&message);
    framed.into()
}

fn grpc(
    message: Bytes,
) -> Response<impl http_body::Body<Data = Bytes, Error = Infallible> + Send + 'static> {
    let trailers = HeaderMap::from_iter([(
        http::HeaderName::from_static("grpc-status"),
        HeaderValue::from_static("0"),
    )]);
    let body = Full::new(message).with_trailers(async { Some(Ok(trailers)) });
    let mut response = Response::new(body);
    let media = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert(http::header::CONTENT_TYPE, media);
    response
}

fn problem(n: usize) -> Value {
    json!({
        "problemId": format!("01890a5d-ac96-774b-bcce-b302099a80{:02x}", n),
        "slug": format!("paper-lanterns-{n}"),
        "title": format!("Paper Lanterns {n}"),
        "visibility": "VISIBILITY_PUBLIC",
        "tags": ["graphs", "shortest-paths"],
        "difficulty": 1500 + n,
        "ownerId": "01890a5d-ac96-774b-bcce-b302099a8057",
        "authors": ["Ada Lovelace"],
        "publishedVersion": "3",
        "limits": {
            "timeLimit": "1.500s",
            "memoryLimitBytes": "268435456",
            "outputLimitBytes": "8388608",
            "sourceLimitBytes": "131072",
            "compileTimeLimit": "30s",
            "compileMemoryLimitBytes": "1073741824",
        },
        "statementLanguages": ["en", "de"],
        "createTime": "2026-01-31T09:30:00.250Z",
        "updateTime": "2026-02-28T10:45:15.123456Z",
        "etag": "0123456789abcdef",
    })
}

/// Sends the request `REQUESTS` times on each of `CONNECTIONS` connections; returns the size of a body.
async fn requests(edge: SocketAddr, path: &str) -> usize {
    let head = format!("GET {path} HTTP/1.1\r\nhost: {edge}\r\nuser-agent: bench\r\n\r\n");
    let mut connections = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let head = head.clone();
        connections.spawn(async move {
            let mut stream = BufReader::new(TcpStream::connect(edge).await.expect("a listener"));
            let mut size = 0;
            for _ in 0..REQUESTS {
                stream.get_mut().write_all(head.as_bytes()).await.expect("a connection");
                size = response(&mut stream).await;
            }
            size
        });
    }
    connections.join_all().await[0]
}

/// Reads a response with status 200.
async fn response(stream: &mut BufReader<TcpStream>) -> usize {
    let (mut line, mut length) = (String::new(), 0);
    stream.read_line(&mut line).await.expect("a status line");
    assert!(line.starts_with("HTTP/1.1 200"), "{line}");
    while line != "\r\n" {
        line.clear();
        stream.read_line(&mut line).await.expect("a header");
        if let Some(value) = line.strip_prefix("content-length: ") {
            length = value.trim().parse().expect("a number");
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.expect("a body");
    length
}

/// The CPU time of this process's threads with this name.
fn cpu(name: &str) -> Duration {
    let mut all = Duration::ZERO;
    for thread in std::fs::read_dir("/proc/self/task").expect("Linux").flatten() {
        let read = |file: &str| std::fs::read_to_string(thread.path().join(file));
        let (Ok(comm), Ok(schedule)) = (read("comm"), read("schedstat")) else { continue };
        if comm.trim() == name {
            let nanos = schedule.split(' ').next().and_then(|nanos| nanos.parse().ok());
            all += Duration::from_nanos(nanos.expect("a number"));
        }
    }
    all
}
