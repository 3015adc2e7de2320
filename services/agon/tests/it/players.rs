//! Scenarios of players, from registration to verdict.

use access::testing::bearer;
use proto::challenge::submission_service_client::SubmissionServiceClient;
use proto::challenge::{GetSubmissionRequest, SubmissionState, Verdict, WatchSubmissionRequest};
use reqwest::{Method, StatusCode};
use rpc::Channel;
use serde_json::{Value, json};

use crate::world::{C, CPP, PROBLEM, PYTHON, World, eventually};

pub async fn from_registration_to_verdict(world: &World) {
    let token = world.player("ada").await;
    let list = world.get("/v1/problems", None).await;
    assert_eq!(list["problems"][0]["slug"], PROBLEM, "{list}");
    let statement = world.get(&format!("/v1/problems/{PROBLEM}/statement"), None).await;
    assert!(!statement["samples"].as_array().unwrap().is_empty(), "{statement}");

    for (language, source) in [("c17", C), ("cpp20", CPP), ("python3", PYTHON)] {
        let judged = world.judged(&token, PROBLEM, language, source).await;
        assert_eq!(judged["verdict"], "VERDICT_ACCEPTED", "{judged}");
    }
    let wrong = world.judged(&token, PROBLEM, "python3", "print(0)\n").await;
    assert_eq!(wrong["verdict"], "VERDICT_WRONG_ANSWER", "{wrong}");
    let broken = world.judged(&token, PROBLEM, "c17", "int main( {").await;
    assert_eq!(broken["verdict"], "VERDICT_COMPILE_ERROR", "{broken}");

    for user in ["", "?userId=me", "?userId=ada"] {
        let list = world.get(&format!("/v1/submissions{user}"), Some(&token)).await;
        assert_eq!(list["submissions"].as_array().unwrap().len(), 5, "{user}: {list}");
    }
    let unknown =
        world.call(Method::GET, "/v1/submissions?userId=unknown", Some(&token), None).await;
    assert_eq!(unknown.0, 404, "{}", unknown.1);
}

pub async fn grpc_watch_ends_with_the_verdict(world: &World) {
    let token = world.player("grace").await;
    let body = json!({"problemId": PROBLEM, "language": "c17", "source": C});
    let created = world.post("/v1/submissions", Some(&token), body).await;
    let id = created["submissionId"].as_str().unwrap().to_owned();

    let channel = Channel::connect(&world.server.grpc).unwrap();
    let mut client = SubmissionServiceClient::new(channel);
    let watch = WatchSubmissionRequest { submission_id: id.clone() };
    let mut stream = client.watch_submission(bearer(&token, watch)).await.unwrap().into_inner();
    let mut last = None;
    while let Some(message) = stream.message().await.unwrap() {
        last = message.submission;
    }
    let last = last.unwrap();
    assert_eq!(last.state(), SubmissionState::Done);
    assert_eq!(last.verdict(), Verdict::Accepted);

    let get = GetSubmissionRequest { submission_id: id };
    let status = client.get_submission(get.clone()).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::Unauthenticated);
    let other = world.player("eve").await;
    let status = client.get_submission(bearer(&other, get)).await.unwrap_err();
    let hidden = [tonic::Code::NotFound, tonic::Code::PermissionDenied];
    assert!(hidden.contains(&status.code()), "{status:?}");
}

pub async fn request_id_makes_submission_idempotent(world: &World) {
    let token = world.player("barbara").await;
    let mut body = json!({
        "problemId": PROBLEM, "language": "python3", "source": PYTHON, "requestId": "once",
    });
    let first = world.post("/v1/submissions", Some(&token), body.clone()).await;
    let again = world.post("/v1/submissions", Some(&token), body.clone()).await;
    assert_eq!(first["submissionId"], again["submissionId"]);
    body["source"] = "print(1)".into();
    let (status, error) =
        world.call(Method::POST, "/v1/submissions", Some(&token), Some(body)).await;
    assert!(status.is_client_error(), "{status}: {error}");
    assert!(error.to_string().contains("request_id"), "{error}");
}

pub async fn deleted_session_is_revoked(world: &World) {
    let token = world.player("leslie").await;
    world.get("/v1/users/me", Some(&token)).await;
    let sessions = world.get("/v1/sessions", Some(&token)).await;
    let id = sessions["sessions"][0]["sessionId"].as_str().unwrap().to_owned();
    let path = format!("/v1/sessions/{id}");
    let (status, _) = world.call(Method::DELETE, &path, Some(&token), None).await;
    assert!(status.is_success());
    // Immediate within a process; other processes poll for revocations more than once per second.
    eventually("the session is revoked everywhere", async || {
        for _ in 0..8 {
            let (status, error) = world.call(Method::GET, "/v1/users/me", Some(&token), None).await;
            assert!(
                status == StatusCode::UNAUTHORIZED || world.setup.distributed,
                "{status}: {error}"
            );
            if status != StatusCode::UNAUTHORIZED {
                return None;
            }
            assert_error(&error);
        }
        Some(())
    })
    .await;
}

fn assert_error(error: &Value) {
    let text = error.to_string();
    assert!(text.contains("google.rpc.ErrorInfo") && text.contains("\"agon\""), "{text}");
}
