//! Promotion from event logs in SQLite files to Kafka.

use std::time::Duration;

use bus::promotion::{MOVED_TABLES, Promotion};
use db::Db;
use db::promotion as tables;
use db::testing::Kind;

use crate::world::{Inject, World};

async fn copied(from: &Db, to: &Db) {
    for table in tables::tables(from, to, &MOVED_TABLES).await.unwrap() {
        tables::copy(from, to, &table, |_| {}).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn promoted_consumers_continue_after_their_last_event() {
    let Some(target) = World::on_kafka().await else { return };
    let source = World::new(&Kind::Sqlite).await;
    let (good, bad) = (source.user().await, source.user().await);
    source.faults.inject(bad, Inject::Permanent);
    let running = source.start();
    for _ in 0..20 {
        source.user().await;
        source.update(good).await;
        source.update(bad).await;
    }
    source.all_applied(&[bad]).await;
    source.has_dead_letters(21).await;
    running.stop().await;
    // Events that are not applied yet.
    source.update(good).await;
    source.update(bad).await;
    let late = source.user().await;

    let pairs =
        vec![(source.auth.db(), target.auth.db()), (source.reader.db(), target.reader.db())];
    for (from, to) in &pairs {
        tables::begin(to, source.auth.clock().new_id()).await.unwrap();
        copied(from, to).await;
    }
    let promotion = Promotion::new(target.bus.clone(), pairs);
    let mut steps = Vec::new();
    let mut progress =
        |step: &str, done: u64, total: u64| steps.push((step.to_owned(), done, total));
    promotion.check().await.unwrap();
    promotion.fill_outboxes(&mut progress).await.unwrap();
    // Interrupt it repeatedly, later each time.
    let mut timeout = Duration::from_millis(50);
    loop {
        match tokio::time::timeout(timeout, promotion.publish(&mut progress)).await {
            Ok(done) => break done.unwrap(),
            Err(_) => timeout *= 2,
        }
    }
    promotion.check().await.unwrap();
    let count = promotion.move_cursors(&mut progress).await.unwrap();
    assert_eq!(count, 2 + 20 * 3 + 3);
    // Repeating it changes nothing.
    assert_eq!(promotion.move_cursors(&mut progress).await.unwrap(), count);
    assert!(steps.iter().any(|(step, ..)| step == "publishing"), "{steps:?}");

    // The handler's inserts would fail if an event was applied twice.
    target.faults.inject(bad, Inject::Permanent);
    let (relay, running) = (target.relay(), target.start());
    target.all_applied(&[bad]).await;
    assert!(target.seen().await.contains_key(&late));
    target.has_dead_letters(22).await;
    target.faults.clear();
    target.reader.script("UPDATE dead_letters SET replay = TRUE").await;
    target.update(good).await;
    target.all_applied(&[]).await;
    target.stop_and_check([relay, running]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn topics_with_foreign_events_are_refused() {
    let Some(target) = World::on_kafka().await else { return };
    target.user().await;
    let relay = target.relay();
    target.outbox_has(0).await;
    relay.stop().await;
    let source = World::new(&Kind::Sqlite).await;
    source.user().await;
    let pairs = vec![(source.auth.db(), target.auth.db())];
    let refused = Promotion::new(target.bus.clone(), pairs).check().await.unwrap_err().to_string();
    assert!(refused.contains("agon.user.v1 is not empty"), "{refused}");
}
