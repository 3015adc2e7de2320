//! The judge: runs programs and says what they are worth.
//!
//! Owns: the queue of jobs and who works on them, languages, the rules of verdicts, the default
//! checker, and every judgement with its tests. A submission comes by `SubmissionCreated`, a check of
//! an import by `VerificationRequested`; what came of it leaves by `JudgementCompleted`.
//!
//! Must not know: who may see what, standings, points; how programs are isolated (`libs/sandbox`).
//! Tests come from the problem service by content hash, programs from the challenge service.
//!
//! Invariants: a judgement ends once, with its event, by the attempt that holds its lease; a verdict
//! depends on the program and the problem's version, never on how many programs run at a time; nothing
//! but the sandbox runs what came from outside.
//!
//! The queue and the workers meet in `agon.judge.v1.WorkerService` only, also within one process.

use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;

use ::rpc::Services;
use access::Authorised;
use bus::Bus;
use cache::Cache;
use db::Db;
use ids::Clock;
use proto::judge::judgement_service_server::JudgementServiceServer;
use proto::judge::language_service_server::LanguageServiceServer;
use proto::judge::worker_service_server::WorkerServiceServer;
use runtime::Tasks;

pub mod checker;
mod config;
mod error;
pub mod events;
mod judgement;
mod judgements;
mod languages;
mod measure;
mod queue;
mod rpc;
mod store;
mod verdict;
pub mod worker;

pub use config::Config;
pub use error::Error;
pub use events::TOPICS;
pub use worker::Worker;

/// The service's tables.
pub const MIGRATIONS: db::Migrations = db::migrations!("judge", "0001_judgements");

/// Workers inside this process are called so; those of an earlier process of the same data directory
/// are known to be gone.
const EMBEDDED: &str = "embedded/";

/// The largest result: tests with their messages, samples with their outputs.
const MAX_MESSAGE: usize = 32 << 20;

/// What the service is given.
pub struct Parts {
    /// Its own database, migrated.
    pub db: Db,
    /// Live messages.
    pub cache: Cache,
    /// Time and ids.
    pub clock: Clock,
    /// A directory for test data and compiled programs: worth keeping, not worth saving.
    pub directory: PathBuf,
    /// The problem service, with this service's credential.
    pub problem: Authorised,
    /// The challenge service, with this service's credential.
    pub challenge: Authorised,
    /// This service, with its own credential: how its worker gets jobs.
    pub judge: Authorised,
    /// How sandboxes start; what [`Config`] says is filled in.
    pub sandbox: sandbox::Config,
}

/// The service. Cheap to clone.
#[derive(Clone)]
pub struct Judge(Arc<Inner>);

/// What the use cases work with.
pub struct Inner {
    config: Config,
    db: Db,
    queue: queue::Queue,
    worker: worker::Parts,
}

impl Deref for Judge {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl Judge {
    /// The service over its parts.
    pub async fn open(config: Config, parts: Parts) -> Result<Self, Error> {
        let languages = languages::load(config.languages_file().as_deref())
            .map_err(|error| Error::Languages(error.to_string()))?;
        let configured = worker::untried(&languages);
        let Parts { db, cache, clock, directory, problem, challenge, judge, sandbox } = parts;
        let queue = queue::Queue::open(config.clone(), db.clone(), cache, configured).await?;
        // The data directory is this process's alone.
        let released = queue.forget(EMBEDDED).await?;
        if released > 0 {
            tracing::info!(released, "jobs of an earlier process wait again");
        }
        let name = format!("{EMBEDDED}{}", clock.new_id());
        let worker =
            worker::Parts { name, directory, problem, challenge, judge, sandbox, languages };
        Ok(Self(Arc::new(Inner { config, db, queue, worker })))
    }

    /// The gRPC services.
    pub fn services(&self) -> Services {
        let worker = WorkerServiceServer::new(self.clone()).max_decoding_message_size(MAX_MESSAGE);
        Services::new()
            .add(JudgementServiceServer::new(self.clone()))
            .add(LanguageServiceServer::new(self.clone()))
            .add(worker)
    }

    /// Starts the background work: events become jobs, jobs go to workers, and, when the
    /// configuration says so, a worker of this process judges.
    pub fn workers(&self, bus: &Bus, tasks: &Tasks) -> Result<(), bus::Error> {
        let handler = events::Requests(self.queue.clone());
        let consumer =
            bus.consumer(events::CONSUMER, self.db.clone(), events::CONSUMES, handler)?;
        tasks.spawn("judge consumer", consumer.run(tasks.shutdown().wait()));
        let shutdown = tasks.shutdown().clone();
        measure::begin();
        tasks.spawn("judge queue", self.queue.clone().dispatch(shutdown.clone()));
        tasks.spawn("judge measurements", self.queue.clone().watch(shutdown.clone()));
        if self.config.worker {
            let component = tasks.readiness().component("judge");
            let worker = Worker::new(self.config.clone(), self.worker.clone());
            tasks.spawn("judge worker", worker.run(component, shutdown));
        }
        Ok(())
    }
}
