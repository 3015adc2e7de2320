//! The judge: compiles and runs programs, and determines their verdicts.
//!
//! Owns: the job queue and its leases, workers, languages, the verdict rules, the default checker, and every
//! judgement with its test results. `SubmissionCreated` adds a job for a submission, `VerificationRequested` for a
//! check of an import, which `VerificationCanceled` aborts; `JudgementCompleted` reports the result.
//!
//! Must not know: visibility of results, standings, points; how programs are isolated (`libs/sandbox`).
//! It gets tests from the problem service by content hash, and programs from the challenge service.
//!
//! Invariants: a judgement completes once, together with its event, by the attempt that holds the lease; a verdict
//! depends on the program and the problem version only, never on the number of parallel runs; code and input from
//! outside run in the sandbox only; a submission never waits for a verification.
//!
//! The queue ([`Judge`]) and the workers ([`Worker`]) communicate only by `agon.judge.v1.WorkerService`, also within
//! one process. There can be several of both. Instances of the queue share state through their database.

use std::ops::Deref;
use std::sync::Arc;

use ::rpc::Services;
use bus::Bus;
use db::Db;
use futures_util::future::BoxFuture;
use proto::judge::judgement_service_server::JudgementServiceServer;
use proto::judge::language_service_server::LanguageServiceServer;
use proto::judge::worker_service_server::WorkerServiceServer;
use runtime::Tasks;
use service::{Context, Descriptor, OpenError, Service};

mod checker;
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
        migrations: db::migrations!(
            "judge",
            "0001_judgements",
            "0002_workers",
            "0003_open_jobs",
            "0004_pending_verifications",
            "0005_queue_by_language"
        ),
        publishes: &[events::JUDGEMENT],
        consumes: &[events::REQUESTS],
        calls: &[],
    };

    type Config = Config;

    fn open(config: Config, context: Context) -> BoxFuture<'static, Result<Self, OpenError>> {
        Box::pin(async move {
            config.check().map_err(OpenError::Config)?;
            let languages = languages::load(config.languages_file().as_deref())
                .map_err(|error| OpenError::Config(format!("judge.languages: {error}")))?;
            let Context { db, cache, .. } = context;
            let queue = queue::Queue::new(config, db.clone(), cache, worker::untested(&languages));
            Ok(Self(Arc::new(Inner { db, queue })))
        })
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
        measure::register();
        tasks.spawn("judge queue", self.queue.clone().dispatch(shutdown.clone()));
        tasks.spawn("judge metrics", self.queue.clone().report_metrics(shutdown.clone()));
        tasks.spawn("judge progress", self.queue.clone().publish_progress(shutdown));
    }
}
