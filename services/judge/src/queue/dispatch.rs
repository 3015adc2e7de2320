//! Giving jobs to workers, as soon as there are both.

use std::collections::BTreeSet;
use std::time::Duration;

use db::Tx;
use proto::judge as pb;
use proto::judge::work_response::Message;
use runtime::Shutdown;

use super::{CRASHES, Held, Queue};
use crate::judgement::{Lease, Subject};
use crate::measure;
use crate::store::{self, Job};

/// How often leases and jobs of other processes are looked at; everything of this one wakes at once.
const TICK: Duration = Duration::from_secs(1);

/// How often the queue is measured.
const WATCH: Duration = Duration::from_secs(10);

impl Queue {
    /// Gives out jobs until the shutdown.
    pub async fn dispatch(self, shutdown: Shutdown) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let ticked = tokio::select! {
                () = shutdown.begun() => return,
                () = self.0.wake.notified() => false,
                _ = tick.tick() => true,
            };
            if let Err(error) = self.round(ticked).await {
                tracing::warn!(%error, "jobs could not be given out; trying again");
                tokio::time::sleep(Duration::from_millis(200)).await;
                self.0.wake.notify_one();
            }
        }
    }

    /// Measures the queue until the shutdown.
    pub async fn watch(self, shutdown: Shutdown) {
        let mut tick = tokio::time::interval(WATCH);
        while shutdown.unless_begun(tick.tick()).await.is_some() {
            // The database has its own way to say that it is away.
            let Ok((waiting, running, oldest)) = store::counts(&self.0.db).await else { continue };
            let now = self.0.db.clock().now();
            let age = oldest.and_then(|since| (now - since).to_std().ok()).unwrap_or_default();
            measure::queue(waiting, running, age);
        }
    }

    async fn round(&self, ticked: bool) -> db::Result<()> {
        let next = || self.state().leased.pop();
        while let Some((link, job)) = next() {
            self.hand_over(link, job).await?;
        }
        self.bury().await?;
        if ticked {
            let now = self.0.db.clock().now();
            if !store::is_due(&self.0.db, now).await? {
                return Ok(());
            }
            self.expire().await?;
        }
        let mut idle = BTreeSet::new();
        while let Some(wish) = self.next_wish(&idle) {
            let asked = &wish;
            let lease =
                |mut tx: db::TxGuard| async move { self.lease(&mut tx as &mut Tx, asked).await };
            match self.0.db.transact(lease).await? {
                Some(job) => self.hand_over(wish.granted(), job).await?,
                None => drop(idle.insert(wish.link)),
            }
        }
        Ok(())
    }

    /// Takes one wish of the worker that wants most, apart from those that no job waits for.
    pub(super) fn next_wish(&self, idle: &BTreeSet<u64>) -> Option<Wish> {
        let mut state = self.state();
        let wanting =
            state.links.iter_mut().filter(|(id, link)| link.ready > 0 && !idle.contains(id));
        let (id, link) = wanting.max_by_key(|(_, link)| link.ready)?;
        link.ready -= 1;
        let languages = link.hello.languages.iter().map(|l| l.language_id.clone()).collect();
        let worker = link.hello.worker_id.clone();
        Some(Wish { queue: self.clone(), link: *id, worker, languages, granted: false })
    }

    /// The first job that a worker can do, leased to it.
    pub(super) async fn lease(&self, tx: &mut Tx, wish: &Wish) -> db::Result<Option<Job>> {
        let until = tx.now() + self.0.config.lease();
        store::lease(tx, &wish.worker, &wish.languages, until).await
    }

    async fn hand_over(&self, link: u64, job: Job) -> db::Result<()> {
        let lease = Lease { id: job.id, attempt: job.attempt };
        let Some(subject) = Subject::of(job.submission_id, job.verification_id) else {
            return self.give_up(lease, "a job without a subject", "").await;
        };
        let sent = {
            let mut state = self.state();
            state.live.remove(&job.id);
            state.links.get_mut(&link).is_some_and(|link| {
                link.jobs.insert(job.id, Held { attempt: job.attempt, subject });
                link.sender.send(response(Message::Job(wire(job)))).is_ok()
            })
        };
        if !sent {
            // The worker left in this very moment.
            self.put_back(lease, &pb::JobFailure::default(), "").await?;
        }
        Ok(())
    }

    /// Shortens the leases of workers whose streams ended and did not come back.
    async fn bury(&self) -> db::Result<()> {
        loop {
            let worker = {
                let mut state = self.state();
                let Some(worker) = state.gone.pop() else { return Ok(()) };
                if state.links.values().any(|link| link.hello.worker_id == worker) {
                    continue;
                }
                worker
            };
            let (name, reconnect) = (&worker, self.0.config.reconnect());
            let shortened = self
                .0
                .db
                .transact(|mut tx| async move {
                    let until = tx.now() + reconnect;
                    store::shorten(&mut tx, name, until).await
                })
                .await;
            match shortened {
                Ok(_) => {}
                Err(error) if error.is_transient() => {
                    self.state().gone.push(worker);
                    return Err(error);
                }
                // Its leases end by themselves, a little later; nobody else has to wait for that.
                Err(error) => tracing::error!(worker, %error, "leases could not be shortened"),
            }
        }
    }

    async fn expire(&self) -> db::Result<()> {
        let lost = self.0.db.transact(|mut tx| async move { store::expire(&mut tx).await }).await?;
        for job in lost {
            let worker = job.worker.as_str();
            tracing::warn!(job = %job.id, attempt = job.attempt, worker, "a worker lost its job");
            measure::expired();
            self.cancel(Lease { id: job.id, attempt: job.attempt });
            if job.crash_count >= CRASHES {
                let lease = Lease { id: job.id, attempt: job.attempt };
                self.give_up(lease, "the worker went silent", worker).await?;
            }
        }
        Ok(())
    }

    /// Tells whoever works on an attempt to stop.
    fn cancel(&self, lease: Lease) {
        let mut state = self.state();
        for link in state.links.values_mut() {
            if link.jobs.get(&lease.id).is_some_and(|held| held.attempt == lease.attempt) {
                link.jobs.remove(&lease.id);
                link.sender.send(cancel(lease)).ok();
            }
        }
    }
}

/// A worker's wish for one more job, taken from its link; dropping it gives it back.
pub(super) struct Wish {
    queue: Queue,
    link: u64,
    worker: String,
    languages: Vec<String>,
    granted: bool,
}

impl Wish {
    /// There is a job; the link that gets it.
    pub fn granted(mut self) -> u64 {
        self.granted = true;
        self.link
    }
}

impl Drop for Wish {
    fn drop(&mut self) {
        if !self.granted
            && let Some(link) = self.queue.state().links.get_mut(&self.link)
        {
            link.ready += 1;
        }
    }
}

/// A message to a worker.
pub(super) fn response(message: Message) -> pb::WorkResponse {
    pb::WorkResponse { message: Some(message) }
}

pub(super) fn cancel(lease: Lease) -> pb::WorkResponse {
    response(Message::Cancel(pb::JobCancel { lease: Some(lease.wire()) }))
}

fn wire(job: Job) -> pb::Job {
    let text = |id: Option<uuid::Uuid>| id.map(|id| id.to_string()).unwrap_or_default();
    pb::Job {
        job_id: job.id.to_string(),
        attempt: i32::try_from(job.attempt).unwrap_or(i32::MAX),
        submission_id: text(job.submission_id),
        verification_id: text(job.verification_id),
        problem_id: job.problem_id.to_string(),
        version: job.problem_version,
        language: job.language,
        traceparent: job.traceparent.unwrap_or_default(),
    }
}
