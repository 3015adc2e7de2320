//! Problems: packages, versions, statements and test data.
//!
//! Owns: problems with their immutable versions, the reading and verifying of packages, and the
//! content-addressed store of everything a version needs. A package travels by events:
//! `VerificationRequested` asks the judge for each check, `JudgementCompleted` brings the answer, and the
//! last one decides whether the version may be published.
//!
//! Must not know: how programs are run, who submits what, how people sign in.
//!
//! Invariants: what a version holds never changes (a time limit that is being found is set once); the
//! objects a version names are durable before the version is; only a version whose checks all came out
//! as expected is published; what a caller may not see is not there.

mod check;
mod config;
mod content;
mod error;
pub mod events;
mod expectation;
mod imports;
mod objects;
pub mod package;
mod peers;
mod problem;
mod problems;
mod progress;
mod rpc;
mod samples;
mod statement;
mod store;
pub mod testing;
mod upkeep;
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
pub use objects::transfer;
pub use samples::samples;
pub use upkeep::Removed;

/// The service's tables.
pub const MIGRATIONS: db::Migrations = db::migrations!("problem", "0001_problems");

/// The names of all objects that a version needs, from the service's database.
pub async fn named_objects(db: &Db) -> Result<Vec<String>, Error> {
    store::objects::all(db).await
}

/// What the service is given.
pub struct Parts {
    /// Its own database, migrated.
    pub db: Db,
    /// Live messages.
    pub cache: Cache,
    /// Time and ids.
    pub clock: Clock,
    /// For page tokens.
    pub page_key: PageKey,
    /// The data directory: `objects` in it holds test data, unless the configuration names another place;
    /// `scratch/problem` what is being read.
    pub data: PathBuf,
    /// The auth service, with this service's credential.
    pub auth: Authorised,
    /// The judge, with this service's credential.
    pub judge: Authorised,
    /// When to stop.
    pub shutdown: Shutdown,
}

/// The service. Cheap to clone.
#[derive(Clone)]
pub struct Service(Arc<Inner>);

/// What the use cases work with.
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
    /// The service over its parts. Errors name the setting that cannot be used ([`Error::Config`]), or the
    /// store that does not answer ([`Error::Away`]).
    pub async fn open(config: Config, parts: Parts) -> Result<Self, Error> {
        let Parts { db, cache, clock, page_key, data, auth, judge, shutdown } = parts;
        let objects = objects::Objects::open(&config.objects, &data).await?;
        let scratch = data.join("scratch").join("problem");
        // What a process that died was reading is of no use to this one.
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

    /// The gRPC services.
    pub fn services(&self) -> Services {
        Services::new()
            .add(ProblemServiceServer::new(self.clone()))
            .add(ImportServiceServer::new(self.clone()))
            .add(JudgeDataServiceServer::new(self.clone()).max_encoding_message_size(64 << 20))
    }

    /// Starts the background work: the judge's answers are applied, what is not needed is removed.
    pub fn workers(&self, bus: &Bus, tasks: &Tasks) -> Result<(), bus::Error> {
        for consumes in CONSUMES {
            let handler = events::Judgements(self.clone());
            let (name, topics) = (consumes.consumer, consumes.topics);
            let consumer = bus.consumer(name, self.db.clone(), topics, handler)?;
            tasks.spawn("problem consumer", consumer.run(tasks.shutdown().wait()));
        }
        tasks.spawn("problem upkeep", self.clone().look_after(tasks.shutdown().clone()));
        Ok(())
    }
}
