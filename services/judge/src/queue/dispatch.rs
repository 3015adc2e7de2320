//! The dispatcher: leases waiting jobs to workers that request jobs.

use std::collections::BTreeSet;
use std::time::Duration;

use db::Tx;
use futures_util::FutureExt as _;
use proto::judge as pb;
use proto::judge::work_response::Message;
use runtime::Shutdown;
use tokio::time::MissedTickBehavior;
use uuid::Uuid;

use super::notify::{JobNotifier, sleep_until};
use super::{Queue, RunningJob, give_up};
use crate::judgement::{Capacity, Lease, Subject};
use crate::measure;
use crate::store::{self, Job};

/// The interval for expiring leases and for dispatching jobs without a notification.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// The delay after a failed round.
const RETRY_DELAY: Duration = Duration::from_millis(200);
/// How long a shutdown waits for the current round.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(2);

#[derive(Clone, Copy, PartialEq)]
enum Cause {
    Notified,
    Poll,
    RefreshWorkers,
}

/// The interval of the queue metrics.
const METRICS_INTERVAL: Duration = Duration::from_secs(10);

impl Queue {
    /// Dispatches jobs until the shutdown.
    pub async fn dispatch(self, shutdown: Shutdown) {
        let every = |period| {
            let mut interval = tokio::time::interval(period);
            interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
            interval
        };
        let (mut poll, mut refresh) = (every(POLL_INTERVAL), every(self.refresh_interval()));
        let mut notifier = JobNotifier::open(&self).await;
        let mut announce_at = None;
        loop {
            let cause = tokio::select! {
                () = shutdown.begun() => return,
                () = self.0.wake.notified() => Cause::Notified,
                () = notifier.notified() => Cause::Notified,
                () = sleep_until(announce_at) => Cause::Notified,
                _ = poll.tick() => Cause::Poll,
                _ = refresh.tick() => Cause::RefreshWorkers,
            };
            // An unavailable database must not block the shutdown.
            let timeout = shutdown.begun().then(|()| tokio::time::sleep(SHUTDOWN_TIMEOUT));
            let round = tokio::select! {
                round = self.round(cause) => round,
                () = timeout => return,
            };
            if let Err(error) = round {
                tracing::warn!(%error, "dispatch failed, retrying");
                shutdown.unless_begun(tokio::time::sleep(RETRY_DELAY)).await;
                self.0.wake.notify_one();
            }
            // Announce only the jobs that no local worker took.
            announce_at = notifier.announce(&self);
        }
    }

    pub async fn report_metrics(self, shutdown: Shutdown) {
        let mut tick = tokio::time::interval(METRICS_INTERVAL);
        let mut unserved = Vec::new();
        while shutdown.unless_begun(tick.tick()).await.is_some() {
            // The database reports its own failures.
            let Ok((waiting, running, oldest)) = store::counts(&self.0.db).await else { continue };
            let now = self.0.db.clock().now();
            let age = oldest.and_then(|since| (now - since).to_std().ok()).unwrap_or_default();
            measure::queue(waiting, running, age);
            measure::workers(self.connected_count());
            self.report_unserved(&mut unserved).await;
        }
    }

    async fn round(&self, cause: Cause) -> db::Result<()> {
        let next = || self.state().leased.pop();
        while let Some((stream, job)) = next() {
            self.deliver(stream, job).await?;
        }
        self.process_disconnected().await?;
        match cause {
            Cause::Notified => {}
            Cause::RefreshWorkers => return self.refresh_workers().await,
            Cause::Poll => {
                let now = self.0.db.clock().now();
                if !store::is_due(&self.0.db, now).await? {
                    return Ok(());
                }
                self.expire().await?;
            }
        }
        let mut idle = BTreeSet::new();
        while let Some(demand) = self.next_demand(&idle) {
            let wanted = &demand;
            let lease =
                |mut tx: db::TxGuard| async move { self.lease(&mut tx as &mut Tx, wanted).await };
            match self.0.db.transact(lease).await? {
                Some(job) => self.deliver(demand.satisfy(), job).await?,
                None => drop(idle.insert(demand.stream)),
            }
        }
        Ok(())
    }

    /// Reserves a job for the worker with the most free slots, except for the `idle` streams.
    pub(super) fn next_demand(&self, idle: &BTreeSet<Uuid>) -> Option<Demand> {
        let since = self.live_since();
        let mut state = self.state();
        let ready = state.connections.iter_mut();
        let ready = ready.filter(|(id, worker)| worker.seen >= since && !idle.contains(id));
        let ready = ready.filter_map(|(id, worker)| Some((id, worker.capacity()?, worker)));
        let (id, capacity, connection) = ready.max_by_key(|(_, _, worker)| worker.ready)?;
        connection.request(-1);
        let hello = &connection.hello;
        let languages = hello.languages.iter().map(|l| l.language_id.clone()).collect();
        let (queue, worker) = (self.clone(), hello.worker_id.clone());
        Some(Demand { queue, stream: *id, worker, languages, capacity, satisfied: false })
    }

    /// Leases the first job that a worker can take to it.
    pub(super) async fn lease(&self, tx: &mut Tx, demand: &Demand) -> db::Result<Option<Job>> {
        let until = tx.now() + self.0.config.lease();
        let worker = (demand.worker.as_str(), demand.stream);
        store::lease(tx, worker, &demand.languages, demand.capacity, until).await
    }

    async fn deliver(&self, stream: Uuid, job: Job) -> db::Result<()> {
        let lease = Lease { id: job.id, attempt: job.attempt };
        let Some(subject) = Subject::of(job.submission_id, job.verification_id) else {
            let give_up = |mut tx: db::TxGuard| async move {
                give_up(&mut tx, lease, "the job has no subject".into(), "").await
            };
            return self.0.db.transact(give_up).await;
        };
        let sent = {
            let mut state = self.state();
            state.connections.get_mut(&stream).is_some_and(|connection| {
                connection.jobs.insert(job.id, RunningJob::new(job.attempt, subject));
                connection.sender.send(response(Message::Job(wire(job)))).is_ok()
            })
        };
        if !sent {
            // The worker has just disconnected.
            self.requeue(lease, &pb::JobFailure::default(), "").await?;
        }
        Ok(())
    }

    /// Tells the connected worker that holds an attempt to stop.
    pub(super) fn cancel(&self, lease: Lease) {
        let mut state = self.state();
        for connection in state.connections.values_mut() {
            if connection.forget(lease) {
                connection.sender.send(cancel(lease)).ok();
            }
        }
    }
}

/// A reservation of one job that a worker requested. Dropping it unsatisfied restores the request.
pub(super) struct Demand {
    queue: Queue,
    stream: Uuid,
    worker: String,
    languages: Vec<String>,
    capacity: Capacity,
    satisfied: bool,
}

impl Demand {
    pub fn capacity(&self) -> Capacity {
        self.capacity
    }

    /// Marks the request as satisfied. Returns the stream to send the job on.
    pub fn satisfy(mut self) -> Uuid {
        self.satisfied = true;
        self.stream
    }
}

impl Drop for Demand {
    fn drop(&mut self) {
        if !self.satisfied
            && let Some(connection) = self.queue.state().connections.get_mut(&self.stream)
        {
            connection.request(1);
        }
    }
}

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
