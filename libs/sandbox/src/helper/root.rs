//! The file system of a container: read-only system directories, a few files in `/etc`, a minimal `/dev`, and the
//! writable directories.

use super::{
    container::{open_sources, relative},
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

/// Host directories that programs see. Symbolic links among them (merged `/usr`) are kept.
const SYSTEM: [&str; 7] = ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"];
/// The entries of the host's `/etc` that programs see, besides those of Java.
const ETC: [&str; 3] = ["ld.so.cache", "alternatives", "localtime"];
const DEVICES: [&str; 5] = ["null", "zero", "full", "random", "urandom"];
const LINKS: [(&str, &str); 5] = [
    ("/proc/self/fd", "dev/fd"),
    ("/proc/self/fd/0", "dev/stdin"),
    ("/proc/self/fd/1", "dev/stdout"),
    ("/proc/self/fd/2", "dev/stderr"),
    // Shared memory consists of files, which are limited and wiped like those in /tmp.
    ("/tmp", "dev/shm"),
];

/// Handles and metadata of the host's files, collected before the container hides them.
#[derive(Debug)]
pub struct Plan {
    mounts: Vec<(PathBuf, OwnedFd)>,
    links: Vec<(PathBuf, PathBuf)>,
    devices: Vec<(&'static str, u64, OwnedFd)>,
}

/// Opens everything that the container needs from the host.
pub fn plan(setup: &Setup) -> io::Result<Plan> {
    let mut plan = Plan { mounts: Vec::new(), links: Vec::new(), devices: Vec::new() };
    let mut wanted = Vec::new();
    match &setup.root {
        Some(root) => plan.custom_root(root, &mut wanted)?,
        None => plan.system_root(&mut wanted),
    }
    wanted.extend_from_slice(&setup.mounts);
    for (mount, tree) in wanted.iter().zip(open_sources(&wanted)?) {
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
    fn system_root(&mut self, wanted: &mut Vec<Mount>) {
        for path in SYSTEM {
            self.entry(Path::new(path), Path::new(path), wanted);
        }
        let java = fs::read_dir("/etc").into_iter().flatten().flatten();
        let java = java.filter_map(|entry| entry.file_name().into_string().ok());
        let java = java.filter(|name| name.starts_with("java"));
        for name in ETC.map(str::to_owned).into_iter().chain(java) {
            let path = Path::new("/etc").join(name);
            self.entry(&path, &path, wanted);
        }
    }

    /// Adds the entries of a configured root, except for the directories that the container creates.
    fn custom_root(&mut self, root: &Path, wanted: &mut Vec<Mount>) -> io::Result<()> {
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

/// Populates the new root: the working directory, which is a separate tmpfs.
pub fn build(plan: &Plan, setup: &Setup) -> io::Result<()> {
    for (target, tree) in &plan.mounts {
        create_mount_point(CWD, &Path::new("/").join(target), tree.as_fd())?;
        mounts::attach(tree.as_fd(), target)?;
    }
    for (link, name) in &plan.links {
        create_parents(CWD, name)?;
        symlinkat(link, CWD, name)?;
    }
    for name in ["box", "tmp", "app", "proc", "dev"] {
        mkdirat(CWD, name, Mode::from(0o755))?;
    }
    if setup.root.is_none() {
        create_etc(setup.uid)?;
    }
    create_dev(plan)?;
    let (bytes, files) = (setup.disk_bytes.to_string(), setup.disk_files.to_string());
    for (name, mode) in [("box", "1777"), ("tmp", "1777"), ("app", "755")] {
        // Owned by root and sticky like /tmp, so that programs cannot change the directory itself.
        let options = [("size", bytes.as_str()), ("nr_inodes", files.as_str()), ("mode", mode)];
        mounts::attach(mounts::tmpfs(&options, CONFINED)?.as_fd(), Path::new(name))?;
    }
    Ok(())
}

/// Creates a minimal `/etc` with two users.
fn create_etc(uid: u32) -> io::Result<()> {
    ignore_existing(mkdirat(CWD, "etc", Mode::from(0o755)))?;
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

fn create_dev(plan: &Plan) -> io::Result<()> {
    // The only mount without nodev. Only root can write to it, and no program runs as root.
    let dev = mounts::tmpfs(
        &[("size", "64k"), ("nr_inodes", "32"), ("mode", "755")],
        libc::MOUNT_ATTR_NOSUID,
    )?;
    mounts::attach(dev.as_fd(), Path::new("dev"))?;
    for (name, number, tree) in &plan.devices {
        let path = Path::new("dev").join(name);
        let mode = Mode::from(0o666);
        let created = mknodat(CWD, &path, FileType::CharacterDevice, mode, *number)
            .and_then(|()| chmodat(CWD, &path, mode, AtFlags::empty()))
            .is_ok();
        // Some machines allow creating devices but not opening them; user namespaces allow neither.
        if !created || fs::File::open(&path).is_err() {
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

/// Creates an empty directory or file as the mount point of a tree.
pub fn create_mount_point(
    root: BorrowedFd<'_>,
    target: &Path,
    tree: BorrowedFd<'_>,
) -> io::Result<()> {
    let name = relative(target)?;
    create_parents(root, &name)?;
    let is_directory = fs::File::from(tree.try_clone_to_owned()?).metadata()?.mode() & libc::S_IFMT
        == libc::S_IFDIR;
    let created = if is_directory {
        mkdirat(root, &name, Mode::from(0o755))
    } else {
        let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        openat(root, &name, flags, Mode::from(0o644)).map(drop)
    };
    ignore_existing(created)
}

fn create_parents(root: BorrowedFd<'_>, name: &Path) -> io::Result<()> {
    let mut parents: Vec<_> = name.ancestors().skip(1).collect();
    parents.pop();
    parents
        .into_iter()
        .rev()
        .try_for_each(|dir| ignore_existing(mkdirat(root, dir, Mode::from(0o755))))
}

fn ignore_existing(created: rustix::io::Result<()>) -> io::Result<()> {
    match created {
        Ok(()) | Err(rustix::io::Errno::EXIST | rustix::io::Errno::ROFS) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
