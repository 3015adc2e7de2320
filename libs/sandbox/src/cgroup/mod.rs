//! Control groups: what counts and bounds the resources of one run, on both versions of the kernel interface.
//!
//! The owner makes a [`Base`] (one directory, or one per controller on version 1), holds a lock on it
//! for its lifetime, and sweeps the bases whose lock nobody holds. Boxes make one [`Group`] per run
//! below it, by directory handles only, since a box does not see the host's file system.

mod base;
mod dir;
mod v1;
mod v2;

pub use base::{Base, Lock};
use dir::Dir;

use std::{io, os::fd::BorrowedFd, time::Duration};

/// The base as a box holds it.
#[derive(Debug)]
pub struct Tree {
    dirs: Vec<(base::Controller, Dir)>,
    version: u8,
    prefix: String,
    made: u64,
    /// Version 1 counters of ended runs, to be used again.
    spare: Vec<v1::Member>,
}

impl Tree {
    /// Opens the base's directories; the groups of this tree are named after the slot.
    pub fn open(base: &Base, slot: usize) -> io::Result<Tree> {
        let mut dirs = Vec::new();
        for (controller, path) in &base.dirs {
            dirs.push((*controller, Dir::open(path)?));
        }
        Ok(Tree {
            dirs,
            version: base.version,
            prefix: Base::prefix(slot),
            made: 0,
            spare: Vec::new(),
        })
    }

    /// A fresh group for one run.
    pub fn group(&mut self) -> io::Result<Group> {
        self.made += 1;
        let name = format!("{}{}", self.prefix, self.made);
        Ok(match self.version {
            2 => Group::V2(v2::Group::new(&self.dirs[0].1, name)?),
            _ => Group::V1(v1::Group::new(&self.dirs, &name, &mut self.spare)?),
        })
    }

    /// Removes a group whose processes are gone. The kernel may need a moment for the last of them, so
    /// a busy group is handed back to be tried again.
    pub fn remove(&mut self, group: Group) -> Option<Group> {
        match group {
            Group::V1(group) => group.remove(&self.dirs, &mut self.spare).map(Group::V1),
            Group::V2(group) => match self.dirs[0].1.remove(&group.name) {
                Ok(()) => None,
                Err(_) => Some(Group::V2(group)),
            },
        }
    }

    /// Removes what was kept to be used again.
    pub fn clear(&mut self) {
        self.spare.drain(..).for_each(|member| drop(member.remove(&self.dirs)));
    }
}

/// What bounds a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes.
    pub memory: u64,
    /// Processes and threads.
    pub processes: u32,
}

/// How a process gets into a group.
#[derive(Debug)]
pub enum Entrance<'a> {
    /// It is created in this directory.
    Birthplace(BorrowedFd<'a>),
    /// It moves in by itself, by writing a zero to each of these files.
    Doors(Vec<BorrowedFd<'a>>),
}

/// One run's group.
#[derive(Debug)]
pub enum Group {
    /// One directory per controller.
    V1(v1::Group),
    /// One directory.
    V2(v2::Group),
}

impl Group {
    /// Sets the bounds; costs nothing when they are set already.
    pub fn bound(&mut self, bounds: Bounds) -> io::Result<()> {
        match self {
            Group::V1(group) => group.bound(bounds),
            Group::V2(group) => group.bound(bounds),
        }
    }

    /// How a process gets into it.
    pub fn entrance(&self) -> Entrance<'_> {
        match self {
            Group::V1(group) => Entrance::Doors(group.doors()),
            Group::V2(group) => Entrance::Birthplace(group.dir.fd()),
        }
    }

    /// CPU time of all processes so far, those that ended included.
    pub fn cpu(&self) -> io::Result<Duration> {
        match self {
            Group::V1(group) => group.cpu(),
            Group::V2(group) => group.cpu(),
        }
    }

    /// The threads in it now.
    pub fn tasks(&self) -> io::Result<Vec<u32>> {
        match self {
            Group::V1(group) => group.tasks(),
            Group::V2(group) => group.tasks(),
        }
    }

    /// The most memory used at a time.
    pub fn memory_peak(&self) -> io::Result<u64> {
        match self {
            Group::V1(group) => group.memory_peak(),
            Group::V2(group) => group.memory_peak(),
        }
    }

    /// Whether the kernel found no memory within the bound.
    pub fn out_of_memory(&self) -> bool {
        match self {
            Group::V1(group) => group.out_of_memory(),
            Group::V2(group) => group.out_of_memory(),
        }
    }

    /// Whether a process was refused for the bound.
    pub fn processes_refused(&self) -> bool {
        let count = match self {
            Group::V1(group) => group.refused(),
            Group::V2(group) => group.refused(),
        };
        count.is_ok_and(|count| count > 0)
    }

    /// Becomes readable when memory runs out, where the kernel does not kill the whole group by itself.
    pub fn memory_alarm(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Group::V1(group) => group.alarm(),
            Group::V2(_) => None,
        }
    }

    /// Kills whatever is in the group, where the kernel can do that at once.
    pub fn kill(&self) {
        if let Group::V2(group) = self {
            group.kill();
        }
    }

    /// Whether swap is out of reach for the group.
    pub fn without_swap(&self) -> bool {
        match self {
            Group::V1(group) => group.without_swap,
            Group::V2(group) => group.without_swap,
        }
    }
}
