//! Test data: the objects that problem versions refer to.

use std::path::Path;

use db::Db;
use problem::transfer::{self, Bucket, Files};

use super::step::Step;
use crate::config::Config;
use crate::failure::Failure;

pub async fn open(target: &Config, data: &Path) -> Result<Bucket, Failure> {
    Bucket::open(&target.services.problem.objects, data).await.map_err(failure)
}

/// Copies all objects to a bucket and verifies them.
pub async fn copy(source: &Config, to: &Bucket, data: &Path, problem: &Db) -> Result<(), Failure> {
    let mut step = Step::start("objects");
    let Some(files) = Files::of(&source.services.problem.objects, data).map_err(failure)? else {
        return Ok(());
    };
    let digests = problem::referenced_objects(problem).await.map_err(failure)?;
    let total = digests.len() as u64;
    let progress = |done| step.update("objects", done, total);
    let moved = transfer::copy(&files, to, &digests, progress).await;
    let moved = moved.map_err(failure)?;
    step.finish("objects", moved.objects, "objects");
    Ok(())
}

pub fn failure(error: problem::Error) -> Failure {
    match error {
        problem::Error::Config(text) => Failure::config(text),
        problem::Error::Unavailable(text) => Failure::unavailable(text),
        error => Failure::storage(error.to_string()),
    }
}
