//! Version 1: one directory per controller; processes move in by themselves.

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
    pub(super) name: String,
    /// One per hierarchy: controllers mounted together share one.
    dirs: Vec<(Controller, Dir)>,
    alarm: Option<OwnedFd>,
    bounds: Option<Bounds>,
    pub(super) without_swap: bool,
}

impl Group {
    pub(super) fn new(bases: &[(Controller, Dir)], name: String) -> io::Result<Group> {
        let mut dirs = Vec::with_capacity(bases.len());
        for (controller, base) in bases {
            dirs.push((*controller, base.make(&name)?));
        }
        let mut group = Group { name, dirs, alarm: None, bounds: None, without_swap: false };
        group.alarm = group.register_alarm().ok();
        Ok(group)
    }

    /// The directory which has a controller: its own, or the one it is mounted together with.
    fn dir(&self, controller: Controller) -> &Dir {
        self.dirs
            .iter()
            .find(|(has, _)| has.includes(controller))
            .map_or(&self.dirs[0].1, |(_, dir)| dir)
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

    pub(super) fn join(&self) -> io::Result<()> {
        self.dirs.iter().try_for_each(|(_, dir)| dir.write("cgroup.procs", "0"))
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
        self.dir(Controller::PIDS).keyed("pids.events", "max")
    }

    pub(super) fn alarm(&self) -> Option<BorrowedFd<'_>> {
        self.alarm.as_ref().map(AsFd::as_fd)
    }
}
