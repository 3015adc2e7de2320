//! Messages for TLS errors.

use std::io;

use tokio_rustls::rustls::{AlertDescription as Alert, CertificateError, Error};

/// A message that names the cause of a connection error and the setting to change.
pub(crate) fn explain(error: &io::Error) -> String {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    let Some(tls) = tls else {
        return match error.kind() {
            io::ErrorKind::UnexpectedEof => {
                "the server closed the connection during the TLS handshake; \
                 if it does not use TLS, use http://"
                    .into()
            }
            _ => error.to_string(),
        };
    };
    let hint = match tls {
        Error::InvalidMessage(_) => "the server does not use TLS; use http:// or enable TLS there",
        Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
            "the server's certificate is not signed by tls.ca"
        }
        Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => "the URL's host is not in the server's certificate",
        Error::AlertReceived(Alert::CertificateRequired) => {
            "the server requires a client certificate; set tls.certificate and tls.key"
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
