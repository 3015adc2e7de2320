//! The catalogue of events: each topic with its producer, consumers and types.

use std::fmt::Write as _;

use crate::Topic;

/// The topics of a consumer. Each service declares the consumers that it runs.
#[derive(Clone, Copy, Debug)]
pub struct Consumes {
    pub consumer: &'static str,
    pub topics: &'static [&'static str],
}

/// The catalogue as Markdown, sorted by topic.
pub fn catalogue(topics: &[Topic], consumers: &[Consumes]) -> String {
    let mut topics: Vec<&Topic> = topics.iter().collect();
    topics.sort_by_key(|topic| topic.name);
    let mut text = String::from(
        "# Events\n\n\
         Generated from the topics that the services declare; do not edit. The messages are in\n\
         `proto/agon/event/v1`. Events of one key are ordered.\n",
    );
    for topic in topics {
        let consumers: Vec<&str> = consumers
            .iter()
            .filter(|consumes| consumes.topics.contains(&topic.name))
            .map(|consumes| consumes.consumer)
            .collect();
        let consumers = if consumers.is_empty() { "none".into() } else { consumers.join(", ") };
        let visible =
            if topic.projection.is_some() { "projected for the caller" } else { "services only" };
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "\n## {}\n\n- key: `{}`\n- producer: {}\n- consumers: {consumers}\n- Subscribe: {visible}\n- types:\n",
            topic.name, topic.key, topic.producer
        );
        for name in topic.types {
            let _ = writeln!(text, "  - `{name}`");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn catalogue_lists_topics_consumers_and_types() {
        let topics = [
            Topic::new("agon.user.v1", "auth")
                .key("user_id")
                .types(&["agon.event.v1.UserRegistered"]),
            Topic::new("agon.judgement.v1", "judge").key("submission_id"),
        ];
        let consumes = [Consumes { consumer: "challenge", topics: &["agon.judgement.v1"] }];
        let text = catalogue(&topics, &consumes);
        let judgement = text.find("## agon.judgement.v1").unwrap();
        let user = text.find("## agon.user.v1").unwrap();
        assert!(judgement < user);
        assert!(text[judgement..user].contains("consumers: challenge"));
        assert!(text[user..].contains("consumers: none"));
        assert!(text[user..].contains("  - `agon.event.v1.UserRegistered`"));
    }
}
