//! The client of a consumer group's member, and the notifications of its rebalances.

use std::sync::Arc;

use rdkafka::ClientContext;
use rdkafka::TopicPartitionList;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext, Rebalance, StreamConsumer};
use tokio::sync::mpsc;

use super::Kafka;
use crate::{Error, Topic};

/// A topic's name on the broker and a partition.
pub(super) type TopicPartition = (String, i32);

pub(super) enum Assignment {
    Assigned(Vec<TopicPartition>),
    Revoked(Vec<TopicPartition>),
}

pub(super) type Member = StreamConsumer<Rebalances>;

/// Sends the changes of the assignment.
pub(super) struct Rebalances(pub mpsc::UnboundedSender<Assignment>);

impl ClientContext for Rebalances {
    fn log(&self, _: RDKafkaLogLevel, facility: &str, text: &str) {
        tracing::debug!(facility, text, "kafka client message");
    }

    // Errors are received like messages too.
    fn error(&self, error: rdkafka::error::KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "kafka client error");
    }
}

impl ConsumerContext for Rebalances {
    fn pre_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if let Rebalance::Revoke(list) = rebalance {
            self.0.send(Assignment::Revoked(partitions(list))).ok();
        }
    }

    fn post_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if let Rebalance::Assign(list) = rebalance {
            self.0.send(Assignment::Assigned(partitions(list))).ok();
        }
    }
}

fn partitions(list: &TopicPartitionList) -> Vec<TopicPartition> {
    list.elements().iter().map(|e| (e.topic().to_owned(), e.partition())).collect()
}

pub(super) fn join(
    kafka: &Kafka,
    name: &str,
    topics: &[&Topic],
    rebalances: Rebalances,
) -> Result<Arc<Member>, Error> {
    let member: Member = kafka
        .client()
        .set("group.id", kafka.group_id(name))
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
        // The prefetched messages of each partition.
        .set("queued.min.messages", "2000")
        .set("queued.max.messages.kbytes", "2048")
        .set("fetch.queue.backoff.ms", "10")
        .create_with_context(rebalances)?;
    let names: Vec<String> = topics.iter().map(|topic| kafka.topic_name(topic.name)).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    member.subscribe(&names)?;
    Ok(Arc::new(member))
}
