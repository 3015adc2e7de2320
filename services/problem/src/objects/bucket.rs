//! Opens a bucket of an S3-compatible store, and maps its errors to settings.

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

use crate::config::{ObjectsConfig, invalid};
use crate::error::{Error, Result};

/// Error code of S3 for a missing bucket.
pub const NO_BUCKET: &str = "NoSuchBucket";

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Time without received bytes; one part must be uploaded within it.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// Retries of a request, and the time after the first attempt in which they may start.
const MAX_RETRIES: usize = 3;
const RETRY_TIMEOUT: Duration = Duration::from_secs(20);

/// Object that is written and removed at start.
const PROBE: &str = "start-check";

/// Opens a bucket and verifies that it can be listed, and objects written and removed.
pub async fn open(
    config: &ObjectsConfig,
    bucket: &str,
    prefix: Path,
) -> Result<Arc<dyn ObjectStore>> {
    let client = client(config, bucket).map_err(|error| explain(config, bucket, &error))?;
    let store = PrefixStore::new(client, prefix);
    let access = async {
        store.list(None).try_next().await?;
        let probe = Path::from(PROBE);
        store.put(&probe, PROBE.into()).await?;
        store.delete(&probe).await
    };
    access.await.map_err(|error| explain(config, bucket, &error))?;
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
        .with_connect_timeout(CONNECT_TIMEOUT)
        // Reading a large object may take any time, as long as bytes arrive.
        .with_timeout_disabled()
        .with_read_timeout(READ_TIMEOUT);
    let backoff = BackoffConfig { max_backoff: Duration::from_secs(2), ..Default::default() };
    let retry = RetryConfig { backoff, max_retries: MAX_RETRIES, retry_timeout: RETRY_TIMEOUT };
    builder
        .with_bucket_name(bucket)
        .with_client_options(options)
        .with_retry(retry)
        // Not every store supports it, and objects are removed one by one.
        .with_disable_bulk_delete(true)
        .build()
}

/// Maps an error to the setting that the operator must change.
fn explain(config: &ObjectsConfig, bucket: &str, error: &StoreError) -> Error {
    let endpoint = match config.endpoint.as_str() {
        "" => "AWS (or AWS_ENDPOINT_URL)",
        url => url,
    };
    let code = code(error);
    let suffix = code.as_deref().map(|code| format!(" ({code})")).unwrap_or_default();
    match (error, code.as_deref()) {
        (StoreError::NotFound { .. }, _) | (_, Some(NO_BUCKET)) => {
            invalid("url", format_args!("bucket {bucket:?} does not exist at {endpoint}"))
        }
        (_, Some("AuthorizationHeaderMalformed" | "PermanentRedirect")) => invalid(
            "region",
            format_args!("the bucket {bucket:?} is in another region{suffix}: {error}"),
        ),
        _ if is_refusal(error) => invalid(
            "access_key",
            format_args!(
                "{endpoint} refuses these credentials{suffix}; they must allow listing, reading, \
                 writing and removing in the bucket {bucket:?}"
            ),
        ),
        _ if is_role_request(error) => invalid(
            "access_key",
            "no credentials in the configuration, in AWS_* variables, or from a role of this machine",
        ),
        _ => Error::Unavailable(format!(
            "problem.objects.endpoint: {endpoint} is unavailable: {error}"
        )),
    }
}

/// The error code in a response, such as `AccessDenied`.
pub fn code(error: &StoreError) -> Option<String> {
    let text = error.to_string();
    let (_, rest) = text.split_once("<Code>")?;
    rest.split_once("</Code>").map(|(code, _)| code.to_owned())
}

/// Whether the store refused the credentials. The error of a list request has no variant of its own.
fn is_refusal(error: &StoreError) -> bool {
    matches!(error, StoreError::PermissionDenied { .. } | StoreError::Unauthenticated { .. })
        || ["401 Unauthorized", "403 Forbidden"].iter().any(|s| error.to_string().contains(s))
}

/// Whether the request for the role of the machine failed.
fn is_role_request(error: &StoreError) -> bool {
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
    fn errors_name_the_setting() {
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
