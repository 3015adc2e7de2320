//! The pool of slots, and leases on them.

use crate::{
    Config, Error, Level, Report, Slot,
    cgroup::{Base, Lock},
    client::Client,
    wire::{Facts, Setup},
};
use futures_util::future::BoxFuture;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Semaphore;

/// The slots of this process; cheap to clone. Dropping the last clone removes its cgroups.
#[derive(Clone, Debug)]
pub struct Sandbox {
    pool: Arc<Pool>,
    pub(crate) report: Arc<Report>,
    slots: usize,
}

/// The slots that are not leased.
#[derive(Debug)]
pub(crate) struct Pool {
    /// A std mutex, as it is never held across an await.
    free: Mutex<Vec<Client>>,
    leases: Arc<Semaphore>,
    base: Base,
    /// Shared with the thread that removes the cgroups.
    lock: Arc<Lock>,
}

impl Pool {
    pub(crate) fn release(&self, client: Client) {
        self.free().push(client);
    }

    fn free(&self) -> MutexGuard<'_, Vec<Client>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        // Each agon-box removes its cgroups when its socket is closed; the lock removes the remaining ones.
        for client in self.free().iter_mut() {
            client.stop_blocking();
        }
        self.lock.remove();
    }
}

impl Sandbox {
    /// Starts one agon-box per slot, without the checks of [`Sandbox::start`].
    pub(crate) fn open(config: &Config) -> BoxFuture<'_, Result<(Sandbox, Facts), Error>> {
        Box::pin(async move {
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
            let mut clients = Vec::new();
            for slot in 0..slots {
                let setup = setup(config, slot, &cores, &base)?;
                let mut client =
                    Client::new(setup, config.program.clone(), config.arguments.clone());
                client.launch().await?;
                clients.push(client);
            }
            let mut facts = Facts::default();
            for mut client in clients {
                facts = client.ready().await?;
                pool.release(client);
            }
            let report = Report { level: Level::Full, cgroup: base.version(), checks: vec![] };
            Ok((Sandbox { pool, report: Arc::new(report), slots }, facts))
        })
    }

    /// The number of programs that can run at the same time.
    pub fn slots(&self) -> usize {
        self.slots
    }

    pub(crate) fn cgroup_version(&self) -> u8 {
        self.pool.base.version()
    }

    /// The isolation level, and the checks that ran at start.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// Waits for a free slot. Its container is empty.
    pub fn lease(&self) -> BoxFuture<'_, Result<Slot, Error>> {
        Box::pin(async move {
            let leases = Arc::clone(&self.pool.leases);
            let permit = leases.acquire_owned().await.map_err(|_| shut_down())?;
            let client = self.pool.free().pop().ok_or_else(shut_down)?;
            let mut slot = Slot::new(client, Arc::clone(&self.pool), permit);
            slot.prepare().await?;
            Ok(slot)
        })
    }

    /// Stops every agon-box that is not leased and removes the cgroups. New leases fail from now on.
    pub fn shutdown(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.pool.leases.close();
            loop {
                // The lock must not be held across the await.
                let Some(mut client) = self.pool.free().pop() else { break };
                client.stop().await;
            }
            let lock = Arc::clone(&self.pool.lock);
            tokio::task::spawn_blocking(move || lock.remove()).await.ok();
        })
    }
}

#[cfg(feature = "testing")]
impl Sandbox {
    /// The existing cgroups of this sandbox and its runs.
    pub fn cgroups(&self) -> Vec<std::path::PathBuf> {
        self.pool.base.existing()
    }
}

fn shut_down() -> Error {
    Error::Unavailable("the sandbox is shut down".into())
}

/// The configured cores, or all cores that this process may use.
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
    let number =
        u32::try_from(slot).map_err(|_| Error::Invalid(format!("slots: {slot} is too many")))?;
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
