//! Many writers, several readers, crashes.

use std::time::{Duration, Instant};

use bus::{Event, outbox};
use db::testing;
use proto::event::{SubmissionCreated, UserUpdated};

use crate::world::{SECRETS, Slow, USERS, World, update_in};

/// Sixteen writers with transactions of random length over a few hot rows, one in ten rolled back.
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
                // In one order, because waiting for PostgreSQL to find deadlocks takes a second each.
                let mut some: Vec<usize> = (0..rand::random_range(1..4))
                    .map(|_| rand::random_range(0..users.len()))
                    .collect();
                some.sort_unstable();
                let (users, some) = (&users, &some);
                let result: db::Result<()> = db
                    .transact(|mut tx| async move {
                        for i in some {
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
async fn every_committed_event_once_and_in_order() {
    for kind in testing::kinds() {
        let _guard = testing::PrintOnPanic(&kind);
        let world = World::new(&kind).await;
        let running = world.start();
        write(&world, 25).await;
        world.all_applied(&[]).await;
        running.stop().await;
        world.assert_exactly_once().await;
    }
}

/// The hazard of a sequence: a later id that is visible earlier.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_commit_is_not_overtaken() {
    for kind in testing::kinds() {
        let _guard = testing::PrintOnPanic(&kind);
        let world = World::new(&kind).await;
        let (slow, fast) = (world.user().await, world.user().await);
        let running = world.start();
        world.all_applied(&[]).await;
        for _ in 0..5 {
            let db = world.auth.db();
            let slowly = tokio::spawn(async move {
                let mut tx = db.begin().await.unwrap();
                update_in(&mut tx, slow).await.unwrap();
                tx.at_commit::<Slow>().0 = Duration::from_millis(60);
                tx.commit().await.unwrap();
            });
            tokio::time::sleep(Duration::from_millis(20)).await;
            world.update(fast).await;
            slowly.await.unwrap();
            world.all_applied(&[]).await;
        }
        running.stop().await;
        world.assert_exactly_once().await;
    }
}

/// Two processes run the same consumer, and one of them dies in the middle.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_consumers_of_one_name_do_the_work_once() {
    for kind in testing::kinds() {
        let _guard = testing::PrintOnPanic(&kind);
        let world = World::new(&kind).await;
        let other = world.reopen().await;
        let (one, two) = (world.start(), other.start());
        write(&world, 8).await;
        two.kill().await;
        write(&world, 8).await;
        world.all_applied(&[]).await;
        one.stop().await;
        world.assert_exactly_once().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_in_the_middle_of_a_batch() {
    for kind in testing::kinds() {
        let _guard = testing::PrintOnPanic(&kind);
        let mut world = World::new(&kind).await;
        let mut users = Vec::new();
        for _ in 0..30 {
            users.push(world.user().await);
        }
        world.mischief.hang(users[20]);
        for _ in 0..3 {
            let running = world.start();
            tokio::time::sleep(Duration::from_millis(100)).await;
            running.kill().await;
            world = world.reopen().await;
        }
        world.mischief.behave();
        let running = world.start();
        world.all_applied(&[]).await;
        running.stop().await;
        world.assert_exactly_once().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_again_and_again() {
    for kind in testing::kinds() {
        let _guard = testing::PrintOnPanic(&kind);
        let mut world = World::new(&kind).await;
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
        running.stop().await;
        world.assert_exactly_once().await;
    }
}

#[tokio::test]
async fn consumers_wake_at_once() {
    for kind in testing::kinds() {
        let _guard = testing::PrintOnPanic(&kind);
        let world = World::new(&kind).await;
        let id = world.user().await;
        let _running = world.start();
        world.all_applied(&[]).await;
        let mut times = Vec::new();
        for _ in 0..9 {
            // Asleep by now, not just about to look again.
            tokio::time::sleep(Duration::from_millis(20)).await;
            let start = Instant::now();
            world.update(id).await;
            world.all_applied(&[]).await;
            times.push(start.elapsed());
        }
        times.sort();
        assert!(times[4] < Duration::from_millis(100), "{times:?}");
    }
}

#[tokio::test]
async fn only_what_belongs_into_the_log_is_committed() {
    for kind in testing::kinds() {
        let _guard = testing::PrintOnPanic(&kind);
        let world = World::new(&kind).await;
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
    }
}

/// Many events in one transaction are one batch of rows, in the order of the calls.
#[tokio::test]
async fn many_events_of_one_transaction() {
    for kind in testing::kinds() {
        let _guard = testing::PrintOnPanic(&kind);
        let world = World::new(&kind).await;
        let id = world.user().await;
        let mut tx = world.auth.begin().await.unwrap();
        for _ in 0..350 {
            update_in(&mut tx, id).await.unwrap();
        }
        tx.commit().await.unwrap();
        let running = world.start();
        world.all_applied(&[]).await;
        running.stop().await;
        world.assert_exactly_once().await;
    }
}
