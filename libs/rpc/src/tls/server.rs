//! TLS of servers.

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

/// The TLS configuration of a listener.
#[derive(Clone)]
pub struct ServerTls(Arc<Reload<ServerConfig>>);

impl ServerTls {
    /// Reads the files, and reads them again when they change. With `ca`, clients must have a
    /// certificate that it signed.
    pub fn new(files: &Tls) -> Result<Self, TlsError> {
        Reload::new(files, config).map(|reload| Self(Arc::new(reload)))
    }

    pub(crate) async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        TlsAcceptor::from(self.0.get(Instant::now())).accept(stream).await
    }
}

fn config(files: &Tls) -> Result<ServerConfig, TlsError> {
    let hint = "a TLS server needs tls.certificate and tls.key";
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
            builder.with_client_cert_verifier(verifier.expect("the root store is not empty"))
        }
    };
    let mut config =
        builder.with_single_cert(chain, key).map_err(|error| files.key_error(&error))?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    Ok(config)
}
