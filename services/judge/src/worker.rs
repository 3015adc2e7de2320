//! A worker: takes jobs from the queue and judges them in the sandbox of this machine.
//!
//! It accesses the queue, the problem service and the challenge service by gRPC only. Its process needs no database,
//! cache or event bus.

mod admission;
mod artefacts;
mod cases;
mod compile;
mod connection;
mod disk_cache;
mod failure;
mod job;
mod name;
mod objects;
mod offer;
mod peers;
mod probe;
mod run;
mod slots;
mod survey;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use access::Authorised;
use runtime::{Component, Shutdown, Tasks};
use sandbox::{Outcome, RunSpec, Sandbox, Slot};
use service::OpenError;

use crate::config::Config;
use crate::languages::{self, Languages};
use crate::measure::Busy;

pub use name::name;
pub(crate) use offer::untested;
pub use survey::LanguageTest;

/// The delay before another attempt to start the sandbox.
const SANDBOX_RETRY_DELAY: Duration = Duration::from_secs(60);

#[derive(Clone)]
pub struct Parts {
    /// Unique among the running workers; see [`name`].
    pub name: String,
    /// A cache directory for test data and compiled programs, which no other process uses. It needs no backup.
    pub directory: PathBuf,
    /// The problem service, with the judge's credential.
    pub problem: Authorised,
    /// The challenge service, with the judge's credential.
    pub challenge: Authorised,
    /// The judge's queue, with its own credential.
    pub judge: Authorised,
    /// The base configuration of the sandbox; [`Config`] overrides parts of it.
    pub sandbox: sandbox::Config,
}

/// A worker, before it is started.
#[derive(Clone)]
pub struct Worker {
    config: Config,
    parts: Parts,
    languages: Languages,
}

/// The shared state of a running worker.
pub(crate) struct Engine {
    config: Config,
    name: String,
    sandbox: Sandbox,
    isolation: String,
    admission: admission::Admission,
    busy: Busy,
    peers: peers::Peers,
    objects: objects::Objects,
    artefacts: artefacts::Artefacts,
    offer: offer::Offer,
}

impl Engine {
    /// Runs a program in a slot and records metrics.
    async fn run(
        &self,
        slot: &mut Slot,
        kind: &'static str,
        spec: RunSpec,
    ) -> Result<Outcome, sandbox::Error> {
        let _busy = crate::measure::InFlight::slot();
        let outcome = slot.run(spec).await?;
        self.busy.ran(kind, outcome.wall_time, outcome.cpu_time);
        Ok(outcome)
    }
}

impl Worker {
    pub fn open(config: Config, parts: Parts) -> Result<Self, OpenError> {
        config.check().map_err(OpenError::Config)?;
        let languages = languages::load(config.languages_file().as_deref())
            .map_err(|error| OpenError::Config(format!("judge.languages: {error}")))?;
        Ok(Self { config, parts, languages })
    }

    /// Starts judging. The readiness component `judge` shows its state.
    pub fn start(&self, tasks: &Tasks) {
        let component = tasks.readiness().component("judge");
        tasks.spawn("judge worker", self.clone().run(component, tasks.shutdown().clone()));
    }

    /// Judges until the shutdown. Retries until the sandbox starts.
    async fn run(self, component: Component, shutdown: Shutdown) {
        let Some(sandbox) = self.sandbox(&component, &shutdown).await else { return };
        let judge = self.parts.judge.clone();
        let engine = match self.engine(sandbox.clone()).await {
            Ok(engine) => Arc::new(engine),
            Err(error) => {
                tracing::error!(%error, "cannot open worker caches");
                component.failed(format!("cannot open the worker's caches: {error}"));
                sandbox.shutdown().await;
                return;
            }
        };
        match engine.isolation.as_str() {
            "full" => component.ready(),
            level => component.degraded(format!("isolation level is {level}")),
        }
        let probing = probe::probe_all(&engine, &shutdown);
        let judging = connection::run(&engine, judge, &shutdown);
        tokio::join!(probing, judging);
        sandbox.shutdown().await;
    }

    async fn sandbox(&self, component: &Component, shutdown: &Shutdown) -> Option<Sandbox> {
        loop {
            match shutdown.unless_begun(Sandbox::start(self.sandbox_config())).await? {
                Ok(sandbox) => return Some(sandbox),
                Err(error) => {
                    tracing::error!(%error, "sandbox unavailable, retrying");
                    component.degraded(format!("this worker cannot judge: {error}"));
                }
            }
            shutdown.unless_begun(tokio::time::sleep(SANDBOX_RETRY_DELAY)).await?;
        }
    }

    fn sandbox_config(&self) -> sandbox::Config {
        let config = &self.config;
        sandbox::Config {
            slots: config.slots,
            cores: config.cores.clone(),
            root: config.root(),
            allow_degraded: config.allow_degraded.clone(),
            ..self.parts.sandbox.clone()
        }
    }

    async fn engine(self, sandbox: Sandbox) -> std::io::Result<Engine> {
        let Parts { name, directory, problem, challenge, .. } = self.parts;
        let (config, languages) = (self.config, self.languages);
        let objects = directory.join("objects");
        let objects = objects::Objects::open(objects, config.object_cache_mib << 20).await?;
        let artefacts = directory.join("artefacts");
        let artefacts =
            artefacts::Artefacts::open(artefacts, config.artefact_cache_mib << 20).await?;
        let root = config.root();
        let offer = offer::Offer::open(directory.join("languages"), languages, root.as_deref());
        crate::measure::slots(sandbox.slots());
        Ok(Engine {
            name,
            isolation: sandbox.report().level.to_string(),
            admission: admission::Admission::new(sandbox.slots()),
            sandbox,
            busy: Busy::default(),
            peers: peers::Peers::new(problem, challenge),
            objects,
            artefacts,
            offer,
            config,
        })
    }
}
