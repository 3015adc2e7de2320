//! Raw uploads: the HTTP body becomes a stream of `google.api.HttpBody` messages.

use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use rpc::Pace;
use tokio::sync::oneshot;
use transcode::Plan;

use crate::body;
use crate::failure::Failure;
use crate::multipart::Chunks;

/// Maximum number of file bytes in one message.
const MESSAGE_BYTES: usize = 256 * 1024;

/// The chunks of a body of at most `limit` bytes; fails if the client is slower than `pace`.
pub fn chunks(body: Body, limit: u64, pace: Pace) -> Chunks {
    let state = (body.into_data_stream(), 0, pace.begin());
    let chunks =
        stream::try_unfold(state, move |(mut body, mut received, mut patience)| async move {
            let next = patience.wait(body.next()).await;
            let next = next.map_err(|_| Failure::timed_out("the upload was too slow"))?;
            let Some(chunk) = next.transpose().map_err(|_| body::incomplete())? else {
                return Ok(None);
            };
            patience.received(chunk.len());
            received += chunk.len() as u64;
            if received > limit {
                return Err(Failure::too_large(limit));
            }
            Ok(Some((chunk, (body, received, patience))))
        });
    chunks.boxed()
}

/// Turns chunks into request messages after the message `first`. If a chunk fails, the receiver
/// gets the failure and the stream stays pending: the end of the stream would tell the service that
/// the upload is complete.
pub fn messages(
    plan: Arc<Plan>,
    route: usize,
    first: Bytes,
    chunks: Chunks,
) -> (impl Stream<Item = Bytes> + Send + 'static, oneshot::Receiver<Failure>) {
    let (failed, failure) = oneshot::channel();
    let state = State { plan, route, chunks, rest: Bytes::new(), failed: Some(failed) };
    let messages = stream::unfold(state, |mut state| async move {
        while state.rest.is_empty() {
            match state.chunks.next().await {
                None => return None,
                Some(Ok(chunk)) => state.rest = chunk,
                Some(Err(error)) => {
                    if let Some(failed) = state.failed.take() {
                        // The receiver is gone if the call has already ended.
                        let _ = failed.send(error);
                    }
                    std::future::pending::<()>().await;
                }
            }
        }
        let piece = state.rest.split_to(state.rest.len().min(MESSAGE_BYTES));
        let message = state.plan.chunk(state.plan.route(state.route), &piece);
        Some((Bytes::from(message), state))
    });
    (stream::once(std::future::ready(first)).chain(messages), failure)
}

struct State {
    plan: Arc<Plan>,
    route: usize,
    chunks: Chunks,
    rest: Bytes,
    failed: Option<oneshot::Sender<Failure>>,
}
