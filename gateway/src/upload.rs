//! Raw uploads: the HTTP body becomes a stream of `google.api.HttpBody` pieces.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use tokio::sync::oneshot;
use transcode::Plan;

use crate::body;
use crate::failure::Failure;
use crate::multipart::Chunks;

/// The largest piece sent to a service in one message.
const PIECE: usize = 256 * 1024;

/// The chunks of a body, bounded in size and in the time between them.
pub fn chunks(body: Body, limit: u64, patience: Duration) -> Chunks {
    let state = Some((body.into_data_stream(), 0));
    Box::pin(stream::unfold(state, move |state| async move {
        let (mut body, mut seen) = state?;
        let next = match tokio::time::timeout(patience, body.next()).await {
            Err(_) => Err(Failure::slow("the body did not go on in time")),
            Ok(None) => return None,
            Ok(Some(Err(_))) => Err(body::broken()),
            Ok(Some(Ok(chunk))) => {
                seen += chunk.len() as u64;
                if seen > limit { Err(Failure::too_large(limit)) } else { Ok(chunk) }
            }
        };
        let state = if next.is_ok() { Some((body, seen)) } else { None };
        Some((next, state))
    }))
}

/// Turns chunks into request messages. When the body fails, `failed` says why and the stream never
/// ends: an end would tell the service that the upload is complete.
pub fn messages(
    plan: Arc<Plan>,
    route: usize,
    first: impl FnOnce(&[u8]) -> Result<Vec<u8>, Failure>,
    head: Option<Bytes>,
    chunks: Chunks,
) -> Result<(impl Stream<Item = Bytes> + Send + 'static, oneshot::Receiver<Failure>), Failure> {
    let mut head = head.unwrap_or_default();
    let beginning = head.split_to(head.len().min(PIECE));
    let opening = Bytes::from(first(&beginning)?);
    let (failed, failure) = oneshot::channel();
    let state = State { plan, route, chunks, rest: head, failed: Some(failed) };
    let pieces = stream::unfold(state, |mut state| async move {
        if state.rest.is_empty() {
            match state.chunks.next().await {
                None => return None,
                Some(Ok(chunk)) => state.rest = chunk,
                Some(Err(error)) => {
                    if let Some(failed) = state.failed.take() {
                        // Nobody listens any more when the call is over already.
                        let _ = failed.send(error);
                    }
                    std::future::pending::<()>().await;
                }
            }
        }
        let piece = state.rest.split_to(state.rest.len().min(PIECE));
        let message = state.plan.chunk(state.plan.route(state.route), &piece);
        Some((Bytes::from(message), state))
    });
    Ok((stream::once(std::future::ready(opening)).chain(pieces), failure))
}

struct State {
    plan: Arc<Plan>,
    route: usize,
    chunks: Chunks,
    rest: Bytes,
    failed: Option<oneshot::Sender<Failure>>,
}
