//! Reads a whole topic once.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use rdkafka::consumer::{Consumer as _, StreamConsumer};
use rdkafka::{Message as _, Offset, TopicPartitionList};

use super::outage::Observer;
use super::{Kafka, message};
use crate::{Error, Received, Topic};

/// The longest time without a message or a response.
const TIMEOUT: Duration = Duration::from_secs(30);
const RETRY_DELAY: Duration = Duration::from_millis(100);

impl Kafka {
    /// Calls `each` with every event that the topic contains now, in order within a partition.
    pub(crate) async fn scan(
        &self,
        topic: &Topic,
        mut each: impl FnMut(Received) + Send,
    ) -> Result<(), Error> {
        let client = self.reader_client("promotion");
        let consumer: StreamConsumer<Observer> = client.create_with_context(self.observer())?;
        let name = self.topic_name(topic.name);
        let lookup = tokio::task::spawn_blocking(move || {
            let offsets = offsets_with_retry(&consumer, &name);
            offsets.map(|offsets| (consumer, name, offsets))
        });
        let (consumer, name, mut unread) =
            lookup.await.map_err(|error| Error::Kafka(error.to_string()))??;
        let mut list = TopicPartitionList::new();
        for (partition, (low, _)) in &unread {
            list.add_partition_offset(&name, *partition, Offset::Offset(*low))?;
        }
        unread.retain(|_, (low, high)| low < high);
        consumer.assign(&list)?;
        let mut deadline = Instant::now() + TIMEOUT;
        while !unread.is_empty() {
            let next = tokio::time::timeout_at(deadline.into(), consumer.recv()).await;
            let timed_out = |_| Error::Kafka(format!("timed out reading topic {name} to its end"));
            let Ok(message) = next.map_err(timed_out)? else {
                // The client recovers by itself.
                tokio::time::sleep(RETRY_DELAY).await;
                continue;
            };
            deadline = Instant::now() + TIMEOUT;
            let partition = message.partition();
            let Some((_, high)) = unread.get(&partition) else { continue };
            if message.offset() + 1 >= *high {
                unread.remove(&partition);
            }
            each(message::received(&message, topic));
        }
        Ok(())
    }
}

/// [`offsets`], retried: a topic that was just created may have no leaders yet. Blocks.
fn offsets_with_retry(
    consumer: &StreamConsumer<Observer>,
    name: &str,
) -> Result<HashMap<i32, (i64, i64)>, Error> {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        match offsets(consumer, name) {
            Err(_) if Instant::now() < deadline => std::thread::sleep(RETRY_DELAY),
            result => return result,
        }
    }
}

/// The first offset of each partition, and the one after the last. Blocks.
fn offsets(
    consumer: &StreamConsumer<Observer>,
    name: &str,
) -> Result<HashMap<i32, (i64, i64)>, Error> {
    let metadata = consumer.fetch_metadata(Some(name), TIMEOUT)?;
    let partitions = metadata.topics().iter().flat_map(|topic| topic.partitions());
    let mut offsets = HashMap::new();
    for partition in partitions {
        let range = consumer.fetch_watermarks(name, partition.id(), TIMEOUT)?;
        offsets.insert(partition.id(), range);
    }
    match offsets.is_empty() {
        true => Err(Error::Kafka(format!("topic {name} does not exist"))),
        false => Ok(offsets),
    }
}
