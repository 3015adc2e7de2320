//! TLS of clients.

use std::time::Instant;

use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

use super::files::{Tls, TlsError};
use super::reload::Reload;
use super::{ALPN, explain, provider};

pub(crate) struct ClientTls(Reload<ClientConfig>);

impl ClientTls {
    pub(crate) fn new(files: &Tls) -> Result<Self, TlsError> {
        Reload::new(files, config).map(Self)
    }

    /// Performs the handshake with a server whose certificate must be valid for `host`. The error is
    /// a message for operators.
    pub(crate) async fn connect(
        &self,
        host: &str,
        stream: TcpStream,
    ) -> Result<TlsStream<TcpStream>, String> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| format!("{host:?} is not a valid server name for TLS"))?;
        let connector = TlsConnector::from(self.0.get(Instant::now()));
        let stream = connector.connect(name, stream).await.map_err(|error| explain(&error))?;
        match stream.get_ref().1.alpn_protocol() {
            Some(ALPN) => Ok(stream),
            _ => Err("the server does not offer HTTP/2 (ALPN h2)".into()),
        }
    }
}

fn config(files: &Tls) -> Result<ClientConfig, TlsError> {
    let hint = "set it to the CA that signed the server's certificate";
    let roots = files.roots()?.ok_or(TlsError::Missing { option: "ca", hint })?;
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("the provider has TLS 1.2 and 1.3")
        .with_root_certificates(roots);
    let mut config = match files.identity()? {
        None => builder.with_no_client_auth(),
        Some((chain, key)) => {
            builder.with_client_auth_cert(chain, key).map_err(|error| files.key_error(&error))?
        }
    };
    config.alpn_protocols = vec![ALPN.to_vec()];
    Ok(config)
}
