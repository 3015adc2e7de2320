//! The judge's answers: each completes a check; the last one completes the import.

use std::collections::BTreeMap;

use db::Tx;
use proto::event::{JudgementCompleted, Verdict};
use uuid::Uuid;

use crate::Service;
use crate::check::{Answer, Check, Kind, State};
use crate::error::{Error, Result};
use crate::events;
use crate::expectation::{Class, Run};
use crate::imports::{request, time_limit};
use crate::package::{Finding, Severity};
use crate::problem::Visibility;
use crate::progress::{self, Next};
use crate::store::{self, imports::Import};
use crate::version::Manifest;
use crate::watch;

impl Service {
    /// Applies the judge's answer to a check. One that is unknown or answered already changes nothing.
    pub async fn answer(&self, tx: &mut Tx, judged: &JudgementCompleted) -> Result<()> {
        let Some(id) = ids::parse(&judged.verification_id) else { return Ok(()) };
        let Some(check) = store::imports::check(&mut *tx, id).await? else { return Ok(()) };
        // Answers to checks of one import queue here; what was read before may be old.
        let Some(import) = store::imports::lock(tx, check.import_id).await? else { return Ok(()) };
        let mut checks = store::imports::checks(&mut *tx, import.id).await?;
        let Some(at) = checks.iter().position(|check| check.id == id) else { return Ok(()) };
        if import.state != "verifying" || checks[at].state == State::Done {
            return Ok(());
        }
        let version = store::versions::get(&mut *tx, import.problem_id, import.version).await?;
        let version = version.ok_or(Error::NotFound("version"))?;
        let manifest = version.manifest()?;
        let answer = answer_of(&checks[at], &manifest, judged);
        let surprising = is_surprising(&checks[at], &answer);
        checks[at].answer(answer);
        if surprising {
            let told = self.peers.explain(id).await;
            checks[at].message = match checks[at].message.as_str() {
                "" => told,
                ours if told.is_empty() => ours.to_owned(),
                ours => format!("{ours}\n{told}"),
            };
        }
        self.go_on(tx, &import, &manifest, version.time_limit_us, &mut checks).await?;
        for check in &checks {
            store::imports::save_check(tx, check).await?;
        }
        let (cache, id) = (self.cache.clone(), import.id);
        tx.after_commit(move || watch::wake(&cache, id));
        Ok(())
    }

    /// Does what is next.
    async fn go_on(
        &self,
        tx: &mut Tx,
        import: &Import,
        manifest: &Manifest,
        limit_us: Option<i64>,
        checks: &mut [Check],
    ) -> Result<()> {
        let next = progress::next(checks, time_limit(limit_us, manifest, self));
        let found_us = match &next {
            Next::Wait => None,
            Next::Request { found_us, .. } | Next::Done { found_us, .. } => *found_us,
        };
        if let Some(limit) = found_us {
            store::versions::set_time_limit(tx, import.problem_id, import.version, limit).await?;
        }
        match next {
            Next::Wait => {}
            Next::Request { checks: wanted, .. } => {
                let problem = store::problems::by_id(&mut *tx, import.problem_id).await?;
                let problem = problem.ok_or(Error::NotFound("problem"))?;
                request(tx, &problem, import.version, checks, &wanted);
            }
            Next::Done { passed, findings, .. } => {
                self.finish(tx, import, manifest, passed, findings).await?;
            }
        }
        Ok(())
    }

    async fn finish(
        &self,
        tx: &mut Tx,
        import: &Import,
        manifest: &Manifest,
        passed: bool,
        mut found: Vec<Finding>,
    ) -> Result<()> {
        let (problem, version, now) = (import.problem_id, import.version, tx.now());
        let state = if passed { "verified" } else { "rejected" };
        store::versions::set_state(tx, problem, version, state).await?;
        if passed && import.publish {
            found.extend(publish(tx, problem, version, manifest).await?);
        }
        found.extend(import.findings()?);
        let state = if passed { "succeeded" } else { "failed" };
        store::imports::finish(tx, import.id, state, &found, now).await
    }
}

/// Publishes a version that was just verified and makes its problem public; says why not, if so.
async fn publish(
    tx: &mut Tx,
    problem: Uuid,
    version: i64,
    manifest: &Manifest,
) -> Result<Option<Finding>> {
    let Some(mut problem) = store::problems::lock(tx, problem).await? else { return Ok(None) };
    if problem.deleted_at.is_some() {
        let message = "the problem was deleted meanwhile; nothing was published";
        return Ok(Some(Finding::new(Severity::Warning, "", message)));
    }
    // A newer version may have been faster.
    if problem.published_version > version {
        let message = "a newer version is published already; this one was not";
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

/// Whether people will want to know more than the verdict.
fn is_surprising(check: &Check, answer: &Answer) -> bool {
    match check.kind {
        Kind::Solution => !check.expected().contains(&answer.verdict),
        _ => answer.verdict != "AC",
    }
}

fn answer_of(check: &Check, manifest: &Manifest, judged: &JudgementCompleted) -> Answer {
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
    Answer {
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

/// What packages call a verdict; nothing for tests that did not run.
fn class_of(verdict: Verdict) -> Option<Class> {
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
