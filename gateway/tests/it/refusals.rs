//! Refusals: a client can read them, whatever it still sends, and all have the form of an error.

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::fixture::{Edge, raw};

/// Sends a whole request before it reads, as Python's `http.client` does.
async fn send_first(edge: &Edge, head: &str, body: &[u8]) -> String {
    let mut stream = TcpStream::connect(edge.address).await.unwrap();
    let length = body.len();
    let head = format!("{head}\r\nhost: x\r\ncontent-length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body).await.unwrap_or_else(|error| panic!("{head}: {error}"));
    let mut response = Vec::new();
    stream.read_to_end(&mut response).await.unwrap_or_else(|error| panic!("{head}: {error}"));
    String::from_utf8(response).unwrap()
}

#[tokio::test]
async fn early_refusals_can_be_read() {
    let edge = Edge::start().await;
    let body = vec![b' '; 4 * 1024 * 1024];
    for (head, status) in [
        ("POST /v1/echo HTTP/1.1", 413),
        ("POST /v1/nothing HTTP/1.1", 404),
        ("DELETE /v1/echo HTTP/1.1", 405),
        ("POST /v1/echo HTTP/1.1\r\naccept: text/html", 406),
        ("POST /v1/books/early/text HTTP/1.1", 403),
        ("POST /v1/books/b1/text HTTP/1.1\r\ncontent-encoding: br", 415),
        ("POST /v1/books/b1/text HTTP/1.1\r\ncontent-type: multipart/mixed", 415),
    ] {
        for _ in 0..8 {
            let response = send_first(&edge, head, &body).await;
            assert!(response.starts_with(&format!("HTTP/1.1 {status} ")), "{head}: {response}");
            assert!(response.contains("connection: close\r\n"), "{head}: {response}");
            assert!(response.contains("\"@type\":"), "{head}: {response}");
        }
    }
}

#[tokio::test]
async fn early_refusals_over_http2_can_be_read() {
    let edge = Edge::start().await;
    let stream = TcpStream::connect(edge.address).await.unwrap();
    let client = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
    let (mut client, connection) = client.unwrap();
    let mut driver = JoinSet::new();
    driver.spawn(connection);
    for _ in 0..8 {
        let request = Request::post(format!("http://{}/v1/echo", edge.address));
        let body = Full::new(Bytes::from(vec![b' '; 4 * 1024 * 1024]));
        client.ready().await.unwrap();
        let response = client.send_request(request.body(body).unwrap()).await.unwrap();
        assert_eq!(response.status(), 413);
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert!(String::from_utf8_lossy(&body).contains("BODY_TOO_LARGE"), "{body:?}");
    }
}

/// The answer to raw bytes is an error of the gateway.
async fn check(edge: &Edge, bytes: &[u8], status: u16, reason: &str) {
    let what = String::from_utf8_lossy(&bytes[..bytes.len().min(80)]);
    let response = raw(edge, bytes).await;
    assert!(response.starts_with(&format!("HTTP/1.1 {status} ")), "{what:?}: {response}");
    let (head, body) = response.split_once("\r\n\r\n").unwrap();
    for header in ["x-request-id: ", "content-type: application/json", "connection: close"] {
        assert!(head.contains(header), "{what:?}: {response}");
    }
    let json: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(json["details"][0]["reason"], reason, "{what:?}: {response}");
}

#[tokio::test]
async fn unreadable_requests_get_json_errors() {
    let edge = Edge::start().await;
    let get = "GET /v1/books/b1 HTTP/1.1\r\nhost: x\r\n";
    let huge = format!("{get}x-long: {}\r\n\r\n", "x".repeat(200_000));
    for bytes in ["GET\r\n\r\n", "G T / HTTP/1.1\r\n\r\n", "GET / HTTP/7\r\n\r\n", "\0\r\n\r\n"] {
        check(&edge, bytes.as_bytes(), 400, "REQUEST_MALFORMED").await;
    }
    let header = format!("{get}a header: x\r\n\r\n");
    check(&edge, header.as_bytes(), 400, "REQUEST_MALFORMED").await;
    let length = format!("{get}content-length: x\r\n\r\n");
    check(&edge, length.as_bytes(), 400, "REQUEST_MALFORMED").await;
    check(&edge, huge.as_bytes(), 431, "HEADERS_TOO_LARGE").await;
}

#[tokio::test]
async fn responses_before_an_unreadable_request_are_unchanged() {
    let edge = Edge::start().await;
    let good = "GET /v1/books/b1 HTTP/1.1\r\nhost: x\r\n\r\n";
    let alone =
        raw(&edge, good.replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n").as_bytes()).await;
    let (_, book) = alone.split_once("\r\n\r\n").unwrap();
    let both = raw(&edge, format!("{good}{good}GET\r\n\r\n").as_bytes()).await;
    assert_eq!(both.matches(book).count(), 2, "{both}");
    assert_eq!(both.matches("HTTP/1.1 200 OK").count(), 2, "{both}");
    assert_eq!(both.matches("REQUEST_MALFORMED").count(), 1, "{both}");
}

#[tokio::test]
async fn requests_need_exactly_one_valid_host() {
    let edge = Edge::start().await;
    let get = async |head: &str| {
        let request = format!("GET /v1/books/b1 {head}connection: close\r\n\r\n");
        raw(&edge, request.as_bytes()).await
    };
    for host in ["example.org", "example.org:8080", "127.0.0.1", "[::1]:80"] {
        let response = get(&format!("HTTP/1.1\r\nhost: {host}\r\n")).await;
        assert!(response.starts_with("HTTP/1.1 200 "), "{host}: {response}");
    }
    assert!(get("HTTP/1.0\r\n").await.starts_with("HTTP/1.0 200 "));
    for head in [
        "HTTP/1.1\r\n",
        "HTTP/1.1\r\nhost:\r\n",
        "HTTP/1.1\r\nhost: x\r\nhost: x\r\n",
        "HTTP/1.1\r\nhost: x\r\nhost: y\r\n",
        "HTTP/1.1\r\nhost: a b\r\n",
        "HTTP/1.1\r\nhost: a@b\r\n",
        "HTTP/1.1\r\nhost: a/b\r\n",
        "HTTP/1.1\r\nhost: a:port\r\n",
        "HTTP/1.0\r\nhost: x\r\nhost: x\r\n",
    ] {
        let response = get(head).await;
        assert!(response.contains(" 400 Bad Request"), "{head:?}: {response}");
        assert!(response.contains("HOST_INVALID"), "{head:?}: {response}");
    }
}

#[tokio::test]
async fn options_of_the_server_lists_every_method() {
    let edge = Edge::start().await;
    let response = raw(&edge, b"OPTIONS * HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    assert!(response.starts_with("HTTP/1.1 204 "), "{response}");
    assert!(response.contains("allow: DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"), "{response}");
}

#[tokio::test]
async fn targets_that_no_route_can_have_are_refused() {
    let edge = Edge::start().await;
    let send = async |line: &str| {
        let request = format!("{line}\r\nhost: x\r\nconnection: close\r\n\r\n");
        raw(&edge, request.as_bytes()).await
    };
    for line in ["GET http://x/v1/books/b1 HTTP/1.1", "GET HTTPS://x/v1/books/b1 HTTP/1.1"] {
        let response = send(line).await;
        assert!(response.starts_with("HTTP/1.1 200 "), "{line}: {response}");
    }
    for (line, status, reason, part) in [
        ("GET * HTTP/1.1", 400, "REQUEST_TARGET_INVALID", "* is for OPTIONS only, not for GET"),
        ("PRI * HTTP/1.1", 400, "REQUEST_TARGET_INVALID", "* is for OPTIONS only, not for PRI"),
        ("PRI * HTTP/2.0", 400, "REQUEST_MALFORMED", "request line"),
        ("GET x:80 HTTP/1.1", 400, "REQUEST_TARGET_INVALID", "must be a path"),
        (
            "GET ftp://x/v1/books/b1 HTTP/1.1",
            400,
            "REQUEST_TARGET_INVALID",
            "http or https, not ftp",
        ),
        ("OPTIONS ftp://x/v1/books/b1 HTTP/1.1", 400, "REQUEST_TARGET_INVALID", "not ftp"),
        ("CONNECT x:80 HTTP/1.1", 405, "METHOD_NOT_ALLOWED", "not a proxy"),
        ("CONNECT * HTTP/1.1", 405, "METHOD_NOT_ALLOWED", "not a proxy"),
    ] {
        let response = send(line).await;
        assert!(response.starts_with(&format!("HTTP/1.1 {status} ")), "{line}: {response}");
        let (head, body) = response.split_once("\r\n\r\n").unwrap();
        let json: serde_json::Value = serde_json::from_str(body).expect(&response);
        assert!(head.contains("content-type: application/json"), "{line}: {response}");
        assert!(json["message"].as_str().is_some_and(|it| it.contains(part)), "{line}: {response}");
        assert!(body.contains(reason), "{line}: {response}");
    }
}

#[tokio::test]
async fn paths_with_verbs_allow_the_methods_of_the_verb() {
    let edge = Edge::start().await;
    let response = edge.get("/v1/books/b1:lend").await;
    assert_eq!((response.status.as_u16(), response.header("allow")), (405, "OPTIONS, POST"));
    let options = edge.send("OPTIONS /v1/books:count", &[], "").await;
    assert_eq!((options.status.as_u16(), options.header("allow")), (204, "GET, HEAD, OPTIONS"));
    let post = edge.send("POST /v1/books:watch", &[], "").await;
    assert_eq!((post.status.as_u16(), post.header("allow")), (405, "GET, HEAD, OPTIONS"));
}
