//! Client streams: the bytes of an HTTP body, or of the `file` part of a form, as a stream of
//! messages.

use std::pin::Pin;

use axum::body::{Body, BodyDataStream};
use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use http::{HeaderMap, HeaderValue, header};
use tokio::sync::oneshot;

use crate::errors::Failure;
use crate::unary::{Call, json, too_large, unreadable};
use crate::{forward, negotiate, reply, upstream};

/// Messages stay well below what a server decodes.
const CHUNK: usize = 256 * 1024;

type Pieces = Pin<Box<dyn Stream<Item = Result<Bytes, ()>> + Send>>;

/// Answers a client-streaming RPC.
pub(crate) async fn answer(
    call: Call<'_>,
    request: Request,
    metadata: HeaderMap,
) -> Result<Response, Failure> {
    negotiate::accepts_json(request.headers())?;
    let limit = call.edge.config.upload_limit_bytes;
    let announced = request.headers().get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok());
    if announced.and_then(|text| text.parse::<u64>().ok()).is_some_and(|size| size > limit) {
        return Err(too_large(limit));
    }
    let context = forward::stream_context(&call.edge.config, request.headers());
    let mut headers = request.headers().clone();
    let pieces = if is_form(&headers) {
        file_part(request, &mut headers).await?
    } else {
        raw(request.into_body())
    };
    let opening = call.bind(&headers, &[])?;
    let (broken, breaks) = oneshot::channel();
    let messages = messages(call, opening, pieces, limit, broken);
    let (channel, path) = (&call.edge.channel, &call.route.rpc_path);
    let upload = context.scope(upstream::client_stream(channel, path, metadata, messages));
    // The order matters: a body that broke off must not look complete to the service.
    let answer = tokio::select! {
        biased;
        Ok(failure) = breaks => return Err(failure),
        answer = upload => answer?,
    };
    let (metadata, message, _) = answer.into_parts();
    let mut response = json(call, &message)?;
    reply::pass_headers(&metadata, response.headers_mut());
    Ok(response)
}

fn is_form(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    value.is_some_and(|text| text.to_ascii_lowercase().starts_with("multipart/form-data"))
}

fn raw(body: Body) -> Pieces {
    let stream: BodyDataStream = body.into_data_stream();
    Box::pin(stream.map(|piece| piece.map_err(|_| ())))
}

/// The `file` part of a form; parts before it are passed over. Its media type replaces the form's.
async fn file_part(request: Request, headers: &mut HeaderMap) -> Result<Pieces, Failure> {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let boundary = multer::parse_boundary(content_type.unwrap_or_default());
    let boundary = boundary.map_err(|_| unreadable())?;
    let mut form = multer::Multipart::new(request.into_body().into_data_stream(), boundary);
    let (found, file) = oneshot::channel();
    // A part borrows its form, so the form's reader lives in a stream of its own.
    let pieces = stream::once(async move {
        let mut found = Some(found);
        let (pass, pieces) = tokio::sync::mpsc::channel::<Result<Bytes, ()>>(2);
        let reader = async move {
            while let Ok(Some(mut part)) = form.next_field().await {
                if part.name() != Some("file") {
                    continue;
                }
                let content_type = part.content_type().map(ToString::to_string).unwrap_or_default();
                if let Some(found) = found.take() {
                    let _ = found.send(content_type);
                }
                loop {
                    let piece = match part.chunk().await {
                        Ok(Some(piece)) => Ok(piece),
                        Ok(None) => return,
                        Err(_) => Err(()),
                    };
                    let broken = piece.is_err();
                    if pass.send(piece).await.is_err() || broken {
                        return;
                    }
                }
            }
        };
        let pieces = stream::unfold(pieces, |mut pieces| async move {
            pieces.recv().await.map(|piece| (piece, pieces))
        });
        // Both are polled by whoever polls the stream: no task to lose.
        let reading = stream::once(reader).filter_map(|()| async { None });
        stream::select(pieces, reading)
    })
    .flatten();
    let mut pieces: Pieces = Box::pin(pieces);
    let first = pieces.next().await;
    let missing = || {
        rpc::status::invalid_argument(
            "file",
            "is missing; send the package in the form part `file`",
        )
    };
    let Ok(content_type) = file.await else { return Err(missing().into()) };
    let value = HeaderValue::from_str(&content_type)
        .unwrap_or(HeaderValue::from_static("application/octet-stream"));
    headers.insert(header::CONTENT_TYPE, value);
    Ok(Box::pin(stream::iter(first).chain(pieces)))
}

/// The messages of the call: the opening one with every field but the bytes, then the bytes. A body
/// that breaks off or is too large is reported by `broken` and never ends.
fn messages(
    call: Call<'_>,
    opening: Bytes,
    pieces: Pieces,
    limit: u64,
    broken: oneshot::Sender<Failure>,
) -> impl Stream<Item = Bytes> + Send + 'static {
    let edge = call.edge.clone();
    let rpc_route =
        call.edge.plan.routes().iter().position(|route| std::ptr::eq(route, call.route));
    let rpc_route = rpc_route.unwrap_or_default();
    let state = (pieces, Bytes::new(), 0_u64, Some(broken));
    let chunks = stream::unfold(state, move |(mut pieces, mut rest, mut total, mut broken)| {
        let edge = edge.clone();
        async move {
            while rest.is_empty() {
                let failure = match pieces.next().await {
                    None => return None,
                    Some(Ok(piece)) => {
                        total += piece.len() as u64;
                        rest = piece;
                        if total <= limit {
                            continue;
                        }
                        too_large(limit)
                    }
                    Some(Err(())) => unreadable(),
                };
                if let Some(broken) = broken.take() {
                    let _ = broken.send(failure);
                }
                std::future::pending::<()>().await;
            }
            let data = rest.split_to(rest.len().min(CHUNK));
            let message = edge.plan.chunk(edge.plan.route(rpc_route), &data);
            Some((Bytes::from(message), (pieces, rest, total, broken)))
        }
    });
    stream::once(async move { opening }).chain(chunks)
}
