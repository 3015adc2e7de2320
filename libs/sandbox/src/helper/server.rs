//! The main loop of agon-box: receives a request and sends a reply.

use super::{
    container::{Area, Container, Host},
    files::{self, RequestError, SandboxPath},
    init::{self, Event},
    landlock, privileges,
    process::{Child, fork_init},
    run, stack,
};
use crate::{
    Feature,
    cgroup::{Bounds, Group, Tree},
    wire::{self, Facts, Packet, Reply, Request, Run, Setup},
};
use rustix::{
    fs::{Mode, OFlags, openat},
    net::RecvFlags,
};
use std::{
    io::{
        self,
        ErrorKind::{BrokenPipe, ConnectionReset},
    },
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::Duration,
};

/// The number of cgroups of ended runs at which they are removed even while a program runs.
const MAX_RETIRED: usize = 32;
/// How long to wait for the next request before removing cgroups of ended runs.
const IDLE_TIMEOUT: Duration = Duration::from_millis(2);

/// Serves requests until the socket is closed.
pub fn main(socket: &OwnedFd) -> io::Result<()> {
    let mut buffer = vec![0; wire::PACKET];
    let first = wire::receive::<Request>(socket, &mut buffer, RecvFlags::empty())?;
    let Some(Packet { head: Request::Setup(setup), .. }) = first else {
        return Err(io::Error::other("the first request must be Setup"));
    };
    let mut server = match Server::open(*setup) {
        Ok((server, facts)) => {
            wire::send(socket, &Reply::Ready(facts), &[], &[])?;
            server
        }
        Err(error) => {
            return wire::send(socket, &Reply::Failed(error.to_string()), &[], &[]);
        }
    };
    match server.serve(socket, &mut buffer) {
        // The parent closed the socket, possibly with an unread reply.
        Err(error) if matches!(error.kind(), ConnectionReset | BrokenPipe) => Ok(()),
        result => result,
    }
}

#[derive(Debug)]
pub struct Init {
    pub child: Child,
    pub socket: OwnedFd,
    /// The listener of the filter, once the init is ready.
    pub listener: Option<OwnedFd>,
    is_ready: bool,
    /// Keeps the mount namespace open until the reply is sent, because the kernel takes a while to destroy it.
    _mounts: Option<OwnedFd>,
}

impl Init {
    /// Waits until the init has restricted itself, which it starts to do when it is created.
    fn wait_until_ready(&mut self) -> io::Result<()> {
        if self.is_ready {
            return Ok(());
        }
        let mut buffer = [0; 4096];
        let event = wire::receive::<Event>(&self.socket, &mut buffer, RecvFlags::empty())?;
        match event.map(|packet| (packet.head, packet.fds)) {
            Some((Event::Ready, fds)) => {
                (self.is_ready, self.listener) = (true, fds.into_iter().next());
                Ok(())
            }
            Some((Event::Failed(reason), _)) => Err(io::Error::other(format!("init: {reason}"))),
            _ => Err(io::Error::other("the init exited unexpectedly")),
        }
    }

    /// Kills the init and all processes in its namespace.
    pub fn kill(self) {
        self.child.kill();
        self.child.wait().ok();
    }
}

#[derive(Debug)]
pub struct Server {
    pub setup: Setup,
    pub host: Host,
    pub container: Container,
    rules: Option<OwnedFd>,
    filters: Option<init::Filters>,
    tree: Tree,
    /// Cgroups of ended runs, to be removed.
    retired: Vec<Group>,
    /// Prepared for the next run.
    group: Option<Group>,
    /// Prepared for the next run.
    init: Option<Init>,
    /// The limits of the previous run, which the next one probably has too.
    bounds: Bounds,
    /// Whether a run may have left files in the container.
    dirty: bool,
    /// The hard limit of the stack.
    pub max_stack: u64,
}

impl Server {
    fn open(mut setup: Setup) -> io::Result<(Server, Facts)> {
        // The container hides the cgroup file system.
        let tree = Tree::open(&setup.cgroups, setup.slot).map_err(explain("cgroups"))?;
        let identity = privileges::become_root(setup.uid).map_err(explain("user namespace"))?;
        privileges::drop_unneeded();
        setup.uid = identity.uid;
        let host = Host::leave().map_err(explain("namespaces"))?;
        let container = Container::enter(&host, &setup).map_err(explain("container"))?;
        let mut facts = Facts {
            landlock_abi: landlock::version(),
            missing: identity.missing,
            rootless: identity.rootless,
        };
        let filters = (!setup.without.contains(&Feature::Seccomp)).then(init::Filters::new);
        let bounds = Bounds { memory: 256 << 20, processes: 64 };
        let mut server = Server {
            host,
            container,
            rules: None,
            filters,
            tree,
            bounds,
            setup,
            retired: Vec::new(),
            group: None,
            init: None,
            dirty: false,
            max_stack: stack::maximum(),
        };
        server.rules = server.create_rules()?;
        if server.rules.is_none() {
            facts.missing.push((Feature::Landlock, "the kernel has no landlock".into()));
        }
        server.prepare_group()?;
        server.prepare_init()?;
        if server.group.as_ref().is_some_and(|group| !group.without_swap()) && has_swap() {
            let message = "swap is on, and the kernel does not account it per cgroup";
            facts.missing.push((Feature::NoSwap, message.into()));
        }
        Ok((server, facts))
    }

    fn create_rules(&self) -> io::Result<Option<OwnedFd>> {
        let open = |path| {
            let flags = OFlags::DIRECTORY | OFlags::PATH | OFlags::CLOEXEC;
            openat(rustix::fs::CWD, path, flags, Mode::empty())
        };
        let (root, devices) = (open("/")?, open("/dev")?);
        let writable = [self.container.area(Area::Box), self.container.area(Area::Tmp)];
        landlock::create(root.as_fd(), devices.as_fd(), writable)
    }

    fn serve(&mut self, socket: &OwnedFd, buffer: &mut [u8]) -> io::Result<()> {
        loop {
            // A pending request takes precedence over preparing the next run and over cleanup.
            if !self.is_ready() && !has_request(socket.as_fd(), Duration::ZERO)? {
                self.prepare();
            }
            if !self.retired.is_empty() && !has_request(socket.as_fd(), IDLE_TIMEOUT)? {
                self.remove_retired();
            }
            match wire::receive::<Request>(socket, buffer, RecvFlags::empty())? {
                Some(packet) => self.handle(socket.as_fd(), packet)?,
                None => return Ok(()),
            }
        }
    }

    fn handle(&mut self, socket: BorrowedFd<'_>, packet: Packet<Request>) -> io::Result<()> {
        let Packet { head, fds, .. } = packet;
        let reply = match head {
            Request::Run(run) => return run::handle(self, socket, &run, fds),
            // The run has already ended.
            Request::Cancel => return Ok(()),
            Request::Setup(_) => {
                Err(RequestError::Invalid("Setup must be the first request".into()))
            }
            Request::Put { path, mode } => self.put(&path, mode, fds),
            Request::Get { path, limit } => {
                let copy = SandboxPath::parse(&path)
                    .and_then(|path| files::get(&self.container, &path, limit));
                match copy {
                    Ok(file) => return wire::send(socket, &Reply::File, &[], &[file.as_fd()]),
                    Err(error) => Err(error),
                }
            }
            Request::List { path, limit } => SandboxPath::parse(&path)
                .and_then(|path| files::list(&self.container, &path, limit))
                .map(Reply::Names),
            Request::Reset => self.reset().map(|()| Reply::Done).map_err(RequestError::from),
        };
        wire::send(socket, &reply.unwrap_or_else(Reply::from), &[], &[])
    }

    fn put(&mut self, path: &str, mode: u32, fds: Vec<OwnedFd>) -> Result<Reply, RequestError> {
        let path = SandboxPath::parse(path)?;
        // Programs may change the files in their writable directories.
        let owner = (path.area != Area::App).then_some(self.setup.uid);
        if owner.is_some() {
            self.wipe()?;
        }
        let missing = || RequestError::Invalid("the content is missing".into());
        let content = fds.into_iter().next().ok_or_else(missing)?;
        files::put(&self.container, &path, content, mode, owner)?;
        Ok(Reply::Done)
    }

    /// Removes the files of the previous run.
    pub fn wipe(&mut self) -> io::Result<()> {
        if self.dirty {
            files::wipe(self.container.area(Area::Box))?;
            files::wipe(self.container.area(Area::Tmp))?;
            self.dirty = false;
        }
        Ok(())
    }

    fn reset(&mut self) -> io::Result<()> {
        self.discard_init();
        self.container = Container::enter(&self.host, &self.setup)?;
        self.rules = self.create_rules()?;
        self.dirty = false;
        Ok(())
    }

    /// Returns an init and a cgroup with the mounts and limits of a run.
    pub fn take_prepared(&mut self, run: &Run) -> io::Result<(Init, Group)> {
        if self.container.set_run_mounts(&self.host, &run.mounts)? {
            self.discard_init();
        }
        self.bounds = Bounds { memory: run.limits.memory, processes: run.limits.processes };
        self.prepare_group()?;
        self.prepare_init()?;
        let missing = || io::Error::other("no init or cgroup is prepared");
        self.group.as_mut().ok_or_else(missing)?.set_bounds(self.bounds)?;
        let mut init = self.init.take().ok_or_else(missing)?;
        if let Err(error) = init.wait_until_ready() {
            init.kill();
            return Err(error);
        }
        Ok((init, self.group.take().ok_or_else(missing)?))
    }

    /// Prepares the next run. A failure is reported again, by the run.
    fn prepare(&mut self) {
        if let Err(error) = self.prepare_group().and_then(|()| self.prepare_init()) {
            eprintln!("agon-box: cannot prepare the next run: {error}");
        }
    }

    /// Prepares the cgroup of the next run while a program runs, whose init will probably be reused.
    pub fn prepare_group_ahead(&mut self) {
        if let Err(error) = self.prepare_group() {
            eprintln!("agon-box: cannot prepare the next run: {error}");
        }
        if self.retired.len() >= MAX_RETIRED {
            self.remove_retired();
        }
    }

    fn is_ready(&self) -> bool {
        self.group.is_some() && self.init.is_some()
    }

    /// Removes the cgroups of ended runs. Keeps those that the kernel reports as busy, for a later attempt.
    fn remove_retired(&mut self) {
        let retired = std::mem::take(&mut self.retired);
        self.retired = retired.into_iter().filter_map(|group| self.tree.remove(group)).collect();
    }

    fn prepare_group(&mut self) -> io::Result<()> {
        if self.group.is_some() {
            return Ok(());
        }
        let mut group = self.tree.create().map_err(explain("cgroup"))?;
        if let Err(error) = group.set_bounds(self.bounds) {
            self.retired.push(group);
            return Err(explain("cgroup")(error));
        }
        self.group = Some(group);
        Ok(())
    }

    fn prepare_init(&mut self) -> io::Result<()> {
        if self.init.is_some() {
            return Ok(());
        }
        let (own, theirs) = wire::pair()?;
        let Some(child) = fork_init().map_err(explain("fork"))? else {
            drop(own);
            init::main(&init::Context {
                socket: theirs,
                filters: self.filters.as_ref(),
                rules: self.rules.as_ref().map(AsFd::as_fd),
                last_pid: self.host.last_pid.as_ref().map(AsFd::as_fd),
                uid: self.setup.uid,
                max_stack: self.max_stack,
            })
        };
        let name = format!("{}/ns/mnt", child.pid.as_raw_nonzero());
        let mounts = openat(&self.host.proc_dir, name, OFlags::CLOEXEC, Mode::empty()).ok();
        self.init =
            Some(Init { child, socket: own, listener: None, is_ready: false, _mounts: mounts });
        Ok(())
    }

    /// Kills the prepared init, because the container has changed since its creation.
    fn discard_init(&mut self) {
        if let Some(init) = self.init.take() {
            init.kill();
        }
    }

    pub fn reuse(&mut self, init: Init) {
        self.init = Some(init);
    }

    /// Schedules the cgroup of an ended run for removal.
    pub fn retire(&mut self, group: Group) {
        self.retired.push(group);
    }

    pub fn mark_dirty(&mut self) {
        self.dirty = true;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.discard_init();
        self.retired.extend(self.group.take());
        for _ in 0..1000 {
            self.remove_retired();
            if self.retired.is_empty() {
                break;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        self.tree.clear();
    }
}

impl From<RequestError> for Reply {
    fn from(error: RequestError) -> Reply {
        match error {
            RequestError::Invalid(text) => Reply::Invalid(text),
            RequestError::NoFile(text) => Reply::NoFile(text),
            RequestError::Failed(error) => Reply::Failed(error.to_string()),
        }
    }
}

fn explain(what: &str) -> impl FnOnce(io::Error) -> io::Error {
    move |error| io::Error::new(error.kind(), format!("{what}: {error}"))
}

/// Whether a request arrives within the timeout.
fn has_request(socket: BorrowedFd<'_>, timeout: Duration) -> io::Result<bool> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let mut sockets = [PollFd::from_borrowed_fd(socket, PollFlags::IN)];
    let timeout = Timespec::try_from(timeout).map_err(io::Error::other)?;
    Ok(poll(&mut sockets, Some(&timeout))? > 0)
}

fn has_swap() -> bool {
    rustix::system::sysinfo().totalswap > 0
}
