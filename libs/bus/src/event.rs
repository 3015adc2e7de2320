//! Events to publish, and events read from a log.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use ids::Uuid;
use prost::{Message, Name};

use crate::envelope::Envelope;
use crate::{Fault, Topic};

#[derive(Clone, Debug)]
pub struct Event {
    pub(crate) topic: Topic,
    pub(crate) aggregate_id: Uuid,
    pub(crate) version: i64,
    pub(crate) type_name: String,
    pub(crate) data: Vec<u8>,
}

impl Event {
    /// An event of the aggregate `aggregate_id`, whose row got `version` in the same transaction.
    pub fn new<M: Message + Name>(
        topic: &Topic,
        aggregate_id: Uuid,
        version: i64,
        message: &M,
    ) -> Self {
        let (type_name, data) = (M::full_name(), message.encode_to_vec());
        Self { topic: *topic, aggregate_id, version, type_name, data }
    }
}

/// An event from a log, with its CloudEvents attributes.
#[derive(Clone, Debug, PartialEq)]
pub struct Received {
    /// Its id in the event log, or its partition and offset on Kafka as one number.
    pub log_id: i64,
    /// `ce_id`: the same in every delivery.
    pub id: Uuid,
    pub topic: &'static str,
    /// `ce_type`: the message's full name.
    pub type_name: String,
    pub aggregate_id: Uuid,
    /// `ce_sequence`: the aggregate's version.
    pub version: i64,
    pub time: DateTime<Utc>,
    /// The W3C trace context of the change.
    pub traceparent: Option<String>,
    pub data: Bytes,
    /// The key and the headers of a message that is not an event.
    pub(crate) envelope: Option<Envelope>,
}

impl Received {
    /// Whether this is an `M`.
    pub fn is<M: Name>(&self) -> bool {
        self.type_name == M::full_name()
    }

    /// Decodes an `M`. Another type is a permanent fault, bytes that cannot be decoded a [`Fault::Undecodable`].
    pub fn decode<M: Message + Name + Default>(&self) -> Result<M, Fault> {
        if !self.is::<M>() {
            let (found, expected) = (&self.type_name, M::full_name());
            return Err(Fault::Permanent(format!("event type is {found}, expected {expected}")));
        }
        M::decode(self.data.clone())
            .map_err(|e| Fault::Undecodable(format!("cannot decode {}: {e}", self.type_name)))
    }

    /// `event` as read from a log, for tests of handlers and projections.
    pub fn testing(event: &Event) -> Self {
        let clock = ids::Clock::system();
        Self {
            log_id: 1,
            id: clock.new_id(),
            topic: event.topic.name,
            type_name: event.type_name.clone(),
            aggregate_id: event.aggregate_id,
            version: event.version,
            time: clock.now(),
            traceparent: None,
            data: event.data.clone().into(),
            envelope: None,
        }
    }
}
