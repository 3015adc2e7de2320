//! TLS by rustls, for both sides of a connection, from PEM files that may be replaced at any time.

mod client;
mod explain;
mod files;
mod reload;
mod server;

pub(crate) use client::ClientTls;
pub(crate) use explain::explain;
pub use files::{Tls, TlsError};
pub use server::ServerTls;

use std::sync::Arc;

use tokio_rustls::rustls::crypto::{CryptoProvider, aws_lc_rs};

/// What gRPC is called in a TLS handshake.
const ALPN: &[u8] = b"h2";

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}
