//! The content-addressed object store: the name of an object is the SHA-256 of its bytes.
//!
//! Objects are immutable. They are durable before the transaction that references them commits; housekeeping
//! removes unreferenced ones. They are in a directory or in a bucket of an S3-compatible store.

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
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, Stream, StreamExt, TryStreamExt};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt as _};
use package::Blob;
use sha2::{Digest, Sha256};

use crate::config::{Location, ObjectsConfig, invalid};
use crate::error::{Error, Result};

/// Size of the parts of larger objects, in bytes: the minimum of S3 for all parts but the last.
const PART_SIZE: u64 = 5 << 20;
/// Objects that are written at once; each buffers one part.
const CONCURRENT_WRITES: usize = 8;
/// Maximum size of a downloaded chunk, in bytes.
pub const CHUNK_SIZE: usize = 256 << 10;

pub type Chunks = Pin<Box<dyn Stream<Item = Result<Bytes>> + Send>>;

/// The store. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Objects(Arc<dyn ObjectStore>);

impl Objects {
    /// Opens the configured store and verifies access to it. `data` is the data directory.
    pub fn open<'a>(config: &'a ObjectsConfig, data: &'a FilePath) -> BoxFuture<'a, Result<Self>> {
        Box::pin(async move {
            // Register the counter, so that alerts see the first failure as an increase.
            metrics::counter!("agon_objects_failures_total").increment(0);
            let store: Arc<dyn ObjectStore> = match config.location()? {
                Location::Data => Arc::new(directory(&data.join("objects"))?),
                Location::Directory(path) => Arc::new(directory(&path)?),
                Location::Bucket { bucket, prefix } => {
                    bucket::open(config, &bucket, prefix).await?
                }
            };
            Ok(Self(store))
        })
    }

    /// Stores objects that do not exist yet. All are durable when it returns.
    pub fn put_all<'a>(&'a self, blobs: &'a BTreeMap<String, Blob>) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            // Collect first: a borrowing closure would bind the future to one lifetime.
            let writes: Vec<_> =
                blobs.values().cloned().map(|blob| self.clone().put(blob)).collect();
            stream::iter(writes)
                .buffer_unordered(CONCURRENT_WRITES)
                .try_collect::<Vec<()>>()
                .await?;
            Ok(())
        })
    }

    async fn put(self, blob: Blob) -> Result<()> {
        let path = path_of(&blob.digest);
        match self.0.head(&path).await {
            Ok(found) if found.size == blob.size => return Ok(()),
            Ok(_) | Err(object_store::Error::NotFound { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        if blob.size > PART_SIZE {
            return upload::in_parts(&*self.0, &path, &blob).await;
        }
        let bytes = tokio::fs::read(&blob.path).await?;
        upload::check_size(&blob, bytes.len() as u64)?;
        self.0.put(&path, bytes.into()).await?;
        Ok(())
    }

    /// Streams an object. The stream of a damaged object ends with [`Error::Damaged`].
    pub async fn get(&self, digest: &str) -> Result<Chunks> {
        let found = match self.0.get(&path_of(digest)).await {
            Err(error) if is_missing(&error) => return Err(Error::NotFound("object")),
            found => found?,
        };
        let reader =
            Reader { inner: found.into_stream(), buffer: Bytes::new(), hash: Sha256::new() };
        let state = Some((reader, digest.to_owned()));
        Ok(Box::pin(stream::unfold(state, |state| async {
            let (mut reader, digest) = state?;
            match reader.next().await {
                Ok(Some(chunk)) => Some((Ok(chunk), Some((reader, digest)))),
                Ok(None) if hex::encode(reader.hash.finalize()) == digest => None,
                Ok(None) => Some((Err(Error::Damaged(digest)), None)),
                Err(error) => Some((Err(error), None)),
            }
        })))
    }

    /// The objects whose digests begin with this byte.
    pub fn list(&self, first: u8) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.0.list(Some(&Path::from(format!("{first:02x}"))))
    }

    /// Removes an object; a missing one is not an error.
    pub fn remove<'a>(&'a self, digest: &'a str) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            match self.0.delete(&path_of(digest)).await {
                Ok(()) => Ok(()),
                Err(error) if is_missing(&error) => Ok(()),
                Err(error) => Err(error.into()),
            }
        })
    }
}

/// Creates the directory if it does not exist.
fn directory(path: &FilePath) -> Result<LocalFileSystem> {
    std::fs::create_dir_all(path).map_err(|error| {
        invalid("url", format_args!("cannot create {}: {error}", path.display()))
    })?;
    Ok(LocalFileSystem::new_with_prefix(path)?.with_fsync(true))
}

/// Whether the object does not exist. A missing bucket says nothing about the object.
fn is_missing(error: &object_store::Error) -> bool {
    matches!(error, object_store::Error::NotFound { .. })
        && bucket::code(error).as_deref() != Some(bucket::NO_BUCKET)
}

struct Reader {
    inner: BoxStream<'static, object_store::Result<Bytes>>,
    buffer: Bytes,
    hash: Sha256,
}

impl Reader {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        while self.buffer.is_empty() {
            match self.inner.try_next().await? {
                Some(bytes) => self.buffer = bytes,
                None => return Ok(None),
            }
        }
        let chunk = self.buffer.split_to(self.buffer.len().min(CHUNK_SIZE));
        self.hash.update(&chunk);
        Ok(Some(chunk))
    }
}

/// The first two digits are a directory, which bounds the size of each directory.
fn path_of(digest: &str) -> Path {
    let (head, tail) = digest.split_at_checked(2).unwrap_or((digest, ""));
    Path::from_iter([head, tail])
}

/// The inverse of `path_of`; `None` for other files.
pub fn digest_of(path: &Path) -> Option<String> {
    let digest: String = path.parts().map(|part| part.as_ref().to_owned()).collect();
    is_digest(&digest).then_some(digest)
}

/// Whether the text is a digest in lower-case hexadecimal.
pub fn is_digest(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}
