//! Concurrent writers and consumers, and crashes.

use std::time::{Duration, Instant};

use bus::{Event, outbox};
use proto::event::{SubmissionCreated, UserUpdated};

use crate::world::{Inject, SECRETS, Slow, USERS, World, update_in};

/// Sixteen writers update a few hot rows in transactions of random length; one in ten is rolled back.
pub async fn write(world: &World, rounds: usize) {
    let mut users = Vec::new();
    for _ in 0..10 {
        users.push(world.user().await);
    }
    let users = std::sync::Arc::new(users);
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
                        if rand::random_range(0..10) == 0 {
                            Err(db::Error::NotFound)
                        } else {
                            Ok(())
                        }
                    })
                    .await;
                assert!(matches!(result, Ok(()) | Err(db::Error::NotFound)), "{result:?}");
            }
        }));
    }
    for writer in writers {
        writer.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn committed_events_are_applied_exactly_once_in_order() {
    World::on_each_database(async |world| {
        let running = world.start();
        write(&world, 25).await;
        world.all_applied(&[]).await;
        world.stop_and_check([running]).await;
    })
    .await;
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

/// One of the two processes is killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_of_one_consumer_apply_each_event_once() {
    World::on_each_database(async |world| {
        let other = world.reopen().await;
        let (one, two) = (world.start(), other.start());
        write(&world, 8).await;
        two.kill().await;
        write(&world, 8).await;
        world.all_applied(&[]).await;
        world.stop_and_check([one]).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn crash_within_a_batch_applies_no_event_twice() {
    World::on_each_database(async |mut world: World| {
        let mut users = Vec::new();
        for _ in 0..30 {
            users.push(world.user().await);
        }
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
            for _ in 0..rand::random_range(1..20) {
                world.update(id).await;
            }
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
        let foreign =
            Event::new(&bus::Topic::new("agon.x.v1", "other").types(USERS.types), id, 1, &updated);
        for event in [undeclared, keyless, foreign] {
            let mut tx = world.auth.begin().await.unwrap();
            update_in(&mut tx, id).await.unwrap();
            outbox::append(&mut tx, event);
            assert!(matches!(tx.commit().await, Err(db::Error::Invalid(_))));
        }
        assert_eq!(world.committed(&[]).await[&id], 1);
        assert!(bus::Bus::embedded(vec![(crate::world::TOPICS, world.reader.db())]).is_err());
        let twice =
            vec![(crate::world::TOPICS, world.auth.db()), (crate::world::TOPICS, world.auth.db())];
        assert!(bus::Bus::embedded(twice).is_err());
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
