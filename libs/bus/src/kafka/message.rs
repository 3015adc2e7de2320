//! Events as Kafka messages: the CloudEvents 1.0 Kafka binding, binary mode.

use bytes::Bytes;
use chrono::{DateTime, Datelike as _, SecondsFormat, Utc};
use ids::Uuid;
use rdkafka::Message;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Header, Headers as _, OwnedHeaders};
use sha2::{Digest as _, Sha256};

use super::place;
use crate::log::Row;
use crate::{Received, Topic};

/// The headers of an event with this key from `source`.
pub(super) fn headers(row: &Row, key: &str, source: &str) -> OwnedHeaders {
    let mut id = Uuid::encode_buffer();
    let time = row.occurred_at.to_rfc3339_opts(SecondsFormat::Micros, true);
    let sequence = format!("{:020}", row.aggregate_version);
    let pairs = [
        ("content-type", "application/protobuf"),
        ("ce_specversion", "1.0"),
        ("ce_id", &*row.event_id.hyphenated().encode_lower(&mut id)),
        ("ce_type", &row.type_name),
        ("ce_source", source),
        ("ce_subject", key),
        ("ce_time", &time),
        ("ce_partitionkey", key),
        ("ce_sequence", &sequence),
    ];
    let mut headers = OwnedHeaders::new_with_capacity(pairs.len() + 1);
    for (key, value) in pairs {
        headers = headers.insert(Header { key, value: Some(value) });
    }
    if let Some(traceparent) = &row.traceparent {
        headers = headers.insert(Header { key: "traceparent", value: Some(traceparent) });
    }
    headers
}

/// Whether an event can never be published, however often it is tried.
pub(super) fn is_hopeless(error: &KafkaError) -> bool {
    use RDKafkaErrorCode::{InvalidMessage, InvalidRecord, MessageSizeTooLarge};
    matches!(
        error,
        KafkaError::MessageProduction(MessageSizeTooLarge | InvalidMessage | InvalidRecord)
    )
}

/// The span of an event's way to the broker.
pub(super) fn span(row: &Row, topic: &str) -> tracing::Span {
    rpc::trace::child_of(row.traceparent.as_deref(), || {
        tracing::info_span!(
            "send",
            otel.kind = "producer",
            otel.name = format!("send {topic}"),
            otel.status_description = tracing::field::Empty,
            messaging.system = "kafka",
            messaging.operation.type = "send",
            messaging.destination.name = topic,
            messaging.message.id = %row.event_id,
        )
    })
}

/// A message as an event. One that is none is an event without a type, whose `data` are the message's bytes and
/// whose ids are made of its place: it can be parked like another.
pub(super) fn received(message: &BorrowedMessage<'_>, topic: &Topic) -> Received {
    let place = place(message.partition(), message.offset());
    let [mut id, mut type_name, mut sequence, mut time, mut traceparent] = [None; 5];
    for header in message.headers().iter().flat_map(|headers| headers.iter()) {
        let to = match header.key {
            "ce_id" => &mut id,
            "ce_type" => &mut type_name,
            "ce_sequence" => &mut sequence,
            "ce_time" => &mut time,
            "traceparent" => &mut traceparent,
            _ => continue,
        };
        // Of several it is the first.
        *to = to.or(header.value.and_then(text));
    }
    let event = || -> Option<Received> {
        Some(Received {
            log_id: place,
            id: id?.parse().ok()?,
            topic: topic.name,
            type_name: type_name.filter(|name| !name.is_empty())?.to_owned(),
            aggregate_id: std::str::from_utf8(message.key()?).ok()?.parse().ok()?,
            version: sequence?.parse().ok()?,
            time: time?.parse().ok().filter(is_storable)?,
            traceparent: traceparent.map(str::to_owned),
            data: Bytes::copy_from_slice(message.payload()?),
        })
    };
    event().unwrap_or_else(|| {
        let seed = format!("{}/{place}", topic.name);
        Received {
            log_id: place,
            id: derived(seed.as_bytes()),
            topic: topic.name,
            type_name: String::new(),
            aggregate_id: derived(message.key().unwrap_or(seed.as_bytes())),
            version: 0,
            time: time_of(message),
            traceparent: None,
            data: Bytes::copy_from_slice(message.payload().unwrap_or_default()),
        }
    })
}

/// A header's text, if a database can store it.
fn text(value: &[u8]) -> Option<&str> {
    std::str::from_utf8(value).ok().filter(|text| !text.contains('\0'))
}

/// Whether a time is one of RFC 3339, which every database can store.
fn is_storable(time: &DateTime<Utc>) -> bool {
    (0..=9999).contains(&time.year())
}

fn time_of(message: &BorrowedMessage<'_>) -> DateTime<Utc> {
    let millis = message.timestamp().to_millis().unwrap_or_default();
    DateTime::from_timestamp_millis(millis).filter(is_storable).unwrap_or_default()
}

/// An id for what has none, the same each time.
fn derived(bytes: &[u8]) -> Uuid {
    let digest = Sha256::digest(bytes);
    let mut id = [0; 16];
    id.copy_from_slice(&digest[..16]);
    Uuid::from_bytes(id)
}
