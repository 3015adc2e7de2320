//! Topics: what a service publishes.

use access::Caller;

use crate::Received;

/// What a viewer may see of an event: the whole event, a reduced copy, or nothing.
pub type Projection = fn(&Received, &Caller) -> Option<Received>;

/// A topic. Each service declares those that it produces:
///
/// ```
/// pub const SUBMISSIONS: bus::Topic = bus::Topic::new("agon.submission.v1", "challenge")
///     .key("submission_id")
///     .types(&["agon.event.v1.SubmissionCreated", "agon.event.v1.SubmissionJudged"]);
/// pub const TOPICS: &[bus::Topic] = &[SUBMISSIONS];
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Topic {
    /// `agon.<aggregate>.v1`.
    pub name: &'static str,
    /// The one service that publishes it.
    pub producer: &'static str,
    /// The meaning of its keys, such as `submission_id`.
    pub key: &'static str,
    /// The full names of its messages.
    pub types: &'static [&'static str],
    /// What callers other than services may see of its events; nothing if `None`.
    pub projection: Option<Projection>,
}

impl Topic {
    /// A topic without types or projection.
    pub const fn new(name: &'static str, producer: &'static str) -> Self {
        Self { name, producer, key: "", types: &[], projection: None }
    }

    pub const fn key(mut self, key: &'static str) -> Self {
        self.key = key;
        self
    }

    pub const fn types(mut self, types: &'static [&'static str]) -> Self {
        self.types = types;
        self
    }

    pub const fn projection(mut self, projection: Projection) -> Self {
        self.projection = Some(projection);
        self
    }
}
