//! Problems: packages, versions, statements and test data.
//!
//! Owns: problems with their immutable versions, the import and verification of packages, and the
//! content-addressed store of test data. Verification runs by events: `VerificationRequested` asks the
//! judge for each check, `JudgementCompleted` returns the result, and the last result decides whether the
//! version can be published.
//!
//! Must not know: the package format (`libs/package`), how programs are run, submissions, sign-in.
//!
//! Invariants: the content of a version never changes (an inferred time limit is set once); the objects
//! that a version references are durable before the version is committed; only a version whose checks all
//! passed can be published; problems that a caller may not see are reported as not found.

mod check;
mod config;
mod content;
mod error;
pub mod events;
mod housekeeping;
mod import;
mod imports;
mod objects;
mod peers;
mod problem;
mod problems;
mod progress;
mod rpc;
mod samples;
mod store;
pub mod testing;
mod upload;
mod verification;
mod version;
mod viewer;
mod watch;
mod wire;

use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;

use ::rpc::{PageKey, Services};
use access::Authorised;
use bus::Bus;
use cache::Cache;
use db::Db;
use ids::Clock;
use proto::problem::import_service_server::ImportServiceServer;
use proto::problem::judge_data_service_server::JudgeDataServiceServer;
use proto::problem::problem_service_server::ProblemServiceServer;
use runtime::{Shutdown, Tasks};
use tokio::sync::Semaphore;

pub use config::{Config, ObjectsConfig};
pub use error::Error;
pub use events::{CONSUMES, TOPICS};
pub use housekeeping::Removed;
pub use objects::transfer;
pub use samples::samples;

/// The tables of the service.
pub const MIGRATIONS: db::Migrations = db::migrations!("problem", "0001_problems");

/// The digests of all objects that a version references.
pub async fn referenced_objects(db: &Db) -> Result<Vec<String>, Error> {
    store::objects::referenced(db).await
}

/// The dependencies of the service.
pub struct Parts {
    /// The service's own database, migrated.
    pub db: Db,
    pub cache: Cache,
    pub clock: Clock,
    pub page_key: PageKey,
    /// The data directory. `objects` in it holds test data, unless the configuration sets another location;
    /// `scratch/problem` holds packages while they are imported.
    pub data: PathBuf,
    /// The auth service, called with the credential of this service.
    pub auth: Authorised,
    /// The judge service, called with the credential of this service.
    pub judge: Authorised,
    pub shutdown: Shutdown,
}

/// The service. Cheap to clone.
#[derive(Clone)]
pub struct Service(Arc<Inner>);

/// The state that the use cases share.
pub struct Inner {
    config: Config,
    db: Db,
    cache: Cache,
    clock: Clock,
    page_key: PageKey,
    objects: objects::Objects,
    scratch: PathBuf,
    peers: peers::Peers,
    readers: Semaphore,
    shutdown: Shutdown,
}

impl Deref for Service {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl Service {
    /// Opens the object store and creates the service. Fails with [`Error::Config`] for an invalid setting,
    /// and with [`Error::Unavailable`] if the object store cannot be reached.
    pub async fn open(config: Config, parts: Parts) -> Result<Self, Error> {
        let Parts { db, cache, clock, page_key, data, auth, judge, shutdown } = parts;
        let objects = objects::Objects::open(&config.objects, &data).await?;
        let scratch = data.join("scratch").join("problem");
        // Imports of a previous process cannot be resumed.
        if scratch.exists() {
            std::fs::remove_dir_all(&scratch)?;
        }
        std::fs::create_dir_all(&scratch)?;
        let (peers, readers) =
            (peers::Peers::new(auth, judge), Semaphore::new(config.readers.max(1)));
        Ok(Self(Arc::new(Inner {
            config,
            db,
            cache,
            clock,
            page_key,
            objects,
            scratch,
            peers,
            readers,
            shutdown,
        })))
    }

    pub fn services(&self) -> Services {
        Services::new()
            .add(ProblemServiceServer::new(self.clone()))
            .add(ImportServiceServer::new(self.clone()))
            .add(JudgeDataServiceServer::new(self.clone()).max_encoding_message_size(64 << 20))
    }

    /// Starts the background work: the consumer of judgements and housekeeping.
    pub fn workers(&self, bus: &Bus, tasks: &Tasks) -> Result<(), bus::Error> {
        for consumes in CONSUMES {
            let handler = events::Judgements(self.clone());
            let (name, topics) = (consumes.consumer, consumes.topics);
            let consumer = bus.consumer(name, self.db.clone(), topics, handler)?;
            tasks.spawn("problem consumer", consumer.run(tasks.shutdown().wait()));
        }
        tasks.spawn("problem housekeeping", self.clone().housekeeping(tasks.shutdown().clone()));
        Ok(())
    }
}
