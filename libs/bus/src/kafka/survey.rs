//! All that is in a topic, read once.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use rdkafka::consumer::{Consumer as _, StreamConsumer};
use rdkafka::{Message as _, Offset, TopicPartitionList};

use super::{Kafka, message};
use crate::{Error, Received, Topic};

/// How long the broker may say nothing.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(100);

impl Kafka {
    /// Hands every event that is in a topic now to `each`, in order within a partition.
    pub(crate) async fn survey(
        &self,
        topic: &Topic,
        mut each: impl FnMut(Received) + Send,
    ) -> Result<(), Error> {
        let consumer: StreamConsumer = self
            .client()
            // Needed, though nothing is committed to it.
            .set("group.id", self.group("promotion"))
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("isolation.level", "read_committed")
            .set("allow.auto.create.topics", "false")
            .create()?;
        let name = self.name(topic.name);
        let asked = tokio::task::spawn_blocking(move || {
            let ends = ends_in_time(&consumer, &name);
            ends.map(|ends| (consumer, name, ends))
        });
        let (consumer, name, mut ends) =
            asked.await.map_err(|error| Error::Kafka(error.to_string()))??;
        let mut list = TopicPartitionList::new();
        for (partition, (low, _)) in &ends {
            list.add_partition_offset(&name, *partition, Offset::Offset(*low))?;
        }
        ends.retain(|_, (low, high)| low < high);
        consumer.assign(&list)?;
        let mut until = Instant::now() + PATIENCE;
        while !ends.is_empty() {
            let next = tokio::time::timeout_at(until.into(), consumer.recv()).await;
            let silent = |_| Error::Kafka(format!("{name} does not go on to its end"));
            let Ok(message) = next.map_err(silent)? else {
                // The client goes on by itself.
                tokio::time::sleep(PAUSE).await;
                continue;
            };
            until = Instant::now() + PATIENCE;
            let partition = message.partition();
            let Some((_, high)) = ends.get(&partition) else { continue };
            if message.offset() + 1 >= *high {
                ends.remove(&partition);
            }
            each(message::received(&message, topic));
        }
        Ok(())
    }
}

/// [`ends`], of a topic that was made just now and may have no leaders yet. Blocks.
fn ends_in_time(consumer: &StreamConsumer, name: &str) -> Result<HashMap<i32, (i64, i64)>, Error> {
    let until = Instant::now() + PATIENCE;
    loop {
        match ends(consumer, name) {
            Err(_) if Instant::now() < until => std::thread::sleep(PAUSE),
            found => return found,
        }
    }
}

/// The first offset of each partition and the one behind the last. Blocks.
fn ends(consumer: &StreamConsumer, name: &str) -> Result<HashMap<i32, (i64, i64)>, Error> {
    let metadata = consumer.fetch_metadata(Some(name), PATIENCE)?;
    let partitions = metadata.topics().iter().flat_map(|topic| topic.partitions());
    let mut ends = HashMap::new();
    for partition in partitions {
        let range = consumer.fetch_watermarks(name, partition.id(), PATIENCE)?;
        ends.insert(partition.id(), range);
    }
    match ends.is_empty() {
        true => Err(Error::Kafka(format!("there is no topic {name}"))),
        false => Ok(ends),
    }
}
