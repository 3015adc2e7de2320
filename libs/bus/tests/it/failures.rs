//! Failing handlers and restored databases.

use db::testing::{self, eventually};

use crate::world::{CONSUMER, World};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn permanent_failure_blocks_only_its_key() {
    for kind in testing::kinds() {
        let _guard = testing::PrintOnPanic(&kind);
        let world = World::new(&kind).await;
        let (good, bad) = (world.user().await, world.user().await);
        world.faults.fail_permanently(bad);
        let running = world.start();
        for _ in 0..5 {
            world.update(bad).await;
            world.update(good).await;
        }
        world.all_applied(&[bad]).await;
        eventually("all events of the bad key are dead letters", || async {
            world.dead_letters().await == 6
        })
        .await;
        let problem = world.bus.health().unwrap_err();
        assert!(problem.contains("1 keys of agon.user.v1 blocked"), "{problem}");
        assert_eq!(world.faults.calls(bad), 2, "once in its batch, once alone; later events never");
        running.stop().await;

        // The key stays blocked after a restart, although the handler is fixed.
        let world = world.reopen().await;
        world.faults.clear();
        let running = world.start();
        world.update(bad).await;
        world.update(good).await;
        world.all_applied(&[bad]).await;
        eventually("the next event is held", || async { world.dead_letters().await == 7 }).await;
        running.stop().await;
    }
}

#[tokio::test]
async fn eighth_failure_makes_a_dead_letter() {
    for kind in testing::kinds() {
        let _guard = testing::PrintOnPanic(&kind);
        let world = World::new(&kind).await;
        let (recovering, failing, panicking) =
            (world.user().await, world.user().await, world.user().await);
        world.faults.fail(recovering, 7);
        world.faults.fail(failing, 100);
        world.faults.panic(panicking);
        let running = world.start();
        world.all_applied(&[failing, panicking]).await;
        eventually("there are two dead letters", || async { world.dead_letters().await == 2 })
            .await;
        let (reason, attempts): (String, i64) = world
            .reader
            .query("SELECT reason, attempt_count FROM dead_letters WHERE aggregate_id = $1")
            .bind(panicking)
            .fetch_one()
            .await
            .unwrap();
        assert!(reason.contains("injected panic"), "{reason}");
        assert_eq!(attempts, 8);
        running.stop().await;
    }
}

#[tokio::test]
async fn transient_failures_are_retried_without_limit() {
    for kind in testing::kinds() {
        let _guard = testing::PrintOnPanic(&kind);
        let world = World::new(&kind).await;
        let id = world.user().await;
        world.faults.fail_transiently(id, 50);
        let running = world.start();
        world.all_applied(&[]).await;
        assert_eq!(world.dead_letters().await, 0);
        running.stop().await;
    }
}

#[tokio::test]
async fn consumer_stops_during_retries() {
    for kind in testing::kinds() {
        let _guard = testing::PrintOnPanic(&kind);
        let world = World::new(&kind).await;
        let id = world.user().await;
        world.faults.fail_transiently(id, u32::MAX);
        let running = world.start();
        eventually("the handler has failed", || async { world.faults.calls(id) > 3 }).await;
        assert!(world.bus.health().unwrap_err().contains("is retried: injected"));
        running.stop().await;
        world.faults.clear();
        let running = world.start();
        world.all_applied(&[]).await;
        running.stop().await;
        world.assert_exactly_once().await;
    }
}

/// The producer's database is restored from an older backup: the last events are missing.
#[tokio::test]
async fn restored_log_stops_the_consumer() {
    for kind in testing::kinds() {
        let _guard = testing::PrintOnPanic(&kind);
        let world = World::new(&kind).await;
        let id = world.user().await;
        for _ in 0..5 {
            world.update(id).await;
        }
        let running = world.start();
        world.all_applied(&[]).await;
        running.stop().await;
        assert!(world.bus.health().is_ok());

        world.auth.script("DELETE FROM event_log WHERE aggregate_version > 3").await;
        let world = world.reopen().await;
        let running = world.start();
        eventually("the consumer is stopped", || async { world.bus.health().is_err() }).await;
        let problem = world.bus.health().unwrap_err();
        assert!(problem.contains(CONSUMER) && problem.contains("was restored"), "{problem}");

        // An operator resets the cursor to the end of the log; no restart is needed.
        bus::reset_cursor(&world.reader, &world.auth, CONSUMER, "agon.user.v1").await.unwrap();
        eventually("the consumer continues", || async { world.bus.health().is_ok() }).await;
        world.update(id).await;
        world.all_applied(&[]).await;
        running.stop().await;
    }
}

#[tokio::test]
async fn replaced_event_at_the_cursor_stops_the_consumer() {
    for kind in testing::kinds() {
        let _guard = testing::PrintOnPanic(&kind);
        let world = World::new(&kind).await;
        let id = world.user().await;
        let running = world.start();
        world.all_applied(&[]).await;
        running.stop().await;
        let other = world.auth.clock().new_id();
        let mut tx = world.auth.begin().await.unwrap();
        tx.query("UPDATE event_log SET event_id = $1").bind(other).execute().await.unwrap();
        tx.commit().await.unwrap();
        let running = world.start();
        eventually("the consumer is stopped", || async { world.bus.health().is_err() }).await;
        world.update(id).await;
        assert_eq!(world.seen().await[&id], 1);
        running.stop().await;
    }
}
