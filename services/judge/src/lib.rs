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
//! The queue ([`Judge`]) and the workers ([`Worker`]) meet in `agon.judge.v1.WorkerService` only, also within one
//! process. There may be several of both: what instances of the queue have to agree on is in their database.

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

/// The service's tables.
pub const MIGRATIONS: db::Migrations = db::migrations!("judge", "0001_judgements", "0002_workers");

/// The largest result: tests with their messages, samples with their outputs.
const MAX_MESSAGE: usize = 32 << 20;

/// What the service is given.
pub struct Parts {
    /// Its own database, migrated.
    pub db: Db,
    /// Live messages, shared by all instances.
    pub cache: Cache,
}

/// The service. Cheap to clone.
#[derive(Clone)]
pub struct Judge(Arc<Inner>);

/// What the use cases work with.
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
    /// The service over its parts.
    pub fn open(config: Config, parts: Parts) -> Result<Self, Error> {
        let languages = languages::load(config.languages_file().as_deref())
            .map_err(|error| Error::Languages(error.to_string()))?;
        let Parts { db, cache } = parts;
        let queue = queue::Queue::new(config, db.clone(), cache, worker::untried(&languages));
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

    /// Starts the background work: events become jobs, and jobs go to workers.
    pub fn workers(&self, bus: &Bus, tasks: &Tasks) -> Result<(), bus::Error> {
        let handler = events::Requests(self.queue.clone());
        let consumer =
            bus.consumer(events::CONSUMER, self.db.clone(), events::CONSUMES, handler)?;
        tasks.spawn("judge consumer", consumer.run(tasks.shutdown().wait()));
        self.dispatch(tasks);
        Ok(())
    }

    /// Starts the part of the background work that needs no events: jobs, whoever added them, go to workers.
    pub fn dispatch(&self, tasks: &Tasks) {
        let shutdown = tasks.shutdown().clone();
        measure::begin();
        tasks.spawn("judge queue", self.queue.clone().dispatch(shutdown.clone()));
        tasks.spawn("judge measurements", self.queue.clone().watch(shutdown.clone()));
        tasks.spawn("judge live state", self.queue.clone().show(shutdown));
    }
}
