//! Server streams and downloads.

use http_body_util::BodyExt as _;
use serde_json::Value;

use crate::fixture::{Edge, TestResponse, raw};

async fn watch(edge: &Edge, query: &str, accept: &str) -> TestResponse {
    edge.send(&format!("GET /v1/books:watch?{query}"), &[("accept", accept)], "").await
}

#[tokio::test]
async fn streams_as_lines() {
    let edge = Edge::start().await;
    for accept in ["*/*", "application/x-ndjson"] {
        let response = watch(&edge, "count=3", accept).await;
        assert_eq!(response.header("content-type"), "application/x-ndjson");
        let lines: Vec<Value> =
            response.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 3);
        assert_eq!(lines[2]["book"]["title"], "About 3");
    }
    let failed = watch(&edge, "count=1&then=fail", "*/*").await;
    let last: Value = serde_json::from_str(failed.text().lines().last().unwrap()).unwrap();
    assert_eq!(last["error"]["status"], "DATA_LOSS");
    assert_eq!(watch(&edge, "count=0", "*/*").await.text(), "");
}

#[tokio::test]
async fn streams_as_arrays() {
    let edge = Edge::start().await;
    let response = watch(&edge, "count=2", "application/json").await;
    assert_eq!(response.header("content-type"), "application/json");
    assert_eq!(response.json().as_array().unwrap().len(), 2);
    assert_eq!(watch(&edge, "count=0", "application/json").await.text(), "[]");
    let failed = watch(&edge, "count=1&then=fail", "application/json").await;
    assert_eq!(failed.json()[1]["error"]["code"], 15);
}

#[tokio::test]
async fn streams_as_events() {
    let edge = Edge::start().await;
    let response = watch(&edge, "count=2", "text/event-stream").await;
    assert_eq!(response.header("content-type"), "text/event-stream");
    let events: Vec<&str> =
        response.text().split("\n\n").filter(|event| !event.is_empty()).collect();
    assert_eq!(events.len(), 2);
    assert!(events[1].starts_with("id: 2\ndata: {"), "{}", events[1]);
    let headers = [("accept", "text/event-stream"), ("last-event-id", "41")];
    let resumed = edge.send("GET /v1/books:watch?count=1&cursor=5", &headers, "").await;
    assert!(resumed.text().starts_with("id: 42\n"), "{}", resumed.text());
    let failed = watch(&edge, "count=1&then=fail", "text/event-stream").await;
    let error = failed.text().split("\n\n").nth(1).unwrap();
    let data = error.strip_prefix("event: error\ndata: ").unwrap();
    assert_eq!(serde_json::from_str::<Value>(data).unwrap()["status"], "DATA_LOSS");
}

#[tokio::test]
async fn error_before_the_first_message_sets_the_http_status() {
    let edge = Edge::start().await;
    for accept in ["text/event-stream", "*/*", "application/json"] {
        assert_eq!(watch(&edge, "then=refuse", accept).await.status, 403);
        assert_eq!(watch(&edge, "then=fail", accept).await.status, 500);
    }
    assert_eq!(watch(&edge, "count=1", "text/html").await.status, 406);
    assert_eq!(watch(&edge, "count=x", "*/*").await.status, 400);
}

#[tokio::test]
async fn idle_event_stream_sends_heartbeats() {
    let edge = Edge::start().await;
    let response =
        edge.open("GET /v1/books:watch?then=hang", &[("accept", "text/event-stream")], "").await;
    assert_eq!(response.status(), 200);
    let mut body = response.into_body();
    let frame = tokio::time::timeout(std::time::Duration::from_secs(5), body.frame());
    let data = frame.await.unwrap().unwrap().unwrap().into_data().unwrap();
    assert!(data.starts_with(b":"), "{data:?}");
}

#[tokio::test]
async fn downloads_are_streamed() {
    let edge = Edge::start().await;
    let response = edge.get("/v1/books/b1/text").await;
    assert_eq!((response.status.as_u16(), response.text()), (200, "one two three"));
    assert_eq!(response.header("content-type"), "text/html");
    assert!(response.header("content-disposition").starts_with("attachment"));
    assert!(response.header("content-security-policy").contains("sandbox"));
    assert_eq!(edge.get("/v1/books/none/text").await.status, 404);
    // The client must detect that the transfer was aborted.
    let request = "GET /v1/books/broken/text HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let broken = raw(&edge, request.as_bytes()).await;
    assert!(!broken.ends_with("0\r\n\r\n"), "{broken}");
}
