//! Submissions of programs, from being handed in to the verdict.
//!
//! Owns: who handed in what and when, the program, its verdict, and who may see what of that. A
//! submission travels by events: `SubmissionCreated` asks the judge for a judgement,
//! `JudgementCompleted` brings it, `SubmissionJudged` tells everybody else.
//!
//! Must not know: how programs are run, what tests hold, how people sign in. Of problems it knows
//! id, version and limits, by asking the problem service on the author's behalf.
//!
//! Invariants: an acknowledged submission is durable with its event; it gets one verdict, the first
//! that arrives; every response is made of a [`submission::View`].

use std::ops::Deref;
use std::sync::Arc;

use ::rpc::{PageKey, Services};
use access::Authorised;
use bus::Bus;
use cache::Cache;
use db::Db;
use ids::Clock;
use proto::challenge::submission_service_server::SubmissionServiceServer;
use runtime::{Shutdown, Tasks};

mod config;
mod draft;
mod error;
pub mod events;
mod judging;
mod languages;
mod limit;
mod overdue;
mod peers;
mod rpc;
mod store;
mod submission;
mod submissions;
mod verdict;
mod watch;
mod wire;

pub use config::Config;
pub use error::Error;
pub use events::{CONSUMES, TOPICS};
pub use overdue::Found;

/// The service's tables.
pub const MIGRATIONS: db::Migrations = db::migrations!("challenge", "0001_submissions");

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
    /// The auth service, with this service's credential.
    pub auth: Authorised,
    /// The problem service, with this service's credential.
    pub problem: Authorised,
    /// The judge, with this service's credential.
    pub judge: Authorised,
    /// When to stop.
    pub shutdown: Shutdown,
}

/// The service. Cheap to clone.
#[derive(Clone)]
pub struct Challenge(Arc<Inner>);

/// What the use cases work with.
pub struct Inner {
    config: Config,
    db: Db,
    cache: Cache,
    clock: Clock,
    page_key: PageKey,
    peers: peers::Peers,
    shutdown: Shutdown,
}

impl Deref for Challenge {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl Challenge {
    /// The service over its parts.
    pub fn open(config: Config, parts: Parts) -> Self {
        let Parts { db, cache, clock, page_key, auth, problem, judge, shutdown } = parts;
        let peers = peers::Peers::new(auth, problem, judge);
        Self(Arc::new(Inner { config, db, cache, clock, page_key, peers, shutdown }))
    }

    /// The gRPC services.
    pub fn services(&self) -> Services {
        Services::new().add(SubmissionServiceServer::new(self.clone()))
    }

    /// Starts the background work: judgements are applied, the overdue is looked after.
    pub fn workers(&self, bus: &Bus, tasks: &Tasks) -> Result<(), bus::Error> {
        for consumes in CONSUMES {
            let handler = events::Judgements(self.clone());
            let (name, topics) = (consumes.consumer, consumes.topics);
            let consumer = bus.consumer(name, self.db.clone(), topics, handler)?;
            tasks.spawn("challenge consumer", consumer.run(tasks.shutdown().wait()));
        }
        let health = tasks.readiness().component("submissions");
        tasks.spawn("overdue submissions", self.clone().look_after_overdue(health));
        Ok(())
    }
}
