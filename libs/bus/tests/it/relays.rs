//! Several relays of one outbox, some suspended for longer than their leases.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use crate::concurrency::write;
use crate::world::World;

/// Longer than the TTL of a lease.
const PAST_LEASE: Duration = Duration::from_secs(17);

/// Suspends a future, like a process that got SIGSTOP.
#[derive(Clone, Default)]
struct Gate(Arc<Mutex<(bool, Option<Waker>)>>);

impl Gate {
    async fn hold(self, work: impl Future<Output = ()>) {
        let mut work = pin!(work);
        poll_fn(|cx| {
            {
                let mut state = self.0.lock().unwrap();
                state.1 = Some(cx.waker().clone());
                if state.0 {
                    return Poll::Pending;
                }
            }
            work.as_mut().poll(cx)
        })
        .await;
    }

    fn set(&self, paused: bool) {
        let mut state = self.0.lock().unwrap();
        state.0 = paused;
        if let Some(waker) = state.1.take() {
            waker.wake();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn relays_suspended_past_their_leases_publish_only_duplicates() {
    let Some(world) = World::on_kafka().await else { return };
    let gates = [Gate::default(), Gate::default()];
    let mut relays = vec![world.relay(), world.relay()];
    relays.extend(gates.iter().map(|gate| world.relay_within(|relay| gate.clone().hold(relay))));
    let running = world.start();

    for paused in [true, false] {
        gates.iter().for_each(|gate| gate.set(paused));
        let end = Instant::now() + if paused { PAST_LEASE } else { Duration::from_secs(2) };
        while Instant::now() < end {
            write(&world, 4).await;
        }
    }
    // Suspend them in turn, so that the relay that took over is suspended too.
    for gate in &gates {
        gate.set(true);
        write(&world, 8).await;
        gate.set(false);
        write(&world, 8).await;
    }
    world.all_applied_within(Duration::from_secs(120)).await;
    relays.push(running);
    world.stop_and_check(relays).await;
}
