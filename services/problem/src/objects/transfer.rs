//! Copies objects to another store, and locates the files of a local one.

use std::path::{Path as FilePath, PathBuf};

use futures_util::future::BoxFuture;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use package::Blob;

use super::{CONCURRENT_WRITES, Objects};
use crate::config::{Location, ObjectsConfig, invalid};
use crate::error::{Error, Result};

#[derive(Clone, Debug)]
pub struct Files(PathBuf);

impl Files {
    /// The files of the configured store; `None` for a bucket. `data` is the data directory.
    pub fn of(config: &ObjectsConfig, data: &FilePath) -> Result<Option<Self>> {
        Ok(match config.location()? {
            Location::Data => Some(Self(data.join("objects"))),
            Location::Directory(path) => Some(Self(path)),
            Location::Bucket { .. } => None,
        })
    }

    #[must_use]
    pub fn path(&self, digest: &str) -> PathBuf {
        super::path_of(digest).parts().fold(self.0.clone(), |path, part| path.join(part.as_ref()))
    }

    fn blob(&self, digest: &str) -> Result<Blob> {
        let path = self.path(digest);
        let file = std::fs::metadata(&path).map_err(|error| {
            std::io::Error::new(error.kind(), format!("object {}: {error}", path.display()))
        })?;
        Ok(Blob { path, size: file.len(), digest: digest.to_owned() })
    }
}

#[derive(Clone, Debug)]
pub struct Bucket(Objects);

impl Bucket {
    /// Opens the bucket and verifies access to it. `data` is the data directory.
    pub fn open<'a>(config: &'a ObjectsConfig, data: &'a FilePath) -> BoxFuture<'a, Result<Self>> {
        Box::pin(async move {
            if Files::of(config, data)?.is_some() {
                return Err(invalid("url", "must be a bucket such as `s3://bucket/prefix`"));
            }
            Ok(Self(Objects::open(config, data).await?))
        })
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Copied {
    pub objects: u64,
    pub bytes: u64,
}

/// Copies objects that do not exist at the destination, and verifies the digest of each object there. Calls
/// `progress` with the number of finished objects.
pub async fn copy(
    from: &Files,
    Bucket(to): &Bucket,
    digests: &[String],
    mut progress: impl FnMut(u64) + Send,
) -> Result<Copied> {
    let blobs = digests.iter().map(|digest| (from.blob(digest), to.clone()));
    let copies: Vec<_> = blobs.map(|(blob, to)| async move { copy_one(blob?, to).await }).collect();
    let mut copies = stream::iter(copies).buffer_unordered(CONCURRENT_WRITES);
    let mut copied = Copied::default();
    while let Some(bytes) = copies.try_next().await? {
        copied.objects += 1;
        copied.bytes += bytes;
        progress(copied.objects);
    }
    Ok(copied)
}

async fn copy_one(blob: Blob, to: Objects) -> Result<u64> {
    let (digest, size) = (blob.digest.clone(), blob.size);
    to.clone().put(blob.clone()).await?;
    match verify(&to, &digest).await {
        // The destination had an object of this name and size with other content.
        Err(Error::Damaged(_)) => {
            to.remove(&digest).await?;
            to.clone().put(blob).await?;
            verify(&to, &digest).await?;
        }
        read => read?,
    }
    Ok(size)
}

/// Reads an object to its end, which compares its digest.
async fn verify(objects: &Objects, digest: &str) -> Result<()> {
    let mut chunks = objects.get(digest).await?;
    while chunks.try_next().await?.is_some() {}
    Ok(())
}
