//! Housekeeping removes what is unreferenced, and nothing else.

use std::time::Duration;

use db::testing::Kind;
use problem::{Config, Removed};
use proto::problem as pb;
use tonic::Code;

use crate::package::Files;
use crate::world::{World, assert_refused, each};

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

fn objects(world: &World) -> usize {
    let directories = std::fs::read_dir(world.data_dir().join("objects")).unwrap();
    let count = |entry: std::fs::DirEntry| std::fs::read_dir(entry.path()).unwrap().count();
    directories.map(|entry| count(entry.unwrap())).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn deleted_problems_are_purged_with_their_objects() {
    each(|world| async move {
        let setter = world.setter();
        let kept = world.import(&setter, &Files::valid(), false).await;
        let other = Files::valid().with("data/secret/1.in", "only here\n");
        let options =
            pb::ImportProblemRequest { problem_id: "purged".into(), ..Default::default() };
        let purged = world.try_import(&setter, options, &other.tar()).await.unwrap();
        let before = objects(&world);
        let message = pb::DeleteProblemRequest {
            problem_id: purged.problem_id.clone(),
            ..Default::default()
        };
        world.problems_of(&setter).delete_problem(message).await.unwrap();
        // Too early to remove anything.
        assert_eq!(world.running.service.clean_up().await.unwrap(), Removed::default());
        world.clock().advance(DAY * 15);
        let setter =
            crate::world::User { token: world.running.issuer.user(setter.id, "s", &[]), ..setter };
        let removed = world.running.service.clean_up().await.unwrap();
        assert_eq!(removed, Removed { problems: 1, objects: 1 });
        assert_eq!(objects(&world), before - 1);
        let answer = world.get(Some(&setter.token), &purged.problem_id).await;
        assert_refused(answer, Code::NotFound, "PROBLEM_NOT_FOUND");
        assert!(world.get(Some(&setter.token), &kept.problem_id).await.is_ok());
        assert_eq!(world.running.service.clean_up().await.unwrap(), Removed::default());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_of_rejected_versions_are_removed_at_once() {
    each(|world| async move {
        let setter = world.setter();
        let clean_up = async || world.running.service.clean_up().await.unwrap().objects;
        world.import(&setter, &Files::valid(), false).await;
        let before = objects(&world);
        // Each has one object that the first version does not need.
        let rejected = [("data/secret/1.in", "rejected\n"), ("attachments/tool.txt", "canceled\n")]
            .map(|(file, text)| Files::valid().with(file, text));
        let canceled = world.import(&setter, &rejected[1], false).await;
        let id = canceled.problem_import_id.clone();
        let cancel = pb::CancelProblemImportRequest { problem_import_id: id.clone() };
        world.imports_of(&setter).cancel_problem_import(cancel).await.unwrap();
        assert_eq!(objects(&world), before + 1);
        assert_eq!((clean_up().await, objects(&world)), (1, before));
        let refused = world.attachment(&setter, &canceled.problem_id, "tool.txt").await;
        assert_refused(refused, Code::FailedPrecondition, "VERSION_REJECTED");

        world.judge();
        let failing = rejected[0].clone().with("submissions/accepted/a.py", "# WA\n");
        let failed = world.verified(&setter, &failing, false).await;
        assert_eq!(failed.state(), pb::ImportState::Failed);
        // The report stays.
        assert!(failed.checks.iter().any(|check| check.message.contains("expected AC")));
        // Its solution has the content of another one of the first version.
        assert_eq!((clean_up().await, objects(&world)), (1, before));

        // The same package again.
        let again = world.verified(&setter, &rejected[1], true).await;
        assert_eq!((again.state(), objects(&world)), (pb::ImportState::Succeeded, before + 1));
        assert_eq!(clean_up().await, 0);
        let found = world.attachment(&setter, &again.problem_id, "tool.txt").await.unwrap();
        assert_eq!(found, b"canceled\n");
        assert_eq!(world.finished(&setter, &id).await.state(), pb::ImportState::Canceled);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn migration_releases_the_objects_of_rejected_versions() {
    each(|world| async move {
        let setter = world.setter();
        let kept = world.import(&setter, &Files::valid(), false).await;
        let before = objects(&world);
        let files = Files::valid().with("data/secret/1.in", "rejected\n");
        let rejected = world.import(&setter, &files, false).await;
        assert_eq!((kept.version, rejected.version), (1, 2));
        // As an earlier release left it.
        world.db.script("UPDATE versions SET state = 'rejected' WHERE version = 2").await;
        assert_eq!(world.running.service.clean_up().await.unwrap().objects, 0);
        let migration =
            include_str!("../../../../migrations/problem/0005_release_rejected_versions.sql");
        world.db.script(migration).await;
        assert_eq!(world.running.service.clean_up().await.unwrap().objects, 1);
        assert_eq!(objects(&world), before);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_of_unfinished_imports_are_removed_after_a_day() {
    each(|world| async move {
        let setter = world.setter();
        world.import(&setter, &Files::valid(), false).await;
        let before = objects(&world);
        // Its process ended after it wrote an object.
        let digest = put(&world, "cd");
        pin(&world, &digest).await;
        world.clock().advance(Duration::from_secs(7200));
        assert_eq!(world.running.service.clean_up().await.unwrap().objects, 0, "it is pinned");
        world.clock().advance(DAY);
        assert_eq!(world.running.service.clean_up().await.unwrap().objects, 1, "it has expired");
        assert_eq!(objects(&world), before);
        assert_eq!(world.running.service.clean_up().await.unwrap(), Removed::default());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_that_the_database_does_not_know_are_removed_part_by_part() {
    each(|world| async move {
        let setter = world.setter();
        world.import(&setter, &Files::valid(), false).await;
        let before = objects(&world);
        world.clock().advance(Duration::from_secs(7200));
        // Each run lists the objects of one first byte, the next one an hour later.
        let hour = world.clock().now().timestamp() / 3600;
        let byte = |after: i64| format!("{:02x}", (hour + after).rem_euclid(256));
        put(&world, &byte(0));
        put(&world, &byte(255));
        let pinned = put(&world, &byte(1));
        pin(&world, &pinned).await;
        let clean_up = async || world.running.service.clean_up().await.unwrap().objects;
        assert_eq!(clean_up().await, 1);
        world.clock().advance(HOUR);
        assert_eq!((clean_up().await, objects(&world)), (0, before + 2));
        world.clock().advance(HOUR * 254);
        assert_eq!((clean_up().await, objects(&world)), (2, before), "the pin has expired, too");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn import_whose_pin_has_expired_is_refused() {
    // As if another process had expired it.
    let world = World::open(&Kind::Sqlite, Config::default()).await;
    let expire = "CREATE TRIGGER expire AFTER INSERT ON object_pins
                  BEGIN DELETE FROM object_pins WHERE digest = NEW.digest; END";
    world.db.script(expire).await;
    let import = world.try_import(&world.setter(), Default::default(), &Files::valid().tar()).await;
    assert_refused(import, Code::FailedPrecondition, "IMPORT_EXPIRED");
}

/// Writes an object whose digest has this beginning, and returns the digest.
fn put(world: &World, head: &str) -> String {
    let directory = world.data_dir().join("objects").join(head);
    std::fs::create_dir_all(&directory).unwrap();
    let tail = "e".repeat(62);
    std::fs::write(directory.join(&tail), "x").unwrap();
    format!("{head}{tail}")
}

async fn pin(world: &World, digest: &str) {
    let mut tx = world.db.begin().await.unwrap();
    let (id, now) = (tx.new_id(), tx.now());
    let query = "INSERT INTO object_pins (digest, pin_id, created_at) VALUES ($1, $2, $3)";
    tx.query(query).bind(digest).bind(id).bind(now).execute().await.unwrap();
    tx.commit().await.unwrap();
}
