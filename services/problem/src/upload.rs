//! From an uploaded stream to a package in scratch space.

use std::path::Path;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;

use crate::Service;
use crate::error::{Error, Result};
use crate::package::{self, Package};

/// A package that was read, with the scratch space that holds its files.
pub struct Upload {
    /// What it says.
    pub package: Package,
    /// SHA-256 of the uploaded file, hexadecimal.
    pub digest: String,
    _scratch: TempDir,
}

impl Service {
    /// Stores a stream and reads it as a package.
    pub async fn receive<S>(&self, pieces: S) -> Result<Upload>
    where
        S: Stream<Item = Result<Bytes>> + Send,
    {
        let scratch = tempfile::Builder::new().prefix("import-").tempdir_in(&self.scratch)?;
        let upload = scratch.path().join("upload");
        let digest = self.write(&upload, pieces).await?;
        // Reading is work for the processor; a queue here is better than a crowd.
        let permit = self.readers.acquire().await.map_err(|_| Error::ShuttingDown)?;
        let (bounds, maxima) = (self.config.bounds(), self.config.maxima());
        let read = tokio::task::spawn_blocking(move || {
            let files = scratch.path().join("files");
            std::fs::create_dir(&files)?;
            let package = package::read(&upload, &files, &bounds, &maxima)?;
            // Only the unpacked files are needed from here on.
            std::fs::remove_file(&upload)?;
            Ok::<_, package::Error>((package, scratch))
        });
        let read = read.await.map_err(|error| {
            tracing::error!(%error, "reading a package failed");
            Error::from(std::io::Error::other("reading a package failed"))
        });
        drop(permit);
        let (package, scratch) = read??;
        Ok(Upload { package, digest, _scratch: scratch })
    }

    async fn write<S>(&self, path: &Path, pieces: S) -> Result<String>
    where
        S: Stream<Item = Result<Bytes>> + Send,
    {
        let mut file = tokio::fs::File::create_new(path).await?;
        let (mut hash, mut size) = (Sha256::new(), 0_u64);
        let limit = self.config.bounds().upload;
        let mut pieces = std::pin::pin!(pieces);
        while let Some(piece) = pieces.next().await {
            let piece = piece?;
            size += piece.len() as u64;
            if size > limit {
                let text = format!("the package is larger than {limit} bytes");
                return Err(package::Error::TooLarge(text).into());
            }
            hash.update(&piece);
            file.write_all(&piece).await?;
        }
        if size == 0 {
            return Err(Error::invalid("content", "is empty; send a zip, tar or tar.gz file"));
        }
        file.flush().await?;
        Ok(hex::encode(hash.finalize()))
    }
}
