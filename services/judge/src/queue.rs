//! The job queue: leases jobs to workers, and tracks the progress of running jobs.
//!
//! The database contains the jobs, their leases, and the workers of all instances of the queue. Memory contains the
//! workers connected to this instance and the progress of their jobs; losing it never loses a job.

mod connection;
mod dispatch;
mod live;
mod lost;
mod notify;
mod unserved;
mod workers;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cache::Cache;
use chrono::{DateTime, Utc};
use db::{Db, Tx};
use proto::judge as pb;
use tokio::sync::{Notify, mpsc};
use uuid::Uuid;

use crate::config::Config;
use crate::events;
use crate::judgement::{Capacity, JudgementRequest, Lease, Outcome, Priority, Subject};
use crate::measure;
use crate::store::{self, Job};

pub use connection::{Responses, serve};
pub use live::Live;

/// The judge gives up on a job after this number of crashed attempts.
const MAX_CRASHES: i64 = 3;

/// The queue. Cheap to clone.
#[derive(Clone)]
pub struct Queue(Arc<Inner>);

struct Inner {
    config: Config,
    db: Db,
    cache: Cache,
    /// Offered until a worker has reported its languages.
    configured: Vec<pb::Language>,
    started: DateTime<Utc>,
    wake: Notify,
    /// Wakes the task that publishes progress to the other instances.
    progress_changed: Notify,
    state: Mutex<State>,
    cached_languages: Mutex<workers::CachedLanguages>,
    cached_offer: Mutex<unserved::CachedOffer>,
}

#[derive(Default)]
struct State {
    /// By stream id.
    connections: BTreeMap<Uuid, Connection>,
    /// The workers whose stream has ended, with the stream, to be processed by the dispatcher.
    disconnected: Vec<(String, Uuid)>,
    /// Jobs that were leased when they were added, to be sent on a stream.
    leased: Vec<(Uuid, Job)>,
    /// Whether jobs wait that the other instances have not been notified of.
    unannounced: bool,
}

/// A connected worker.
struct Connection {
    hello: pb::WorkerHello,
    /// The number of jobs that the worker requests: its slots without its jobs. Negative if it has more jobs than
    /// slots. `None` until it first requests jobs: before that, its jobs from earlier streams are not all known.
    ready: Option<i64>,
    jobs: HashMap<Uuid, RunningJob>,
    sender: mpsc::UnboundedSender<pb::WorkResponse>,
    seen: DateTime<Utc>,
}

impl Connection {
    /// Which jobs the worker can take.
    fn capacity(&self) -> Option<Capacity> {
        match self.ready? {
            1.. => Some(Capacity::Any),
            ready if ready + self.verification_count() > 0 => Some(Capacity::Submissions),
            _ => None,
        }
    }

    /// Adds to the number of jobs that the worker requests.
    fn request(&mut self, jobs: i64) {
        *self.ready.get_or_insert(0) += jobs;
    }

    fn verification_count(&self) -> i64 {
        let is_verification = |job: &&RunningJob| matches!(job.subject, Subject::Verification(_));
        i64::try_from(self.jobs.values().filter(is_verification).count()).unwrap_or(i64::MAX)
    }

    /// Removes an attempt. Returns false if the worker does not hold it.
    fn forget(&mut self, lease: Lease) -> bool {
        let held = self.jobs.get(&lease.id).is_some_and(|job| job.attempt == lease.attempt);
        if held {
            self.jobs.remove(&lease.id);
        }
        held
    }
}

/// A job that is leased to a connected worker.
struct RunningJob {
    attempt: i64,
    subject: Subject,
    /// The progress, once the worker has reported it.
    live: Option<Live>,
    /// Whether the progress must be published to the other instances.
    unpublished: bool,
}

impl RunningJob {
    fn new(attempt: i64, subject: Subject) -> RunningJob {
        RunningJob { attempt, subject, live: None, unpublished: false }
    }
}

impl Queue {
    /// `configured` languages are offered until a worker has reported its languages.
    pub fn new(config: Config, db: Db, cache: Cache, configured: Vec<pb::Language>) -> Queue {
        Queue(Arc::new(Inner {
            config,
            started: db.clock().now(),
            db,
            cache,
            configured,
            wake: Notify::new(),
            progress_changed: Notify::new(),
            state: Mutex::default(),
            cached_languages: Mutex::default(),
            cached_offer: Mutex::default(),
        }))
    }

    /// Adds a job in the caller's transaction. Does nothing if the subject already has one.
    pub async fn enqueue(&self, tx: &mut Tx, request: &JudgementRequest) -> db::Result<()> {
        let priority = match request.owner {
            Some(_) if request.ordinal > 1 => Priority::REJUDGING,
            Some(_) if request.attempt > 0 => Priority::contest(request.attempt),
            Some(owner) => Priority::practice(store::pending_of(&mut *tx, owner).await?),
            None => {
                let pending = store::pending_of_problem(&mut *tx, request.problem_id).await?;
                Priority::verification(pending)
            }
        };
        let Some(id) = store::enqueue(tx, request, priority).await? else { return Ok(()) };
        // Lease a job to an idle worker in this transaction, which saves a second one.
        let mut leased = None;
        let demand = self.next_demand(&BTreeSet::new());
        let is_submission = request.owner.is_some();
        let demand = demand.filter(|it| is_submission || it.capacity() == Capacity::Any);
        if let Some(demand) = demand {
            leased = self.lease(tx, &demand).await?.map(|job| (demand, job));
        }
        let queue = self.clone();
        tx.after_commit(move || {
            // The leased job can be an older one.
            let waits = leased.as_ref().is_none_or(|(_, job)| job.id != id);
            let leased = leased.map(|(demand, job)| (demand.satisfy(), job));
            queue.state().leased.extend(leased);
            match waits {
                true => queue.announce_jobs(),
                false => queue.0.wake.notify_one(),
            }
        });
        Ok(())
    }

    /// Aborts a verification whose result is not needed any more. Workers of other instances learn it with the next
    /// heartbeat.
    pub async fn abort(&self, tx: &mut Tx, verification: Uuid) -> db::Result<()> {
        let Some(lease) = store::abort(tx, verification).await? else { return Ok(()) };
        let queue = self.clone();
        tx.after_commit(move || {
            measure::aborted();
            tracing::debug!(job = %lease.id, "job aborted");
            queue.cancel(lease);
        });
        Ok(())
    }

    /// Wakes the dispatcher, which notifies the other instances of jobs that no local worker takes.
    fn announce_jobs(&self) {
        self.state().unannounced = true;
        self.0.wake.notify_one();
    }

    /// Stores the outcome of an attempt, with its event. Returns false if the lease is not valid any more.
    async fn finish(&self, lease: Lease, outcome: &Outcome) -> db::Result<bool> {
        let finish = |mut tx: db::TxGuard| async move { complete(&mut tx, lease, outcome).await };
        let finished = self.0.db.transact(finish).await?;
        if !finished {
            measure::result_fenced();
        }
        Ok(finished)
    }

    /// Requeues a failed job, or gives up on it. Returns false if the lease is not valid any more.
    async fn requeue(
        &self,
        lease: Lease,
        failure: &pb::JobFailure,
        worker: &str,
    ) -> db::Result<bool> {
        let delay = failure.retry_delay.map_or(0, |delay| delay.seconds).clamp(0, 3600);
        let message = failure.message.as_str();
        let requeue = |mut tx: db::TxGuard| async move {
            let due = tx.now() + chrono::Duration::seconds(delay);
            let crashes = store::requeue(&mut tx, lease, failure.crashed, due).await?;
            if crashes.is_some_and(|crashes| crashes >= MAX_CRASHES) {
                let message = format!("{MAX_CRASHES} attempts failed; the last error: {message}");
                give_up(&mut tx, lease, message, worker).await?;
            }
            Ok::<_, db::Error>(crashes)
        };
        let Some(crashes) = self.0.db.transact(requeue).await? else { return Ok(false) };
        measure::requeued(failure.crashed);
        let job = lease.id;
        tracing::warn!(%job, attempt = lease.attempt, crashes, worker, error = message, "job requeued");
        self.announce_jobs();
        Ok(true)
    }

    // Never held across an await, and nothing panics while holding it.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // As above.
    fn cached_languages(&self) -> MutexGuard<'_, workers::CachedLanguages> {
        self.0.cached_languages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // As above.
    fn cached_offer(&self) -> MutexGuard<'_, unserved::CachedOffer> {
        self.0.cached_offer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Stores the outcome of an attempt, with its event. Returns false if the lease is not valid any more.
async fn complete(tx: &mut Tx, lease: Lease, outcome: &Outcome) -> db::Result<bool> {
    let Some(key) = store::finish(tx, lease, outcome).await? else { return Ok(false) };
    events::completed(tx, lease.id, &key, outcome);
    let verdict = outcome.judgement.verdict();
    tx.after_commit(move || measure::judged(verdict));
    Ok(true)
}

/// Completes a job as JUDGE_ERROR, in the transaction that requeued it.
async fn give_up(tx: &mut Tx, lease: Lease, message: String, worker: &str) -> db::Result<()> {
    if complete(tx, lease, &Outcome::judge_error(message.as_str(), worker)).await? {
        tx.after_commit(move || {
            measure::gave_up();
            tracing::error!(job = %lease.id, error = message, "gave up on job");
        });
    }
    Ok(())
}
