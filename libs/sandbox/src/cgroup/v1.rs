//! Version 1: one directory per controller; processes move in by themselves.
//!
//! Every run has a memory group of its own. Making and removing groups is much of what a short run costs,
//! so the groups that only count and bound processes and CPU time serve again, from zero.

use super::{Bounds, base::Controller, dir::Dir};
use rustix::{
    event::{EventfdFlags, eventfd},
    fs::OFlags,
};
use std::{
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    time::Duration,
};

/// One run's directories.
#[derive(Debug)]
pub struct Group {
    /// One per hierarchy: controllers mounted together share one.
    members: Vec<Member>,
    /// How often the counters had refused a process before this run.
    refused_before: u64,
    alarm: Option<OwnedFd>,
    bounds: Option<Bounds>,
    pub(super) without_swap: bool,
}

/// A group's directory in one hierarchy.
#[derive(Debug)]
pub struct Member {
    controllers: Controller,
    name: String,
    dir: Dir,
    /// The file `tasks`. A thread that moves only itself by it does not wait for all other processes of the
    /// machine, as with `cgroup.procs`.
    door: OwnedFd,
}

impl Member {
    /// Gives itself back when the kernel says that something is in it still.
    pub(super) fn remove(self, bases: &[(Controller, Dir)]) -> Option<Member> {
        let base = bases.iter().find(|(controllers, _)| *controllers == self.controllers);
        let removed = base.is_none_or(|(_, base)| base.remove(&self.name).is_ok());
        (!removed).then_some(self)
    }

    fn is_reusable(&self) -> bool {
        !self.controllers.includes(Controller::MEMORY)
    }
}

impl Group {
    pub(super) fn new(
        bases: &[(Controller, Dir)],
        name: &str,
        spare: &mut Vec<Member>,
    ) -> io::Result<Group> {
        let mut members = Vec::with_capacity(bases.len());
        for (controllers, base) in bases {
            let used = spare.iter().position(|member| member.controllers == *controllers);
            members.push(match used {
                Some(at) => spare.swap_remove(at),
                None => {
                    let (name, dir) = (name.to_owned(), base.make(name)?);
                    let door = dir.file("tasks", OFlags::WRONLY)?;
                    Member { controllers: *controllers, name, dir, door }
                }
            });
        }
        let (alarm, bounds, without_swap) = (None, None, false);
        let mut group = Group { members, refused_before: 0, alarm, bounds, without_swap };
        group.dir(Controller::CPUACCT).write("cpuacct.usage", "0")?;
        group.refused_before = group.refusals()?;
        group.alarm = group.register_alarm().ok();
        Ok(group)
    }

    /// Removes the memory group and keeps the others for later. While something is left in it, the group
    /// is given back.
    pub(super) fn remove(
        mut self,
        bases: &[(Controller, Dir)],
        spare: &mut Vec<Member>,
    ) -> Option<Group> {
        let (mut counters, own): (Vec<_>, Vec<_>) =
            self.members.drain(..).partition(Member::is_reusable);
        self.members = own.into_iter().filter_map(|member| member.remove(bases)).collect();
        if self.members.is_empty() {
            spare.append(&mut counters);
            return None;
        }
        self.members.append(&mut counters);
        Some(self)
    }

    /// The directory which has a controller: its own, or the one it is mounted together with.
    fn dir(&self, controller: Controller) -> &Dir {
        let member = self.members.iter().find(|member| member.controllers.includes(controller));
        &member.unwrap_or(&self.members[0]).dir
    }

    fn register_alarm(&self) -> io::Result<OwnedFd> {
        let memory = self.dir(Controller::MEMORY);
        let alarm = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let control = memory.file("memory.oom_control", OFlags::RDONLY)?;
        let registration = format!("{} {}", alarm.as_raw_fd(), control.as_raw_fd());
        memory.write("cgroup.event_control", &registration)?;
        Ok(alarm)
    }

    pub(super) fn bound(&mut self, bounds: Bounds) -> io::Result<()> {
        if self.bounds == Some(bounds) {
            return Ok(());
        }
        let memory = bounds.memory.to_string();
        let dir = self.dir(Controller::MEMORY);
        // Memory with swap may never be below memory: when raising it goes first, when lowering last.
        let lowering = self.bounds.is_none_or(|before| before.memory > bounds.memory);
        let names = ["memory.limit_in_bytes", "memory.memsw.limit_in_bytes"];
        let mut limited = Ok(());
        let mut with_swap = Ok(());
        for name in if lowering { names } else { [names[1], names[0]] } {
            let result = dir.write(name, &memory);
            *(if name == names[0] { &mut limited } else { &mut with_swap }) = result;
        }
        limited?;
        if with_swap.is_err() {
            // The kernel counts no swap: at least do not use it for this group.
            dir.write("memory.swappiness", "0").ok();
        }
        self.without_swap = with_swap.is_ok();
        self.dir(Controller::PIDS).write("pids.max", &bounds.processes.to_string())?;
        self.bounds = Some(bounds);
        Ok(())
    }

    pub(super) fn doors(&self) -> Vec<BorrowedFd<'_>> {
        self.members.iter().map(|member| member.door.as_fd()).collect()
    }

    pub(super) fn cpu(&self) -> io::Result<Duration> {
        self.dir(Controller::CPUACCT).number("cpuacct.usage").map(Duration::from_nanos)
    }

    pub(super) fn tasks(&self) -> io::Result<Vec<u32>> {
        self.dir(Controller::CPUACCT).numbers("tasks")
    }

    pub(super) fn memory_peak(&self) -> io::Result<u64> {
        self.dir(Controller::MEMORY).number("memory.max_usage_in_bytes")
    }

    pub(super) fn out_of_memory(&self) -> bool {
        let mut count = [0; 8];
        self.alarm.as_ref().is_some_and(|alarm| rustix::io::read(alarm, &mut count).is_ok())
            || self
                .dir(Controller::MEMORY)
                .keyed("memory.oom_control", "oom_kill")
                .is_ok_and(|kills| kills > 0)
    }

    pub(super) fn refused(&self) -> io::Result<u64> {
        Ok(self.refusals()?.saturating_sub(self.refused_before))
    }

    fn refusals(&self) -> io::Result<u64> {
        self.dir(Controller::PIDS).keyed("pids.events", "max")
    }

    pub(super) fn alarm(&self) -> Option<BorrowedFd<'_>> {
        self.alarm.as_ref().map(AsFd::as_fd)
    }
}
