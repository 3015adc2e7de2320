//! Poison, panics, patience, restored databases.

use db::testing::{self, eventually};

use crate::world::{CONSUMER, World};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_poisonous_event_holds_its_key_and_no_other() {
    for kind in testing::kinds() {
        let _guard = testing::PrintOnPanic(&kind);
        let world = World::new(&kind).await;
        let (good, bad) = (world.user().await, world.user().await);
        world.mischief.park(bad);
        let running = world.start();
        for _ in 0..5 {
            world.update(bad).await;
            world.update(good).await;
        }
        world.all_applied(&[bad]).await;
        eventually("all of the bad key are parked", || async { world.dead_letters().await == 6 })
            .await;
        let words = world.bus.health().unwrap_err();
        assert!(words.contains("parked 1 keys of agon.user.v1"), "{words}");
        assert_eq!(
            world.mischief.calls(bad),
            2,
            "in its batch, then once alone; the later ones never"
        );
        running.stop().await;

        // It goes on being parked after a restart, also when the handler is mended.
        let world = world.reopen().await;
        world.mischief.behave();
        let running = world.start();
        world.update(bad).await;
        world.update(good).await;
        world.all_applied(&[bad]).await;
        eventually("the next is parked too", || async { world.dead_letters().await == 7 }).await;
        running.stop().await;
    }
}

#[tokio::test]
async fn failures_are_tried_eight_times() {
    for kind in testing::kinds() {
        let _guard = testing::PrintOnPanic(&kind);
        let world = World::new(&kind).await;
        let (patient, hopeless, panics) =
            (world.user().await, world.user().await, world.user().await);
        world.mischief.fail(patient, 7);
        world.mischief.fail(hopeless, 100);
        world.mischief.panic(panics);
        let running = world.start();
        world.all_applied(&[hopeless, panics]).await;
        eventually("two are parked", || async { world.dead_letters().await == 2 }).await;
        let (reason, attempts): (String, i64) = world
            .reader
            .query("SELECT reason, attempt_count FROM dead_letters WHERE aggregate_id = $1")
            .bind(panics)
            .fetch_one()
            .await
            .unwrap();
        assert!(reason.contains("told to panic"), "{reason}");
        assert_eq!(attempts, 8);
        running.stop().await;
    }
}

#[tokio::test]
async fn what_is_away_for_a_while_is_waited_for() {
    for kind in testing::kinds() {
        let _guard = testing::PrintOnPanic(&kind);
        let world = World::new(&kind).await;
        let id = world.user().await;
        world.mischief.transient(id, 50);
        let running = world.start();
        world.all_applied(&[]).await;
        assert_eq!(world.dead_letters().await, 0);
        running.stop().await;
    }
}

#[tokio::test]
async fn a_consumer_can_be_stopped_while_it_tries_again() {
    for kind in testing::kinds() {
        let _guard = testing::PrintOnPanic(&kind);
        let world = World::new(&kind).await;
        let id = world.user().await;
        world.mischief.transient(id, u32::MAX);
        let running = world.start();
        eventually("it has failed", || async { world.mischief.calls(id) > 3 }).await;
        assert!(world.bus.health().unwrap_err().contains("is tried again: told to"));
        running.stop().await;
        world.mischief.behave();
        let running = world.start();
        world.all_applied(&[]).await;
        running.stop().await;
        world.assert_exactly_once().await;
    }
}

/// The producer's database comes from an older backup: the last events are gone, and new ones take their places.
#[tokio::test]
async fn a_restored_log_stops_the_consumer() {
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
        eventually("it stands still", || async { world.bus.health().is_err() }).await;
        let words = world.bus.health().unwrap_err();
        assert!(words.contains(CONSUMER) && words.contains("was restored"), "{words}");

        // The operator decides to go on from what there is now; no restart is needed.
        bus::reset_cursor(&world.reader, &world.auth, CONSUMER, "agon.user.v1").await.unwrap();
        eventually("it goes on", || async { world.bus.health().is_ok() }).await;
        world.update(id).await;
        world.all_applied(&[]).await;
        running.stop().await;
    }
}

#[tokio::test]
async fn another_event_in_the_place_of_the_last_one_is_noticed() {
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
        eventually("it stands still", || async { world.bus.health().is_err() }).await;
        world.update(id).await;
        assert_eq!(world.seen().await[&id], 1);
        running.stop().await;
    }
}
