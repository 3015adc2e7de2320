//! A bucket of an S3-compatible store: opened, tried, and its refusals in the words of the configuration.

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt as _;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{
    BackoffConfig, ClientOptions, Error as StoreError, ObjectStore, ObjectStoreExt as _,
    RetryConfig,
};

use crate::config::{ObjectsConfig, refused};
use crate::error::{Error, Result};

/// What S3 says when there is no such bucket.
pub const NO_BUCKET: &str = "NoSuchBucket";

const CONNECT: Duration = Duration::from_secs(5);
/// How long the store may say nothing. A part has to be uploaded within it.
const SILENCE: Duration = Duration::from_secs(30);
/// Tries after the first one, and how long after the first one the last may begin.
const RETRIES: usize = 3;
const RETRY_WITHIN: Duration = Duration::from_secs(20);

/// Written and removed at start.
const PROBE: &str = "start-check";

/// Opens a bucket and finds out whether it can be listed, written to and removed from.
pub async fn open(
    config: &ObjectsConfig,
    bucket: &str,
    prefix: Path,
) -> Result<Arc<dyn ObjectStore>> {
    let client = client(config, bucket).map_err(|error| explain(config, bucket, &error))?;
    let store = PrefixStore::new(client, prefix);
    let tried = async {
        store.list(None).try_next().await?;
        let probe = Path::from(PROBE);
        store.put(&probe, PROBE.into()).await?;
        store.delete(&probe).await
    };
    tried.await.map_err(|error| explain(config, bucket, &error))?;
    Ok(Arc::new(store))
}

fn client(config: &ObjectsConfig, bucket: &str) -> object_store::Result<AmazonS3> {
    let mut builder = match config.access_key.as_str() {
        "" => AmazonS3Builder::from_env(),
        name => AmazonS3Builder::new()
            .with_access_key_id(name)
            .with_secret_access_key(&config.secret_key),
    };
    if !config.endpoint.is_empty() {
        builder = builder.with_endpoint(&config.endpoint);
    }
    if !config.region.is_empty() {
        builder = builder.with_region(&config.region);
    }
    let options = ClientOptions::new()
        .with_allow_http(config.allow_http)
        .with_connect_timeout(CONNECT)
        // A large object may be read for as long as its reader likes, if only bytes keep coming.
        .with_timeout_disabled()
        .with_read_timeout(SILENCE);
    let backoff = BackoffConfig { max_backoff: Duration::from_secs(2), ..Default::default() };
    let retry = RetryConfig { backoff, max_retries: RETRIES, retry_timeout: RETRY_WITHIN };
    builder
        .with_bucket_name(bucket)
        .with_client_options(options)
        .with_retry(retry)
        // Not every store can remove several at once, and we remove them one by one.
        .with_disable_bulk_delete(true)
        .build()
}

/// What an operator has to change.
fn explain(config: &ObjectsConfig, bucket: &str, error: &StoreError) -> Error {
    let endpoint = match config.endpoint.as_str() {
        "" => "AWS (or what AWS_ENDPOINT_URL names)",
        given => given,
    };
    let code = code(error);
    let said = code.as_deref().map(|code| format!(" ({code})")).unwrap_or_default();
    match (error, code.as_deref()) {
        (StoreError::NotFound { .. }, _) | (_, Some(NO_BUCKET)) => {
            refused("url", format_args!("there is no bucket {bucket:?} at {endpoint}"))
        }
        (_, Some("AuthorizationHeaderMalformed" | "PermanentRedirect")) => refused(
            "region",
            format_args!("the bucket {bucket:?} is in another region{said}: {error}"),
        ),
        _ if is_refusal(error) => refused(
            "access_key",
            format_args!(
                "{endpoint} refuses these credentials{said}; they have to be good for listing, \
                 reading, writing and removing in the bucket {bucket:?}"
            ),
        ),
        _ if asks_for_role(error) => refused(
            "access_key",
            "no credentials: none here, none in the AWS_* variables, and this machine has no role",
        ),
        _ => Error::Away(format!("problem.objects.endpoint: {endpoint} does not answer: {error}")),
    }
}

/// The code of the store's answer, such as `AccessDenied`.
pub fn code(error: &StoreError) -> Option<String> {
    let text = error.to_string();
    let (_, rest) = text.split_once("<Code>")?;
    rest.split_once("</Code>").map(|(code, _)| code.to_owned())
}

/// Whether the store knows us and says no. The answer to a list has no variant of its own.
fn is_refusal(error: &StoreError) -> bool {
    matches!(error, StoreError::PermissionDenied { .. } | StoreError::Unauthenticated { .. })
        || ["401 Unauthorized", "403 Forbidden"].iter().any(|s| error.to_string().contains(s))
}

/// Whether what failed was the question for the machine's role.
fn asks_for_role(error: &StoreError) -> bool {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text += &inner.to_string();
        cause = inner.source();
    }
    text.contains("/latest/api/token") || text.contains("/latest/meta-data")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_name_the_key() {
        let config = ObjectsConfig { endpoint: "https://s3.test".into(), ..Default::default() };
        let body = |code: &str| format!("<Error><Code>{code}</Code></Error>").into();
        let path = String::new;
        let check = |error: &StoreError, key: &str, also: &str| {
            let text = explain(&config, "tests", error).to_string();
            assert!(text.starts_with(&format!("problem.objects.{key}: ")), "{text}");
            assert!(text.contains(also), "{text}");
        };
        let error = StoreError::NotFound { path: path(), source: body(NO_BUCKET) };
        check(&error, "url", "\"tests\"");
        let source = body("InvalidAccessKeyId");
        check(&StoreError::PermissionDenied { path: path(), source }, "access_key", "(InvalidAcc");
        let source = body("AuthorizationHeaderMalformed");
        check(&StoreError::Generic { store: "S3", source }, "region", "another region");
        let source = "PUT http://169.254.169.254/latest/api/token".into();
        check(&StoreError::Generic { store: "S3", source }, "access_key", "no credentials");
        let source = "connection refused".into();
        check(&StoreError::Generic { store: "S3", source }, "endpoint", "https://s3.test");
    }
}
