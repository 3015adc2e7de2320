//! Where groups may be made on this machine, who owns which base, and sweeping those that nobody owns.

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

/// The directories below which the groups of one [`crate::Sandbox`] are made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Base {
    pub(super) version: u8,
    pub(super) dirs: Vec<(Controller, PathBuf)>,
}

/// Held by a base's owner; the kernel lets go of it when the owner dies in any way.
#[derive(Debug)]
pub struct Lock(Vec<(PathBuf, File)>);

impl Lock {
    /// Kills and removes everything in the base. True when nothing is left. Does nothing the second time, when
    /// the name may be another's.
    pub fn remove(&self) -> bool {
        let own = self.0.iter().filter(|(dir, locked)| is_same(locked, dir));
        own.fold(true, |clean, (dir, _)| clean & remove_tree(dir))
    }
}

const PREFIX: &str = "agon.";

impl Base {
    /// Finds where groups can be made, sweeps what earlier owners left there, and makes a base.
    pub fn create() -> Result<(Base, Lock), String> {
        let parents = Parents::detect()?;
        parents.sweep();
        parents.create()
    }

    /// 1 or 2.
    pub fn version(&self) -> u8 {
        self.version
    }

    pub(super) fn prefix(slot: usize) -> String {
        format!("s{slot}-")
    }

    /// Kills and removes what is left of one slot, after its box died. True when nothing is left.
    pub fn sweep_slot(&self, slot: usize) -> bool {
        let prefix = Base::prefix(slot);
        let mut clean = true;
        for (_, dir) in &self.dirs {
            for group in children(dir).filter(|path| starts_with(path, &prefix)) {
                clean &= remove_tree(&group);
            }
        }
        clean
    }

    /// The directories there are now: the base's own, and one per run and controller.
    #[cfg(feature = "testing")]
    pub fn groups(&self) -> Vec<PathBuf> {
        let own = self.dirs.iter().map(|(_, dir)| dir.clone()).filter(|dir| dir.exists());
        own.flat_map(|dir| children(&dir).chain([dir]).collect::<Vec<_>>()).collect()
    }
}

/// The directories in which bases live: this process's own groups.
#[derive(Debug)]
struct Parents {
    version: u8,
    dirs: Vec<(Controller, PathBuf)>,
}

impl Parents {
    fn detect() -> Result<Parents, String> {
        let mounts = fs::read_to_string("/proc/self/mountinfo").map_err(|e| e.to_string())?;
        let own = fs::read_to_string("/proc/self/cgroup").map_err(|e| e.to_string())?;
        match Parents::unified(&mounts, &own) {
            Ok(parents) => Ok(parents),
            Err(unified) => Parents::separate(&mounts, &own).map_err(|separate| {
                format!("no usable cgroups (version 2: {unified}; version 1: {separate})")
            }),
        }
    }

    fn unified(mounts: &str, own: &str) -> Result<Parents, String> {
        let mount = mounts.lines().filter_map(Mount::parse).find(|mount| mount.kind == "cgroup2");
        let mount = mount.ok_or("not mounted")?;
        let path = own.lines().find_map(|line| line.strip_prefix("0::")).ok_or("no own group")?;
        let dir = mount.directory(path);
        let available =
            fs::read_to_string(dir.join("cgroup.controllers")).map_err(|e| e.to_string())?;
        for controller in ["memory", "pids"] {
            if !available.split_whitespace().any(|name| name == controller) {
                return Err(format!("the controller {controller} is not available"));
            }
        }
        let all = Controller(7);
        Ok(Parents { version: 2, dirs: vec![(all, dir)] })
    }

    fn separate(mounts: &str, own: &str) -> Result<Parents, String> {
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

    /// Removes the bases whose owner is gone. Every directory is judged by its own lock: on version 1 another
    /// process may share this one's group for one controller and not for the next.
    fn sweep(&self) {
        for (_, parent) in &self.dirs {
            for base in children(parent).filter(|path| starts_with(path, PREFIX)) {
                let Ok(lock) = File::open(&base) else { continue };
                let locked = flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok();
                if locked && is_same(&lock, &base) {
                    tracing::info!(cgroup = %base.display(), "sweeping what an earlier process left");
                    remove_tree(&base);
                }
            }
        }
    }

    fn create(&self) -> Result<(Base, Lock), String> {
        if self.version == 2 {
            self.delegate()?;
        }
        let mut base = Base { version: self.version, dirs: Vec::new() };
        let mut locks = Vec::new();
        for (controller, parent) in &self.dirs {
            let (dir, lock) = claim(parent)?;
            base.dirs.push((*controller, dir.clone()));
            locks.push((dir, lock));
        }
        if base.version == 2 {
            enable(&base.dirs[0].1).map_err(|e| format!("{}: {e}", base.dirs[0].1.display()))?;
        }
        Ok((base, Lock(locks)))
    }

    /// Lets the own group give controllers to its children. It may then hold no processes itself (but for the
    /// root), so they move into a leaf.
    fn delegate(&self) -> Result<(), String> {
        let own = &self.dirs[0].1;
        if enable(own).is_ok() {
            return Ok(());
        }
        let leaf = own.join("agon-main");
        fs::create_dir(&leaf)
            .or_else(|e| if e.kind() == io::ErrorKind::AlreadyExists { Ok(()) } else { Err(e) })
            .map_err(|e| {
                format!("{}: {e} (delegate the own group to this user)", leaf.display())
            })?;
        let processes = fs::read_to_string(own.join("cgroup.procs")).unwrap_or_default();
        for process in processes.lines() {
            fs::write(leaf.join("cgroup.procs"), process).ok();
        }
        enable(own).map_err(|e| format!("{}: {e}", own.join("cgroup.subtree_control").display()))
    }
}

/// Makes a directory of a new name and locks it. No name is used twice by one process.
fn claim(parent: &Path) -> Result<(PathBuf, File), String> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    loop {
        let number = NUMBER.fetch_add(1, Relaxed);
        let path = parent.join(format!("{PREFIX}{}-{number}", std::process::id()));
        match fs::create_dir(&path) {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => continue,
            Err(e) => {
                let advice = "the own group must be writable, as root or delegated";
                return Err(format!("{}: {e} ({advice})", path.display()));
            }
        }
        let Ok(file) = File::open(&path) else { continue };
        // A sweeper may have taken the directory before it was locked: then the name is gone, or another's.
        let locked = flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok();
        if locked && is_same(&file, &path) {
            return Ok((path, file));
        }
    }
}

/// Whether a path still leads to an opened directory.
fn is_same(file: &File, path: &Path) -> bool {
    let (opened, named) = (file.metadata(), fs::metadata(path));
    opened.is_ok_and(|opened| named.is_ok_and(|named| opened.ino() == named.ino()))
}

fn enable(dir: &Path) -> io::Result<()> {
    fs::write(dir.join("cgroup.subtree_control"), "+memory +pids")?;
    // Not needed to count CPU time, but some kernels are more exact with it.
    fs::write(dir.join("cgroup.subtree_control"), "+cpu").or(Ok(()))
}

/// One line of mountinfo.
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

    /// The directory of a group: its path counts from the hierarchy's root, the mount may show only a part of it.
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

/// Kills all processes below and removes the directories. False when something stays after two seconds.
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
    fn reads_separate_hierarchies() {
        let mounts = "30 20 0:26 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
            31 20 0:27 /docker/1 /sys/fs/cgroup/cpu rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n\
            32 20 0:28 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n";
        let own = "8:pids:/\n4:memory:/\n1:cpu,cpuacct:/docker/1\n0::/\n";
        let parents = Parents::separate(mounts, own).unwrap();
        let paths: Vec<_> = parents.dirs.iter().map(|(_, dir)| dir.as_path()).collect();
        let expected = ["/sys/fs/cgroup/memory", "/sys/fs/cgroup/cpu", "/sys/fs/cgroup/pids"];
        assert_eq!(paths, expected.map(Path::new));
        let without = Parents::separate(&mounts.replace(",memory", ",x"), own).unwrap_err();
        assert_eq!(without, "memory is not mounted");
    }

    #[test]
    fn controllers_mounted_together_share_a_directory() {
        let mounts = "1 0 0:1 / /cg rw - cgroup cgroup rw,memory,cpuacct,pids\n";
        let parents = Parents::separate(mounts, "1:memory,cpuacct,pids:/\n").unwrap();
        assert_eq!(parents.dirs.len(), 1);
        assert!(parents.dirs[0].0.includes(Controller::PIDS));
    }
}
