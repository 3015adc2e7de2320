//! Raw and multipart uploads.

use tokio::io::AsyncReadExt as _;

use crate::fixture::Edge;

#[tokio::test]
async fn raw_bodies_are_streamed() {
    let edge = Edge::start().await;
    let headers = [("content-type", "application/zip"), ("idempotency-key", "k")];
    let body = vec![7_u8; 3_000_000];
    let response = edge.send("POST /v1/books/b1/text?publish=true", &headers, body).await;
    assert_eq!(response.status, 200, "{}", response.text());
    let json = response.json();
    assert_eq!((json["bookId"].as_str(), json["publish"].as_bool()), (Some("b1"), Some(true)));
    assert_eq!(json["byteCount"], "3000000");
    assert_eq!(json["contentType"], "application/zip");
    assert!(json["digest"].as_str().unwrap().starts_with("k/"));
    assert!(json["pieceCount"].as_str().unwrap().parse::<i32>().unwrap() > 3);
    let empty = edge.send("POST /v1/books/b1/text", &[], "").await;
    assert_eq!((empty.status.as_u16(), &empty.json()["byteCount"]), (200, &"0".into()));
}

#[tokio::test]
async fn forms_are_streamed() {
    let edge = Edge::start().await;
    let form = "--B\r\ncontent-disposition: form-data; name=\"publish\"\r\n\r\ntrue\r\n\
        --B\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.zip\"\r\n\
        content-type: application/zip\r\n\r\nhello\r\n--B--\r\n";
    let headers = [("content-type", "multipart/form-data; boundary=B")];
    let response = edge.send("POST /v1/books/b1/text", &headers, form).await;
    assert_eq!(response.status, 200, "{}", response.text());
    let json = response.json();
    assert_eq!((json["publish"].as_bool(), &json["byteCount"]), (Some(true), &"5".into()));
    assert_eq!(json["contentType"], "application/zip");
    let unknown = form.replace("publish", "nope");
    assert_eq!(edge.send("POST /v1/books/b1/text", &headers, unknown).await.status, 400);
    let cut = form[..form.len() - 10].to_owned();
    assert_eq!(edge.send("POST /v1/books/b1/text", &headers, cut).await.status, 400);
    assert_eq!(*edge.seen.finished_uploads.lock().unwrap(), [5]);
    let other = [("content-type", "multipart/mixed; boundary=B")];
    assert_eq!(edge.send("POST /v1/books/b1/text", &other, form).await.status, 415);
}

#[tokio::test]
async fn invalid_uploads_are_refused() {
    let edge = Edge::with(|config| config.upload_bytes = 1000).await;
    let response = edge.send("POST /v1/books/b1/text", &[], vec![0; 1001]).await;
    assert_eq!(response.status, 413);
    let encoded = [("content-encoding", "gzip")];
    assert_eq!(edge.send("POST /v1/books/b1/text", &encoded, "x").await.status, 415);
    assert_eq!(edge.send("POST /v1/books/b1/text?nope=1", &[], "x").await.status, 400);
    assert_eq!(edge.send("POST /v1/books/early/text", &[], "x").await.status, 403);
    let head = "POST /v1/books/b1/text HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n";
    let chunk = format!("300\r\n{}\r\n", "x".repeat(0x300));
    let mut stream = edge.connect(format!("{head}{chunk}{chunk}")).await;
    let mut status = [0; 12];
    stream.read_exact(&mut status).await.unwrap();
    assert_eq!(&status, b"HTTP/1.1 413");
    edge.running(0).await;
    assert!(edge.seen.finished_uploads.lock().unwrap().is_empty());
}

#[tokio::test]
async fn aborted_upload_is_not_completed() {
    let edge = Edge::start().await;
    let head = "POST /v1/books/b1/text HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nabc";
    let stream = edge.connect(head).await;
    edge.running(1).await;
    drop(stream);
    edge.running(0).await;
    assert!(edge.seen.finished_uploads.lock().unwrap().is_empty());
    // A client that pauses for too long gets 408.
    let mut stream = edge.connect(head).await;
    let mut status = [0; 12];
    stream.read_exact(&mut status).await.unwrap();
    assert_eq!(&status, b"HTTP/1.1 408");
    edge.running(0).await;
    assert!(edge.seen.finished_uploads.lock().unwrap().is_empty());
}
