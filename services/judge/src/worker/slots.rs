//! Runs the cases of a program in parallel, on its first slot and on idle ones.
//!
//! A job waits for its first slot in the order of arrival, players' jobs first. It takes more slots only while no other
//! job waits for one, and returns them when another job starts to wait. A run of a verification is aborted when a player
//! needs its slot, and repeated later; its finished runs are kept.

use std::collections::VecDeque;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use sandbox::Slot;
use tokio::sync::{OwnedSemaphorePermit, watch};

use super::Engine;
use super::admission::Class;
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

pub(super) async fn first_slot(engine: &Engine, class: Class) -> Result<LeasedSlot, Failure> {
    let permit = engine.admission.slot(class).await?;
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

/// How a run ended.
enum Ended {
    Done(Box<LeasedSlot>, CaseResult),
    /// A run of a lower index made it unnecessary.
    Unneeded(Box<LeasedSlot>),
    /// A player needed its slot.
    Preempted,
}

/// Runs the cases that are needed and returns their results, by index.
pub(super) async fn run(
    runner: &Runner<'_>,
    engine: &Engine,
    program: &Program,
    plan: &Plan,
    first: LeasedSlot,
    reporter: &Reporter,
) -> Result<Vec<CaseResult>, Failure> {
    let class = runner.class();
    let mut schedule = Schedule::new(plan.cases.len(), plan.stop.clone());
    let mut results = vec![None; plan.cases.len()];
    // The last index that is needed. Runs of higher indices are aborted.
    let (last, needed) = watch::channel(usize::MAX);
    let run_case = async |source: Source, index: usize| {
        let mut slot = match source {
            Source::Leased(slot) => slot,
            Source::Permit(permit) => Box::new(lease(engine, permit).await?),
        };
        if !slot.installed {
            install(&mut slot.slot, program).await?;
            slot.installed = true;
        }
        let mut needed = needed.clone();
        let unneeded = async {
            if needed.wait_for(|last| *last < index).await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        let result = tokio::select! {
            result = runner.case(&mut slot.slot, &plan.cases[index]) => Some(result?),
            () = unneeded => None,
            () = engine.admission.preempted(class) => return Ok((index, Ended::Preempted)),
        };
        Ok::<_, Failure>((
            index,
            match result {
                Some(result) => Ended::Done(slot, result),
                None => Ended::Unneeded(slot),
            },
        ))
    };
    let mut free_slots = VecDeque::from([Source::Leased(Box::new(first))]);
    let mut runs = FuturesUnordered::new();
    loop {
        while schedule.has_more() {
            let idle = || engine.admission.idle_slot(class).map(Source::Permit);
            let source = match free_slots.pop_front().or_else(idle) {
                Some(source) => source,
                None if runs.is_empty() => {
                    reporter.waiting();
                    let slot = first_slot(engine, class).await?;
                    reporter.running();
                    Source::Leased(Box::new(slot))
                }
                None => break,
            };
            let Some(index) = schedule.start() else { break };
            runs.push(run_case(source, index));
        }
        let Some(ended) = runs.next().await else { break };
        let slot = match ended? {
            (index, Ended::Preempted) => {
                schedule.repeat(index);
                continue;
            }
            (_, Ended::Unneeded(slot)) => slot,
            (index, Ended::Done(slot, (verdict, result))) => {
                if schedule.is_wanted(index) {
                    schedule.done(index, verdict);
                    last.send_replace(schedule.last());
                    reporter.test(&result);
                    results[index] = Some((verdict, result));
                }
                slot
            }
        };
        // Without another case the slot is for other jobs.
        if schedule.has_more() && !engine.admission.must_release(class, !runs.is_empty()) {
            free_slots.push_back(Source::Leased(slot));
        }
    }
    Ok(results.into_iter().take(schedule.needed_count()).flatten().collect())
}
