//! The service with its test data in a bucket.

use std::time::Duration;

use db::testing::Kind;
use problem::{Config, testing};
use proto::problem::{self as pb, ImportState};
use tonic::Code;

use crate::judge::download;
use crate::package::Files;
use crate::world::{World, assert_refused, rejects_field};

#[tokio::test(flavor = "multi_thread")]
async fn test_data_is_stored_in_a_bucket() {
    let Some(objects) = testing::bucket() else { return };
    let world = World::open(&Kind::Sqlite, Config { objects, ..Config::default() }).await;
    world.judge();
    let setter = world.setter();
    let files = Files::valid().with("data/secret/1.in", "only here\n");
    let import = world.verified(&setter, &files, true).await;
    assert_eq!(import.state(), ImportState::Succeeded, "{import:?}");
    let problem_id = import.problem_id.clone();
    let data = pb::GetJudgeDataRequest { problem_id: problem_id.clone(), version: 1 };
    let found = world.judge_data().get_judge_data(data).await.unwrap().into_inner();
    let digest = found.judge_data.unwrap().tests[1].input.clone().unwrap().digest;
    // It is not in the data directory, and available after a restart.
    assert!(!world.data_dir().join("objects").exists());
    let world = world.restart().await;
    assert_eq!(download(&world.judge_data(), &digest).await.unwrap(), b"only here\n");

    let message = pb::DeleteProblemRequest { problem_id, ..Default::default() };
    world.problems_of(&setter).delete_problem(message).await.unwrap();
    world.clock().advance(Duration::from_secs(15 * 86_400));
    let removed = world.running.service.clean_up().await.unwrap();
    assert!(removed.problems == 1 && removed.objects > 3, "{removed:?}");
    let answer = download(&world.judge_data(), &digest).await;
    assert_refused(answer, Code::NotFound, "OBJECT_NOT_FOUND");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_unreferenced_objects_of_a_failed_import_are_removed() {
    for objects in testing::stores() {
        println!("on {}", objects.url);
        let world = World::open(&Kind::Sqlite, Config { objects, ..Config::default() }).await;
        let setter = world.setter();
        let options =
            || pb::ImportProblemRequest { request_id: "one".into(), ..Default::default() };
        let first = world.try_import(&setter, options(), &Files::valid().tar()).await.unwrap();
        let changed = Files::valid().with("data/secret/1.in", "only here\n");
        let refused = world.try_import(&setter, options(), &changed.tar()).await;
        rejects_field(refused, "request_id");
        // At once, without a list of the store. What the first import references stays.
        let clean_up = async || world.running.service.clean_up().await.unwrap().objects;
        assert_eq!((clean_up().await, clean_up().await), (1, 0));
        let (problem_id, version) = (first.problem_id, first.version);
        let data = pb::GetJudgeDataRequest { problem_id, version };
        let found = world.judge_data().get_judge_data(data).await.unwrap().into_inner();
        for test in found.judge_data.unwrap().tests {
            for object in test.input.into_iter().chain(test.answer) {
                download(&world.judge_data(), &object.digest).await.unwrap();
            }
        }
    }
}
