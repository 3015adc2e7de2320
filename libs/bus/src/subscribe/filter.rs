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

impl Filter {
    pub fn new(bus: &Bus, request: &SubscribeRequest, caller: Caller) -> Result<Self, Status> {
        let mut violations = Violations::default();
        let is_requested = |topic: &&Topic| {
            request.topics.is_empty() || request.topics.iter().any(|name| name == topic.name)
        };
        // Sorted and deduplicated, so that the order of the list does not affect the cursor.
        let topics: Vec<Topic> = bus.topics().filter(is_requested).copied().collect();
        check_names(&mut violations, "topics", &request.topics, |name| {
            let unknown = "is not a topic; topics are named agon.<aggregate>.v1 and listed in the event catalogue";
            (!bus.topics().any(|topic| topic.name == name)).then_some(unknown)
        });
        check_names(&mut violations, "types", &request.types, |name| {
            let unknown = "is not a type of these topics; types are full names such as agon.event.v1.SubmissionJudged";
            (!topics.iter().any(|topic| topic.types.contains(&name))).then_some(unknown)
        });
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

/// Adds a violation for each invalid name; only one if there are too many names, so that it fits into a response.
fn check_names(
    violations: &mut Violations,
    field: &str,
    names: &[String],
    problem: impl Fn(&str) -> Option<&'static str>,
) {
    if names.len() > MAX_NAMES {
        let text = format!("has more than {MAX_NAMES} {field}; leave it empty for all {field}");
        return violations.add(field, text);
    }
    for (i, name) in names.iter().enumerate() {
        if let Some(problem) = problem(name) {
            violations.add(format!("{field}[{i}]"), problem);
        }
    }
}
