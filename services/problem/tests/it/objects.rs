//! The service with its test data in a bucket.

use std::time::Duration;

use db::testing::Kind;
use problem::{Config, testing};
use proto::problem::{self as pb, ImportState};
use tonic::Code;

use crate::judge::download;
use crate::package::Files;
use crate::world::{World, assert_refused};

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
