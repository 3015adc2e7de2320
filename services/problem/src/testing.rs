//! Object stores for tests: a directory, and a bucket if a server is configured.
//!
//! Always compiled, like `db::testing`; only tests call it.
//!
//! - `AGON_TEST_S3` is the URL of a bucket, `http://ACCESS_KEY:SECRET_KEY@HOST:PORT/BUCKET`. Tests write and remove
//!   objects with the prefix `test-`.
//! - `AGON_TEST_REQUIRE_ENGINES=1` makes a missing URL a failure instead of a skip.

use ids::Clock;

use crate::ObjectsConfig;

/// All stores to test on, each new and empty.
///
/// # Panics
/// Like [`bucket`].
#[must_use]
pub fn stores() -> Vec<ObjectsConfig> {
    std::iter::once(ObjectsConfig::default()).chain(bucket()).collect()
}

/// A new prefix in the bucket of `AGON_TEST_S3`. Returns `None` and prints a line if it is unset.
///
/// # Panics
/// If the bucket is required but unset, or the URL is invalid.
#[must_use]
pub fn bucket() -> Option<ObjectsConfig> {
    match std::env::var("AGON_TEST_S3") {
        Ok(url) if !url.is_empty() => Some(
            parse(&url)
                .expect("AGON_TEST_S3 must be http://ACCESS_KEY:SECRET_KEY@HOST:PORT/BUCKET"),
        ),
        _ if std::env::var("AGON_TEST_REQUIRE_ENGINES").is_ok_and(|v| v == "1") => {
            panic!("AGON_TEST_REQUIRE_ENGINES=1, but AGON_TEST_S3 is not set")
        }
        _ => {
            eprintln!("skipped on S3: AGON_TEST_S3 is not set");
            None
        }
    }
}

fn parse(url: &str) -> Option<ObjectsConfig> {
    let (scheme, rest) = url.split_once("://")?;
    let (account, rest) = rest.split_once('@')?;
    let (access_key, secret_key) = account.split_once(':')?;
    let (host, bucket) = rest.trim_end_matches('/').split_once('/')?;
    let id = Clock::system().new_id().simple();
    Some(ObjectsConfig {
        url: format!("s3://{bucket}/test-{id}"),
        endpoint: format!("{scheme}://{host}"),
        access_key: access_key.to_owned(),
        secret_key: secret_key.to_owned(),
        allow_http: scheme == "http",
        ..ObjectsConfig::default()
    })
}
