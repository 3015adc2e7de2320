//! The product's own protos, and services that are elsewhere.

use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tower::ServiceExt as _;
use transcode::Plan;

use crate::fixture::Edge;
use crate::library::{Library, Seen};

/// Serves the library over HTTP/2, as another process would.
async fn remote(seen: std::sync::Arc<Seen>) -> (String, JoinSet<()>) {
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
async fn services_elsewhere() {
    let seen = std::sync::Arc::new(Seen::default());
    let (url, _serving) = remote(seen.clone()).await;
    let edge = Edge::over(rpc::Channel::connect(&url).unwrap(), seen, |_| {}).await;
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
        let mut stream = TcpStream::connect(edge.address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        edge.running(1).await;
        drop(stream);
        edge.running(0).await;
    }
}

#[tokio::test]
async fn services_that_are_not_there() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let channel = rpc::Channel::connect(&format!("http://{free}")).unwrap();
    let edge = Edge::over(channel, std::sync::Arc::default(), |_| {}).await;
    let answer = edge.get("/v1/books/b1").await;
    assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (503, "1"));
    assert!(!answer.text().contains(&free.port().to_string()), "{}", answer.text());
}

/// Every RPC with a binding is served; those without stay inside.
#[tokio::test]
async fn the_products_own_routes() {
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
    // Nobody serves behind this edge, so what is routed is unimplemented or wrong, never 500.
    let edge = Edge::of(plan, Library(std::sync::Arc::default())).await;
    for (path, item) in paths {
        for method in item.as_object().unwrap().keys() {
            let path = path.replace(['{', '}'], "x");
            let line = format!("{} {path}", method.to_uppercase());
            let bodies = [&b""[..], b"{", b"\xff\xfe", b"{\"nope\":1}", b"[[[[", b"null"];
            for body in bodies {
                let headers = [("content-type", "application/json")];
                let answer = edge.send(&line, &headers, body.to_vec()).await;
                let status = answer.status.as_u16();
                let fine = matches!(status, 200 | 400 | 415 | 501);
                assert!(fine, "{line} {body:?}: {status} {:?}", answer.body);
            }
        }
    }
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
async fn it_drains_before_it_stops() {
    let edge = Edge::start().await;
    let mut stream = TcpStream::connect(edge.address).await.unwrap();
    stream
        .write_all(b"GET /v1/books:watch?count=1&then=hang HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    edge.running(1).await;
    edge.stop(Duration::from_secs(5)).await;
    assert!(TcpStream::connect(edge.address).await.is_err());
}
