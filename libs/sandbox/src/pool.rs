//! The slots of this process and who holds them.

use crate::{Config, Error, Slot, doctor::Report};
use std::sync::Arc;

/// All slots of a machine; cheap to clone.
#[derive(Clone, Debug)]
pub struct Sandbox {
    report: Arc<Report>,
    slots: usize,
}

impl Sandbox {
    /// Checks the machine, sweeps what an earlier crash left, and starts one box per slot.
    ///
    /// Fails with [`Error::Unavailable`] where no sandbox is possible, and with [`Error::Degraded`] where
    /// features miss that `config.allow_degraded` does not name.
    pub async fn start(config: Config) -> Result<Sandbox, Error> {
        let _ = config;
        Err(Error::Unavailable("not built in".into()))
    }

    /// How many runs may happen at a time.
    pub fn slots(&self) -> usize {
        self.slots
    }

    /// What this machine gives: the isolation level and every check, as found at start.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// Waits for a free slot, with a container as new.
    pub async fn lease(&self) -> Result<Slot, Error> {
        Err(Error::Unavailable("not built in".into()))
    }

    /// A free slot, if there is one now.
    pub fn try_lease(&self) -> Option<Slot> {
        None
    }

    /// Ends all boxes and removes their cgroups. Leases fail from now on.
    pub async fn shutdown(&self) {}
}
