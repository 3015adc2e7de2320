//! Moving objects to another store, and finding their files.

use std::path::{Path as FilePath, PathBuf};

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};

use super::{Objects, WRITERS};
use crate::config::{ObjectsConfig, Place, refused};
use crate::error::{Error, Result};
use crate::package::Blob;

/// The files of a local store.
#[derive(Clone, Debug)]
pub struct Files(PathBuf);

impl Files {
    /// Those of the configured store, unless that is a bucket. `data` is the data directory.
    pub fn of(config: &ObjectsConfig, data: &FilePath) -> Result<Option<Self>> {
        Ok(match config.place()? {
            Place::Data => Some(Self(data.join("objects"))),
            Place::Directory(path) => Some(Self(path)),
            Place::Bucket { .. } => None,
        })
    }

    /// Where the bytes of an object are.
    #[must_use]
    pub fn path(&self, digest: &str) -> PathBuf {
        super::place(digest).parts().fold(self.0.clone(), |path, part| path.join(part.as_ref()))
    }

    fn blob(&self, digest: &str) -> Result<Blob> {
        let path = self.path(digest);
        let file = std::fs::metadata(&path).map_err(|error| {
            std::io::Error::new(error.kind(), format!("object {}: {error}", path.display()))
        })?;
        Ok(Blob { path, size: file.len(), digest: digest.to_owned() })
    }
}

/// A store that objects are moved to.
#[derive(Clone, Debug)]
pub struct Bucket(Objects);

impl Bucket {
    /// Opens it: it is there, and may be written to. `data` is the data directory.
    pub async fn open(config: &ObjectsConfig, data: &FilePath) -> Result<Self> {
        if Files::of(config, data)?.is_some() {
            return Err(refused("url", "objects are moved to a bucket; give `s3://bucket/prefix`"));
        }
        Ok(Self(Objects::open(config, data).await?))
    }
}

/// What was moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    /// How many objects.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Copies objects, and reads each of them there to see that it is what its name says. What is there already is not
/// sent again. `seen` is told how many are done.
pub async fn copy(
    from: &Files,
    Bucket(to): &Bucket,
    digests: &[String],
    mut seen: impl FnMut(u64) + Send,
) -> Result<Moved> {
    let work = digests.iter().map(|digest| (from.blob(digest), to.clone()));
    let work: Vec<_> = work.map(|(blob, to)| async move { one(blob?, to).await }).collect();
    let mut work = stream::iter(work).buffer_unordered(WRITERS);
    let mut moved = Moved::default();
    while let Some(bytes) = work.try_next().await? {
        moved.objects += 1;
        moved.bytes += bytes;
        seen(moved.objects);
    }
    Ok(moved)
}

async fn one(blob: Blob, to: Objects) -> Result<u64> {
    let (digest, size) = (blob.digest.clone(), blob.size);
    to.clone().put(blob.clone()).await?;
    match whole(&to, &digest).await {
        // Bytes of the right number were there under its name.
        Err(Error::Damaged(_)) => {
            to.remove(&digest).await?;
            to.clone().put(blob).await?;
            whole(&to, &digest).await?;
        }
        read => read?,
    }
    Ok(size)
}

/// Reads an object to its end, where its digest is compared.
async fn whole(objects: &Objects, digest: &str) -> Result<()> {
    let mut pieces = objects.get(digest).await?;
    while pieces.try_next().await?.is_some() {}
    Ok(())
}
