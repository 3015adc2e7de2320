//! Creating submissions.

use proto::challenge::*;
use proto::problem::{Limits, Problem};
use tonic::Code;

use crate::world::*;

#[tokio::test]
async fn a_submission_is_durable_with_its_event() {
    each(|mut world| async move {
        let ada = world.user("ada");
        let made = world.submit(&ada).await;
        assert_eq!(made.state(), SubmissionState::Queued);
        assert_eq!((made.problem_version, made.source_size_bytes), (3, 13));
        assert_eq!(made.user_id, ada.id.to_string());
        assert_eq!(made.create_time.unwrap().seconds, START);
        assert_eq!(world.event_count("SubmissionCreated").await, 1);
        world.restart().await;
        let ada = world.user("ada");
        assert_eq!(world.get(&ada, &made.submission_id).await.unwrap(), made);
        assert_eq!(world.source(&ada, &made.submission_id).await.unwrap(), "int main() {}");
    })
    .await;
}

#[tokio::test]
async fn invalid_fields_are_named() {
    each(|world| async move {
        let ada = world.user("ada");
        let refused = async |change: fn(&mut CreateSubmissionRequest), fields: &[&str]| {
            let mut request = valid();
            change(&mut request);
            assert_invalid(world.create(&ada, request).await, fields);
        };
        refused(|r| r.problem_id.clear(), &["problem_id"]).await;
        refused(|r| r.problem_id = "../etc".into(), &["problem_id"]).await;
        refused(|r| r.problem_id = "a\0b".into(), &["problem_id"]).await;
        refused(|r| r.language = "C++\0".into(), &["language"]).await;
        refused(|r| r.language = "cobol".into(), &["language"]).await;
        refused(|r| r.source.clear(), &["source"]).await;
        refused(|r| r.source = "x".repeat(262_145), &["source"]).await;
        refused(|r| r.request_id = "r".repeat(129), &["request_id"]).await;
        let all = &["problem_id", "language", "source"];
        refused(|r| *r = CreateSubmissionRequest::default(), all).await;
        let largest = CreateSubmissionRequest { source: "x".repeat(262_144), ..valid() };
        assert_eq!(world.create(&ada, largest).await.unwrap().source_size_bytes, 262_144);
        let unusual = CreateSubmissionRequest { source: "a\0ü\u{1F600}\r\n".into(), ..valid() };
        let made = world.create(&ada, unusual).await.unwrap();
        let source = world.source(&ada, &made.submission_id).await.unwrap();
        assert_eq!(source, "a\0ü\u{1F600}\r\n");
        assert_eq!(world.event_count("SubmissionCreated").await, 2);
    })
    .await;
}

#[tokio::test]
async fn problems_limit_who_submits_and_the_size_of_sources() {
    each(|world| async move {
        let ada = world.user("ada");
        let on = |slug: &str| CreateSubmissionRequest { problem_id: slug.into(), ..valid() };
        let limits = Some(Limits { source_limit_bytes: 5, ..Limits::default() });
        world.fakes.add("tiny", Problem { published_version: 1, limits, ..Problem::default() });
        assert_invalid(world.create(&ada, on("tiny")).await, &["source"]);
        let short = CreateSubmissionRequest { source: "12345".into(), ..on("tiny") };
        world.create(&ada, short).await.unwrap();

        world.fakes.add("unpublished", Problem::default());
        let result = world.create(&ada, on("unpublished")).await;
        assert_refused(result, Code::FailedPrecondition, "NOT_PUBLISHED");
        let result = world.create(&ada, on("unknown")).await;
        assert_refused(result, Code::NotFound, "PROBLEM_NOT_FOUND");

        let bob = world.user("bob");
        world.fakes.problem("draft");
        world.fakes.owners.lock().unwrap().insert("draft".into(), bob.id);
        let result = world.create(&ada, on("draft")).await;
        assert_refused(result, Code::NotFound, "PROBLEM_NOT_FOUND");
        world.create(&bob, on("draft")).await.unwrap();

        let id = world.fakes.problem("by-id");
        assert_eq!(world.create(&ada, on(&id)).await.unwrap().problem_id, id);
    })
    .await;
}

#[tokio::test]
async fn submissions_are_accepted_while_no_worker_is_connected() {
    each(|world| async move {
        let ada = world.user("ada");
        world.fakes.offer(&[]);
        let request = CreateSubmissionRequest { language: "rust".into(), ..valid() };
        assert_eq!(world.create(&ada, request).await.unwrap().state(), SubmissionState::Queued);
        world.fakes.set_unavailable(true);
        assert_refused(world.create(&ada, valid()).await, Code::Unavailable, "PEER_UNAVAILABLE");
    })
    .await;
}

#[tokio::test]
async fn repeated_request_id_creates_one_submission() {
    each(|world| async move {
        let ada = world.user("ada");
        let request = CreateSubmissionRequest { request_id: "once".into(), ..valid() };
        let calls = (0..20).map(|_| world.create(&ada, request.clone()));
        let answers = futures_util::future::join_all(calls).await;
        let first = answers[0].as_ref().unwrap();
        assert!(answers.iter().all(|answer| answer.as_ref().unwrap() == first));
        assert_eq!(world.event_count("SubmissionCreated").await, 1);

        let other = CreateSubmissionRequest { source: "other".into(), ..request.clone() };
        let reused = world.create(&ada, other).await;
        assert_refused(reused, Code::InvalidArgument, "REQUEST_ID_REUSED");
        // Request ids of different users do not collide.
        let bobs = world.create(&world.user("bob"), request.clone()).await.unwrap();
        assert_ne!(bobs.submission_id, first.submission_id);
        // A retry needs no other service.
        world.fakes.set_unavailable(true);
        assert_eq!(&world.create(&ada, request).await.unwrap(), first);
    })
    .await;
}

/// The request with its strings as bytes.
#[derive(Clone, PartialEq, prost::Message)]
struct RawRequest {
    #[prost(bytes, tag = "1")]
    problem_id: Vec<u8>,
    #[prost(bytes, tag = "2")]
    language: Vec<u8>,
    #[prost(bytes, tag = "3")]
    source: Vec<u8>,
}

#[tokio::test]
async fn invalid_utf8_and_too_large_messages_are_refused() {
    each(|world| async move {
        let ada = world.user("ada");
        let send = async |source: Vec<u8>| {
            let raw =
                RawRequest { problem_id: b"a-plus-b".into(), language: b"cpp20".into(), source };
            let mut client = tonic::client::Grpc::new(world.running.channel.clone());
            client.ready().await.unwrap();
            let path = "/agon.challenge.v1.SubmissionService/CreateSubmission".parse().unwrap();
            let codec: tonic_prost::ProstCodec<RawRequest, CreateSubmissionResponse> =
                tonic_prost::ProstCodec::default();
            let request = access::testing::bearer(&ada.token, raw);
            client.unary(request, path, codec).await.unwrap_err().code()
        };
        assert_eq!(send(vec![0xff, 0xfe]).await, Code::InvalidArgument);
        let too_large = send(vec![b'x'; 5 << 20]).await;
        assert!(matches!(too_large, Code::OutOfRange | Code::ResourceExhausted), "{too_large:?}");
        assert_eq!(world.event_count("SubmissionCreated").await, 0);
    })
    .await;
}
