//! The owner's side of one box: its process and its socket.

use crate::{
    Error,
    wire::{self, Facts, Packet, Reply, Request, Setup},
};
use rustix::net::RecvFlags;
use std::{
    ffi::OsString,
    io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::process::CommandExt,
    },
    path::PathBuf,
    process::{Child, Command, Stdio},
};
use tokio::io::{Interest, unix::AsyncFd};

/// A slot's box, running or to be started.
#[derive(Debug)]
pub struct Machine {
    pub setup: Setup,
    program: PathBuf,
    arguments: Vec<OsString>,
    running: Option<Running>,
    /// Answers that nobody waits for any more.
    unheard: u32,
    /// Nothing was done since the last reset.
    pub fresh: bool,
}

#[derive(Debug)]
struct Running {
    child: Child,
    socket: AsyncFd<OwnedFd>,
    buffer: Vec<u8>,
}

impl Machine {
    pub fn new(setup: Setup, program: PathBuf, arguments: Vec<OsString>) -> Machine {
        Machine { setup, program, arguments, running: None, unheard: 0, fresh: true }
    }

    /// Starts the box if it is not running, and waits for its container.
    pub async fn start(&mut self) -> Result<Option<Facts>, Error> {
        if self.running.is_some() {
            return Ok(None);
        }
        self.launch().await?;
        self.greet().await.map(Some)
    }

    /// Starts the box without waiting for it; [`Machine::greet`] does that.
    pub async fn launch(&mut self) -> Result<(), Error> {
        self.running = Some(self.spawn().map_err(Error::io("starting agon-box"))?);
        (self.unheard, self.fresh) = (0, true);
        let setup = Request::Setup(Box::new(self.setup.clone()));
        let packet = wire::encode(&setup, &[]).map_err(|e| Error::Invalid(e.to_string()))?;
        self.say(&packet, &[]).await
    }

    /// Waits for a launched box's container.
    pub async fn greet(&mut self) -> Result<Facts, Error> {
        match self.hear().await?.head {
            Reply::Ready(facts) => Ok(facts),
            Reply::Failed(text) => {
                self.end().await;
                Err(Error::Unavailable(text))
            }
            _ => Err(unexpected()),
        }
    }

    fn spawn(&self) -> io::Result<Running> {
        let (own, theirs) = wire::pair()?;
        rustix::io::ioctl_fionbio(&own, true)?;
        let child = Command::new(&self.program)
            .args(&self.arguments)
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::null())
            // A terminal's interrupt is for the owner, who ends the box in its time.
            .process_group(0)
            .spawn()?;
        let buffer = vec![0; wire::PACKET];
        // SAFETY: an `OwnedFd` is the same open descriptor until it is dropped.
        let socket = unsafe { AsyncFd::register(own) }?;
        Ok(Running { child, socket, buffer })
    }

    /// Asks the running box. When the future is dropped, the answer will be skipped, and with
    /// [`Wish::Cancel`] the box is told to hurry.
    pub async fn ask(
        &mut self,
        request: &Request,
        fds: &[BorrowedFd<'_>],
        wish: Wish,
    ) -> Result<Packet<Reply>, Error> {
        let packet = wire::encode(request, &[]).map_err(|e| Error::Invalid(e.to_string()))?;
        self.settle().await?;
        self.say(&packet, fds).await?;
        let mut waiting = Waiting { machine: self, wish, heard: false };
        let reply = waiting.machine.hear().await;
        waiting.heard = true;
        reply
    }

    /// Skips the answers that nobody waits for any more.
    pub async fn settle(&mut self) -> Result<(), Error> {
        while self.unheard > 0 {
            // Perhaps the reset of the lease before.
            if let Reply::Failed(_) = self.hear().await?.head {
                self.fresh = false;
            }
        }
        Ok(())
    }

    async fn say(&mut self, packet: &[u8], fds: &[BorrowedFd<'_>]) -> Result<(), Error> {
        let Some(running) = &self.running else { return Err(gone()) };
        let sent = running
            .socket
            .async_io(Interest::WRITABLE, |socket| wire::send_raw(socket.as_fd(), packet, fds));
        if sent.await.is_err() {
            return Err(self.crashed().await);
        }
        self.unheard += 1;
        Ok(())
    }

    async fn hear(&mut self) -> Result<Packet<Reply>, Error> {
        let Some(Running { socket, buffer, .. }) = &mut self.running else { return Err(gone()) };
        let heard = socket.async_io(Interest::READABLE, |socket| {
            wire::receive::<Reply>(socket.as_fd(), buffer, RecvFlags::empty())
        });
        match heard.await {
            Ok(Some(packet)) => {
                self.unheard = self.unheard.saturating_sub(1);
                Ok(packet)
            }
            Ok(None) | Err(_) => Err(self.crashed().await),
        }
    }

    /// Sends without waiting for room or answer; for when nobody can wait.
    pub fn mention(&mut self, request: &Request, answered: bool) {
        let Some(running) = &self.running else { return };
        let sent = wire::send(running.socket.get_ref(), request, &[], &[]);
        if sent.is_ok() && answered {
            self.unheard += 1;
        }
    }

    /// Cleans up after a box that died, and says so.
    async fn crashed(&mut self) -> Error {
        let status = self.end().await;
        tracing::error!(
            slot = self.setup.slot,
            status,
            "agon-box died; it is started again on next use"
        );
        Error::Crashed(status)
    }

    /// Ends the box and whatever it left. The socket's end tells it to go.
    pub async fn end(&mut self) -> String {
        let Some(Running { mut child, socket, .. }) = self.running.take() else {
            return "not running".to_owned();
        };
        drop(socket);
        let (base, slot) = (self.setup.cgroups.clone(), self.setup.slot);
        let ended = tokio::task::spawn_blocking(move || {
            let status = wait_a_while(&mut child);
            if !base.sweep_slot(slot) {
                tracing::error!(slot, "control groups of a slot could not be removed");
            }
            status
        });
        ended.await.unwrap_or_else(|error| error.to_string())
    }

    /// The same without waiting for anything to be cleaned up by itself, for when nobody can wait long.
    pub fn abandon(&mut self) {
        if let Some(Running { mut child, socket, .. }) = self.running.take() {
            drop(socket);
            wait_a_while(&mut child);
        }
    }

    /// The process id of the running box.
    pub fn process(&self) -> Option<u32> {
        self.running.as_ref().map(|running| running.child.id())
    }
}

/// What a dropped question means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Let it finish.
    Nothing,
    /// Stop it.
    Cancel,
}

struct Waiting<'a> {
    machine: &'a mut Machine,
    wish: Wish,
    heard: bool,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if !self.heard && self.wish == Wish::Cancel {
            self.machine.mention(&Request::Cancel, false);
        }
    }
}

/// Gives a box a second to go by itself.
fn wait_a_while(child: &mut Child) -> String {
    for _ in 0..1000 {
        match child.try_wait() {
            Ok(Some(status)) => return status.to_string(),
            Ok(None) => std::thread::sleep(std::time::Duration::from_millis(1)),
            Err(error) => return error.to_string(),
        }
    }
    child.kill().ok();
    child.wait().map_or_else(|error| error.to_string(), |status| status.to_string())
}

fn gone() -> Error {
    Error::Internal("the box is not running".into())
}

pub fn unexpected() -> Error {
    Error::Internal("an answer to another question".into())
}
