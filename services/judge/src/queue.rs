//! The queue: which worker judges what, and what is known of it meanwhile.
//!
//! The database holds the jobs and their leases; memory holds the workers that are connected and the
//! live state of what they do. Losing the memory costs freshness, never a job.

mod dispatch;
mod link;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use cache::Cache;
use chrono::{DateTime, Utc};
use db::{Db, Tx};
use prost::Message;
use proto::judge as pb;
use tokio::sync::{Notify, mpsc};
use uuid::Uuid;

use crate::config::Config;
use crate::error::Error;
use crate::events;
use crate::judgement::{Lease, Outcome, Priority, Subject, Wanted};
use crate::measure;
use crate::store::{self, Job};

pub use link::{Told, serve};

/// So many attempts may break before the judge gives up.
const CRASHES: i64 = 3;

/// The queue. Cheap to clone.
#[derive(Clone)]
pub struct Queue(Arc<Inner>);

struct Inner {
    config: Config,
    db: Db,
    cache: Cache,
    wake: Notify,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    next_link: u64,
    links: BTreeMap<u64, Link>,
    /// Workers whose stream ended, and which nobody has dealt with yet.
    gone: Vec<String>,
    live: HashMap<Uuid, Live>,
    /// Jobs that were leased for a link when they were added, to be handed over.
    leased: Vec<(u64, Job)>,
    offered: BTreeMap<String, pb::Language>,
}

/// A connected worker.
struct Link {
    hello: pb::WorkerHello,
    /// How many more jobs it wants.
    ready: i64,
    jobs: HashMap<Uuid, Held>,
    sender: mpsc::UnboundedSender<pb::WorkResponse>,
    seen: DateTime<Utc>,
}

/// A job that a worker holds.
#[derive(Clone, Copy)]
struct Held {
    attempt: i64,
    subject: Subject,
}

/// What is known of a running judgement.
#[derive(Clone, Debug, Default)]
pub struct Live {
    /// The attempt.
    pub attempt: i64,
    /// Compiling or running.
    pub state: pb::JudgementState,
    /// Tests in all.
    pub test_count: i32,
    /// The tests that are done, by index.
    pub tests: BTreeMap<i32, pb::TestResult>,
}

impl Queue {
    /// The queue in a database. `configured` languages are offered until a worker has tried.
    pub async fn open(
        config: Config,
        db: Db,
        cache: Cache,
        configured: Vec<pb::Language>,
    ) -> Result<Queue, Error> {
        let mut known = Vec::new();
        for definition in store::languages(&db).await? {
            let language = pb::Language::decode(definition.as_slice());
            known.push(language.map_err(|error| Error::Stored(error.to_string()))?);
        }
        let offered = if known.is_empty() { configured } else { known };
        let offered = offered.into_iter().map(|language| (language.language_id.clone(), language));
        let state = State { offered: offered.collect(), ..State::default() };
        let inner = Inner { config, db, cache, wake: Notify::new(), state: Mutex::new(state) };
        Ok(Queue(Arc::new(inner)))
    }

    /// Workers of these names are gone for good: an earlier process of this data directory. What they
    /// worked on is free at once, and it was not the jobs' fault.
    pub async fn forget(&self, prefix: &str) -> Result<u64, Error> {
        let released = self
            .0
            .db
            .transact(|mut tx| async move { store::release(&mut tx, prefix).await })
            .await?;
        self.0.wake.notify_one();
        Ok(released)
    }

    /// Adds something to judge, in the caller's transaction; nothing when it is there already.
    pub async fn enqueue(&self, tx: &mut Tx, wanted: &Wanted) -> db::Result<()> {
        let priority = match wanted.owner {
            Some(owner) => Priority::practice(store::pending_of(&mut *tx, owner).await?),
            None => Priority::VERIFICATION,
        };
        if store::enqueue(tx, wanted, priority).await?.is_none() {
            return Ok(());
        }
        // A worker that has time gets a job in this transaction, which saves one of its own.
        let mut leased = None;
        if let Some(wish) = self.next_wish(&BTreeSet::new()) {
            leased = self.lease(tx, &wish).await?.map(|job| (wish, job));
        }
        let queue = self.clone();
        tx.after_commit(move || {
            let leased = leased.map(|(wish, job)| (wish.granted(), job));
            queue.state().leased.extend(leased);
            queue.0.wake.notify_one();
        });
        Ok(())
    }

    /// Writes what came of an attempt, with its event; false when the attempt is not the current one.
    async fn finish(&self, lease: Lease, outcome: &Outcome) -> db::Result<bool> {
        let finished = self
            .0
            .db
            .transact(|mut tx| async move {
                let Some(key) = store::finish(&mut tx, lease, outcome).await? else {
                    return Ok(false);
                };
                events::completed(&mut tx, lease.id, &key, outcome);
                Ok::<_, db::Error>(true)
            })
            .await?;
        if finished {
            self.state().live.remove(&lease.id);
            measure::judged(outcome.judgement.verdict());
        } else {
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
        let crashes = self
            .0
            .db
            .transact(|mut tx| async move {
                let due = tx.now() + chrono::Duration::seconds(delay);
                store::put_back(&mut tx, lease, failure.crashed, due).await
            })
            .await?;
        let Some(crashes) = crashes else { return Ok(false) };
        measure::put_back(failure.crashed);
        self.state().live.remove(&lease.id);
        let (job, message) = (lease.id, failure.message.as_str());
        tracing::warn!(%job, attempt = lease.attempt, crashes, worker, message, "a job was put back");
        if crashes >= CRASHES {
            self.give_up(lease, message, worker).await?;
        }
        self.0.wake.notify_one();
        Ok(true)
    }

    async fn give_up(&self, lease: Lease, message: &str, worker: &str) -> db::Result<()> {
        let text = format!("{CRASHES} attempts broke; the last one: {message}");
        if self.finish(lease, &Outcome::judge_error(text, worker)).await? {
            measure::gave_up();
            tracing::error!(job = %lease.id, message, "the judge gave up on a job");
        }
        Ok(())
    }

    /// What is known of a judgement that runs.
    pub fn live(&self, id: Uuid) -> Option<Live> {
        self.state().live.get(&id).cloned()
    }

    /// The languages on offer, by id.
    pub fn languages(&self) -> Vec<pb::Language> {
        self.state().offered.values().cloned().collect()
    }

    /// The workers that are connected, by name.
    pub fn workers(&self) -> Vec<pb::Worker> {
        let mut workers: Vec<_> = self.state().links.values().map(Link::describe).collect();
        workers.sort_by(|a, b| a.worker_id.cmp(&b.worker_id));
        workers
    }

    /// Notes how a job goes, and tells whoever watches.
    fn progress(&self, held: Held, id: Uuid, progress: &pb::JudgementProgress) {
        let mut state = self.state();
        let live = state.live.entry(id).or_default();
        live.attempt = held.attempt;
        live.state = progress.state();
        live.test_count = progress.test_count;
        for test in &progress.tests {
            live.tests.insert(test.index, test.clone());
        }
        drop(state);
        let Subject::Submission(submission) = held.subject else { return };
        let progress = pb::JudgementProgress {
            submission_id: submission.to_string(),
            attempt: i32::try_from(held.attempt).unwrap_or(i32::MAX),
            ..progress.clone()
        };
        let message = Bytes::from(progress.encode_to_vec());
        self.0.cache.publish(&format!("submission/{submission}"), message);
    }

    /// Takes over what a worker says of its languages.
    async fn offer(&self, hello: &pb::WorkerHello) -> Result<(), Error> {
        let (added, removed) = {
            let state = self.state();
            let of_links = state.links.values().flat_map(|link| &link.hello.languages);
            let known: Vec<&str> = of_links.map(|language| language.language_id.as_str()).collect();
            let new = |language: &&pb::Language| {
                state.offered.get(&language.language_id) != Some(*language)
            };
            let added: Vec<pb::Language> = hello.languages.iter().filter(new).cloned().collect();
            let all_tried = state.links.values().all(|link| link.hello.languages_complete);
            let old = |id: &&String| all_tried && !known.contains(&id.as_str());
            let removed: Vec<String> = state.offered.keys().filter(old).cloned().collect();
            (added, removed)
        };
        let (add, remove) = (&added, &removed);
        self.0
            .db
            .transact(|mut tx| async move {
                for language in add {
                    store::offer(&mut tx, language).await?;
                }
                for id in remove {
                    store::withdraw(&mut tx, id).await?;
                }
                Ok::<_, db::Error>(())
            })
            .await?;
        let mut state = self.state();
        for language in added {
            state.offered.insert(language.language_id.clone(), language);
        }
        for id in removed {
            state.offered.remove(&id);
        }
        Ok(())
    }

    // Never held across an await, and nothing panics while holding it.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Link {
    fn describe(&self) -> pb::Worker {
        let hello = &self.hello;
        pb::Worker {
            worker_id: hello.worker_id.clone(),
            slot_count: hello.slot_count,
            busy_count: i32::try_from(self.jobs.len()).unwrap_or(i32::MAX),
            isolation: hello.isolation.clone(),
            languages: hello.languages.iter().map(|l| l.language_id.clone()).collect(),
            seen_time: Some(crate::judgement::timestamp(self.seen)),
        }
    }
}
