//! Reflection, which grpcurl uses.

use prost::Message;
use prost_types::FileDescriptorProto;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_reflection::pb::v1::{ServerReflectionRequest, ServerReflectionResponse};
use tonic_reflection::pb::v1alpha;

use crate::probe::Server;

async fn ask(server: &Server, request: MessageRequest) -> ServerReflectionResponse {
    let mut client = ServerReflectionClient::new(server.remote());
    let request = ServerReflectionRequest { host: String::new(), message_request: Some(request) };
    let answers = client.server_reflection_info(tokio_stream::once(request)).await.unwrap();
    answers.into_inner().message().await.unwrap().unwrap()
}

#[tokio::test]
async fn served_services_are_listed() {
    let server = Server::plain().await;
    let answer = ask(&server, MessageRequest::ListServices(String::new())).await;
    let Some(MessageResponse::ListServicesResponse(list)) = answer.message_response else {
        panic!("{answer:?}")
    };
    let names: Vec<_> = list.service.iter().map(|service| service.name.as_str()).collect();
    for name in [
        "agon.problem.v1.ImportService",
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
    ] {
        assert!(names.contains(&name), "{name} is missing from {names:?}");
    }
    assert!(!names.contains(&"agon.auth.v1.UserService"), "it is not served");
}

#[tokio::test]
async fn services_events_and_error_details_are_described() {
    let server = Server::plain().await;
    for symbol in [
        "agon.problem.v1.ImportService",
        "agon.event.v1.SubmissionCreated",
        "google.rpc.BadRequest",
        "google.rpc.ErrorInfo",
        "grpc.health.v1.Health",
    ] {
        let request = MessageRequest::FileContainingSymbol(symbol.into());
        let answer = ask(&server, request).await;
        let Some(MessageResponse::FileDescriptorResponse(files)) = answer.message_response else {
            panic!("{symbol}: {answer:?}")
        };
        let file = FileDescriptorProto::decode(files.file_descriptor_proto[0].as_slice()).unwrap();
        assert!(symbol.starts_with(file.package()), "{symbol}");
    }
}

#[tokio::test]
async fn v1alpha_is_supported() {
    let server = Server::plain().await;
    let mut client =
        v1alpha::server_reflection_client::ServerReflectionClient::new(server.remote());
    let request = v1alpha::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(
            v1alpha::server_reflection_request::MessageRequest::FileContainingSymbol(
                "agon.problem.v1.ImportService".into(),
            ),
        ),
    };
    let answers = client.server_reflection_info(tokio_stream::once(request)).await.unwrap();
    assert!(answers.into_inner().message().await.unwrap().unwrap().message_response.is_some());
}
