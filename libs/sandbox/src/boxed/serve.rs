//! The box's loop: a request, an answer.

use super::{
    container::{Area, Container, Home},
    files::{self, Place, Refusal},
    init,
    process::{Child, fork_init},
    rules, run, users,
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

/// So many ended runs may wait to be cleaned up after while there is something better to do.
const BACKLOG: usize = 32;
/// How soon after a run the next one is likely to come.
const PATIENCE: Duration = Duration::from_millis(2);

/// Serves one owner to its end.
pub fn main(socket: &OwnedFd) -> io::Result<()> {
    let mut buffer = vec![0; wire::PACKET];
    let first = wire::receive::<Request>(socket, &mut buffer, RecvFlags::empty())?;
    let Some(Packet { head: Request::Setup(setup), .. }) = first else {
        return Err(io::Error::other("not started as a box"));
    };
    let mut served = match Box_::open(*setup) {
        Ok((served, facts)) => {
            wire::send(socket, &Reply::Ready(facts), &[], &[])?;
            served
        }
        Err(error) => {
            return wire::send(socket, &Reply::Failed(error.to_string()), &[], &[]);
        }
    };
    match served.serve(socket, &mut buffer) {
        // The owner is gone, perhaps with a message of ours unread.
        Err(error) if matches!(error.kind(), ConnectionReset | BrokenPipe) => Ok(()),
        result => result,
    }
}

/// An init that waits for a run.
#[derive(Debug)]
pub struct Init {
    pub child: Child,
    pub socket: OwnedFd,
    /// Keeps the mount namespace until the run was answered: its end takes the kernel a while.
    _mounts: Option<OwnedFd>,
}

impl Init {
    /// Ends it, and everything in its namespace.
    pub fn end(self) {
        self.child.kill();
        self.child.wait().ok();
    }
}

/// The state of a box.
#[derive(Debug)]
pub struct Box_ {
    pub setup: Setup,
    pub home: Home,
    pub container: Container,
    rules: Option<OwnedFd>,
    filters: Option<init::Filters>,
    tree: Tree,
    /// Groups of runs that have ended.
    retired: Vec<Group>,
    /// The next run's.
    group: Option<Group>,
    init: Option<Init>,
    /// What the run before asked for, a good guess for the next one.
    bounds: Bounds,
    /// There was a run, and its files lie about.
    ended: bool,
}

impl Box_ {
    fn open(mut setup: Setup) -> io::Result<(Box_, Facts)> {
        // Opened while control groups are in sight.
        let tree = Tree::open(&setup.cgroups, setup.slot).map_err(explain("cgroups"))?;
        let identity = users::become_root(setup.uid).map_err(explain("user namespace"))?;
        users::settle();
        setup.uid = identity.uid;
        let home = Home::leave().map_err(explain("namespaces"))?;
        let container = Container::enter(&home, &setup).map_err(explain("container"))?;
        let mut facts = Facts {
            landlock_abi: rules::version(),
            missing: identity.missing,
            rootless: identity.rootless,
        };
        let filters = (!setup.without.contains(&Feature::Seccomp)).then(init::Filters::new);
        let bounds = Bounds { memory: 256 << 20, processes: 64 };
        let mut served = Box_ {
            home,
            container,
            rules: None,
            filters,
            tree,
            bounds,
            setup,
            retired: Vec::new(),
            group: None,
            init: None,
            ended: false,
        };
        served.rules = served.make_rules()?;
        if served.rules.is_none() {
            facts.missing.push((Feature::Landlock, "the kernel has no landlock".into()));
        }
        served.prepare_group()?;
        served.prepare_init()?;
        if served.group.as_ref().is_some_and(|group| !group.without_swap()) && swaps() {
            let message = "swap is on and the kernel does not count it per group";
            facts.missing.push((Feature::NoSwap, message.into()));
        }
        Ok((served, facts))
    }

    fn make_rules(&self) -> io::Result<Option<OwnedFd>> {
        let open = |path| {
            let flags = OFlags::DIRECTORY | OFlags::PATH | OFlags::CLOEXEC;
            openat(rustix::fs::CWD, path, flags, Mode::empty())
        };
        let (root, devices) = (open("/")?, open("/dev")?);
        let writable = [self.container.area(Area::Box), self.container.area(Area::Tmp)];
        rules::create(root.as_fd(), devices.as_fd(), writable)
    }

    /// Answers until the socket's end.
    fn serve(&mut self, socket: &OwnedFd, buffer: &mut [u8]) -> io::Result<()> {
        loop {
            // A request that is here already comes first. Tidying is best done while a program runs, so
            // it waits a little for one.
            if !self.is_ready() && !waiting(socket.as_fd(), Duration::ZERO)? {
                self.make_ready();
            }
            if !self.retired.is_empty() && !waiting(socket.as_fd(), PATIENCE)? {
                self.clean();
            }
            match wire::receive::<Request>(socket, buffer, RecvFlags::empty())? {
                Some(packet) => self.answer(socket.as_fd(), packet)?,
                None => return Ok(()),
            }
        }
    }

    /// Answers one request.
    fn answer(&mut self, socket: BorrowedFd<'_>, packet: Packet<Request>) -> io::Result<()> {
        let Packet { head, fds, .. } = packet;
        let reply = match head {
            Request::Run(run) => return run::answer(self, socket, &run, fds),
            // The run it was for has just been answered.
            Request::Cancel => return Ok(()),
            Request::Setup(_) => Err(Refusal::Invalid("set up already".into())),
            Request::Put { path, mode } => self.put(&path, mode, fds),
            Request::Take { path, limit } => {
                let taken = Place::parse(&path)
                    .and_then(|place| files::take(&self.container, &place, limit));
                match taken {
                    Ok(file) => return wire::send(socket, &Reply::File, &[], &[file.as_fd()]),
                    Err(refusal) => Err(refusal),
                }
            }
            Request::List { path, limit } => Place::parse(&path)
                .and_then(|place| files::list(&self.container, &place, limit))
                .map(Reply::Names),
            Request::Reset => self.reset().map(|()| Reply::Done).map_err(Refusal::from),
        };
        wire::send(socket, &reply.unwrap_or_else(Reply::from), &[], &[])
    }

    fn put(&mut self, path: &str, mode: u32, fds: Vec<OwnedFd>) -> Result<Reply, Refusal> {
        let place = Place::parse(path)?;
        if place.area != Area::App {
            self.begin(false)?;
        }
        let content = fds.into_iter().next().ok_or(Refusal::Invalid("no content".into()))?;
        files::put(&self.container, &place, content, mode)?;
        Ok(Reply::Done)
    }

    /// Empties what an ended run left, unless it is to be kept.
    pub fn begin(&mut self, keep_files: bool) -> io::Result<()> {
        if self.ended && !keep_files {
            files::wipe(self.container.area(Area::Box))?;
            files::wipe(self.container.area(Area::Tmp))?;
            self.ended = false;
        }
        Ok(())
    }

    fn reset(&mut self) -> io::Result<()> {
        self.discard();
        self.container = Container::enter(&self.home, &self.setup)?;
        self.rules = self.make_rules()?;
        self.ended = false;
        Ok(())
    }

    /// An init and a group for a run, with the run's mounts and bounds.
    pub fn next(&mut self, run: &Run) -> io::Result<(Init, Group)> {
        if self.container.show(&self.home, &run.mounts)? {
            self.discard();
        }
        self.bounds = Bounds { memory: run.memory, processes: run.processes };
        self.prepare_group()?;
        self.prepare_init()?;
        let missing = || io::Error::other("nothing is prepared");
        self.group.as_mut().ok_or_else(missing)?.bound(self.bounds)?;
        Ok((self.init.take().ok_or_else(missing)?, self.group.take().ok_or_else(missing)?))
    }

    /// Makes what the next run needs and there is none of. A failure shows when a run needs it.
    pub fn make_ready(&mut self) {
        if let Err(error) = self.prepare_group().and_then(|()| self.prepare_init()) {
            eprintln!("agon-box: cannot prepare the next run: {error}");
        }
    }

    /// What can be done while a program runs, whose init is likely to serve the next one too.
    pub fn work_ahead(&mut self) {
        if let Err(error) = self.prepare_group() {
            eprintln!("agon-box: cannot prepare the next run: {error}");
        }
        if self.retired.len() >= BACKLOG {
            self.clean();
        }
    }

    fn is_ready(&self) -> bool {
        self.group.is_some() && self.init.is_some()
    }

    /// Removes the groups of ended runs. They have no process any more: they only cost time. One that the kernel
    /// is not yet done with stays for the next time.
    fn clean(&mut self) {
        let retired = std::mem::take(&mut self.retired);
        self.retired = retired.into_iter().filter_map(|group| self.tree.remove(group)).collect();
    }

    fn prepare_group(&mut self) -> io::Result<()> {
        if self.group.is_some() {
            return Ok(());
        }
        let mut group = self.tree.group().map_err(explain("control group"))?;
        if let Err(error) = group.bound(self.bounds) {
            self.retired.push(group);
            return Err(explain("control group")(error));
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
                last_pid: self.home.last_pid.as_ref().map(AsFd::as_fd),
                uid: self.setup.uid,
            })
        };
        let name = format!("{}/ns/mnt", child.pid.as_raw_nonzero());
        let mounts = openat(&self.home.processes, name, OFlags::CLOEXEC, Mode::empty()).ok();
        self.init = Some(Init { child, socket: own, _mounts: mounts });
        Ok(())
    }

    /// Ends the prepared init, which was made for another state of the container.
    fn discard(&mut self) {
        if let Some(init) = self.init.take() {
            init.end();
        }
    }

    /// Takes back an init that can serve again.
    pub fn put_back(&mut self, init: Init) {
        self.init = Some(init);
    }

    /// Takes the group of a run that has ended, to be removed when there is time.
    pub fn retire(&mut self, group: Group) {
        self.retired.push(group);
    }

    /// Says that there was a run, so that its files go before the next.
    pub fn ran(&mut self) {
        self.ended = true;
    }
}

impl Drop for Box_ {
    fn drop(&mut self) {
        self.discard();
        self.retired.extend(self.group.take());
        for _ in 0..1000 {
            self.clean();
            if self.retired.is_empty() {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        self.tree.clear();
    }
}

impl From<Refusal> for Reply {
    fn from(refusal: Refusal) -> Reply {
        match refusal {
            Refusal::Invalid(text) => Reply::Invalid(text),
            Refusal::NoFile(text) => Reply::NoFile(text),
            Refusal::Failed(error) => Reply::Failed(error.to_string()),
        }
    }
}

fn explain(what: &str) -> impl FnOnce(io::Error) -> io::Error {
    move |error| io::Error::new(error.kind(), format!("{what}: {error}"))
}

/// Whether a request is there, or comes within a time.
fn waiting(socket: BorrowedFd<'_>, patience: Duration) -> io::Result<bool> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let mut sockets = [PollFd::from_borrowed_fd(socket, PollFlags::IN)];
    let patience = Timespec::try_from(patience).map_err(io::Error::other)?;
    Ok(poll(&mut sockets, Some(&patience))? > 0)
}

/// Whether this machine swaps at all.
fn swaps() -> bool {
    rustix::system::sysinfo().totalswap > 0
}
