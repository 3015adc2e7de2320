//! Receives an uploaded archive and reads it as a package in a scratch directory.

use std::path::Path;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;

use crate::Problems;
use crate::error::{Error, Result};
use package::{Package, Server};

/// A package and the scratch directory with its files.
pub struct Upload {
    pub package: Package,
    /// SHA-256 of the archive, hexadecimal.
    pub digest: String,
    _scratch: TempDir,
}

impl Problems {
    /// Stores a stream and reads it as a package.
    pub async fn receive<S>(&self, chunks: S) -> Result<Upload>
    where
        S: Stream<Item = Result<Bytes>> + Send,
    {
        let scratch = tempfile::Builder::new().prefix("import-").tempdir_in(&self.scratch)?;
        let upload = scratch.path().join("upload");
        let digest = self.write(&upload, chunks).await?;
        // Reading is CPU-bound: limit how many packages are read at once.
        let permit = self.readers.acquire().await.map_err(|_| service::Error::ShuttingDown)?;
        let server = Server {
            size_limits: self.config.size_limits(),
            max_limits: self.config.max_limits(),
            languages: self.peers.languages().await,
        };
        let read = tokio::task::spawn_blocking(move || {
            let files = scratch.path().join("files");
            std::fs::create_dir(&files)?;
            let archive = std::fs::File::open(&upload)?;
            let package = package::read(archive, &files, &server)?;
            std::fs::remove_file(&upload)?;
            Ok::<_, package::Error>((package, scratch))
        });
        let read = read.await.map_err(|error| {
            tracing::error!(%error, "package reader panicked");
            Error::from(std::io::Error::other("reading a package failed"))
        });
        drop(permit);
        let (package, scratch) = read??;
        Ok(Upload { package, digest, _scratch: scratch })
    }

    async fn write<S>(&self, path: &Path, chunks: S) -> Result<String>
    where
        S: Stream<Item = Result<Bytes>> + Send,
    {
        let mut file = tokio::fs::File::create_new(path).await?;
        let (mut hash, mut size) = (Sha256::new(), 0_u64);
        let limit = self.config.size_limits().upload;
        let mut chunks = std::pin::pin!(chunks);
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk?;
            size += chunk.len() as u64;
            if size > limit {
                let text = format!("the package is larger than {limit} bytes");
                return Err(package::Error::TooLarge(text).into());
            }
            hash.update(&chunk);
            file.write_all(&chunk).await?;
        }
        if size == 0 {
            return Err(Error::invalid("content", "is empty; send a zip, tar or tar.gz file"));
        }
        file.flush().await?;
        Ok(hex::encode(hash.finalize()))
    }
}
