//! What a container's file system holds: the system's directories read-only, a few files of `/etc`, a minimal
//! `/dev`, and the directories that change.

use super::{
    container::{relative, sources},
    mounts::{self, CONFINED},
};
use crate::{config::Mount, wire::Setup};
use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, chmodat, mkdirat, mknodat, openat, symlinkat,
};
use std::{
    fs, io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::fs::MetadataExt,
    },
    path::{Path, PathBuf},
};

/// Directories of the system that programs see; links among them (merged `/usr`) stay links.
const SYSTEM: [&str; 7] = ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"];
/// The only files of the host's `/etc` that programs see.
const SETTINGS: [&str; 3] = ["ld.so.cache", "alternatives", "localtime"];
const DEVICES: [&str; 5] = ["null", "zero", "full", "random", "urandom"];
const LINKS: [(&str, &str); 5] = [
    ("/proc/self/fd", "dev/fd"),
    ("/proc/self/fd/0", "dev/stdin"),
    ("/proc/self/fd/1", "dev/stdout"),
    ("/proc/self/fd/2", "dev/stderr"),
    // Shared memory is files: bounded and emptied like the rest of /tmp.
    ("/tmp", "dev/shm"),
];

/// What was found on the host, open, before the host's files go out of sight.
#[derive(Debug)]
pub struct Plan {
    mounts: Vec<(PathBuf, OwnedFd)>,
    links: Vec<(PathBuf, PathBuf)>,
    devices: Vec<(&'static str, u64, OwnedFd)>,
}

/// Looks at the host.
pub fn plan(setup: &Setup) -> io::Result<Plan> {
    let mut plan = Plan { mounts: Vec::new(), links: Vec::new(), devices: Vec::new() };
    let mut wanted = Vec::new();
    match &setup.root {
        Some(root) => plan.whole(root, &mut wanted)?,
        None => plan.system(&mut wanted),
    }
    wanted.extend_from_slice(&setup.mounts);
    for (mount, tree) in wanted.iter().zip(sources(&wanted)?) {
        plan.mounts.push((relative(&mount.target)?, tree));
    }
    for name in DEVICES {
        let path = Path::new("/dev").join(name);
        let number = fs::metadata(&path)?.rdev();
        plan.devices.push((name, number, mounts::copy(&path, libc::MOUNT_ATTR_NOSUID)?));
    }
    Ok(plan)
}

impl Plan {
    fn system(&mut self, wanted: &mut Vec<Mount>) {
        for path in SYSTEM {
            self.entry(Path::new(path), Path::new(path), wanted);
        }
        let java = fs::read_dir("/etc").into_iter().flatten().flatten();
        let java = java.filter_map(|entry| entry.file_name().into_string().ok());
        let java = java.filter(|name| name.starts_with("java"));
        for name in SETTINGS.map(str::to_owned).into_iter().chain(java) {
            let path = Path::new("/etc").join(name);
            self.entry(&path, &path, wanted);
        }
    }

    /// An operator's root: everything in it, but for what the container brings itself.
    fn whole(&mut self, root: &Path, wanted: &mut Vec<Mount>) -> io::Result<()> {
        for entry in fs::read_dir(root)? {
            let entry = entry?;
            let target = Path::new("/").join(entry.file_name());
            let own = ["box", "tmp", "app", "proc", "dev", "sys"];
            if !own.iter().any(|name| entry.file_name() == *name) {
                self.entry(&entry.path(), &target, wanted);
            }
        }
        Ok(())
    }

    fn entry(&mut self, source: &Path, target: &Path, wanted: &mut Vec<Mount>) {
        let Ok(found) = fs::symlink_metadata(source) else { return };
        if let Ok(link) = fs::read_link(source)
            && let Ok(name) = relative(target)
        {
            self.links.push((link, name));
        } else if found.is_dir() || found.is_file() {
            wanted.push(Mount { source: source.to_path_buf(), target: target.to_path_buf() });
        }
    }
}

/// Fills the new root, which is the working directory and a tmpfs of its own.
pub fn build(plan: &Plan, setup: &Setup) -> io::Result<()> {
    for (target, tree) in &plan.mounts {
        place(CWD, &Path::new("/").join(target), tree.as_fd())?;
        mounts::attach(tree.as_fd(), target)?;
    }
    for (link, name) in &plan.links {
        parents(CWD, name)?;
        symlinkat(link, CWD, name)?;
    }
    for name in ["box", "tmp", "app", "proc", "dev"] {
        mkdirat(CWD, name, Mode::from(0o755))?;
    }
    if setup.root.is_none() {
        settings(setup.uid)?;
    }
    devices(plan)?;
    let (bytes, files) = (setup.disk_bytes.to_string(), setup.disk_files.to_string());
    for (name, mode) in [("box", "1777"), ("tmp", "1777"), ("app", "755")] {
        // Not owned by the programs' user, who therefore cannot change the directory itself; sticky, as /tmp is.
        let options = [("size", bytes.as_str()), ("nr_inodes", files.as_str()), ("mode", mode)];
        mounts::attach(mounts::tmpfs(&options, CONFINED)?.as_fd(), Path::new(name))?;
    }
    Ok(())
}

/// A small `/etc`: names for the two users there are.
fn settings(uid: u32) -> io::Result<()> {
    exists(mkdirat(CWD, "etc", Mode::from(0o755)))?;
    let files = [
        ("passwd", format!("root:x:0:0::/:/bin/sh\nbox:x:{uid}:{uid}::/box:/bin/sh\n")),
        ("group", format!("root:x:0:\nbox:x:{uid}:\n")),
        ("nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\n".to_owned()),
        ("hosts", "127.0.0.1 localhost\n".to_owned()),
    ];
    for (name, content) in files {
        fs::write(Path::new("etc").join(name), content)?;
    }
    Ok(())
}

fn devices(plan: &Plan) -> io::Result<()> {
    // The one mount with devices. It is writable for nobody but root, and root has no programs here.
    let dev = mounts::tmpfs(
        &[("size", "64k"), ("nr_inodes", "32"), ("mode", "755")],
        libc::MOUNT_ATTR_NOSUID,
    )?;
    mounts::attach(dev.as_fd(), Path::new("dev"))?;
    for (name, number, tree) in &plan.devices {
        let path = Path::new("dev").join(name);
        let mode = Mode::from(0o666);
        let made = mknodat(CWD, &path, FileType::CharacterDevice, mode, *number)
            .and_then(|()| chmodat(CWD, &path, mode, AtFlags::empty()))
            .is_ok();
        // Some machines let devices be made, but not used; a user namespace not even that.
        if !made || fs::File::open(&path).is_err() {
            fs::remove_file(&path).ok();
            fs::write(&path, "")?;
            mounts::attach(tree.as_fd(), &path)?;
        }
    }
    for (link, name) in LINKS {
        symlinkat(link, CWD, name)?;
    }
    Ok(())
}

/// Makes an empty directory or file for a tree to be mounted on.
pub fn place(root: BorrowedFd<'_>, target: &Path, tree: BorrowedFd<'_>) -> io::Result<()> {
    let name = relative(target)?;
    parents(root, &name)?;
    let is_directory = fs::File::from(tree.try_clone_to_owned()?).metadata()?.mode() & libc::S_IFMT
        == libc::S_IFDIR;
    let made = if is_directory {
        mkdirat(root, &name, Mode::from(0o755))
    } else {
        let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        openat(root, &name, flags, Mode::from(0o644)).map(drop)
    };
    exists(made)
}

fn parents(root: BorrowedFd<'_>, name: &Path) -> io::Result<()> {
    let mut above: Vec<_> = name.ancestors().skip(1).collect();
    above.pop();
    above.into_iter().rev().try_for_each(|dir| exists(mkdirat(root, dir, Mode::from(0o755))))
}

fn exists(made: rustix::io::Result<()>) -> io::Result<()> {
    match made {
        Ok(()) | Err(rustix::io::Errno::EXIST | rustix::io::Errno::ROFS) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
