//! Calls between the parts of Agon: one channel type, one middleware stack, one listener.
//!
//! Owns the transports ([`Channel`]: in process, or balanced over the processes of a [`Peer`],
//! optionally with [`Tls`]), the middleware of every call ([`Stack`]: request id, trace, log line,
//! metrics, deadline, load shedding, panic catch), health and reflection, the format of errors
//! ([`status`]) and of page tokens ([`page`]). Must not know domains or permissions: the authorising
//! layer is passed in.

mod body;
mod channel;
mod codec;
mod context;
mod error;
mod first_bytes;
mod health;
mod listen;
mod message;
mod methods;
mod observe;
mod pace;
pub mod page;
mod reading;
mod remote;
mod secret;
mod serve;
mod services;
mod shares;
mod stack;
pub mod status;
mod tls;
mod tonic_status;
pub mod trace;

pub use channel::{Channel, Local, Routes};
pub use codec::RawCodec;
pub use context::{Context, current, deadline, deadline_status, request_id};
pub use error::ConnectError;
pub use first_bytes::FirstBytes;
pub use health::Health;
pub use listen::{Connections, Stopping, listen};
pub use methods::{Method, Methods};
pub use pace::{Pace, Patience, TooSlow};
pub use page::{PageKey, page_size};
pub use reading::{ReadError, Reader, Reading};
pub use remote::{Peer, Remote, Resilience};
pub use secret::{RootSecret, SecretError};
pub use serve::{Limits, serve};
pub use services::Services;
pub use shares::{Full, Share, Shares, Trusted};
pub use stack::{Served, Stack};
pub use status::{DOMAIN, Violations};
pub use tls::{ServerTls, Tls, TlsError};
pub use trace::traceparent;

/// The default limit for messages that a server decodes, in bytes. Larger messages are refused with
/// `OUT_OF_RANGE` before they are read.
pub const MAX_MESSAGE: usize = 4 * 1024 * 1024;

pub mod metadata {
    /// The caller's own credential: `Bearer <token>`.
    pub const AUTHORIZATION: &str = "authorization";
    /// The token of the user on whose behalf a service calls.
    pub const ON_BEHALF_OF: &str = "agon-on-behalf-of";
    /// The client's address as seen by the gateway; ignored from other callers.
    pub const CLIENT_ADDRESS: &str = "x-agon-client-address";
    /// The client's `User-Agent`, forwarded by the gateway.
    pub const CLIENT_AGENT: &str = "x-agon-client-agent";
    /// Identifies a request in every service and log line.
    pub const REQUEST_ID: &str = "x-request-id";
    /// W3C trace context.
    pub const TRACEPARENT: &str = "traceparent";
    /// How long the caller waits for the response.
    pub const TIMEOUT: &str = "grpc-timeout";
}
