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
