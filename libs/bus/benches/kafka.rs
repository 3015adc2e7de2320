//! Throughput from an outbox to a consumer's effect, compared with a bare producer and consumer of the same messages
//! with the same settings on the same broker: `deploy/engines/with.sh cargo bench -p bus --bench kafka`.
//!
//! Prints events per second and their ratio, from alternating rounds; and the latency that the outbox adds to a single
//! event. These are measurements, not tests.

use std::time::{Duration, Instant};

use bus::{Bus, Consumes, Event, Fault, Handler, KafkaConfig, Received, Topic, outbox};
use db::testing::{self, Kind, TestDb};
use db::{AtCommit, Migration, Migrations, Tx};
use futures_util::StreamExt as _;
use ids::Uuid;
use proto::event::UserUpdated;
use rdkafka::ClientConfig;
use rdkafka::consumer::{Consumer as _, StreamConsumer};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

const EVENTS: usize = 100_000;
const KEYS: usize = 500;
const ROUNDS: usize = 7;
const SINGLES: usize = 200;
const PARTITIONS: i32 = 4;

const USERS: Topic =
    Topic::new("agon.user.v1", "auth").key("user_id").types(&["agon.event.v1.UserUpdated"]);
const TOPICS: &[Topic] = &[USERS];
const NOTHING: &str = "CREATE TABLE nothing (id UUID PRIMARY KEY)";
const PRODUCER: Migrations =
    Migrations { service: "auth", files: &[Migration::new("0001_nothing", NOTHING, NOTHING)] };
const EFFECTS: &str = "CREATE TABLE effects (id UUID PRIMARY KEY, version BIGINT NOT NULL)";
const CONSUMER: Migrations =
    Migrations { service: "reader", files: &[Migration::new("0001_effects", EFFECTS, EFFECTS)] };

/// What the consumer writes besides its cursor.
#[derive(Clone, Copy)]
enum Effect {
    Nothing,
    /// A row per event, inserted together at the commit.
    Row,
    /// A row per event, each by its own statement.
    Statement,
}

struct Applier {
    effect: Effect,
    applied: mpsc::UnboundedSender<usize>,
}

impl Handler for Applier {
    async fn handle(&self, tx: &mut Tx, event: &Received) -> Result<(), Fault> {
        if let Effect::Statement = self.effect {
            let insert = tx.query("INSERT INTO effects VALUES ($1, $2)");
            insert.bind(event.id).bind(event.version).execute().await?;
        }
        let batch = tx.at_commit::<Batch>();
        batch.applied.get_or_insert_with(|| self.applied.clone());
        batch.count += 1;
        if let Effect::Row = self.effect {
            batch.rows.push((event.id, event.version));
        }
        Ok(())
    }
}

#[derive(Default)]
struct Batch {
    applied: Option<mpsc::UnboundedSender<usize>>,
    count: usize,
    rows: Vec<(Uuid, i64)>,
}

impl AtCommit for Batch {
    async fn write(self, tx: &mut Tx) -> db::Result<()> {
        if !self.rows.is_empty() {
            let (ids, versions) = self.rows.into_iter().unzip();
            let insert = tx.query("INSERT INTO effects SELECT * FROM unnest(").push_array(ids);
            insert.push(", ").push_array::<i64>(versions).push(")").execute().await?;
        }
        let (applied, count) = (self.applied, self.count);
        tx.after_commit(move || {
            applied.map(|applied| applied.send(count));
        });
        Ok(())
    }
}

/// Receives the number of events of each transaction.
type Effects = mpsc::UnboundedReceiver<usize>;

async fn until(effects: &mut Effects, count: usize) {
    let mut applied = 0;
    while applied < count {
        applied += effects.recv().await.unwrap();
    }
}

/// A producing and a consuming service with their own topics.
struct World {
    auth: TestDb,
    reader: TestDb,
    config: KafkaConfig,
    bus: Bus,
}

impl World {
    async fn new(url: &str, kind: &Kind) -> Self {
        let auth = kind.create_with(&PRODUCER, |o| o.relayed = true).await;
        let reader = kind.create_with(&CONSUMER, |o| o.relayed = true).await;
        let prefix = format!("bench{}-", auth.clock().new_id().simple());
        let config = KafkaConfig { partitions: PARTITIONS, prefix, ..KafkaConfig::new(url) };
        let bus = Bus::kafka(config.clone(), &[TOPICS]).unwrap();
        bus.create_topics(&[Consumes { consumer: "reader", topics: &[USERS.name] }]).await.unwrap();
        Self { auth, reader, config, bus }
    }

    /// Appends events in one transaction. Returns the time of the commit.
    async fn append(&self, count: usize) -> Instant {
        let keys: Vec<_> = (0..KEYS).map(|_| self.auth.clock().new_id()).collect();
        let mut tx = self.auth.begin().await.unwrap();
        for i in 0..count {
            let version = i64::try_from(i / KEYS + 1).unwrap();
            outbox::append(&mut tx, Event::new(&USERS, keys[i % KEYS], version, &payload()));
        }
        let (committed, time) = oneshot::channel();
        tx.after_commit(move || committed.send(Instant::now()).unwrap());
        tx.commit().await.unwrap();
        time.await.unwrap()
    }

    fn consumer(&self, effect: Effect) -> (Running, Effects) {
        let (applied, effects) = mpsc::unbounded_channel();
        let handler = Applier { effect, applied };
        let consumer =
            self.bus.consumer("reader", self.reader.db(), &[USERS.name], handler).unwrap();
        (Running::start(|stop| consumer.run(stop)), effects)
    }

    fn relay(&self) -> Running {
        let relay = self.bus.relay(self.auth.db()).unwrap();
        Running::start(|stop| relay.run(stop))
    }

    fn client(&self) -> ClientConfig {
        let mut client = ClientConfig::new();
        client.set("bootstrap.servers", self.config.url.strip_prefix("kafka://").unwrap());
        client
    }

    fn topic(&self) -> String {
        format!("{}{}", self.config.prefix, USERS.name)
    }

    fn bare_consumer(&self) -> StreamConsumer {
        let consumer: StreamConsumer = self
            .client()
            .set("group.id", format!("{}bare", self.config.prefix))
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("auto.offset.reset", "earliest")
            .set("isolation.level", "read_committed")
            .set("queued.min.messages", "2000")
            .set("queued.max.messages.kbytes", "2048")
            .set("fetch.queue.backoff.ms", "10")
            .create()
            .unwrap();
        consumer.subscribe(&[&self.topic()]).unwrap();
        consumer
    }

    fn bare_producer(&self) -> FutureProducer {
        self.client()
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("compression.type", "lz4")
            .set("linger.ms", "0")
            .set("partitioner", "murmur2_random")
            .create()
            .unwrap()
    }
}

struct Running {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Running {
    fn start<F: Future<Output = ()> + Send + 'static>(
        run: impl FnOnce(futures_util::future::BoxFuture<'static, ()>) -> F,
    ) -> Self {
        let (stop, stopped) = oneshot::channel::<()>();
        let stopped = Box::pin(async move { drop(stopped.await) });
        #[expect(clippy::disallowed_methods, reason = "waited for in `stop`")]
        let task = tokio::spawn(run(stopped));
        Self { stop, task }
    }

    async fn stop(self) {
        drop(self.stop);
        self.task.await.unwrap();
    }
}

fn payload() -> UserUpdated {
    UserUpdated { user_id: "01a1fde1-7418-76c8-9842-6c0cfc3e4020".into(), country: "CH".into() }
}

/// Headers like those of an event.
fn headers() -> OwnedHeaders {
    let id = "01a1fde1-7418-76c8-9842-6c0cfc3e4020";
    let pairs = [
        ("content-type", "application/protobuf"),
        ("ce_specversion", "1.0"),
        ("ce_id", id),
        ("ce_type", "agon.event.v1.UserUpdated"),
        ("ce_source", "/agon/auth"),
        ("ce_subject", id),
        ("ce_time", "2026-01-01T00:00:00.000000Z"),
        ("ce_partitionkey", id),
        ("ce_sequence", "00000000000000000001"),
    ];
    pairs.iter().fold(OwnedHeaders::new(), |headers, (key, value)| {
        headers.insert(Header { key, value: Some(*value) })
    })
}

/// Events per second from the outbox to the effect.
async fn through_the_outbox(url: &str, kind: &Kind, effect: Effect) -> f64 {
    let world = World::new(url, kind).await;
    let (relay, (consumer, mut effects)) = (world.relay(), world.consumer(effect));
    // The first events wait for the group's first rebalance.
    world.append(100).await;
    until(&mut effects, 100).await;
    let start = world.append(EVENTS).await;
    until(&mut effects, EVENTS).await;
    let took = start.elapsed();
    relay.stop().await;
    consumer.stop().await;
    EVENTS as f64 / took.as_secs_f64()
}

/// The same messages without a database.
async fn bare(url: &str, kind: &Kind) -> f64 {
    let world = World::new(url, kind).await;
    let (topic, producer, consumer) = (world.topic(), world.bare_producer(), world.bare_consumer());
    let body = prost::Message::encode_to_vec(&payload());
    let keys: Vec<String> = (0..KEYS).map(|_| world.auth.clock().new_id().to_string()).collect();
    let send = async |count: usize| {
        let mut acks = futures_util::stream::FuturesUnordered::new();
        for i in 0..count {
            let mut record = FutureRecord::to(&topic).key(&keys[i % KEYS]).payload(&body);
            record = record.headers(headers());
            loop {
                match producer.send_result(record) {
                    Ok(ack) => break acks.push(ack),
                    Err((_, back)) => {
                        record = back;
                        acks.next().await;
                    }
                }
            }
            if i % 64 == 0 {
                tokio::task::yield_now().await;
            }
        }
        while acks.next().await.is_some() {}
    };
    send(100).await;
    for _ in 0..100 {
        consumer.recv().await.unwrap();
    }
    let start = Instant::now();
    let receive = async {
        for _ in 0..EVENTS {
            consumer.recv().await.unwrap();
        }
        start.elapsed()
    };
    let ((), took) = tokio::join!(send(EVENTS), receive);
    EVENTS as f64 / took.as_secs_f64()
}

/// The medians from commit to effect, and from send to receipt, of one event at a time.
async fn latencies(url: &str, kind: &Kind) -> [Duration; 2] {
    let world = World::new(url, kind).await;
    let (relay, (consumer, mut effects)) = (world.relay(), world.consumer(Effect::Statement));
    let bare = World::new(url, kind).await;
    let (producer, receiver) = (bare.bare_producer(), bare.bare_consumer());
    let (topic, body) = (bare.topic(), prost::Message::encode_to_vec(&payload()));
    let mut times = [Vec::new(), Vec::new()];
    for round in 0..SINGLES {
        let key = world.auth.clock().new_id();
        let append = world.auth.transact(|mut tx| async move {
            outbox::append(&mut tx, Event::new(&USERS, key, 1, &payload()));
            Ok::<_, db::Error>(())
        });
        append.await.unwrap();
        let start = Instant::now();
        until(&mut effects, 1).await;
        let outbox = start.elapsed();
        // Long enough for both sides to be waiting.
        tokio::time::sleep(Duration::from_millis(20)).await;

        let key = key.to_string();
        let start = Instant::now();
        let record = FutureRecord::to(&topic).key(&key).payload(&body).headers(headers());
        let sent = producer.send_result(record).unwrap_or_else(|(error, _)| panic!("{error}"));
        receiver.recv().await.unwrap();
        let bare = start.elapsed();
        sent.await.unwrap().unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
        if round >= SINGLES / 4 {
            times[0].push(outbox);
            times[1].push(bare);
        }
    }
    relay.stop().await;
    consumer.stop().await;
    times.map(|mut times| {
        times.sort();
        times[times.len() / 2]
    })
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[tokio::main]
async fn main() {
    let url = std::env::var("AGON_TEST_KAFKA").unwrap_or_default();
    let kind = testing::kinds().into_iter().find(|kind| matches!(kind, Kind::Postgres(_)));
    let Some(kind) = kind.filter(|_| !url.is_empty()) else {
        println!("skipped: AGON_TEST_POSTGRES and AGON_TEST_KAFKA must be set");
        return;
    };
    let effects = [
        (Effect::Nothing, "cursor only"),
        (Effect::Row, "row per event"),
        (Effect::Statement, "statement per event"),
    ];
    // An argument selects effects by name.
    let filter = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let selected = |name: &str| filter.as_ref().is_none_or(|filter| name.contains(filter));
    for (effect, name) in effects.into_iter().filter(|(_, name)| selected(name)) {
        let (mut outboxes, mut bares, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let bare = bare(&url, &kind).await;
            let outbox = through_the_outbox(&url, &kind, effect).await;
            bares.push(bare);
            outboxes.push(outbox);
            ratios.push(outbox / bare);
        }
        println!(
            "bare producer and consumer {:.0}/s, outbox to effect ({name}) {:.0}/s, ratio {:.2} (medians of {ROUNDS})",
            median(bares),
            median(outboxes),
            median(ratios),
        );
    }
    let [outbox, bare] = latencies(&url, &kind).await.map(|time| time.as_secs_f64() * 1e3);
    println!(
        "one event: bare {bare:.1} ms, outbox to effect {outbox:.1} ms, so {:.1} ms more (medians)",
        outbox - bare
    );
}
