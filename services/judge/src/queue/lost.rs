//! Requeues the jobs of workers that have disconnected, restarted or stopped sending heartbeats.
//!
//! Only the end of the newest stream of a worker (`workers.stream`) matters: a worker that reconnects to another
//! instance keeps its jobs, even if the previous instance detects the disconnection later.

use db::Tx;
use proto::judge as pb;
use uuid::Uuid;

use super::{Queue, give_up};
use crate::judgement::Lease;
use crate::measure;
use crate::store::{self, Lost};

/// The judge gives up on a job after it was lost with this number of workers, because the job may be what kills
/// them. The limit is higher than that for crashed attempts, because a job can also be lost through no fault of its
/// own.
const MAX_LOSSES: i64 = 10;
/// Up to this number of losses a job is retried without delay.
const IMMEDIATE_RETRIES: i64 = 3;
/// The maximum delay, in milliseconds.
const MAX_DELAY: i64 = 60_000;

/// The delay before a lost job is retried: exponential backoff with jitter. Workers can judge other jobs in the
/// meantime, all retries together take more than a minute, and jobs that were lost together are retried apart.
fn backoff(id: Uuid, losses: i64) -> chrono::Duration {
    let max = match losses - IMMEDIATE_RETRIES {
        ..=0 => 0,
        more => (1000_i64 << more.min(6)).min(MAX_DELAY),
    };
    let jitter = i64::from(id.as_bytes()[15]);
    chrono::Duration::milliseconds(max * (256 + jitter) / 512)
}

/// The prefix that the names of all runs of a worker share.
fn machine(name: &str) -> Option<&str> {
    name.rsplit_once('/').map(|(machine, _run)| machine)
}

/// Whether two names belong to different runs of the same worker.
fn is_other_run(name: &str, of: &str) -> bool {
    name != of && machine(of).is_some() && machine(name) == machine(of)
}

impl Queue {
    /// Shortens the leases of disconnected workers to the reconnect timeout.
    pub(super) async fn process_disconnected(&self) -> db::Result<()> {
        loop {
            let Some((worker, stream)) = self.state().disconnected.pop() else { return Ok(()) };
            let (name, reconnect) = (&worker, self.0.config.reconnect());
            let shorten = |mut tx: db::TxGuard| async move {
                if store::workers::disconnect(&mut tx, name, stream).await? {
                    let until = tx.now() + reconnect;
                    store::shorten_leases(&mut tx, name, until).await?;
                }
                Ok::<_, db::Error>(())
            };
            match self.0.db.transact(shorten).await {
                Ok(()) => {}
                Err(error) if error.is_transient() => {
                    self.state().disconnected.push((worker, stream));
                    return Err(error);
                }
                // Continue with the next worker: the leases expire later.
                Err(error) => tracing::error!(worker, %error, "cannot shorten leases"),
            }
        }
    }

    /// Requeues the jobs whose leases have expired.
    pub(super) async fn expire(&self) -> db::Result<()> {
        let expire = |mut tx: db::TxGuard| async move {
            let lost = store::expire(&mut tx).await?;
            delay_or_give_up(&mut tx, &lost).await?;
            Ok::<_, db::Error>(lost)
        };
        let lost = self.0.db.transact(expire).await?;
        self.requeued(&lost);
        Ok(())
    }

    /// Announces requeued jobs, and cancels their attempts on workers connected here. Other instances cancel theirs on
    /// the next heartbeat.
    pub(super) fn requeued(&self, lost: &[Lost]) {
        for job in lost {
            let worker = job.worker.as_str();
            tracing::warn!(job = %job.id, attempt = job.attempt, worker, "job lost by worker");
            measure::lease_lost();
            self.cancel(Lease { id: job.id, attempt: job.attempt });
        }
        if !lost.is_empty() {
            self.announce_jobs();
        }
    }
}

/// Removes the earlier runs of a worker that has restarted, and requeues their jobs.
pub(super) async fn replace_earlier_runs(
    tx: &mut Tx,
    hello: &pb::WorkerHello,
) -> db::Result<Vec<Lost>> {
    let mut lost = Vec::new();
    for name in store::workers::names(&mut *tx).await? {
        if is_other_run(&name, &hello.worker_id) {
            store::workers::remove(tx, &name).await?;
            lost.extend(store::requeue_all(tx, &name).await?);
        }
    }
    delay_or_give_up(tx, &lost).await?;
    Ok(lost)
}

/// Delays jobs that were lost repeatedly, and gives up on those that were lost too often.
async fn delay_or_give_up(tx: &mut Tx, lost: &[Lost]) -> db::Result<()> {
    for job in lost.iter().filter(|job| job.lost_count > IMMEDIATE_RETRIES) {
        let lease = Lease { id: job.id, attempt: job.attempt };
        if job.lost_count >= MAX_LOSSES {
            let message = format!("{MAX_LOSSES} workers were lost while they judged it");
            give_up(tx, lease, message, &job.worker).await?;
        } else {
            let due = tx.now() + backoff(job.id, job.lost_count);
            store::postpone(tx, lease, due).await?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_grows_and_has_jitter() {
        let delay = |id: u128, losses| backoff(Uuid::from_u128(id), losses).num_milliseconds();
        assert_eq!(
            [0, 1, 3, 4, 5, 8, 9, 99].map(|losses| delay(0, losses)),
            [0, 0, 0, 1000, 2000, 16_000, 30_000, 30_000]
        );
        assert!(delay(255, 9) < MAX_DELAY && delay(255, 9) > delay(7, 9));
        assert!((0..MAX_LOSSES).map(|losses| delay(0, losses)).sum::<i64>() > 60_000);
    }

    #[test]
    fn runs_of_one_worker_are_recognised() {
        assert!(is_other_run("host/data/1", "host/data/2"));
        for (name, of) in [
            ("host/data/1", "host/data/1"),
            ("host/data/1", "other/data/1"),
            ("host/data/more/1", "host/data/1"),
            ("1", "2"),
            ("1", "host/2"),
        ] {
            assert!(!is_other_run(name, of) && !is_other_run(of, name), "{name} {of}");
        }
    }
}
