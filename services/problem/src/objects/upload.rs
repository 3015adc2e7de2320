//! Multipart uploads of large objects. An object is visible only after the last step.

use object_store::path::Path;
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt as _};
use package::Blob;
use tokio::fs::File;
use tokio::io::AsyncReadExt as _;

use super::PART_SIZE;
use crate::error::Result;

pub async fn in_parts(store: &dyn ObjectStore, path: &Path, blob: &Blob) -> Result<()> {
    let mut file = File::open(&blob.path).await?;
    let mut upload = Upload(Some(store.put_multipart(path).await?));
    let sent = upload.send(&mut file, blob).await;
    // Does nothing if the upload is complete.
    upload.abort().await;
    sent
}

/// Refuses a file whose size changed since its digest was computed.
pub fn check_size(blob: &Blob, size: u64) -> Result<()> {
    match size == blob.size {
        true => Ok(()),
        false => Err(std::io::Error::other(format!(
            "the file of object {} has {size} bytes instead of {}",
            blob.digest, blob.size
        ))
        .into()),
    }
}

/// An upload that is aborted unless it was completed, also when its future is dropped.
struct Upload(Option<Box<dyn MultipartUpload>>);

impl Upload {
    async fn send(&mut self, file: &mut File, blob: &Blob) -> Result<()> {
        let Some(upload) = &mut self.0 else { return Ok(()) };
        let mut size = 0;
        loop {
            let mut part = Vec::with_capacity(PART_SIZE as usize);
            let read = (&mut *file).take(PART_SIZE).read_to_end(&mut part).await?;
            if read == 0 {
                break;
            }
            size += read as u64;
            upload.put_part(part.into()).await?;
        }
        check_size(blob, size)?;
        upload.complete().await?;
        self.0 = None;
        Ok(())
    }

    async fn abort(mut self) {
        if let Some(mut upload) = self.0.take() {
            abort_upload(&mut *upload).await;
        }
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if let (Some(mut upload), Ok(runtime)) =
            (self.0.take(), tokio::runtime::Handle::try_current())
        {
            runtime.spawn(async move { abort_upload(&mut *upload).await });
        }
    }
}

/// An upload that cannot be aborted stays invisible; it only takes space.
async fn abort_upload(upload: &mut dyn MultipartUpload) {
    if let Err(error) = upload.abort().await {
        tracing::warn!(%error, "cannot abort upload");
    }
}
