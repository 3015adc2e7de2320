//! The sample problems that are built into the program.

use bytes::Bytes;
use futures_util::stream;
use uuid::Uuid;

use crate::Problems;
use crate::error::{Error, Result};
use crate::imports::{Options, Target};
use crate::store;

include!(concat!(env!("OUT_DIR"), "/samples.rs"));

/// The sample problems: slug and package as a tar file.
pub fn samples() -> impl Iterator<Item = (&'static str, Vec<u8>)> {
    SAMPLES.iter().map(|(slug, files)| (*slug, tar(slug, files)))
}

/// Deterministic: the same files yield the same bytes.
fn tar(slug: &str, files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, bytes) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        let added = builder.append_data(&mut header, format!("{slug}/{path}"), *bytes);
        added.expect("paths of samples are short");
    }
    builder.into_inner().expect("writing to memory succeeds")
}

impl Problems {
    /// Imports missing samples, to be published when they are verified; returns how many.
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
                // Another process imports it.
                Err(Error::SlugTaken) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Seek as _, Write as _};

    use package::{MaxLimits, SizeLimits};

    use super::*;

    #[test]
    fn samples_are_valid_without_findings() {
        for (slug, tar) in samples() {
            let mut archive = tempfile::tempfile().unwrap();
            archive.write_all(&tar).unwrap();
            archive.rewind().unwrap();
            let scratch = tempfile::tempdir().unwrap();
            let (size_limits, max_limits) = (SizeLimits::default(), MaxLimits::default());
            let package = package::read(archive, scratch.path(), &size_limits, &max_limits);
            let findings = package.map(|package| package.findings);
            assert!(matches!(&findings, Ok(list) if list.is_empty()), "{slug}: {findings:?}");
        }
    }
}
