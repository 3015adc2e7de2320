//! Finds the directory in which this process can create cgroups, creates and locks the base, and removes the
//! bases of processes that have ended.

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use std::{
    fs::{self, File},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

/// A set of controllers in one hierarchy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Controller(u8);

impl Controller {
    pub const MEMORY: Controller = Controller(1);
    pub const CPUACCT: Controller = Controller(2);
    pub const PIDS: Controller = Controller(4);
    const NAMED: [(&'static str, Controller); 3] =
        [("memory", Self::MEMORY), ("cpuacct", Self::CPUACCT), ("pids", Self::PIDS)];

    pub fn includes(self, other: Controller) -> bool {
        self.0 & other.0 == other.0
    }
}

/// The directories in which the groups of one [`crate::Sandbox`] are created.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Base {
    pub(super) version: u8,
    pub(super) dirs: Vec<(Controller, PathBuf)>,
}

/// The lock on a base. The kernel releases it when the process ends.
#[derive(Debug)]
pub struct Lock(Vec<(PathBuf, File)>);

impl Lock {
    /// Kills all processes in the base and removes it. Does nothing when it is already removed: another process
    /// may use the same name by then.
    pub fn remove(&self) {
        for (dir, locked) in &self.0 {
            if is_same(locked, dir) {
                remove_tree(dir);
            }
        }
    }
}

const PREFIX: &str = "agon.";

impl Base {
    /// Finds the parent directories, removes unlocked bases in them, and creates a locked base.
    pub fn create() -> Result<(Base, Lock), String> {
        let parents = Parents::detect()?;
        parents.remove_unlocked();
        parents.create()
    }

    /// The cgroup version: 1 or 2.
    pub fn version(&self) -> u8 {
        self.version
    }

    pub(super) fn prefix(slot: usize) -> String {
        format!("s{slot}-")
    }

    /// Kills and removes the groups of a slot whose agon-box has ended. False if some cannot be removed.
    pub fn remove_slot(&self, slot: usize) -> bool {
        let prefix = Base::prefix(slot);
        let mut clean = true;
        for (_, dir) in &self.dirs {
            for group in children(dir).filter(|path| starts_with(path, &prefix)) {
                clean &= remove_tree(&group);
            }
        }
        clean
    }

    /// The existing directories: those of the base, and one per run and controller.
    #[cfg(feature = "testing")]
    pub fn existing(&self) -> Vec<PathBuf> {
        let own = self.dirs.iter().map(|(_, dir)| dir.clone()).filter(|dir| dir.exists());
        own.flat_map(|dir| children(&dir).chain([dir]).collect::<Vec<_>>()).collect()
    }
}

/// The cgroups of this process, in which bases are created.
#[derive(Debug)]
struct Parents {
    version: u8,
    dirs: Vec<(Controller, PathBuf)>,
}

impl Parents {
    fn detect() -> Result<Parents, String> {
        let mounts = fs::read_to_string("/proc/self/mountinfo").map_err(|e| e.to_string())?;
        let own = fs::read_to_string("/proc/self/cgroup").map_err(|e| e.to_string())?;
        match Parents::detect_v2(&mounts, &own) {
            Ok(parents) => Ok(parents),
            Err(v2) => Parents::detect_v1(&mounts, &own)
                .map_err(|v1| format!("no usable cgroups (v2: {v2}; v1: {v1})")),
        }
    }

    fn detect_v2(mounts: &str, own: &str) -> Result<Parents, String> {
        let mount = mounts.lines().filter_map(Mount::parse).find(|mount| mount.kind == "cgroup2");
        let mount = mount.ok_or("not mounted")?;
        let path = own
            .lines()
            .find_map(|line| line.strip_prefix("0::"))
            .ok_or("this process has no cgroup")?;
        let dir = mount.directory(path);
        let available =
            fs::read_to_string(dir.join("cgroup.controllers")).map_err(|e| e.to_string())?;
        for controller in ["memory", "pids"] {
            if !available.split_whitespace().any(|name| name == controller) {
                return Err(format!("controller {controller} is not available"));
            }
        }
        let all = Controller(7);
        Ok(Parents { version: 2, dirs: vec![(all, dir)] })
    }

    fn detect_v1(mounts: &str, own: &str) -> Result<Parents, String> {
        let mut dirs: Vec<(Controller, PathBuf)> = Vec::new();
        for (name, controller) in Controller::NAMED {
            let mount = mounts.lines().filter_map(Mount::parse).find(|mount| {
                mount.kind == "cgroup" && mount.options.split(',').any(|option| option == name)
            });
            let mount = mount.ok_or_else(|| format!("{name} is not mounted"))?;
            let path = own.lines().find_map(|line| {
                let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
                controllers.split(',').any(|has| has == name).then_some(path)
            });
            let dir = mount.directory(path.unwrap_or("/"));
            match dirs.iter_mut().find(|(_, other)| *other == dir) {
                Some((has, _)) => has.0 |= controller.0,
                None => dirs.push((controller, dir)),
            }
        }
        Ok(Parents { version: 1, dirs })
    }

    /// Removes the bases of ended processes. Each directory has its own lock: with v1 another process may share
    /// this one's cgroup for only some of the controllers.
    fn remove_unlocked(&self) {
        for (_, parent) in &self.dirs {
            for base in children(parent).filter(|path| starts_with(path, PREFIX)) {
                let Ok(lock) = File::open(&base) else { continue };
                let locked = flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok();
                if locked && is_same(&lock, &base) {
                    tracing::info!(cgroup = %base.display(), "removing stale cgroup");
                    remove_tree(&base);
                }
            }
        }
    }

    fn create(&self) -> Result<(Base, Lock), String> {
        if self.version == 2 {
            self.enable_controllers()?;
        }
        let mut base = Base { version: self.version, dirs: Vec::new() };
        let mut locks = Vec::new();
        for (controller, parent) in &self.dirs {
            let (dir, lock) = create_locked(parent)?;
            base.dirs.push((*controller, dir.clone()));
            locks.push((dir, lock));
        }
        if base.version == 2 {
            enable(&base.dirs[0].1).map_err(|e| format!("{}: {e}", base.dirs[0].1.display()))?;
        }
        Ok((base, Lock(locks)))
    }

    /// Enables the controllers for children of this process's cgroup. Except for the root, such a cgroup must
    /// not contain processes, so they are moved to a leaf.
    fn enable_controllers(&self) -> Result<(), String> {
        let own = &self.dirs[0].1;
        if enable(own).is_ok() {
            return Ok(());
        }
        let leaf = own.join("agon-main");
        fs::create_dir(&leaf)
            .or_else(|e| if e.kind() == io::ErrorKind::AlreadyExists { Ok(()) } else { Err(e) })
            .map_err(|e| format!("{}: {e} (delegate this cgroup to the user)", leaf.display()))?;
        let processes = fs::read_to_string(own.join("cgroup.procs")).unwrap_or_default();
        for process in processes.lines() {
            fs::write(leaf.join("cgroup.procs"), process).ok();
        }
        enable(own).map_err(|e| format!("{}: {e}", own.join("cgroup.subtree_control").display()))
    }
}

/// Creates a directory with a name that this process has not used before, and locks it.
fn create_locked(parent: &Path) -> Result<(PathBuf, File), String> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    loop {
        let number = NUMBER.fetch_add(1, Relaxed);
        let path = parent.join(format!("{PREFIX}{}-{number}", std::process::id()));
        match fs::create_dir(&path) {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => continue,
            Err(e) => {
                let advice = "run as root, or delegate this cgroup to the user";
                return Err(format!("{}: {e} ({advice})", path.display()));
            }
        }
        let Ok(file) = File::open(&path) else { continue };
        // Another process may have removed the directory before it was locked, and reused the name.
        let locked = flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok();
        if locked && is_same(&file, &path) {
            return Ok((path, file));
        }
    }
}

/// Whether a path still refers to an open directory.
fn is_same(file: &File, path: &Path) -> bool {
    let (opened, named) = (file.metadata(), fs::metadata(path));
    opened.is_ok_and(|opened| named.is_ok_and(|named| opened.ino() == named.ino()))
}

fn enable(dir: &Path) -> io::Result<()> {
    fs::write(dir.join("cgroup.subtree_control"), "+memory +pids")?;
    // Not required to count CPU time, but more exact on some kernels.
    fs::write(dir.join("cgroup.subtree_control"), "+cpu").or(Ok(()))
}

struct Mount<'a> {
    root: &'a str,
    point: &'a str,
    kind: &'a str,
    options: &'a str,
}

impl<'a> Mount<'a> {
    fn parse(line: &'a str) -> Option<Mount<'a>> {
        let (left, right) = line.split_once(" - ")?;
        let mut left = left.split(' ').skip(3);
        let mut right = right.split(' ');
        Some(Mount {
            root: left.next()?,
            point: left.next()?,
            kind: right.next()?,
            options: right.nth(1)?,
        })
    }

    /// The directory of a cgroup, whose path starts at the root of the hierarchy; the mount may be a part of it.
    fn directory(&self, group: &str) -> PathBuf {
        let below = group.strip_prefix(self.root).unwrap_or(group).trim_start_matches('/');
        let dir = Path::new(self.point).join(below);
        if dir.is_dir() { dir } else { PathBuf::from(self.point) }
    }
}

fn children(dir: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|e| e.path())
}

fn starts_with(path: &Path, prefix: &str) -> bool {
    path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(prefix))
}

/// Kills all processes in a directory tree and removes it. False if that fails for two seconds.
fn remove_tree(dir: &Path) -> bool {
    let mut clean = true;
    for child in children(dir).collect::<Vec<_>>() {
        clean &= remove_tree(&child);
    }
    let deadline = Instant::now() + Duration::from_secs(2);
    loop {
        match fs::remove_dir(dir) {
            Ok(()) => return clean,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return clean,
            Err(_) if Instant::now() > deadline => return false,
            Err(_) => {}
        }
        let processes = fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default();
        for process in processes.lines().filter_map(|line| line.parse().ok()) {
            if let Some(process) = rustix::process::Pid::from_raw(process) {
                rustix::process::kill_process(process, rustix::process::Signal::KILL).ok();
            }
        }
        thread::sleep(Duration::from_millis(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn v1_hierarchies_are_detected() {
        let mounts = "30 20 0:26 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
            31 20 0:27 /docker/1 /sys/fs/cgroup/cpu rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n\
            32 20 0:28 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n";
        let own = "8:pids:/\n4:memory:/\n1:cpu,cpuacct:/docker/1\n0::/\n";
        let parents = Parents::detect_v1(mounts, own).unwrap();
        let paths: Vec<_> = parents.dirs.iter().map(|(_, dir)| dir.as_path()).collect();
        let expected = ["/sys/fs/cgroup/memory", "/sys/fs/cgroup/cpu", "/sys/fs/cgroup/pids"];
        assert_eq!(paths, expected.map(Path::new));
        let without = Parents::detect_v1(&mounts.replace(",memory", ",x"), own).unwrap_err();
        assert_eq!(without, "memory is not mounted");
    }

    #[test]
    fn v1_controllers_mounted_together_share_a_directory() {
        let mounts = "1 0 0:1 / /cg rw - cgroup cgroup rw,memory,cpuacct,pids\n";
        let parents = Parents::detect_v1(mounts, "1:memory,cpuacct,pids:/\n").unwrap();
        assert_eq!(parents.dirs.len(), 1);
        assert!(parents.dirs[0].0.includes(Controller::PIDS));
    }
}
