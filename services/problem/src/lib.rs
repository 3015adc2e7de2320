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
mod read_cache;
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
use bus::Bus;
use cache::Cache;
use db::Db;
use futures_util::future::BoxFuture;
use ids::Clock;
use proto::problem::import_service_server::ImportServiceServer;
use proto::problem::judge_data_service_server::JudgeDataServiceServer;
use proto::problem::problem_service_server::ProblemServiceServer;
use runtime::{Shutdown, Tasks};
use service::{Context, Descriptor, OpenError, Service};
use tokio::sync::Semaphore;

pub use config::{Config, ObjectsConfig};
pub use error::Error;
pub use housekeeping::Removed;
pub use objects::transfer;
pub use samples::{Verified, VerifiedCheck, VerifiedPackage, samples};

/// The digests of all objects that a version references.
pub fn referenced_objects(db: &Db) -> BoxFuture<'_, Result<Vec<String>, Error>> {
    Box::pin(async move { store::objects::referenced(db).await })
}

/// The service. Cheap to clone.
#[derive(Clone)]
pub struct Problems(Arc<Inner>);

pub struct Inner {
    config: Config,
    db: Db,
    cache: Cache,
    clock: Clock,
    page_key: PageKey,
    objects: objects::Objects,
    scratch: PathBuf,
    peers: peers::Peers,
    read_cache: read_cache::ReadCache,
    readers: Semaphore,
    shutdown: Shutdown,
}

impl Deref for Problems {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl Service for Problems {
    const DESCRIPTOR: Descriptor = Descriptor {
        name: "problem",
        migrations: db::migrations!(
            "problem",
            "0001_problems",
            ("0002_list_indexes"),
            "0003_canceled_imports",
            "0004_released_objects",
            "0005_release_rejected_versions"
        ),
        publishes: &[events::PROBLEM, events::VERIFICATION],
        consumes: &[events::JUDGEMENTS],
        calls: &["auth", "judge"],
    };

    type Config = Config;

    /// Opens the object store. The data directory holds test data in `objects`, unless the configuration sets another
    /// location, and packages in `scratch/problem` while they are imported.
    fn open(config: Config, context: Context) -> BoxFuture<'static, Result<Self, OpenError>> {
        Box::pin(async move {
            let Context { db, cache, clock, page_key, peers, data_dir, shutdown, .. } = context;
            let objects = objects::Objects::open(&config.objects, &data_dir).await?;
            let scratch = data_dir.join("scratch").join("problem");
            // Imports of a previous process cannot be resumed.
            if scratch.exists() {
                std::fs::remove_dir_all(&scratch)?;
            }
            std::fs::create_dir_all(&scratch)?;
            let (peers, readers) =
                (peers::Peers::new(&peers)?, Semaphore::new(config.readers.max(1)));
            Ok(Self(Arc::new(Inner {
                config,
                db,
                cache,
                clock,
                page_key,
                objects,
                scratch,
                peers,
                read_cache: read_cache::ReadCache::default(),
                readers,
                shutdown,
            })))
        })
    }

    fn routes(&self) -> Services {
        Services::new()
            .add(ProblemServiceServer::new(self.clone()))
            .add(ImportServiceServer::new(self.clone()))
            .add(JudgeDataServiceServer::new(self.clone()).max_encoding_message_size(64 << 20))
    }

    fn start(&self, tasks: &Tasks, bus: &Bus) -> Result<(), OpenError> {
        let handler = events::Judgements(self.clone());
        service::consume(tasks, bus, &self.db, &events::JUDGEMENTS, handler)?;
        self.start_housekeeping(tasks);
        Ok(())
    }
}
