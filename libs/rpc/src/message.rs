//! Reads the only message of a call before the call takes a permit: a client that does not send it
//! must not use up the concurrency of the server.

use std::net::IpAddr;

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt as _;
use http::Request;
use http_body::Body as _;
use http_body_util::{BodyExt as _, Full};
use tonic::body::Body;
use tonic::transport::server::TcpConnectInfo;
use tonic::{Code, Status};

use crate::MAX_MESSAGE;
use crate::reading::Reading;
use crate::status;

/// The flag and the length in front of a message.
const PREFIX: usize = 5;

/// The request with its whole body, as far as it fits into one message. The service answers for
/// a body that is too long or malformed.
pub(crate) async fn read(
    request: Request<Body>,
    reading: &Reading,
) -> Result<Request<Body>, Status> {
    if request.body().is_end_stream() {
        return Ok(request);
    }
    let peer = request.extensions().get::<TcpConnectInfo>().and_then(TcpConnectInfo::remote_addr);
    let (parts, body) = request.into_parts();
    let message = read_body(body, reading, peer.map(|peer| peer.ip())).await?;
    Ok(Request::from_parts(parts, Body::new(Full::new(message))))
}

/// The request, in whose body every error is that of the client.
pub(crate) fn incoming(request: Request<Body>) -> Request<Body> {
    request.map(|body| Body::new(body.map_err(disconnected)))
}

/// tonic has UNKNOWN or INTERNAL for a request that was reset or whose connection was lost.
fn disconnected(_: Status) -> Status {
    status::error(Code::Cancelled, "REQUEST_INCOMPLETE", "the request ended before it was complete")
}

async fn read_body(
    mut body: Body,
    reading: &Reading,
    address: Option<IpAddr>,
) -> Result<Bytes, Status> {
    let (mut received, mut reader) = (Received::default(), None);
    while !received.is_enough() && !body.is_end_stream() {
        // Most messages arrive with the headers and need no share of the memory.
        let next = match body.frame().now_or_never() {
            Some(next) => next,
            None => {
                let reader = match &mut reader {
                    Some(reader) => reader,
                    empty => {
                        let begun = reading.begin(address, received.len());
                        empty.insert(begun.map_err(|error| error.status())?)
                    }
                };
                reader.wait(body.frame()).await.map_err(|error| error.status())?
            }
        };
        let Some(frame) = next else { break };
        let Ok(data) = frame.map_err(disconnected)?.into_data() else { continue };
        if let Some(reader) = &mut reader {
            reader.received(data.len()).map_err(|error| error.status())?;
        }
        received.add(data);
    }
    Ok(received.into_bytes())
}

/// One chunk is kept as it is, several are copied together.
#[derive(Default)]
struct Received {
    first: Bytes,
    whole: BytesMut,
}

impl Received {
    fn add(&mut self, data: Bytes) {
        if self.len() == 0 {
            self.first = data;
            return;
        }
        if self.whole.is_empty() {
            self.whole.extend_from_slice(&std::mem::take(&mut self.first));
        }
        self.whole.extend_from_slice(&data);
    }

    fn len(&self) -> usize {
        self.first.len() + self.whole.len()
    }

    /// Whether the message is longer than any service accepts.
    fn is_enough(&self) -> bool {
        let bytes = if self.whole.is_empty() { &*self.first } else { &*self.whole };
        let declared = bytes.get(1..PREFIX).and_then(|length| length.try_into().ok());
        let declared = declared.map_or(0, |length| u32::from_be_bytes(length) as usize);
        declared.max(bytes.len().saturating_sub(PREFIX)) > MAX_MESSAGE
    }

    fn into_bytes(self) -> Bytes {
        if self.whole.is_empty() { self.first } else { self.whole.freeze() }
    }
}
