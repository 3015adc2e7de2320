//! Calls the handler.

use std::panic::AssertUnwindSafe;

use db::Tx;
use futures_util::FutureExt as _;
use tracing::Instrument as _;

use super::Processor;
use crate::handler::Handler;
use crate::{Fault, Received};

impl<H: Handler> Processor<'_, H> {
    /// Calls the handler in the trace of the event. A panic is a [`Fault::Retry`].
    pub(super) async fn handle(&self, tx: &mut Tx, event: &Received) -> Result<(), Fault> {
        if event.type_name.is_empty() {
            return Err(Fault::permanent(
                "not an event: its key, its value or a ce_ header is missing or invalid",
            ));
        }
        let mut context = rpc::Context::continuing(event.traceparent.as_deref());
        let mut recorded = self.record(&mut context, event);
        let span = tracing::info_span!(
            "event",
            consumer = self.consumer(),
            topic = self.topic.name,
            event_id = %event.id,
            trace_id = %format_args!("{:032x}", context.trace.trace_id),
        );
        let handled = self.application.handler.handle(tx, event).instrument(span);
        let handled = AssertUnwindSafe(context.scope(handled)).catch_unwind().await;
        let handled = handled.unwrap_or_else(|panic| {
            Err(Fault::Retry(format!("panicked: {}", panic_message(&*panic))))
        });
        if handled.is_err() {
            recorded.fail("the event was not applied");
        }
        handled
    }
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message")
}
