//! The opaque, authenticated place of a subscription.

use std::collections::BTreeMap;

use rpc::{PageKey, page, status};
use tonic::Status;

use crate::Topic;

/// The last log id that a subscription has passed, per topic.
pub(super) type Places = BTreeMap<String, i64>;

/// A cursor belongs to a set of topics, because it has a place for each of them. It is no secret: it only says where to
/// begin, not what may be seen.
pub(super) fn digest(topics: &[Topic]) -> page::ArgsDigest {
    let names: Vec<&[u8]> = topics.iter().map(|topic| topic.name.as_bytes()).collect();
    page::digest("agon.event.v1.EventService/Subscribe", &names)
}

pub(super) fn read(key: &PageKey, topics: &[Topic], cursor: &str) -> Result<Places, Status> {
    let places: Option<Places> = key.parse(&digest(topics), cursor).map_err(|_| {
        status::invalid_argument(
            "cursor",
            "is no cursor of a subscription to these topics; send back the cursor of an earlier response unchanged, \
             with the same topics",
        )
    })?;
    Ok(places.unwrap_or_default())
}
