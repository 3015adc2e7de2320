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

/// A row of the log whose bytes are damaged, keyed by a user with later events.
#[tokio::test]
async fn undecodable_event_does_not_block_its_key() {
    World::on_each_database(async |world| {
        let id = world.user().await;
        world.update(id).await;
        let poison = world.auth.clock().new_id();
        world.append_undecodable(poison, id).await;
        world.update(id).await;
        let running = world.start();
        world.all_applied(&[]).await;
        world.has_dead_letters(1).await;
        assert!(world.bus.health().is_ok(), "{:?}", world.bus.health());

        // It is retried, fails again, and still blocks nothing.
        assert_eq!(world.replay(CONSUMER, id).await.unwrap(), 1);
        let attempts = "SELECT count(*) FROM dead_letters WHERE attempt_count = 2 AND NOT replay";
        let attempted =
            async || world.reader.query(attempts).fetch_scalar::<i64>().await.unwrap() == 1;
        eventually("the replay has failed", attempted).await;
        world.update(id).await;
        world.all_applied(&[]).await;
        assert_eq!(world.discard(CONSUMER, poison).await.unwrap(), 0);
        world.has_dead_letters(0).await;
        world.stop_and_check([running]).await;
    })
    .await;
}

#[tokio::test]
async fn replay_continues_after_an_undecodable_event() {
    World::on_each_database(async |world| {
        let id = world.user().await;
        world.append_undecodable(world.auth.clock().new_id(), id).await;
        world.update(id).await;
        world.faults.inject(id, Inject::Permanent);
        let running = world.start();
        world.has_dead_letters(3).await;
        world.faults.clear();
        assert_eq!(world.replay(CONSUMER, id).await.unwrap(), 3);
        world.all_applied(&[]).await;
        world.has_dead_letters(1).await;
        world.recovers().await;
        running.stop().await;
    })
    .await;
}

#[tokio::test]
async fn discarded_dead_letter_releases_the_events_held_behind_it() {
    World::on_each_database(async |world| {
        let id = world.user().await;
        world.faults.inject(id, Inject::Failures(16));
        let running = world.start();
        world.has_dead_letters(1).await;
        world.update_times(id, 3).await;
        world.has_dead_letters(4).await;
        world.faults.clear();
        let failed = "SELECT event_id FROM dead_letters WHERE NOT held";
        let failed = world.reader.query(failed).fetch_scalar().await.unwrap();
        assert_eq!(world.discard(CONSUMER, failed).await.unwrap(), 3);
        world.has_dead_letters(0).await;
        world.recovers().await;
        world.update(id).await;
        world.all_applied(&[]).await;
        assert!(world.bus.health().is_ok());
        let again = world.discard(CONSUMER, failed).await.unwrap_err();
        assert_eq!(rpc::status::reason(&again).as_deref(), Some("DEAD_LETTER_NOT_FOUND"));
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
