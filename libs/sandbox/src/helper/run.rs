//! Executes one run: starts the program through an init, enforces the limits, and replies.
//!
//! agon-box sleeps until an event, or until the program could have used up its remaining CPU time. The limit
//! that is detected first is reported.

use super::{
    files::{self, RequestError, SandboxPath},
    init::{self, Event},
    output::{Collector, Sink},
    process::Child,
    server::{Init, Server},
    stack,
};
use crate::{
    cgroup::{Entry, Group},
    outcome::{Exit, Limit, Violation},
    wire::{self, Reply, Request, Run, RunResult, Source, Target},
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

/// The minimum interval between CPU time checks; the kernel updates the counter about as often.
const MIN_CHECK_INTERVAL: Duration = Duration::from_millis(1);
/// A program that gets no CPU time is stopped after this multiple of its wall limit.
const MAX_WALL_FACTOR: u32 = 10;
/// The check interval for a program that has reached its wall limit while it waits for a core.
const STARVED_CHECK_INTERVAL: Duration = Duration::from_millis(20);
/// The pause after reading output, so that not every written line wakes agon-box.
const OUTPUT_PAUSE: Duration = Duration::from_millis(1);

/// Runs a program and sends the reply.
pub fn handle(
    server: &mut Server,
    parent: BorrowedFd<'_>,
    run: &Run,
    fds: Vec<OwnedFd>,
) -> io::Result<()> {
    let cores = if run.all_cores { server.setup.all_cores.len().max(1) } else { 1 };
    let started = match start(server, run, fds) {
        Ok(started) => started,
        Err(error) => return wire::send(parent, &Reply::from(error), &[], &[]),
    };
    // The wall time of the program does not include the time that the init needs to start it.
    started.wait_until_started();
    let began = Instant::now();
    server.prepare_group_ahead();
    let Started { init, group, outputs, .. } = started;
    let monitor = Monitor {
        child: &init.child,
        group: &group,
        parent,
        run,
        cores: u32::try_from(cores).unwrap_or(1),
        began,
        outputs,
        limit: None,
        cancelled: false,
        init_socket: init.socket.as_fd(),
        stack_queries: init.listener.as_ref().map(AsFd::as_fd),
        stack: stack::initial(run.limits.memory, server.max_stack),
        proc_dir: server.host.proc_dir.as_fd(),
        exit: None,
        init_is_reusable: false,
    };
    let result = match monitor.run() {
        Ok((result, outputs, init_is_reusable)) => {
            let sent = reply(parent, result, outputs);
            if init_is_reusable {
                server.reuse(init);
            }
            sent
        }
        Err(error) => {
            init.kill();
            wire::send(parent, &Reply::Failed(error.to_string()), &[], &[])
        }
    };
    server.retire(group);
    result
}

struct Started {
    init: Init,
    group: Group,
    outputs: [Collector; 2],
    cpu_limit: Duration,
}

impl Started {
    /// Waits until the init has started the program or has ended.
    fn wait_until_started(&self) {
        let events = [self.init.socket.as_fd(), self.init.child.pidfd.as_fd()];
        let mut events = events.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN));
        // At most for the CPU limit, so that the program cannot exceed it unnoticed.
        let limit = Timespec::try_from(self.cpu_limit).ok();
        poll(&mut events, limit.as_ref()).ok();
    }
}

fn start(server: &mut Server, run: &Run, fds: Vec<OwnedFd>) -> Result<Started, RequestError> {
    if !run.keep_files {
        server.wipe()?;
    }
    server.mark_dirty();
    let mut attached = fds.into_iter();
    let mut attached =
        || attached.next().ok_or(RequestError::Invalid("a descriptor is missing".into()));
    let null = |flags| rustix::fs::open("/dev/null", flags | OFlags::CLOEXEC, Mode::empty());
    let stdin = match &run.stdin {
        Source::Null => null(OFlags::RDONLY)?,
        Source::Attached => attached()?,
        Source::Copied => files::copy_input(server.host.proc_dir.as_fd(), attached()?)?,
        Source::File(path) => {
            files::open_for_reading(&server.container, &SandboxPath::parse(path)?)?
        }
    };
    let mut open = |target: &Target| -> Result<(Collector, Option<OwnedFd>), RequestError> {
        let fd = match target {
            Target::Null => Some(null(OFlags::WRONLY)?),
            Target::Attached => {
                let fd = attached()?;
                if files::is_pipe(fd.as_fd()) {
                    files::give(fd.as_fd(), server.setup.uid);
                }
                Some(fd)
            }
            Target::Stdout => None,
            Target::File(path) => {
                let path = SandboxPath::parse(path)?;
                let (mode, uid) = (Mode::from(0o666), Some(server.setup.uid));
                Some(files::create(&server.container, &path, mode, uid)?)
            }
            Target::Capture(limit) => {
                let (collector, write) = Collector::pipe(*limit)?;
                files::give(write.as_fd(), server.setup.uid);
                return Ok((collector, Some(write)));
            }
        };
        Ok((Collector::default(), fd))
    };
    let (out, stdout) = open(&run.stdout)?;
    let (err, stderr) = open(&run.stderr)?;
    let stdout = stdout.ok_or(RequestError::Invalid("stdout: must not be `Stdout`".into()))?;
    let (init, group) = server.take_prepared(run)?;
    pin(server, run, &init.child);
    let mut fds = vec![stdin.as_fd(), stdout.as_fd(), stderr.as_ref().unwrap_or(&stdout).as_fd()];
    let tail = match group.entry() {
        Entry::CloneInto(directory) => {
            fds.push(directory);
            init::CLONE_INTO_CGROUP
        }
        Entry::Write(files) => {
            fds.extend(files);
            &[]
        }
    };
    let request = Request::Run(Box::new(run.clone()));
    if let Err(error) = wire::send(&init.socket, &request, tail, &fds) {
        init.kill();
        server.retire(group);
        return Err(error.into());
    }
    Ok(Started { init, group, outputs: [out, err], cpu_limit: run.limits.cpu })
}

/// Pins the init, and with it the program, to the cores of the run. An init that is being prepared is not pinned,
/// so that it does not compete with the running program.
fn pin(server: &Server, run: &Run, init: &Child) {
    let mut cores = CpuSet::new();
    match server.setup.core.filter(|_| !run.all_cores) {
        Some(core) => cores.set(core),
        None => server.setup.all_cores.iter().for_each(|core| cores.set(*core)),
    }
    // Without this right programs run on any core, which the self-test reports.
    sched_setaffinity(Some(init.pid), &cores).ok();
}

struct Monitor<'a> {
    child: &'a Child,
    group: &'a Group,
    parent: BorrowedFd<'a>,
    run: &'a Run,
    cores: u32,
    began: Instant,
    outputs: [Collector; 2],
    limit: Option<Limit>,
    cancelled: bool,
    init_socket: BorrowedFd<'a>,
    /// The listener for queries of the stack limit.
    stack_queries: Option<BorrowedFd<'a>>,
    /// The initial stack limit.
    stack: libc::rlimit,
    /// The host's `/proc`.
    proc_dir: BorrowedFd<'a>,
    /// How the program ended, once the init has reported it.
    exit: Option<Exit>,
    /// Whether the init has reported that no process is left and that it is ready for the next run.
    init_is_reusable: bool,
}

impl Monitor<'_> {
    /// Waits until all processes of the run have ended. Also returns whether the init can be reused.
    fn run(mut self) -> io::Result<(RunResult, [Collector; 2], bool)> {
        let mut paused_until = self.began;
        let mut next_check = self.began + self.cpu_left(Duration::ZERO);
        let limit = self.run.limits.wall;
        let mut wall = self.began + limit;
        loop {
            let now = Instant::now();
            if now >= wall {
                // Time spent waiting for a core does not count.
                let latest = self.began + limit * MAX_WALL_FACTOR;
                wall = (self.began + limit + self.run_queue_wait()).min(latest);
                if now + MIN_CHECK_INTERVAL >= wall && now < latest && self.is_starved() {
                    wall = now + STARVED_CHECK_INTERVAL;
                } else if now + MIN_CHECK_INTERVAL >= wall {
                    self.stop(Some(Limit::Wall));
                }
            }
            if now >= next_check {
                let used = self.group.cpu()?;
                if used > self.run.limits.cpu {
                    self.stop(Some(Limit::Cpu));
                }
                next_check = now + self.cpu_left(used).max(MIN_CHECK_INTERVAL);
            }
            let until = if self.stopped() { None } else { Some(next_check.min(wall)) };
            let events = self.wait(until, (now < paused_until).then_some(paused_until))?;
            if events.oom {
                self.stop(Some(Limit::Memory));
            }
            // After the end, the listener has no query, and older kernels would wait for one.
            let queried = events.stack_query && !events.ended;
            if let Some(listener) = self.stack_queries.filter(|_| queried) {
                stack::answer(listener, self.proc_dir, self.stack);
            }
            if events.parent {
                self.read_parent();
            }
            if events.output {
                if self.read_outputs()? {
                    self.stop(Some(Limit::Output));
                }
                paused_until = Instant::now() + OUTPUT_PAUSE;
            }
            if events.init {
                self.read_init()?;
            }
            if events.ended || self.init_is_reusable && !self.stopped() {
                return self.finish();
            }
        }
    }

    /// The longest time that a living thread of the run has waited for a core.
    fn run_queue_wait(&self) -> Duration {
        let tasks = self.group.tasks().unwrap_or_default();
        let waits = tasks.into_iter().filter_map(|task| run_queue_wait(self.proc_dir, task));
        waits.max().unwrap_or_default()
    }

    /// Whether a thread is ready to run, or all threads are in uninterruptible sleep. The kernel counts the time
    /// in the run queue only once the thread runs.
    fn is_starved(&self) -> bool {
        let tasks = self.group.tasks().unwrap_or_default();
        let states = tasks.into_iter().filter_map(|task| state(self.proc_dir, task));
        let states: Vec<u8> = states.collect();
        states.contains(&b'R') || (!states.is_empty() && states.iter().all(|state| *state == b'D'))
    }

    /// The minimum time in which the program can use up its remaining CPU time.
    fn cpu_left(&self, used: Duration) -> Duration {
        self.run.limits.cpu.saturating_sub(used) / self.cores
    }

    fn stopped(&self) -> bool {
        self.limit.is_some() || self.cancelled
    }

    /// Kills the run because of a limit, or of a cancellation (`None`). Only the first reason counts.
    fn stop(&mut self, limit: Option<Limit>) {
        if !self.stopped() {
            self.limit = limit;
            self.cancelled = limit.is_none();
            self.child.kill();
            self.group.kill();
        }
    }

    /// Waits for an event until `deadline`. While output is paused, it is not an event.
    fn wait(
        &self,
        deadline: Option<Instant>,
        output_paused_until: Option<Instant>,
    ) -> io::Result<Events> {
        let until = deadline.into_iter().chain(output_paused_until).min();
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        let left = left.and_then(|left| Timespec::try_from(left).ok());
        let stopped = self.stopped();
        let mut fds = vec![PollFd::new(&self.child.pidfd, PollFlags::IN)];
        // Once the init has reported how the program ended, only its own end remains.
        let init = Some(self.init_socket).filter(|_| self.exit.is_none() && !stopped);
        let oom = self.group.oom_event().filter(|_| !stopped);
        // Messages after a cancellation, such as a reset, are handled after the run.
        let parent = Some(self.parent).filter(|_| !stopped);
        let queries = self.stack_queries.filter(|_| !stopped);
        let outputs = self.outputs.iter().filter_map(Collector::read_end);
        let outputs = outputs.filter(|_| output_paused_until.is_none());
        let readable = init.into_iter().chain(oom).chain(parent).chain(queries).chain(outputs);
        fds.extend(readable.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
        match poll(&mut fds, left.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let mut ready = fds.iter().map(|fd| !fd.revents().is_empty());
        let mut next = || ready.next().unwrap_or(false);
        let ended = next();
        let init = init.is_some() && next();
        let oom = oom.is_some() && next();
        let parent = parent.is_some() && next();
        let stack_query = queries.is_some() && next();
        Ok(Events { ended, init, oom, parent, stack_query, output: ready.any(|ready| ready) })
    }

    /// Stops the run if the parent cancels it or has closed the socket.
    fn read_parent(&mut self) {
        let mut buffer = [0; 256];
        let received = wire::receive::<Request>(self.parent, &mut buffer, RecvFlags::DONTWAIT);
        if !received.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock) {
            self.stop(None);
        }
    }

    /// Reads the available output. True if it exceeds the output limit.
    fn read_outputs(&mut self) -> io::Result<bool> {
        for output in &mut self.outputs {
            output.read()?;
        }
        let total: u64 = self.outputs.iter().map(Collector::total).sum();
        Ok(total > self.run.limits.output)
    }

    /// Collects the result after all processes have ended.
    fn finish(mut self) -> io::Result<(RunResult, [Collector; 2], bool)> {
        let wall_time = self.began.elapsed();
        let init_is_reusable = self.init_is_reusable && !self.stopped();
        if !init_is_reusable {
            self.child.wait()?;
            self.read_init()?;
        }
        let cpu_time = self.group.cpu()?;
        let late = self.counted_limit(cpu_time);
        // Exceeding the CPU limit takes precedence over the wall limit and over the exit code.
        if !self.stopped() || self.limit == Some(Limit::Wall) && late == Some(Limit::Cpu) {
            self.limit = late;
        }
        if self.read_outputs()? && !self.stopped() {
            self.limit = Some(Limit::Output);
        }
        let killed = self.stopped();
        let exit = match self.exit.take() {
            Some(exit) => exit,
            None if killed => Exit::Killed,
            None => return Err(io::Error::other("the init exited unexpectedly")),
        };
        let sigsys = exit == Exit::Signal(libc::SIGSYS);
        let result = RunResult {
            violation: sigsys.then_some(Violation::SystemCall),
            exit,
            limit: self.limit,
            cpu_time,
            wall_time,
            memory_peak: self.group.memory_peak().unwrap_or(0),
            processes_refused: self.group.processes_refused(),
            stdout: self.outputs[0].captured(),
            stderr: self.outputs[1].captured(),
        };
        Ok((result, self.outputs, init_is_reusable))
    }

    /// The limit that the kernel enforced, or that the final CPU time exceeds.
    fn counted_limit(&self, cpu_time: Duration) -> Option<Limit> {
        if self.group.out_of_memory() {
            return Some(Limit::Memory);
        }
        if cpu_time > self.run.limits.cpu {
            return Some(Limit::Cpu);
        }
        (self.exit == Some(Exit::Signal(libc::SIGXFSZ))).then_some(Limit::Output)
    }

    fn read_init(&mut self) -> io::Result<()> {
        let mut buffer = [0; 4096];
        let flags = RecvFlags::DONTWAIT;
        while let Ok(Some(packet)) = wire::receive::<Event>(self.init_socket, &mut buffer, flags) {
            match packet.head {
                Event::Ready | Event::Started => {}
                Event::Ended(exit) => (self.exit, self.init_is_reusable) = (Some(exit), true),
                Event::EndedLast(exit) => self.exit = Some(exit),
                Event::Failed(reason) => return Err(io::Error::other(format!("init: {reason}"))),
            }
        }
        Ok(())
    }
}

/// How long a thread has waited for a core: the second number of `/proc/PID/schedstat`. `None` if the kernel
/// does not count it.
fn run_queue_wait(proc_dir: BorrowedFd<'_>, task: u32) -> Option<Duration> {
    let text = read_small(proc_dir, &format!("{task}/schedstat"))?;
    text.split_whitespace().nth(1)?.parse().ok().map(Duration::from_nanos)
}

/// The state of a thread: the letter after its name in `/proc/PID/stat`.
fn state(proc_dir: BorrowedFd<'_>, task: u32) -> Option<u8> {
    let text = read_small(proc_dir, &format!("{task}/stat"))?;
    // The name can contain any character, including parentheses.
    text.rsplit_once(')')?.1.bytes().find(|byte| *byte != b' ')
}

/// The first bytes of a file below the host's `/proc`.
pub fn read_small(proc_dir: BorrowedFd<'_>, name: &str) -> Option<String> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let file = openat(proc_dir, name, flags, Mode::empty()).ok()?;
    let mut buffer = [0; 512];
    let length = rustix::io::read(file, &mut buffer).ok()?;
    Some(String::from_utf8_lossy(&buffer[..length]).into_owned())
}

struct Events {
    ended: bool,
    init: bool,
    oom: bool,
    parent: bool,
    stack_query: bool,
    output: bool,
}

fn reply(parent: BorrowedFd<'_>, result: RunResult, outputs: [Collector; 2]) -> io::Result<()> {
    let mut inline = Vec::new();
    let mut files = Vec::new();
    for output in outputs {
        match output.into_sink() {
            Sink::Memory(bytes) => inline.extend(bytes),
            Sink::File(file) => files.push(file),
        }
    }
    let fds: Vec<_> = files.iter().map(AsFd::as_fd).collect();
    wire::send(parent, &Reply::Finished(Box::new(result)), &inline, &fds)
}
