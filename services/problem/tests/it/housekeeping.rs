//! Housekeeping removes what is unreferenced, and nothing else.

use std::time::Duration;

use problem::Removed;
use proto::problem as pb;
use tonic::Code;

use crate::package::Files;
use crate::world::{World, assert_refused, each};

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
        let orphan = world.data_dir().join("objects/ab");
        std::fs::create_dir_all(&orphan).unwrap();
        std::fs::write(orphan.join("c".repeat(62)), "x").unwrap();
        let pinned = world.data_dir().join("objects/cd");
        std::fs::create_dir_all(&pinned).unwrap();
        std::fs::write(pinned.join("e".repeat(62)), "x").unwrap();
        let mut tx = world.db.begin().await.unwrap();
        let (id, now) = (tx.new_id(), tx.now());
        tx.query("INSERT INTO object_pins (digest, pin_id, created_at) VALUES ($1, $2, $3)")
            .bind(format!("cd{}", "e".repeat(62)))
            .bind(id)
            .bind(now)
            .execute()
            .await
            .unwrap();
        tx.commit().await.unwrap();
        let before = objects(&world);
        assert_eq!(world.running.service.clean_up().await.unwrap().objects, 0, "too young");
        world.clock().advance(Duration::from_secs(7200));
        assert_eq!(world.running.service.clean_up().await.unwrap().objects, 1);
        assert_eq!(objects(&world), before - 1);
        world.clock().advance(DAY);
        assert_eq!(
            world.running.service.clean_up().await.unwrap().objects,
            1,
            "its pin has expired"
        );
    })
    .await;
}
