//! Where test data is kept: in a directory, or in a bucket of an S3-compatible store.

use std::fmt;
use std::path::PathBuf;

use object_store::path::Path;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The place of test data. Empty texts are "not given".
///
/// Without `access_key`, what is not given here may come from the usual `AWS_*` variables, and the credentials
/// also from the role of the machine or container. With it, those variables are not looked at: half a credential
/// from here and half from there would be refused for reasons hard to see.
#[derive(Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ObjectsConfig {
    /// `file:` = `objects` in the data directory; `file:/directory`; `s3://bucket` or `s3://bucket/prefix`. The
    /// bucket has to exist; a rule of the bucket that ends unfinished uploads after a day is of use when a
    /// process is killed in the middle of one.
    pub url: String,
    /// Where the S3 store answers, such as `https://minio.example.org:9000`; empty = AWS.
    pub endpoint: String,
    /// The region of the bucket; empty = `us-east-1`.
    pub region: String,
    /// The name of the credential.
    pub access_key: String,
    /// The secret of the credential.
    pub secret_key: String,
    /// Whether the endpoint may be `http://`, where everybody on the way can read test data.
    pub allow_http: bool,
}

/// What `url` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// `objects` in the data directory.
    Data,
    /// This directory.
    Directory(PathBuf),
    /// This bucket.
    Bucket {
        /// Its name.
        bucket: String,
        /// What the names of all objects begin with; may be empty.
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

/// Without the secret.
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

/// A setting that cannot be used; the text begins with its key.
pub fn refused(key: &str, what: impl fmt::Display) -> Error {
    Error::Config(format!("problem.objects.{key}: {what}"))
}

impl ObjectsConfig {
    /// Where test data is, once the settings fit together.
    pub fn place(&self) -> Result<Place> {
        let unknown = || refused("url", "give `file:`, `file:/directory` or `s3://bucket/prefix`");
        if let Some(path) = self.url.strip_prefix("file:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return match path {
                "" => Ok(Place::Data),
                _ if path.starts_with('/') => Ok(Place::Directory(path.into())),
                _ => {
                    Err(refused("url", "a directory has to be absolute, such as `file:/srv/agon`"))
                }
            };
        }
        let rest = self.url.strip_prefix("s3://").ok_or_else(unknown)?;
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() || bucket.contains(['@', ':', '?', '#']) {
            return Err(unknown());
        }
        let prefix = Path::parse(prefix.trim_end_matches('/'))
            .map_err(|error| refused("url", format_args!("the prefix cannot be used: {error}")))?;
        self.check_endpoint()?;
        match (self.access_key.is_empty(), self.secret_key.is_empty()) {
            (false, true) => Err(refused("secret_key", "is missing, but access_key is given")),
            (true, false) => Err(refused("access_key", "is missing, but secret_key is given")),
            _ => Ok(Place::Bucket { bucket: bucket.to_owned(), prefix }),
        }
    }

    fn check_endpoint(&self) -> Result<()> {
        let endpoint = &self.endpoint;
        if endpoint.starts_with("http://") && !self.allow_http {
            let text = "is false, but the endpoint is http://; use https://, or set it to true in \
                        a network that you trust";
            return Err(refused("allow_http", text));
        }
        let known = ["http://", "https://"].iter().any(|scheme| endpoint.starts_with(scheme));
        match endpoint.is_empty() || known {
            true => Ok(()),
            false => Err(refused("endpoint", "give an address such as https://minio.example.org")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(url: &str) -> Result<Place, String> {
        let config = ObjectsConfig { url: url.into(), ..ObjectsConfig::default() };
        config.place().map_err(|error| error.to_string())
    }

    #[test]
    fn places() {
        let bucket = |bucket: &str, prefix: &str| {
            Ok(Place::Bucket { bucket: bucket.into(), prefix: Path::from(prefix) })
        };
        assert_eq!(place("file:"), Ok(Place::Data));
        assert_eq!(place("file:/srv/x"), Ok(Place::Directory("/srv/x".into())));
        assert_eq!(place("file:///srv/x"), Ok(Place::Directory("/srv/x".into())));
        assert_eq!(place("s3://tests"), bucket("tests", ""));
        assert_eq!(place("s3://tests/"), bucket("tests", ""));
        assert_eq!(place("s3://tests/agon/one/"), bucket("tests", "agon/one"));
        for wrong in
            ["", "objects", "/srv/x", "file:srv", "s3://", "s3:///x", "s3://a@b/x", "s3://a/b//c"]
        {
            assert!(place(wrong).unwrap_err().starts_with("problem.objects.url: "), "{wrong}");
        }
    }

    #[test]
    fn settings_fit_together() {
        let good = ObjectsConfig {
            url: "s3://tests".into(),
            endpoint: "https://s3.example.org".into(),
            access_key: "name".into(),
            secret_key: "hush".into(),
            ..ObjectsConfig::default()
        };
        good.place().unwrap();
        assert!(!format!("{good:?}").contains("hush"));
        let fails = |config: ObjectsConfig, key: &str| {
            let text = config.place().unwrap_err().to_string();
            assert!(text.starts_with(&format!("problem.objects.{key}: ")), "{text}");
        };
        fails(ObjectsConfig { secret_key: String::new(), ..good.clone() }, "secret_key");
        fails(ObjectsConfig { access_key: String::new(), ..good.clone() }, "access_key");
        let http = ObjectsConfig { endpoint: "http://s3.example.org".into(), ..good.clone() };
        fails(http.clone(), "allow_http");
        ObjectsConfig { allow_http: true, ..http }.place().unwrap();
        fails(ObjectsConfig { endpoint: "s3.example.org".into(), ..good }, "endpoint");
    }
}
