//! A gateway on its own port, and a client for it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use gateway::{Config, Gateway};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use transcode::Plan;

use crate::library::{self, Library, Seen};

fn config() -> Config {
    Config { heartbeat_seconds: 1, header_seconds: 1, body_seconds: 1, ..Config::default() }
}

pub struct Edge {
    pub address: SocketAddr,
    pub seen: Arc<Seen>,
    client: Client<HttpConnector, Full<Bytes>>,
    serving: Mutex<Option<(tokio::sync::oneshot::Sender<()>, JoinSet<()>)>>,
}

pub struct TestResponse {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl TestResponse {
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {:?} {:?}", self.status, self.body))
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    #[track_caller]
    pub fn header(&self, name: &str) -> &str {
        match self.headers.get(name) {
            Some(value) => value.to_str().unwrap(),
            None => panic!("no {name} in {:?}", self.headers),
        }
    }

    /// The reason of the ErrorInfo detail.
    #[track_caller]
    pub fn reason(&self) -> String {
        let json = self.json();
        let details = json["details"].as_array().unwrap();
        let reason = details.iter().find_map(|detail| detail["reason"].as_str());
        reason.unwrap_or_default().to_owned()
    }
}

/// The plan of the test service.
fn plan() -> Plan {
    Plan::new(library::descriptors()).unwrap()
}

impl Edge {
    pub async fn start() -> Edge {
        Edge::with(|_| {}).await
    }

    pub async fn with(change: impl FnOnce(&mut Config)) -> Edge {
        let seen = Arc::new(Seen::default());
        Edge::with_channel(Library(seen.clone()), seen, change).await
    }

    pub async fn with_plan(plan: Plan, library: Library) -> Edge {
        let seen = library.0.clone();
        Edge::serve(
            Gateway::open(config(), plan, library, rpc::Trusted::default(), None).unwrap(),
            seen,
        )
        .await
    }

    /// A gateway with the test plan and any channel.
    pub async fn with_channel<S>(
        channel: S,
        seen: Arc<Seen>,
        change: impl FnOnce(&mut Config),
    ) -> Edge
    where
        S: tower::Service<
                http::Request<tonic::body::Body>,
                Response = http::Response<tonic::body::Body>,
            > + Clone
            + Send
            + Sync
            + 'static,
        S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
        S::Future: Send + 'static,
    {
        let mut config = config();
        change(&mut config);
        Edge::serve(
            Gateway::open(config, plan(), channel, rpc::Trusted::default(), None).unwrap(),
            seen,
        )
        .await
    }

    /// With the test service and other trusted addresses than loopback.
    pub async fn with_trusted(trusted: rpc::Trusted, change: impl FnOnce(&mut Config)) -> Edge {
        let (seen, mut config) = (Arc::new(Seen::default()), config());
        change(&mut config);
        let gateway = Gateway::open(config, plan(), Library(seen.clone()), trusted, None);
        Edge::serve(gateway.unwrap(), seen).await
    }

    async fn serve(gateway: Gateway, seen: Arc<Seen>) -> Edge {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let stopped = async { drop(stopped.await) };
            gateway::serve(listener, gateway, Duration::from_secs(1), stopped).await;
        });
        let client = Client::builder(TokioExecutor::new()).build_http();
        Edge { address, seen, client, serving: Mutex::new(Some((stop, serving))) }
    }

    /// Shuts down and waits until the listener has stopped.
    pub async fn stop(&self, timeout: Duration) {
        let (stop, mut serving) = self.serving.lock().unwrap().take().unwrap();
        stop.send(()).unwrap();
        tokio::time::timeout(timeout, serving.join_next()).await.unwrap().unwrap().unwrap();
    }

    /// Sends a request: `METHOD /path`, headers, body.
    pub async fn open(
        &self,
        line: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> http::Response<Incoming> {
        let (method, path) = line.split_once(' ').unwrap();
        let mut request =
            Request::builder().method(method).uri(format!("http://{}{path}", self.address));
        for (name, value) in headers {
            request =
                request.header(*name, http::HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        let request = request.body(Full::new(body.into())).unwrap();
        let response = tokio::time::timeout(Duration::from_secs(20), self.client.request(request));
        response.await.expect("a response in time").unwrap()
    }

    pub async fn send(
        &self,
        line: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> TestResponse {
        let (parts, body) = self.open(line, headers, body).await.into_parts();
        let body = body.collect().await.expect("a complete body").to_bytes();
        TestResponse { status: parts.status, headers: parts.headers, body }
    }

    pub async fn get(&self, path: &str) -> TestResponse {
        self.send(&format!("GET {path}"), &[], "").await
    }

    pub async fn post(&self, path: &str, json: &str) -> TestResponse {
        let headers = [("content-type", "application/json")];
        self.send(&format!("POST {path}"), &headers, json.to_owned()).await
    }

    /// Opens a connection and sends raw bytes.
    pub async fn connect(&self, bytes: impl AsRef<[u8]>) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        // The gateway may refuse the request before it has received all bytes.
        let _ = stream.write_all(bytes.as_ref()).await;
        stream
    }

    pub fn metadata(&self, name: &str) -> Option<String> {
        self.seen.metadata.lock().unwrap().get(name).cloned()
    }

    /// Waits up to a second until `count` calls are running.
    pub async fn running(&self, count: i32) {
        let mut running = self.seen.running.subscribe();
        let reached = running.wait_for(|running| *running == count);
        let reached = tokio::time::timeout(Duration::from_secs(1), reached).await;
        assert!(
            reached.is_ok(),
            "{} calls are running after a second",
            *self.seen.running.borrow()
        );
    }
}

/// The response to raw bytes, until the connection closes or 5 seconds pass.
pub async fn raw(edge: &Edge, bytes: &[u8]) -> String {
    let mut stream = edge.connect(bytes).await;
    let mut response = Vec::new();
    let mut buffer = [0; 4096];
    let read = async {
        while let Ok(count) = stream.read(&mut buffer).await {
            if count == 0 {
                break;
            }
            response.extend_from_slice(&buffer[..count]);
        }
    };
    let _ = tokio::time::timeout(Duration::from_secs(5), read).await;
    String::from_utf8_lossy(&response).into_owned()
}
