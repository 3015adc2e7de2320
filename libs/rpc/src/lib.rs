//! How one part of Agon calls another: one channel type, one middleware stack, one listener.
//!
//! Owns the transports ([`Channel`]: in process, or balanced over the processes of a [`Peer`]; with
//! [`Tls`] where wanted), what stands around every call ([`Stack`]: request id, trace,
//! log line, metrics, deadline, load shedding, panic catch), health and reflection, the form of
//! errors ([`status`]) and of page tokens ([`page`]). Knows nothing of domains or of who may call
//! what: the authorising layer is handed in.

mod body;
mod channel;
mod context;
mod error;
mod health;
mod malformed;
mod methods;
mod observe;
pub mod page;
mod remote;
mod secret;
mod serve;
mod services;
mod stack;
pub mod status;
mod tls;
pub mod trace;

pub use channel::{Channel, Local, Routes};
pub use context::{Context, current, deadline, request_id};
pub use error::ConnectError;
pub use health::Health;
pub use methods::{Method, Methods};
pub use page::{PageKey, page_size};
pub use remote::{Peer, Remote, Resilience};
pub use secret::{RootSecret, SecretError};
pub use serve::{Limits, serve, serve_tls};
pub use services::Services;
pub use stack::{Served, Stack};
pub use status::{DOMAIN, Violations};
pub use tls::{ServerTls, Tls, TlsError};
pub use trace::traceparent;

/// The largest message a server decodes unless it says otherwise, in bytes.
///
/// A larger one is refused with `OUT_OF_RANGE` before it is read.
pub const MAX_MESSAGE: usize = 4 * 1024 * 1024;

/// Metadata keys that Agon's callers and servers agree on.
pub mod metadata {
    /// The caller's own credential: `Bearer <token>`.
    pub const AUTHORIZATION: &str = "authorization";
    /// The token of the user for whom a service acts.
    pub const ON_BEHALF_OF: &str = "agon-on-behalf-of";
    /// The client's address, as the edge saw it; honoured only from the edge.
    pub const CLIENT_ADDRESS: &str = "x-agon-client-address";
    /// What the client calls itself (`User-Agent`), from the edge; the edge's own is of no interest.
    pub const CLIENT_AGENT: &str = "x-agon-client-agent";
    /// Names one request through every service and log line.
    pub const REQUEST_ID: &str = "x-request-id";
    /// W3C trace context.
    pub const TRACEPARENT: &str = "traceparent";
    /// The time the caller is willing to wait.
    pub const TIMEOUT: &str = "grpc-timeout";
}
