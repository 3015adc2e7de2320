//! Places of test data for tests: a directory always, a bucket when there is a server.
//!
//! Always compiled, as `db::testing`; nothing but tests calls it.
//!
//! - `AGON_TEST_S3` is `http://ACCESS_KEY:SECRET_KEY@HOST:PORT/BUCKET`, the URL of a bucket in which tests may
//!   write and remove under names that begin with `test-`.
//! - `AGON_TEST_REQUIRE_ENGINES=1` makes a missing URL a failure instead of a skip.

use ids::Clock;

use crate::ObjectsConfig;

/// The places to test on, each new and empty.
///
/// # Panics
/// As [`bucket`].
#[must_use]
pub fn places() -> Vec<ObjectsConfig> {
    std::iter::once(ObjectsConfig::default()).chain(bucket()).collect()
}

/// A new prefix in the bucket of `AGON_TEST_S3`; None, and a line that says so, when there is none.
///
/// # Panics
/// When the bucket is required but not there, or the URL cannot be read.
#[must_use]
pub fn bucket() -> Option<ObjectsConfig> {
    match std::env::var("AGON_TEST_S3") {
        Ok(url) if !url.is_empty() => Some(
            read(&url).expect("AGON_TEST_S3: give http://ACCESS_KEY:SECRET_KEY@HOST:PORT/BUCKET"),
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

fn read(url: &str) -> Option<ObjectsConfig> {
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
