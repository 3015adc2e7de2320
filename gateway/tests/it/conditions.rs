//! Entity tags, idempotency keys and compression.

use std::io::{Read as _, Write as _};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

use crate::fixture::Edge;

#[tokio::test]
async fn conditional_reads() {
    let edge = Edge::start().await;
    let response = edge.get("/v1/books/b1").await;
    assert_eq!(response.header("etag"), "\"e-b1\"");
    let get = async |name, value| edge.send("GET /v1/books/b1", &[(name, value)], "").await;
    let same = get("if-none-match", "\"x\", W/\"e-b1\"").await;
    assert_eq!((same.status.as_u16(), same.body.len(), same.header("etag")), (304, 0, "\"e-b1\""));
    for (name, value, status) in [
        ("if-none-match", "\"e-b1\"", 304),
        ("if-none-match", "*", 304),
        ("if-none-match", "\"b\",\"c\"", 200),
        ("if-none-match", "e-b1", 400),
        ("if-match", "\"other\"", 412),
        ("if-match", "\"other\", \"e-b1\"", 200),
    ] {
        assert_eq!(get(name, value).await.status, status, "{name}: {value}");
    }
}

#[tokio::test]
async fn conditional_changes() {
    let edge = Edge::start().await;
    let patch = async |tag: &str, json: &str| {
        let headers = [("if-match", tag), ("content-type", "application/json")];
        edge.send("PATCH /v1/books/b1", &headers, json.to_owned()).await
    };
    let response = patch("\"current\"", r#"{"title": "T"}"#).await;
    assert_eq!(response.status, 200);
    assert_eq!(response.json()["tags"], serde_json::json!(["title"]));
    assert_eq!(edge.metadata("if-match").unwrap(), "\"current\"");
    let stale = patch("\"stale\"", r#"{"title": "T"}"#).await;
    assert_eq!((stale.status.as_u16(), stale.reason()), (412, "ETAG_MISMATCH".into()));
    assert_eq!(patch("W/\"current\"", "{}").await.status, 412);
    assert_eq!(patch("*", "{}").await.status, 200);
    for malformed in ["\"a\", \"b\"", "current", "\"a", "\"a\" \"b\""] {
        assert_eq!(patch(malformed, "{}").await.status, 400, "{malformed}");
    }
    assert_eq!(patch("\"current\"", r#"{"etag": "other"}"#).await.status, 400);
}

#[tokio::test]
async fn idempotency_key_becomes_the_request_id() {
    let edge = Edge::start().await;
    let post = async |key: &str, json: &str| {
        let headers = [("idempotency-key", key), ("content-type", "application/json")];
        edge.send("POST /v1/books", &headers, json.to_owned()).await
    };
    assert_eq!(post("k1", "{}").await.json()["etag"], "k1");
    assert_eq!(post("\"k1\"", "{}").await.json()["etag"], "k1");
    let reused = post("reused", "{}").await;
    assert_eq!((reused.status.as_u16(), reused.reason()), (422, "REQUEST_ID_REUSED".into()));
    assert_eq!(post("k\u{e9}", "{}").await.status, 400);
}

#[tokio::test]
async fn responses_are_compressed() {
    let edge = Edge::start().await;
    let plain = edge.get("/v1/books/large").await;
    for encoding in ["gzip", "br", "zstd"] {
        let response = edge.send("GET /v1/books/large", &[("accept-encoding", encoding)], "").await;
        assert_eq!(response.header("content-encoding"), encoding);
        assert!(response.body.len() < plain.body.len() / 10);
        if encoding == "gzip" {
            let mut text = Vec::new();
            GzDecoder::new(&response.body[..]).read_to_end(&mut text).unwrap();
            assert_eq!(text, plain.body);
        }
    }
}

#[tokio::test]
async fn decompressed_requests_are_limited() {
    let edge = Edge::start().await;
    let gzip = |text: &[u8]| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    };
    let post = async |encoding: &str, body: Vec<u8>| {
        let headers = [("content-encoding", encoding), ("content-type", "application/json")];
        edge.send("POST /v1/echo", &headers, body).await
    };
    let response = post("gzip", gzip(br#"{"optionalInt32": 5}"#)).await;
    assert_eq!(response.json()["optionalInt32"], 5);
    let members = [gzip(br#"{"optionalInt"#), gzip(br#"32": 6}"#)].concat();
    assert_eq!(post("gzip", members).await.json()["optionalInt32"], 6);
    let trailing = [gzip(b"{}"), b"rest".to_vec()].concat();
    assert_eq!(post("gzip", trailing).await.status, 400);
    let bomb = gzip(&vec![b' '; 50 * 1024 * 1024]);
    assert!(bomb.len() < 100_000);
    assert_eq!(post("gzip", bomb).await.status, 413);
    assert_eq!(post("gzip", b"not gzip".to_vec()).await.status, 400);
    let other = post("br", b"{}".to_vec()).await;
    assert_eq!((other.status.as_u16(), other.header("accept-encoding")), (415, "gzip, deflate"));
}
