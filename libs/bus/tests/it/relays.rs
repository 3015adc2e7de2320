//! Several relays of one outbox, some suspended for longer than their leases.

use std::pin::pin;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::concurrency::write;
use crate::world::World;

/// Longer than the TTL of a lease.
const PAST_LEASE: Duration = Duration::from_secs(17);

/// Suspends a future while `paused` is true, like a process that got SIGSTOP.
async fn suspend(mut paused: watch::Receiver<bool>, work: impl Future<Output = ()>) {
    let mut work = pin!(work);
    loop {
        drop(paused.wait_for(|paused| !paused).await);
        tokio::select! {
            biased;
            () = async { drop(paused.wait_for(|paused| *paused).await) } => {}
            () = &mut work => return,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn relays_suspended_past_their_leases_publish_only_duplicates() {
    let Some(world) = World::on_kafka().await else { return };
    let gates = [watch::Sender::new(false), watch::Sender::new(false)];
    let mut relays = vec![world.relay(), world.relay()];
    relays.extend(
        gates.iter().map(|gate| world.relay_within(|relay| suspend(gate.subscribe(), relay))),
    );
    let running = world.start();

    for paused in [true, false] {
        gates.iter().for_each(|gate| _ = gate.send_replace(paused));
        let end = Instant::now() + if paused { PAST_LEASE } else { Duration::from_secs(2) };
        while Instant::now() < end {
            write(&world, 4).await;
        }
    }
    // Suspend them in turn, so that the relay that took over is suspended too.
    for gate in &gates {
        gate.send_replace(true);
        write(&world, 8).await;
        gate.send_replace(false);
        write(&world, 8).await;
    }
    world.all_applied_within(Duration::from_secs(120)).await;
    relays.push(running);
    world.stop_and_check(relays).await;
}
