//! The stream of a connected worker.

use std::pin::Pin;

use futures_util::{Stream, StreamExt, stream};
use proto::judge as pb;
use proto::judge::work_request::Message;
use proto::judge::work_response;
use tokio::sync::mpsc;
use tonic::Status;
use uuid::Uuid;

use super::dispatch::{cancel, response};
use super::{Connection, Queue, RunningJob};
use crate::error::Error;
use crate::judgement::{Lease, Outcome};
use crate::measure;
use crate::store;

pub type Requests = Pin<Box<dyn Stream<Item = Result<pb::WorkRequest, Status>> + Send>>;
pub type Responses = Pin<Box<dyn Stream<Item = Result<pb::WorkResponse, Status>> + Send>>;

/// The maximum number of languages of a worker: the query for a job has a part for each.
const MAX_LANGUAGES: usize = 256;

/// Serves a worker. Requests are processed while the responses are polled; dropping them disconnects the worker.
pub fn serve(queue: Queue, requests: Requests) -> Responses {
    let (sender, outgoing) = mpsc::unbounded_channel();
    let registration = Registration { queue, id: None };
    let session =
        Session { registration, sender, requests, outgoing, started: false, ended: false };
    Box::pin(stream::unfold(session, |mut session| async move {
        if session.ended {
            return None;
        }
        let next = session.next().await?;
        session.ended = next.is_err();
        Some((next, session))
    }))
}

/// Checks the lengths and characters of values that are stored and displayed.
fn check(hello: &pb::WorkerHello) -> Result<(), Error> {
    let plain = |text: &str, limit: usize| text.len() <= limit && !text.contains(char::is_control);
    if hello.worker_id.is_empty() || !plain(&hello.worker_id, 128) {
        let what = "must have 1 to 128 bytes without control characters";
        return Err(Error::invalid("hello.worker_id", what));
    }
    if !plain(&hello.isolation, 64) {
        let what = "must have at most 64 bytes without control characters";
        return Err(Error::invalid("hello.isolation", what));
    }
    let language = |it: &pb::Language| {
        plain(&it.language_id, 64) && plain(&it.name, 256) && plain(&it.version, 1024)
    };
    if !hello.languages.iter().all(language) {
        let what = "must have ids of at most 64 bytes, names of 256 and versions of 1024, without control characters";
        return Err(Error::invalid("hello.languages", what));
    }
    if hello.languages.len() > MAX_LANGUAGES {
        let what = format!("must be at most {MAX_LANGUAGES}, got {}", hello.languages.len());
        return Err(Error::invalid("hello.languages", what));
    }
    Ok(())
}

struct Session {
    registration: Registration,
    sender: mpsc::UnboundedSender<pb::WorkResponse>,
    requests: Requests,
    outgoing: mpsc::UnboundedReceiver<pb::WorkResponse>,
    /// Whether jobs may have been sent on this stream, or the worker has reported its jobs from earlier streams.
    started: bool,
    ended: bool,
}

/// The registration of a connection in the state of the queue, removed on drop.
struct Registration {
    queue: Queue,
    id: Option<Uuid>,
}

impl Drop for Registration {
    fn drop(&mut self) {
        let Some(id) = self.id else { return };
        let mut state = self.queue.state();
        if let Some(connection) = state.connections.remove(&id) {
            measure::workers(state.connections.len());
            let worker = connection.hello.worker_id;
            tracing::info!(worker, "worker disconnected");
            state.disconnected.push((worker, id));
        }
        drop(state);
        self.queue.0.wake.notify_one();
    }
}

impl Session {
    async fn next(&mut self) -> Option<Result<pb::WorkResponse, Status>> {
        loop {
            tokio::select! {
                response = self.outgoing.recv() => return response.map(Ok),
                request = self.requests.next() => match request? {
                    Ok(request) => {
                        if let Err(error) = self.handle(request).await {
                            return Some(Err(error.into()));
                        }
                    }
                    // A message that cannot be decoded, or a broken connection.
                    Err(status) => return Some(Err(status)),
                },
            }
        }
    }

    async fn handle(&mut self, request: pb::WorkRequest) -> Result<(), Error> {
        let Some(message) = request.message else { return Ok(()) };
        if let Message::Hello(hello) = message {
            return self.hello(hello).await;
        }
        let Some(id) = self.registration.id else {
            return Err(Error::invalid("message", "must be `hello` first"));
        };
        let queue = self.registration.queue.clone();
        if let Some(connection) = queue.state().connections.get_mut(&id) {
            connection.seen = queue.0.db.clock().now();
        }
        match message {
            Message::Hello(_) => Ok(()),
            Message::Heartbeat(heartbeat) => self.heartbeat(id, &heartbeat).await,
            Message::Progress(progress) => {
                let lease = Lease::read(progress.lease.as_ref());
                if let (Some(lease), Some(progress)) = (lease, &progress.progress) {
                    queue.progress(id, lease, progress);
                }
                Ok(())
            }
            Message::Ready(ready) => {
                self.started = true;
                if let Some(connection) = queue.state().connections.get_mut(&id) {
                    connection.request(ready.job_count.clamp(-4096, 4096).into());
                }
                queue.0.wake.notify_one();
                Ok(())
            }
            Message::Result(result) => self.result(id, result).await,
            Message::Failure(failure) => self.failure(id, failure).await,
        }
    }

    async fn hello(&mut self, hello: pb::WorkerHello) -> Result<(), Error> {
        check(&hello)?;
        let queue = self.registration.queue.clone();
        let first = self.registration.id.is_none();
        // Set the id before the database is updated, so that the end of the stream always removes the worker.
        let id = *self.registration.id.get_or_insert_with(|| queue.0.db.clock().new_id());
        {
            let mut state = queue.state();
            let now = queue.0.db.clock().now();
            let connection = state.connections.entry(id).or_insert_with(|| Connection {
                hello: hello.clone(),
                ready: None,
                jobs: Default::default(),
                sender: self.sender.clone(),
                seen: now,
            });
            if connection.hello.worker_id != hello.worker_id {
                let what = "must not change within a stream";
                return Err(Error::invalid("hello.worker_id", what));
            }
            (connection.hello, connection.seen) = (hello.clone(), now);
            measure::workers(state.connections.len());
        }
        if first {
            let (worker, slots) = (&hello.worker_id, hello.slot_count);
            tracing::info!(worker, slots, isolation = hello.isolation, "worker connected");
        }
        queue.register(id, &hello, first).await?;
        queue.0.wake.notify_one();
        Ok(())
    }

    /// Extends leases, including those from earlier streams. If it is the first message on this stream, jobs that
    /// it does not name never reached the worker and are requeued.
    async fn heartbeat(&mut self, id: Uuid, heartbeat: &pb::WorkerHeartbeat) -> Result<(), Error> {
        let queue = self.registration.queue.clone();
        let leases: Vec<Lease> =
            heartbeat.leases.iter().filter_map(|lease| Lease::read(Some(lease))).collect();
        let first = !std::mem::replace(&mut self.started, true);
        if leases.is_empty() && !first {
            return Ok(());
        }
        let (wanted, worker, lease) = (&leases, &self.worker(id), queue.0.config.lease());
        let renew = |mut tx: db::TxGuard| async move {
            let until = tx.now() + lease;
            let kept = store::renew(&mut tx, wanted, until).await?;
            let undelivered = match first {
                true => store::requeue_undelivered(&mut tx, worker, &kept).await?,
                false => 0,
            };
            Ok::<_, db::Error>((kept, undelivered))
        };
        let (kept, undelivered) = queue.0.db.transact(renew).await?;
        if undelivered > 0 {
            tracing::info!(worker, undelivered, "undelivered jobs requeued");
            queue.announce_jobs();
        }
        for lost in leases.iter().filter(|lease| !kept.contains(lease)) {
            self.forget(id, *lost);
            self.sender.send(cancel(*lost)).ok();
        }
        let mut unknown = Vec::new();
        if let Some(connection) = queue.state().connections.get_mut(&id) {
            for lease in kept {
                match connection.jobs.get_mut(&lease.id) {
                    // Publish again before the cache entry expires.
                    Some(job) => job.unpublished = true,
                    None => unknown.push(lease),
                }
            }
        }
        queue.0.progress_changed.notify_one();
        for lease in unknown {
            self.resume(id, lease).await?;
        }
        Ok(())
    }

    /// Registers a job that the worker holds from an earlier stream.
    async fn resume(&mut self, id: Uuid, lease: Lease) -> Result<(), Error> {
        let queue = &self.registration.queue;
        let Some(subject) = store::subject(&queue.0.db, lease.id).await? else { return Ok(()) };
        let live = queue.cached_live(lease).await;
        if let Some(connection) = queue.state().connections.get_mut(&id) {
            let job = RunningJob { live, ..RunningJob::new(lease.attempt, subject) };
            connection.jobs.insert(lease.id, job);
        }
        Ok(())
    }

    async fn result(&mut self, id: Uuid, result: pb::JobResult) -> Result<(), Error> {
        let lease = Lease::read(result.lease.as_ref())
            .ok_or_else(|| Error::invalid("result.lease", "must be a lease"))?;
        let judgement =
            result.judgement.ok_or_else(|| Error::invalid("result.judgement", "is required"))?;
        if judgement.verdict() == pb::Verdict::Unspecified {
            return Err(Error::invalid("result.judgement.verdict", "is required"));
        }
        let outcome = Outcome { judgement, worker: self.worker(id) };
        // Continue the trace of the job, not that of the stream.
        let mut context = ::rpc::Context::continuing(Some(&result.traceparent));
        context.start(tracing::info_span!("finish judgement", otel.kind = "internal"));
        let finished = context.scope(self.registration.queue.finish(lease, &outcome)).await?;
        self.reply(id, lease, finished);
        Ok(())
    }

    async fn failure(&mut self, id: Uuid, failure: pb::JobFailure) -> Result<(), Error> {
        let lease = Lease::read(failure.lease.as_ref())
            .ok_or_else(|| Error::invalid("failure.lease", "must be a lease"))?;
        let worker = self.worker(id);
        let requeued = self.registration.queue.requeue(lease, &failure, &worker).await?;
        self.reply(id, lease, requeued);
        Ok(())
    }

    /// Acknowledges a stored message, or cancels the job if its lease is not valid any more.
    fn reply(&self, id: Uuid, lease: Lease, durable: bool) {
        self.forget(id, lease);
        let message = match durable {
            true => response(work_response::Message::Ack(pb::JobAck { lease: Some(lease.wire()) })),
            false => cancel(lease),
        };
        self.sender.send(message).ok();
    }

    fn forget(&self, id: Uuid, lease: Lease) {
        if let Some(connection) = self.registration.queue.state().connections.get_mut(&id) {
            connection.forget(lease);
        }
    }

    fn worker(&self, id: Uuid) -> String {
        let state = self.registration.queue.state();
        let connection = state.connections.get(&id);
        connection.map(|connection| connection.hello.worker_id.clone()).unwrap_or_default()
    }
}
