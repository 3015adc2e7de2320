//! Errors of channels.

use crate::tls::TlsError;

pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A channel's configuration is invalid.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error("{url:?} is not the URL of a gRPC server; use http://host:port or https://host:port")]
    Address { url: String },
    #[error("the {role} service has no url; set at least one, for example http://host:port")]
    Nowhere { role: String },
    #[error("tls is set, but {url} is not an https:// URL; use https:// or remove tls")]
    Plaintext { url: String },
    #[error(transparent)]
    Tls(#[from] TlsError),
}
