//! A consumer as a member of its consumer group: Kafka says which partitions are its own, and each of them is a
//! lane.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt as _, select};
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use rdkafka::ClientContext;
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext, Rebalance, StreamConsumer};
use tokio::sync::{mpsc, oneshot};

use super::{Kafka, Partition};
use crate::consumer::{Consumer, Handler};
use crate::lane::{Lane, Source, Stop};
use crate::{Error, Topic};

/// How often a broker in trouble is asked how it is, and how long it may take to answer.
const PROBE: Duration = Duration::from_secs(2);

/// A topic and a partition.
type Place = (String, i32);

/// What the group gave or took.
enum Change {
    Assigned(Vec<Place>),
    Revoked(Vec<Place>),
}

/// Hears of changes.
pub(super) struct Member(mpsc::UnboundedSender<Change>);

impl ClientContext for Member {
    fn error(&self, error: rdkafka::error::KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "Kafka");
    }
}

impl ConsumerContext for Member {
    fn pre_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if let Rebalance::Revoke(list) = rebalance {
            self.0.send(Change::Revoked(places(list))).ok();
        }
    }

    fn post_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if let Rebalance::Assign(list) = rebalance {
            self.0.send(Change::Assigned(places(list))).ok();
        }
    }
}

fn places(list: &TopicPartitionList) -> Vec<Place> {
    list.elements().iter().map(|e| (e.topic().to_owned(), e.partition())).collect()
}

/// Applies what the group gives to this process, until `stop`.
pub(crate) async fn run<H: Handler>(
    consumer: &Consumer<H>,
    kafka: &Kafka,
    topics: &[&Topic],
    stop: Stop<'_>,
) {
    let mut failures = 0;
    while stop.clone().now_or_never().is_none() {
        failures += 1;
        if let Err(error) = session(consumer, kafka, topics, stop.clone()).await {
            let name = consumer.state.name;
            tracing::warn!(consumer = name, %error, "the consumer leaves its group and joins it again");
            let pause = consumer.retry.pause(failures, rand::random());
            tokio::time::timeout(pause, stop.clone()).await.ok();
        }
    }
}

/// From joining to leaving.
async fn session<H: Handler>(
    consumer: &Consumer<H>,
    kafka: &Kafka,
    topics: &[&Topic],
    stop: Stop<'_>,
) -> Result<(), Error> {
    let (sender, mut changes) = mpsc::unbounded_channel();
    let member = join(kafka, consumer.state.name, topics, Member(sender))?;
    let mut wanted: HashSet<Place> = HashSet::new();
    let mut running: HashMap<Place, oneshot::Sender<()>> = HashMap::new();
    let mut lanes: FuturesUnordered<BoxFuture<'_, Place>> = FuturesUnordered::new();
    let mut troubled = false;
    let mut prune = tokio::time::interval(Duration::from_secs(3600));
    let result = loop {
        // A partition that comes back waits until its former lane is through.
        for place in
            wanted.iter().filter(|place| !running.contains_key(*place)).cloned().collect::<Vec<_>>()
        {
            let Some(topic) = topics.iter().find(|topic| kafka.name(topic.name) == place.0) else {
                continue;
            };
            let Some(partition) = Partition::open(&member, topic, &place.0, place.1) else {
                continue;
            };
            let (revoke, revoked) = oneshot::channel::<()>();
            let stop = select(stop.clone(), revoked.map(drop).boxed()).map(drop).boxed().shared();
            let lane = Lane::new(consumer, topic, Source::Partition(partition), stop);
            running.insert(place.clone(), revoke);
            lanes.push(lane.run().map(move |()| place).boxed());
        }
        tokio::select! {
            () = stop.clone() => break Ok(()),
            Some(change) = changes.recv() => match change {
                Change::Assigned(places) => wanted.extend(places),
                Change::Revoked(places) => for place in places {
                    wanted.remove(&place);
                    if let Some(revoke) = running.get_mut(&place) {
                        // Told once; the entry stays until the lane has ended.
                        drop(std::mem::replace(revoke, oneshot::channel().0));
                    }
                },
            },
            _ = prune.tick() => {
                if let Err(error) = crate::inbox::prune(&consumer.state.db, consumer.state.name).await {
                    tracing::warn!(consumer = consumer.state.name, %error, "old events are not forgotten");
                }
            }
            Some(place) = lanes.next(), if !lanes.is_empty() => {
                running.remove(&place);
            }
            // Whatever comes here came before its partition had a lane, which reads it again.
            message = member.recv() => if let Err(error) = message {
                if let Some((code, text)) = member.client().fatal_error() {
                    break Err(Error::Kafka(format!("{code}: {text}")));
                }
                if !troubled {
                    tracing::warn!(consumer = consumer.state.name, %error, "Kafka is in trouble");
                }
                troubled = true;
                consumer.state.stopped("Kafka", &error.to_string());
            },
            // Nobody says that it is well again.
            () = tokio::time::sleep(PROBE), if troubled => if answers(&member).await {
                troubled = false;
                consumer.state.goes_on("Kafka");
            },
        }
    };
    running.clear();
    while lanes.next().await.is_some() {}
    drop(lanes);
    consumer.state.goes_on("Kafka");
    // Says good-bye to the group, which takes a moment.
    tokio::task::spawn_blocking(move || drop(member)).await.ok();
    result
}

async fn answers(member: &Arc<StreamConsumer<Member>>) -> bool {
    let member = member.clone();
    let asked = tokio::task::spawn_blocking(move || member.fetch_metadata(None, PROBE).is_ok());
    asked.await.unwrap_or(false)
}

fn join(
    kafka: &Kafka,
    name: &str,
    topics: &[&Topic],
    member: Member,
) -> Result<Arc<StreamConsumer<Member>>, Error> {
    let consumer: StreamConsumer<Member> = kafka
        .client()
        .set("group.id", kafka.group(name))
        .set("partition.assignment.strategy", "cooperative-sticky")
        .set("session.timeout.ms", "10000")
        .set("heartbeat.interval.ms", "2000")
        .set("enable.auto.commit", "true")
        .set("auto.commit.interval.ms", "1000")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "earliest")
        .set("isolation.level", "read_committed")
        .set("allow.auto.create.topics", "false")
        .set("topic.metadata.refresh.interval.ms", "30000")
        .set("fetch.error.backoff.ms", "100")
        // What is fetched ahead, per partition.
        .set("queued.min.messages", "2000")
        .set("queued.max.messages.kbytes", "2048")
        .set("fetch.queue.backoff.ms", "10")
        .create_with_context(member)?;
    let names: Vec<String> = topics.iter().map(|topic| kafka.name(topic.name)).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    consumer.subscribe(&names)?;
    Ok(Arc::new(consumer))
}
