//! One worker's stream.

use std::pin::Pin;

use futures_util::{Stream, StreamExt, stream};
use proto::judge as pb;
use proto::judge::work_request::Message;
use proto::judge::work_response;
use tokio::sync::mpsc;
use tonic::Status;
use uuid::Uuid;

use super::dispatch::{cancel, response};
use super::{Gone, Held, Link, Queue};
use crate::error::Error;
use crate::judgement::{Lease, Outcome};
use crate::measure;
use crate::store;

/// What a worker says.
pub type Said = Pin<Box<dyn Stream<Item = Result<pb::WorkRequest, Status>> + Send>>;
/// What a worker is told.
pub type Told = Pin<Box<dyn Stream<Item = Result<pb::WorkResponse, Status>> + Send>>;

/// Serves a worker: whoever polls the answers also moves the work on, and dropping them hangs up.
pub fn serve(queue: Queue, said: Said) -> Told {
    let (sender, told) = mpsc::unbounded_channel();
    let connected = Connected { queue, id: None };
    let talk = Talk { connected, sender, said, told, begun: false, over: false };
    Box::pin(stream::unfold(talk, |mut talk| async move {
        if talk.over {
            return None;
        }
        let next = talk.next().await?;
        talk.over = next.is_err();
        Some((next, talk))
    }))
}

/// What a worker says of itself is stored and shown.
fn check(hello: &pb::WorkerHello) -> Result<(), Error> {
    let plain = |text: &str, most: usize| text.len() <= most && !text.contains(char::is_control);
    if hello.worker_id.is_empty() || !plain(&hello.worker_id, 128) {
        let what = "give a name of 1 to 128 bytes without control characters";
        return Err(Error::invalid("hello.worker_id", what));
    }
    if !plain(&hello.isolation, 64) {
        let what = "give at most 64 bytes without control characters";
        return Err(Error::invalid("hello.isolation", what));
    }
    let language = |it: &pb::Language| {
        plain(&it.language_id, 64) && plain(&it.name, 256) && plain(&it.version, 1024)
    };
    if !hello.languages.iter().all(language) {
        let what =
            "ids have at most 64 bytes, names 256, versions 1024, without control characters";
        return Err(Error::invalid("hello.languages", what));
    }
    Ok(())
}

struct Talk {
    connected: Connected,
    sender: mpsc::UnboundedSender<pb::WorkResponse>,
    said: Said,
    told: mpsc::UnboundedReceiver<pb::WorkResponse>,
    /// Whether jobs may have been given on this stream, or the worker has said which it has from before.
    begun: bool,
    over: bool,
}

/// A link's place in the queue's state, given up on drop.
struct Connected {
    queue: Queue,
    id: Option<Uuid>,
}

impl Drop for Connected {
    fn drop(&mut self) {
        let Some(id) = self.id else { return };
        let mut state = self.queue.state();
        if let Some(link) = state.links.remove(&id) {
            measure::workers(state.links.len());
            tracing::info!(worker = link.hello.worker_id, "a worker disconnected");
            state.gone.push(Gone { worker: link.hello.worker_id, stream: id });
        }
        drop(state);
        self.queue.0.wake.notify_one();
    }
}

impl Talk {
    async fn next(&mut self) -> Option<Result<pb::WorkResponse, Status>> {
        loop {
            tokio::select! {
                told = self.told.recv() => return told.map(Ok),
                said = self.said.next() => match said? {
                    Ok(request) => {
                        if let Err(error) = self.hear(request).await {
                            return Some(Err(error.into()));
                        }
                    }
                    // The worker is gone; there is nobody to tell.
                    Err(_) => return None,
                },
            }
        }
    }

    async fn hear(&mut self, request: pb::WorkRequest) -> Result<(), Error> {
        let Some(message) = request.message else { return Ok(()) };
        if let Message::Hello(hello) = message {
            return self.hello(hello).await;
        }
        let Some(id) = self.connected.id else {
            return Err(Error::invalid("message", "must be `hello` at first"));
        };
        let queue = self.connected.queue.clone();
        if let Some(link) = queue.state().links.get_mut(&id) {
            link.seen = queue.0.db.clock().now();
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
                self.begun = true;
                if let Some(link) = queue.state().links.get_mut(&id) {
                    link.ready += i64::from(ready.job_count.clamp(0, 4096));
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
        let queue = self.connected.queue.clone();
        let first = self.connected.id.is_none();
        // Here first, so that the end of the stream, at any moment, undoes what the database learns.
        let id = *self.connected.id.get_or_insert_with(|| queue.0.db.clock().new_id());
        {
            let mut state = queue.state();
            let now = queue.0.db.clock().now();
            let link = state.links.entry(id).or_insert_with(|| Link {
                hello: hello.clone(),
                ready: 0,
                jobs: Default::default(),
                sender: self.sender.clone(),
                seen: now,
            });
            if link.hello.worker_id != hello.worker_id {
                let what = "is the name of another worker; open another stream for it";
                return Err(Error::invalid("hello.worker_id", what));
            }
            (link.hello, link.seen) = (hello.clone(), now);
            measure::workers(state.links.len());
        }
        if first {
            let (worker, slots) = (&hello.worker_id, hello.slot_count);
            tracing::info!(worker, slots, isolation = hello.isolation, "a worker connected");
        }
        queue.register(id, &hello, first).await?;
        queue.0.wake.notify_one();
        Ok(())
    }

    /// Keeps leases, also those from before the stream broke. The first heartbeat, before anything was given
    /// on this stream, says what else never arrived.
    async fn heartbeat(&mut self, id: Uuid, heartbeat: &pb::WorkerHeartbeat) -> Result<(), Error> {
        let queue = self.connected.queue.clone();
        let leases: Vec<Lease> =
            heartbeat.leases.iter().filter_map(|lease| Lease::read(Some(lease))).collect();
        let first = !std::mem::replace(&mut self.begun, true);
        if leases.is_empty() && !first {
            return Ok(());
        }
        let (asked, worker, lease) = (&leases, &self.worker(id), queue.0.config.lease());
        let renew = |mut tx: db::TxGuard| async move {
            let until = tx.now() + lease;
            let kept = store::renew(&mut tx, asked, until).await?;
            let lost = match first {
                true => store::take_back(&mut tx, worker, &kept).await?,
                false => 0,
            };
            Ok::<_, db::Error>((kept, lost))
        };
        let (kept, lost) = queue.0.db.transact(renew).await?;
        if lost > 0 {
            tracing::info!(worker, lost, "jobs never reached their worker and wait again");
            queue.waiting();
        }
        for lost in leases.iter().filter(|lease| !kept.contains(lease)) {
            self.forget(id, *lost);
            self.sender.send(cancel(*lost)).ok();
        }
        let mut unknown = Vec::new();
        if let Some(link) = queue.state().links.get_mut(&id) {
            for lease in kept {
                match link.jobs.get_mut(&lease.id) {
                    // What is shown of it must not end before it does.
                    Some(held) => held.unshown = true,
                    None => unknown.push(lease),
                }
            }
        }
        queue.0.unshown.notify_one();
        for lease in unknown {
            self.take_up(id, lease).await?;
        }
        Ok(())
    }

    /// A worker came back with a job from before.
    async fn take_up(&mut self, id: Uuid, lease: Lease) -> Result<(), Error> {
        let queue = &self.connected.queue;
        let Some(subject) = store::subject(&queue.0.db, lease.id).await? else { return Ok(()) };
        let live = queue.shown(lease).await;
        if let Some(link) = queue.state().links.get_mut(&id) {
            link.jobs.insert(lease.id, Held { live, ..Held::new(lease.attempt, subject) });
        }
        Ok(())
    }

    async fn result(&mut self, id: Uuid, result: pb::JobResult) -> Result<(), Error> {
        let lease = Lease::read(result.lease.as_ref())
            .ok_or_else(|| Error::invalid("result.lease", "is no lease"))?;
        let judgement =
            result.judgement.ok_or_else(|| Error::invalid("result.judgement", "is required"))?;
        if judgement.verdict() == pb::Verdict::Unspecified {
            return Err(Error::invalid("result.judgement.verdict", "is required"));
        }
        let outcome = Outcome { judgement, worker: self.worker(id) };
        // The job's trace goes on, not that of the worker's stream.
        let mut context = ::rpc::Context::continuing(Some(&result.traceparent));
        context.start(tracing::info_span!("finish judgement", otel.kind = "internal"));
        let finished = context.scope(self.connected.queue.finish(lease, &outcome)).await?;
        self.answer(id, lease, finished);
        Ok(())
    }

    async fn failure(&mut self, id: Uuid, failure: pb::JobFailure) -> Result<(), Error> {
        let lease = Lease::read(failure.lease.as_ref())
            .ok_or_else(|| Error::invalid("failure.lease", "is no lease"))?;
        let worker = self.worker(id);
        let put_back = self.connected.queue.put_back(lease, &failure, &worker).await?;
        self.answer(id, lease, put_back);
        Ok(())
    }

    /// Durable, or no longer the worker's concern: it can forget the job either way.
    fn answer(&self, id: Uuid, lease: Lease, durable: bool) {
        self.forget(id, lease);
        let message = match durable {
            true => response(work_response::Message::Ack(pb::JobAck { lease: Some(lease.wire()) })),
            false => cancel(lease),
        };
        self.sender.send(message).ok();
    }

    fn forget(&self, id: Uuid, lease: Lease) {
        if let Some(link) = self.connected.queue.state().links.get_mut(&id)
            && link.jobs.get(&lease.id).is_some_and(|held| held.attempt == lease.attempt)
        {
            link.jobs.remove(&lease.id);
        }
    }

    fn worker(&self, id: Uuid) -> String {
        let state = self.connected.queue.state();
        state.links.get(&id).map(|link| link.hello.worker_id.clone()).unwrap_or_default()
    }
}
