//! Malformed requests are reported as errors of the client.

use tonic::{Code, Status};

use crate::probe::Server;

const GET: &str = "agon.problem.v1.ImportService/GetProblemImport";
const IMPORT: &str = "agon.problem.v1.ImportService/ImportProblem";

fn frame(flag: u8, message: &[u8]) -> Vec<u8> {
    let mut bytes = vec![flag];
    bytes.extend((message.len() as u32).to_be_bytes());
    bytes.extend(message);
    bytes
}

fn http() -> reqwest::Client {
    reqwest::Client::builder().http2_prior_knowledge().build().unwrap()
}

async fn post(server: &Server, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Status {
    let mut request = http()
        .post(format!("{}/{path}", server.url()))
        .header("content-type", "application/grpc")
        .body(body);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 200);
    let status = Status::from_header_map(response.headers());
    status.unwrap_or_else(|| panic!("no status in the headers: {response:?}"))
}

#[track_caller]
fn assert_malformed(status: &Status, what: &str) {
    assert_eq!(status.code(), Code::InvalidArgument, "{what}: {status:?}");
    let reason = rpc::status::reason(status);
    assert_eq!(reason.as_deref(), Some("MALFORMED_REQUEST"), "{what}");
}

#[tokio::test]
async fn undecodable_requests_are_invalid_arguments() {
    let server = Server::plain().await;
    let not_utf8 = frame(0, b"\x0a\x02\xff\xfe");
    let cut_field = frame(0, b"\x0a\x7fab");
    let wrong_type = frame(0, b"\x08\x01");
    let bad_flag = frame(7, b"");
    let no_encoding = frame(1, b"\x00\x01");
    let mut cut_frame = frame(0, b"\x0a\x02ab");
    cut_frame.pop();
    for path in [GET, IMPORT] {
        for (what, body) in [
            ("not UTF-8", &not_utf8),
            ("a field longer than its message", &cut_field),
            ("a number in a text field", &wrong_type),
            ("an unknown flag", &bad_flag),
            ("compressed without an encoding", &no_encoding),
            ("a cut frame", &cut_frame),
        ] {
            // The first field of both request messages is a text.
            let status = post(&server, path, &[], body.clone()).await;
            assert_malformed(&status, &format!("{path}: {what}"));
        }
    }
    assert_malformed(&post(&server, GET, &[], Vec::new()).await, "no message at all");
}

#[tokio::test]
async fn too_large_messages_are_out_of_range() {
    let server = Server::plain().await;
    let body = frame(0, &vec![0; rpc::MAX_MESSAGE + 1]);
    let status = post(&server, GET, &[], body).await;
    assert_eq!(status.code(), Code::OutOfRange);
    assert_eq!(rpc::status::reason(&status).as_deref(), Some("MESSAGE_TOO_LARGE"));
    // The length prefix alone is enough.
    let status = post(&server, GET, &[], vec![0, 0xff, 0xff, 0xff, 0xff]).await;
    assert_eq!(status.code(), Code::OutOfRange);
}

#[tokio::test]
async fn unknown_encodings_and_methods_are_unimplemented() {
    let server = Server::plain().await;
    let message = frame(0, b"");
    let brotli = [("grpc-encoding", "br")];
    assert_eq!(post(&server, GET, &brotli, message.clone()).await.code(), Code::Unimplemented);
    for path in ["agon.problem.v1.ImportService/Nope", "no.such.Service/Get", "x"] {
        let status = post(&server, path, &[], message.clone()).await;
        assert_eq!(status.code(), Code::Unimplemented, "{path}");
        assert_eq!(rpc::status::reason(&status).as_deref(), Some("UNIMPLEMENTED"), "{path}");
        assert!(!status.message().is_empty(), "{path}");
    }
}

#[tokio::test]
async fn malformed_metadata_is_ignored() {
    let server = Server::plain().await;
    let url = format!("{}/{GET}", server.url());
    let response = http()
        .post(url)
        .header("content-type", "application/grpc")
        .header("grpc-timeout", "soon")
        .header("traceparent", "00-zz")
        .header("x-request-id", &b"\xff\xfe"[..])
        .body(frame(0, b""))
        .send()
        .await
        .unwrap();
    assert!(response.headers().get("grpc-status").is_none_or(|code| code == "0"));
    assert_eq!(response.headers()["x-request-id"].len(), 32);
}

#[tokio::test]
async fn other_http_requests_are_refused() {
    let server = Server::plain().await;
    let url = format!("{}/{GET}", server.url());
    assert_eq!(http().get(&url).send().await.unwrap().status(), 405);
    let json = http().post(&url).header("content-type", "application/json").body("{}");
    assert_eq!(json.send().await.unwrap().status(), 415);
    let http1 = reqwest::Client::builder().http1_only().build().unwrap();
    assert!(http1.get(&url).send().await.is_err());
}
