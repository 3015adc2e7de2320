//! Connections to brokers: TLS and SASL authentication.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::Error;

/// Whether librdkafka was built with OpenSSL, which TLS and SCRAM need.
const BUILT_WITH_TLS: bool = cfg!(feature = "tls");

/// PEM files, for brokers behind `kafkas://`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    /// The CA certificates that may sign the brokers' certificates. Default: those that the system trusts.
    pub ca: Option<PathBuf>,
    /// The client certificate, followed by intermediate certificates, for brokers that request one.
    pub certificate: Option<PathBuf>,
    /// The private key of `certificate`.
    pub key: Option<PathBuf>,
}

/// The account at the brokers; anonymous without a `username`.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sasl {
    /// How the password is sent.
    pub mechanism: Mechanism,
    /// The name of the account.
    pub username: Option<String>,
    /// The password of the account.
    pub password: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mechanism {
    #[serde(rename = "PLAIN")]
    Plain,
    #[serde(rename = "SCRAM-SHA-256")]
    ScramSha256,
    #[default]
    #[serde(rename = "SCRAM-SHA-512")]
    ScramSha512,
}

impl Mechanism {
    fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
        }
    }
}

/// Omits the password.
impl fmt::Debug for Sasl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sasl")
            .field("mechanism", &self.mechanism)
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

/// Settings of librdkafka that have a key of their own, with that key. They are rejected under `client`, where they
/// could contradict it.
pub(super) const OWN_KEYS: [(&str, &str); 10] = [
    ("bootstrap.servers", "url"),
    ("metadata.broker.list", "url"),
    ("security.protocol", "url (kafka:// or kafkas://) and sasl.username"),
    ("sasl.mechanism", "sasl.mechanism"),
    ("sasl.mechanisms", "sasl.mechanism"),
    ("sasl.username", "sasl.username"),
    ("sasl.password", "sasl.password"),
    ("ssl.ca.location", "tls.ca"),
    ("ssl.certificate.location", "tls.certificate"),
    ("ssl.key.location", "tls.key"),
];

/// The settings of librdkafka. An error starts with the key at fault.
pub(super) fn settings(
    encrypted: bool,
    tls: &Tls,
    sasl: &Sasl,
) -> Result<Vec<(&'static str, String)>, Error> {
    let protocol = match (encrypted, sasl.username.is_some()) {
        (false, false) => "plaintext",
        (true, false) => "ssl",
        (false, true) => "sasl_plaintext",
        (true, true) => "sasl_ssl",
    };
    let mut settings = vec![("security.protocol", protocol.to_owned())];
    settings.extend(tls_settings(encrypted, tls)?);
    settings.extend(sasl_settings(sasl)?);
    Ok(settings)
}

fn tls_settings(encrypted: bool, tls: &Tls) -> Result<Vec<(&'static str, String)>, Error> {
    let files = [
        ("ca", "ssl.ca.location", &tls.ca),
        ("certificate", "ssl.certificate.location", &tls.certificate),
        ("key", "ssl.key.location", &tls.key),
    ];
    let given = files.iter().filter_map(|(key, name, path)| Some((*key, *name, path.as_ref()?)));
    if !encrypted {
        return match given.into_iter().next() {
            Some((key, ..)) => Err(wrong(format!("tls.{key}"), "requires a url with kafkas://")),
            None => Ok(Vec::new()),
        };
    }
    if !BUILT_WITH_TLS {
        return Err(wrong("url", &format!("kafkas:// {NOT_BUILT}")));
    }
    match (&tls.certificate, &tls.key) {
        (Some(_), None) => {
            return Err(wrong("tls.key", "must be set because tls.certificate is set"));
        }
        (None, Some(_)) => {
            return Err(wrong("tls.certificate", "must be set because tls.key is set"));
        }
        _ => {}
    }
    given.map(|(key, name, path)| Ok((name, readable(key, path)?))).collect()
}

fn sasl_settings(sasl: &Sasl) -> Result<Vec<(&'static str, String)>, Error> {
    match (&sasl.username, &sasl.password) {
        (None, None) => Ok(Vec::new()),
        (Some(_), None) => Err(wrong("sasl.password", "must be set because sasl.username is set")),
        (None, Some(_)) => Err(wrong("sasl.username", "must be set because sasl.password is set")),
        (Some(_), Some(_)) if !BUILT_WITH_TLS && sasl.mechanism != Mechanism::Plain => {
            let mechanism = sasl.mechanism.name();
            Err(wrong("sasl.mechanism", &format!("{mechanism} {NOT_BUILT}")))
        }
        (Some(username), Some(password)) => Ok(vec![
            ("sasl.mechanisms", sasl.mechanism.name().to_owned()),
            ("sasl.username", username.clone()),
            ("sasl.password", password.clone()),
        ]),
    }
}

const NOT_BUILT: &str = "requires a program built with `--features kafka-tls`";

fn wrong(key: impl fmt::Display, what: &str) -> Error {
    Error::Config(format!("{key}: {what}"))
}

/// Checks a file here because librdkafka's error does not name the setting.
fn readable(key: &str, path: &Path) -> Result<String, Error> {
    let refused = |error: &dyn fmt::Display| {
        wrong(format!("tls.{key}"), &format!("cannot read PEM file {}: {error}", path.display()))
    };
    std::fs::File::open(path).map_err(|error| refused(&error))?;
    path.to_str().map(str::to_owned).ok_or_else(|| refused(&"the path is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(mechanism: Mechanism) -> Sasl {
        Sasl { mechanism, username: Some("agon".into()), password: Some("hush".into()) }
    }

    fn protocol(encrypted: bool, sasl: &Sasl) -> String {
        settings(encrypted, &Tls::default(), sasl).unwrap().swap_remove(0).1
    }

    #[track_caller]
    fn refused(encrypted: bool, tls: &Tls, sasl: &Sasl, key: &str) {
        let text = settings(encrypted, tls, sasl).unwrap_err().to_string();
        assert!(text.starts_with(&format!("{key}: ")), "{text}");
    }

    #[test]
    fn plaintext_accepts_only_sasl_plain_settings() {
        let anonymous = Sasl::default();
        assert_eq!(protocol(false, &anonymous), "plaintext");
        let plain = account(Mechanism::Plain);
        assert_eq!(protocol(false, &plain), "sasl_plaintext");
        assert!(!format!("{plain:?}").contains("hush"));
        refused(false, &Tls::default(), &Sasl { password: None, ..plain.clone() }, "sasl.password");
        refused(false, &Tls::default(), &Sasl { username: None, ..plain }, "sasl.username");
        let tls = Tls { ca: Some("ca.pem".into()), ..Tls::default() };
        refused(false, &tls, &anonymous, "tls.ca");
    }

    #[cfg(not(feature = "tls"))]
    #[test]
    fn tls_and_scram_are_rejected_without_the_feature() {
        refused(true, &Tls::default(), &Sasl::default(), "url");
        for mechanism in [Mechanism::ScramSha256, Mechanism::ScramSha512] {
            refused(false, &Tls::default(), &account(mechanism), "sasl.mechanism");
        }
        let text = settings(true, &Tls::default(), &Sasl::default()).unwrap_err().to_string();
        assert!(text.contains("--features kafka-tls"), "{text}");
    }

    #[cfg(feature = "tls")]
    #[test]
    fn tls_and_scram_are_accepted_with_the_feature() {
        assert_eq!(protocol(true, &Sasl::default()), "ssl");
        assert_eq!(protocol(true, &account(Mechanism::default())), "sasl_ssl");
        assert_eq!(protocol(false, &account(Mechanism::ScramSha256)), "sasl_plaintext");
        let anonymous = Sasl::default();
        let partial = Tls { certificate: Some("c.pem".into()), ..Tls::default() };
        refused(true, &partial, &anonymous, "tls.key");
        let partial = Tls { key: Some("c.key".into()), ..Tls::default() };
        refused(true, &partial, &anonymous, "tls.certificate");
        let missing = Tls { ca: Some("/nowhere/ca.pem".into()), ..Tls::default() };
        refused(true, &missing, &anonymous, "tls.ca");
    }
}
