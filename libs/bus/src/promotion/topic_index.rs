//! The content of a topic, compared with the event log.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};

use db::Db;
use db::promotion::Content;
use futures_util::future::BoxFuture;
use ids::Uuid;

use super::Promotion;
use crate::{Error, Log, Received, Topic, log};

/// Events of one read.
const BATCH: i64 = 1000;

/// The events of a topic by position.
#[derive(Default)]
pub(super) struct TopicIndex {
    /// The event at each position.
    pub events: BTreeMap<i64, Uuid>,
    /// The first position of each event.
    pub first_position: HashMap<Uuid, i64>,
    content: Content,
}

impl Promotion {
    /// Each topic with its producer's source database.
    pub(super) fn topics(&self) -> Vec<(Topic, Db)> {
        let with_source = |topic: &Topic| {
            let owner = self.services.iter().find(|s| s.source.service() == topic.producer)?;
            Some((*topic, owner.source.clone()))
        };
        self.bus.topics().filter_map(with_source).collect()
    }

    pub(super) async fn index(&self, topic: &Topic) -> Result<TopicIndex, Error> {
        let (_, Log::Kafka(kafka)) = self.bus.source(topic.name)? else {
            return Err(Error::Config("url: a promotion of events needs Kafka".into()));
        };
        let mut index = TopicIndex::default();
        let add = |event: Received| {
            index.events.insert(event.log_id, event.id);
            if let Entry::Vacant(first) = index.first_position.entry(event.id) {
                first.insert(event.log_id);
                index.content.add(&serialized(&event));
            }
        };
        kafka.scan(topic, add).await?;
        Ok(index)
    }

    /// Checks that the topics are empty, or contain only events of these logs, from an earlier attempt.
    ///
    /// # Errors
    /// [`Error::Topic`] names a topic that contains other events.
    pub fn check(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            for (topic, source) in self.topics() {
                let index = self.index(&topic).await?;
                let mut foreign: HashSet<Uuid> = index.first_position.into_keys().collect();
                each(&source, &topic, 1, |event| _ = foreign.remove(&event.id)).await?;
                if !foreign.is_empty() {
                    return Err(Error::Topic(format!(
                        "topic {} is not empty: it contains {} events that are not from this data directory",
                        topic.name,
                        foreign.len()
                    )));
                }
            }
            Ok(())
        })
    }
}

impl TopicIndex {
    /// Checks that the topic contains the events of the log with the same content, in the same order per key. Returns
    /// their number.
    pub(super) async fn verify(&self, topic: &Topic, source: &Db) -> Result<u64, Error> {
        let (mut content, mut out_of_order) = (Content::default(), 0);
        let mut last: HashMap<Uuid, i64> = HashMap::new();
        each(source, topic, 1, |event| {
            content.add(&serialized(event));
            let position = self.first_position.get(&event.id).copied().unwrap_or_default();
            let before = last.insert(event.aggregate_id, position);
            out_of_order += u64::from(before.is_some_and(|before| before >= position));
        })
        .await?;
        if content == self.content && out_of_order == 0 {
            return Ok(content.rows);
        }
        Err(Error::Topic(format!(
            "topic {} differs from the log: {} events in the topic, {} in the log, {out_of_order} out of order",
            topic.name, self.content.rows, content.rows
        )))
    }
}

/// Calls `visit` with every event of a topic in a log that has an id of at least `from`, by id.
pub(super) async fn each(
    source: &Db,
    topic: &Topic,
    mut from: i64,
    mut visit: impl FnMut(&Received),
) -> Result<(), Error> {
    loop {
        let events = log::read(source, topic, from, BATCH).await?;
        events.iter().for_each(&mut visit);
        match events.last() {
            Some(last) => from = last.log_id + 1,
            None => return Ok(()),
        }
    }
}

/// What must be the same in the log and in the topic.
fn serialized(event: &Received) -> Vec<u8> {
    let mut text = format!(
        "{} {} {} {} {} {}\n",
        event.id,
        event.type_name,
        event.aggregate_id,
        event.version,
        event.time.timestamp_micros(),
        event.traceparent.as_deref().unwrap_or_default()
    )
    .into_bytes();
    text.extend_from_slice(&event.data);
    text
}
