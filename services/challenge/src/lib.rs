//! Practice, duels and contests: submissions, from their acceptance to their verdict, and the standings that follow from them.
//!
//! Owns: submissions with their source and verdict; contests with their participants, logs and standings; and the rules
//! of who may see which part; duels with the matchmaker. A submission is processed by events: `SubmissionCreated` requests a judgement from the
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
use proto::challenge::balloon_service_server::BalloonServiceServer;
use proto::challenge::clarification_service_server::ClarificationServiceServer;
use proto::challenge::contest_jury_service_server::ContestJuryServiceServer;
use proto::challenge::contest_service_server::ContestServiceServer;
use proto::challenge::duel_service_server::DuelServiceServer;
use proto::challenge::matchmaking_service_server::MatchmakingServiceServer;
use proto::challenge::participant_import_service_server::ParticipantImportServiceServer;
use proto::challenge::rejudging_service_server::RejudgingServiceServer;
use proto::challenge::result_service_server::ResultServiceServer;
use proto::challenge::submission_service_server::SubmissionServiceServer;
use proto::challenge::team_service_server::TeamServiceServer;
use runtime::{Shutdown, Tasks};
use service::{Context, Descriptor, OpenError, Service};

mod awards;
mod boards;
mod clarification;
mod config;
mod contest;
mod contests;
mod duel;
mod duels;
mod error;
pub mod events;
pub mod format;
mod import;
mod judging;
mod jury;
mod languages;
mod limit;
mod log;
mod matchmaker;
mod peers;
mod rejudging;
mod rejudgings;
mod request;
mod results;
mod rpc;
mod schedule;
mod shared;
mod stale;
pub mod standings;
mod store;
mod submission;
mod submissions;
mod team;
mod teams;
mod watch;
mod wire;

use contests::scheduler::ContestScheduler;
use duels::scheduler::DuelScheduler;
use duels::tickets::Matchmaker;
use schedule::Schedule;

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
    watched: contests::watch::SharedReads,
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
            "0005_duels",
            "0006_clarifications",
            "0007_teams",
            "0008_rejudgings"
        ),
        publishes: &[events::SUBMISSION, events::CHALLENGE],
        consumes: &[events::JUDGEMENTS, events::PLAYERS],
        calls: &["auth", "problem", "judge"],
    };

    type Config = Config;

    fn open(config: Config, context: Context) -> BoxFuture<'static, Result<Self, OpenError>> {
        Box::pin(async move {
            let Context { db, cache, clock, page_key, peers, shutdown, .. } = context;
            let peers = peers::Peers::new(&peers)?;
            let boards = boards::Boards::default();
            let watched = contests::watch::SharedReads::default();
            let inner =
                Inner { config, db, cache, clock, page_key, peers, boards, watched, shutdown };
            Ok(Self(Arc::new(inner)))
        })
    }

    fn routes(&self) -> Services {
        Services::new()
            .add(SubmissionServiceServer::new(self.clone()))
            .add(ContestServiceServer::new(self.clone()))
            .add(ContestJuryServiceServer::new(self.clone()))
            .add(DuelServiceServer::new(self.clone()))
            .add(MatchmakingServiceServer::new(self.clone()))
            .add(ClarificationServiceServer::new(self.clone()))
            .add(BalloonServiceServer::new(self.clone()))
            .add(ResultServiceServer::new(self.clone()))
            .add(TeamServiceServer::new(self.clone()))
            .add(ParticipantImportServiceServer::new(self.clone()))
            .add(RejudgingServiceServer::new(self.clone()))
    }

    fn start(&self, tasks: &Tasks, bus: &Bus) -> Result<(), OpenError> {
        let handler = events::Judgements(self.clone());
        service::consume(tasks, bus, &self.db, &events::JUDGEMENTS, handler)?;
        let health = tasks.readiness().component("submissions");
        tasks.spawn("stale submissions", self.clone().check_stale(health));
        let catalog = duels::catalog::Catalog(self.clone());
        service::consume(tasks, bus, &self.db, &events::PLAYERS, catalog)?;
        self.spawn(tasks, ContestScheduler(self.clone()));
        self.spawn(tasks, DuelScheduler(self.clone()));
        self.spawn(tasks, Matchmaker::new(self.clone()));
        Ok(())
    }
}

impl Challenge {
    fn spawn<S: Schedule>(&self, tasks: &Tasks, schedule: S) {
        let health = tasks.readiness().component(S::NAME);
        tasks.spawn(S::NAME, self.clone().run_schedule(schedule, health));
    }
}
