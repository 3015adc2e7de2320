//! Selects the events that a subscriber requested and may see.

use access::Caller;
use ids::Uuid;
use proto::event::SubscribeRequest;
use rpc::Violations;
use tonic::Status;

use crate::{Bus, Received, Topic};

/// The most names in a list.
const MAX_NAMES: usize = 100;

pub(super) struct Filter {
    pub topics: Vec<Topic>,
    types: Vec<String>,
    key: Option<Uuid>,
    caller: Caller,
}

/// The names to validate: none if there are too many, so that the violations fit into a response.
fn names(list: &[String]) -> impl Iterator<Item = (usize, &String)> {
    let count = if list.len() > MAX_NAMES { 0 } else { list.len() };
    list[..count].iter().enumerate()
}

impl Filter {
    pub fn new(bus: &Bus, request: &SubscribeRequest, caller: Caller) -> Result<Self, Status> {
        let mut violations = Violations::default();
        // Sorted and deduplicated, so that the order of the list does not affect the cursor.
        let mut topics: Vec<Topic> = Vec::new();
        for topic in bus.topics() {
            if request.topics.is_empty() || request.topics.iter().any(|name| name == topic.name) {
                topics.push(*topic);
            }
        }
        if request.topics.len() > MAX_NAMES {
            violations.add("topics", "has more than 100 topics; leave it empty for all topics");
        }
        for (i, name) in names(&request.topics) {
            if !bus.topics().any(|topic| topic.name == name) {
                violations.add(
                    format!("topics[{i}]"),
                    "is not a topic; topics are named agon.<aggregate>.v1 and listed in the event catalogue",
                );
            }
        }
        if request.types.len() > MAX_NAMES {
            violations.add("types", "has more than 100 types; leave it empty for all types");
        }
        for (i, name) in names(&request.types) {
            if !topics.iter().any(|topic| topic.types.contains(&name.as_str())) {
                violations.add(
                    format!("types[{i}]"),
                    "is not a type of these topics; types are full names such as agon.event.v1.SubmissionJudged",
                );
            }
        }
        let key = match request.key.as_str() {
            "" => None,
            text => ids::parse(text).or_else(|| {
                violations.add("key", "must be the UUID of an aggregate, in lower case");
                None
            }),
        };
        violations.into_result()?;
        Ok(Self { topics, types: request.types.clone(), key, caller })
    }

    /// The event as the subscriber may see it, or `None`.
    pub fn project(&self, topic: &Topic, event: Received) -> Option<Received> {
        if self.key.is_some_and(|key| key != event.aggregate_id)
            || (!self.types.is_empty() && !self.types.contains(&event.type_name))
        {
            return None;
        }
        if self.caller.is_service_itself() {
            return Some(event);
        }
        topic.projection.and_then(|project| project(&event, &self.caller))
    }
}
