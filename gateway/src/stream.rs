//! Server streams as NDJSON lines, server-sent events or a JSON array.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use tonic::{Status, Streaming};
use transcode::Plan;

use crate::accept::StreamForm;
use crate::failure::Failure;

pub struct ResponseStream {
    pub plan: Arc<Plan>,
    /// Index in the plan.
    pub route: usize,
    pub form: StreamForm,
    pub messages: Streaming<Bytes>,
    /// Received before the response was started.
    pub first: Option<First>,
    /// Idle time after which an event stream sends a comment.
    pub heartbeat: Duration,
    /// Held until the stream ends.
    pub _permit: tokio::sync::OwnedSemaphorePermit,
}

pub enum First {
    Message(Bytes),
    End,
}

const FIRST_MESSAGE_TIMEOUT: Duration = Duration::from_millis(250);

/// Waits for the first message, so that an early error gets its own HTTP status. Returns `None`
/// after a short timeout, so that a client of an idle stream learns that it is subscribed.
pub async fn first(messages: &mut Streaming<Bytes>) -> Result<Option<First>, Status> {
    match tokio::time::timeout(FIRST_MESSAGE_TIMEOUT, messages.message()).await {
        Ok(Ok(Some(message))) => Ok(Some(First::Message(message))),
        Ok(Ok(None)) => Ok(Some(First::End)),
        Ok(Err(status)) => Err(status),
        Err(_) => Ok(None),
    }
}

struct State {
    out: ResponseStream,
    sent: u64,
    done: bool,
}

enum Next {
    Message(Bytes),
    End,
    Failed(Failure),
    Idle,
}

impl ResponseStream {
    pub fn body(self) -> Body {
        let state = State { out: self, sent: 0, done: false };
        Body::from_stream(stream::unfold(state, |mut state| async move {
            if state.done {
                return None;
            }
            let next = state.next().await;
            let bytes = state.bytes(next);
            Some((Ok::<_, Infallible>(Bytes::from(bytes)), state))
        }))
    }
}

impl State {
    async fn next(&mut self) -> Next {
        match self.out.first.take() {
            Some(First::Message(message)) => return Next::Message(message),
            Some(First::End) => return Next::End,
            None => {}
        }
        let message = self.out.messages.message();
        let result = match self.out.form {
            StreamForm::Events => match tokio::time::timeout(self.out.heartbeat, message).await {
                Ok(result) => result,
                Err(_) => return Next::Idle,
            },
            _ => message.await,
        };
        match result {
            Ok(Some(message)) => Next::Message(message),
            Ok(None) => Next::End,
            Err(status) => Next::Failed(status.into()),
        }
    }

    fn bytes(&mut self, next: Next) -> Vec<u8> {
        let mut out = Vec::new();
        let failure = match next {
            Next::Idle => return b": keep-alive\n\n".to_vec(),
            Next::End => {
                self.done = true;
                return match (self.out.form, self.sent) {
                    (StreamForm::Array, 0) => b"[]".to_vec(),
                    (StreamForm::Array, _) => b"]".to_vec(),
                    _ => out,
                };
            }
            Next::Message(message) => match self.message(&message, &mut out) {
                Ok(()) => return out,
                Err(failure) => failure,
            },
            Next::Failed(failure) => failure,
        };
        self.done = true;
        let error = failure.json(&self.out.plan);
        let wrapped = serde_json::json!({"error": error});
        let text = match self.out.form {
            StreamForm::Lines => format!("{wrapped}\n"),
            StreamForm::Events => format!("event: error\ndata: {error}\n\n"),
            StreamForm::Array => format!("{}{wrapped}]", self.separator()),
        };
        text.into_bytes()
    }

    fn separator(&self) -> &'static str {
        if self.sent == 0 { "[" } else { "," }
    }

    fn message(&mut self, message: &[u8], out: &mut Vec<u8>) -> Result<(), Failure> {
        let ResponseStream { plan, form, .. } = &self.out;
        let route = plan.route(self.out.route);
        match form {
            StreamForm::Lines => {
                plan.reply(route, message, out)?;
                out.push(b'\n');
            }
            StreamForm::Events => {
                let number = (self.sent + 1).to_string();
                let cursor =
                    plan.cursor(route, message).filter(|id| !id.contains(['\r', '\n', '\0']));
                let id = cursor.unwrap_or(&number);
                out.extend_from_slice(format!("id: {id}\ndata: ").as_bytes());
                plan.reply(route, message, out)?;
                out.extend_from_slice(b"\n\n");
            }
            StreamForm::Array => {
                out.extend_from_slice(self.separator().as_bytes());
                plan.reply(route, message, out)?;
            }
        }
        self.sent += 1;
        Ok(())
    }
}
