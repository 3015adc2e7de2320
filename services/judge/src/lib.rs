//! The judge: compiles and runs programs, and determines their verdicts.
//!
//! Owns: the job queue and its leases, workers, languages, the verdict rules, the default checker, and every
//! judgement with its test results. `SubmissionCreated` adds a job for a submission, `VerificationRequested` for a
//! check of an import; `JudgementCompleted` reports the result.
//!
//! Must not know: visibility of results, standings, points; how programs are isolated (`libs/sandbox`).
//! It gets tests from the problem service by content hash, and programs from the challenge service.
//!
//! Invariants: a judgement completes once, together with its event, by the attempt that holds the lease; a verdict
//! depends on the program and the problem version only, never on the number of parallel runs; code and input from
//! outside run in the sandbox only.
//!
//! The queue ([`Judge`]) and the workers ([`Worker`]) communicate only by `agon.judge.v1.WorkerService`, also within
//! one process. There can be several of both. Instances of the queue share state through their database.

use std::ops::Deref;
use std::sync::Arc;

use ::rpc::Services;
use bus::Bus;
use cache::Cache;
use db::Db;
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

/// The migrations of the judge's tables.
pub const MIGRATIONS: db::Migrations = db::migrations!("judge", "0001_judgements", "0002_workers");

/// In bytes. A result contains all tests with messages, and the outputs of samples.
const MAX_MESSAGE: usize = 32 << 20;

/// The dependencies of the service.
pub struct Parts {
    /// The judge's database, migrated.
    pub db: Db,
    /// Shared by all instances of the queue; carries live progress.
    pub cache: Cache,
}

/// The service. Cheap to clone.
#[derive(Clone)]
pub struct Judge(Arc<Inner>);

pub struct Inner {
    db: Db,
    queue: queue::Queue,
}

impl Deref for Judge {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl Judge {
    /// Fails if the languages file is invalid.
    pub fn open(config: Config, parts: Parts) -> Result<Self, Error> {
        let languages = languages::load(config.languages_file().as_deref())
            .map_err(|error| Error::Languages(error.to_string()))?;
        let Parts { db, cache } = parts;
        let queue = queue::Queue::new(config, db.clone(), cache, worker::untested(&languages));
        Ok(Self(Arc::new(Inner { db, queue })))
    }

    /// The gRPC services.
    pub fn services(&self) -> Services {
        let worker = WorkerServiceServer::new(self.clone()).max_decoding_message_size(MAX_MESSAGE);
        Services::new()
            .add(JudgementServiceServer::new(self.clone()))
            .add(LanguageServiceServer::new(self.clone()))
            .add(worker)
    }

    /// Starts the event consumer, which adds jobs to the queue, and [`Judge::dispatch`].
    pub fn workers(&self, bus: &Bus, tasks: &Tasks) -> Result<(), bus::Error> {
        let handler = events::Requests(self.queue.clone());
        let consumer =
            bus.consumer(events::CONSUMER, self.db.clone(), events::CONSUMES, handler)?;
        tasks.spawn("judge consumer", consumer.run(tasks.shutdown().wait()));
        self.dispatch(tasks);
        Ok(())
    }

    /// Starts the background work that needs no events: dispatching jobs to workers, metrics, live progress.
    pub fn dispatch(&self, tasks: &Tasks) {
        let shutdown = tasks.shutdown().clone();
        measure::register();
        tasks.spawn("judge queue", self.queue.clone().dispatch(shutdown.clone()));
        tasks.spawn("judge metrics", self.queue.clone().report_metrics(shutdown.clone()));
        tasks.spawn("judge progress", self.queue.clone().publish_progress(shutdown));
    }
}
