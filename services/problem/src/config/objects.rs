//! Location of test data: a directory, or a bucket of an S3-compatible store.

use std::fmt;
use std::path::PathBuf;

use object_store::path::Path;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The store of test data. Empty values count as unset.
///
/// Without `access_key`, unset values are taken from the standard `AWS_*` variables, and credentials also from the
/// role of the machine or container. With it, those variables are ignored, so that credentials never come from two
/// sources.
#[derive(Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ObjectsConfig {
    /// `file:` = `objects` in the data directory; `file:/directory`; `s3://bucket` or `s3://bucket/prefix`. The
    /// bucket must exist. A lifecycle rule of the bucket should abort incomplete uploads after a day; a killed
    /// process leaves them behind.
    pub url: String,
    /// URL of the S3 store, such as `https://minio.example.org:9000`; empty = AWS.
    pub endpoint: String,
    /// Region of the bucket; empty = `us-east-1`.
    pub region: String,
    pub access_key: String,
    pub secret_key: String,
    /// Allow an `http://` endpoint: test data is then sent unencrypted.
    pub allow_http: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// `objects` in the data directory.
    Data,
    Directory(PathBuf),
    Bucket {
        bucket: String,
        /// Prefix of all object names; may be empty.
        prefix: Path,
    },
}

impl Default for ObjectsConfig {
    fn default() -> Self {
        let none = String::new;
        Self {
            url: "file:".into(),
            endpoint: none(),
            region: none(),
            access_key: none(),
            secret_key: none(),
            allow_http: false,
        }
    }
}

/// Omits the secret.
impl fmt::Debug for ObjectsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObjectsConfig")
            .field("url", &self.url)
            .field("endpoint", &self.endpoint)
            .field("region", &self.region)
            .field("access_key", &self.access_key)
            .field("allow_http", &self.allow_http)
            .finish_non_exhaustive()
    }
}

/// An invalid setting; the text starts with its key.
pub fn invalid(key: &str, what: impl fmt::Display) -> Error {
    Error::Config(format!("problem.objects.{key}: {what}"))
}

impl ObjectsConfig {
    /// The location of test data, after the settings were validated.
    pub fn location(&self) -> Result<Location> {
        let unknown =
            || invalid("url", "must be `file:`, `file:/directory` or `s3://bucket/prefix`");
        if let Some(path) = self.url.strip_prefix("file:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return match path {
                "" => Ok(Location::Data),
                _ if path.starts_with('/') => Ok(Location::Directory(path.into())),
                _ => {
                    Err(invalid("url", "the directory must be absolute, such as `file:/srv/agon`"))
                }
            };
        }
        let rest = self.url.strip_prefix("s3://").ok_or_else(unknown)?;
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() || bucket.contains(['@', ':', '?', '#']) {
            return Err(unknown());
        }
        let prefix = Path::parse(prefix.trim_end_matches('/'))
            .map_err(|error| invalid("url", format_args!("invalid prefix: {error}")))?;
        self.check_endpoint()?;
        match (self.access_key.is_empty(), self.secret_key.is_empty()) {
            (false, true) => Err(invalid("secret_key", "is required together with access_key")),
            (true, false) => Err(invalid("access_key", "is required together with secret_key")),
            _ => Ok(Location::Bucket { bucket: bucket.to_owned(), prefix }),
        }
    }

    fn check_endpoint(&self) -> Result<()> {
        let endpoint = &self.endpoint;
        if endpoint.starts_with("http://") && !self.allow_http {
            let text =
                "must be true for an http:// endpoint; use https:// outside of trusted networks";
            return Err(invalid("allow_http", text));
        }
        let known = ["http://", "https://"].iter().any(|scheme| endpoint.starts_with(scheme));
        match endpoint.is_empty() || known {
            true => Ok(()),
            false => Err(invalid("endpoint", "must be a URL such as https://minio.example.org")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn location(url: &str) -> Result<Location, String> {
        let config = ObjectsConfig { url: url.into(), ..ObjectsConfig::default() };
        config.location().map_err(|error| error.to_string())
    }

    #[test]
    fn locations_are_parsed() {
        let bucket = |bucket: &str, prefix: &str| {
            Ok(Location::Bucket { bucket: bucket.into(), prefix: Path::from(prefix) })
        };
        assert_eq!(location("file:"), Ok(Location::Data));
        assert_eq!(location("file:/srv/x"), Ok(Location::Directory("/srv/x".into())));
        assert_eq!(location("file:///srv/x"), Ok(Location::Directory("/srv/x".into())));
        assert_eq!(location("s3://tests"), bucket("tests", ""));
        assert_eq!(location("s3://tests/"), bucket("tests", ""));
        assert_eq!(location("s3://tests/agon/one/"), bucket("tests", "agon/one"));
        for wrong in
            ["", "objects", "/srv/x", "file:srv", "s3://", "s3:///x", "s3://a@b/x", "s3://a/b//c"]
        {
            assert!(location(wrong).unwrap_err().starts_with("problem.objects.url: "), "{wrong}");
        }
    }

    #[test]
    fn inconsistent_settings_are_refused() {
        let good = ObjectsConfig {
            url: "s3://tests".into(),
            endpoint: "https://s3.example.org".into(),
            access_key: "name".into(),
            secret_key: "hush".into(),
            ..ObjectsConfig::default()
        };
        good.location().unwrap();
        assert!(!format!("{good:?}").contains("hush"));
        let fails = |config: ObjectsConfig, key: &str| {
            let text = config.location().unwrap_err().to_string();
            assert!(text.starts_with(&format!("problem.objects.{key}: ")), "{text}");
        };
        fails(ObjectsConfig { secret_key: String::new(), ..good.clone() }, "secret_key");
        fails(ObjectsConfig { access_key: String::new(), ..good.clone() }, "access_key");
        let http = ObjectsConfig { endpoint: "http://s3.example.org".into(), ..good.clone() };
        fails(http.clone(), "allow_http");
        ObjectsConfig { allow_http: true, ..http }.location().unwrap();
        fails(ObjectsConfig { endpoint: "s3.example.org".into(), ..good }, "endpoint");
    }
}
