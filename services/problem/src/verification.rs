//! Results of the judge: each completes a check, and the last one completes the import.

use std::collections::BTreeMap;

use db::Tx;
use package::expectation::{Class, Run};
use package::{Finding, Severity};
use proto::event::{JudgementCompleted, Verdict};
use uuid::Uuid;

use crate::Problems;
use crate::check::{Check, JudgeResult, Kind, State};
use crate::error::{Error, Result};
use crate::events;
use crate::import::{Report, time_limit};
use crate::imports::request_checks;
use crate::problem::Visibility;
use crate::progress::{self, Next};
use crate::store::{self, imports::Import};
use crate::version::Manifest;
use crate::viewer::Viewer;
use crate::watch;

impl Problems {
    /// Applies a result of the judge. Ignores checks that are unknown or complete.
    pub async fn apply_judgement(&self, tx: &mut Tx, judged: &JudgementCompleted) -> Result<()> {
        let Some(id) = ids::parse(&judged.verification_id) else { return Ok(()) };
        let Some(check) = store::imports::check(&mut *tx, id).await? else { return Ok(()) };
        // Serialises the results of one import; state read before the lock may be stale.
        let Some(import) = store::imports::lock(tx, check.import_id).await? else { return Ok(()) };
        let mut checks = store::imports::checks(&mut *tx, import.id).await?;
        let Some(index) = checks.iter().position(|check| check.id == id) else { return Ok(()) };
        if import.state != "verifying" || checks[index].state == State::Done {
            return Ok(());
        }
        let version = store::versions::get(&mut *tx, import.problem_id, import.version).await?;
        let version = version.ok_or(Error::NotFound("version"))?;
        let manifest = version.manifest()?;
        let result = result_of(&checks[index], &manifest, judged);
        let unexpected = is_unexpected(&checks[index], &result);
        checks[index].complete(result);
        if unexpected {
            let details = self.peers.explain(id).await;
            checks[index].message = match checks[index].message.as_str() {
                "" => details,
                message if details.is_empty() => message.to_owned(),
                message => format!("{message}\n{details}"),
            };
        }
        self.advance(tx, &import, &manifest, version.time_limit_us, &mut checks).await?;
        for check in &checks {
            store::imports::save_check(tx, check).await?;
        }
        let (cache, id) = (self.cache.clone(), import.id);
        tx.after_commit(move || watch::notify(&cache, id));
        Ok(())
    }

    /// Cancels an import that the viewer may see.
    pub async fn cancel(&self, viewer: &Viewer, id: &str) -> Result<Report> {
        let import = self.report(viewer, id).await?.import.id;
        let cancel = |mut tx: db::TxGuard| async move { self.cancel_in(&mut tx, import).await };
        self.db.transact(cancel).await?;
        self.report(viewer, id).await
    }

    async fn cancel_in(&self, tx: &mut Tx, id: Uuid) -> Result<()> {
        let import = store::imports::lock(tx, id).await?.ok_or(Error::NotFound("import"))?;
        if import.canceled {
            return Ok(());
        }
        if import.state != "verifying" {
            return Err(Error::Precondition("IMPORT_DONE", "the import has already finished"));
        }
        let mut checks = store::imports::checks(&mut *tx, id).await?;
        cancel_unfinished(tx, &mut checks);
        for check in &checks {
            store::imports::save_check(tx, check).await?;
        }
        store::versions::reject(tx, import.problem_id, import.version).await?;
        let now = tx.now();
        store::imports::cancel(tx, id, now).await?;
        let cache = self.cache.clone();
        tx.after_commit(move || watch::notify(&cache, id));
        Ok(())
    }

    async fn advance(
        &self,
        tx: &mut Tx,
        import: &Import,
        manifest: &Manifest,
        limit_us: Option<i64>,
        checks: &mut [Check],
    ) -> Result<()> {
        let next = progress::next(
            checks,
            time_limit(limit_us, manifest, self.config.max_limits().time_us),
        );
        let inferred_us = match &next {
            Next::Wait => None,
            Next::Request { inferred_us, .. } | Next::Done { inferred_us, .. } => *inferred_us,
        };
        if let Some(limit) = inferred_us {
            store::versions::set_time_limit(tx, import.problem_id, import.version, limit).await?;
        }
        match next {
            Next::Wait => {}
            Next::Request { checks: requested, .. } => {
                let problem = store::problems::by_id(&mut *tx, import.problem_id).await?;
                let problem = problem.ok_or(Error::NotFound("problem"))?;
                request_checks(tx, &problem, import.version, checks, &requested);
            }
            Next::Done { passed, findings, .. } => {
                cancel_unfinished(tx, checks);
                self.finish(tx, import, manifest, passed, findings).await?;
            }
        }
        Ok(())
    }

    pub(crate) async fn finish(
        &self,
        tx: &mut Tx,
        import: &Import,
        manifest: &Manifest,
        passed: bool,
        mut found: Vec<Finding>,
    ) -> Result<()> {
        let (problem, version, now) = (import.problem_id, import.version, tx.now());
        match passed {
            true => store::versions::verify(tx, problem, version).await?,
            false => store::versions::reject(tx, problem, version).await?,
        }
        if passed && import.publish {
            found.extend(publish(tx, problem, version, manifest).await?);
        }
        found.extend(import.findings()?);
        let state = if passed { "succeeded" } else { "failed" };
        store::imports::finish(tx, import.id, state, &found, now).await
    }
}

/// Cancels the checks whose results are not needed any more.
fn cancel_unfinished(tx: &mut Tx, checks: &mut [Check]) {
    for check in checks {
        match check.state {
            State::Requested => events::verification_canceled(tx, check),
            State::Waiting => {}
            State::Done | State::Canceled => continue,
        }
        check.state = State::Canceled;
    }
}

/// Publishes a verified version and makes its problem public; returns a warning if it does not.
pub(crate) async fn publish(
    tx: &mut Tx,
    problem: Uuid,
    version: i64,
    manifest: &Manifest,
) -> Result<Option<Finding>> {
    let Some(mut problem) = store::problems::lock(tx, problem).await? else { return Ok(None) };
    if problem.deleted_at.is_some() {
        let message = "the problem was deleted during verification; nothing was published";
        return Ok(Some(Finding::new(Severity::Warning, "", message)));
    }
    // A newer version may have been verified first.
    if problem.published_version > version {
        let message = "a newer version is already published; this one was not published";
        return Ok(Some(Finding::new(Severity::Warning, "", message)));
    }
    problem.published_version = version;
    let embargoed = manifest.embargo_until.is_some_and(|until| tx.now() < until);
    if !embargoed {
        problem.visibility = Visibility::Public;
    }
    store::problems::save(tx, &problem).await?;
    events::published(tx, &problem);
    let message = "embargo_until is in the future; the version is published, but not public";
    Ok(embargoed.then(|| Finding::new(Severity::Warning, "problem.yaml", message)))
}

/// Whether the report should explain the verdict.
fn is_unexpected(check: &Check, result: &JudgeResult) -> bool {
    match check.kind {
        Kind::Solution => !check.expected().contains(&result.verdict),
        _ => result.verdict != "AC",
    }
}

fn result_of(check: &Check, manifest: &Manifest, judged: &JudgementCompleted) -> JudgeResult {
    let names = check.test_names(manifest);
    let results: BTreeMap<usize, (Option<Class>, i64)> = judged
        .tests
        .iter()
        .filter_map(|test| {
            let index = usize::try_from(test.index).ok()?;
            Some((index, (class_of(test.verdict()), test.cpu_time_us)))
        })
        .collect();
    let run = |(index, name): (usize, &&str)| {
        let (class, time_us) = results.get(&index).copied().unwrap_or_default();
        Run { test: (*name).to_owned(), class, time_us }
    };
    JudgeResult {
        verdict: match judged.verdict() {
            Verdict::CompileError => "CE",
            Verdict::JudgeError | Verdict::Unspecified => "JE",
            verdict => class_of(verdict).map_or("JE", Class::name),
        },
        runs: names.iter().enumerate().map(run).collect(),
        cpu_time_us: judged.cpu_time_us,
        memory_bytes: judged.memory_bytes,
    }
}

/// The verdict of the package format; `None` for tests that did not run.
pub(crate) fn class_of(verdict: Verdict) -> Option<Class> {
    use Verdict as V;
    Some(match verdict {
        V::Accepted => Class::Ac,
        V::Partial | V::WrongAnswer | V::PresentationError | V::NoOutput => Class::Wa,
        V::TimeLimitExceeded | V::IdlenessLimitExceeded => Class::Tle,
        V::MemoryLimitExceeded
        | V::OutputLimitExceeded
        | V::RuntimeError
        | V::SecurityViolation
        | V::CompileError => Class::Rte,
        V::Skipped | V::JudgeError | V::Unspecified => return None,
    })
}
