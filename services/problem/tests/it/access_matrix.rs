//! Permissions of callers on problems and test data.

use access::Role;
use proto::problem as pb;
use proto::problem::judge_data_service_client::JudgeDataServiceClient;
use tonic::Code;

use crate::package::Files;
use crate::world::{User, World, assert_refused, each, rejects_field, request};

/// Tries all RPCs that change a problem; returns their codes.
async fn changes(world: &World, user: &User, id: &str) -> Vec<Code> {
    let problem_id = id.to_owned();
    let draft =
        pb::Problem { problem_id: problem_id.clone(), difficulty: 500, ..Default::default() };
    let update = pb::UpdateProblemRequest { problem: Some(draft), update_mask: None };
    let publish =
        pb::PublishProblemRequest { problem_id: problem_id.clone(), ..Default::default() };
    let versions =
        pb::ListProblemVersionsRequest { problem_id: problem_id.clone(), ..Default::default() };
    let version = pb::GetProblemVersionRequest { problem_id: problem_id.clone(), version: 1 };
    let delete = pb::DeleteProblemRequest { problem_id: problem_id.clone(), ..Default::default() };
    let undelete = pb::UndeleteProblemRequest { problem_id };
    let mut client = world.problems_of(user);
    let code = |status: Option<tonic::Status>| status.map_or(Code::Ok, |status| status.code());
    vec![
        code(client.update_problem(update).await.err()),
        code(client.publish_problem(publish).await.err()),
        code(client.list_problem_versions(versions).await.err()),
        code(client.get_problem_version(version).await.err()),
        code(client.delete_problem(delete).await.err()),
        code(client.undelete_problem(undelete).await.err()),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn public_problems_are_read_only_for_others() {
    each(|world| async move {
        let (setter, other) = (world.setter(), world.setter());
        world.judge();
        world.verified(&setter, &Files::valid(), true).await;
        let id = world.get(None, "twosum").await.unwrap().problem_id;
        assert_eq!(changes(&world, &other, &id).await, [Code::PermissionDenied; 6]);
        let judge = world.user("judge", &[Role::Judge]);
        assert_eq!(changes(&world, &judge, &id).await, [Code::PermissionDenied; 6]);
        assert_eq!(changes(&world, &setter, &id).await, [Code::Ok; 6]);
        let admin = world.user("admin", &[Role::Admin]);
        assert_eq!(changes(&world, &admin, &id).await, [Code::Ok; 6]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn drafts_are_not_found_for_others() {
    each(|world| async move {
        let (setter, other) = (world.setter(), world.setter());
        world.judge();
        world.verified(&setter, &Files::valid(), false).await;
        let id = world.get(Some(&setter.token), "twosum").await.unwrap().problem_id;
        for name in ["twosum", &id] {
            let player = world.user("player", &[]);
            for token in [None, Some(other.token.as_str()), Some(&player.token)] {
                let get = world.get(token, name).await;
                assert_refused(get, Code::NotFound, "PROBLEM_NOT_FOUND");
                let message =
                    pb::GetStatementRequest { problem_id: name.into(), ..Default::default() };
                let answer = world.problems().get_statement(request(token, message)).await;
                assert_refused(answer, Code::NotFound, "PROBLEM_NOT_FOUND");
                let message = pb::DownloadAttachmentRequest {
                    problem_id: name.into(),
                    name: "tool.txt".into(),
                };
                let answer = world.problems().download_attachment(request(token, message)).await;
                assert_refused(answer, Code::NotFound, "PROBLEM_NOT_FOUND");
            }
            assert_eq!(changes(&world, &other, name).await, [Code::NotFound; 6]);
        }
        // Users with a permission see the draft and its statement.
        let judge = world.user("judge", &[Role::Judge]);
        assert!(world.get(Some(&judge.token), "twosum").await.is_ok());
        let grant = format!("{} problem.problem.update problems/{id}", other.id);
        world.peers.grants.lock().unwrap().insert(grant);
        let message = pb::GetStatementRequest { problem_id: id, ..Default::default() };
        assert!(world.problems_of(&other).get_statement(message).await.is_ok());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn anonymous_callers_and_players_are_refused() {
    each(|world| async move {
        let player = world.user("player", &[]);
        let answer = world.create(&player, "first").await;
        assert_refused(answer, Code::PermissionDenied, "PERMISSION_MISSING");
        let tar = Files::valid().tar();
        let answer = world.try_import(&player, pb::ImportProblemRequest::default(), &tar).await;
        assert_refused(answer, Code::PermissionDenied, "PERMISSION_MISSING");
        let answer = world.problems().create_problem(pb::CreateProblemRequest::default()).await;
        assert_eq!(answer.unwrap_err().code(), Code::Unauthenticated);
        let message = pb::ListProblemImportsRequest::default();
        let answer = world.imports().list_problem_imports(message).await;
        assert_eq!(answer.unwrap_err().code(), Code::Unauthenticated);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn test_data_is_for_services_only() {
    each(|world| async move {
        let setter = world.setter();
        world.judge();
        let import = world.verified(&setter, &Files::valid(), true).await;
        let data = pb::GetJudgeDataRequest { problem_id: import.problem_id.clone(), version: 1 };
        let found = world.judge_data().get_judge_data(data.clone()).await.unwrap().into_inner();
        let digest = found.judge_data.unwrap().tests[1].input.clone().unwrap().digest;
        let object = pb::DownloadObjectRequest { digest: digest.clone() };
        let check =
            pb::GetVerificationRequest { verification_id: import.problem_import_id.clone() };
        let admin = world.user("admin", &[Role::Admin]);
        let mut client = JudgeDataServiceClient::new(world.running.channel.clone());
        for (token, expected) in [
            (None, Code::Unauthenticated),
            (Some(setter.token.as_str()), Code::PermissionDenied),
            (Some(&admin.token), Code::PermissionDenied),
        ] {
            let answer = client.get_judge_data(request(token, data.clone())).await;
            assert_eq!(answer.unwrap_err().code(), expected);
            let answer = client.download_object(request(token, object.clone())).await;
            assert_eq!(answer.unwrap_err().code(), expected);
            let answer = client.get_verification(request(token, check.clone())).await;
            assert_eq!(answer.unwrap_err().code(), expected);
        }
        let mut client = world.judge_data();
        let answer = client.get_verification(check).await;
        assert_refused(answer, Code::NotFound, "VERIFICATION_NOT_FOUND");
        let unknown = pb::GetJudgeDataRequest { version: 2, ..data };
        let answer = client.get_judge_data(unknown).await;
        assert_refused(answer, Code::NotFound, "VERSION_NOT_FOUND");
        let unknown = pb::DownloadObjectRequest { digest: "0".repeat(64) };
        let answer = client.download_object(unknown).await;
        assert_refused(answer, Code::NotFound, "OBJECT_NOT_FOUND");
        let wrong = pb::DownloadObjectRequest { digest: digest.to_uppercase() };
        rejects_field(client.download_object(wrong).await, "digest");
        // A damaged object is not delivered as if it were intact.
        let path = world.data_dir().join("objects").join(&digest[..2]).join(&digest[2..]);
        std::fs::write(path, "other").unwrap();
        let answer = crate::judge::download(&client, &digest).await;
        assert_refused(answer, Code::DataLoss, "OBJECT_DAMAGED");
    })
    .await;
}
