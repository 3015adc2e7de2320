//! The slots of this process and who holds them.

use crate::{
    Config, Error, Slot,
    cgroup::{Base, Lock},
    doctor::{self, Depth, Report},
    machine::Machine,
    wire::{Facts, Setup},
};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Semaphore;

/// All slots of a machine; cheap to clone. Its control groups go with the last clone.
#[derive(Clone, Debug)]
pub struct Sandbox {
    pool: Arc<Pool>,
    report: Arc<Report>,
    slots: usize,
}

/// The slots that nobody has leased.
#[derive(Debug)]
pub(crate) struct Pool {
    free: Mutex<Vec<Machine>>,
    leases: Arc<Semaphore>,
    base: Base,
    /// Shared with the thread that removes the groups.
    lock: Arc<Lock>,
}

impl Pool {
    pub(crate) fn give_back(&self, machine: Machine) {
        self.free().push(machine);
    }

    // A std mutex, as it is never held across an await.
    fn free(&self) -> MutexGuard<'_, Vec<Machine>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        // Boxes end with their sockets, and take their groups along; what is left after that is swept.
        for machine in self.free().iter_mut() {
            machine.abandon();
        }
        self.lock.remove();
    }
}

impl Sandbox {
    /// Checks the machine, sweeps what an earlier crash left, and starts one box per slot.
    ///
    /// Fails with [`Error::Unavailable`] where no sandbox is possible, and with [`Error::Degraded`] where
    /// features miss that `config.allow_degraded` does not name.
    pub async fn start(config: Config) -> Result<Sandbox, Error> {
        let (mut sandbox, facts) = Sandbox::open(&config).await?;
        let report = doctor::all(&sandbox, &config, &facts, Depth::Quick).await;
        let refused = match report {
            Ok(report) => {
                sandbox.report = Arc::new(report);
                sandbox.refusal(&config)
            }
            Err(error) => Some(error),
        };
        match refused {
            None => Ok(sandbox),
            Some(error) => {
                sandbox.shutdown().await;
                Err(error)
            }
        }
    }

    /// Why this machine will not do for the configuration.
    fn refusal(&self, config: &Config) -> Option<Error> {
        let mut missing = self.report.missing();
        missing.retain(|feature| !config.allow_degraded.contains(feature));
        let failed = self.report.checks.iter().filter(|check| missing.contains(&check.feature));
        let failed = failed.filter(|check| !check.passed);
        let advice: Vec<_> =
            failed.map(|check| format!("{}: {}", check.name, check.detail)).collect();
        (!missing.is_empty()).then(|| Error::Degraded { missing, advice: advice.join("; ") })
    }

    pub(crate) async fn open(config: &Config) -> Result<(Sandbox, Facts), Error> {
        let (base, lock) = tokio::task::spawn_blocking(Base::create)
            .await
            .map_err(|error| Error::Internal(error.to_string()))?
            .map_err(Error::Unavailable)?;
        let cores = cores(config);
        let slots = if config.slots == 0 { cores.len() } else { config.slots };
        let pool = Arc::new(Pool {
            free: Mutex::new(Vec::new()),
            leases: Arc::new(Semaphore::new(slots)),
            base: base.clone(),
            lock: Arc::new(lock),
        });
        let mut machines = Vec::new();
        for slot in 0..slots {
            let setup = setup(config, slot, &cores, &base)?;
            let mut machine = Machine::new(setup, config.program.clone(), config.arguments.clone());
            machine.launch().await?;
            machines.push(machine);
        }
        let mut facts = Facts::default();
        for mut machine in machines {
            facts = machine.greet().await?;
            pool.give_back(machine);
        }
        let report = Report { level: crate::Level::Full, cgroup: base.version(), checks: vec![] };
        Ok((Sandbox { pool, report: Arc::new(report), slots }, facts))
    }

    /// How many runs may happen at a time.
    pub fn slots(&self) -> usize {
        self.slots
    }

    /// 1 or 2.
    pub(crate) fn cgroup_version(&self) -> u8 {
        self.pool.base.version()
    }

    /// What this machine gives: the isolation level, and what was tried at start.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// Waits for a free slot, with a container as new.
    pub async fn lease(&self) -> Result<Slot, Error> {
        let leases = Arc::clone(&self.pool.leases);
        let permit = leases.acquire_owned().await.map_err(|_| closed())?;
        let machine = self.pool.free().pop().ok_or_else(closed)?;
        let mut slot = Slot::new(machine, Arc::clone(&self.pool), permit);
        slot.freshen().await?;
        Ok(slot)
    }

    /// Ends all boxes and removes their control groups, after waiting for the leases there are. Leases
    /// fail from now on.
    pub async fn shutdown(&self) {
        self.pool.leases.close();
        loop {
            let Some(mut machine) = self.pool.free().pop() else { break };
            machine.end().await;
        }
        let lock = Arc::clone(&self.pool.lock);
        tokio::task::spawn_blocking(move || lock.remove()).await.ok();
    }
}

#[cfg(feature = "testing")]
impl Sandbox {
    /// The control groups that exist for runs and for the sandbox, for tests to see that none is left.
    pub fn control_groups(&self) -> Vec<std::path::PathBuf> {
        self.pool.base.groups()
    }
}

fn closed() -> Error {
    Error::Unavailable("the sandbox is shut down".into())
}

/// The cores to use.
fn cores(config: &Config) -> Vec<usize> {
    if !config.cores.is_empty() {
        return config.cores.clone();
    }
    let usable = rustix::thread::sched_getaffinity(None);
    let usable: Vec<_> = usable.map_or(Vec::new(), |set| {
        (0..rustix::thread::CpuSet::MAX_CPU).filter(|core| set.is_set(*core)).collect()
    });
    if usable.is_empty() { vec![0] } else { usable }
}

fn setup(config: &Config, slot: usize, cores: &[usize], base: &Base) -> Result<Setup, Error> {
    let number = u32::try_from(slot).map_err(|_| Error::Invalid("too many slots".into()))?;
    Ok(Setup {
        slot,
        core: Some(cores[slot % cores.len()]),
        all_cores: cores.to_vec(),
        uid: config.first_uid + number,
        root: config.root.clone(),
        mounts: config.mounts.clone(),
        disk_bytes: config.disk_bytes,
        disk_files: config.disk_files,
        cgroups: base.clone(),
        without: config.allow_degraded.iter().copied().collect(),
    })
}
