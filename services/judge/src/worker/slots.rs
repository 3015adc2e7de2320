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

/// What the runs of a program share.
struct Cases<'a> {
    runner: &'a Runner<'a>,
    engine: &'a Engine,
    program: &'a Program,
    plan: &'a Plan,
    reporter: &'a Reporter,
    /// The last index that is needed. Runs of higher indices are aborted.
    last: watch::Receiver<usize>,
}

impl Cases<'_> {
    /// The slot for the next run. If no slot is free, waits for one only if `must_wait`.
    async fn source(
        &self,
        free_slots: &mut VecDeque<Source>,
        must_wait: bool,
    ) -> Result<Option<Source>, Failure> {
        let class = self.runner.class();
        let idle = || self.engine.admission.idle_slot(class).map(Source::Permit);
        let source = free_slots.pop_front().or_else(idle);
        if source.is_some() || !must_wait {
            return Ok(source);
        }
        self.reporter.waiting();
        let slot = first_slot(self.engine, class).await?;
        self.reporter.running();
        Ok(Some(Source::Leased(Box::new(slot))))
    }

    async fn run(&self, source: Source, index: usize) -> Result<(usize, Ended), Failure> {
        let mut slot = match source {
            Source::Leased(slot) => slot,
            Source::Permit(permit) => Box::new(lease(self.engine, permit).await?),
        };
        if !slot.installed {
            install(&mut slot.slot, self.program).await?;
            slot.installed = true;
        }
        let mut last = self.last.clone();
        let unneeded = async {
            if last.wait_for(|last| *last < index).await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        let ended = tokio::select! {
            result = self.runner.case(&mut slot.slot, &self.plan.cases[index]) => Some(result?),
            () = unneeded => None,
            () = self.engine.admission.preempted(self.runner.class()) => {
                return Ok((index, Ended::Preempted));
            }
        };
        let ended = match ended {
            Some(result) => Ended::Done(slot, result),
            None => Ended::Unneeded(slot),
        };
        Ok((index, ended))
    }
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
    let (last, needed) = watch::channel(usize::MAX);
    let cases = Cases { runner, engine, program, plan, reporter, last: needed };
    let mut free_slots = VecDeque::from([Source::Leased(Box::new(first))]);
    let mut runs = FuturesUnordered::new();
    loop {
        while schedule.has_more() {
            let source = cases.source(&mut free_slots, runs.is_empty()).await?;
            let Some(source) = source else { break };
            let Some(index) = schedule.start() else { break };
            runs.push(cases.run(source, index));
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
