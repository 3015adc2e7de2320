//! Consumers' places, and the events that they could not apply.

use std::collections::{BTreeMap, HashSet};

use chrono::{DateTime, Utc};
use db::Tx;
use db::promotion::{Progress, progress, save_progress};
use ids::Uuid;

use super::survey::{Survey, each};
use super::{Promotion, Seen, Service};
use crate::kafka::{Kafka, partition_of, places};
use crate::{Error, Received, Topic, inbox};

/// The name of the step.
const STEP: &str = "consumers";

/// Where a consumer is in a topic: the last event of each partition that it has dealt with, and what of it a relay
/// published once more behind that.
#[derive(Debug, Default, PartialEq, Eq)]
struct Place {
    last: Vec<(i32, i64, Uuid)>,
    again: Vec<Uuid>,
}

db::record! {
    struct Letter {
        consumer: String,
        topic: String,
        event_id: Uuid,
        type_name: String,
        aggregate_id: Uuid,
        aggregate_version: i64,
        occurred_at: DateTime<Utc>,
        traceparent: Option<String>,
        data: Vec<u8>,
        reason: String,
        attempt_count: i64,
        held: bool,
        replay: bool,
        parked_at: DateTime<Utc>,
    }
}

impl Promotion {
    /// Verifies that the topics hold what the logs do, and brings every consumer to its place in them; gives how many
    /// events there are.
    pub async fn settle(&self, seen: Seen<'_>) -> Result<u64, Error> {
        let (mut surveys, mut count) = (BTreeMap::new(), 0);
        for (topic, source) in self.topics() {
            seen(&format!("verifying {}", topic.name), 0, 0);
            let survey = self.survey(&topic).await?;
            count += survey.verify(&topic, &source).await?;
            surveys.insert(topic.name, (topic, source, survey));
        }
        for service in &self.services {
            if progress(&service.target, STEP).await?.done {
                continue;
            }
            let mut found = Vec::new();
            for (consumer, topic, log_id) in service.cursors().await? {
                let Some((topic, source, survey)) = surveys.get(topic.as_str()) else { continue };
                let mut ahead = HashSet::new();
                each(source, topic, log_id + 1, |event| {
                    ahead.insert(event.id);
                })
                .await?;
                found.push((consumer, topic, place(survey, &ahead)));
            }
            let letters = service.letters().await?;
            let (found, letters, surveys) = (&found, &letters, &surveys);
            let settled = service.target.transact(|mut tx| async move {
                for (consumer, topic, place) in found {
                    settle(&mut tx, consumer, topic, place).await?;
                }
                for letter in letters {
                    if let Some((topic, _, survey)) = surveys.get(letter.topic.as_str()) {
                        post(&mut tx, letter, topic, survey).await?;
                    }
                }
                save_progress(&mut tx, STEP, Progress { done: true, ..Progress::default() }).await
            });
            settled.await?;
        }
        Ok(count)
    }
}

impl Service {
    async fn cursors(&self) -> db::Result<Vec<(String, String, i64)>> {
        self.source
            .query("SELECT consumer, topic, log_id FROM consumer_cursors WHERE log_id > 0")
            .fetch_all()
            .await
    }

    async fn letters(&self) -> db::Result<Vec<Letter>> {
        self.source
            .query(
                "SELECT consumer, topic, event_id, type AS type_name, aggregate_id, aggregate_version,
                        occurred_at, traceparent, data, reason, attempt_count, held, replay, parked_at
                 FROM dead_letters ORDER BY consumer, topic, log_id",
            )
            .fetch_all()
            .await
    }
}

/// Where a consumer is that has dealt with all events but those `ahead`.
fn place(survey: &Survey, ahead: &HashSet<Uuid>) -> Place {
    let mut first: BTreeMap<i32, i64> = BTreeMap::new();
    for place in ahead.iter().filter_map(|id| survey.of.get(id)) {
        let first = first.entry(partition_of(*place)).or_insert(*place);
        *first = (*first).min(*place);
    }
    let mut found = Place::default();
    let mut from = i64::MIN;
    while let Some((any, _)) = survey.at.range(from..).next() {
        let partition = partition_of(*any);
        let (start, end) = places(partition);
        let until = first.get(&partition).copied().unwrap_or(end);
        if let Some((last, id)) = survey.at.range(start..until).next_back() {
            found.last.push((partition, *last, *id));
        }
        let behind = survey.at.range(until..end).map(|(_, id)| *id);
        found.again.extend(behind.filter(|id| !ahead.contains(id)));
        from = end;
    }
    found
}

async fn settle(tx: &mut Tx, consumer: &str, topic: &Topic, place: &Place) -> db::Result<()> {
    let now = tx.now();
    for (partition, log_id, event_id) in &place.last {
        tx.query(
            "INSERT INTO consumer_cursors (consumer, topic, log_id, event_id, updated_at)
             VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(consumer)
        .bind(format!("{}/{partition}", topic.name))
        .bind(*log_id)
        .bind(*event_id)
        .bind(now)
        .execute()
        .await?;
    }
    let mut again = place.again.clone();
    again.sort_unstable();
    inbox::remember(tx, consumer, &again).await.map(drop)
}

/// A dead letter, at the place where its event is now; and a copy for the dead-letter topic, as when it was parked
/// on Kafka.
async fn post(tx: &mut Tx, letter: &Letter, topic: &Topic, survey: &Survey) -> db::Result<()> {
    let Some(log_id) = survey.of.get(&letter.event_id) else { return Err(db::Error::NotFound) };
    tx.query(
        "INSERT INTO dead_letters (consumer, topic, log_id, event_id, type, aggregate_id,
                                   aggregate_version, occurred_at, traceparent, data, reason,
                                   attempt_count, held, replay, parked_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)",
    )
    .bind(letter.consumer.as_str())
    .bind(topic.name)
    .bind(*log_id)
    .bind(letter.event_id)
    .bind(letter.type_name.as_str())
    .bind(letter.aggregate_id)
    .bind(letter.aggregate_version)
    .bind(letter.occurred_at)
    .bind(letter.traceparent.clone())
    .bind(letter.data.as_slice())
    .bind(letter.reason.as_str())
    .bind(letter.attempt_count)
    .bind(letter.held)
    .bind(letter.replay)
    .bind(letter.parked_at)
    .execute()
    .await?;
    if letter.held {
        return Ok(());
    }
    let event = Received {
        log_id: *log_id,
        id: letter.event_id,
        topic: topic.name,
        type_name: letter.type_name.clone(),
        aggregate_id: letter.aggregate_id,
        version: letter.aggregate_version,
        time: letter.occurred_at,
        traceparent: letter.traceparent.clone(),
        data: letter.data.clone().into(),
    };
    crate::outbox::copy(tx, &Kafka::dead_letters(topic, &letter.consumer), &event).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::place as at;

    fn id(n: u128) -> Uuid {
        Uuid::from_u128(n)
    }

    fn survey(messages: &[(i32, i64, u128)]) -> Survey {
        let mut survey = Survey::default();
        for (partition, offset, n) in messages {
            let place = at(*partition, *offset);
            survey.at.insert(place, id(*n));
            survey.of.entry(id(*n)).or_insert(place);
        }
        survey
    }

    #[test]
    fn a_place_in_each_partition() {
        let topic = survey(&[(0, 0, 1), (0, 1, 3), (0, 2, 4), (1, 0, 2), (2, 0, 5)]);
        let ahead = HashSet::from([id(4), id(5)]);
        let found = place(&topic, &ahead);
        assert_eq!(found.last, [(0, at(0, 1), id(3)), (1, at(1, 0), id(2))]);
        assert!(found.again.is_empty());
        let all = place(&topic, &HashSet::new());
        assert_eq!(all.last.len(), 3);
        assert_eq!(all.last[2], (2, at(2, 0), id(5)));
    }

    #[test]
    fn what_was_published_twice_is_known() {
        let topic = survey(&[(0, 0, 1), (0, 1, 2), (0, 2, 1), (0, 3, 2), (0, 4, 3)]);
        let found = place(&topic, &HashSet::from([id(2), id(3)]));
        assert_eq!(found, Place { last: vec![(0, at(0, 0), id(1))], again: vec![id(1)] });
    }
}
