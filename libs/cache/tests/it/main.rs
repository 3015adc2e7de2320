//! The cache through its interface.
#![expect(clippy::disallowed_methods, reason = "tests spawn as they like")]

mod away;
mod both;
mod memory;
mod server;
mod shared;
mod url;

use std::time::Duration;

/// The next message, which must come.
async fn next(listener: &mut cache::Subscription) -> String {
    let message = tokio::time::timeout(Duration::from_secs(20), listener.next()).await;
    let message = message.expect("a message within 20 seconds").expect("the channel is open");
    String::from_utf8(message.to_vec()).unwrap()
}
