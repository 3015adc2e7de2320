//! A worker: takes jobs from the queue and runs them in the sandbox of this machine.
//!
//! Reaches the queue, the problems and the programs by gRPC alone, so it can live anywhere: its process needs no
//! database, no cache and no events.

mod artefacts;
mod cases;
mod compile;
mod disk;
mod failure;
mod job;
mod lanes;
mod link;
mod name;
mod objects;
mod offer;
mod peers;
mod probe;
mod run;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use access::Authorised;
use runtime::{Component, Shutdown, Tasks};
use sandbox::{Outcome, RunSpec, Sandbox, Slot};
use service::OpenError;
use tokio::sync::{RwLock, Semaphore};

use crate::config::Config;
use crate::languages::{self, Languages};
use crate::measure::Busy;

pub use name::name;
pub(crate) use offer::untried;

/// Between two attempts to start the sandbox.
const SANDBOX_PAUSE: Duration = Duration::from_secs(60);

/// What a worker is given.
#[derive(Clone)]
pub struct Parts {
    /// Its name, unique among the living; see [`name`].
    pub name: String,
    /// A directory for test data and compiled programs, this process's alone: worth keeping, not worth saving.
    pub directory: PathBuf,
    /// The problem service, with the judge's credential.
    pub problem: Authorised,
    /// The challenge service, with the judge's credential.
    pub challenge: Authorised,
    /// The judge's queue, with its own credential.
    pub judge: Authorised,
    /// How the sandbox starts; what [`Config`] says is filled in.
    pub sandbox: sandbox::Config,
}

/// A worker that has not started yet.
#[derive(Clone)]
pub struct Worker {
    config: Config,
    parts: Parts,
    /// The languages to try.
    languages: Languages,
}

/// A worker at work.
pub(crate) struct Bench {
    config: Config,
    name: String,
    sandbox: Sandbox,
    isolation: String,
    /// One permit per slot: whoever holds one gets a slot without waiting.
    slots: Arc<Semaphore>,
    /// Jobs that wait for their first slot.
    waiting: AtomicUsize,
    /// Held for reading by every run, for writing by those that want to be alone.
    quiet: RwLock<()>,
    busy: Busy,
    peers: peers::Peers,
    objects: objects::Objects,
    artefacts: artefacts::Artefacts,
    offer: offer::Offer,
}

impl Bench {
    /// Runs something in a slot.
    async fn run(
        &self,
        slot: &mut Slot,
        kind: &'static str,
        spec: RunSpec,
    ) -> Result<Outcome, sandbox::Error> {
        let _taken = crate::measure::Counted::slot();
        let outcome = slot.run(spec).await?;
        self.busy.ran(kind, outcome.wall_time, outcome.cpu_time);
        Ok(outcome)
    }
}

impl Worker {
    /// A worker of this configuration.
    pub fn open(config: Config, parts: Parts) -> Result<Self, OpenError> {
        config.check().map_err(OpenError::Config)?;
        let languages = languages::load(config.languages_file().as_deref())
            .map_err(|error| OpenError::Config(format!("judge.languages: {error}")))?;
        Ok(Self { config, parts, languages })
    }

    /// Starts the work, whose state is shown as the component `judge`.
    pub fn start(&self, tasks: &Tasks) {
        let component = tasks.readiness().component("judge");
        tasks.spawn("judge worker", self.clone().run(component, tasks.shutdown().clone()));
    }

    /// Works until the shutdown. Where no sandbox is possible it says so, and looks again now and then:
    /// jobs wait, for this worker or another one.
    async fn run(self, component: Component, shutdown: Shutdown) {
        let Some(sandbox) = self.sandbox(&component, &shutdown).await else { return };
        let judge = self.parts.judge.clone();
        let bench = match self.bench(sandbox.clone()).await {
            Ok(bench) => Arc::new(bench),
            Err(error) => {
                tracing::error!(%error, "the caches of the judge cannot be used");
                component.failed(format!("the caches of the judge cannot be used: {error}"));
                sandbox.shutdown().await;
                return;
            }
        };
        match bench.isolation.as_str() {
            "full" => component.ready(),
            level => component.degraded(format!("isolation is {level}")),
        }
        let probing = probe::all(&bench, &shutdown);
        let working = link::run(&bench, judge, &shutdown);
        tokio::join!(probing, working);
        sandbox.shutdown().await;
    }

    async fn sandbox(&self, component: &Component, shutdown: &Shutdown) -> Option<Sandbox> {
        loop {
            match shutdown.unless_begun(Sandbox::start(self.sandbox_config())).await? {
                Ok(sandbox) => return Some(sandbox),
                Err(error) => {
                    tracing::error!(%error, "this machine judges nothing; submissions wait");
                    component.degraded(format!("no programs are judged here: {error}"));
                }
            }
            shutdown.unless_begun(tokio::time::sleep(SANDBOX_PAUSE)).await?;
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

    async fn bench(self, sandbox: Sandbox) -> std::io::Result<Bench> {
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
        Ok(Bench {
            name,
            isolation: sandbox.report().level.to_string(),
            slots: Arc::new(Semaphore::new(sandbox.slots())),
            sandbox,
            waiting: AtomicUsize::new(0),
            quiet: RwLock::new(()),
            busy: Busy::default(),
            peers: peers::Peers::new(problem, challenge),
            objects,
            artefacts,
            offer,
            config,
        })
    }
}
