//! Wires the roles of one process: one short function per role.
//!
//! Services know each other by channels only. Calls within a process pass the same middleware and credentials as calls
//! over the network.

use std::time::Duration;

use access::{Policy, Verifier};
use auth::Auth;
use bus::Bus;
use challenge::Challenge;
use gateway::Gateway;
use judge::{Judge, Worker, worker};
use prost_reflect::DescriptorPool;
use rpc::Services;
use runtime::{Shutdown, State};
use transcode::Plan;

use crate::data_dir::write_private;
use crate::failure::Failure;
use crate::server::base::Base;
use crate::server::roles::Role;
use crate::server::topics::consumed;
use crate::server::{dependencies, keys, samples};

/// Interval between attempts to create the topics.
const CREATE_TOPICS_INTERVAL: Duration = Duration::from_secs(5);

/// The full names of a role's gRPC services.
pub fn services_of(role: Role) -> Vec<&'static str> {
    let pool = DescriptorPool::decode(proto::DESCRIPTOR_SET).expect("the descriptor set is valid");
    let of_role = pool.services().filter(|service| service.package_name() == role.package());
    // Leaks once per process.
    of_role.map(|service| &*service.full_name().to_owned().leak()).collect()
}

/// The opened roles of a process.
pub struct Roles {
    auth: Option<Auth>,
    problem: Option<problem::Service>,
    judge: Option<Judge>,
    worker: Option<Worker>,
    challenge: Option<Challenge>,
    verifier: Verifier,
    pub bus: Bus,
}

impl Roles {
    /// Opens the roles of this process.
    pub async fn open(base: &Base) -> Result<Self, Failure> {
        let auth = if base.runs(Role::Auth) { Some(auth(base).await?) } else { None };
        let verifier = match &auth {
            Some(auth) => auth.verifier(),
            None => base.verifier()?,
        };
        Ok(Self {
            auth,
            problem: if base.runs(Role::Problem) { Some(problem(base).await?) } else { None },
            judge: base.runs(Role::Judge).then(|| judge(base)).transpose()?,
            worker: base.runs(Role::Worker).then(|| worker(base)).transpose()?,
            challenge: base.runs(Role::Challenge).then(|| challenge(base)).transpose()?,
            verifier,
            bus: base.bus()?,
        })
    }

    /// The gRPC services of all roles.
    pub fn services(&self) -> Services {
        let here = [
            self.auth.as_ref().map(Auth::services),
            self.problem.as_ref().map(problem::Service::services),
            self.judge.as_ref().map(Judge::services),
            self.challenge.as_ref().map(Challenge::services),
        ];
        here.into_iter().flatten().fold(Services::new(), Services::merge)
    }

    /// The event service; `None` if this process runs no services.
    pub fn events(&self, base: &Base) -> Result<Option<Services>, Failure> {
        if !base.config.roles.has_services() {
            return Ok(None);
        }
        let server = bus::subscribe::server(self.bus.clone(), base.page_key()?);
        Ok(Some(Services::new().add(server)))
    }

    /// The layer that checks permissions and rate limits.
    pub fn authorise(&self, base: &Base) -> access::Layer {
        let layer = access::Layer::new(Policy::of_agon(), self.verifier.clone());
        layer.limited(base.config.limits.clone(), base.cache.clone())
    }

    /// Starts the background work of all roles.
    pub fn start(&self, base: &Base) -> Result<(), Failure> {
        let tasks = &base.tasks;
        let fail = |error: bus::Error| Failure::new(format!("events: {error}"));
        dependencies::register_checks(base)?;
        self.relays(base);
        if let Some(auth) = &self.auth {
            auth.workers(tasks);
        }
        if let Some(problem) = &self.problem {
            problem.workers(&self.bus, tasks).map_err(fail)?;
            samples::start(base, problem.clone())?;
        }
        if let Some(judge) = &self.judge {
            judge.workers(&self.bus, tasks).map_err(fail)?;
        }
        if let Some(worker) = &self.worker {
            worker.start(tasks);
        }
        if let Some(challenge) = &self.challenge {
            challenge.workers(&self.bus, tasks).map_err(fail)?;
        }
        if base.config.roles.has_services() {
            let bus = self.bus.clone();
            tasks.readiness().check("events", move || {
                let state = bus.health().map_or_else(State::Degraded, |()| State::Ready);
                async { state }
            });
        }
        Ok(())
    }

    /// Starts the relays from the outboxes to Kafka, and creates the topics.
    fn relays(&self, base: &Base) {
        if !base.config.events.is_kafka() || !base.config.roles.has_services() {
            return;
        }
        base.tasks
            .spawn("event topics", create_topics(self.bus.clone(), base.tasks.shutdown().clone()));
        for (db, _) in base.databases.each() {
            if let Some(relay) = self.bus.relay(db.clone()) {
                base.tasks.spawn("event relay", relay.run(base.tasks.shutdown().wait()));
            }
        }
    }
}

/// Creates missing topics. Retries until Kafka is available; until then events stay in the outboxes.
async fn create_topics(bus: Bus, shutdown: Shutdown) {
    let mut logged = false;
    while let Err(error) = bus.create_topics(&consumed()).await {
        if !std::mem::replace(&mut logged, true) {
            tracing::error!(%error, "cannot create topics, retrying");
        }
        if shutdown.unless_begun(tokio::time::sleep(CREATE_TOPICS_INTERVAL)).await.is_none() {
            return;
        }
    }
}

/// Opens auth. The first start creates the administrator and the service accounts.
async fn auth(base: &Base) -> Result<Auth, Failure> {
    let fail = |error: auth::Error| Failure::new(format!("auth: {error}"));
    let (config, db) = (base.config.auth.clone(), base.databases.of("auth"));
    let auth = auth::open(config, db, base.cache.clone(), &base.secret()?).await.map_err(fail)?;
    for (name, key) in keys::accounts(&base.config)? {
        auth.ensure_service(&name, &key).await.map_err(fail)?;
    }
    let path = base.data.join(crate::server::banner::PASSWORD_FILE);
    let created = auth.ensure_admin(|admin| {
        let written = write_private(&path, format!("{}\n", admin.password).as_bytes());
        written.map_err(|failure| std::io::Error::other(failure.to_string()))
    });
    created.await.map_err(fail)?;
    Ok(auth)
}

async fn problem(base: &Base) -> Result<problem::Service, Failure> {
    let parts = problem::Parts {
        db: base.databases.of("problem"),
        cache: base.cache.clone(),
        clock: base.clock.clone(),
        page_key: base.page_key()?,
        data: base.data.path().to_owned(),
        auth: base.between(Role::Problem, Role::Auth)?,
        judge: base.between(Role::Problem, Role::Judge)?,
        shutdown: base.tasks.shutdown().clone(),
    };
    let opened = problem::Service::open(base.config.problem.clone(), parts).await;
    opened.map_err(|error| match error {
        problem::Error::Config(text) => Failure::config(text),
        problem::Error::Unavailable(text) => Failure::unavailable(text),
        error => Failure::storage(format!("problem: {error}")),
    })
}

fn challenge(base: &Base) -> Result<Challenge, Failure> {
    let parts = challenge::Parts {
        db: base.databases.of("challenge"),
        cache: base.cache.clone(),
        clock: base.clock.clone(),
        page_key: base.page_key()?,
        auth: base.between(Role::Challenge, Role::Auth)?,
        problem: base.between(Role::Challenge, Role::Problem)?,
        judge: base.between(Role::Challenge, Role::Judge)?,
        shutdown: base.tasks.shutdown().clone(),
    };
    Ok(Challenge::open(base.config.challenge.clone(), parts))
}

fn judge(base: &Base) -> Result<Judge, Failure> {
    base.config.judge.check().map_err(Failure::config)?;
    let parts = judge::Parts { db: base.databases.of("judge"), cache: base.cache.clone() };
    let opened = Judge::open(base.config.judge.clone(), parts);
    opened.map_err(|error| Failure::new(format!("judge: {error}")))
}

fn worker(base: &Base) -> Result<Worker, Failure> {
    base.config.judge.check().map_err(Failure::config)?;
    let directory = base.data.join("judge");
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let name = worker::name(&host, &directory, &base.clock);
    let name =
        name.map_err(|error| Failure::storage(format!("{}: {error}", directory.display())))?;
    let parts = worker::Parts {
        name,
        directory,
        problem: base.between(Role::Worker, Role::Problem)?,
        challenge: base.between(Role::Worker, Role::Challenge)?,
        judge: base.between(Role::Worker, Role::Judge)?,
        sandbox: sandbox::Config::default(),
    };
    let opened = Worker::open(base.config.judge.clone(), parts);
    opened.map_err(|error| Failure::new(format!("judge: {error}")))
}

/// The REST edge; `None` without the gateway role. It forwards the users' credentials. Its own credential proves the
/// client addresses that it reports.
pub fn gateway(base: &Base) -> Result<Option<Gateway>, Failure> {
    if !base.runs(Role::Gateway) {
        return Ok(None);
    }
    let plan = Plan::new(proto::DESCRIPTOR_SET);
    let plan = plan.map_err(|error| Failure::new(format!("REST: {error}")))?;
    let upstream = base.credentials(Role::Gateway)?.edge_channel(base.channel_to_all()?);
    let opened = Gateway::open(base.config.gateway.clone(), plan, upstream);
    opened.map(Some).map_err(|error| Failure::config(format!("gateway: {error}")))
}
