//! Events for which a handler does nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bus::{Fault, Handler, Received};
use db::Tx;
use db::testing::eventually;
use proto::event::UserRegistered;

use crate::world::{CONSUMER, Running, USERS, World};

/// Handles registrations, and counts the other events that it was asked about.
#[derive(Clone, Default)]
struct Registrations(Arc<AtomicUsize>);

impl Handler for Registrations {
    fn handles(&self, event: &Received) -> bool {
        let handles = event.is::<UserRegistered>();
        self.0.fetch_add(usize::from(!handles), Ordering::SeqCst);
        handles
    }

    async fn handle(&self, tx: &mut Tx, event: &Received) -> Result<(), Fault> {
        if event.is::<UserRegistered>() {
            let insert = tx.query("INSERT INTO applied VALUES ($1, $2, $3)");
            insert.bind_all((event.id, event.aggregate_id, event.version)).execute().await?;
        }
        Ok(())
    }
}

impl Registrations {
    fn start(&self, world: &World) -> Running {
        let consumer = world.bus.consumer(CONSUMER, world.reader.db(), &[USERS.name], self.clone());
        Running::new(|stop| consumer.unwrap().run(stop))
    }

    async fn skipped(&self, count: usize) {
        let condition = || async { self.0.load(Ordering::SeqCst) >= count };
        eventually(&format!("{count} events are skipped"), condition).await;
    }
}

async fn cursor(world: &World) -> i64 {
    let query = "SELECT log_id FROM consumer_cursors";
    world.reader.query(query).fetch_scalar().await.unwrap()
}

async fn applied(world: &World, count: i64) {
    let query = "SELECT count(*) FROM applied";
    let condition =
        || async { world.reader.query(query).fetch_scalar::<i64>().await.unwrap() == count };
    eventually(&format!("{count} events are applied"), condition).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_without_effect_are_skipped_without_a_transaction() {
    World::on_each_database(async |world| {
        let handler = Registrations::default();
        let user = world.user().await;
        let running = handler.start(&world);
        applied(&world, 1).await;
        let before = cursor(&world).await;
        world.update_times(user, 5).await;
        handler.skipped(5).await;
        running.stop().await;
        assert_eq!(cursor(&world).await, before);
        // They are skipped again after a restart. Later events are applied, and move the cursor.
        let running = handler.start(&world);
        handler.skipped(10).await;
        world.user().await;
        applied(&world, 2).await;
        running.stop().await;
        assert_eq!(cursor(&world).await, before + 6);
        // Many skipped events move the cursor, too.
        world.update_times(user, 1001).await;
        let running = handler.start(&world);
        eventually("the cursor follows", || async { cursor(&world).await > before + 6 }).await;
        running.stop().await;
    })
    .await;
}
