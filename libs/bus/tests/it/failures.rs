//! Failing handlers and restored databases.

use db::testing::eventually;

use crate::world::{CONSUMER, Inject, World};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn permanent_failure_blocks_only_its_key() {
    World::on_each_database(async |world| {
        let (good, bad) = (world.user().await, world.user().await);
        world.faults.inject(bad, Inject::Permanent);
        let running = world.start();
        for _ in 0..5 {
            world.update(bad).await;
            world.update(good).await;
        }
        world.all_applied(&[bad]).await;
        world.has_dead_letters(6).await;
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
        world.has_dead_letters(7).await;
        running.stop().await;
    })
    .await;
}

#[tokio::test]
async fn eighth_failure_makes_a_dead_letter() {
    World::on_each_database(async |world| {
        let (recovering, failing, panicking) =
            (world.user().await, world.user().await, world.user().await);
        world.faults.inject(recovering, Inject::Failures(7));
        world.faults.inject(failing, Inject::Failures(100));
        world.faults.inject(panicking, Inject::Panic);
        let running = world.start();
        world.all_applied(&[failing, panicking]).await;
        world.has_dead_letters(2).await;
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
    })
    .await;
}

#[tokio::test]
async fn transient_failures_are_retried_without_limit() {
    World::on_each_database(async |world| {
        let id = world.user().await;
        world.faults.inject(id, Inject::Transient(50));
        let running = world.start();
        world.all_applied(&[]).await;
        assert_eq!(world.dead_letters().await, 0);
        running.stop().await;
    })
    .await;
}

#[tokio::test]
async fn consumer_stops_during_retries() {
    World::on_each_database(async |world| {
        let id = world.user().await;
        world.faults.inject(id, Inject::Transient(u32::MAX));
        let running = world.start();
        eventually("the handler has failed", || async { world.faults.calls(id) > 3 }).await;
        assert!(world.bus.health().unwrap_err().contains("is retried: injected"));
        running.stop().await;
        world.faults.clear();
        let running = world.start();
        world.all_applied(&[]).await;
        world.stop_and_check([running]).await;
    })
    .await;
}

/// The producer's database is restored from an older backup: the last events are missing.
#[tokio::test]
async fn restored_log_stops_the_consumer() {
    World::on_each_database(async |world| {
        let id = world.user().await;
        world.update_times(id, 5).await;
        let running = world.start();
        world.all_applied(&[]).await;
        running.stop().await;
        assert!(world.bus.health().is_ok());

        world.auth.script("DELETE FROM event_log WHERE aggregate_version > 3").await;
        let world = world.reopen().await;
        let running = world.start();
        world.reports("was restored").await;
        assert!(world.bus.health().unwrap_err().contains(CONSUMER));

        // An operator resets the cursor to the end of the log; no restart is needed.
        bus::reset_cursor(&world.reader, &world.auth, CONSUMER, "agon.user.v1").await.unwrap();
        world.recovers().await;
        world.update(id).await;
        world.all_applied(&[]).await;
        running.stop().await;
    })
    .await;
}

#[tokio::test]
async fn replaced_event_at_the_cursor_stops_the_consumer() {
    World::on_each_database(async |world| {
        let id = world.user().await;
        let running = world.start();
        world.all_applied(&[]).await;
        running.stop().await;
        let other = world.auth.clock().new_id();
        let mut tx = world.auth.begin().await.unwrap();
        tx.query("UPDATE event_log SET event_id = $1").bind(other).execute().await.unwrap();
        tx.commit().await.unwrap();
        let running = world.start();
        world.reports("was restored").await;
        world.update(id).await;
        assert_eq!(world.seen().await[&id], 1);
        running.stop().await;
    })
    .await;
}
