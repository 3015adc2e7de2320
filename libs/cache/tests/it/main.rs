//! The cache through its public interface.
#![expect(clippy::disallowed_methods, reason = "tests spawn tasks directly")]

mod backends;
mod memory;
mod outage;
mod server;
mod shared;
mod url;

use std::time::Duration;

async fn next(listener: &mut cache::Subscription) -> String {
    let message = tokio::time::timeout(Duration::from_secs(20), listener.next()).await;
    let message = message.expect("a message within 20 seconds").expect("the channel is open");
    String::from_utf8(message.to_vec()).unwrap()
}
