//! The sample problems that are built into the program, with the results of their verification.
//!
//! A new installation publishes them at once, because they were verified when the release was made: a test of
//! `services/agon` verifies them and compares the results with `samples/verified.json`.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream;
use package::expectation::{Class, Run};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Problems;
use crate::check::{Check, State};
use crate::error::{Error, Result};
use crate::imports::{Options, Target};
use crate::store;
use crate::version::Manifest;

include!(concat!(env!("OUT_DIR"), "/samples.rs"));

/// The results of an earlier verification of packages.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verified {
    /// The compilers and interpreters.
    pub environment: String,
    /// By slug.
    pub packages: BTreeMap<String, VerifiedPackage>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VerifiedPackage {
    /// Of the archive, in hexadecimal.
    pub sha256: String,
    /// In the order of the report.
    pub checks: Vec<VerifiedCheck>,
}

/// A [`Check`] that is done.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VerifiedCheck {
    pub kind: String,
    pub file: String,
    pub actual: String,
    pub cpu_time_us: i64,
    pub memory_bytes: i64,
    /// The verdict and CPU time in microseconds of each run.
    pub runs: Vec<(Option<Class>, i64)>,
}

impl Verified {
    /// The results that are built into the program.
    pub fn built_in() -> Result<Self> {
        Ok(serde_json::from_str(include_str!("../samples/verified.json"))?)
    }
}

impl VerifiedPackage {
    /// Completes the checks of the package with this digest. Returns false and does nothing for another package.
    pub(crate) fn complete(&self, digest: &str, manifest: &Manifest, checks: &mut [Check]) -> bool {
        let fits = |(check, verified): (&Check, &VerifiedCheck)| {
            check.kind.name() == verified.kind
                && check.file == verified.file
                && check.test_names(manifest).len() == verified.runs.len()
        };
        let counts = (self.checks.len(), checks.len());
        let all_fit = counts.0 == counts.1 && checks.iter().zip(&self.checks).all(fits);
        if self.sha256 != digest || !all_fit {
            return false;
        }
        for (check, verified) in checks.iter_mut().zip(&self.checks) {
            let names = check.test_names(manifest).into_iter();
            let runs = names.zip(&verified.runs).map(|(name, (class, time_us))| Run {
                test: name.to_owned(),
                class: *class,
                time_us: *time_us,
            });
            check.runs = runs.collect();
            check.state = State::Done;
            check.actual.clone_from(&verified.actual);
            // Solutions are compared with their requirements later, like those that the judge has run.
            check.passed = verified.actual == "valid";
            check.cpu_time_us = verified.cpu_time_us;
            check.memory_bytes = verified.memory_bytes;
        }
        true
    }
}

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
    /// Imports and publishes missing samples; returns how many. A sample that differs from the one that was verified is
    /// verified first.
    pub fn import_samples(&self, owner: Uuid) -> BoxFuture<'_, Result<usize>> {
        Box::pin(async move {
            let mut verified = Verified::built_in()?;
            let mut count = 0;
            for (slug, tar) in samples() {
                if store::problems::by_slug(&self.db, slug).await?.is_some() {
                    continue;
                }
                let upload = self.receive(stream::iter([Ok(Bytes::from(tar))])).await?;
                let environment = &verified.environment;
                let known =
                    verified.packages.remove(slug).map(|package| (environment.clone(), package));
                let options = Options {
                    problem: slug.to_owned(),
                    publish: true,
                    request_id: String::new(),
                    verified: known,
                };
                match self.import(owner, options, Target::New(slug.to_owned()), upload).await {
                    Ok(_) => count += 1,
                    // Another process imports it.
                    Err(Error::SlugTaken) => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(count)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Seek as _, Write as _};

    use package::Server;

    use super::*;
    use crate::version::digest;

    #[test]
    fn recorded_verification_is_of_these_samples() {
        let verified = Verified::built_in().unwrap();
        for (slug, tar) in samples() {
            let sha256 = verified.packages.get(slug).map(|package| package.sha256.as_str());
            let renew = "AGON_WRITE_SAMPLES=1 cargo test -p agon samples_are_verified";
            assert_eq!(sha256, Some(digest(&tar).as_str()), "{slug} has changed: run {renew}");
        }
    }

    #[test]
    fn samples_are_valid_without_findings() {
        for (slug, tar) in samples() {
            let mut archive = tempfile::tempfile().unwrap();
            archive.write_all(&tar).unwrap();
            archive.rewind().unwrap();
            let scratch = tempfile::tempdir().unwrap();
            let package = package::read(archive, scratch.path(), &Server::default());
            let findings = package.map(|package| package.findings);
            assert!(matches!(&findings, Ok(list) if list.is_empty()), "{slug}: {findings:?}");
        }
    }
}
