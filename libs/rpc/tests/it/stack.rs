//! Context, deadlines, panics and load shedding, over the network and in process.

use std::time::{Duration, Instant};

use proto::problem::{ImportProblemRequest, WatchProblemImportRequest};
use rpc::{Context, Limits, Stack, status};
use tonic::{Code, Request};

use crate::probe::{Server, get};

#[tokio::test]
async fn calls_inherit_the_context() {
    let server = Server::plain().await;
    for mut client in server.clients() {
        let trace_id = "4bf92f3577b34da6a3ce929d0e0e4736";
        let traceparent = format!("00-{trace_id}-00f067aa0ba902b7-00");
        let context = Context::continuing(Some(&traceparent));
        let work = async {
            let id = client.get_problem_import(get("request-id")).await.unwrap();
            let echoed = id.metadata().get("x-request-id").unwrap().to_str().unwrap().to_owned();
            let trace = client.get_problem_import(get("trace-id")).await.unwrap();
            (id.into_inner().problem_import.unwrap().problem_import_id, echoed, trace.into_inner())
        };
        let (id, echoed, trace) = context.clone().scope(work).await;
        assert_eq!(id, *context.request_id);
        assert_eq!(echoed, id);
        assert_eq!(trace.problem_import.unwrap().problem_import_id, trace_id);
    }
}

#[tokio::test]
async fn streams_keep_their_context() {
    let server = Server::plain().await;
    for mut client in server.clients() {
        let mut request = Request::new(WatchProblemImportRequest::default());
        request.metadata_mut().insert("x-request-id", "stream-1".parse().unwrap());
        let mut stream = client.watch_problem_import(request).await.unwrap().into_inner();
        let message = stream.message().await.unwrap().unwrap();
        assert_eq!(message.problem_import.unwrap().problem_import_id, "stream-1");
    }
}

#[tokio::test]
async fn client_streams_work() {
    let server = Server::plain().await;
    for mut client in server.clients() {
        let parts = tokio_stream::iter(vec![ImportProblemRequest::default(); 3]);
        let answer = client.import_problem(parts).await.unwrap().into_inner();
        assert_eq!(answer.problem_import.unwrap().problem_import_id, "3");
    }
}

#[tokio::test]
async fn faults_and_panics_are_internal_without_details() {
    let server = Server::plain().await;
    for mut client in server.clients() {
        for id in ["panic", "fault"] {
            let status = client.get_problem_import(get(id)).await.unwrap_err();
            assert_eq!(status.code(), Code::Internal);
            assert_eq!(status::reason(&status).as_deref(), Some("INTERNAL"));
            assert!(!format!("{status:?}").contains("secret"), "{status:?}");
        }
        let request = WatchProblemImportRequest { problem_import_id: "panic".into() };
        let mut stream = client.watch_problem_import(request).await.unwrap().into_inner();
        assert!(stream.message().await.unwrap().is_some());
        assert_eq!(stream.message().await.unwrap_err().code(), Code::Internal);
        // The server still answers.
        assert!(client.get_problem_import(get("x")).await.is_ok());
    }
}

#[tokio::test]
async fn deadlines_end_calls_and_streams() {
    let server = Server::plain().await;
    for mut client in server.clients() {
        let start = Instant::now();
        let mut request = Request::new(get("slow"));
        request.set_timeout(Duration::from_millis(100));
        let status = client.get_problem_import(request).await.unwrap_err();
        assert_eq!(status.code(), Code::DeadlineExceeded, "{status:?}");
        let mut request = Request::new(WatchProblemImportRequest::default());
        request.set_timeout(Duration::from_millis(100));
        let mut stream = client.watch_problem_import(request).await.unwrap().into_inner();
        assert!(stream.message().await.unwrap().is_some());
        let status = stream.message().await.unwrap_err();
        let expected = [Code::DeadlineExceeded, Code::Cancelled];
        assert!(expected.contains(&status.code()), "{status:?}");
        assert!(start.elapsed() < Duration::from_secs(10));
    }
}

#[tokio::test]
async fn unary_calls_have_a_default_deadline() {
    let stack = Stack::new(proto::DESCRIPTOR_SET).deadline(Duration::from_millis(100));
    let server = Server::start(stack, Limits::default()).await;
    for mut client in server.clients() {
        let status = client.get_problem_import(get("slow")).await.unwrap_err();
        assert_eq!(status.code(), Code::DeadlineExceeded);
        assert_eq!(status::reason(&status).as_deref(), Some("DEADLINE_EXCEEDED"));
    }
}

#[tokio::test]
async fn overload_is_shed_with_retry_info() {
    let stack = Stack::new(proto::DESCRIPTOR_SET).in_flight(1);
    let server = Server::start(stack, Limits::default()).await;
    let [mut remote, mut local] = server.clients();
    let mut other = remote.clone();
    let slow = async move { other.get_problem_import(get("slow")).await };
    let probe = async move {
        let shed = loop {
            if let Err(status) = remote.get_problem_import(get("x")).await {
                break status;
            }
            tokio::task::yield_now().await;
        };
        assert_eq!(shed.code(), Code::Unavailable);
        assert_eq!(status::reason(&shed).as_deref(), Some("OVERLOADED"));
        assert!(status::retry_after(&shed).is_some());
        // In-process calls are not shed.
        assert!(local.get_problem_import(get("x")).await.is_ok());
    };
    tokio::select! {
        _ = slow => panic!("the slow call ended first"),
        () = probe => {}
        () = tokio::time::sleep(Duration::from_secs(20)) => panic!("nothing was shed"),
    }
}

#[tokio::test]
async fn an_unset_local_is_unavailable() {
    let mut client = crate::probe::Client::new(rpc::Local::new().into());
    let status = client.get_problem_import(get("x")).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
}
