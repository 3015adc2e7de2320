//! Which events a subscriber asked for, and which of them it may see.

use access::Caller;
use ids::Uuid;
use proto::event::SubscribeRequest;
use rpc::Violations;
use tonic::Status;

use crate::{Bus, Received, Topic};

/// More names in a list are no honest request.
const NAMES: usize = 100;

pub(super) struct Filter {
    pub topics: Vec<Topic>,
    types: Vec<String>,
    key: Option<Uuid>,
    caller: Caller,
}

/// The names to look at: none when there are too many, and few enough that what is wrong with them fits into an answer.
fn names(given: &[String]) -> impl Iterator<Item = (usize, &String)> {
    let looked_at = if given.len() > NAMES { 0 } else { given.len() };
    given[..looked_at].iter().enumerate()
}

impl Filter {
    pub fn new(bus: &Bus, request: &SubscribeRequest, caller: Caller) -> Result<Self, Status> {
        let mut violations = Violations::default();
        // Sorted and once each, so that the same list in another order is the same subscription.
        let mut topics: Vec<Topic> = Vec::new();
        for topic in bus.topics() {
            if request.topics.is_empty() || request.topics.iter().any(|name| name == topic.name) {
                topics.push(*topic);
            }
        }
        if request.topics.len() > NAMES {
            violations.add("topics", "lists more than 100 topics; leave it empty for all");
        }
        for (i, name) in names(&request.topics) {
            if !bus.topics().any(|topic| topic.name == name) {
                violations.add(
                    format!("topics[{i}]"),
                    "is no topic; topics are named agon.<aggregate>.v1 and listed in the event catalogue",
                );
            }
        }
        if request.types.len() > NAMES {
            violations.add("types", "lists more than 100 types; leave it empty for all");
        }
        for (i, name) in names(&request.types) {
            if !topics.iter().any(|topic| topic.types.contains(&name.as_str())) {
                violations.add(
                    format!("types[{i}]"),
                    "is no type of these topics; types are full names such as agon.event.v1.SubmissionJudged",
                );
            }
        }
        let key = match request.key.as_str() {
            "" => None,
            text => ids::parse(text).or_else(|| {
                violations.add("key", "is no id; give the UUID of an aggregate, in lower case");
                None
            }),
        };
        violations.into_result()?;
        Ok(Self { topics, types: request.types.clone(), key, caller })
    }

    /// What the subscriber gets to see of an event.
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
