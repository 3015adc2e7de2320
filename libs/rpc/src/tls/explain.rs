//! What rustls means.

use std::io;

use tokio_rustls::rustls::{AlertDescription as Alert, CertificateError, Error};

/// Says what is wrong with a connection, and what would be right.
pub(crate) fn explain(error: &io::Error) -> String {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    let Some(tls) = tls else {
        return match error.kind() {
            io::ErrorKind::UnexpectedEof => {
                "it hung up during the TLS handshake; without TLS there, give http://".into()
            }
            _ => error.to_string(),
        };
    };
    let hint = match tls {
        Error::InvalidMessage(_) => "the server does not speak TLS; give http://, or turn it on",
        Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
            "the server's certificate is not signed by tls.ca"
        }
        Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => "the URL's host is not in the server's certificate",
        Error::AlertReceived(Alert::CertificateRequired) => {
            "the server asks for a client certificate; give tls.certificate and tls.key"
        }
        Error::AlertReceived(
            Alert::UnknownCA
            | Alert::BadCertificate
            | Alert::CertificateExpired
            | Alert::DecryptError,
        ) => "the server does not trust the certificate in tls.certificate",
        _ => return tls.to_string(),
    };
    format!("{hint} ({tls})")
}
