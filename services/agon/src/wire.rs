//! How the roles of one process are put together: one short function per role.
//!
//! The services know each other by channels only. In one process the channels lead back into it,
//! through the same middleware and the same credentials as over a network.

use std::sync::Arc;
use std::time::Duration;

use access::{Authorised, Credentials, Policy};
use auth::Auth;
use bus::{Bus, Consumes, Topic};
use cache::Cache;
use challenge::Challenge;
use gateway::Gateway;
use ids::Clock;
use judge::{Judge, Worker, worker};
use rpc::{Channel, Local, PageKey, RootSecret, Services};
use runtime::{Shutdown, State, Tasks};
use transcode::Plan;

use crate::config::Config;
use crate::data::{DataDir, write_private};
use crate::databases::Databases;
use crate::failure::Failure;
use crate::{keys, samples, secrets};

/// Between two attempts to make the topics.
const TOPICS_PAUSE: Duration = Duration::from_secs(5);

/// Who produces what.
pub fn produced() -> [(&'static str, &'static [Topic]); 4] {
    [
        ("auth", auth::TOPICS),
        ("problem", problem::TOPICS),
        ("judge", judge::TOPICS),
        ("challenge", challenge::TOPICS),
    ]
}

/// Who consumes what: each has a topic for its dead letters.
pub fn consumes() -> Vec<Consumes> {
    let judge = Consumes { consumer: judge::events::CONSUMER, topics: judge::events::CONSUMES };
    [challenge::CONSUMES, &[judge], problem::CONSUMES].concat()
}

/// What every role is given.
pub struct Base {
    /// The configuration.
    pub config: Config,
    /// The data directory, locked.
    pub data: Arc<DataDir>,
    /// The services' databases, up to date.
    pub databases: Databases,
    /// What other secrets are derived from.
    pub secret: RootSecret,
    /// Time and ids.
    pub clock: Clock,
    /// Live messages and counters.
    pub cache: Cache,
    /// This process's own services.
    pub local: Local,
    /// Background work.
    pub tasks: Tasks,
}

impl Base {
    /// Opens what the roles share.
    pub async fn open(config: &Config, data: DataDir, tasks: Tasks) -> Result<Self, Failure> {
        let clock = Clock::system();
        let databases = Databases::open(config, data.path(), &clock).await?;
        databases.migrate().await?;
        Ok(Self {
            secret: secrets::root(config, &data)?,
            cache: cache(config, &clock)?,
            local: Local::new(),
            config: config.clone(),
            data: Arc::new(data),
            databases,
            clock,
            tasks,
        })
    }

    /// The credential of one service account.
    fn credentials(&self, account: &str) -> Result<Credentials, Failure> {
        let key = keys::load_or_make(&self.data, account)?;
        Ok(Credentials::new(account, key, self.channel(), self.clock.clone()))
    }

    /// A channel to every service, with the credential of `account`.
    fn channel_as(&self, account: &str) -> Result<Authorised, Failure> {
        Ok(self.credentials(account)?.channel(self.channel()))
    }

    fn channel(&self) -> Channel {
        Channel::Local(self.local.clone())
    }
}

/// The roles of a process.
pub struct Roles {
    auth: Auth,
    problem: problem::Service,
    judge: Judge,
    worker: Option<Worker>,
    challenge: Challenge,
    /// The events of all of them.
    pub bus: Bus,
}

impl Roles {
    /// Opens all roles.
    pub async fn open(base: &Base) -> Result<Self, Failure> {
        let databases = &base.databases;
        let bus = match base.config.events.is_kafka() {
            true => Bus::kafka(base.config.events.clone(), &produced().map(|(_, topics)| topics)),
            false => Bus::embedded(
                produced().map(|(service, topics)| (topics, databases.of(service))).into(),
            ),
        };
        Ok(Self {
            auth: auth(base).await?,
            problem: problem(base).await?,
            judge: judge(base)?,
            worker: base.config.judge.worker.then(|| worker(base)).transpose()?,
            challenge: challenge(base)?,
            bus: bus.map_err(|error| Failure::new(format!("events: {error}")))?,
        })
    }

    /// The gRPC services of all roles.
    pub fn services(&self, base: &Base) -> Services {
        let events = bus::subscribe::server(self.bus.clone(), PageKey::new(&base.secret));
        let services = Services::new().add(events);
        let services = services.merge(self.auth.services()).merge(self.problem.services());
        services.merge(self.judge.services()).merge(self.challenge.services())
    }

    /// The layer that decides who may call, and how often.
    pub fn authorise(&self, base: &Base) -> access::Layer {
        let layer = access::Layer::new(Policy::of_agon(), self.auth.verifier());
        layer.limited(base.config.limits.clone(), base.cache.clone())
    }

    /// Starts the background work of all roles.
    pub fn start(&self, base: &Base) -> Result<(), Failure> {
        let tasks = &base.tasks;
        let fail = |error: bus::Error| Failure::new(format!("events: {error}"));
        self.relays(base);
        self.auth.workers(tasks);
        self.problem.workers(&self.bus, tasks).map_err(fail)?;
        self.judge.workers(&self.bus, tasks).map_err(fail)?;
        if let Some(worker) = &self.worker {
            worker.start(tasks);
        }
        self.challenge.workers(&self.bus, tasks).map_err(fail)?;
        let bus = self.bus.clone();
        tasks.readiness().check("events", move || {
            let state = bus.health().map_or_else(State::Degraded, |()| State::Ready);
            async { state }
        });
        samples::start(base, self.problem.clone());
        Ok(())
    }
}

impl Roles {
    /// Starts what publishes the services' events, where they are not read from their logs.
    fn relays(&self, base: &Base) {
        if !base.config.events.is_kafka() {
            return;
        }
        base.tasks
            .spawn("event topics", make_topics(self.bus.clone(), base.tasks.shutdown().clone()));
        for (db, _) in base.databases.each() {
            if let Some(relay) = self.bus.relay(db.clone()) {
                base.tasks.spawn("event relay", relay.run(base.tasks.shutdown().wait()));
            }
        }
    }
}

/// Makes the topics that are missing, as soon as the cluster answers: events wait in their outboxes meanwhile.
async fn make_topics(bus: Bus, shutdown: Shutdown) {
    let mut said = false;
    while let Err(error) = bus.create_topics(&consumes()).await {
        if !std::mem::replace(&mut said, true) {
            tracing::error!(%error, "the topics of the events cannot be made; trying again");
        }
        if shutdown.unless_begun(tokio::time::sleep(TOPICS_PAUSE)).await.is_none() {
            return;
        }
    }
}

fn cache(config: &Config, clock: &Clock) -> Result<Cache, Failure> {
    let opened = Cache::open(&config.cache.url, &config.cache.prefix, clock.clone());
    opened.map_err(|error| Failure::config(format!("cache.url: {error}")))
}

/// Accounts, sessions and tokens; the first start makes the administrator and the services'
/// accounts.
async fn auth(base: &Base) -> Result<Auth, Failure> {
    let fail = |error: auth::Error| Failure::new(format!("auth: {error}"));
    let (config, db) = (base.config.auth.clone(), base.databases.of("auth"));
    let auth = auth::open(config, db, base.cache.clone(), &base.secret).await.map_err(fail)?;
    for (name, key) in keys::accounts(&base.data)? {
        auth.ensure_service(&name, &key).await.map_err(fail)?;
    }
    let path = base.data.join(crate::banner::PASSWORD_FILE);
    let made = auth.ensure_admin(|admin| {
        let written = write_private(&path, format!("{}\n", admin.password).as_bytes());
        written.map_err(|failure| std::io::Error::other(failure.to_string()))
    });
    made.await.map_err(fail)?;
    Ok(auth)
}

/// Problems, their packages and test data.
async fn problem(base: &Base) -> Result<problem::Service, Failure> {
    let parts = problem::Parts {
        db: base.databases.of("problem"),
        cache: base.cache.clone(),
        clock: base.clock.clone(),
        page_key: PageKey::new(&base.secret),
        data: base.data.path().to_owned(),
        auth: base.channel_as("problem")?,
        judge: base.channel_as("problem")?,
        shutdown: base.tasks.shutdown().clone(),
    };
    let opened = problem::Service::open(base.config.problem.clone(), parts).await;
    opened.map_err(|error| match error {
        problem::Error::Config(text) => Failure::config(text),
        problem::Error::Away(text) => Failure::unavailable(text),
        error => Failure::storage(format!("problem: {error}")),
    })
}

/// Submissions.
fn challenge(base: &Base) -> Result<Challenge, Failure> {
    let parts = challenge::Parts {
        db: base.databases.of("challenge"),
        cache: base.cache.clone(),
        clock: base.clock.clone(),
        page_key: PageKey::new(&base.secret),
        auth: base.channel_as("challenge")?,
        problem: base.channel_as("challenge")?,
        judge: base.channel_as("challenge")?,
        shutdown: base.tasks.shutdown().clone(),
    };
    Ok(Challenge::open(base.config.challenge.clone(), parts))
}

/// The queue of judgements.
fn judge(base: &Base) -> Result<Judge, Failure> {
    base.config.judge.check().map_err(Failure::config)?;
    let parts = judge::Parts { db: base.databases.of("judge"), cache: base.cache.clone() };
    let opened = Judge::open(base.config.judge.clone(), parts);
    opened.map_err(|error| Failure::new(format!("judge: {error}")))
}

/// What runs programs.
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
        problem: base.channel_as("judge")?,
        challenge: base.channel_as("judge")?,
        judge: base.channel_as("judge")?,
        sandbox: sandbox::Config::default(),
    };
    let opened = Worker::open(base.config.judge.clone(), parts);
    opened.map_err(|error| Failure::new(format!("judge: {error}")))
}

/// The REST edge. It passes the users' own credentials on, and proves by its own that the addresses
/// it names are true.
pub fn gateway(base: &Base) -> Result<Gateway, Failure> {
    let plan = Plan::new(proto::DESCRIPTOR_SET);
    let plan = plan.map_err(|error| Failure::new(format!("REST: {error}")))?;
    let upstream = base.credentials("gateway")?.edge_channel(base.channel());
    let opened = Gateway::open(base.config.gateway.clone(), plan, upstream);
    opened.map_err(|error| Failure::config(format!("gateway: {error}")))
}
