//! Giving jobs to workers, as soon as there are both.

use std::collections::BTreeSet;
use std::time::Duration;

use db::Tx;
use futures_util::FutureExt as _;
use proto::judge as pb;
use proto::judge::work_response::Message;
use runtime::Shutdown;
use tokio::time::MissedTickBehavior;
use uuid::Uuid;

use super::news::{News, at};
use super::{Held, Queue, give_up, workers};
use crate::judgement::{Lease, Subject};
use crate::measure;
use crate::store::{self, Job};

/// How often leases and jobs are looked at, whoever has told of them.
const TICK: Duration = Duration::from_secs(1);

/// After a failure.
const PAUSE: Duration = Duration::from_millis(200);
/// How long the end waits for jobs that are being given out.
const FAREWELL: Duration = Duration::from_secs(2);

/// Why the dispatcher looks around.
#[derive(Clone, Copy, PartialEq)]
enum Cause {
    Woken,
    Tick,
    Note,
}

/// How often the queue is measured.
const WATCH: Duration = Duration::from_secs(10);

impl Queue {
    /// Gives out jobs until the shutdown.
    pub async fn dispatch(self, shutdown: Shutdown) {
        let every = |period| {
            let mut interval = tokio::time::interval(period);
            interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
            interval
        };
        let (mut tick, mut note) = (every(TICK), every(workers::NOTE));
        let mut news = News::of(&self).await;
        let mut tell_at = None;
        loop {
            let cause = tokio::select! {
                () = shutdown.begun() => return,
                () = self.0.wake.notified() => Cause::Woken,
                () = news.next() => Cause::Woken,
                () = at(tell_at) => Cause::Woken,
                _ = tick.tick() => Cause::Tick,
                _ = note.tick() => Cause::Note,
            };
            // A database that is away must not hold up the end.
            let late = shutdown.begun().then(|()| tokio::time::sleep(FAREWELL));
            let round = tokio::select! {
                round = self.round(cause) => round,
                () = late => return,
            };
            if let Err(error) = round {
                tracing::warn!(%error, "jobs could not be given out; trying again");
                shutdown.unless_begun(tokio::time::sleep(PAUSE)).await;
                self.0.wake.notify_one();
            }
            // What waits is offered to the workers here first, which costs the others nothing.
            tell_at = news.tell(&self);
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

    async fn round(&self, cause: Cause) -> db::Result<()> {
        let next = || self.state().leased.pop();
        while let Some((link, job)) = next() {
            self.hand_over(link, job).await?;
        }
        self.bury().await?;
        match cause {
            Cause::Woken => {}
            Cause::Note => return self.note_workers().await,
            Cause::Tick => {
                let now = self.0.db.clock().now();
                if !store::is_due(&self.0.db, now).await? {
                    return Ok(());
                }
                self.expire().await?;
            }
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
    pub(super) fn next_wish(&self, idle: &BTreeSet<Uuid>) -> Option<Wish> {
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
        store::lease(tx, (&wish.worker, wish.link), &wish.languages, until).await
    }

    async fn hand_over(&self, link: Uuid, job: Job) -> db::Result<()> {
        let lease = Lease { id: job.id, attempt: job.attempt };
        let Some(subject) = Subject::of(job.submission_id, job.verification_id) else {
            let give_up = |mut tx: db::TxGuard| async move {
                give_up(&mut tx, lease, "a job without a subject".into(), "").await
            };
            return self.0.db.transact(give_up).await;
        };
        let sent = {
            let mut state = self.state();
            state.links.get_mut(&link).is_some_and(|link| {
                link.jobs.insert(job.id, Held::new(job.attempt, subject));
                link.sender.send(response(Message::Job(wire(job)))).is_ok()
            })
        };
        if !sent {
            // The worker left in this very moment.
            self.put_back(lease, &pb::JobFailure::default(), "").await?;
        }
        Ok(())
    }

    /// Tells whoever works on an attempt to stop.
    pub(super) fn cancel(&self, lease: Lease) {
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
    link: Uuid,
    worker: String,
    languages: Vec<String>,
    granted: bool,
}

impl Wish {
    /// There is a job; the link that gets it.
    pub fn granted(mut self) -> Uuid {
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
