//! Which service produces and consumes which topics.

use bus::{Consumes, Topic};

/// Each producing service with its topics.
pub fn produced() -> [(&'static str, &'static [Topic]); 4] {
    [
        ("auth", auth::TOPICS),
        ("problem", problem::TOPICS),
        ("judge", judge::TOPICS),
        ("challenge", challenge::TOPICS),
    ]
}

/// Each consumer with its topics. Every consumer has a dead-letter topic.
pub fn consumed() -> Vec<Consumes> {
    let judge = Consumes { consumer: judge::events::CONSUMER, topics: judge::events::CONSUMES };
    [challenge::CONSUMES, &[judge], problem::CONSUMES].concat()
}
