//! Cgroups, which count and limit the resources of a run. Supports cgroup v1 and v2.
//!
//! A sandbox creates a [`Base`] (one directory, or one per controller with v1), holds a lock on it for its
//! lifetime, and removes bases that are not locked. Each agon-box creates one [`Group`] per run in the base.
//! It uses directory handles only, since it does not see the host's file system.

mod base;
mod dir;
mod v1;
mod v2;

pub use base::{Base, Lock};
use dir::Dir;

use std::{io, os::fd::BorrowedFd, time::Duration};

/// The base, opened by an agon-box.
#[derive(Debug)]
pub struct Tree {
    dirs: Vec<(base::Controller, Dir)>,
    version: u8,
    prefix: String,
    /// The number of groups created, for unique names.
    created: u64,
    /// With v1: counter groups of finished runs, for reuse.
    reusable: Vec<v1::Member>,
}

impl Tree {
    /// Opens the directories of the base. The names of groups start with the slot.
    pub fn open(base: &Base, slot: usize) -> io::Result<Tree> {
        let mut dirs = Vec::new();
        for (controller, path) in &base.dirs {
            dirs.push((*controller, Dir::open(path)?));
        }
        Ok(Tree {
            dirs,
            version: base.version,
            prefix: Base::prefix(slot),
            created: 0,
            reusable: Vec::new(),
        })
    }

    pub fn create(&mut self) -> io::Result<Group> {
        self.created += 1;
        let name = format!("{}{}", self.prefix, self.created);
        Ok(match self.version {
            2 => Group::V2(v2::Group::new(&self.dirs[0].1, name)?),
            _ => Group::V1(v1::Group::new(&self.dirs, &name, &mut self.reusable)?),
        })
    }

    /// Removes a group whose processes have ended. Returns the group while the kernel still reports it as busy,
    /// so that the caller can retry.
    pub fn remove(&mut self, group: Group) -> Option<Group> {
        match group {
            Group::V1(group) => group.remove(&self.dirs, &mut self.reusable).map(Group::V1),
            Group::V2(group) => match self.dirs[0].1.remove(&group.name) {
                Ok(()) => None,
                Err(_) => Some(Group::V2(group)),
            },
        }
    }

    /// Removes the reusable groups.
    pub fn clear(&mut self) {
        self.reusable.drain(..).for_each(|member| drop(member.remove(&self.dirs)));
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// In bytes.
    pub memory: u64,
    /// Processes and threads together.
    pub processes: u32,
}

/// How a process enters a group.
#[derive(Debug)]
pub enum Entry<'a> {
    /// It is created in this cgroup directory, by `clone3`.
    CloneInto(BorrowedFd<'a>),
    /// It writes a zero to each of these files.
    Write(Vec<BorrowedFd<'a>>),
}

#[derive(Debug)]
pub enum Group {
    V1(v1::Group),
    V2(v2::Group),
}

/// Calls a method of the group of either version.
macro_rules! of_version {
    ($group:expr, $method:ident($($argument:expr),*)) => {
        match $group {
            Group::V1(group) => group.$method($($argument),*),
            Group::V2(group) => group.$method($($argument),*),
        }
    };
}

impl Group {
    /// Sets the limits; does nothing when they are unchanged.
    pub fn set_bounds(&mut self, bounds: Bounds) -> io::Result<()> {
        of_version!(self, set_bounds(bounds))
    }

    pub fn entry(&self) -> Entry<'_> {
        match self {
            Group::V1(group) => Entry::Write(group.tasks_files()),
            Group::V2(group) => Entry::CloneInto(group.dir.fd()),
        }
    }

    /// CPU time of all processes so far, including ended ones.
    pub fn cpu(&self) -> io::Result<Duration> {
        of_version!(self, cpu())
    }

    /// The ids of the threads in the group.
    pub fn tasks(&self) -> io::Result<Vec<u32>> {
        of_version!(self, tasks())
    }

    /// In bytes.
    pub fn memory_peak(&self) -> io::Result<u64> {
        of_version!(self, memory_peak())
    }

    /// Whether the OOM killer killed a process of the group.
    pub fn out_of_memory(&self) -> bool {
        of_version!(self, out_of_memory())
    }

    /// Whether the process limit prevented the start of a process or thread.
    pub fn processes_refused(&self) -> bool {
        of_version!(self, refusals()).is_ok_and(|count| count > 0)
    }

    /// With v1, a descriptor that becomes readable when the group is out of memory. With v2 the kernel kills the
    /// whole group.
    pub fn oom_event(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Group::V1(group) => group.oom_event(),
            Group::V2(_) => None,
        }
    }

    /// Kills all processes of the group, where the kernel supports it (v2).
    pub fn kill(&self) {
        if let Group::V2(group) = self {
            group.kill();
        }
    }

    /// Whether the group cannot use swap.
    pub fn without_swap(&self) -> bool {
        match self {
            Group::V1(group) => group.without_swap,
            Group::V2(group) => group.without_swap,
        }
    }
}
