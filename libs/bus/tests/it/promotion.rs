//! From logs in SQLite files to Kafka, in the middle of everything.

use std::time::Duration;

use bus::promotion::{APART, Promotion};
use db::Db;
use db::promotion as tables;
use db::testing::{Kind, eventually};

use crate::world::World;

async fn copied(from: &Db, to: &Db) {
    for table in tables::tables(from, to, &APART).await.unwrap() {
        tables::copy(from, to, &table, |_| {}).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn consumers_go_on_where_they_were() {
    let Some(target) = World::on_kafka().await else { return };
    let source = World::new(&Kind::Sqlite).await;
    let (good, bad) = (source.user().await, source.user().await);
    source.mischief.park(bad);
    let running = source.start();
    for _ in 0..20 {
        source.user().await;
        source.update(good).await;
        source.update(bad).await;
    }
    source.all_applied(&[bad]).await;
    eventually("a key is parked", || async { source.dead_letters().await == 21 }).await;
    running.stop().await;
    // What nobody has applied yet.
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
    let mut seen = |what: &str, done: u64, total: u64| steps.push((what.to_owned(), done, total));
    promotion.check().await.unwrap();
    promotion.fill(&mut seen).await.unwrap();
    // Interrupted again and again, a little later each time.
    let mut patience = Duration::from_millis(50);
    loop {
        let attempt = tokio::time::timeout(patience, promotion.publish(&mut seen)).await;
        if let Ok(done) = attempt {
            done.unwrap();
            break;
        }
        patience *= 2;
    }
    promotion.check().await.unwrap();
    let count = promotion.settle(&mut seen).await.unwrap();
    assert_eq!(count, 2 + 20 * 3 + 3);
    assert_eq!(promotion.settle(&mut seen).await.unwrap(), count, "once more changes nothing");
    assert!(steps.iter().any(|(what, ..)| what == "publishing"), "{steps:?}");

    // The handler's effects are refused when they come a second time.
    target.mischief.park(bad);
    let (relay, running) = (target.relay(), target.start());
    target.all_applied(&[bad]).await;
    assert!(target.seen().await.contains_key(&late));
    eventually("its next event is parked too", || async { target.dead_letters().await == 22 })
        .await;
    target.mischief.behave();
    let replay = target.reader.transact(|mut tx| async move {
        tx.query("UPDATE dead_letters SET replay = $1").bind(true).execute().await
    });
    replay.await.unwrap();
    target.update(good).await;
    target.all_applied(&[]).await;
    target.assert_exactly_once().await;
    relay.stop().await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn topics_of_others_are_refused() {
    let Some(target) = World::on_kafka().await else { return };
    target.user().await;
    let relay = target.relay();
    let waiting = "SELECT count(*) FROM outbox";
    eventually("it is published", || async {
        target.auth.query(waiting).fetch_scalar::<i64>().await.unwrap() == 0
    })
    .await;
    relay.stop().await;
    let source = World::new(&Kind::Sqlite).await;
    source.user().await;
    let pairs = vec![(source.auth.db(), target.auth.db())];
    let refused = Promotion::new(target.bus.clone(), pairs).check().await.unwrap_err().to_string();
    assert!(refused.contains("agon.user.v1 is not empty"), "{refused}");
}
