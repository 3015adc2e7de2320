//! The container of a slot: the namespaces and the file system which its programs see.
//!
//! The box itself lives in the container's namespaces (but not in a run's PID namespace): it reaches
//! control groups and the host's process table by handles opened before. Network, IPC and UTS
//! namespaces are made once, because nothing can stay in them: programs have no sockets but
//! `AF_UNIX`, no System V or POSIX IPC and no right to set names. The mount namespace and all its
//! tmpfs are new in every container.

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

/// What stays while containers come and go.
#[derive(Debug)]
pub struct Home {
    /// A mount namespace with the host's files.
    mounts: OwnedFd,
    /// The host's `/proc`, to name the namespaces of an init.
    pub processes: OwnedFd,
    /// The file by which an init may restart its namespace's process numbers, where there is one.
    pub last_pid: Option<OwnedFd>,
}

impl Home {
    /// Leaves the host's namespaces; called once, in a process with one thread.
    pub fn leave() -> io::Result<Home> {
        unshare(UnshareFlags::NEWNS)?;
        let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
        mount_change("/", private)?;
        let processes = rustix::fs::open(
            "/proc",
            OFlags::DIRECTORY | OFlags::PATH | OFlags::CLOEXEC,
            Mode::empty(),
        )?;
        let flags = OFlags::RDWR | OFlags::CLOEXEC;
        let last_pid = openat(&processes, "sys/kernel/ns_last_pid", flags, Mode::empty()).ok();
        let home = Home { mounts: own_mounts(processes.as_fd())?, processes, last_pid };
        unshare(UnshareFlags::NEWNET | UnshareFlags::NEWIPC | UnshareFlags::NEWUTS)?;
        rustix::system::sethostname(b"box")?;
        Ok(home)
    }

    fn enter(&self) -> io::Result<()> {
        let kind = LinkNameSpaceType::Mount;
        Ok(move_into_link_name_space(self.mounts.as_fd(), Some(kind))?)
    }
}

/// The three directories whose content changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Area {
    /// `/box`
    Box,
    /// `/tmp`
    Tmp,
    /// `/app`
    App,
}

/// One container; the calling process is inside.
#[derive(Debug)]
pub struct Container {
    own: OwnedFd,
    /// The root, writable for the box, to make places for mounts.
    root: OwnedFd,
    areas: [OwnedFd; 3],
    /// Mounted for the run, besides the container's own.
    extra: Vec<Mount>,
}

impl Container {
    /// Makes a container and moves into it. The one before, if any, goes with its last process.
    pub fn enter(home: &Home, setup: &Setup) -> io::Result<Container> {
        home.enter()?;
        unshare(UnshareFlags::NEWNS)?;
        let plan = root::plan(setup)?;
        let tree =
            mounts::tmpfs(&[("size", "16m"), ("nr_inodes", "4096"), ("mode", "755")], CONFINED)?;
        // Any directory does: nobody else sees this namespace, and the sources are open already.
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
        let own = own_mounts(home.processes.as_fd())?;
        Ok(Container { own, root, areas, extra: Vec::new() })
    }

    /// One of the directories with changing content.
    pub fn area(&self, area: Area) -> BorrowedFd<'_> {
        self.areas[area as usize].as_fd()
    }

    /// Makes exactly these mounts visible besides the container's own. True when something changed, so that
    /// inits made before do not see the same.
    pub fn show(&mut self, home: &Home, extra: &[Mount]) -> io::Result<bool> {
        if self.extra == extra {
            return Ok(false);
        }
        for mount in self.extra.drain(..).rev() {
            unmount(&mount.target, UnmountFlags::DETACH)?;
        }
        home.enter()?;
        let trees = sources(extra);
        move_into_link_name_space(self.own.as_fd(), Some(LinkNameSpaceType::Mount))?;
        for (mount, tree) in extra.iter().zip(trees?) {
            root::place(self.root.as_fd(), &mount.target, tree.as_fd())?;
            mounts::attach(tree.as_fd(), &mount.target)?;
            self.extra.push(mount.clone());
        }
        Ok(true)
    }
}

/// Opens what is to be mounted, in the host's namespace.
pub fn sources(mounts: &[Mount]) -> io::Result<Vec<OwnedFd>> {
    let open = |mount: &Mount| {
        mounts::copy(&mount.source, READ_ONLY).map_err(|error| {
            io::Error::new(error.kind(), format!("{}: {error}", mount.source.display()))
        })
    };
    mounts.iter().map(open).collect()
}

fn own_mounts(processes: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    Ok(openat(processes, "self/ns/mnt", OFlags::CLOEXEC, Mode::empty())?)
}

/// Makes the root itself read-only, not what is mounted below.
fn restrict_root() -> io::Result<()> {
    use rustix::mount::{MountFlags, mount_remount};
    let flags = MountFlags::BIND | MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV;
    Ok(mount_remount("/", flags, "")?)
}

/// A path inside the container as one that is relative to its root.
pub fn relative(path: &Path) -> io::Result<PathBuf> {
    let inside = path.strip_prefix("/").ok().filter(|rest| {
        !rest.as_os_str().is_empty()
            && rest.components().all(|part| matches!(part, std::path::Component::Normal(_)))
    });
    inside.map(Path::to_path_buf).ok_or_else(|| {
        let message = format!("{}: not an absolute, plain path", path.display());
        io::Error::new(io::ErrorKind::InvalidInput, message)
    })
}

fn unshare(flags: UnshareFlags) -> io::Result<()> {
    // SAFETY: the box has one thread, so no other thread sees its namespaces change; file
    // descriptors are not unshared.
    Ok(unsafe { rustix::thread::unshare_unsafe(flags) }?)
}
