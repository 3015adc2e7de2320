//! The judge: runs programs and decides their verdicts.
//!
//! Owns: the queue of jobs and their leases, languages, the rules of verdicts, the default checker, and every judgement
//! with its tests. `SubmissionCreated` requests the judgement of a submission, `VerificationRequested` that of a package
//! check; `JudgementCompleted` publishes the result.
//!
//! Must not know: who may see a result, standings, points; how programs are isolated (`libs/sandbox`). It gets test data
//! from the problem service by content hash, and sources from the challenge service.
//!
//! Invariants: a judgement ends once, with its event, by the attempt that holds the lease of the job; a verdict depends
//! only on the program and the version of the problem, never on the load; only the sandbox runs untrusted programs.
//!
//! The queue ([`Judge`]) and the workers ([`Worker`]) communicate by `agon.judge.v1.WorkerService` only, also within one
//! process. There may be several of both: instances of the queue coordinate in their database.

use std::ops::Deref;
use std::sync::Arc;

use ::rpc::Services;
use bus::Bus;
use db::Db;
use proto::judge::judgement_service_server::JudgementServiceServer;
use proto::judge::language_service_server::LanguageServiceServer;
use proto::judge::worker_service_server::WorkerServiceServer;
use runtime::Tasks;
use service::{Context, Descriptor, OpenError, Service};

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
pub use worker::Worker;

/// The largest result in bytes: tests have messages, and samples have outputs.
const MAX_MESSAGE: usize = 32 << 20;

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

impl Service for Judge {
    const DESCRIPTOR: Descriptor = Descriptor {
        name: "judge",
        migrations: db::migrations!("judge", "0001_judgements", "0002_workers"),
        publishes: &[events::JUDGEMENT],
        consumes: &[events::REQUESTS],
        calls: &[],
    };

    type Config = Config;

    async fn open(config: Config, context: Context) -> Result<Self, OpenError> {
        config.check().map_err(OpenError::Config)?;
        let languages = languages::load(config.languages_file().as_deref())
            .map_err(|error| OpenError::Config(format!("judge.languages: {error}")))?;
        let Context { db, cache, .. } = context;
        let queue = queue::Queue::new(config, db.clone(), cache, worker::untried(&languages));
        Ok(Self(Arc::new(Inner { db, queue })))
    }

    fn routes(&self) -> Services {
        let worker = WorkerServiceServer::new(self.clone()).max_decoding_message_size(MAX_MESSAGE);
        Services::new()
            .add(JudgementServiceServer::new(self.clone()))
            .add(LanguageServiceServer::new(self.clone()))
            .add(worker)
    }

    fn start(&self, tasks: &Tasks, bus: &Bus) -> Result<(), OpenError> {
        let handler = events::Requests(self.queue.clone());
        service::consume(tasks, bus, &self.db, &events::REQUESTS, handler)?;
        self.dispatch(tasks);
        Ok(())
    }
}

impl Judge {
    /// Starts the background work that does not consume events: the assignment of queued jobs to workers.
    pub fn dispatch(&self, tasks: &Tasks) {
        let shutdown = tasks.shutdown().clone();
        measure::begin();
        tasks.spawn("judge queue", self.queue.clone().dispatch(shutdown.clone()));
        tasks.spawn("judge measurements", self.queue.clone().watch(shutdown.clone()));
        tasks.spawn("judge live state", self.queue.clone().show(shutdown));
    }
}
