//! Concurrent writers and consumers, and crashes.

use std::time::{Duration, Instant};

use bus::{Event, outbox};
use proto::event::{SubmissionCreated, UserUpdated};

use crate::world::{Inject, SECRETS, Slow, TOPICS, USERS, World, update_in};

/// Sixteen writers update a few hot rows in transactions of random length; one in ten is rolled back.
pub async fn write(world: &World, rounds: usize) {
    let users = std::sync::Arc::new(world.users(10).await);
    let mut writers = Vec::new();
    for _ in 0..16 {
        let (db, users) = (world.auth.db(), users.clone());
        writers.push(tokio::spawn(async move {
            for _ in 0..rounds {
                // Sorted, because PostgreSQL takes a second to detect a deadlock.
                let mut indexes: Vec<usize> = (0..rand::random_range(1..4))
                    .map(|_| rand::random_range(0..users.len()))
                    .collect();
                indexes.sort_unstable();
                let (users, indexes) = (&users, &indexes);
                let result: db::Result<()> = db
                    .transact(|mut tx| async move {
                        for i in indexes {
                            update_in(&mut tx, users[*i]).await?;
                            let pause = rand::random_range(0..1500);
                            tokio::time::sleep(Duration::from_micros(pause)).await;
                        }
                        tx.at_commit::<Slow>().0 =
                            Duration::from_micros(rand::random_range(0..1500));
                        match rand::random_range(0..10) {
                            0 => Err(db::Error::NotFound),
                            _ => Ok(()),
                        }
                    })
                    .await;
                assert!(matches!(result, Ok(()) | Err(db::Error::NotFound)), "{result:?}");
            }
        }));
    }
    futures_util::future::try_join_all(writers).await.unwrap();
}

/// Without a lock, a higher id of a sequence may be visible before a lower one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_of_a_slow_commit_are_not_skipped() {
    World::on_each_database(async |world| {
        let (slow, fast) = (world.user().await, world.user().await);
        let running = world.start();
        world.all_applied(&[]).await;
        for _ in 0..5 {
            let db = world.auth.db();
            let slow_commit = tokio::spawn(async move {
                let mut tx = db.begin().await.unwrap();
                update_in(&mut tx, slow).await.unwrap();
                tx.at_commit::<Slow>().0 = Duration::from_millis(60);
                tx.commit().await.unwrap();
            });
            tokio::time::sleep(Duration::from_millis(20)).await;
            world.update(fast).await;
            slow_commit.await.unwrap();
            world.all_applied(&[]).await;
        }
        world.stop_and_check([running]).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_are_applied_exactly_once_although_one_of_two_processes_is_killed() {
    World::on_each_database(async |world| {
        let other = world.reopen().await;
        let (one, two) = (world.start(), other.start());
        write(&world, 13).await;
        two.kill().await;
        write(&world, 12).await;
        world.all_applied(&[]).await;
        world.stop_and_check([one]).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn crash_within_a_batch_applies_no_event_twice() {
    World::on_each_database(async |mut world: World| {
        let users = world.users(30).await;
        world.faults.inject(users[20], Inject::Hang);
        for _ in 0..3 {
            let running = world.start();
            tokio::time::sleep(Duration::from_millis(100)).await;
            running.kill().await;
            world = world.reopen().await;
        }
        world.faults.clear();
        let running = world.start();
        world.all_applied(&[]).await;
        world.stop_and_check([running]).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn repeated_kills_lose_no_event() {
    World::on_each_database(async |mut world: World| {
        let id = world.user().await;
        for _ in 0..15 {
            let running = world.start();
            world.update_times(id, rand::random_range(1..20)).await;
            running.kill().await;
            world = world.reopen().await;
        }
        let running = world.start();
        world.all_applied(&[]).await;
        world.stop_and_check([running]).await;
    })
    .await;
}

#[tokio::test]
async fn consumer_wakes_up_after_a_commit() {
    World::on_each_database(async |world| {
        let id = world.user().await;
        let _running = world.start();
        world.all_applied(&[]).await;
        let mut times = Vec::new();
        for _ in 0..9 {
            // Long enough for the consumer to be waiting, not about to read.
            tokio::time::sleep(Duration::from_millis(20)).await;
            let start = Instant::now();
            world.update(id).await;
            world.all_applied(&[]).await;
            times.push(start.elapsed());
        }
        times.sort();
        assert!(times[4] < Duration::from_millis(100), "{times:?}");
    })
    .await;
}

#[tokio::test]
async fn invalid_events_prevent_the_commit() {
    World::on_each_database(async |world| {
        let id = world.user().await;
        let updated = UserUpdated::default();
        let undeclared = Event::new(&SECRETS, id, 1, &SubmissionCreated::default());
        let keyless = Event::new(&USERS, ids::Uuid::nil(), 1, &updated);
        let other = bus::Topic::new("agon.x.v1", "other").types(USERS.types);
        let foreign = Event::new(&other, id, 1, &updated);
        for event in [undeclared, keyless, foreign] {
            let mut tx = world.auth.begin().await.unwrap();
            update_in(&mut tx, id).await.unwrap();
            outbox::append(&mut tx, event);
            assert!(matches!(tx.commit().await, Err(db::Error::Invalid(_))));
        }
        assert_eq!(world.committed(&[]).await[&id], 1);
        assert!(bus::Bus::embedded(vec![(TOPICS, world.reader.db())]).is_err());
        assert!(bus::Bus::embedded(vec![(TOPICS, world.auth.db()); 2]).is_err());
    })
    .await;
}

#[tokio::test]
async fn events_of_a_large_transaction_keep_their_order() {
    World::on_each_database(async |world| {
        let id = world.user().await;
        let mut tx = world.auth.begin().await.unwrap();
        for _ in 0..350 {
            update_in(&mut tx, id).await.unwrap();
        }
        tx.commit().await.unwrap();
        let running = world.start();
        world.all_applied(&[]).await;
        world.stop_and_check([running]).await;
    })
    .await;
}
