//! The object store, on every kind of store.

mod flaky_proxy;

use std::collections::BTreeSet;
use std::time::Duration;

use object_store::PutPayload;
use tempfile::TempDir;
use tonic::{Code, Status};

use super::*;
use crate::testing;
use flaky_proxy::FlakyProxy;

/// Runs a test on every store. Its objects are removed when it passes.
async fn each(test: impl AsyncFn(&Objects, &TempDir)) {
    for config in testing::stores() {
        println!("on {}", config.url);
        let dir = tempfile::tempdir().unwrap();
        let objects = Objects::open(&config, &dir.path().join("data")).await.unwrap();
        test(&objects, &dir).await;
        for digest in listed(&objects).await {
            objects.remove(&digest).await.unwrap();
        }
    }
}

fn blob(dir: &TempDir, bytes: &[u8]) -> Blob {
    let digest = hex::encode(Sha256::digest(bytes));
    let path = dir.path().join(&digest);
    std::fs::write(&path, bytes).unwrap();
    Blob { path, size: bytes.len() as u64, digest }
}

/// More than two different parts.
fn large() -> Vec<u8> {
    let numbers = (0..(2 * PART_SIZE as u32 + 12_345) / 4).map(|n| n.wrapping_mul(2_654_435_761));
    numbers.flat_map(u32::to_le_bytes).collect()
}

fn content(blob: &Blob) -> Vec<u8> {
    std::fs::read(&blob.path).unwrap()
}

async fn put(objects: &Objects, blob: &Blob) -> Result<()> {
    objects.put_all(&BTreeMap::from([(blob.digest.clone(), blob.clone())])).await
}

async fn bytes(objects: &Objects, digest: &str) -> Result<Vec<u8>> {
    let chunks: Vec<Bytes> = objects.get(digest).await?.try_collect().await?;
    assert!(chunks.iter().all(|chunk| (1..=CHUNK_SIZE).contains(&chunk.len())));
    Ok(chunks.concat())
}

async fn listed(objects: &Objects) -> BTreeSet<String> {
    let all: Vec<_> = objects.0.list(None).try_collect().await.unwrap();
    all.iter().map(|object| digest_of(&object.location).expect("a digest")).collect()
}

#[tokio::test]
async fn objects_are_stored_listed_and_removed() {
    each(async |objects, dir| {
        assert!(listed(objects).await.is_empty());
        let blobs = [blob(dir, b""), blob(dir, b"one"), blob(dir, b"two\n")];
        let map = blobs.iter().map(|blob| (blob.digest.clone(), blob.clone())).collect();
        objects.put_all(&map).await.unwrap();
        objects.put_all(&map).await.unwrap();
        assert_eq!(listed(objects).await, map.keys().cloned().collect());
        let mut parts = Vec::new();
        for first in 0..=u8::MAX {
            let part: Vec<_> = objects.list(first).try_collect().await.unwrap();
            parts.extend(part.iter().map(|object| digest_of(&object.location).unwrap()));
        }
        assert_eq!(parts, map.keys().cloned().collect::<Vec<_>>());
        for blob in &blobs {
            assert_eq!(bytes(objects, &blob.digest).await.unwrap(), content(blob));
        }
        let removed = &blobs[1].digest;
        objects.remove(removed).await.unwrap();
        objects.remove(removed).await.unwrap();
        assert!(matches!(bytes(objects, removed).await, Err(Error::NotFound("object"))));
        assert_eq!(listed(objects).await.len(), 2);
    })
    .await;
}

#[tokio::test]
async fn large_objects_are_uploaded_in_parts() {
    each(async |objects, dir| {
        let large = blob(dir, &large());
        put(objects, &large).await.unwrap();
        let found: Vec<_> = objects.0.list(None).try_collect().await.unwrap();
        assert_eq!(found.iter().map(|object| object.size).collect::<Vec<_>>(), [large.size]);
        assert!(bytes(objects, &large.digest).await.unwrap() == content(&large));
        // A whole number of parts has no empty last part.
        let even = blob(dir, &content(&large)[..2 * PART_SIZE as usize]);
        put(objects, &even).await.unwrap();
        assert!(bytes(objects, &even.digest).await.unwrap() == content(&even));
    })
    .await;
}

#[tokio::test]
async fn damaged_objects_are_detected_and_replaced() {
    each(async |objects, dir| {
        let good = blob(dir, b"the right bytes");
        put(objects, &good).await.unwrap();
        let damage = async |bytes: &'static str| {
            let payload = PutPayload::from_static(bytes.as_bytes());
            objects.0.put(&path_of(&good.digest), payload).await.unwrap();
        };
        damage("the wrong bytes").await;
        let error = bytes(objects, &good.digest).await.unwrap_err();
        assert!(matches!(&error, Error::Damaged(digest) if *digest == good.digest), "{error}");
        damage("the right b").await;
        assert!(matches!(bytes(objects, &good.digest).await, Err(Error::Damaged(_))));
        // An object of the wrong size is written again.
        put(objects, &good).await.unwrap();
        assert_eq!(bytes(objects, &good.digest).await.unwrap(), b"the right bytes");
    })
    .await;
}

#[tokio::test]
async fn concurrent_writes_of_one_object_succeed() {
    each(async |objects, dir| {
        for blob in [blob(dir, b"small"), blob(dir, &large())] {
            let puts = (0..4).map(|_| put(objects, &blob));
            let done = futures_util::future::join_all(puts).await;
            assert!(done.iter().all(Result::is_ok), "{done:?}");
            assert!(bytes(objects, &blob.digest).await.unwrap() == content(&blob));
        }
        assert_eq!(listed(objects).await.len(), 2);
    })
    .await;
}

#[tokio::test]
async fn files_of_changed_size_are_refused() {
    each(async |objects, dir| {
        for bytes in [b"small".to_vec(), large()] {
            let shorter = blob(dir, &bytes);
            put(objects, &Blob { size: shorter.size + 1, ..shorter }).await.unwrap_err();
        }
        assert!(listed(objects).await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn dropped_upload_leaves_no_object() {
    each(async |objects, dir| {
        let blob = blob(dir, &large());
        let mut upload = Box::pin(put(objects, &blob));
        // A single poll starts the upload, but cannot finish it.
        assert!(futures_util::poll!(&mut upload).is_pending());
        drop(upload);
        assert!(listed(objects).await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn failed_upload_leaves_no_object() {
    let Some(config) = testing::bucket() else { return };
    let dir = tempfile::tempdir().unwrap();
    let direct = Objects::open(&config, dir.path()).await.unwrap();
    let proxy = FlakyProxy::new(&config.endpoint).await;
    let proxied = ObjectsConfig { endpoint: proxy.endpoint(), ..config };
    let objects = Objects::open(&proxied, dir.path()).await.unwrap();
    for (bytes, sent) in [(b"small".to_vec(), 0), (large(), PART_SIZE as usize + 100_000)] {
        let blob = blob(&dir, &bytes);
        proxy.fail_after(sent);
        assert_unavailable(put(&objects, &blob).await.unwrap_err());
        assert!(listed(&direct).await.is_empty());
        proxy.recover();
        put(&objects, &blob).await.unwrap();
        proxy.fail_after(0);
        assert_unavailable(objects.get(&blob.digest).await.map(|_| ()).unwrap_err());
        assert_unavailable(objects.remove(&blob.digest).await.unwrap_err());
        proxy.recover();
        objects.remove(&blob.digest).await.unwrap();
    }
}

/// The status allows the caller to retry.
#[track_caller]
fn assert_unavailable(error: Error) {
    let status = Status::from(error);
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    assert_eq!(::rpc::status::reason(&status).as_deref(), Some("OBJECTS_UNAVAILABLE"));
    assert!(::rpc::status::retry_after(&status).is_some_and(|after| after > Duration::ZERO));
}

#[tokio::test]
async fn unreachable_store_is_reported_at_start() {
    // Bound but not listening: the port refuses connections and stays reserved.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let endpoint = format!("http://{}", socket.local_addr().unwrap());
    let config = ObjectsConfig {
        url: "s3://tests/agon".into(),
        endpoint: endpoint.clone(),
        access_key: "name".into(),
        secret_key: "hush".into(),
        allow_http: true,
        ..ObjectsConfig::default()
    };
    let dir = tempfile::tempdir().unwrap();
    let error = Objects::open(&config, dir.path()).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable(_)), "{error}");
    let text = error.to_string();
    assert!(text.starts_with("problem.objects.endpoint: ") && text.contains(&endpoint), "{text}");
    assert!(!text.contains("hush"), "{text}");
}

#[tokio::test]
async fn invalid_settings_are_reported_at_start() {
    let Some(config) = testing::bucket() else { return };
    let dir = tempfile::tempdir().unwrap();
    let fails = async |config: ObjectsConfig, start: &str| {
        let error = Objects::open(&config, dir.path()).await.unwrap_err();
        assert!(matches!(error, Error::Config(_)), "{error}");
        assert!(error.to_string().starts_with(start), "{error}");
    };
    let url = "s3://no-such-bucket-here/x".to_owned();
    fails(ObjectsConfig { url, ..config.clone() }, "problem.objects.url: ").await;
    let wrong = || "wrong".to_owned();
    let name = ObjectsConfig { access_key: wrong(), ..config.clone() };
    fails(name, "problem.objects.access_key: ").await;
    let secret = ObjectsConfig { secret_key: wrong(), ..config };
    fails(secret, "problem.objects.access_key: ").await;
}

#[tokio::test]
async fn directory_that_cannot_be_created_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    let url = format!("file:{}/objects", file.display());
    let config = ObjectsConfig { url, ..ObjectsConfig::default() };
    let text = Objects::open(&config, dir.path()).await.unwrap_err().to_string();
    assert!(text.starts_with("problem.objects.url: "), "{text}");
    assert!(text.contains(&file.display().to_string()), "{text}");
}
