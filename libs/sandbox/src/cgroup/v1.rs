//! Cgroup v1: one directory per controller; processes enter by writing to a file.
//!
//! Each run has its own memory group. Creating and removing groups is expensive compared with a short run, so
//! the groups for processes and CPU time are reused, with their counters reset.

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

#[derive(Debug)]
pub struct Group {
    /// One per hierarchy; controllers that are mounted together share one.
    members: Vec<Member>,
    /// The refusal counter at the start of this run.
    refusals_before: u64,
    oom_event: Option<OwnedFd>,
    bounds: Option<Bounds>,
    pub(super) without_swap: bool,
}

/// The directory of a group in one hierarchy.
#[derive(Debug)]
pub struct Member {
    controllers: Controller,
    name: String,
    dir: Dir,
    /// The file `tasks`. Unlike a write to `cgroup.procs`, moving a single thread does not take a lock on all
    /// processes of the machine.
    tasks_file: OwnedFd,
}

impl Member {
    /// Returns itself while the kernel reports it as busy.
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
        reusable: &mut Vec<Member>,
    ) -> io::Result<Group> {
        let mut members = Vec::with_capacity(bases.len());
        for (controllers, base) in bases {
            let reused = reusable.iter().position(|member| member.controllers == *controllers);
            members.push(match reused {
                Some(index) => reusable.swap_remove(index),
                None => {
                    let (name, dir) = (name.to_owned(), base.create(name)?);
                    let tasks_file = dir.file("tasks", OFlags::WRONLY)?;
                    Member { controllers: *controllers, name, dir, tasks_file }
                }
            });
        }
        let (oom_event, bounds, without_swap) = (None, None, false);
        let mut group = Group { members, refusals_before: 0, oom_event, bounds, without_swap };
        group.dir(Controller::CPUACCT).write("cpuacct.usage", "0")?;
        group.refusals_before = group.refusal_counter()?;
        group.oom_event = group.register_oom_event().ok();
        Ok(group)
    }

    /// Removes the memory group and keeps the others for reuse. Returns itself while the memory group is busy.
    pub(super) fn remove(
        mut self,
        bases: &[(Controller, Dir)],
        reusable: &mut Vec<Member>,
    ) -> Option<Group> {
        let (mut counters, own): (Vec<_>, Vec<_>) =
            self.members.drain(..).partition(Member::is_reusable);
        self.members = own.into_iter().filter_map(|member| member.remove(bases)).collect();
        if self.members.is_empty() {
            reusable.append(&mut counters);
            return None;
        }
        self.members.append(&mut counters);
        Some(self)
    }

    fn dir(&self, controller: Controller) -> &Dir {
        let member = self.members.iter().find(|member| member.controllers.includes(controller));
        &member.unwrap_or(&self.members[0]).dir
    }

    fn register_oom_event(&self) -> io::Result<OwnedFd> {
        let memory = self.dir(Controller::MEMORY);
        let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let control = memory.file("memory.oom_control", OFlags::RDONLY)?;
        let registration = format!("{} {}", event.as_raw_fd(), control.as_raw_fd());
        memory.write("cgroup.event_control", &registration)?;
        Ok(event)
    }

    pub(super) fn set_bounds(&mut self, bounds: Bounds) -> io::Result<()> {
        if self.bounds == Some(bounds) {
            return Ok(());
        }
        let memory = bounds.memory.to_string();
        let dir = self.dir(Controller::MEMORY);
        // The limit of memory and swap must never be below the limit of memory: raise it first, lower it last.
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
            // The kernel does not account swap: at least avoid it for this group.
            dir.write("memory.swappiness", "0").ok();
        }
        self.without_swap = with_swap.is_ok();
        self.dir(Controller::PIDS).write("pids.max", &bounds.processes.to_string())?;
        self.bounds = Some(bounds);
        Ok(())
    }

    pub(super) fn tasks_files(&self) -> Vec<BorrowedFd<'_>> {
        self.members.iter().map(|member| member.tasks_file.as_fd()).collect()
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
        self.oom_event.as_ref().is_some_and(|event| rustix::io::read(event, &mut count).is_ok())
            || self
                .dir(Controller::MEMORY)
                .keyed("memory.oom_control", "oom_kill")
                .is_ok_and(|kills| kills > 0)
    }

    pub(super) fn refusals(&self) -> io::Result<u64> {
        Ok(self.refusal_counter()?.saturating_sub(self.refusals_before))
    }

    fn refusal_counter(&self) -> io::Result<u64> {
        self.dir(Controller::PIDS).keyed("pids.events", "max")
    }

    pub(super) fn oom_event(&self) -> Option<BorrowedFd<'_>> {
        self.oom_event.as_ref().map(AsFd::as_fd)
    }
}
