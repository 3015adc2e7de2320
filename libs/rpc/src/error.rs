//! Errors of channels.

use crate::tls::TlsError;

pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A channel's configuration is invalid.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// A URL does not name a gRPC server.
    #[error("{url:?} is not the URL of a gRPC server; use http://host:port or https://host:port")]
    Address {
        /// The invalid URL.
        url: String,
    },
    /// The list of URLs is empty.
    #[error("the {role} service has no url; set at least one, for example http://host:port")]
    Nowhere {
        /// The role without URLs.
        role: String,
    },
    /// Certificates are configured, but no URL uses TLS.
    #[error("tls is set, but {url} is not an https:// URL; use https:// or remove tls")]
    Plaintext {
        /// The first URL.
        url: String,
    },
    /// The certificates cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
}
