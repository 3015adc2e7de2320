//! The queue: which worker judges what, and what is known of it meanwhile.
//!
//! The database holds the jobs, their leases, and the workers of all instances of the queue; memory holds the
//! workers that are connected to this one and the live state of what they do. Losing the memory costs
//! freshness, never a job.

mod dispatch;
mod link;
mod live;
mod lost;
mod news;
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
use crate::judgement::{Lease, Outcome, Priority, Subject, Wanted};
use crate::measure;
use crate::store::{self, Job};

pub use link::{Told, serve};
pub use live::Live;

/// So many attempts may break before the judge gives up.
const CRASHES: i64 = 3;

/// The queue. Cheap to clone.
#[derive(Clone)]
pub struct Queue(Arc<Inner>);

struct Inner {
    config: Config,
    db: Db,
    cache: Cache,
    /// Offered until a worker has tried.
    configured: Vec<pb::Language>,
    /// There may be something to give out.
    wake: Notify,
    /// There is something to show the other instances.
    unshown: Notify,
    state: Mutex<State>,
    listed: Mutex<workers::Listed>,
}

#[derive(Default)]
struct State {
    links: BTreeMap<Uuid, Link>,
    /// Workers whose stream ended, and which nobody has dealt with yet.
    gone: Vec<Gone>,
    /// Jobs that were leased for a link when they were added, to be handed over.
    leased: Vec<(Uuid, Job)>,
    /// Jobs wait that the other instances have not been told of.
    unannounced: bool,
}

/// A connected worker, by the id of its stream.
struct Link {
    hello: pb::WorkerHello,
    /// How many more jobs it wants.
    ready: i64,
    jobs: HashMap<Uuid, Held>,
    sender: mpsc::UnboundedSender<pb::WorkResponse>,
    seen: DateTime<Utc>,
}

/// A worker whose stream ended.
struct Gone {
    worker: String,
    stream: Uuid,
}

/// A job that a worker holds.
struct Held {
    attempt: i64,
    subject: Subject,
    /// How it goes, once the worker has said so.
    live: Option<Live>,
    /// The other instances do not know how it goes now.
    unshown: bool,
}

impl Held {
    fn new(attempt: i64, subject: Subject) -> Held {
        Held { attempt, subject, live: None, unshown: false }
    }
}

impl Queue {
    /// The queue in a database. `configured` languages are offered until a worker has tried.
    pub fn new(config: Config, db: Db, cache: Cache, configured: Vec<pb::Language>) -> Queue {
        Queue(Arc::new(Inner {
            config,
            db,
            cache,
            configured,
            wake: Notify::new(),
            unshown: Notify::new(),
            state: Mutex::default(),
            listed: Mutex::default(),
        }))
    }

    /// Adds something to judge, in the caller's transaction; nothing when it is there already.
    pub async fn enqueue(&self, tx: &mut Tx, wanted: &Wanted) -> db::Result<()> {
        let priority = match wanted.owner {
            Some(owner) => Priority::practice(store::pending_of(&mut *tx, owner).await?),
            None => Priority::VERIFICATION,
        };
        let Some(id) = store::enqueue(tx, wanted, priority).await? else { return Ok(()) };
        // A worker that has time gets a job in this transaction, which saves one of its own.
        let mut leased = None;
        if let Some(wish) = self.next_wish(&BTreeSet::new()) {
            leased = self.lease(tx, &wish).await?.map(|job| (wish, job));
        }
        let queue = self.clone();
        tx.after_commit(move || {
            // It may be an earlier one that got the worker.
            let waits = leased.as_ref().is_none_or(|(_, job)| job.id != id);
            let leased = leased.map(|(wish, job)| (wish.granted(), job));
            queue.state().leased.extend(leased);
            match waits {
                true => queue.waiting(),
                false => queue.0.wake.notify_one(),
            }
        });
        Ok(())
    }

    /// Jobs wait: for the workers here, or else for those of the other instances.
    fn waiting(&self) {
        self.state().unannounced = true;
        self.0.wake.notify_one();
    }

    /// Writes what came of an attempt, with its event; false when the attempt is not the current one.
    async fn finish(&self, lease: Lease, outcome: &Outcome) -> db::Result<bool> {
        let finish = |mut tx: db::TxGuard| async move { end(&mut tx, lease, outcome).await };
        let finished = self.0.db.transact(finish).await?;
        if !finished {
            measure::fenced();
        }
        Ok(finished)
    }

    /// Puts a job back, or gives up on it; false when the attempt is not the current one.
    async fn put_back(
        &self,
        lease: Lease,
        failure: &pb::JobFailure,
        worker: &str,
    ) -> db::Result<bool> {
        let delay = failure.retry_delay.map_or(0, |delay| delay.seconds).clamp(0, 3600);
        let message = failure.message.as_str();
        let put_back = |mut tx: db::TxGuard| async move {
            let due = tx.now() + chrono::Duration::seconds(delay);
            let crashes = store::put_back(&mut tx, lease, failure.crashed, due).await?;
            if crashes.is_some_and(|crashes| crashes >= CRASHES) {
                let message = format!("{CRASHES} attempts broke; the last one: {message}");
                give_up(&mut tx, lease, message, worker).await?;
            }
            Ok::<_, db::Error>(crashes)
        };
        let Some(crashes) = self.0.db.transact(put_back).await? else { return Ok(false) };
        measure::put_back(failure.crashed);
        let job = lease.id;
        tracing::warn!(%job, attempt = lease.attempt, crashes, worker, message, "a job was put back");
        self.waiting();
        Ok(true)
    }

    // Never held across an await, and nothing panics while holding it.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // As above.
    fn listed(&self) -> MutexGuard<'_, workers::Listed> {
        self.0.listed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes what came of an attempt, with its event; false when the attempt is not the current one.
async fn end(tx: &mut Tx, lease: Lease, outcome: &Outcome) -> db::Result<bool> {
    let Some(key) = store::finish(tx, lease, outcome).await? else { return Ok(false) };
    events::completed(tx, lease.id, &key, outcome);
    let verdict = outcome.judgement.verdict();
    tx.after_commit(move || measure::judged(verdict));
    Ok(true)
}

/// Ends as JUDGE_ERROR what was just put back, before another instance can try it once more.
async fn give_up(tx: &mut Tx, lease: Lease, message: String, worker: &str) -> db::Result<()> {
    if end(tx, lease, &Outcome::judge_error(message.as_str(), worker)).await? {
        tx.after_commit(move || {
            measure::gave_up();
            tracing::error!(job = %lease.id, message, "the judge gave up on a job");
        });
    }
    Ok(())
}
