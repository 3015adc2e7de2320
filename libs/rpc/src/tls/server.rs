//! The side that listens.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::server::TlsStream;

use super::files::{Tls, TlsError};
use super::reload::Reload;
use super::{ALPN, provider};

/// What a listener shows its clients, and asks of them.
#[derive(Clone)]
pub struct ServerTls(Arc<Reload<ServerConfig>>);

impl ServerTls {
    /// Reads the files, and again when they change. With `ca`, clients without a certificate that
    /// it signed are turned away.
    pub fn new(files: &Tls) -> Result<Self, TlsError> {
        Reload::new(files, config).map(|reload| Self(Arc::new(reload)))
    }

    pub(crate) async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        TlsAcceptor::from(self.0.get(Instant::now())).accept(stream).await
    }
}

fn config(files: &Tls) -> Result<ServerConfig, TlsError> {
    let hint = "a server that speaks TLS needs tls.certificate and tls.key";
    let (chain, key) =
        files.identity()?.ok_or(TlsError::Missing { option: "certificate", hint })?;
    let builder = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("the provider has TLS 1.2 and 1.3");
    let builder = match files.roots()? {
        None => builder.with_no_client_auth(),
        Some(roots) => {
            let verifier =
                WebPkiClientVerifier::builder_with_provider(roots.into(), provider()).build();
            builder.with_client_cert_verifier(verifier.expect("there is a root, and no revocation"))
        }
    };
    let mut config = builder.with_single_cert(chain, key).map_err(|error| files.refused(&error))?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    Ok(config)
}
