//! Runs the cases of a program in parallel, on its first slot and on idle ones.
//!
//! A job waits for its first slot in the order of arrival. It takes more slots only while no other job waits for one,
//! and returns them when another job starts to wait.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use proto::Verdict;
use sandbox::Slot;
use tokio::sync::{OwnedSemaphorePermit, watch};

use super::Engine;
use super::artefacts::Program;
use super::cases::Plan;
use super::failure::Failure;
use super::job::Reporter;
use super::run::{CaseResult, Runner};
use crate::verdict::Schedule;

pub(super) struct LeasedSlot {
    pub slot: Slot,
    /// Whether the program is in `/app`.
    installed: bool,
    // Dropped after the slot, so that the slot is free for the next holder of the permit.
    _permit: OwnedSemaphorePermit,
}

pub(super) async fn first_slot(engine: &Engine) -> Result<LeasedSlot, Failure> {
    engine.waiting.fetch_add(1, Ordering::Relaxed);
    let permit = engine.slots.clone().acquire_owned().await;
    engine.waiting.fetch_sub(1, Ordering::Relaxed);
    let permit = permit.map_err(|_| Failure::Unavailable("the worker is shutting down".into()))?;
    lease(engine, permit).await
}

async fn lease(engine: &Engine, permit: OwnedSemaphorePermit) -> Result<LeasedSlot, Failure> {
    let slot = engine.sandbox.lease().await?;
    Ok(LeasedSlot { slot, installed: false, _permit: permit })
}

/// Copies the files of a program to `/app`.
pub(super) async fn install(slot: &mut Slot, program: &Program) -> Result<(), Failure> {
    for file in &program.files {
        slot.put(&format!("/app/{}", file.path), file.content(), file.mode).await?;
    }
    Ok(())
}

/// A slot, or the permit to lease one.
enum Source {
    Leased(Box<LeasedSlot>),
    Permit(OwnedSemaphorePermit),
}

/// Runs the cases and returns the results by index. The result is `None` for a case that was not needed.
pub(super) async fn run(
    runner: &Runner<'_>,
    engine: &Engine,
    program: &Program,
    plan: &Plan,
    first: LeasedSlot,
    reporter: &Reporter,
) -> Result<Vec<Option<CaseResult>>, Failure> {
    let mut schedule = Schedule::new(plan.cases.len(), plan.run_all);
    let mut results = vec![None; plan.cases.len()];
    // The lowest failed index. Runs of higher indices are aborted.
    let (lowest, failures) = watch::channel(usize::MAX);
    let run_case = async |source: Source, index: usize| {
        let mut slot = match source {
            Source::Leased(slot) => slot,
            Source::Permit(permit) => Box::new(lease(engine, permit).await?),
        };
        if !slot.installed {
            install(&mut slot.slot, program).await?;
            slot.installed = true;
        }
        let mut failures = failures.clone();
        let unneeded = async {
            let unneeded = |lowest: &usize| !plan.run_all && *lowest < index;
            if failures.wait_for(unneeded).await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        let result = tokio::select! {
            result = runner.case(&mut slot.slot, &plan.cases[index]) => Some(result?),
            () = unneeded => None,
        };
        Ok::<_, Failure>((slot, index, result))
    };
    let mut free_slots = VecDeque::from([Source::Leased(Box::new(first))]);
    let mut runs = FuturesUnordered::new();
    loop {
        while schedule.has_more() {
            let idle = || engine.slots.clone().try_acquire_owned().ok().map(Source::Permit);
            let Some(source) = free_slots.pop_front().or_else(idle) else { break };
            let Some(index) = schedule.start() else { break };
            runs.push(run_case(source, index));
        }
        let Some(done) = runs.next().await else { return Ok(results) };
        let (slot, index, result) = done?;
        if let Some((verdict, result)) = result
            && schedule.is_wanted(index)
        {
            schedule.done(index, verdict);
            if verdict != Verdict::Accepted {
                lowest.send_modify(|lowest| *lowest = (*lowest).min(index));
            }
            reporter.test(&result);
            results[index] = Some((verdict, result));
        }
        let must_yield = engine.waiting.load(Ordering::Relaxed) > 0 && !runs.is_empty();
        if !must_yield {
            free_slots.push_back(Source::Leased(slot));
        }
    }
}
