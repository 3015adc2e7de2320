//! The handler interface, and what a consumer needs to apply events with it.

use std::future::Future;
use std::sync::Arc;

use db::Tx;
use futures_util::future::BoxFuture;

use crate::health::ConsumerState;
use crate::{Fault, Received, Retry};

/// Applies events.
///
/// An event is handled inside the transaction that moves the consumer's cursor, so its effect happens exactly once,
/// as long as it is an effect on `tx` alone. Several events may share a transaction; if one of them fails, they are
/// handled again one by one, so a handler must not keep state of its own.
pub trait Handler: Send + Sync + 'static {
    /// Whether [`Handler::handle`] has an effect for this event. Events without one need no transaction: the stored cursor
    /// follows with a later event.
    fn handles(&self, event: &Received) -> bool {
        let _ = event;
        true
    }

    /// Whether the effects contain no events and are not acknowledged to anyone. Then the commit need not wait for the disk:
    /// what a power cut undoes is applied again, because the cursor is undone with it.
    fn is_repeatable(&self) -> bool {
        false
    }

    /// Applies one event. Returns `Ok(())` for types that the consumer ignores.
    fn handle(
        &self,
        tx: &mut Tx,
        event: &Received,
    ) -> impl Future<Output = Result<(), Fault>> + Send;
}

/// A [`Handler`] as a trait object, so that the consumer's code is compiled once.
pub(crate) trait DynHandler: Send + Sync {
    fn handles(&self, event: &Received) -> bool;

    fn is_repeatable(&self) -> bool;

    fn handle<'a>(
        &'a self,
        tx: &'a mut Tx,
        event: &'a Received,
    ) -> BoxFuture<'a, Result<(), Fault>>;
}

impl<H: Handler> DynHandler for H {
    fn handles(&self, event: &Received) -> bool {
        Handler::handles(self, event)
    }

    fn is_repeatable(&self) -> bool {
        Handler::is_repeatable(self)
    }

    fn handle<'a>(
        &'a self,
        tx: &'a mut Tx,
        event: &'a Received,
    ) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(Handler::handle(self, tx, event))
    }
}

/// A handler with the state and the retry policy of its consumer.
pub(crate) struct Application {
    pub state: Arc<ConsumerState>,
    pub handler: Box<dyn DynHandler>,
    pub retry: Retry,
}
