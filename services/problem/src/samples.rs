//! The sample problems that come with the program.

use bytes::Bytes;
use futures_util::stream;
use uuid::Uuid;

use crate::Service;
use crate::error::{Error, Result};
use crate::imports::{Options, Target};
use crate::store;

include!(concat!(env!("OUT_DIR"), "/samples.rs"));

/// The sample problems: each one's slug and package, a tar file.
pub fn samples() -> impl Iterator<Item = (&'static str, Vec<u8>)> {
    SAMPLES.iter().map(|(slug, files)| (*slug, tar(slug, files)))
}

/// The files of a sample as a tar file. The same files give the same bytes.
fn tar(slug: &str, files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, bytes) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        let added = builder.append_data(&mut header, format!("{slug}/{path}"), *bytes);
        added.expect("names in the repository are short, and memory takes every write");
    }
    builder.into_inner().expect("memory takes every write")
}

impl Service {
    /// Imports the samples that are not there yet, to be published when the judge has checked them; gives
    /// how many.
    pub async fn import_samples(&self, owner: Uuid) -> Result<usize> {
        let mut count = 0;
        for (slug, tar) in samples() {
            if store::problems::by_slug(&self.db, slug).await?.is_some() {
                continue;
            }
            let upload = self.receive(stream::iter([Ok(Bytes::from(tar))])).await?;
            let options =
                Options { problem: slug.to_owned(), publish: true, request_id: String::new() };
            match self.import(owner, options, Target::New(slug.to_owned()), upload).await {
                Ok(_) => count += 1,
                // Another process was faster.
                Err(Error::SlugTaken) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(count)
    }
}
