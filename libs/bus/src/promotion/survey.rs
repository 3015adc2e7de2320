//! What is in a topic, and whether it is what the log says.

use std::collections::{BTreeMap, HashMap, HashSet};

use db::Db;
use db::promotion::Content;
use ids::Uuid;

use super::Promotion;
use crate::{Error, Log, Received, Topic, log};

/// Events of one read.
const BATCH: i64 = 1000;

/// The events of a topic by their places.
#[derive(Default)]
pub(super) struct Survey {
    /// Every place with the event there.
    pub at: BTreeMap<i64, Uuid>,
    /// Every event with its first place.
    pub of: HashMap<Uuid, i64>,
    content: Content,
}

impl Promotion {
    /// Each topic with the database whose log it is of.
    pub(super) fn topics(&self) -> Vec<(Topic, Db)> {
        let of = |topic: &Topic| {
            let owner = self.services.iter().find(|s| s.source.service() == topic.producer)?;
            Some((*topic, owner.source.clone()))
        };
        self.bus.topics().filter_map(of).collect()
    }

    pub(super) async fn survey(&self, topic: &Topic) -> Result<Survey, Error> {
        let (_, Log::Kafka(kafka)) = self.bus.source(topic.name)? else {
            return Err(Error::Config("events are promoted to Kafka".into()));
        };
        let mut survey = Survey::default();
        let add = |event: Received| {
            survey.at.insert(event.log_id, event.id);
            if let std::collections::hash_map::Entry::Vacant(first) = survey.of.entry(event.id) {
                first.insert(event.log_id);
                survey.content.add(&text(&event));
            }
        };
        kafka.survey(topic, add).await?;
        Ok(survey)
    }

    /// Whether the topics are empty, or hold nothing but events of these logs, from an earlier attempt.
    ///
    /// # Errors
    /// [`Error::Topic`] names a topic that holds others.
    pub async fn check(&self) -> Result<(), Error> {
        for (topic, source) in self.topics() {
            let mut strange: HashSet<Uuid> = self.survey(&topic).await?.of.into_keys().collect();
            each(&source, &topic, 1, |event| {
                strange.remove(&event.id);
            })
            .await?;
            if !strange.is_empty() {
                return Err(Error::Topic(format!(
                    "topic {} is not empty: it holds {} events that are not of this data directory",
                    topic.name,
                    strange.len()
                )));
            }
        }
        Ok(())
    }
}

impl Survey {
    /// Whether these are the events of a log, each with the same content, and those of a key in the same order.
    pub(super) async fn verify(&self, topic: &Topic, source: &Db) -> Result<u64, Error> {
        let (mut content, mut disorder) = (Content::default(), 0);
        let mut last: HashMap<Uuid, i64> = HashMap::new();
        each(source, topic, 1, |event| {
            content.add(&text(event));
            let place = self.of.get(&event.id).copied().unwrap_or_default();
            let before = last.insert(event.aggregate_id, place);
            disorder += u64::from(before.is_some_and(|before| before >= place));
        })
        .await?;
        if content == self.content && disorder == 0 {
            return Ok(content.rows);
        }
        Err(Error::Topic(format!(
            "topic {} differs from the log: {} events there, {} in the log, {disorder} out of order",
            topic.name, self.content.rows, content.rows
        )))
    }
}

/// Every event of a topic in a log with an id from `from` on, in order.
pub(super) async fn each(
    source: &Db,
    topic: &Topic,
    mut from: i64,
    mut seen: impl FnMut(&Received),
) -> Result<(), Error> {
    loop {
        let events = log::read(source, topic, from, BATCH).await?;
        events.iter().for_each(&mut seen);
        match events.last() {
            Some(last) => from = last.log_id + 1,
            None => return Ok(()),
        }
    }
}

/// What must be the same on both sides.
fn text(event: &Received) -> Vec<u8> {
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
