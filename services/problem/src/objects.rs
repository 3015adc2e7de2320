//! The content-addressed store: an object's name is the SHA-256 of its bytes.
//!
//! Objects never change. They are written, and synced, before the transaction that names them; what no
//! version names is removed by upkeep. They lie in a directory or in a bucket of an S3-compatible store.

mod bucket;
#[cfg(test)]
mod tests;
pub mod transfer;
mod upload;

use std::collections::BTreeMap;
use std::path::Path as FilePath;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{self, BoxStream, Stream, StreamExt, TryStreamExt};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt as _};
use sha2::{Digest, Sha256};

use crate::config::{ObjectsConfig, Place, refused};
use crate::error::{Error, Result};
use crate::package::Blob;

/// Larger objects are written in parts of this size. S3 takes none that is smaller, but for the last one.
const PART: u64 = 5 << 20;
/// Objects written at once; each has one part in memory.
const WRITERS: usize = 8;
/// Bytes of a piece that is handed out.
pub const PIECE: usize = 256 << 10;

/// A stream of an object's bytes.
pub type Pieces = Pin<Box<dyn Stream<Item = Result<Bytes>> + Send>>;

/// The store. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Objects(Arc<dyn ObjectStore>);

impl Objects {
    /// The store that the configuration names, found to work. `data` is the data directory.
    pub async fn open(config: &ObjectsConfig, data: &FilePath) -> Result<Self> {
        // Alerts see the first failure as a change.
        metrics::counter!("agon_objects_failures_total").increment(0);
        let store: Arc<dyn ObjectStore> = match config.place()? {
            Place::Data => Arc::new(directory(&data.join("objects"))?),
            Place::Directory(path) => Arc::new(directory(&path)?),
            Place::Bucket { bucket, prefix } => bucket::open(config, &bucket, prefix).await?,
        };
        Ok(Self(store))
    }

    /// Stores files that are not there yet; when it returns they are durable.
    pub async fn put_all(&self, blobs: &BTreeMap<String, Blob>) -> Result<()> {
        // An owned list: a borrowing closure would bind the future to one lifetime.
        let work: Vec<_> = blobs.values().cloned().map(|blob| self.clone().put(blob)).collect();
        stream::iter(work).buffer_unordered(WRITERS).try_collect::<Vec<()>>().await?;
        Ok(())
    }

    async fn put(self, blob: Blob) -> Result<()> {
        let place = place(&blob.digest);
        match self.0.head(&place).await {
            Ok(there) if there.size == blob.size => return Ok(()),
            Ok(_) | Err(object_store::Error::NotFound { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        if blob.size > PART {
            return upload::in_parts(&*self.0, &place, &blob).await;
        }
        let bytes = tokio::fs::read(&blob.path).await?;
        upload::check_size(&blob, bytes.len() as u64)?;
        self.0.put(&place, bytes.into()).await?;
        Ok(())
    }

    /// The bytes of an object, in pieces. Damaged ones end with an error instead of their end.
    pub async fn get(&self, digest: &str) -> Result<Pieces> {
        let found = match self.0.get(&place(digest)).await {
            Err(error) if is_missing(&error) => return Err(Error::NotFound("object")),
            found => found?,
        };
        let reader = Reader { inner: found.into_stream(), rest: Bytes::new(), hash: Sha256::new() };
        let state = Some((reader, digest.to_owned()));
        Ok(Box::pin(stream::unfold(state, |state| async {
            let (mut reader, digest) = state?;
            match reader.next().await {
                Ok(Some(piece)) => Some((Ok(piece), Some((reader, digest)))),
                Ok(None) if hex::encode(reader.hash.finalize()) == digest => None,
                Ok(None) => Some((Err(Error::Damaged(digest)), None)),
                Err(error) => Some((Err(error), None)),
            }
        })))
    }

    /// Everything that is there.
    pub fn list(&self) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.0.list(None)
    }

    /// Removes an object.
    pub async fn remove(&self, digest: &str) -> Result<()> {
        match self.0.delete(&place(digest)).await {
            Ok(()) => Ok(()),
            Err(error) if is_missing(&error) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// A directory, which is made.
fn directory(path: &FilePath) -> Result<LocalFileSystem> {
    std::fs::create_dir_all(path)
        .map_err(|error| refused("url", format_args!("cannot make {}: {error}", path.display())))?;
    Ok(LocalFileSystem::new_with_prefix(path)?.with_fsync(true))
}

/// Whether the object is not there. When the whole bucket is not, nothing is known of the object.
fn is_missing(error: &object_store::Error) -> bool {
    matches!(error, object_store::Error::NotFound { .. })
        && bucket::code(error).as_deref() != Some(bucket::NO_BUCKET)
}

struct Reader {
    inner: BoxStream<'static, object_store::Result<Bytes>>,
    rest: Bytes,
    hash: Sha256,
}

impl Reader {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        while self.rest.is_empty() {
            match self.inner.try_next().await? {
                Some(bytes) => self.rest = bytes,
                None => return Ok(None),
            }
        }
        let piece = self.rest.split_to(self.rest.len().min(PIECE));
        self.hash.update(&piece);
        Ok(Some(piece))
    }
}

/// Two digits make a directory, so that none gets too full.
fn place(digest: &str) -> Path {
    let (head, tail) = digest.split_at_checked(2).unwrap_or((digest, ""));
    Path::from_iter([head, tail])
}

/// The digest that a place stands for.
pub fn digest_of(place: &Path) -> Option<String> {
    let digest: String = place.parts().map(|part| part.as_ref().to_owned()).collect();
    is_digest(&digest).then_some(digest)
}

/// Whether this is a digest in its one spelling.
pub fn is_digest(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}
