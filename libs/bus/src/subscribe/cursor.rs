//! The opaque, authenticated cursor of a subscription.

use std::collections::BTreeMap;

use rpc::{PageKey, page, status};
use tonic::Status;

use crate::Topic;

/// The last log id read of each topic; on Kafka, the last offset read of each `topic/partition`.
pub(super) type Offsets = BTreeMap<String, i64>;

/// A cursor is valid for one set of topics, because it has an offset for each of them. It is not secret: it grants no
/// access to events.
pub(super) fn digest(topics: &[Topic]) -> page::ArgsDigest {
    let names: Vec<&[u8]> = topics.iter().map(|topic| topic.name.as_bytes()).collect();
    page::digest("agon.event.v1.EventService/Subscribe", &names)
}

pub(super) fn read(key: &PageKey, topics: &[Topic], cursor: &str) -> Result<Offsets, Status> {
    let offsets: Option<Offsets> = key.parse(&digest(topics), cursor).map_err(|_| {
        status::invalid_argument(
            "cursor",
            "is not a cursor of a subscription to these topics; send the cursor of an earlier response unchanged, \
             with the same topics",
        )
    })?;
    Ok(offsets.unwrap_or_default())
}
