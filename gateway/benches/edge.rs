//! CPU time of a call through the gateway, compared with the same gRPC call. Both run in process on
//! one thread without sockets.

use axum::body::Body;
use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use gateway::{Config, Gateway};
use http::Request;
use http_body_util::BodyExt as _;
use tonic::client::Grpc;
use tonic_prost::ProstCodec;
use tower::ServiceExt as _;
use transcode::Plan;

#[path = "../tests/it/library.rs"]
mod library;

use library::{GetBookRequest, HasBook, Library};

async fn get_by_rest(router: axum::Router) -> Bytes {
    let request = Request::get("/v1/books/b1").body(Body::empty()).unwrap();
    let response = router.oneshot(request).await.unwrap();
    response.into_body().collect().await.unwrap().to_bytes()
}

async fn get_by_grpc(mut grpc: Grpc<Library>) -> HasBook {
    let request = tonic::Request::new(GetBookRequest { book_id: "b1".into() });
    let path = http::uri::PathAndQuery::from_static("/agon.test.v1.LibraryService/GetBook");
    grpc.ready().await.unwrap();
    grpc.unary(request, path, ProstCodec::default()).await.unwrap().into_inner()
}

fn get(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let library = Library(std::sync::Arc::default());
    let plan = Plan::new(library::descriptors()).unwrap();
    let gateway =
        Gateway::open(Config::default(), plan, library.clone(), rpc::Trusted::default(), None)
            .unwrap();
    let mut group = criterion.benchmark_group("get");
    let router = gateway.router();
    group.bench_function("rest", |b| b.to_async(&runtime).iter(|| get_by_rest(router.clone())));
    let grpc = Grpc::new(library);
    group.bench_function("grpc", |b| b.to_async(&runtime).iter(|| get_by_grpc(grpc.clone())));
    group.finish();
}

criterion_group!(benches, get);
criterion_main!(benches);
