//! Events: on their way into a log, and as they come out of it.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use ids::Uuid;
use prost::{Message, Name};

use crate::{Fault, Topic};

/// A fact to be published.
#[derive(Clone, Debug)]
pub struct Event {
    pub(crate) topic: Topic,
    pub(crate) aggregate_id: Uuid,
    pub(crate) version: i64,
    pub(crate) type_name: String,
    pub(crate) data: Vec<u8>,
}

impl Event {
    /// A fact about the aggregate `aggregate_id`, whose row was brought to `version` in the same transaction.
    #[must_use]
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
    /// Where in its log it stands.
    pub log_id: i64,
    /// `ce_id`: the same however often the event is delivered.
    pub id: Uuid,
    /// The topic.
    pub topic: &'static str,
    /// `ce_type`: the message's full name.
    pub type_name: String,
    /// The key.
    pub aggregate_id: Uuid,
    /// `ce_sequence`: the aggregate's version.
    pub version: i64,
    /// `ce_time`.
    pub time: DateTime<Utc>,
    /// The trace that the event belongs to.
    pub traceparent: Option<String>,
    /// The protobuf bytes.
    pub data: Bytes,
}

impl Received {
    /// Whether this is an `M`.
    #[must_use]
    pub fn is<M: Name>(&self) -> bool {
        self.type_name == M::full_name()
    }

    /// The message, if this is an `M`; bytes that are none are a permanent fault.
    pub fn decode<M: Message + Name + Default>(&self) -> Result<M, Fault> {
        if !self.is::<M>() {
            return Err(Fault::Park(format!("{} is no {}", self.type_name, M::full_name())));
        }
        M::decode(self.data.clone())
            .map_err(|e| Fault::Park(format!("{} cannot be decoded: {e}", self.type_name)))
    }

    /// `event` as if it had come from a log, to test a handler or a projection with.
    #[must_use]
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
        }
    }
}
