//! A consumer as a member of its consumer group: runs one processor for each assigned partition.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt as _, select};
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use rdkafka::consumer::Consumer as _;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use tokio::sync::{mpsc, oneshot};

use super::member::{self, Assignment, Member, Rebalances, TopicPartition};
use super::{Kafka, Partition};
use crate::handler::Application;
use crate::processor::{Processor, Source};
use crate::{Error, Stop, Topic, inbox};

/// How often to check whether a failing broker has recovered; also the timeout of the check.
const PROBE: Duration = Duration::from_secs(2);
const PRUNE_INTERVAL: Duration = Duration::from_secs(3600);
/// The name under which errors of the client are reported, beside those of topics.
const HEALTH_NAME: &str = "Kafka";

/// Applies the events of the partitions assigned to this process, until `stop`.
pub(crate) async fn run(
    application: &Application,
    kafka: &Kafka,
    topics: &[&Topic],
    stop: Stop<'_>,
) {
    let mut failures = 0;
    while stop.clone().now_or_never().is_none() {
        failures += 1;
        if let Err(error) = session(application, kafka, topics, stop.clone()).await {
            let consumer = application.state.name;
            tracing::warn!(consumer, %error, "consumer group session failed, rejoining");
            let delay = application.retry.delay(failures, rand::random());
            tokio::time::timeout(delay, stop.clone()).await.ok();
        }
    }
}

/// One membership, from joining the group to leaving it.
async fn session(
    application: &Application,
    kafka: &Kafka,
    topics: &[&Topic],
    stop: Stop<'_>,
) -> Result<(), Error> {
    let state = &application.state;
    let (sender, mut changes) = mpsc::unbounded_channel();
    let member = member::join(kafka, state.name, topics, Rebalances(sender))?;
    let mut assigned: HashSet<TopicPartition> = HashSet::new();
    let mut running: HashMap<TopicPartition, oneshot::Sender<()>> = HashMap::new();
    let mut processors: FuturesUnordered<BoxFuture<'_, TopicPartition>> = FuturesUnordered::new();
    let mut failing = false;
    let mut prune = tokio::time::interval(PRUNE_INTERVAL);
    let result = loop {
        // A partition that is assigned again waits until its previous processor has ended.
        let idle = assigned.iter().filter(|partition| !running.contains_key(*partition));
        for key in idle.cloned().collect::<Vec<_>>() {
            let topic = topics.iter().find(|topic| kafka.topic_name(topic.name) == key.0);
            let Some(topic) = topic else { continue };
            let Some(partition) = Partition::open(&member, topic, &key.0, key.1) else { continue };
            let (revoke, revoked) = oneshot::channel::<()>();
            let stop = select(stop.clone(), revoked.map(drop).boxed()).map(drop).boxed().shared();
            let processor = Processor::new(application, topic, Source::Partition(partition), stop);
            running.insert(key.clone(), revoke);
            processors.push(processor.run().map(move |()| key).boxed());
        }
        tokio::select! {
            () = stop.clone() => break Ok(()),
            Some(change) = changes.recv() => match change {
                Assignment::Assigned(partitions) => assigned.extend(partitions),
                Assignment::Revoked(partitions) => for key in partitions {
                    assigned.remove(&key);
                    if let Some(revoke) = running.get_mut(&key) {
                        // Dropping the sender stops the processor. The entry stays until it has ended.
                        drop(std::mem::replace(revoke, oneshot::channel().0));
                    }
                },
            },
            _ = prune.tick() => {
                if let Err(error) = inbox::prune(&state.db, state.name).await {
                    tracing::warn!(consumer = state.name, %error, "pruning inbox failed");
                }
            }
            Some(key) = processors.next(), if !processors.is_empty() => {
                running.remove(&key);
            }
            // Messages that arrive here preceded the split of their partition's queue; its processor reads them again.
            message = member.recv() => if let Err(error) = message {
                if let Some((code, text)) = member.client().fatal_error() {
                    break Err(Error::Kafka(format!("{code}: {text}")));
                }
                if is_outage(&error) {
                    kafka.outage.begin(&error.to_string());
                } else if !failing {
                    tracing::warn!(consumer = state.name, %error, "kafka failing");
                }
                failing = true;
                state.set_error(HEALTH_NAME, &error.to_string());
            },
            // The client does not report recovery.
            () = tokio::time::sleep(PROBE), if failing => if responds(&member).await {
                failing = false;
                kafka.outage.end();
                state.clear_error(HEALTH_NAME);
            },
        }
    };
    running.clear();
    while processors.next().await.is_some() {}
    drop(processors);
    state.clear_error(HEALTH_NAME);
    // Leaving the group blocks.
    tokio::task::spawn_blocking(move || drop(member)).await.ok();
    result
}

fn is_outage(error: &KafkaError) -> bool {
    error.rdkafka_error_code() == Some(RDKafkaErrorCode::AllBrokersDown)
}

async fn responds(member: &Arc<Member>) -> bool {
    let member = member.clone();
    let probe = tokio::task::spawn_blocking(move || member.fetch_metadata(None, PROBE).is_ok());
    probe.await.unwrap_or(false)
}
