//! Test data: the objects that some version of a problem needs.

use std::path::Path;

use db::Db;
use problem::transfer::{self, Bucket, Files};

use super::step::Step;
use crate::config::Config;
use crate::failure::Failure;

/// The target's bucket, found to be usable.
pub async fn open(target: &Config, data: &Path) -> Result<Bucket, Failure> {
    Bucket::open(&target.problem.objects, data).await.map_err(worded)
}

/// Copies all objects to a bucket, and reads them there.
pub async fn copy(source: &Config, to: &Bucket, data: &Path, problem: &Db) -> Result<(), Failure> {
    let mut pace = Step::start("objects");
    let Some(files) = Files::of(&source.problem.objects, data).map_err(worded)? else {
        return Ok(());
    };
    let digests = problem::referenced_objects(problem).await.map_err(worded)?;
    let total = digests.len() as u64;
    let seen = |done| pace.seen("objects", done, total);
    let moved = transfer::copy(&files, to, &digests, seen).await;
    let moved = moved.map_err(worded)?;
    pace.done("objects", moved.objects, "objects");
    Ok(())
}

/// Words a failure for the operator.
pub fn worded(error: problem::Error) -> Failure {
    match error {
        problem::Error::Config(text) => Failure::config(text),
        problem::Error::Unavailable(text) => Failure::unavailable(text),
        error => Failure::storage(error.to_string()),
    }
}
