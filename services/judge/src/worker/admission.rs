//! Which job gets a slot, and which runs may be parallel. The jobs of players precede verifications and preempt them:
//! a verification whose slot a player needs aborts its run, and repeats it when no player waits.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, RwLock, RwLockReadGuard, RwLockWriteGuard};
use tokio::sync::{Semaphore, watch};

use super::failure::Failure;

/// For whom a program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Player,
    /// A verification, or preparation of the worker.
    Background,
}

/// What jobs wait for.
#[derive(Clone, Copy, Debug, Default)]
struct Demand {
    /// Players' jobs that wait for their first slot.
    players: usize,
    /// Background jobs that wait for their first slot.
    background: usize,
    /// Background runs that are aborting for waiting players.
    vacating: usize,
    /// Players' runs that wait for [`Admission::shared`] or [`Admission::exclusive`].
    locked_out: usize,
}

impl Demand {
    fn blocks_background(&self) -> bool {
        self.players > 0 || self.locked_out > 0
    }

    /// Whether a background run must abort; counts it.
    fn preempt(&mut self) -> bool {
        if self.locked_out > 0 {
            return true;
        }
        let must_abort = self.players > self.vacating;
        self.vacating += usize::from(must_abort);
        must_abort
    }
}

pub(super) struct Admission {
    /// One permit per slot. The holder of a permit gets a slot without waiting.
    permits: Arc<Semaphore>,
    /// Read-locked by normal runs, write-locked by runs that must not run in parallel with others.
    parallel: RwLock<()>,
    demand: watch::Sender<Demand>,
}

/// Counts a waiting job or run until dropped.
struct Waiting<'a> {
    demand: &'a watch::Sender<Demand>,
    leave: fn(&mut Demand),
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.demand.send_modify(self.leave);
    }
}

impl Admission {
    pub fn new(slots: usize) -> Admission {
        Admission {
            permits: Arc::new(Semaphore::new(slots)),
            parallel: RwLock::new(()),
            demand: watch::Sender::default(),
        }
    }

    fn wait(&self, enter: fn(&mut Demand), leave: fn(&mut Demand)) -> Waiting<'_> {
        self.demand.send_modify(enter);
        Waiting { demand: &self.demand, leave }
    }

    /// Waits for a slot, in the order of arrival within a class.
    pub async fn slot(&self, class: Class) -> Result<OwnedSemaphorePermit, Failure> {
        let _waiting = match class {
            Class::Player => self.wait(
                |demand| demand.players += 1,
                |demand| {
                    demand.players -= 1;
                    demand.vacating = demand.vacating.saturating_sub(1);
                },
            ),
            Class::Background => {
                self.wait(|demand| demand.background += 1, |demand| demand.background -= 1)
            }
        };
        loop {
            self.admitted(class).await;
            let permit = self.permits.clone().acquire_owned().await;
            let permit =
                permit.map_err(|_| Failure::Unavailable("the worker is shutting down".into()))?;
            // Otherwise a player arrived in the meantime, who gets the permit.
            if class == Class::Player || !self.demand.borrow().blocks_background() {
                return Ok(permit);
            }
        }
    }

    /// A slot that is free now, if no job with precedence waits.
    pub fn idle_slot(&self, class: Class) -> Option<OwnedSemaphorePermit> {
        if class == Class::Background && self.demand.borrow().blocks_background() {
            return None;
        }
        self.permits.clone().try_acquire_owned().ok()
    }

    /// Waits until no player blocks the class.
    async fn admitted(&self, class: Class) {
        if class == Class::Background {
            let mut demand = self.demand.subscribe();
            // Fails only when the sender is dropped, which is `self`.
            demand.wait_for(|demand| !demand.blocks_background()).await.ok();
        }
    }

    /// Whether a job that has finished a run must release the slot. A job without another run keeps its slot unless
    /// players precede it.
    pub fn must_release(&self, class: Class, has_other_runs: bool) -> bool {
        let demand = *self.demand.borrow();
        match class {
            Class::Player => has_other_runs && demand.players > 0,
            Class::Background => {
                demand.blocks_background() || (has_other_runs && demand.background > 0)
            }
        }
    }

    /// Waits until a run of this class must abort. The caller aborts it and releases its slot.
    pub async fn preempted(&self, class: Class) {
        if class == Class::Player {
            return std::future::pending().await;
        }
        let mut changes = self.demand.subscribe();
        loop {
            let mut must_abort = false;
            self.demand.send_if_modified(|demand| {
                must_abort = demand.preempt();
                false
            });
            if must_abort || changes.changed().await.is_err() {
                return;
            }
        }
    }

    /// For a run that can be parallel to others.
    pub async fn shared(&self, class: Class) -> RwLockReadGuard<'_, ()> {
        if let Ok(guard) = self.parallel.try_read() {
            return guard;
        }
        let _waiting = self.locked_out(class);
        self.parallel.read().await
    }

    /// For a run that must not be parallel to others.
    pub async fn exclusive(&self, class: Class) -> RwLockWriteGuard<'_, ()> {
        if let Ok(guard) = self.parallel.try_write() {
            return guard;
        }
        let _waiting = self.locked_out(class);
        self.parallel.write().await
    }

    fn locked_out(&self, class: Class) -> Option<Waiting<'_>> {
        let wait = || self.wait(|demand| demand.locked_out += 1, |demand| demand.locked_out -= 1);
        (class == Class::Player).then(wait)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn player_preempts_one_background_run_and_precedes_background_jobs() {
        let admission = Admission::new(2);
        let first = admission.slot(Class::Background).await.unwrap();
        let second = admission.slot(Class::Background).await.unwrap();
        let (mut one, mut other) = (
            Box::pin(admission.preempted(Class::Background)),
            Box::pin(admission.preempted(Class::Background)),
        );
        assert!(one.as_mut().now_or_never().is_none() && other.as_mut().now_or_never().is_none());
        let mut background = Box::pin(admission.slot(Class::Background));
        assert!(background.as_mut().now_or_never().is_none());
        let mut player = Box::pin(admission.slot(Class::Player));
        assert!(player.as_mut().now_or_never().is_none());
        assert!(admission.must_release(Class::Background, false));
        assert!(!admission.must_release(Class::Player, false));
        let aborted = [&mut one, &mut other].map(|run| run.as_mut().now_or_never().is_some());
        assert_eq!(aborted, [true, false]);
        drop(first);
        // The semaphore offers the permit to the background job first, which passes it on.
        assert!(background.as_mut().now_or_never().is_none());
        let player = player.as_mut().now_or_never().expect("the player gets the slot").unwrap();
        assert!(other.as_mut().now_or_never().is_none());
        assert!(admission.idle_slot(Class::Player).is_none());
        drop((player, second));
        assert!(background.as_mut().now_or_never().is_some());
    }

    #[tokio::test]
    async fn canceled_wait_is_not_counted() {
        let admission = Admission::new(1);
        let held = admission.slot(Class::Background).await.unwrap();
        let mut player = Box::pin(admission.slot(Class::Player));
        assert!(player.as_mut().now_or_never().is_none());
        drop(player);
        assert!(!admission.must_release(Class::Background, true));
        assert!(admission.preempted(Class::Background).now_or_never().is_none());
        drop(held);
        assert!(admission.idle_slot(Class::Background).is_some());
    }

    #[tokio::test]
    async fn player_is_not_locked_out_by_an_exclusive_background_run() {
        let admission = Admission::new(2);
        let player = admission.shared(Class::Player).await;
        let mut alone = Box::pin(admission.exclusive(Class::Background));
        assert!(alone.as_mut().now_or_never().is_none());
        let mut aborted = Box::pin(admission.preempted(Class::Background));
        assert!(aborted.as_mut().now_or_never().is_none());
        // The waiting writer blocks new readers.
        let mut next = Box::pin(admission.shared(Class::Player));
        assert!(next.as_mut().now_or_never().is_none());
        assert!(aborted.as_mut().now_or_never().is_some());
        assert!(admission.idle_slot(Class::Background).is_none());
        drop(alone);
        assert!(next.as_mut().now_or_never().is_some());
        assert!(admission.idle_slot(Class::Background).is_some());
        drop(player);
    }
}
