//! Size limits, timeouts, overload and disconnects.

use std::time::{Duration, Instant};

use tokio::io::AsyncReadExt as _;

use crate::fixture::{Edge, raw};

#[tokio::test]
async fn sizes_are_limited() {
    let edge = Edge::with(|config| {
        config.body_bytes = 1000;
        config.body_bytes_of.insert("agon.test.v1.LibraryService.CreateBook".into(), 10);
    })
    .await;
    let text = |count| format!(r#"{{"optionalString":"{}"}}"#, "x".repeat(count));
    assert_eq!(edge.post("/v1/echo", &text(900)).await.status, 200);
    let large = edge.post("/v1/echo", &text(1000)).await;
    assert_eq!((large.status.as_u16(), large.reason()), (413, "BODY_TOO_LARGE".into()));
    assert_eq!(edge.post("/v1/books", r#"{"title":"T"}"#).await.status, 413);
    let chunked = "POST /v1/echo HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n";
    let chunk = format!("300\r\n{}\r\n", " ".repeat(0x300));
    assert!(
        raw(&edge, format!("{chunked}{chunk}{chunk}0\r\n\r\n").as_bytes())
            .await
            .starts_with("HTTP/1.1 413")
    );

    assert_eq!(edge.get(&format!("/v1/books/{}", "x".repeat(9000))).await.status, 414);
    let long = "x".repeat(17_000);
    assert_eq!(edge.send("GET /v1/books/b1", &[("x-long", &long)], "").await.status, 431);
    let many = (0..200).map(|n| format!("x-{n}: 1\r\n")).collect::<String>();
    let response =
        raw(&edge, format!("GET /v1/books/b1 HTTP/1.1\r\nhost: x\r\n{many}\r\n").as_bytes()).await;
    assert!(response.starts_with("HTTP/1.1 431"), "{response}");
    let huge = "x".repeat(200_000);
    let response = raw(
        &edge,
        format!("GET /v1/books/b1 HTTP/1.1\r\nhost: x\r\nx-long: {huge}\r\n\r\n").as_bytes(),
    )
    .await;
    assert!(response.starts_with("HTTP/1.1 431"), "{response}");
}

#[tokio::test]
async fn malformed_requests_are_refused() {
    let edge = Edge::start().await;
    for bytes in [
        &b"\x00\x01\x02\r\n\r\n"[..],
        b"GET\r\n\r\n",
        b"GET /v1/books/\xff HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
        b"GET /v1/books/b1 HTTP/1.1\r\nhost: x\r\ncontent-length: x\r\n\r\n",
    ] {
        let response = raw(&edge, bytes).await;
        assert!(response.is_empty() || response.starts_with("HTTP/1.1 4"), "{response}");
    }
    assert_eq!(edge.get("/v1/books/b1").await.status, 200);
}

#[tokio::test]
async fn slow_clients_time_out() {
    let edge = Edge::start().await;
    let started = Instant::now();
    let response = raw(&edge, b"GET /v1/books/b1 HTTP/1.1\r\nhost: x\r\n").await;
    assert!(started.elapsed() < Duration::from_secs(4), "{response}");
    let started = Instant::now();
    let response =
        raw(&edge, b"POST /v1/echo HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n{").await;
    assert!(started.elapsed() < Duration::from_secs(4));
    assert!(response.starts_with("HTTP/1.1 408"), "{response}");
}

#[tokio::test]
async fn idle_connections_are_closed() {
    let edge = Edge::start().await;
    let mut stream = edge.connect("").await;
    let mut received = Vec::new();
    let read = stream.read_to_end(&mut received);
    let ended = tokio::time::timeout(Duration::from_secs(20), read).await;
    assert_eq!((ended.unwrap().unwrap(), received.len()), (0, 0));
}

#[tokio::test]
async fn requested_deadlines_are_enforced() {
    let edge = Edge::start().await;
    let started = Instant::now();
    let response = edge.send("GET /v1/books/hang", &[("grpc-timeout", "200m")], "").await;
    assert_eq!(response.status, 504);
    assert!(started.elapsed() < Duration::from_secs(3));
    let response = edge.send("GET /v1/books/hang", &[("connect-timeout-ms", "100")], "").await;
    assert_eq!(response.status, 504);
    edge.running(0).await;
}

#[tokio::test]
async fn disconnect_cancels_the_call() {
    let edge = Edge::start().await;
    let stream = edge.connect(b"GET /v1/books/hang HTTP/1.1\r\nhost: x\r\n\r\n").await;
    edge.running(1).await;
    drop(stream);
    edge.running(0).await;
    for accept in ["text/event-stream", "application/x-ndjson", "application/json"] {
        let request = format!(
            "GET /v1/books:watch?count=2&then=hang HTTP/1.1\r\nhost: x\r\naccept: {accept}\r\n\r\n"
        );
        let mut stream = edge.connect(request).await;
        let mut buffer = [0; 16];
        stream.read_exact(&mut buffer).await.unwrap();
        edge.running(1).await;
        drop(stream);
        edge.running(0).await;
    }
}

#[tokio::test]
async fn excess_requests_are_refused_at_once() {
    let edge = Edge::with(|config| config.in_flight = 1).await;
    let stream = edge.connect(b"GET /v1/books/hang HTTP/1.1\r\nhost: x\r\n\r\n").await;
    edge.running(1).await;
    let response = edge.get("/v1/books/b1").await;
    assert_eq!(
        (response.status.as_u16(), response.reason(), response.header("retry-after")),
        (503, "OVERLOADED".into(), "1")
    );
    drop(stream);
    edge.running(0).await;
}
