//! Practice and contests: submissions, from their acceptance to their verdict, and the standings that follow from them.
//!
//! Owns: submissions with their source and verdict; contests with their participants, logs and standings; and the rules
//! of who may see which part. A submission is processed by events: `SubmissionCreated` requests a judgement from the
//! judge, `JudgementCompleted` returns it, and `SubmissionJudged` announces the verdict.
//!
//! Must not know: how programs are run, the content of tests, how users sign in. It reads a problem's id, version and
//! limits from the problem service on behalf of the author.
//!
//! Invariants: an acknowledged submission is durable with its event; the first judgement that arrives
//! is final unless a rejudging is applied; every
//! response about a submission is made from a [`submission::View`]; the standings are a function of a contest's
//! [`log`], and their public view of nothing that the freeze hides.

use std::ops::Deref;
use std::sync::Arc;

use ::rpc::{PageKey, Services};
use bus::Bus;
use cache::Cache;
use db::Db;
use futures_util::future::BoxFuture;
use ids::Clock;
use proto::challenge::contest_jury_service_server::ContestJuryServiceServer;
use proto::challenge::contest_service_server::ContestServiceServer;
use proto::challenge::rejudging_service_server::RejudgingServiceServer;
use proto::challenge::submission_service_server::SubmissionServiceServer;
use runtime::{Shutdown, Tasks};
use service::{Context, Descriptor, OpenError, Service};

mod boards;
mod config;
mod contest;
mod contests;
mod error;
pub mod events;
pub mod format;
mod judging;
mod jury;
mod languages;
mod limit;
mod log;
mod peers;
mod rejudging;
mod rejudgings;
mod request;
mod rpc;
mod stale;
pub mod standings;
mod store;
mod submission;
mod submissions;
mod watch;
mod wire;

pub use config::Config;
pub use error::Error;
pub use stale::Found;

/// The service. Cheap to clone.
#[derive(Clone)]
pub struct Challenge(Arc<Inner>);

pub struct Inner {
    config: Config,
    db: Db,
    cache: Cache,
    clock: Clock,
    page_key: PageKey,
    peers: peers::Peers,
    boards: boards::Boards,
    shutdown: Shutdown,
}

impl Deref for Challenge {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl Service for Challenge {
    const DESCRIPTOR: Descriptor = Descriptor {
        name: "challenge",
        migrations: db::migrations!(
            "challenge",
            "0001_submissions",
            "0002_list_indexes",
            "0003_contests",
            "0004_jury_actions",
            "0005_rejudgings"
        ),
        publishes: &[events::SUBMISSION, events::CHALLENGE],
        consumes: &[events::JUDGEMENTS],
        calls: &["auth", "problem", "judge"],
    };

    type Config = Config;

    fn open(config: Config, context: Context) -> BoxFuture<'static, Result<Self, OpenError>> {
        Box::pin(async move {
            let Context { db, cache, clock, page_key, peers, shutdown, .. } = context;
            let peers = peers::Peers::new(&peers)?;
            let boards = boards::Boards::default();
            let inner = Inner { config, db, cache, clock, page_key, peers, boards, shutdown };
            Ok(Self(Arc::new(inner)))
        })
    }

    fn routes(&self) -> Services {
        Services::new()
            .add(SubmissionServiceServer::new(self.clone()))
            .add(ContestServiceServer::new(self.clone()))
            .add(ContestJuryServiceServer::new(self.clone()))
            .add(RejudgingServiceServer::new(self.clone()))
    }

    fn start(&self, tasks: &Tasks, bus: &Bus) -> Result<(), OpenError> {
        let handler = events::Judgements(self.clone());
        service::consume(tasks, bus, &self.db, &events::JUDGEMENTS, handler)?;
        let health = tasks.readiness().component("submissions");
        tasks.spawn("stale submissions", self.clone().check_stale(health));
        let health = tasks.readiness().component("contests");
        tasks.spawn("contest scheduler", self.clone().schedule(health));
        Ok(())
    }
}
