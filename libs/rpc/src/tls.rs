//! TLS for servers and clients, from PEM files that are reloaded when they change.

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

/// The ALPN protocol of gRPC.
const ALPN: &[u8] = b"h2";

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}
