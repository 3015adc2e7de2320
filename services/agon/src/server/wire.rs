//! Wires the roles of one process: one short function per role.
//!
//! Services know each other by channels only. Calls within a process pass the same middleware and credentials as calls
//! over the network.

use std::net::SocketAddr;
use std::time::Duration;

use access::{Policy, Verifier};
use auth::Auth;
use bus::Bus;
use gateway::Gateway;
use judge::{Worker, worker};
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
use crate::services::{self, Running};

/// Interval between attempts to create the topics.
const CREATE_TOPICS_INTERVAL: Duration = Duration::from_secs(5);

/// The full names of a role's gRPC services.
pub fn services_of(role: Role) -> Vec<&'static str> {
    let pool = DescriptorPool::decode(proto::DESCRIPTOR_SET).expect("the descriptor set is valid");
    let of_role = pool.services().filter(|service| service.package_name() == role.package());
    // Leaks once per process.
    of_role.map(|service| &*service.full_name().to_owned().leak()).collect()
}

pub struct Roles {
    services: Running,
    worker: Option<Worker>,
    verifier: Verifier,
    pub bus: Bus,
}

impl Roles {
    pub async fn open(base: &Base) -> Result<Self, Failure> {
        let services = Running::open(base).await?;
        let verifier = match &services.auth {
            Some(auth) => {
                create_accounts(base, auth).await?;
                auth.verifier()
            }
            None => base.verifier()?,
        };
        let worker = base.runs(Role::WORKER).then(|| worker(base)).transpose()?;
        Ok(Self { services, worker, verifier, bus: base.bus()? })
    }

    pub fn routes(&self) -> Services {
        self.services.routes()
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
        layer.limited(base.config.limits.clone(), base.cache.clone(), base.config.trusted())
    }

    pub fn start(&self, base: &Base) -> Result<(), Failure> {
        let tasks = &base.tasks;
        dependencies::register_checks(base)?;
        self.relays(base);
        self.services.start(base, &self.bus)?;
        if let Some(problem) = &self.services.problem {
            samples::start(base, problem.clone())?;
        }
        if let Some(worker) = &self.worker {
            worker.start(tasks);
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

/// Creates the service accounts and, at the first start, the administrator.
async fn create_accounts(base: &Base, auth: &Auth) -> Result<(), Failure> {
    let fail = |error: auth::Error| Failure::new(format!("auth: {error}"));
    for (name, key) in keys::accounts(&base.config)? {
        auth.ensure_service(&name, &key).await.map_err(fail)?;
    }
    let path = base.data.join(crate::server::banner::PASSWORD_FILE);
    let created = auth.ensure_admin(|admin| {
        let written = write_private(&path, format!("{}\n", admin.password).as_bytes());
        written.map_err(|failure| std::io::Error::other(failure.to_string()))
    });
    created.await.map(drop).map_err(fail)
}

fn worker(base: &Base) -> Result<Worker, Failure> {
    let directory = base.data.join("judge");
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let name = worker::name(&host, &directory, &base.clock);
    let name =
        name.map_err(|error| Failure::storage(format!("{}: {error}", directory.display())))?;
    let peer = |service| base.peer(Role::WORKER, service);
    let parts = worker::Parts {
        name,
        directory,
        problem: peer("problem")?,
        challenge: peer("challenge")?,
        judge: peer("judge")?,
        sandbox: sandbox::Config::default(),
    };
    let opened = Worker::open(base.config.services.judge.clone(), parts);
    opened.map_err(|error| services::failure("judge", error))
}

/// The REST edge; `None` without the gateway role. It forwards the users' credentials. Its own credential proves the
/// client addresses that it reports. Its start page links to the admin listener if that is on this machine.
pub fn gateway(base: &Base, admin: SocketAddr) -> Result<Option<Gateway>, Failure> {
    if !base.runs(Role::GATEWAY) {
        return Ok(None);
    }
    let plan = Plan::new(proto::DESCRIPTOR_SET);
    let plan = plan.map_err(|error| Failure::new(format!("REST: {error}")))?;
    let upstream = base.credentials(Role::GATEWAY)?.edge_channel(base.channel_to_all()?);
    let local = admin.ip().is_loopback() || admin.ip().is_unspecified();
    let readiness = local.then(|| format!("http://127.0.0.1:{}/readyz", admin.port()));
    let opened = Gateway::open(
        base.config.gateway.clone(),
        plan,
        upstream,
        base.config.trusted(),
        readiness.as_deref(),
    );
    opened.map(Some).map_err(|error| Failure::config(format!("gateway: {error}")))
}
