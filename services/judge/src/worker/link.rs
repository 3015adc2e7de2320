//! The worker's stream to the queue: jobs in, progress and results out, through broken connections.

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

use super::Bench;
use super::failure::Failure;
use super::job::{self, Done, Report, Reporter};
use super::offer::Current;

/// How long leaving may take.
const FAREWELL: Duration = Duration::from_secs(2);
/// The first pause between two attempts to connect.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
/// The longest.
const MAX_PAUSE: Duration = Duration::from_secs(5);

/// A lease as a key: the job and the attempt.
type Key = (String, i32);

/// What the worker does, whatever happens to the connection.
struct Desk {
    bench: Arc<Bench>,
    jobs: JoinSet<()>,
    /// What each task works on.
    tasks: HashMap<Id, Key>,
    running: HashMap<Key, AbortHandle>,
    /// Said, and not yet known to have been heard.
    undelivered: HashMap<Key, Message>,
    reporter: mpsc::UnboundedSender<Report>,
    reports: mpsc::UnboundedReceiver<Report>,
    offer: watch::Receiver<Current>,
}

/// Works until the shutdown.
pub(super) async fn run(bench: &Arc<Bench>, judge: Authorised, shutdown: &Shutdown) {
    let (reporter, reports) = mpsc::unbounded_channel();
    let mut desk = Desk {
        bench: bench.clone(),
        jobs: JoinSet::new(),
        tasks: HashMap::new(),
        running: HashMap::new(),
        undelivered: HashMap::new(),
        reporter,
        reports,
        offer: bench.offer.watch(),
    };
    let client = WorkerServiceClient::new(judge);
    let mut pause = FIRST_PAUSE;
    while !shutdown.has_begun() {
        let (say, said) = mpsc::unbounded_channel();
        desk.greet(&say);
        let connecting = client.clone();
        let connected = shutdown.unless_begun(connect(connecting, said)).await;
        let ended = match connected {
            None => return,
            Some(Ok(told)) => {
                let since = Instant::now();
                let ended = desk.talk(&say, told, shutdown).await;
                // Who hangs up at once is no queue, or in no state to be asked again at once.
                if since.elapsed() > MAX_PAUSE {
                    pause = FIRST_PAUSE;
                }
                ended
            }
            Some(Err(status)) => Err(status),
        };
        let Err(status) = ended else { return };
        tracing::warn!(%status, "the queue cannot be reached; trying again");
        shutdown.unless_begun(tokio::time::sleep(pause)).await;
        pause = (pause * 2).min(MAX_PAUSE);
    }
}

async fn connect(
    mut client: WorkerServiceClient<Authorised>,
    said: mpsc::UnboundedReceiver<pb::WorkRequest>,
) -> Result<Streaming<pb::WorkResponse>, Status> {
    Ok(client.work(UnboundedReceiverStream::new(said)).await?.into_inner())
}

type Say = mpsc::UnboundedSender<pb::WorkRequest>;

impl Desk {
    /// What a connection starts with: who this is, what it does, what it has done, what it could do.
    fn greet(&mut self, say: &Say) {
        send(say, Message::Hello(self.hello()));
        send(say, Message::Heartbeat(self.heartbeat()));
        for message in self.undelivered.values() {
            send(say, message.clone());
        }
        let free = self.bench.sandbox.slots().saturating_sub(self.running.len());
        ready(say, free);
    }

    fn hello(&mut self) -> pb::WorkerHello {
        let current = self.offer.borrow_and_update();
        pb::WorkerHello {
            worker_id: self.bench.name.clone(),
            slot_count: i32::try_from(self.bench.sandbox.slots()).unwrap_or(i32::MAX),
            isolation: self.bench.isolation.clone(),
            languages: current.languages.values().map(|offered| offered.wire()).collect(),
            languages_complete: current.complete,
        }
    }

    /// Holds what runs and what is done but not yet heard of.
    fn heartbeat(&self) -> pb::WorkerHeartbeat {
        let keys = self.running.keys().chain(self.undelivered.keys());
        pb::WorkerHeartbeat { leases: keys.map(lease).collect() }
    }

    async fn talk(
        &mut self,
        say: &Say,
        mut told: Streaming<pb::WorkResponse>,
        shutdown: &Shutdown,
    ) -> Result<(), Status> {
        let mut heartbeat = tokio::time::interval(self.bench.config.heartbeat());
        loop {
            tokio::select! {
                () = shutdown.begun() => {
                    self.leave(say, told).await;
                    return Ok(());
                }
                message = told.message() => match message? {
                    Some(message) => self.hear(message),
                    None => return Err(Status::unavailable("the queue closed the stream")),
                },
                Some(report) = self.reports.recv() => self.report(say, report),
                Some(ended) = self.jobs.join_next_with_id() => self.ended(say, ended),
                _ = heartbeat.tick() => send(say, Message::Heartbeat(self.heartbeat())),
                Ok(()) = self.offer.changed() => {
                    let hello = self.hello();
                    send(say, Message::Hello(hello));
                }
            }
        }
    }

    fn hear(&mut self, message: pb::WorkResponse) {
        match message.message {
            Some(work_response::Message::Job(job)) => self.start(job),
            Some(work_response::Message::Ack(ack)) => {
                if let Some(key) = key(ack.lease) {
                    self.undelivered.remove(&key);
                }
            }
            Some(work_response::Message::Cancel(cancel)) => {
                let Some(key) = key(cancel.lease) else { return };
                self.undelivered.remove(&key);
                if let Some(task) = self.running.get(&key) {
                    tracing::info!(job = key.0, attempt = key.1, "a job is no longer wanted");
                    task.abort();
                }
            }
            None => {}
        }
    }

    fn start(&mut self, job: pb::Job) {
        let key = (job.job_id.clone(), job.attempt);
        let reporter = Reporter::new(&job, self.reporter.clone());
        let task = self.jobs.spawn(job::judge(self.bench.clone(), job, reporter));
        self.tasks.insert(task.id(), key.clone());
        self.running.insert(key, task);
    }

    fn report(&mut self, say: &Say, report: Report) {
        match report {
            Report::Progress(progress) => send(say, Message::Progress(progress)),
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
                    Err(failure) => Message::Failure(failed(lease, &failure)),
                };
                self.undelivered.insert(key, message.clone());
                send(say, message);
                ready(say, 1);
            }
        }
    }

    /// A task ended; one that was stopped or panicked has not reported.
    fn ended(&mut self, say: &Say, ended: Result<(Id, ()), JoinError>) {
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
            let failure = Failure::Broken("judging panicked; see the worker's log".into());
            tracing::error!(job = key.0, %error, "judging panicked");
            let message = Message::Failure(failed(lease(&key), &failure));
            self.undelivered.insert(key, message.clone());
            send(say, message);
        }
        ready(say, 1);
    }

    /// Gives back what is not done, and waits until that was heard.
    async fn leave(&mut self, say: &Say, mut told: Streaming<pb::WorkResponse>) {
        while let Ok(report) = self.reports.try_recv() {
            self.report(say, report);
        }
        for (key, task) in self.running.drain() {
            task.abort();
            let message = "the worker stopped".to_owned();
            let failure =
                pb::JobFailure { lease: Some(lease(&key)), message, ..Default::default() };
            let message = Message::Failure(failure);
            self.undelivered.insert(key, message.clone());
            send(say, message);
        }
        let farewell = async {
            while !self.undelivered.is_empty()
                && let Ok(Some(message)) = told.message().await
            {
                match message.message {
                    // Too late for another one; its lease ends with the stream.
                    Some(work_response::Message::Job(_)) => {}
                    _ => self.hear(message),
                }
            }
        };
        tokio::time::timeout(FAREWELL, farewell).await.ok();
        self.jobs.shutdown().await;
    }
}

fn send(say: &Say, message: Message) {
    // A broken connection shows when it is read from.
    say.send(pb::WorkRequest { message: Some(message) }).ok();
}

fn ready(say: &Say, count: usize) {
    let job_count = i32::try_from(count).unwrap_or(i32::MAX);
    send(say, Message::Ready(pb::WorkerReady { job_count }));
}

fn failed(lease: pb::JobLease, failure: &Failure) -> pb::JobFailure {
    pb::JobFailure {
        retry_delay: failure.delay(lease.attempt).try_into().ok(),
        lease: Some(lease),
        message: failure.to_string(),
        crashed: matches!(failure, Failure::Broken(_)),
    }
}

fn key(lease: Option<pb::JobLease>) -> Option<Key> {
    lease.map(|lease| (lease.job_id, lease.attempt))
}

fn lease(key: &Key) -> pb::JobLease {
    pb::JobLease { job_id: key.0.clone(), attempt: key.1 }
}
