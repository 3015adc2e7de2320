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
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::fixture::Edge;

/// A body of which nothing arrives.
type Never = StreamBody<Pending<Result<Frame<Bytes>, Infallible>>>;

/// Sends `count` requests without their bodies over one connection; the statuses of the responses.
async fn withhold(edge: &Edge, path: &str, count: usize) -> Vec<u16> {
    let stream = TcpStream::connect(edge.address).await.unwrap();
    let client = http2::handshake::<_, _, Never>(TokioExecutor::new(), TokioIo::new(stream)).await;
    let (mut client, connection) = client.unwrap();
    let mut driver = JoinSet::new();
    driver.spawn(connection);
    client.ready().await.unwrap();
    let responses = (0..count).map(|_| {
        let uri = format!("http://{}{path}", edge.address);
        let body = StreamBody::new(stream::pending());
        client.send_request(Request::post(uri).body(body).unwrap())
    });
    let responses = join_all(responses).await.into_iter();
    responses.map(|response| response.unwrap().status().as_u16()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn withheld_bodies_take_no_permits() {
    let edge = Edge::start().await;
    let attack = join_all((0..5).map(|_| withhold(&edge, "/v1/echo", 210)));
    let player = async {
        loop {
            let started = Instant::now();
            let response = edge.post("/v1/echo", r#"{"optionalString":"x"}"#).await;
            assert_eq!(response.status, 200, "{}", response.text());
            assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
            let started = Instant::now();
            let watch = edge.get("/v1/books:watch?count=1").await;
            assert_eq!(watch.status, 200, "{}", watch.text());
            assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
        }
    };
    let statuses = tokio::select! {
        statuses = attack => statuses.concat(),
        () = player => unreachable!(),
    };
    assert_eq!(statuses, [408; 1050]);
}

#[tokio::test]
async fn withheld_forms_take_no_permits() {
    let edge = Edge::with(|config| config.streams = 1).await;
    let form = "POST /v1/books/b1/text HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\
        content-type: multipart/form-data; boundary=x\r\n\r\n";
    let _withheld = edge.connect(form).await;
    for _ in 0..20 {
        assert_eq!(edge.get("/v1/books:watch?count=1").await.status, 200);
    }
}

#[tokio::test]
async fn one_address_cannot_take_the_memory_of_incomplete_bodies() {
    let trusted = rpc::Trusted::new(|_| false);
    let edge = Edge::with_trusted(trusted, |config| config.reading_bytes = 8 * 20_000).await;
    let statuses = withhold(&edge, "/v1/echo", 10).await;
    let count = |wanted| statuses.iter().filter(|status| **status == wanted).count();
    assert_eq!((count(408), count(429)), (4, 6), "{statuses:?}");
}
