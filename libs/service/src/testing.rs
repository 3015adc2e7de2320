//! The fixture of a service's tests: the service in process, on each database, between fake peers.
//!
//! Always compiled, because a cargo feature would make every service compile twice; only tests use it.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use access::testing::Issuer;
use access::{Layer, Policy};
use bus::{Bus, Event, Topic};
use cache::Cache;
use db::testing::{Kind, PrintOnPanic, TestDb};
use db::{Db, Migrations, Options};
use ids::{Clock, Uuid};
use prost::{Message, Name};
use rpc::{Channel, Local, PageKey, RootSecret, Services, Stack, status};
use runtime::{Shutdown, Tasks};
use tempfile::TempDir;
use tonic::{Code, Status};

use crate::{Context, Peers, Service};

/// How long a restarted process may take to stop.
const GRACE: Duration = Duration::from_secs(10);

type LayerOf<S> = Arc<dyn Fn(&S, &Issuer) -> Layer + Send + Sync>;
type Adjust = Arc<dyn Fn(&mut Options) + Send + Sync>;

/// What a world is made of. The defaults suit most tests.
#[derive(Clone)]
pub struct Setup<S: Service> {
    pub config: S::Config,
    clock: Clock,
    topics: &'static [Topic],
    descriptor_set: &'static [u8],
    peers: Arc<dyn Fn() -> Services + Send + Sync>,
    layer: LayerOf<S>,
    adjust: Adjust,
    cache: Option<Cache>,
    background: bool,
}

impl<S: Service> Default for Setup<S> {
    fn default() -> Self {
        Self {
            config: S::Config::default(),
            clock: Clock::manual(Clock::system().now()),
            topics: &[],
            descriptor_set: proto::DESCRIPTOR_SET,
            peers: Arc::new(Services::new),
            layer: Arc::new(|_, issuer| issuer.layer()),
            adjust: Arc::new(|_| {}),
            cache: None,
            background: true,
        }
    }
}

impl<S: Service> Setup<S> {
    pub fn new(config: S::Config) -> Self {
        Self { config, ..Self::default() }
    }

    /// Another clock than a manual one that starts now.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// The topics that the service consumes; [`World::publish`] publishes on them.
    #[must_use]
    pub fn topics(mut self, topics: &'static [Topic]) -> Self {
        self.topics = topics;
        self
    }

    /// Fakes of the services that the service calls.
    #[must_use]
    pub fn peers(mut self, peers: impl Fn() -> Services + Send + Sync + 'static) -> Self {
        self.peers = Arc::new(peers);
        self
    }

    /// Another layer than the one that accepts the tokens of [`Running::issuer`].
    #[must_use]
    pub fn layer(mut self, layer: impl Fn(&S, &Issuer) -> Layer + Send + Sync + 'static) -> Self {
        self.layer = Arc::new(layer);
        self
    }

    /// Protos that are not Agon's own.
    #[must_use]
    pub fn protos(mut self, descriptor_set: &'static [u8]) -> Self {
        self.descriptor_set = descriptor_set;
        self.layer(move |_, issuer| {
            let policy = Policy::from_descriptor_set(descriptor_set);
            Layer::new(policy.expect("every RPC has an access option"), issuer.verifier())
        })
    }

    /// Other database options, such as a durable commit.
    #[must_use]
    pub fn database(mut self, adjust: impl Fn(&mut Options) + Send + Sync + 'static) -> Self {
        self.adjust = Arc::new(adjust);
        self
    }

    /// A cache that all processes of the world share, instead of one in memory for each.
    #[must_use]
    pub fn cache(mut self, cache: Cache) -> Self {
        self.cache = Some(cache);
        self
    }

    /// Without consumers and periodic work.
    #[must_use]
    pub fn idle(mut self) -> Self {
        self.background = false;
        self
    }

    /// Opens a world on a new database.
    pub async fn open(self, kind: &Kind) -> World<S> {
        let create = async |migrations: &Migrations| {
            let adjust = |options: &mut Options| {
                options.clock = self.clock.clone();
                (self.adjust)(options);
            };
            kind.create_with(migrations, adjust).await
        };
        let db = create(&S::DESCRIPTOR.migrations).await;
        let mut logs = BTreeMap::new();
        for topic in self.topics {
            if !logs.contains_key(topic.producer) {
                let tables = Migrations { service: topic.producer, files: &[] };
                logs.insert(topic.producer, create(&tables).await);
            }
        }
        let directory = directory();
        let issuer = Issuer::new(self.clock.clone());
        let running = self.start(&db, &logs, directory.clone(), issuer).await;
        World { setup: self, db, logs, running, directory }
    }

    /// Runs one process on a database, for services that consume no events.
    pub async fn run(&self, db: &TestDb) -> Running<S> {
        let issuer = Issuer::new(self.clock.clone());
        self.start(db, &BTreeMap::new(), directory(), issuer).await
    }

    /// Runs `test` once on every kind of database.
    pub async fn each<Fut: Future<Output = ()>>(self, test: impl Fn(World<S>) -> Fut) {
        for kind in db::testing::kinds() {
            let _guard = PrintOnPanic(&kind);
            test(self.clone().open(&kind).await).await;
        }
    }

    async fn start(
        &self,
        db: &TestDb,
        logs: &BTreeMap<&'static str, TestDb>,
        directory: Arc<TempDir>,
        issuer: Issuer,
    ) -> Running<S> {
        // The service reaches its peers only: a way to itself would keep it, and its connections, forever.
        let (local, peers) = (Local::new(), Local::new());
        let (channel, to_peers) = (Channel::from(local.clone()), Channel::from(peers.clone()));
        let tasks = Tasks::default();
        let cache = self.cache.clone().unwrap_or_else(|| Cache::memory(self.clock.clone()));
        let name = S::DESCRIPTOR.name;
        let peer =
            |peer: &&'static str| (*peer, issuer.credentials(name).channel(to_peers.clone()));
        let context = Context {
            peers: Peers::new(S::DESCRIPTOR.calls.iter().map(peer)),
            data_dir: directory.path().to_owned(),
            shutdown: tasks.shutdown().clone(),
            ..context(db.checked(), cache.clone())
        };
        let mut topics = vec![(S::DESCRIPTOR.publishes, db.checked())];
        for topic in self.topics {
            topics.push((std::slice::from_ref(topic), logs[topic.producer].db()));
        }
        let bus = Bus::embedded(topics).expect("the topics of a test");
        let events = bus::subscribe::server(bus.clone(), context.page_key.clone());
        let service = S::open(self.config.clone(), context).await.expect("opening the service");
        let services = (self.peers)().merge(service.routes()).add(events);
        let layer = (self.layer)(&service, &issuer);
        let serve = |services| Stack::new(self.descriptor_set).build(services, &layer).0;
        local.set(serve(services));
        peers.set(serve((self.peers)()));
        if self.background {
            service.start(&tasks, &bus).expect("starting the service");
        }
        Running { service, channel, issuer, cache, bus, tasks, _directory: directory }
    }
}

/// A service with its database, the event logs it consumes, and one running process.
pub struct World<S: Service> {
    /// What it was made of; [`World::restart`] and [`World::another`] use it again.
    pub setup: Setup<S>,
    pub db: TestDb,
    /// The databases of the services whose topics are consumed, by service.
    pub logs: BTreeMap<&'static str, TestDb>,
    pub running: Running<S>,
    directory: Arc<TempDir>,
}

/// One process of a service.
pub struct Running<S> {
    pub service: S,
    /// The way to the service and its fake peers.
    pub channel: Channel,
    /// Issues tokens that the process accepts.
    pub issuer: Issuer,
    pub cache: Cache,
    pub bus: Bus,
    /// Its background work.
    pub tasks: Tasks,
    _directory: Arc<TempDir>,
}

impl<S> Drop for Running<S> {
    fn drop(&mut self) {
        self.tasks.shutdown().begin();
    }
}

impl<S: Service> World<S> {
    /// Stops the process and starts another one on the same data. Tokens issued before stay valid.
    pub async fn restart(&mut self) {
        self.running.tasks.shutdown().begin();
        self.running.tasks.finish(GRACE).await;
        self.running = self.another().await;
    }

    /// Another world on the same events: another instance with its own setup, whose `db` is a handle of the same
    /// database.
    pub async fn beside(&self, setup: Setup<S>, db: TestDb) -> Self {
        let (logs, directory) = (self.logs.clone(), directory());
        let issuer = self.running.issuer.clone();
        let running = setup.start(&db, &logs, directory.clone(), issuer).await;
        Self { setup, db, logs, running, directory }
    }

    /// One more process on the same data.
    pub async fn another(&self) -> Running<S> {
        let issuer = self.running.issuer.clone();
        self.setup.start(&self.db, &self.logs, self.directory.clone(), issuer).await
    }

    /// The data directory, which the processes share.
    pub fn data_dir(&self) -> PathBuf {
        self.directory.path().to_owned()
    }

    pub fn clock(&self) -> &Clock {
        &self.setup.clock
    }

    /// Publishes an event, version 1 of its aggregate, as its producer would.
    pub async fn publish<M: Message + Name>(&self, topic: &Topic, key: Uuid, event: &M) {
        let mut tx = self.logs[topic.producer].begin().await.expect("beginning a transaction");
        bus::outbox::append(&mut tx, Event::new(topic, key, 1, event));
        tx.commit().await.expect("committing an event");
    }
}

/// A context without peers.
pub fn context(db: Db, cache: Cache) -> Context {
    let root_secret = RootSecret::from_bytes([7; 32]);
    Context {
        clock: db.clock().clone(),
        db,
        cache,
        page_key: PageKey::new(&root_secret),
        root_secret,
        peers: Peers::default(),
        data_dir: PathBuf::new(),
        shutdown: Shutdown::new(),
    }
}

fn directory() -> Arc<TempDir> {
    Arc::new(tempfile::tempdir().expect("creating a directory for a test"))
}

/// Asserts that the call failed with this code and reason.
#[track_caller]
pub fn assert_refused<T: Debug>(result: Result<T, Status>, code: Code, reason: &str) -> Status {
    let status = result.expect_err("the call must fail");
    assert_eq!(status.code(), code, "{status:?}");
    assert_eq!(status::reason(&status).as_deref(), Some(reason), "{status:?}");
    status
}

/// Asserts that the call failed with INVALID_ARGUMENT and names exactly these fields.
#[track_caller]
pub fn assert_invalid<T: Debug>(result: Result<T, Status>, fields: &[&str]) -> Status {
    let status = result.expect_err("the call must fail");
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    let named: Vec<_> = status::fields(&status).into_iter().map(|(field, _)| field).collect();
    assert_eq!(named, fields, "{status:?}");
    status
}
