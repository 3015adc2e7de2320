//! One run, from the word to the init until its answer.
//!
//! The box sleeps until something happens or until the CPU time that is left could have been used up,
//! whichever is first. The limit that is noticed first is the one reported.

use super::{
    files::{self, Place, Refusal},
    init::{self, Note},
    output::{Collector, Sink},
    process::Child,
    serve::{Box_, Init},
};
use crate::{
    cgroup::{Entrance, Group},
    outcome::{Limit, Violation},
    wire::{self, End, Ran, Reply, Request, Run, Source, Target},
};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{Mode, OFlags, openat},
    net::RecvFlags,
    thread::{CpuSet, sched_setaffinity},
};
use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::{Duration, Instant},
};

/// The shortest sleep between two looks at the CPU time; the kernel updates it about as often.
const SHORTEST: Duration = Duration::from_millis(1);
/// A program that the machine gives no time to is stopped by the clock all the same, after so many times its wall limit.
const STARVED: u32 = 10;
/// How soon a program is looked at again that has reached its wall limit while it waits for the machine.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// How long a talking program's output is left alone, so that its every line does not wake the box.
const QUIET: Duration = Duration::from_millis(1);

/// Runs a program and answers.
pub fn answer(
    served: &mut Box_,
    owner: BorrowedFd<'_>,
    run: &Run,
    fds: Vec<OwnedFd>,
) -> io::Result<()> {
    let cores = if run.all_cores { served.setup.all_cores.len().max(1) } else { 1 };
    let started = match start(served, run, fds) {
        Ok(started) => started,
        Err(refusal) => return wire::send(owner, &Reply::from(refusal), &[], &[]),
    };
    // The init may share this core: it goes first. What it needs for starting is not the program's time.
    started.until_under_way();
    let began = Instant::now();
    served.work_ahead();
    let Started { init, group, outputs, .. } = started;
    let watch = Watch {
        child: &init.child,
        group: &group,
        owner,
        run,
        cores: u32::try_from(cores).unwrap_or(1),
        began,
        outputs,
        limit: None,
        cancelled: false,
        notes: init.socket.as_fd(),
        processes: served.home.processes.as_fd(),
        end: None,
        serves_again: false,
    };
    let result = match watch.until_end() {
        Ok((ran, outputs, serves_again)) => {
            let result = reply(owner, ran, outputs);
            if serves_again {
                served.put_back(init);
            }
            result
        }
        Err(error) => {
            init.end();
            wire::send(owner, &Reply::Failed(error.to_string()), &[], &[])
        }
    };
    served.retire(group);
    result
}

struct Started {
    init: Init,
    group: Group,
    outputs: [Collector; 2],
    run_ns: u64,
}

impl Started {
    /// Sleeps until the init has started the program, or has ended.
    fn until_under_way(&self) {
        let events = [self.init.socket.as_fd(), self.init.child.handle.as_fd()];
        let mut events = events.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN));
        // Not longer than the program may run; an interruption costs a little order, nothing else.
        let limit = Timespec::try_from(Duration::from_nanos(self.run_ns)).ok();
        poll(&mut events, limit.as_ref()).ok();
    }
}

fn start(served: &mut Box_, run: &Run, fds: Vec<OwnedFd>) -> Result<Started, Refusal> {
    served.begin(run.keep_files)?;
    served.ran();
    let mut attached = fds.into_iter();
    let mut attached = || attached.next().ok_or(Refusal::Invalid("a descriptor is missing".into()));
    let null = |flags| rustix::fs::open("/dev/null", flags | OFlags::CLOEXEC, Mode::empty());
    let stdin = match &run.stdin {
        Source::Null => null(OFlags::RDONLY)?,
        Source::Attached => attached()?,
        Source::File(path) => files::read(&served.container, &Place::parse(path)?)?,
    };
    let mut open = |target: &Target| -> Result<(Collector, Option<OwnedFd>), Refusal> {
        Ok(match target {
            Target::Null => (Collector::none(), Some(null(OFlags::WRONLY)?)),
            Target::Attached => (Collector::none(), Some(attached()?)),
            Target::Stdout => (Collector::none(), None),
            Target::File(path) => {
                let place = Place::parse(path)?;
                let (mode, uid) = (Mode::from(0o666), Some(served.setup.uid));
                (Collector::none(), Some(files::create(&served.container, &place, mode, uid)?))
            }
            Target::Capture(limit) => {
                let (collector, write) = Collector::pipe(*limit)?;
                (collector, Some(write))
            }
        })
    };
    let (out, stdout) = open(&run.stdout)?;
    let (err, stderr) = open(&run.stderr)?;
    let stdout = stdout.ok_or(Refusal::Invalid("standard output cannot go to itself".into()))?;
    let (init, group) = served.next(run)?;
    pin(served, run, &init.child);
    let mut fds = vec![stdin.as_fd(), stdout.as_fd(), stderr.as_ref().unwrap_or(&stdout).as_fd()];
    let tail = match group.entrance() {
        Entrance::Birthplace(directory) => {
            fds.push(directory);
            init::BORN
        }
        Entrance::Doors(doors) => {
            fds.extend(doors);
            &[]
        }
    };
    let word = Request::Run(Box::new(run.clone()));
    if let Err(error) = wire::send(&init.socket, &word, tail, &fds) {
        init.end();
        served.retire(group);
        return Err(error.into());
    }
    Ok(Started { init, group, outputs: [out, err], run_ns: run.cpu_ns })
}

/// Gives the run its cores. Not before it starts, so that an init gets ready wherever there is time and not
/// where the program before it is running.
fn pin(served: &Box_, run: &Run, init: &Child) {
    let mut cores = CpuSet::new();
    match served.setup.core.filter(|_| !run.all_cores) {
        Some(core) => cores.set(core),
        None => served.setup.all_cores.iter().for_each(|core| cores.set(*core)),
    }
    // A machine without this right runs programs anywhere; the self-test says so.
    sched_setaffinity(Some(init.pid), &cores).ok();
}

/// A run under way.
struct Watch<'a> {
    child: &'a Child,
    group: &'a Group,
    owner: BorrowedFd<'a>,
    run: &'a Run,
    cores: u32,
    began: Instant,
    outputs: [Collector; 2],
    limit: Option<Limit>,
    cancelled: bool,
    notes: BorrowedFd<'a>,
    /// The host's `/proc`.
    processes: BorrowedFd<'a>,
    /// How the program ended, once the init has said so.
    end: Option<End>,
    /// The init has said that nothing is left of the run, and waits for the next.
    serves_again: bool,
}

impl Watch<'_> {
    /// Watches until all processes of the run have ended; also says whether the init can serve again.
    fn until_end(mut self) -> io::Result<(Ran, [Collector; 2], bool)> {
        let mut quiet_until = self.began;
        let mut next_look = self.began + self.cpu_left(Duration::ZERO);
        let limit = Duration::from_nanos(self.run.wall_ns);
        let mut wall = self.began + limit;
        loop {
            let now = Instant::now();
            if now >= wall {
                // The time in which it could have run but got no core is not the program's.
                let most = self.began + limit * STARVED;
                wall = (self.began + limit + self.waited()).min(most);
                if now + SHORTEST >= wall && now < most && self.is_kept_waiting() {
                    wall = now + LOOK_AGAIN;
                } else if now + SHORTEST >= wall {
                    self.stop(Some(Limit::Wall));
                }
            }
            if now >= next_look {
                let used = self.cpu()?;
                if used > Duration::from_nanos(self.run.cpu_ns) {
                    self.stop(Some(Limit::Cpu));
                }
                next_look = now + self.cpu_left(used).max(SHORTEST);
            }
            let until = if self.stopped() { None } else { Some(next_look.min(wall)) };
            let events = self.sleep(until, now < quiet_until, quiet_until)?;
            if events.alarm {
                self.stop(Some(Limit::Memory));
            }
            if events.owner {
                self.hear();
            }
            if events.output {
                if self.collect()? {
                    self.stop(Some(Limit::Output));
                }
                quiet_until = Instant::now() + QUIET;
            }
            if events.note {
                self.read_notes()?;
            }
            if events.ended || self.serves_again && !self.stopped() {
                return self.finish();
            }
        }
    }

    /// What the program and its children have used.
    fn cpu(&self) -> io::Result<Duration> {
        self.group.cpu()
    }

    /// The longest that one of its threads, of those that still are, was kept waiting for a core.
    fn waited(&self) -> Duration {
        let tasks = self.group.tasks().unwrap_or_default();
        tasks.into_iter().filter_map(|task| waited(self.processes, task)).max().unwrap_or_default()
    }

    /// Whether it would run if it could, which the kernel counts only when it does: a thread is ready to run, or all
    /// are in the middle of something in the kernel.
    fn is_kept_waiting(&self) -> bool {
        let tasks = self.group.tasks().unwrap_or_default();
        let states = tasks.into_iter().filter_map(|task| state(self.processes, task));
        let states: Vec<u8> = states.collect();
        states.contains(&b'R') || (!states.is_empty() && states.iter().all(|state| *state == b'D'))
    }

    /// The least time in which the CPU time that is left can be used.
    fn cpu_left(&self, used: Duration) -> Duration {
        Duration::from_nanos(self.run.cpu_ns).saturating_sub(used) / self.cores
    }

    fn stopped(&self) -> bool {
        self.limit.is_some() || self.cancelled
    }

    /// Kills the run for a limit, or for its owner's wish. Only the first reason counts.
    fn stop(&mut self, limit: Option<Limit>) {
        if !self.stopped() {
            self.limit = limit;
            self.cancelled = limit.is_none();
            self.child.kill();
            self.group.kill();
        }
    }

    fn sleep(
        &self,
        until: Option<Instant>,
        quiet: bool,
        quiet_until: Instant,
    ) -> io::Result<Events> {
        let until = match until {
            Some(until) if quiet => Some(until.min(quiet_until)),
            None if quiet => Some(quiet_until),
            until => until,
        };
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        let left = left.and_then(|left| Timespec::try_from(left).ok());
        let stopped = self.stopped();
        let mut fds = vec![PollFd::new(&self.child.handle, PollFlags::IN)];
        // Once it has said how the program ended, there is only its own end to wait for.
        let notes = Some(self.notes).filter(|_| self.end.is_none() && !stopped);
        let alarm = self.group.memory_alarm().filter(|_| !stopped);
        // What the owner says once the run is stopped is for after it: also the reset behind a cancellation.
        let owner = Some(self.owner).filter(|_| !stopped);
        let outputs = self.outputs.iter().filter_map(Collector::pipe_end).filter(|_| !quiet);
        fds.extend(notes.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
        fds.extend(alarm.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
        fds.extend(owner.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
        fds.extend(outputs.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
        match poll(&mut fds, left.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let mut ready = fds.iter().map(|fd| !fd.revents().is_empty());
        let mut next = || ready.next().unwrap_or(false);
        let ended = next();
        let note = notes.is_some() && next();
        let alarm = alarm.is_some() && next();
        let owner = owner.is_some() && next();
        Ok(Events { ended, note, alarm, owner, output: ready.any(|ready| ready) })
    }

    /// The owner wants the run to end, or is gone.
    fn hear(&mut self) {
        let mut buffer = [0; 256];
        let heard = wire::receive::<Request>(self.owner, &mut buffer, RecvFlags::DONTWAIT);
        if !heard.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock) {
            self.stop(None);
        }
    }

    /// Reads what there is; true when it is more than is allowed.
    fn collect(&mut self) -> io::Result<bool> {
        for output in &mut self.outputs {
            output.read()?;
        }
        let total: u64 = self.outputs.iter().map(Collector::total).sum();
        Ok(total > self.run.output)
    }

    /// Everything has ended: what was it?
    fn finish(mut self) -> io::Result<(Ran, [Collector; 2], bool)> {
        let wall_ns = u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let serves_again = self.serves_again && !self.stopped();
        if !serves_again {
            self.child.wait()?;
            self.read_notes()?;
        }
        let cpu_ns = u64::try_from(self.cpu()?.as_nanos()).unwrap_or(u64::MAX);
        let late = self.late_limit(cpu_ns);
        // Too much CPU time is that, also where the clock or the program itself ended it first.
        if !self.stopped() || self.limit == Some(Limit::Wall) && late == Some(Limit::Cpu) {
            self.limit = late;
        }
        if self.collect()? && !self.stopped() {
            self.limit = Some(Limit::Output);
        }
        let killed = self.stopped();
        let end = match self.end.take() {
            Some(end) => end,
            None if killed => End::Killed,
            None => return Err(io::Error::other("the init of a run died by itself")),
        };
        let sigsys = end == End::Signal(libc::SIGSYS);
        let ran = Ran {
            violation: sigsys.then_some(Violation::SystemCall),
            end,
            limit: self.limit,
            cpu_ns,
            wall_ns,
            memory_peak: self.group.memory_peak().unwrap_or(0),
            processes_refused: self.group.processes_refused(),
            stdout: self.outputs[0].captured(),
            stderr: self.outputs[1].captured(),
        };
        Ok((ran, self.outputs, serves_again))
    }

    /// A limit that was reached without the box having to act.
    fn late_limit(&self, cpu_ns: u64) -> Option<Limit> {
        if self.group.out_of_memory() {
            return Some(Limit::Memory);
        }
        if cpu_ns > self.run.cpu_ns {
            return Some(Limit::Cpu);
        }
        (self.end == Some(End::Signal(libc::SIGXFSZ))).then_some(Limit::Output)
    }

    /// Hears what the init said.
    fn read_notes(&mut self) -> io::Result<()> {
        let mut buffer = [0; 4096];
        let flags = RecvFlags::DONTWAIT;
        while let Ok(Some(packet)) = wire::receive::<Note>(self.notes, &mut buffer, flags) {
            match packet.head {
                Note::Started => {}
                Note::Ended(how) => (self.end, self.serves_again) = (Some(how), true),
                Note::Last(how) => self.end = Some(how),
                Note::Failed(why) => return Err(io::Error::other(format!("init: {why}"))),
            }
        }
        Ok(())
    }
}

/// How long a thread has waited for a core: the second number of `/proc/PID/schedstat`. None where the kernel
/// does not count it.
fn waited(processes: BorrowedFd<'_>, task: u32) -> Option<Duration> {
    let text = status(processes, &format!("{task}/schedstat"))?;
    text.split_whitespace().nth(1)?.parse().ok().map(Duration::from_nanos)
}

/// What a thread is doing: the letter behind its name in `/proc/PID/stat`.
fn state(processes: BorrowedFd<'_>, task: u32) -> Option<u8> {
    let text = status(processes, &format!("{task}/stat"))?;
    // The name may hold anything, parentheses too.
    text.rsplit_once(')')?.1.bytes().find(|byte| *byte != b' ')
}

fn status(processes: BorrowedFd<'_>, name: &str) -> Option<String> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let file = openat(processes, name, flags, Mode::empty()).ok()?;
    let mut buffer = [0; 512];
    let length = rustix::io::read(file, &mut buffer).ok()?;
    Some(String::from_utf8_lossy(&buffer[..length]).into_owned())
}

struct Events {
    ended: bool,
    note: bool,
    alarm: bool,
    owner: bool,
    output: bool,
}

fn reply(owner: BorrowedFd<'_>, ran: Ran, outputs: [Collector; 2]) -> io::Result<()> {
    let mut inline = Vec::new();
    let mut files = Vec::new();
    for output in outputs {
        match output.into_sink() {
            Sink::Memory(bytes) => inline.extend(bytes),
            Sink::File(file) => files.push(file),
        }
    }
    let fds: Vec<_> = files.iter().map(AsFd::as_fd).collect();
    wire::send(owner, &Reply::Ran(Box::new(ran)), &inline, &fds)
}
