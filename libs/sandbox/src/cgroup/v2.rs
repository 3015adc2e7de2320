//! Cgroup v2: one directory for all controllers; processes are created in it.

use super::{Bounds, dir::Dir};
use std::{io, time::Duration};

#[derive(Debug)]
pub struct Group {
    pub(super) name: String,
    pub(super) dir: Dir,
    bounds: Option<Bounds>,
    pub(super) without_swap: bool,
}

impl Group {
    pub(super) fn new(base: &Dir, name: String) -> io::Result<Group> {
        let dir = base.create(&name)?;
        // Out of memory kills the whole run, so that no parent continues without its children.
        dir.write("memory.oom.group", "1")?;
        // A kernel without swap support does not have this file.
        let without_swap = match dir.write("memory.swap.max", "0") {
            Ok(()) => true,
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        };
        Ok(Group { name, dir, bounds: None, without_swap })
    }

    pub(super) fn set_bounds(&mut self, bounds: Bounds) -> io::Result<()> {
        let before = self.bounds.replace(bounds);
        if before.is_none_or(|before| before.memory != bounds.memory) {
            self.dir.write("memory.max", &bounds.memory.to_string())?;
        }
        if before.is_none_or(|before| before.processes != bounds.processes) {
            self.dir.write("pids.max", &bounds.processes.to_string())?;
        }
        Ok(())
    }

    pub(super) fn cpu(&self) -> io::Result<Duration> {
        self.dir.keyed("cpu.stat", "usage_usec").map(Duration::from_micros)
    }

    pub(super) fn tasks(&self) -> io::Result<Vec<u32>> {
        self.dir.numbers("cgroup.threads")
    }

    pub(super) fn memory_peak(&self) -> io::Result<u64> {
        self.dir.number("memory.peak")
    }

    pub(super) fn out_of_memory(&self) -> bool {
        self.dir.keyed("memory.events", "oom_kill").is_ok_and(|kills| kills > 0)
    }

    pub(super) fn refusals(&self) -> io::Result<u64> {
        self.dir.keyed("pids.events", "max")
    }

    pub(super) fn kill(&self) {
        // Missing before Linux 5.14; the end of the PID namespace kills the processes as well.
        self.dir.write("cgroup.kill", "1").ok();
    }
}
