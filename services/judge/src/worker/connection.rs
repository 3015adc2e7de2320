//! The stream to the queue: receives jobs, sends progress and results, and reconnects when it breaks.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use access::Authorised;
use proto::judge as pb;
use proto::judge::work_request::Message;
use proto::judge::work_response;
use proto::judge::worker_service_client::WorkerServiceClient;
use runtime::Shutdown;
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::{Status, Streaming};

use super::Engine;
use super::failure::Failure;
use super::job::{self, Done, Report, Reporter};
use super::offer::Current;

/// How long a shutdown waits for acknowledgements.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(2);
/// The first delay before reconnecting.
const MIN_BACKOFF: Duration = Duration::from_millis(20);
/// The maximum delay before reconnecting.
const MAX_BACKOFF: Duration = Duration::from_secs(5);

/// A lease as a key: the job and the attempt.
type Key = (String, i32);

/// The jobs of the worker, which outlive a connection.
struct Session {
    engine: Arc<Engine>,
    jobs: JoinSet<()>,
    tasks: HashMap<Id, Key>,
    running: HashMap<Key, AbortHandle>,
    /// Results and failures that the queue has not acknowledged yet.
    unacknowledged: HashMap<Key, Message>,
    reporter: mpsc::UnboundedSender<Report>,
    reports: mpsc::UnboundedReceiver<Report>,
    offer: watch::Receiver<Current>,
}

/// Judges jobs until the shutdown.
pub(super) async fn run(engine: &Arc<Engine>, judge: Authorised, shutdown: &Shutdown) {
    let (reporter, reports) = mpsc::unbounded_channel();
    let mut session = Session {
        engine: engine.clone(),
        jobs: JoinSet::new(),
        tasks: HashMap::new(),
        running: HashMap::new(),
        unacknowledged: HashMap::new(),
        reporter,
        reports,
        offer: engine.offer.watch(),
    };
    let client = WorkerServiceClient::new(judge);
    let mut backoff = MIN_BACKOFF;
    while !shutdown.has_begun() {
        let (requests, outgoing) = mpsc::unbounded_channel();
        session.announce(&requests);
        let connecting = client.clone();
        let connected = shutdown.unless_begun(connect(connecting, outgoing)).await;
        let ended = match connected {
            None => return,
            Some(Ok(responses)) => {
                let since = Instant::now();
                let ended = session.serve(&requests, responses, shutdown).await;
                // Keep backing off from a queue that closes streams immediately.
                if since.elapsed() > MAX_BACKOFF {
                    backoff = MIN_BACKOFF;
                }
                ended
            }
            Some(Err(status)) => Err(status),
        };
        let Err(status) = ended else { return };
        tracing::warn!(%status, "queue unavailable, reconnecting");
        shutdown.unless_begun(tokio::time::sleep(backoff)).await;
        backoff = (backoff * 2).min(MAX_BACKOFF);
    }
}

async fn connect(
    mut client: WorkerServiceClient<Authorised>,
    outgoing: mpsc::UnboundedReceiver<pb::WorkRequest>,
) -> Result<Streaming<pb::WorkResponse>, Status> {
    Ok(client.work(UnboundedReceiverStream::new(outgoing)).await?.into_inner())
}

type Requests = mpsc::UnboundedSender<pb::WorkRequest>;

impl Session {
    /// Sends the first messages on a connection: hello, held leases, unacknowledged results, and free slots.
    fn announce(&mut self, requests: &Requests) {
        send(requests, Message::Hello(self.hello()));
        send(requests, Message::Heartbeat(self.heartbeat()));
        for message in self.unacknowledged.values() {
            send(requests, message.clone());
        }
        let count = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
        ready(requests, count(self.engine.sandbox.slots()) - count(self.running.len()));
    }

    fn hello(&mut self) -> pb::WorkerHello {
        let current = self.offer.borrow_and_update();
        pb::WorkerHello {
            worker_id: self.engine.name.clone(),
            slot_count: i32::try_from(self.engine.sandbox.slots()).unwrap_or(i32::MAX),
            isolation: self.engine.isolation.clone(),
            languages: current.languages.values().map(|offered| offered.wire()).collect(),
            languages_complete: current.complete,
        }
    }

    /// The leases of running jobs and of unacknowledged results.
    fn heartbeat(&self) -> pb::WorkerHeartbeat {
        let keys = self.running.keys().chain(self.unacknowledged.keys());
        pb::WorkerHeartbeat { leases: keys.map(lease).collect() }
    }

    async fn serve(
        &mut self,
        requests: &Requests,
        mut responses: Streaming<pb::WorkResponse>,
        shutdown: &Shutdown,
    ) -> Result<(), Status> {
        let mut heartbeat = tokio::time::interval(self.engine.config.heartbeat());
        loop {
            tokio::select! {
                () = shutdown.begun() => {
                    self.shut_down(requests, responses).await;
                    return Ok(());
                }
                message = responses.message() => match message? {
                    Some(message) => self.handle(message),
                    None => return Err(Status::unavailable("the queue closed the stream")),
                },
                Some(report) = self.reports.recv() => self.report(requests, report),
                Some(ended) = self.jobs.join_next_with_id() => self.task_ended(requests, ended),
                _ = heartbeat.tick() => send(requests, Message::Heartbeat(self.heartbeat())),
                Ok(()) = self.offer.changed() => {
                    let hello = self.hello();
                    send(requests, Message::Hello(hello));
                }
            }
        }
    }

    fn handle(&mut self, message: pb::WorkResponse) {
        match message.message {
            Some(work_response::Message::Job(job)) => self.start(job),
            Some(work_response::Message::Ack(ack)) => {
                if let Some(key) = key(ack.lease) {
                    self.unacknowledged.remove(&key);
                }
            }
            Some(work_response::Message::Cancel(cancel)) => {
                let Some(key) = key(cancel.lease) else { return };
                self.unacknowledged.remove(&key);
                if let Some(task) = self.running.get(&key) {
                    tracing::info!(job = key.0, attempt = key.1, "job canceled by queue");
                    task.abort();
                }
            }
            None => {}
        }
    }

    fn start(&mut self, job: pb::Job) {
        let key = (job.job_id.clone(), job.attempt);
        let reporter = Reporter::new(&job, self.reporter.clone());
        let task = self.jobs.spawn(job::judge(self.engine.clone(), job, reporter));
        self.tasks.insert(task.id(), key.clone());
        self.running.insert(key, task);
    }

    fn report(&mut self, requests: &Requests, report: Report) {
        match report {
            Report::Progress(progress) => send(requests, Message::Progress(progress)),
            Report::Done(lease, done) => {
                let key = (lease.job_id.clone(), lease.attempt);
                if self.running.remove(&key).is_none() {
                    return;
                }
                let Done { result, traceparent } = *done;
                let message = match result {
                    Ok(judgement) => {
                        let (lease, judgement) = (Some(lease), Some(judgement));
                        Message::Result(pb::JobResult { lease, judgement, traceparent })
                    }
                    Err(failure) => Message::Failure(failure_message(lease, &failure)),
                };
                self.unacknowledged.insert(key, message.clone());
                send(requests, message);
                ready(requests, 1);
            }
        }
    }

    /// Handles the end of a task. A task that was aborted or panicked has not reported a result.
    fn task_ended(&mut self, requests: &Requests, ended: Result<(Id, ()), JoinError>) {
        let (id, error) = match ended {
            Ok((id, ())) => (id, None),
            Err(error) => (error.id(), Some(error)),
        };
        let Some(key) = self.tasks.remove(&id) else { return };
        let Some(error) = error else { return };
        if self.running.remove(&key).is_none() {
            return;
        }
        if error.is_panic() {
            let failure = Failure::Internal("judging panicked; see the log of the worker".into());
            tracing::error!(job = key.0, %error, "judging panicked");
            let message = Message::Failure(failure_message(lease(&key), &failure));
            self.unacknowledged.insert(key, message.clone());
            send(requests, message);
        }
        ready(requests, 1);
    }

    /// Returns the running jobs to the queue and waits for acknowledgements.
    async fn shut_down(&mut self, requests: &Requests, mut responses: Streaming<pb::WorkResponse>) {
        while let Ok(report) = self.reports.try_recv() {
            self.report(requests, report);
        }
        for (key, task) in self.running.drain() {
            task.abort();
            let message = "the worker stopped".to_owned();
            let failure =
                pb::JobFailure { lease: Some(lease(&key)), message, ..Default::default() };
            let message = Message::Failure(failure);
            self.unacknowledged.insert(key, message.clone());
            send(requests, message);
        }
        let acknowledged = async {
            while !self.unacknowledged.is_empty()
                && let Ok(Some(message)) = responses.message().await
            {
                match message.message {
                    // Ignored: its lease expires soon after the end of the stream.
                    Some(work_response::Message::Job(_)) => {}
                    _ => self.handle(message),
                }
            }
        };
        tokio::time::timeout(SHUTDOWN_TIMEOUT, acknowledged).await.ok();
        self.jobs.shutdown().await;
    }
}

fn send(requests: &Requests, message: Message) {
    // A broken connection is detected when reading.
    requests.send(pb::WorkRequest { message: Some(message) }).ok();
}

fn ready(requests: &Requests, job_count: i32) {
    send(requests, Message::Ready(pb::WorkerReady { job_count }));
}

fn failure_message(lease: pb::JobLease, failure: &Failure) -> pb::JobFailure {
    pb::JobFailure {
        retry_delay: failure.delay(lease.attempt).try_into().ok(),
        lease: Some(lease),
        message: failure.to_string(),
        crashed: matches!(failure, Failure::Internal(_)),
    }
}

fn key(lease: Option<pb::JobLease>) -> Option<Key> {
    lease.map(|lease| (lease.job_id, lease.attempt))
}

fn lease(key: &Key) -> pb::JobLease {
    pb::JobLease { job_id: key.0.clone(), attempt: key.1 }
}
