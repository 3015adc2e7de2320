//! Server streams: NDJSON, server-sent events, a JSON array, or the raw bytes of a download.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{HeaderMap, HeaderValue};
use tonic::{Status, Streaming};

use crate::errors::{self, Failure};
use crate::negotiate::Framing;
use crate::unary::Call;
use crate::{Edge, forward, reply, upstream, with_type};

/// How long the first message is waited for before the head of the answer is sent anyway: an error
/// usually comes at once and deserves its status code; a quiet feed must not look dead.
const FIRST_MESSAGE: Duration = Duration::from_secs(1);

/// Answers a server-streaming RPC.
pub(crate) async fn answer(
    call: Call<'_>,
    request: Request,
    metadata: HeaderMap,
) -> Result<Response, Failure> {
    let framing = match call.route.download {
        Some(_) => None,
        None => Some(Framing::choose(request.headers())?),
    };
    let context = forward::stream_context(&call.edge.config, request.headers());
    let (headers, body) = call.read(request).await?;
    let message = call.bind(&headers, &body)?;
    let (channel, path) = (&call.edge.channel, &call.route.rpc_path);
    let answer = context.scope(upstream::server_stream(channel, path, metadata, message)).await?;
    let (metadata, mut messages, _) = answer.into_parts();
    let first = match tokio::time::timeout(FIRST_MESSAGE, messages.message()).await {
        Ok(first) => Some(first?),
        Err(_) if framing.is_none() => Some(messages.message().await?),
        Err(_) => None,
    };
    let mut response = match framing {
        None => download(call, first.flatten(), messages)?,
        Some(framing) => framed(call, framing, first, messages),
    };
    reply::pass_headers(&metadata, response.headers_mut());
    Ok(response)
}

/// Raw bytes; the first message has their type.
fn download(
    call: Call<'_>,
    first: Option<Bytes>,
    messages: Streaming<Bytes>,
) -> Result<Response, Failure> {
    let edge = call.edge.clone();
    let route = route_index(call);
    let first = first.unwrap_or_default();
    let (content_type, data) =
        edge.plan.download(call.route, &first).map_err(rpc::status::internal)?;
    let content_type = reply::media_type(content_type);
    let data = Bytes::copy_from_slice(data);
    let rest = messages.map(move |message| {
        let message = message?;
        let (_, data) =
            edge.plan.download(edge.plan.route(route), &message).map_err(rpc::status::internal)?;
        Ok::<_, Status>(Bytes::copy_from_slice(data))
    });
    // An error breaks the connection off, so that a part is never taken for the whole.
    let body = stream::once(async move { Ok(data) }).chain(rest);
    Ok(with_type(Body::from_stream(body), content_type))
}

fn framed(
    call: Call<'_>,
    framing: Framing,
    first: Option<Option<Bytes>>,
    messages: Streaming<Bytes>,
) -> Response {
    let feed = Feed {
        edge: call.edge.clone(),
        route: route_index(call),
        framing,
        first,
        messages,
        count: 0,
        ended: false,
    };
    let chunks = stream::unfold(feed, |mut feed| async move {
        if feed.ended {
            return None;
        }
        let chunk = feed.next().await;
        Some((chunk, feed))
    });
    with_type(Body::from_stream(chunks), HeaderValue::from_static(framing.content_type()))
}

/// The number under which the plan knows the call's route, for streams that outlive the request.
fn route_index(call: Call<'_>) -> usize {
    let same = |route: &transcode::Route| std::ptr::eq(route, call.route);
    call.edge.plan.routes().iter().position(same).unwrap_or_default()
}

/// A stream on its way to the client.
struct Feed {
    edge: Arc<Edge>,
    route: usize,
    framing: Framing,
    /// What was waited for before the head: nothing, the end, or a message.
    first: Option<Option<Bytes>>,
    messages: Streaming<Bytes>,
    count: usize,
    ended: bool,
}

type Chunk = Result<Bytes, Box<dyn std::error::Error + Send + Sync>>;

impl Feed {
    async fn next(&mut self) -> Chunk {
        let message = match self.first.take() {
            Some(first) => Ok(first),
            None => {
                let heartbeat = self.edge.config.heartbeat();
                match tokio::time::timeout(heartbeat, self.messages.message()).await {
                    Ok(message) => message,
                    Err(_) => return Ok(self.heartbeat()),
                }
            }
        };
        match message {
            Ok(Some(message)) => self.message(&message),
            Ok(None) => Ok(self.end()),
            Err(status) => self.error(&status),
        }
    }

    /// Something that every reader ignores.
    fn heartbeat(&self) -> Bytes {
        Bytes::from_static(match self.framing {
            Framing::Events => b": \n\n",
            Framing::Lines | Framing::Array => b"\n",
        })
    }

    fn message(&mut self, message: &[u8]) -> Chunk {
        let route = self.edge.plan.route(self.route);
        let mut json = Vec::with_capacity(message.len() * 2 + 64);
        if let Err(error) = self.edge.plan.reply(route, message, &mut json) {
            return self.error(&rpc::status::internal(error));
        }
        let mut out = Vec::with_capacity(json.len() + 64);
        match self.framing {
            Framing::Lines => {}
            Framing::Array => out.push(if self.count == 0 { b'[' } else { b',' }),
            Framing::Events => {
                // Our JSON has no line breaks, so one data line is enough.
                if let Some(cursor) = self.edge.plan.cursor(route, message) {
                    out.extend_from_slice(b"id: ");
                    out.extend_from_slice(cursor.as_bytes());
                    out.push(b'\n');
                }
                out.extend_from_slice(b"data: ");
            }
        }
        out.extend_from_slice(&json);
        match self.framing {
            Framing::Lines => out.push(b'\n'),
            Framing::Events => out.extend_from_slice(b"\n\n"),
            Framing::Array => {}
        }
        self.count += 1;
        Ok(out.into())
    }

    fn end(&mut self) -> Bytes {
        self.ended = true;
        match self.framing {
            Framing::Lines => Bytes::new(),
            // Without it a browser would take the end for a broken connection and come back.
            Framing::Events => Bytes::from_static(b"event: end\ndata: {}\n\n"),
            Framing::Array if self.count == 0 => Bytes::from_static(b"[]"),
            Framing::Array => Bytes::from_static(b"]"),
        }
    }

    /// The head is sent already: the error goes into the stream, or, where it has no place, breaks
    /// the connection off.
    fn error(&mut self, status: &Status) -> Chunk {
        self.ended = true;
        let text = errors::status_text(&self.edge.plan, status);
        match self.framing {
            Framing::Lines => Ok(format!("{{\"error\":{text}}}\n").into()),
            Framing::Events => Ok(format!("event: error\ndata: {text}\n\n").into()),
            Framing::Array => Err(status.message().into()),
        }
    }
}
