//! Events as Kafka messages: the CloudEvents 1.0 Kafka binding, binary mode.

use bytes::Bytes;
use chrono::{DateTime, Datelike as _, SecondsFormat, Utc};
use ids::Uuid;
use rdkafka::Message;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Header, Headers as _, OwnedHeaders};
use sha2::{Digest as _, Sha256};

use super::position;
use crate::envelope::Envelope;
use crate::log::Row;
use crate::{Received, Topic};

pub(crate) fn headers(row: &Row, key: &str, source: &str) -> OwnedHeaders {
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

/// Whether retrying cannot help.
pub(super) fn is_permanent(error: &KafkaError) -> bool {
    use RDKafkaErrorCode::{InvalidMessage, InvalidRecord, MessageSizeTooLarge};
    matches!(
        error,
        KafkaError::MessageProduction(MessageSizeTooLarge | InvalidMessage | InvalidRecord)
    )
}

/// The span from the outbox to the broker's acknowledgement.
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

/// Converts a message. A message that is not a valid event becomes one without a type, with the message's bytes as
/// `data` and, where they are missing, ids derived from its key and position, so that it can be a dead letter.
pub(super) fn received(message: &BorrowedMessage<'_>, topic: &Topic) -> Received {
    let position = position(message.partition(), message.offset());
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
        // The first of several wins.
        *to = to.or(header.value.and_then(text));
    }
    let event = || -> Option<Received> {
        Some(Received {
            log_id: position,
            id: id?.parse().ok()?,
            topic: topic.name,
            type_name: type_name.filter(|name| !name.is_empty())?.to_owned(),
            aggregate_id: std::str::from_utf8(message.key()?).ok()?.parse().ok()?,
            version: sequence?.parse().ok()?,
            time: time?.parse().ok().filter(is_storable)?,
            traceparent: traceparent.map(str::to_owned),
            data: Bytes::copy_from_slice(message.payload()?),
            envelope: None,
        })
    };
    event().unwrap_or_else(|| {
        let seed = format!("{}/{position}", topic.name);
        let key = message.key().and_then(|key| std::str::from_utf8(key).ok()?.parse().ok());
        Received {
            log_id: position,
            id: derived_id(seed.as_bytes()),
            topic: topic.name,
            type_name: String::new(),
            aggregate_id: key
                .unwrap_or_else(|| derived_id(message.key().unwrap_or(seed.as_bytes()))),
            version: 0,
            time: time_of(message),
            traceparent: None,
            data: Bytes::copy_from_slice(message.payload().unwrap_or_default()),
            envelope: Some(Envelope::of_message(message)),
        }
    })
}

/// A header's value, if it is text that PostgreSQL can store.
fn text(value: &[u8]) -> Option<&str> {
    std::str::from_utf8(value).ok().filter(|text| !text.contains('\0'))
}

/// Whether RFC 3339 can express a time, and so both databases can store it.
fn is_storable(time: &DateTime<Utc>) -> bool {
    (0..=9999).contains(&time.year())
}

fn time_of(message: &BorrowedMessage<'_>) -> DateTime<Utc> {
    let millis = message.timestamp().to_millis().unwrap_or_default();
    DateTime::from_timestamp_millis(millis).filter(is_storable).unwrap_or_default()
}

/// The same id for the same bytes.
fn derived_id(bytes: &[u8]) -> Uuid {
    let digest = Sha256::digest(bytes);
    let mut id = [0; 16];
    id.copy_from_slice(&digest[..16]);
    Uuid::from_bytes(id)
}
