//! Health and graceful shutdown.

use std::time::Duration;

use rpc::{Connections, Limits, Stack, status};
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::probe::{Client, Server, get};

#[tokio::test]
async fn health_reports_the_status() {
    let server = Server::plain().await;
    let mut client = HealthClient::new(server.remote());
    for service in ["", "agon.problem.v1.ImportService"] {
        let request = HealthCheckRequest { service: service.into() };
        let answer = client.check(request).await.unwrap().into_inner();
        assert_eq!(answer.status(), ServingStatus::Serving);
    }
    let unknown = HealthCheckRequest { service: "no.such.Service".into() };
    let status = client.check(unknown).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
    assert_eq!(status::reason(&status).as_deref(), Some("NOT_FOUND"));
    server.health.not_serving().await;
    let answer = client.check(HealthCheckRequest::default()).await.unwrap().into_inner();
    assert_eq!(answer.status(), ServingStatus::NotServing);
}

#[tokio::test]
async fn server_stops_within_the_grace_period() {
    let mut server = Server::plain().await;
    let mut client = Client::new(server.remote());
    assert!(client.get_problem_import(get("x")).await.is_ok());
    server.stop.take().unwrap().send(()).unwrap();
    tokio::time::timeout(Duration::from_secs(5), server.ended).await.unwrap().unwrap();
    assert!(client.get_problem_import(get("x")).await.is_err());
}

#[tokio::test]
async fn endless_streams_are_closed_after_the_grace_period() {
    let grace = Duration::from_millis(200);
    let connections = Connections { grace, ..Connections::default() };
    let limits = Limits { connections, ..Limits::default() };
    let mut server = Server::start(Stack::new(proto::DESCRIPTOR_SET), limits).await;
    let mut client = Client::new(server.remote());
    let mut stream = client
        .watch_problem_import(proto::problem::WatchProblemImportRequest::default())
        .await
        .unwrap()
        .into_inner();
    assert!(stream.message().await.unwrap().is_some());
    server.stop.take().unwrap().send(()).unwrap();
    tokio::time::timeout(Duration::from_secs(5), server.ended).await.unwrap().unwrap();
    assert!(stream.message().await.is_err());
}
