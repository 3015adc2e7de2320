//! A producing and a consuming service, and a handler with injected faults.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bus::{Bus, Consumes, Event, Fault, Handler, KafkaConfig, Received, Retry, Topic, outbox};
use db::testing::{self, Kind, TestDb, eventually};
use db::{AtCommit, Db, Migration, Migrations, Tx};
use futures_util::future::BoxFuture;
use ids::Uuid;
use proto::event::event_service_client::EventServiceClient;
use proto::event::event_service_server::{EventService, EventServiceServer};
use proto::event::{
    DeadLetter, DiscardDeadLetterRequest, ListDeadLettersRequest, ReplayDeadLettersRequest,
    UserRegistered, UserUpdated,
};
use rpc::{PageKey, RootSecret};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::Status;

pub const USERS: Topic = Topic::new("agon.user.v1", "auth")
    .key("user_id")
    .types(&["agon.event.v1.UserRegistered", "agon.event.v1.UserUpdated"])
    .projection(|event, caller| (caller.acting().id == event.aggregate_id).then(|| event.clone()));
/// A topic without a projection: only services may see it.
pub const SECRETS: Topic =
    Topic::new("agon.secret.v1", "auth").key("user_id").types(&["agon.event.v1.UserUpdated"]);
pub const TOPICS: &[Topic] = &[USERS, SECRETS];

const USERS_TABLE: &str = "CREATE TABLE users (id UUID PRIMARY KEY, version BIGINT NOT NULL)";
const PRODUCER: Migrations = Migrations {
    service: "auth",
    files: &[Migration::new("0001_users", USERS_TABLE, USERS_TABLE)],
};

/// The primary key of `applied` rejects duplicates; `seen` counts events out of order.
const APPLIED: &str = "
    CREATE TABLE applied (event_id UUID PRIMARY KEY, id UUID NOT NULL, version BIGINT NOT NULL);
    CREATE TABLE seen (id UUID PRIMARY KEY, version BIGINT NOT NULL, disorder BIGINT NOT NULL)";
const READER: Migrations =
    Migrations { service: "reader", files: &[Migration::new("0001_applied", APPLIED, APPLIED)] };

pub const CONSUMER: &str = "reader";

/// Bytes that no protobuf message has.
pub const UNDECODABLE: &[u8] = b"\xff\xfe";

const FAST: Retry =
    Retry { initial: Duration::from_millis(1), max: Duration::from_millis(5), attempts: 8 };

pub struct World {
    pub auth: TestDb,
    pub reader: TestDb,
    pub bus: Bus,
    pub faults: Faults,
    pub kafka: Option<KafkaConfig>,
}

/// The URL of the test broker; `None` if these tests may be skipped.
pub fn kafka_url() -> Option<String> {
    let url = std::env::var("AGON_TEST_KAFKA").ok().filter(|url| !url.is_empty());
    let required = std::env::var("AGON_TEST_REQUIRE_ENGINES").is_ok_and(|v| v == "1");
    assert!(
        url.is_some() || !required,
        "AGON_TEST_REQUIRE_ENGINES=1, but AGON_TEST_KAFKA is not set"
    );
    if url.is_none() {
        eprintln!("skipped: AGON_TEST_KAFKA is not set");
    }
    url
}

/// What the handler does instead of succeeding; with a number, in this many calls.
#[derive(Clone, Copy)]
pub enum Inject {
    Permanent,
    Panic,
    Hang,
    Failures(u32),
    Transient(u32),
}

/// Injected faults and the calls of the handler since then, by aggregate id. Shared by the handler and the test.
#[derive(Clone, Default)]
pub struct Faults(Arc<Mutex<BTreeMap<Uuid, (Inject, u32)>>>);

impl World {
    pub async fn new(kind: &Kind) -> Self {
        let auth = kind.create_with(&PRODUCER, |o| o.write_connections = 16).await;
        let reader = kind.create(&READER).await;
        let bus = Bus::embedded(vec![(TOPICS, auth.db())]).unwrap();
        Self { auth, reader, bus, faults: Faults::default(), kafka: None }
    }

    /// Runs a test on each database.
    pub async fn on_each_database(test: impl AsyncFn(World)) {
        for kind in testing::kinds() {
            let _guard = testing::PrintOnPanic(&kind);
            test(World::new(&kind).await).await;
        }
    }

    /// On PostgreSQL and Kafka; `None` if these tests may be skipped.
    pub async fn on_kafka() -> Option<Self> {
        Self::on_cluster(KafkaConfig::new(kafka_url()?)).await
    }

    pub async fn on_cluster(config: KafkaConfig) -> Option<Self> {
        let kind = testing::kinds().into_iter().find(|kind| matches!(kind, Kind::Postgres(_)))?;
        let auth = kind
            .create_with(&PRODUCER, |o| {
                o.write_connections = 16;
                o.relayed = true;
            })
            .await;
        let reader = kind.create_with(&READER, |o| o.relayed = true).await;
        let prefix = format!("t{}-", auth.clock().new_id().simple());
        let config = KafkaConfig { partitions: 4, prefix, ..config };
        let bus = Bus::kafka(config.clone(), &[TOPICS]).unwrap();
        let consumes = [Consumes { consumer: CONSUMER, topics: &["agon.user.v1"] }];
        let created = bus.create_topics(&consumes).await.unwrap();
        assert!(created.len() == 3 && created.iter().all(|topic| topic.new), "{created:?}");
        Some(Self { auth, reader, bus, faults: Faults::default(), kafka: Some(config) })
    }

    /// The same databases, opened by another process, or by this one after a crash.
    pub async fn reopen(&self) -> Self {
        let (auth, reader) = (self.auth.reopen().await, self.reader.reopen().await);
        let bus = match &self.kafka {
            Some(config) => Bus::kafka(config.clone(), &[TOPICS]).unwrap(),
            None => Bus::embedded(vec![(TOPICS, auth.db())]).unwrap(),
        };
        let (faults, kafka) = (self.faults.clone(), self.kafka.clone());
        Self { auth, reader, bus, faults, kafka }
    }

    /// Runs a relay until the guard is dropped or stopped.
    pub fn relay(&self) -> Running {
        self.relay_within(|relay| relay)
    }

    /// [`World::relay`] with its future wrapped by `around`.
    pub fn relay_within<F>(&self, around: impl FnOnce(BoxFuture<'static, ()>) -> F) -> Running
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let relay = self.bus.relay(self.auth.db()).unwrap();
        Running::new(|stop| around(Box::pin(relay.run(stop))))
    }

    /// Runs a relay of the consumer's outbox, which has the copies of dead letters.
    pub fn relay_of_dead_letters(&self) -> Running {
        let relay = self.bus.relay(self.reader.db()).unwrap();
        Running::new(|stop| relay.run(stop))
    }

    /// Appends an event to the log that is no valid message of its type.
    pub async fn append_undecodable(&self, event_id: Uuid, key: Uuid) {
        const INSERT: &str =
            "INSERT INTO event_log (event_id, topic, type, aggregate_id, aggregate_version,
                                    occurred_at, data)
             VALUES ($1, $2, 'agon.event.v1.UserUpdated', $3, 0, $4, $5)";
        let values = (event_id, USERS.name, key, self.auth.clock().now(), UNDECODABLE);
        self.auth.execute(|tx| tx.query(INSERT).bind_all(values)).await.unwrap();
    }

    fn operator(&self) -> EventServiceClient<EventServiceServer<impl EventService>> {
        let key = PageKey::new(&RootSecret::from_bytes([7; 32]));
        EventServiceClient::new(bus::subscribe::server(self.bus.clone(), key))
    }

    pub async fn listed_dead_letters(&self) -> Vec<DeadLetter> {
        let page = self.operator().list_dead_letters(ListDeadLettersRequest::default()).await;
        page.unwrap().into_inner().dead_letters
    }

    pub async fn replay(&self, consumer: &str, key: Uuid) -> Result<i32, Status> {
        let request = ReplayDeadLettersRequest { consumer: consumer.into(), key: key.to_string() };
        Ok(self.operator().replay_dead_letters(request).await?.into_inner().event_count)
    }

    pub async fn discard(&self, consumer: &str, event_id: Uuid) -> Result<i32, Status> {
        let (consumer, event_id) = (consumer.into(), event_id.to_string());
        let request = DiscardDeadLetterRequest { consumer, event_id };
        Ok(self.operator().discard_dead_letter(request).await?.into_inner().event_count)
    }

    pub async fn user(&self) -> Uuid {
        let id = self.auth.clock().new_id();
        self.auth
            .transact(|mut tx| async move {
                tx.query("INSERT INTO users VALUES ($1, 1)").bind(id).execute().await?;
                let event = UserRegistered { user_id: id.to_string(), country: String::new() };
                outbox::append(&mut tx, Event::new(&USERS, id, 1, &event));
                Ok::<_, db::Error>(())
            })
            .await
            .unwrap();
        id
    }

    pub async fn users(&self, count: usize) -> Vec<Uuid> {
        let mut users = Vec::new();
        for _ in 0..count {
            users.push(self.user().await);
        }
        users
    }

    pub async fn update(&self, id: Uuid) {
        self.auth
            .transact(|mut tx| async move { update_in(&mut tx, id).await.map(drop) })
            .await
            .unwrap();
    }

    pub async fn update_times(&self, id: Uuid, count: usize) {
        for _ in 0..count {
            self.update(id).await;
        }
    }

    /// Runs a consumer until the guard is dropped or stopped.
    pub fn start(&self) -> Running {
        let applier = Applier(self.faults.clone());
        let consumer = self.bus.consumer(CONSUMER, self.reader.db(), &[USERS.name], applier);
        Running::new(|stop| consumer.unwrap().retry(FAST).run(stop))
    }

    /// Waits until all events of all users except `except` are applied.
    pub async fn all_applied(&self, except: &[Uuid]) {
        eventually("all events are applied", || async {
            self.committed(except).await == self.seen().await
        })
        .await;
    }

    /// [`World::all_applied`], without exceptions and with a longer timeout.
    pub async fn all_applied_within(&self, timeout: Duration) {
        let applied = async {
            while self.committed(&[]).await != self.seen().await {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let applied = tokio::time::timeout(timeout, applied).await;
        assert!(applied.is_ok(), "not all events are applied: {:?}", self.bus.health());
    }

    pub async fn outbox_rows(&self) -> i64 {
        self.auth.query("SELECT count(*) FROM outbox").fetch_scalar().await.unwrap()
    }

    /// Waits until the outbox has this many rows.
    pub async fn outbox_has(&self, rows: i64) {
        eventually("the outbox is published", || async { self.outbox_rows().await == rows }).await;
    }

    pub async fn committed(&self, except: &[Uuid]) -> BTreeMap<Uuid, i64> {
        let users: Vec<(Uuid, i64)> =
            self.auth.query("SELECT id, version FROM users").fetch_all().await.unwrap();
        users.into_iter().filter(|(id, _)| !except.contains(id)).collect()
    }

    /// The last applied version of each user.
    pub async fn seen(&self) -> BTreeMap<Uuid, i64> {
        let users: Vec<(Uuid, i64)> =
            self.reader.query("SELECT id, version FROM seen").fetch_all().await.unwrap();
        users.into_iter().collect()
    }

    /// Checks that every event was applied once, and in order per key.
    pub async fn assert_exactly_once(&self) {
        let number = async |db: &Db, sql: &'static str| -> i64 {
            db.query(sql).fetch_scalar().await.unwrap()
        };
        let committed = number(&self.auth, "SELECT CAST(sum(version) AS BIGINT) FROM users").await;
        if self.kafka.is_none() {
            let logged =
                number(&self.auth, "SELECT count(*) FROM event_log WHERE aggregate_version > 0")
                    .await;
            assert_eq!(logged, committed, "events of rolled back changes, or missing ones");
        }
        assert_eq!(number(&self.reader, "SELECT count(*) FROM applied").await, committed);
        let disorder = "SELECT CAST(sum(disorder) AS BIGINT) FROM seen";
        assert_eq!(number(&self.reader, disorder).await, 0);
    }

    /// Stops these in order, then [`World::assert_exactly_once`].
    pub async fn stop_and_check(&self, running: impl IntoIterator<Item = Running>) {
        for running in running {
            running.stop().await;
        }
        self.assert_exactly_once().await;
    }

    pub async fn dead_letters(&self) -> i64 {
        self.reader.query("SELECT count(*) FROM dead_letters").fetch_scalar().await.unwrap()
    }

    /// Waits until there are this many dead letters.
    pub async fn has_dead_letters(&self, count: i64) {
        let condition = || async { self.dead_letters().await == count };
        eventually(&format!("there are {count} dead letters"), condition).await;
    }

    /// Waits until the health of the bus is a problem that contains `text`.
    pub async fn reports(&self, text: &str) {
        let condition = || async { self.bus.health().is_err_and(|problem| problem.contains(text)) };
        eventually(&format!("health reports {text:?}"), condition).await;
    }

    /// Waits until the bus has no problem.
    pub async fn recovers(&self) {
        eventually("the bus is healthy", || async { self.bus.health().is_ok() }).await;
    }
}

pub async fn update_in(tx: &mut Tx, id: Uuid) -> db::Result<i64> {
    let version: i64 = tx
        .query("UPDATE users SET version = version + 1 WHERE id = $1 RETURNING version")
        .bind(id)
        .fetch_scalar()
        .await?;
    let event = UserUpdated { user_id: id.to_string(), country: version.to_string() };
    outbox::append(tx, Event::new(&USERS, id, version, &event));
    Ok(version)
}

/// Delays the commit after the append, while readers could skip the uncommitted event.
#[derive(Default)]
pub struct Slow(pub Duration);

impl AtCommit for Slow {
    async fn write(self, _: &mut Tx) -> db::Result<()> {
        tokio::time::sleep(self.0).await;
        Ok(())
    }
}

pub struct Running {
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Running {
    pub fn new<F>(run: impl FnOnce(BoxFuture<'static, ()>) -> F) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(run(Box::pin(async move { drop(stopped.await) })));
        Self { stop: Some(stop), task }
    }

    pub async fn stop(mut self) {
        drop(self.stop.take());
        (&mut self.task).await.unwrap();
    }

    pub async fn kill(self) {
        self.task.abort();
        eventually("the task has ended", || async { self.task.is_finished() }).await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Faults {
    pub fn inject(&self, id: Uuid, fault: Inject) {
        self.0.lock().unwrap().insert(id, (fault, 0));
    }

    pub fn clear(&self) {
        self.0.lock().unwrap().clear();
    }

    pub fn calls(&self, id: Uuid) -> u32 {
        self.0.lock().unwrap().get(&id).map_or(0, |(_, calls)| *calls)
    }

    fn next_call(&self, id: Uuid) -> Option<(Inject, u32)> {
        let mut faults = self.0.lock().unwrap();
        let (_, calls) = faults.get_mut(&id)?;
        *calls += 1;
        faults.get(&id).copied()
    }
}

struct Applier(Faults);

impl Handler for Applier {
    async fn handle(&self, tx: &mut Tx, event: &Received) -> Result<(), Fault> {
        let id = event.aggregate_id;
        // The effect comes first, so that a failure has something to roll back.
        tx.query("INSERT INTO applied VALUES ($1, $2, $3)")
            .bind_all((event.id, id, event.version))
            .execute()
            .await?;
        tx.query(
            "INSERT INTO seen VALUES ($1, $2, CASE WHEN $2 = 1 THEN 0 ELSE 1 END)
             ON CONFLICT (id) DO UPDATE SET version = excluded.version,
               disorder = seen.disorder
                        + CASE WHEN excluded.version = seen.version + 1 THEN 0 ELSE 1 END",
        )
        .bind_all((id, event.version))
        .execute()
        .await?;
        if event.is::<UserUpdated>() {
            event.decode::<UserUpdated>()?;
        }
        match self.0.next_call(id) {
            Some((Inject::Permanent, _)) => Err(Fault::permanent("injected")),
            Some((Inject::Panic, _)) => panic!("injected panic"),
            Some((Inject::Hang, _)) => std::future::pending().await,
            Some((Inject::Failures(times), call)) if call <= times => Err(Fault::retry("injected")),
            Some((Inject::Transient(times), call)) if call <= times => {
                Err(Fault::Transient("injected".into()))
            }
            _ => Ok(()),
        }
    }
}
