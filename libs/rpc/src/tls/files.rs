//! Certificate and key files.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{Error, RootCertStore};

/// PEM files. A server needs `certificate` and `key`, and with `ca` requires client certificates. A
/// client needs `ca`, and sends `certificate` if the server requests it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    /// The CAs that are trusted to sign the other side's certificate.
    pub ca: Option<PathBuf>,
    /// This side's certificate, followed by the intermediate certificates.
    pub certificate: Option<PathBuf>,
    /// The private key of `certificate`.
    pub key: Option<PathBuf>,
}

/// The TLS configuration is invalid. `option` is the name of a field of [`Tls`].
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("tls.{option} is missing; {hint}")]
    Missing { option: &'static str, hint: &'static str },
    #[error("tls.{option}: cannot read {path}: {source}; expected {hint}", path = path.display())]
    Unreadable { option: &'static str, path: PathBuf, hint: &'static str, source: io::Error },
    #[error("tls.{option}: {path} {what}; expected {hint}", path = path.display())]
    Content { option: &'static str, path: PathBuf, what: String, hint: &'static str },
}

const CERTIFICATES: &str = "a PEM file that begins with -----BEGIN CERTIFICATE-----";
const KEY: &str = "a PEM file with -----BEGIN PRIVATE KEY-----, not encrypted";

pub(super) type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

impl Tls {
    pub(super) fn roots(&self) -> Result<Option<RootCertStore>, TlsError> {
        let Some(path) = &self.ca else { return Ok(None) };
        let mut roots = RootCertStore::empty();
        for certificate in certificates("ca", path)? {
            roots
                .add(certificate)
                .map_err(|error| content("ca", path, error.to_string(), CERTIFICATES))?;
        }
        Ok(Some(roots))
    }

    /// `certificate` and `key`; both or neither must be set.
    pub(super) fn identity(&self) -> Result<Option<Identity>, TlsError> {
        const HINT: &str = "tls.certificate and tls.key must be set together";
        let (certificate, key) = match (&self.certificate, &self.key) {
            (None, None) => return Ok(None),
            (Some(certificate), Some(key)) => (certificate, key),
            (None, _) => return Err(TlsError::Missing { option: "certificate", hint: HINT }),
            (_, None) => return Err(TlsError::Missing { option: "key", hint: HINT }),
        };
        let chain = certificates("certificate", certificate)?;
        let pem = read("key", key, KEY)?;
        let key = PrivateKeyDer::from_pem_slice(&pem)
            .map_err(|_| content("key", key, "has no private key", KEY))?;
        Ok(Some((chain, key)))
    }

    /// The error if rustls rejects the certificate and key.
    pub(super) fn key_error(&self, error: &Error) -> TlsError {
        let path = self.key.clone().unwrap_or_default();
        let what = match error {
            Error::InconsistentKeys(_) => {
                let certificate = self.certificate.as_deref().unwrap_or(Path::new(""));
                format!("is not the key of the certificate in {}", certificate.display())
            }
            other => format!("cannot be used: {other}"),
        };
        TlsError::Content { option: "key", path, what, hint: "the key of tls.certificate" }
    }

    /// A value that changes when one of the files changes.
    pub(super) fn stamp(&self) -> Stamp {
        [&self.ca, &self.certificate, &self.key].map(|path| {
            let data = fs::metadata(path.as_deref()?).ok()?;
            Some((data.dev(), data.ino(), data.size(), data.mtime(), data.mtime_nsec()))
        })
    }
}

/// Device, inode, size and modification time of each file.
pub(super) type Stamp = [Option<(u64, u64, u64, i64, i64)>; 3];

fn read(option: &'static str, path: &Path, hint: &'static str) -> Result<Vec<u8>, TlsError> {
    let path = path.to_owned();
    fs::read(&path).map_err(|source| TlsError::Unreadable { option, path, hint, source })
}

fn certificates(
    option: &'static str,
    path: &Path,
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let pem = read(option, path, CERTIFICATES)?;
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match all {
        Ok(all) if !all.is_empty() => Ok(all),
        _ => Err(content(option, path, "has no certificate", CERTIFICATES)),
    }
}

fn content(
    option: &'static str,
    path: &Path,
    what: impl Into<String>,
    hint: &'static str,
) -> TlsError {
    TlsError::Content { option, path: path.to_owned(), what: what.into(), hint }
}
