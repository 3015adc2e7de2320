//! Workers that are gone, and what becomes of their jobs.
//!
//! Nobody's word on a worker counts but that of its newest stream (`workers.stream`): a worker that moved to
//! another instance keeps its jobs, whatever the instance that it left finds out, and in whatever order.

use db::Tx;
use proto::judge as pb;
use uuid::Uuid;

use super::{Gone, Queue, give_up};
use crate::judgement::Lease;
use crate::measure;
use crate::store::{self, Lost};

/// So many attempts may be lost with their workers before the judge gives up. A job that kills its worker each
/// time has to end some day; but who only happened to run beside it, or while somebody pulled the plug again and
/// again, is hardly under suspicion. So this is more than the attempts that may break, and see [`pause`].
const LOSSES: i64 = 10;
/// After so many losses a job waits before it is tried again.
const INNOCENT: i64 = 3;
/// The longest such wait, in milliseconds.
const MAX_PAUSE: i64 = 60_000;

/// How long a job waits that was lost so often: at first not at all; then longer each time, so that a job which
/// kills its workers lets them judge others meanwhile, and that ten losses take more than a minute; and each job
/// for another time, so that those which were lost together do not meet again.
fn pause(id: Uuid, losses: i64) -> chrono::Duration {
    let most = match losses - INNOCENT {
        ..=0 => 0,
        more => (1000_i64 << more.min(6)).min(MAX_PAUSE),
    };
    let spread = i64::from(id.as_bytes()[15]);
    chrono::Duration::milliseconds(most * (256 + spread) / 512)
}

/// What names of one machine's workers start with.
fn machine(name: &str) -> Option<&str> {
    name.rsplit_once('/').map(|(machine, _run)| machine)
}

/// Whether a name is that of another run of the same machine's worker.
fn is_other_run(name: &str, of: &str) -> bool {
    name != of && machine(of).is_some() && machine(name) == machine(of)
}

impl Queue {
    /// Lets the jobs of workers whose streams ended wait for them only a little longer.
    pub(super) async fn bury(&self) -> db::Result<()> {
        loop {
            let Some(gone) = self.state().gone.pop() else { return Ok(()) };
            let (name, stream, reconnect) = (&gone.worker, gone.stream, self.0.config.reconnect());
            let shortened = self
                .0
                .db
                .transact(|mut tx| async move {
                    if store::workers::disconnected(&mut tx, name, stream).await? {
                        let until = tx.now() + reconnect;
                        store::shorten(&mut tx, name, until).await?;
                    }
                    Ok::<_, db::Error>(())
                })
                .await;
            match shortened {
                Ok(()) => {}
                Err(error) if error.is_transient() => {
                    self.state().gone.push(gone);
                    return Err(error);
                }
                // Its leases end by themselves, a little later; nobody else has to wait for that.
                Err(error) => {
                    let Gone { worker, .. } = gone;
                    tracing::error!(worker, %error, "leases could not be shortened");
                }
            }
        }
    }

    /// Takes back what nobody has given a sign of life for.
    pub(super) async fn expire(&self) -> db::Result<()> {
        let expire = |mut tx: db::TxGuard| async move {
            let lost = store::expire(&mut tx).await?;
            settle(&mut tx, &lost).await?;
            Ok::<_, db::Error>(lost)
        };
        let lost = self.0.db.transact(expire).await?;
        self.lost(&lost);
        Ok(())
    }

    /// Says which jobs wait again, and stops whoever still works on them here. Elsewhere that comes with the
    /// answer to the next heartbeat.
    pub(super) fn lost(&self, lost: &[Lost]) {
        for job in lost {
            let worker = job.worker.as_str();
            tracing::warn!(job = %job.id, attempt = job.attempt, worker, "a worker lost its job");
            measure::expired();
            self.cancel(Lease { id: job.id, attempt: job.attempt });
        }
        if !lost.is_empty() {
            self.waiting();
        }
    }
}

/// Earlier runs of a worker's machine are gone for good: takes their jobs back at once.
pub(super) async fn succeed(tx: &mut Tx, hello: &pb::WorkerHello) -> db::Result<Vec<Lost>> {
    let mut lost = Vec::new();
    for name in store::workers::names(&mut *tx).await? {
        if is_other_run(&name, &hello.worker_id) {
            store::workers::remove(tx, &name).await?;
            lost.extend(store::release(tx, &name).await?);
        }
    }
    settle(tx, &lost).await?;
    Ok(lost)
}

/// Lets jobs wait that were lost more than a few times, and gives up on those that were lost too often.
async fn settle(tx: &mut Tx, lost: &[Lost]) -> db::Result<()> {
    for job in lost.iter().filter(|job| job.lost_count > INNOCENT) {
        let lease = Lease { id: job.id, attempt: job.attempt };
        if job.lost_count >= LOSSES {
            let message = format!("{LOSSES} workers went silent or died while they had it");
            give_up(tx, lease, message, &job.worker).await?;
        } else {
            let due = tx.now() + pause(job.id, job.lost_count);
            store::postpone(tx, lease, due).await?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_wait_longer_each_time_and_apart() {
        let wait = |id: u128, losses| pause(Uuid::from_u128(id), losses).num_milliseconds();
        assert_eq!(
            [0, 1, 3, 4, 5, 8, 9, 99].map(|losses| wait(0, losses)),
            [0, 0, 0, 1000, 2000, 16_000, 30_000, 30_000]
        );
        assert!(wait(255, 9) < MAX_PAUSE && wait(255, 9) > wait(7, 9));
        assert!((0..LOSSES).map(|losses| wait(0, losses)).sum::<i64>() > 60_000);
    }

    #[test]
    fn runs_of_one_machine() {
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
