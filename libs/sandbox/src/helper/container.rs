//! The container of a slot: the namespaces and the file system that its programs see.
//!
//! agon-box itself runs in the namespaces of the container (but not in the PID namespace of a run) and accesses
//! cgroups and the host's `/proc` by handles that it opened before. Network, IPC and UTS namespaces are created
//! once, because programs cannot leave anything in them: they have only `AF_UNIX` sockets, no System V or POSIX
//! IPC, and cannot set the host name. Each container has a new mount namespace with new tmpfs mounts.

use super::{
    mounts::{self, CONFINED, READ_ONLY},
    root,
};
use crate::{config::Mount, wire::Setup};
use rustix::{
    fs::{Mode, OFlags, openat},
    mount::{MountPropagationFlags, UnmountFlags, mount_change, unmount},
    process::{chdir, pivot_root},
    thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space},
};
use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
};

/// Handles of the host that all containers of this agon-box use.
#[derive(Debug)]
pub struct Host {
    /// A mount namespace with the host's files.
    mounts: OwnedFd,
    pub proc_dir: OwnedFd,
    /// `/proc/sys/kernel/ns_last_pid`, if the kernel has it; an init resets the PIDs of its namespace with it.
    pub last_pid: Option<OwnedFd>,
}

impl Host {
    /// Leaves the host's namespaces. Called once, in a process with one thread.
    pub fn leave() -> io::Result<Host> {
        unshare(UnshareFlags::NEWNS)?;
        let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
        mount_change("/", private)?;
        let proc_dir = rustix::fs::open(
            "/proc",
            OFlags::DIRECTORY | OFlags::PATH | OFlags::CLOEXEC,
            Mode::empty(),
        )?;
        let flags = OFlags::RDWR | OFlags::CLOEXEC;
        let last_pid = openat(&proc_dir, "sys/kernel/ns_last_pid", flags, Mode::empty()).ok();
        let mounts = mount_namespace(proc_dir.as_fd())?;
        unshare(UnshareFlags::NEWNET | UnshareFlags::NEWIPC | UnshareFlags::NEWUTS)?;
        rustix::system::sethostname(b"box")?;
        Ok(Host { mounts, proc_dir, last_pid })
    }

    fn enter(&self) -> io::Result<()> {
        let kind = LinkNameSpaceType::Mount;
        Ok(move_into_link_name_space(self.mounts.as_fd(), Some(kind))?)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Area {
    Box,
    Tmp,
    App,
}

/// A container. The calling process is inside it.
#[derive(Debug)]
pub struct Container {
    mounts: OwnedFd,
    /// The root, writable for agon-box to create mount points.
    root: OwnedFd,
    areas: [OwnedFd; 3],
    run_mounts: Vec<Mount>,
}

impl Container {
    /// Creates a container and enters it. The kernel removes the previous one with its last process.
    pub fn enter(host: &Host, setup: &Setup) -> io::Result<Container> {
        host.enter()?;
        unshare(UnshareFlags::NEWNS)?;
        let plan = root::plan(setup)?;
        let tree =
            mounts::tmpfs(&[("size", "16m"), ("nr_inodes", "4096"), ("mode", "755")], CONFINED)?;
        // Any directory will do: no other process sees this namespace, and the sources are already open.
        mounts::attach(tree.as_fd(), Path::new("/tmp"))?;
        chdir("/tmp")?;
        root::build(&plan, setup)?;
        pivot_root(".", ".")?;
        unmount(".", UnmountFlags::DETACH)?;
        chdir("/")?;
        let root = mounts::copy(Path::new("/"), CONFINED)?;
        restrict_root()?;
        let area = |name| {
            openat(rustix::fs::CWD, name, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        };
        let areas = [area("/box")?, area("/tmp")?, area("/app")?];
        let mounts = mount_namespace(host.proc_dir.as_fd())?;
        Ok(Container { mounts, root, areas, run_mounts: Vec::new() })
    }

    pub fn area(&self, area: Area) -> BorrowedFd<'_> {
        self.areas[area as usize].as_fd()
    }

    /// Replaces the mounts of the previous run by these. Returns true if they changed, so that existing inits
    /// have an outdated mount namespace.
    pub fn set_run_mounts(&mut self, host: &Host, mounts: &[Mount]) -> io::Result<bool> {
        if self.run_mounts == mounts {
            return Ok(false);
        }
        for mount in self.run_mounts.drain(..).rev() {
            unmount(&mount.target, UnmountFlags::DETACH)?;
        }
        host.enter()?;
        let trees = open_sources(mounts);
        move_into_link_name_space(self.mounts.as_fd(), Some(LinkNameSpaceType::Mount))?;
        for (mount, tree) in mounts.iter().zip(trees?) {
            root::create_mount_point(self.root.as_fd(), &mount.target, tree.as_fd())?;
            mounts::attach(tree.as_fd(), &mount.target)?;
            self.run_mounts.push(mount.clone());
        }
        Ok(true)
    }
}

/// Opens the sources of mounts; must be called in the host's mount namespace.
pub fn open_sources(mounts: &[Mount]) -> io::Result<Vec<OwnedFd>> {
    let open = |mount: &Mount| {
        mounts::copy(&mount.source, READ_ONLY).map_err(|error| {
            io::Error::new(error.kind(), format!("{}: {error}", mount.source.display()))
        })
    };
    mounts.iter().map(open).collect()
}

fn mount_namespace(proc_dir: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    Ok(openat(proc_dir, "self/ns/mnt", OFlags::CLOEXEC, Mode::empty())?)
}

/// Makes the root read-only, but not the mounts below it.
fn restrict_root() -> io::Result<()> {
    use rustix::mount::{MountFlags, mount_remount};
    let flags = MountFlags::BIND | MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV;
    Ok(mount_remount("/", flags, "")?)
}

/// Converts an absolute path in the container to one relative to its root.
pub fn relative(path: &Path) -> io::Result<PathBuf> {
    let inside = path.strip_prefix("/").ok().filter(|rest| {
        !rest.as_os_str().is_empty()
            && rest.components().all(|part| matches!(part, std::path::Component::Normal(_)))
    });
    inside.map(Path::to_path_buf).ok_or_else(|| {
        let message = format!("{}: must be absolute and without `..`", path.display());
        io::Error::new(io::ErrorKind::InvalidInput, message)
    })
}

fn unshare(flags: UnshareFlags) -> io::Result<()> {
    // SAFETY: agon-box has one thread, so no other thread sees its namespaces change; file descriptors are not
    // unshared.
    Ok(unsafe { rustix::thread::unshare_unsafe(flags) }?)
}
