//! The handler interface, and what a consumer needs to apply events with it.

use std::future::Future;
use std::sync::Arc;

use db::Tx;

use crate::health::ConsumerState;
use crate::{Fault, Received, Retry};

/// Applies events.
///
/// An event is handled inside the transaction that moves the consumer's cursor, so its effect happens exactly once,
/// as long as it is an effect on `tx` alone. Several events may share a transaction; if one of them fails, they are
/// handled again one by one, so a handler must not keep state of its own.
pub trait Handler: Send + Sync + 'static {
    /// Applies one event. Returns `Ok(())` for types that the consumer ignores.
    fn handle(
        &self,
        tx: &mut Tx,
        event: &Received,
    ) -> impl Future<Output = Result<(), Fault>> + Send;
}

/// A handler with the state and the retry policy of its consumer.
pub(crate) struct Application<H> {
    pub state: Arc<ConsumerState>,
    pub handler: H,
    pub retry: Retry,
}
