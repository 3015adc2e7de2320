//! The key and the headers of a Kafka message, where they are not those of an event: of a message that is not an event,
//! and of a copy in a dead-letter topic.

use prost::Message as _;
use rdkafka::Message;
use rdkafka::message::{Header as KafkaHeader, Headers as _, OwnedHeaders};

use crate::kafka::{self, offset_of, partition_of};
use crate::log::Row;
use crate::{Received, Topic};

/// The longest reason in a header, in bytes.
const MAX_REASON: usize = 1000;

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Envelope {
    #[prost(bytes = "vec", optional, tag = "1")]
    pub key: Option<Vec<u8>>,
    #[prost(message, repeated, tag = "2")]
    headers: Vec<Header>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Header {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(bytes = "vec", optional, tag = "2")]
    value: Option<Vec<u8>>,
}

impl Envelope {
    pub fn of_message(message: &impl Message) -> Self {
        let headers = message.headers().into_iter().flat_map(|headers| headers.iter());
        Self {
            key: message.key().map(<[u8]>::to_vec),
            headers: headers.map(Header::from).collect(),
        }
    }

    /// The envelope of the copy in the dead-letter topic: that of the message, and where and why it failed.
    pub fn of_dead_letter(event: &Received, topic: &Topic, consumer: &str, reason: &str) -> Self {
        let mut envelope = event.envelope.clone().unwrap_or_else(|| {
            let key = event.aggregate_id.to_string();
            let source = format!("/agon/{}", topic.producer);
            let headers = kafka::event_headers(&Row::from(event), &key, &source);
            let headers = headers.iter().map(Header::from).collect();
            Self { key: Some(key.into_bytes()), headers }
        });
        let end = (0..=reason.len().min(MAX_REASON)).rev().find(|at| reason.is_char_boundary(*at));
        for (name, value) in [
            ("dlq_topic", event.topic.to_owned()),
            ("dlq_partition", partition_of(event.log_id).to_string()),
            ("dlq_offset", offset_of(event.log_id).to_string()),
            ("dlq_consumer", consumer.to_owned()),
            ("dlq_reason", reason[..end.unwrap_or(0)].to_owned()),
        ] {
            envelope
                .headers
                .push(Header { name: name.to_owned(), value: Some(value.into_bytes()) });
        }
        envelope
    }

    /// Reads a stored envelope.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        Self::decode(bytes).ok()
    }

    pub fn kafka_headers(&self) -> OwnedHeaders {
        let empty = OwnedHeaders::new_with_capacity(self.headers.len());
        self.headers.iter().fold(empty, |headers, Header { name, value }| {
            headers.insert(KafkaHeader { key: name, value: value.as_deref() })
        })
    }
}

impl From<KafkaHeader<'_, &[u8]>> for Header {
    fn from(header: KafkaHeader<'_, &[u8]>) -> Self {
        Self { name: header.key.to_owned(), value: header.value.map(<[u8]>::to_vec) }
    }
}
