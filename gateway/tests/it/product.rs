//! The product's protos, remote services and shutdown.

use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tower::ServiceExt as _;
use transcode::Plan;

use crate::fixture::Edge;
use crate::library::{Library, Seen};

/// Serves the test service over HTTP/2.
async fn serve_remote(seen: std::sync::Arc<Seen>) -> (String, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let mut serving = JoinSet::new();
    serving.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            let service = Library(seen.clone())
                .map_request(|request: Request<Incoming>| request.map(tonic::body::Body::new));
            connections.spawn(async move {
                let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                let service = TowerToHyperService::new(service);
                let _ = server.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    (url, serving)
}

#[tokio::test]
async fn remote_services_are_called() {
    let seen = std::sync::Arc::new(Seen::default());
    let (url, _serving) = serve_remote(seen.clone()).await;
    let edge = Edge::with_channel(rpc::Channel::connect(&url).unwrap(), seen, |_| {}).await;
    assert_eq!(edge.get("/v1/books/b1").await.json()["title"], "About b1");
    assert_eq!(edge.get("/v1/books/code-5").await.status, 404);
    assert_eq!(edge.get("/v1/books:watch?count=3").await.text().lines().count(), 3);
    assert_eq!(edge.get("/v1/books/b1/text").await.text(), "one two three");
    let upload = edge.send("POST /v1/books/b1/text", &[], vec![1; 1_000_000]).await;
    assert_eq!(upload.json()["byteCount"], "1000000");
    let late = edge.send("GET /v1/books/hang", &[("grpc-timeout", "100m")], "").await;
    assert_eq!(late.status, 504, "{}", late.text());
    edge.running(0).await;

    for path in ["/v1/books/hang", "/v1/books:watch?then=hang"] {
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
        let stream = edge.connect(request).await;
        edge.running(1).await;
        drop(stream);
        edge.running(0).await;
    }
}

#[tokio::test]
async fn unreachable_services_are_unavailable() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let channel = rpc::Channel::connect(&format!("http://{free}")).unwrap();
    let edge = Edge::with_channel(channel, std::sync::Arc::default(), |_| {}).await;
    let response = edge.get("/v1/books/b1").await;
    assert_eq!((response.status.as_u16(), response.header("retry-after")), (503, "1"));
    assert!(!response.text().contains(&free.port().to_string()), "{}", response.text());
}

#[tokio::test]
async fn all_routes_of_the_product_are_served() {
    let plan = Plan::new(proto::DESCRIPTOR_SET).unwrap();
    assert!(plan.routes().len() > 30);
    let document = transcode::openapi(&plan);
    let mut refs = Vec::new();
    collect(&document, &mut refs);
    for target in refs {
        assert!(document.pointer(&target[1..]).is_some(), "{target}");
    }
    let paths = document["paths"].as_object().unwrap();
    let operations = paths.values().flat_map(|item| item.as_object().unwrap().values());
    for operation in operations {
        assert!(!operation["summary"].as_str().unwrap().is_empty(), "{operation}");
    }
    // The test service does not implement these RPCs, so valid requests get 501 and none gets 500.
    let edge = Edge::with_plan(plan, Library(std::sync::Arc::default())).await;
    for (path, item) in paths {
        for method in item.as_object().unwrap().keys() {
            let path = path.replace(['{', '}'], "x");
            let line = format!("{} {path}", method.to_uppercase());
            let bodies = [&b""[..], b"{", b"\xff\xfe", b"{\"nope\":1}", b"[[[[", b"null"];
            for body in bodies {
                let headers = [("content-type", "application/json")];
                let response = edge.send(&line, &headers, body.to_vec()).await;
                let status = response.status.as_u16();
                let fine = matches!(status, 200 | 400 | 415 | 501);
                assert!(fine, "{line} {body:?}: {status} {:?}", response.body);
            }
        }
    }
}

/// Generates TypeScript types from the OpenAPI document and compiles a client with them.
#[test]
fn typescript_client_compiles() {
    if std::env::var("AGON_TEST_REQUIRE_ENGINES").as_deref() != Ok("1") {
        eprintln!("skipped: needs npm; make test runs it");
        return;
    }
    let plan = Plan::new(proto::DESCRIPTOR_SET).unwrap();
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
    let document = folder.join("openapi.json");
    std::fs::write(&document, transcode::openapi(&plan).to_string()).unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/openapi/check.sh");
    let output = std::process::Command::new(script)
        .arg("client")
        .args([&folder.join("../tools"), &document])
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
}

fn collect(value: &Value, refs: &mut Vec<String>) {
    match value {
        Value::Object(object) => {
            refs.extend(object.get("$ref").and_then(Value::as_str).map(str::to_owned));
            object.values().for_each(|value| collect(value, refs));
        }
        Value::Array(list) => list.iter().for_each(|value| collect(value, refs)),
        _ => {}
    }
}

#[tokio::test]
async fn open_streams_do_not_block_shutdown() {
    let edge = Edge::start().await;
    let request = "GET /v1/books:watch?count=1&then=hang HTTP/1.1\r\nhost: x\r\n\r\n";
    let _stream = edge.connect(request).await;
    edge.running(1).await;
    edge.stop(Duration::from_secs(5)).await;
    assert!(TcpStream::connect(edge.address).await.is_err());
}
