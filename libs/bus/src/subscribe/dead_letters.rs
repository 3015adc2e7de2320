//! Lists, replays and discards the dead letters of this process's consumers.

use chrono::{DateTime, Utc};
use ids::Uuid;
use proto::event::{
    DeadLetter, DiscardDeadLetterRequest, DiscardDeadLetterResponse, ListDeadLettersRequest,
    ListDeadLettersResponse, ReplayDeadLettersRequest, ReplayDeadLettersResponse,
};
use rpc::{PageKey, Violations, page, status};
use serde::{Deserialize, Serialize};
use tonic::Status;

use super::{message, timestamp, unavailable};
use crate::envelope::Envelope;
use crate::kafka::{offset_of, partition_of};
use crate::{Bus, dead_letters};

/// The keyset cursor of a page: the last dead letter of the previous page.
#[derive(Serialize, Deserialize)]
struct After {
    micros: i64,
    event_id: Uuid,
    consumer: String,
}

pub(super) async fn list(
    bus: &Bus,
    key: &PageKey,
    request: &ListDeadLettersRequest,
) -> Result<ListDeadLettersResponse, Status> {
    let size = rpc::page_size(request.page_size, 50, 200)?;
    let args = page::digest("ListDeadLetters", &[request.consumer.as_bytes()]);
    let after: Option<After> = key.parse(&args, &request.page_token)?;
    let mut found = Vec::new();
    for consumer in bus.shared.consumers.all() {
        if !request.consumer.is_empty() && request.consumer != consumer.name {
            continue;
        }
        let from = after.as_ref().and_then(|after| page_start(after, consumer.name));
        let letters = dead_letters::list(&consumer.db, consumer.name, from, size + 1).await;
        found.extend(letters.map_err(|e| unavailable(&e.into()))?);
    }
    let order = |letter: &dead_letters::DeadLetter| (letter.parked_at, letter.row.event_id);
    found.sort_by(|a, b| order(a).cmp(&order(b)).then_with(|| a.consumer.cmp(&b.consumer)));
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    let more = found.len() > size;
    found.truncate(size);
    let next = found.last().filter(|_| more).map(|letter| After {
        micros: letter.parked_at.timestamp_micros(),
        event_id: letter.row.event_id,
        consumer: letter.consumer.clone(),
    });
    Ok(ListDeadLettersResponse {
        dead_letters: found.into_iter().map(to_proto).collect(),
        next_page_token: next.map(|after| key.token(&args, &after)).unwrap_or_default(),
    })
}

/// Where the next page starts among one consumer's dead letters. Pages are ordered by time, event id and consumer, so
/// of the last event only the consumers with greater names remain.
fn page_start(after: &After, consumer: &str) -> Option<(DateTime<Utc>, Uuid)> {
    let time = DateTime::from_timestamp_micros(after.micros)?;
    let shown = consumer <= after.consumer.as_str();
    let event =
        if shown { after.event_id.as_u128() } else { after.event_id.as_u128().checked_sub(1)? };
    Some((time, Uuid::from_u128(event)))
}

fn to_proto(letter: dead_letters::DeadLetter) -> DeadLetter {
    let (partition, offset) = (partition_of(letter.row.log_id), offset_of(letter.row.log_id));
    let mut event = message(&letter.row.received(""));
    event.topic = letter.topic;
    let key = letter.envelope.as_deref().and_then(Envelope::parse).map(|envelope| envelope.key);
    let message_key = match key {
        Some(key) => String::from_utf8_lossy(&key.unwrap_or_default()).into_owned(),
        None => event.key.clone(),
    };
    DeadLetter {
        consumer: letter.consumer,
        event: Some(event),
        reason: letter.reason,
        attempt_count: i32::try_from(letter.attempt_count).unwrap_or(i32::MAX),
        create_time: Some(timestamp(letter.parked_at)),
        held: letter.held,
        partition,
        offset,
        message_key,
        blocks_key: letter.blocks_key,
    }
}

pub(super) async fn replay(
    bus: &Bus,
    request: &ReplayDeadLettersRequest,
) -> Result<ReplayDeadLettersResponse, Status> {
    let mut violations = Violations::default();
    if request.consumer.is_empty() {
        violations.add("consumer", "must be the consumer of the dead letter");
    }
    let key = ids::parse(&request.key);
    if key.is_none() {
        violations.add("key", "must be the key of the dead letter, a UUID in lower case");
    }
    violations.into_result()?;
    let mut count = 0;
    for consumer in bus.shared.consumers.all() {
        if let Some(key) = key.filter(|_| consumer.name == request.consumer) {
            let marked = dead_letters::mark_for_replay(&consumer.db, consumer.name, key).await;
            count += marked.map_err(|e| unavailable(&e.into()))?;
            consumer.wake.send_modify(|n| *n += 1);
        }
    }
    if count == 0 {
        return Err(not_found("this consumer has no dead letter with this key"));
    }
    Ok(ReplayDeadLettersResponse { event_count: i32::try_from(count).unwrap_or(i32::MAX) })
}

pub(super) async fn discard(
    bus: &Bus,
    request: &DiscardDeadLetterRequest,
) -> Result<DiscardDeadLetterResponse, Status> {
    let mut violations = Violations::default();
    if request.consumer.is_empty() {
        violations.add("consumer", "must be the consumer of the dead letter");
    }
    let id = ids::parse(&request.event_id);
    if id.is_none() {
        violations
            .add("event_id", "must be the id of the dead letter's event, a UUID in lower case");
    }
    violations.into_result()?;
    let mut marked = None;
    for consumer in bus.shared.consumers.all() {
        if let Some(id) = id.filter(|_| consumer.name == request.consumer) {
            let discarded = dead_letters::discard(&consumer.db, consumer.name, id).await;
            marked = discarded.map_err(|e| unavailable(&e.into()))?.or(marked);
            consumer.wake.send_modify(|n| *n += 1);
        }
    }
    let marked =
        marked.ok_or_else(|| not_found("this consumer has no dead letter of this event"))?;
    tracing::warn!(
        consumer = request.consumer,
        event_id = request.event_id,
        "dead letter discarded"
    );
    Ok(DiscardDeadLetterResponse { event_count: i32::try_from(marked).unwrap_or(i32::MAX) })
}

fn not_found(text: &str) -> Status {
    status::not_found("DEAD_LETTER_NOT_FOUND", text)
}
