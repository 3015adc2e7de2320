//! Running the cases of a program on as many slots as are free.
//!
//! A job waits for its first slot, in turn with the other jobs; more it takes only when nobody waits
//! for them, and gives them back when somebody does.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use proto::judge as pb;
use sandbox::Slot;
use tokio::sync::{OwnedSemaphorePermit, watch};

use super::Bench;
use super::artefacts::Program;
use super::cases::Plan;
use super::failure::Failure;
use super::job::Reporter;
use super::run::Runner;
use crate::verdict::Schedule;

/// A slot of one's own, until dropped.
pub(super) struct Place {
    /// The slot.
    pub slot: Slot,
    /// The program is there.
    installed: bool,
    // After the slot: whoever gets the permit finds it free.
    _permit: OwnedSemaphorePermit,
}

/// The first slot of a job: waits its turn.
pub(super) async fn first_slot(bench: &Bench) -> Result<Place, Failure> {
    bench.waiting.fetch_add(1, Ordering::Relaxed);
    let permit = bench.slots.clone().acquire_owned().await;
    bench.waiting.fetch_sub(1, Ordering::Relaxed);
    let permit = permit.map_err(|_| Failure::Away("the worker is closing".into()))?;
    seat_at(bench, permit).await
}

async fn seat_at(bench: &Bench, permit: OwnedSemaphorePermit) -> Result<Place, Failure> {
    let slot = bench.sandbox.lease().await?;
    Ok(Place { slot, installed: false, _permit: permit })
}

/// Puts a program's files into a slot.
pub(super) async fn install(slot: &mut Slot, program: &Program) -> Result<(), Failure> {
    for file in &program.files {
        slot.put(&format!("/app/{}", file.path), file.content(), file.mode).await?;
    }
    Ok(())
}

/// Where a lane gets its slot.
enum Seat {
    Taken(Box<Place>),
    Permitted(OwnedSemaphorePermit),
}

/// Runs the cases; gives results by index, `None` for those that were not run or not wanted.
pub(super) async fn run(
    runner: &Runner<'_>,
    bench: &Bench,
    program: &Program,
    plan: &Plan,
    first: Place,
    reporter: &Reporter,
) -> Result<Vec<Option<pb::TestResult>>, Failure> {
    let schedule = Mutex::new(Schedule::new(plan.cases.len(), plan.run_all));
    let lock = || schedule.lock().unwrap_or_else(PoisonError::into_inner);
    let mut results = vec![None; plan.cases.len()];
    // The lowest failure: what runs above it is for nothing.
    let (lowest, failures) = watch::channel(usize::MAX);
    let lane = async |seat: Seat, index: usize| {
        let mut place = match seat {
            Seat::Taken(place) => place,
            Seat::Permitted(permit) => Box::new(seat_at(bench, permit).await?),
        };
        if !place.installed {
            install(&mut place.slot, program).await?;
            place.installed = true;
        }
        let mut failures = failures.clone();
        let needless = async {
            let needless = |lowest: &usize| !plan.run_all && *lowest < index;
            if failures.wait_for(needless).await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        let result = tokio::select! {
            result = runner.case(&mut place.slot, &plan.cases[index]) => Some(result?),
            () = needless => None,
        };
        Ok::<_, Failure>((place, index, result))
    };
    let mut seats = VecDeque::from([Seat::Taken(Box::new(first))]);
    let mut lanes = FuturesUnordered::new();
    loop {
        while lock().has_more() {
            let free = || bench.slots.clone().try_acquire_owned().ok().map(Seat::Permitted);
            let Some(seat) = seats.pop_front().or_else(free) else { break };
            let Some(index) = lock().start() else { break };
            lanes.push(lane(seat, index));
        }
        let Some(done) = lanes.next().await else { return Ok(results) };
        let (place, index, result) = done?;
        if let Some(result) = result {
            let mut schedule = lock();
            if schedule.is_wanted(index) {
                schedule.done(index, result.verdict());
                if result.verdict() != pb::Verdict::Accepted {
                    lowest.send_modify(|lowest| *lowest = (*lowest).min(index));
                }
                reporter.test(&result);
                results[index] = Some(result);
            }
        }
        let crowded = bench.waiting.load(Ordering::Relaxed) > 0 && !lanes.is_empty();
        if !crowded {
            seats.push_back(Seat::Taken(place));
        }
    }
}
