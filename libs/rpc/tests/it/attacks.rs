//! Clients that do not send what they announced, beside one that does.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::join_all;
use futures_util::stream::{self, Pending};
use http::Request;
use http_body_util::StreamBody;
use hyper::body::Frame;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use metrics_exporter_prometheus::PrometheusBuilder;
use rpc::{Connections, Limits, Pace, Reading, Stack, Trusted, status};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tonic::{Code, Status};

use crate::probe::{Client, Server, get};

/// A body of which nothing arrives.
type Never = StreamBody<Pending<Result<Frame<Bytes>, Infallible>>>;

const GET: &str = "agon.problem.v1.ImportService/GetProblemImport";
const IMPORT: &str = "agon.problem.v1.ImportService/ImportProblem";
const WATCH: &str = "agon.problem.v1.ImportService/WatchProblemImport";

/// Makes `count` calls without their messages over one connection; the statuses.
async fn withhold(server: &Server, method: &str, count: usize) -> Vec<Status> {
    let stream = TcpStream::connect(server.address).await.unwrap();
    let client = http2::handshake::<_, _, Never>(TokioExecutor::new(), TokioIo::new(stream)).await;
    let (mut client, connection) = client.unwrap();
    let mut driver = JoinSet::new();
    driver.spawn(connection);
    client.ready().await.unwrap();
    let responses = (0..count).map(|_| {
        let request = Request::post(format!("{}/{method}", server.url()))
            .header("content-type", "application/grpc")
            .header("grpc-timeout", "2H");
        client.send_request(request.body(StreamBody::new(stream::pending())).unwrap())
    });
    let responses = join_all(responses).await.into_iter();
    let status = |headers: &http::HeaderMap| Status::from_header_map(headers).unwrap();
    responses.map(|response| status(response.unwrap().headers())).collect()
}

fn reading(trusted: Trusted, memory: usize) -> Reading {
    Reading::new(Pace { pause: Duration::from_secs(1), rate: 4096 }, memory, trusted)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn withheld_messages_take_no_permits() {
    let stack = Stack::new(proto::DESCRIPTOR_SET).reading(reading(Trusted::default(), 1 << 28));
    let server = Server::start(stack, Limits::default()).await;
    let methods = [GET, GET, GET, GET, GET, WATCH];
    let attack = join_all(methods.map(|method| withhold(&server, method, 210)));
    let mut client = Client::new(server.remote());
    let player = async {
        loop {
            let started = Instant::now();
            client.get_problem_import(get("x")).await.unwrap();
            assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
        }
    };
    let statuses = tokio::select! {
        statuses = attack => statuses.concat(),
        () = player => unreachable!(),
    };
    assert_eq!(statuses.len(), 1260);
    for status in statuses {
        assert_eq!(status.code(), Code::DeadlineExceeded, "{status:?}");
        assert_eq!(status::reason(&status).as_deref(), Some("REQUEST_TOO_SLOW"));
    }
}

#[tokio::test]
async fn one_address_cannot_take_the_memory_of_incomplete_messages() {
    let untrusted = Trusted::new(|_| false);
    let stack = Stack::new(proto::DESCRIPTOR_SET).reading(reading(untrusted, 8 * 20_000));
    let server = Server::start(stack, Limits::default()).await;
    let statuses = withhold(&server, GET, 10).await;
    let refused = statuses.iter().filter(|status| status.code() == Code::ResourceExhausted);
    assert_eq!(refused.count(), 6, "{statuses:?}");
}

/// Sends part of a message, then resets the call, or closes the connection if there is no reason.
async fn leave(server: &Server, method: &str, reason: Option<h2::Reason>) {
    let stream = TcpStream::connect(server.address).await.unwrap();
    let (mut client, connection) = h2::client::handshake(stream).await.unwrap();
    let mut driver = JoinSet::new();
    driver.spawn(connection);
    let url = format!("{}/{method}", server.url());
    let request = Request::post(url).header("content-type", "application/grpc");
    let request = request.body(()).unwrap();
    let (response, mut body) = client.send_request(request, false).unwrap();
    body.send_data(Bytes::from_static(b"\0\0\0\0\x09\x0a"), false).unwrap();
    // The call has begun when a later one on the same connection is answered.
    let unknown = Request::post(server.url()).header("content-type", "application/grpc");
    let (answer, _) = client.send_request(unknown.body(()).unwrap(), true).unwrap();
    answer.await.unwrap();
    if let Some(reason) = reason {
        body.send_reset(reason);
        assert!(response.await.is_err());
    }
}

#[tokio::test]
async fn clients_that_leave_cancel_their_calls() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let metrics = recorder.handle();
    let _recording = metrics::set_default_local_recorder(&recorder);
    let server = Server::start(Stack::new(proto::DESCRIPTOR_SET), Limits::default()).await;
    let reasons = [None, Some(h2::Reason::INTERNAL_ERROR), Some(h2::Reason::CANCEL)];
    for method in [GET, IMPORT] {
        for reason in reasons {
            leave(&server, method, reason).await;
        }
        let canceled = format!("method=\"{method}\",code=\"CANCELLED\"}} {}", reasons.len());
        let deadline = Instant::now() + Duration::from_secs(20);
        while !metrics.render().contains(&canceled) {
            assert!(Instant::now() < deadline, "{canceled} not in {}", metrics.render());
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn requested_deadlines_are_capped() {
    let stack = Stack::new(proto::DESCRIPTOR_SET).max_deadline(Duration::from_millis(100));
    let server = Server::start(stack, Limits::default()).await;
    for mut client in server.clients() {
        let mut request = tonic::Request::new(get("slow"));
        request.set_timeout(Duration::from_secs(7200));
        let started = Instant::now();
        let status = client.get_problem_import(request).await.unwrap_err();
        assert_eq!(status.code(), Code::DeadlineExceeded);
        assert!(started.elapsed() < Duration::from_secs(10));
    }
}

#[tokio::test]
async fn connections_of_an_address_are_limited() {
    let trusted = Trusted::new(|_| false);
    let connections = Connections { per_address: 2, trusted, ..Connections::default() };
    let limits = Limits { connections, ..Limits::default() };
    let server = Server::start(Stack::new(proto::DESCRIPTOR_SET), limits).await;
    let first = TcpStream::connect(server.address).await.unwrap();
    let mut client = Client::new(server.remote());
    client.get_problem_import(get("x")).await.unwrap();
    let mut third = TcpStream::connect(server.address).await.unwrap();
    let closed = tokio::time::timeout(Duration::from_secs(5), third.read(&mut [0])).await.unwrap();
    assert!(closed.is_err() || closed.is_ok_and(|count| count == 0));
    drop(first);
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let mut other = Client::new(server.remote());
        if other.get_problem_import(get("x")).await.is_ok() {
            break;
        }
        assert!(Instant::now() < deadline, "no connection became free");
        tokio::task::yield_now().await;
    }
    client.get_problem_import(get("x")).await.unwrap();
}
