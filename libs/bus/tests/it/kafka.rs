//! Outbox, relay and consumer groups on a real broker.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bus::KafkaConfig;
use rdkafka::ClientConfig;
use rdkafka::Message as _;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::consumer::{Consumer as _, StreamConsumer};
use rdkafka::message::{Header, Headers as _, OwnedHeaders, OwnedMessage};
use rdkafka::producer::{FutureProducer, FutureRecord};

use crate::concurrency::write;
use crate::world::{CONSUMER, Inject, UNDECODABLE, World, kafka_url};

const TOPIC: &str = "agon.user.v1";

fn client(world: &World) -> ClientConfig {
    let url = &world.kafka.as_ref().unwrap().url;
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", url.strip_prefix("kafka://").unwrap());
    client
}

fn name(world: &World, topic: &str) -> String {
    format!("{}{topic}", world.kafka.as_ref().unwrap().prefix)
}

/// The first `count` messages of a topic.
async fn messages(world: &World, topic: &str, count: usize) -> Vec<rdkafka::message::OwnedMessage> {
    let consumer: StreamConsumer = client(world)
        .set("group.id", "test")
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.commit", "false")
        .create()
        .unwrap();
    consumer.subscribe(&[&name(world, topic)]).unwrap();
    let mut found = Vec::new();
    while found.len() < count {
        let message = tokio::time::timeout(Duration::from_secs(30), consumer.recv()).await;
        found
            .push(message.unwrap_or_else(|_| panic!("{:?}", world.bus.health())).unwrap().detach());
    }
    found
}

/// A broker that only this test uses.
pub struct Broker {
    directory: tempfile::TempDir,
    child: Child,
}

impl Broker {
    pub fn start_in(directory: tempfile::TempDir) -> Broker {
        let child = Broker::run(directory.path());
        Broker { directory, child }
    }

    fn run(directory: &Path) -> Child {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/engines/kafka.sh");
        let mut command = Command::new(script);
        command.arg("foreground").arg(directory).stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().unwrap()
    }

    /// The URL, as soon as the broker responds.
    async fn url(&self) -> String {
        let deadline = Instant::now() + Duration::from_secs(90);
        loop {
            assert!(Instant::now() < deadline, "the broker did not start");
            let url = std::fs::read_to_string(self.directory.path().join("url"));
            let url = url.unwrap_or_default().trim().to_owned();
            let port = url.strip_prefix("kafka://").unwrap_or("127.0.0.1:1").to_owned();
            let probe = tokio::task::spawn_blocking(move || {
                let client: StreamConsumer = ClientConfig::new()
                    .set("bootstrap.servers", port)
                    .set("group.id", "probe")
                    .create()
                    .unwrap();
                client.fetch_metadata(None, Duration::from_secs(1)).is_ok()
            });
            if probe.await.unwrap() {
                return url;
            }
        }
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn restart(&mut self) {
        self.child = Broker::run(self.directory.path());
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.kill();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broker_crash_and_restart_lose_no_event() {
    if kafka_url().is_none() {
        return;
    }
    let mut broker = Broker::start_in(tempfile::tempdir().unwrap());
    let Some(world) = World::on_cluster(KafkaConfig::new(broker.url().await)).await else { return };
    let (relay, running) = (world.relay(), world.start());
    write(&world, 4).await;
    broker.kill();
    write(&world, 4).await;
    world.reports("outbox").await;
    broker.restart();
    world.all_applied_within(Duration::from_secs(120)).await;
    world.recovers().await;
    world.stop_and_check([running, relay]).await;
}

/// The CloudEvents binding, as other programs see it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_are_cloud_events() {
    let Some(world) = World::on_kafka().await else { return };
    let relay = world.relay();
    let id = world.user().await;
    let message = messages(&world, TOPIC, 1).await.remove(0);
    relay.stop().await;
    assert_eq!(message.key(), Some(id.to_string().as_bytes()));
    let user: proto::event::UserRegistered =
        prost::Message::decode(message.payload().unwrap()).unwrap();
    assert_eq!(user.user_id, id.to_string());
    let headers = message.headers().unwrap();
    let header = |name: &str| {
        let found = headers.iter().find(|header| header.key == name);
        String::from_utf8(found.expect("a header").value.unwrap().to_vec()).unwrap()
    };
    assert_eq!(header("content-type"), "application/protobuf");
    assert_eq!(header("ce_specversion"), "1.0");
    assert_eq!(header("ce_type"), "agon.event.v1.UserRegistered");
    assert_eq!(header("ce_source"), "/agon/auth");
    assert_eq!(header("ce_subject"), id.to_string());
    assert_eq!(header("ce_partitionkey"), id.to_string());
    assert_eq!(header("ce_sequence"), "00000000000000000001");
    assert!(header("ce_id").parse::<ids::Uuid>().is_ok());
    assert!(header("ce_time").ends_with('Z'));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn relays_and_consumers_can_stop_and_crash_at_any_time() {
    let Some(world) = World::on_kafka().await else { return };
    let (other, third) = (world.reopen().await, world.reopen().await);
    let (relay, one) = (world.relay(), world.start());
    let (second, two) = (other.relay(), other.start());
    write(&world, 8).await;
    two.kill().await;
    write(&world, 8).await;
    // A graceful stop releases the leases.
    relay.stop().await;
    let three = third.start();
    write(&world, 8).await;
    one.stop().await;
    world.all_applied(&[]).await;
    world.stop_and_check([three, second]).await;
    assert_eq!(world.outbox_rows().await, 0);
}

/// A relay that dies between the broker's acknowledgement and the deletion publishes duplicates.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_published_twice_are_applied_once() {
    let Some(world) = World::on_kafka().await else { return };
    let id = world.user().await;
    world.update_times(id, 5).await;
    world.auth.script("CREATE TABLE before AS SELECT * FROM outbox").await;
    let relay = world.relay();
    world.outbox_has(0).await;
    world
        .auth
        .script(
            "INSERT INTO outbox (lane, event_id, topic, type, aggregate_id, aggregate_version,
                                 occurred_at, traceparent, data)
             SELECT lane, event_id, topic, type, aggregate_id, aggregate_version, occurred_at, traceparent, data
             FROM before ORDER BY id",
        )
        .await;
    world.update(id).await;
    world.outbox_has(0).await;
    let running = world.start();
    world.all_applied(&[]).await;
    assert_eq!(messages(&world, TOPIC, 13).await.len(), 13);
    world.stop_and_check([running, relay]).await;
}

/// Each becomes a dead letter that blocks nothing, with a copy in the dead-letter topic.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn undecodable_messages_do_not_block_their_keys() {
    let Some(world) = World::on_kafka().await else { return };
    let producer: FutureProducer = client(&world).create().unwrap();
    let topic = name(&world, TOPIC);
    let send = async |key: Option<&str>, value: Option<&[u8]>, pairs: &[(&str, &str)]| {
        let headers = pairs.iter().fold(OwnedHeaders::new(), |headers, (key, value)| {
            headers.insert(Header { key, value: Some(*value) })
        });
        let mut record = FutureRecord::to(&topic).headers(headers);
        record.key = key;
        record.payload = value;
        producer.send(record, Duration::from_secs(10)).await.unwrap()
    };
    let id = world.user().await;
    let relay = world.relay();
    world.outbox_has(0).await;
    let (live, event_id) = (id.to_string(), world.auth.clock().new_id().to_string());
    let event = |name, time, parent| {
        [
            ("ce_id", event_id.as_str()),
            ("ce_type", name),
            ("ce_sequence", "2"),
            ("ce_time", time),
            ("traceparent", parent),
        ]
    };
    let now = "2026-01-01T00:00:00Z";
    send(None, Some(UNDECODABLE), &[]).await;
    send(Some("no id"), None, &[]).await;
    send(Some("no id"), Some(b"x"), &[("ce_type", "")]).await;
    // Values that PostgreSQL cannot store.
    send(
        Some(&live),
        Some(b"x"),
        &event("agon.event.v1.UserUpdated", "-9999-01-01T00:00:00Z", "00"),
    )
    .await;
    send(Some(&live), Some(b"x"), &event("agon.event.v1.UserUpdated\0", now, "\0")).await;
    send(Some(&live), None, &[("from", "elsewhere")]).await;
    let at =
        send(Some(&live), Some(UNDECODABLE), &event("agon.event.v1.UserUpdated", now, "00")).await;
    world.update(id).await;
    let running = world.start();
    world.all_applied(&[]).await;
    world.has_dead_letters(7).await;
    world.recovers().await;

    let letters = world.listed_dead_letters().await;
    assert!(letters.iter().all(|letter| !letter.blocks_key && !letter.held), "{letters:?}");
    assert_eq!(letters.iter().filter(|letter| letter.message_key == "no id").count(), 2);
    let letter = letters.iter().find(|letter| letter.event.as_ref().unwrap().event_id == event_id);
    let letter = letter.expect("the undecodable event");
    assert_eq!((letter.partition, letter.offset), (at.partition, at.offset));
    assert_eq!(letter.message_key, live);
    assert!(letter.reason.contains("cannot decode"), "{}", letter.reason);
    assert_eq!(world.replay(CONSUMER, id).await.unwrap(), 4);

    // The copies keep keys and headers, and tell where the messages were.
    let copies_relay = world.relay_of_dead_letters();
    let copies = messages(&world, &format!("{TOPIC}.dlq.{CONSUMER}"), 7).await;
    let header = |copy: &OwnedMessage, name: &str| {
        let found = copy.headers()?.iter().find(|header| header.key == name)?;
        Some(String::from_utf8(found.value?.to_vec()).unwrap())
    };
    assert_eq!(copies.iter().filter(|copy| copy.key().is_none()).count(), 1);
    let foreign = copies.iter().find(|copy| header(copy, "from").is_some()).unwrap();
    assert_eq!(foreign.key(), Some(live.as_bytes()));
    assert_eq!(header(foreign, "dlq_topic").as_deref(), Some(TOPIC));
    let offset = at.offset.to_string();
    assert!(copies.iter().any(|copy| header(copy, "dlq_offset").as_ref() == Some(&offset)
        && header(copy, "ce_id").as_ref() == Some(&event_id)));
    for running in [copies_relay, running, relay] {
        running.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_event_blocks_its_key_until_it_is_fixed() {
    let Some(world) = World::on_kafka().await else { return };
    let (blocked, other) = (world.user().await, world.user().await);
    world.update(blocked).await;
    world
        .auth
        .script(
            "CREATE TABLE before AS SELECT id, data FROM outbox ORDER BY id LIMIT 1;
             UPDATE outbox SET data = decode(repeat('00', 1200000), 'hex')
             WHERE id = (SELECT id FROM before)",
        )
        .await;
    let (relay, running) = (world.relay(), world.start());
    world.update(other).await;
    world.outbox_has(2).await;
    assert!(world.bus.health().unwrap_err().contains("1 keys of auth are blocked"));
    world
        .auth
        .script("UPDATE outbox SET data = before.data, refusal = NULL FROM before WHERE outbox.id = before.id")
        .await;
    world.all_applied(&[]).await;
    world.recovers().await;
    world.stop_and_check([running, relay]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn missing_topic_delays_only_its_own_events() {
    let Some(world) = World::on_kafka().await else { return };
    let id = world.user().await;
    world
        .auth
        .script(
            "INSERT INTO outbox (lane, event_id, topic, type, aggregate_id, aggregate_version,
                                 occurred_at, data)
             SELECT lane, gen_random_uuid(), 'agon.missing.v1', type, aggregate_id, n, occurred_at, data
             FROM outbox CROSS JOIN generate_series(1, 3000) AS n",
        )
        .await;
    let (relay, running) = (world.relay(), world.start());
    world.update_times(id, 5).await;
    world.all_applied(&[]).await;
    world.reports("agon.missing.v1 does not exist").await;
    let admin: AdminClient<_> = client(&world).create().unwrap();
    let (topic, copies) = (name(&world, "agon.missing.v1"), TopicReplication::Fixed(1));
    let created =
        admin.create_topics([&NewTopic::new(&topic, 1, copies)], &AdminOptions::new()).await;
    created.unwrap().remove(0).unwrap();
    world.outbox_has(0).await;
    world.recovers().await;
    world.stop_and_check([running, relay]).await;
}

/// The key continues after a replay.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_letter_blocks_only_its_key_until_replayed() {
    let Some(world) = World::on_kafka().await else { return };
    let (bad, good) = (world.user().await, world.user().await);
    world.faults.inject(bad, Inject::Permanent);
    let (relay, running) = (world.relay(), world.start());
    for _ in 0..5 {
        world.update(bad).await;
        world.update(good).await;
    }
    world.all_applied(&[bad]).await;
    world.has_dead_letters(6).await;
    world.faults.clear();
    world.reader.script("UPDATE dead_letters SET replay = TRUE").await;
    world.update(good).await;
    world.update(bad).await;
    world.all_applied(&[]).await;
    world.stop_and_check([running, relay]).await;
}

/// The cursor is authoritative, not the offsets committed to Kafka.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restored_consumer_database_is_detected() {
    let Some(world) = World::on_kafka().await else { return };
    let relay = world.relay();
    let id = world.user().await;
    world.update_times(id, 5).await;
    let running = world.start();
    world.all_applied(&[]).await;
    running.stop().await;
    relay.stop().await;
    // An empty database: all events are applied again, although their offsets are committed.
    world
        .reader
        .script(
            "DELETE FROM applied; DELETE FROM seen; DELETE FROM inbox; DELETE FROM consumer_cursors",
        )
        .await;
    let running = world.start();
    world.all_applied(&[]).await;
    world.stop_and_check([running]).await;
    // A cursor after the end of the topic.
    world
        .reader
        .script("UPDATE consumer_cursors SET log_id = log_id + 1000 WHERE log_id > 0")
        .await;
    let running = world.start();
    world.reports("shorter").await;
    running.stop().await;
}
