//! Streams: each user and each address has a share of them, and they end with the user's token.

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use http_body::{Body as HttpBody, Frame, SizeHint};
use rpc::{Full, Share, Shares, Trusted, status};
use tonic::body::Body;
use tonic::{Code, Status};
use uuid::Uuid;

use crate::caller::Caller;
use crate::limits::Limits;

/// The shares of a process.
#[derive(Clone)]
pub(crate) struct Streams {
    users: Shares<Uuid>,
    addresses: Shares<IpAddr>,
    trusted: Trusted,
}

/// What an open stream holds.
#[derive(Default)]
pub(crate) struct Held {
    _user: Option<Share<Uuid>>,
    _address: Option<Share<IpAddr>>,
}

impl Streams {
    pub fn new(limits: &Limits, trusted: Trusted) -> Self {
        let shares = |limit: u32| if limit == 0 { usize::MAX } else { limit as usize };
        Self {
            users: Shares::new(usize::MAX, shares(limits.streams)),
            addresses: Shares::new(usize::MAX, shares(limits.address_streams)),
            trusted,
        }
    }

    /// Takes a stream of the user and of the address.
    pub fn open(&self, caller: &Caller) -> Result<Held, Status> {
        let acting = caller.acting();
        let user = acting.is_user().then(|| self.users.take(Some(acting.id), 1)).transpose();
        let address = caller.address.and_then(|address| self.trusted.key(address));
        let address = address.map(|address| self.addresses.take(Some(address), 1)).transpose();
        Ok(Held {
            _user: user.map_err(|full| too_many(full, "of this user"))?,
            _address: address.map_err(|full| too_many(full, "from this address"))?,
        })
    }
}

fn too_many(_: Full, whose: &str) -> Status {
    metrics::counter!("agon_access_refused_streams_total").increment(1);
    let text = format!("too many open streams {whose}; close one first");
    status::retry(Code::ResourceExhausted, "STREAM_LIMIT", text, Duration::from_secs(5))
}

/// Resolves when the stream has to end.
pub(crate) type Ended = Pin<Box<dyn Future<Output = Status> + Send>>;

/// The response with `held` until its end, which comes when `ended` resolves.
pub(crate) fn hold(response: Response<Body>, held: Held, ended: Option<Ended>) -> Response<Body> {
    // A status in the headers ends the call without a body.
    if response.headers().contains_key("grpc-status") {
        return response;
    }
    response.map(|inner| Body::new(Open { inner, ended, _held: held, done: false }))
}

struct Open {
    inner: Body,
    ended: Option<Ended>,
    _held: Held,
    done: bool,
}

impl HttpBody for Open {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.get_mut();
        if this.done {
            return Poll::Ready(None);
        }
        if let Some(ended) = &mut this.ended
            && let Poll::Ready(status) = ended.as_mut().poll(cx)
        {
            this.done = true;
            return Poll::Ready(Some(Ok(status::trailers(&status))));
        }
        Pin::new(&mut this.inner).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.done || self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        // Trailers may replace the rest of the inner body.
        SizeHint::default()
    }
}
