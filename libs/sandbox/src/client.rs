//! The parent's side of one agon-box: its process and its socket.

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
    time::Duration,
};
use tokio::io::{Interest, unix::AsyncFd};

/// The agon-box of a slot, which is started on demand.
#[derive(Debug)]
pub struct Client {
    pub setup: Setup,
    program: PathBuf,
    arguments: Vec<OsString>,
    running: Option<Running>,
    /// Replies to canceled requests, which must be discarded before the next one.
    stale_replies: u32,
    /// Whether the container is unused since it was created or reset.
    pub clean: bool,
}

#[derive(Debug)]
struct Running {
    child: Child,
    socket: AsyncFd<OwnedFd>,
    buffer: Vec<u8>,
}

impl Client {
    pub fn new(setup: Setup, program: PathBuf, arguments: Vec<OsString>) -> Client {
        Client { setup, program, arguments, running: None, stale_replies: 0, clean: true }
    }

    /// Starts agon-box if it is not running, and waits for its container.
    pub async fn start(&mut self) -> Result<(), Error> {
        if self.running.is_none() {
            self.launch().await?;
            self.ready().await?;
        }
        Ok(())
    }

    /// Starts agon-box without waiting; [`Client::ready`] waits for its container.
    pub async fn launch(&mut self) -> Result<(), Error> {
        self.running = Some(self.spawn().map_err(Error::io("starting agon-box"))?);
        (self.stale_replies, self.clean) = (0, true);
        let setup = Request::Setup(Box::new(self.setup.clone()));
        let packet = wire::encode(&setup, &[]).map_err(|e| Error::Invalid(e.to_string()))?;
        self.send(&packet, &[]).await
    }

    /// Waits for the container of a launched agon-box.
    pub async fn ready(&mut self) -> Result<Facts, Error> {
        match self.receive().await?.head {
            Reply::Ready(facts) => Ok(facts),
            Reply::Failed(text) => {
                self.stop().await;
                Err(Error::Unavailable(text))
            }
            _ => Err(unexpected_reply()),
        }
    }

    fn spawn(&self) -> io::Result<Running> {
        let (own, theirs) = wire::pair()?;
        rustix::io::ioctl_fionbio(&own, true)?;
        let child = Command::new(&self.program)
            .args(&self.arguments)
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::null())
            // Ctrl-C in a terminal must not reach agon-box: this process stops it.
            .process_group(0)
            .spawn()?;
        let buffer = vec![0; wire::PACKET];
        // SAFETY: an `OwnedFd` is the same open descriptor until it is dropped.
        let socket = unsafe { AsyncFd::register(own) }?;
        Ok(Running { child, socket, buffer })
    }

    /// Sends a request to the running agon-box and waits for the reply. When the future is dropped, the reply
    /// is discarded later; `on_drop` says whether to cancel the request as well.
    pub async fn call(
        &mut self,
        request: &Request,
        fds: &[BorrowedFd<'_>],
        on_drop: OnDrop,
    ) -> Result<Packet<Reply>, Error> {
        let packet = wire::encode(request, &[]).map_err(|e| Error::Invalid(e.to_string()))?;
        self.discard_stale_replies().await?;
        self.send(&packet, fds).await?;
        let mut pending = PendingCall { client: self, on_drop, replied: false };
        let reply = pending.client.receive().await;
        pending.replied = true;
        reply
    }

    /// Receives and discards the replies to canceled requests.
    pub async fn discard_stale_replies(&mut self) -> Result<(), Error> {
        while self.stale_replies > 0 {
            // The failed request may be the reset that the previous lease sent.
            if let Reply::Failed(_) = self.receive().await?.head {
                self.clean = false;
            }
        }
        Ok(())
    }

    async fn send(&mut self, packet: &[u8], fds: &[BorrowedFd<'_>]) -> Result<(), Error> {
        let Some(running) = &self.running else { return Err(not_running()) };
        let sent = running
            .socket
            .async_io(Interest::WRITABLE, |socket| wire::send_raw(socket.as_fd(), packet, fds));
        if sent.await.is_err() {
            return Err(self.crashed().await);
        }
        self.stale_replies += 1;
        Ok(())
    }

    async fn receive(&mut self) -> Result<Packet<Reply>, Error> {
        let Some(Running { socket, buffer, .. }) = &mut self.running else {
            return Err(not_running());
        };
        let received = socket.async_io(Interest::READABLE, |socket| {
            wire::receive::<Reply>(socket.as_fd(), buffer, RecvFlags::empty())
        });
        match received.await {
            Ok(Some(packet)) => {
                self.stale_replies = self.stale_replies.saturating_sub(1);
                Ok(packet)
            }
            Ok(None) | Err(_) => Err(self.crashed().await),
        }
    }

    /// Sends a request without blocking, for destructors. It is lost when the socket is full.
    pub fn try_send(&mut self, request: &Request, has_reply: bool) {
        let Some(running) = &self.running else { return };
        let sent = wire::send(running.socket.get_ref(), request, &[], &[]);
        if sent.is_ok() && has_reply {
            self.stale_replies += 1;
        }
    }

    /// Logs the exit of agon-box and cleans up after it.
    async fn crashed(&mut self) -> Error {
        let status = self.stop().await;
        let slot = self.setup.slot;
        tracing::error!(slot, status, "agon-box exited, restarting on next use");
        Error::Crashed(status)
    }

    /// Stops agon-box by closing its socket, removes its cgroups, and returns its exit status.
    pub async fn stop(&mut self) -> String {
        let Some(Running { mut child, socket, .. }) = self.running.take() else {
            return "not running".to_owned();
        };
        drop(socket);
        let (base, slot) = (self.setup.cgroups.clone(), self.setup.slot);
        let stopped = tokio::task::spawn_blocking(move || {
            let status = wait_or_kill(&mut child);
            if !base.remove_slot(slot) {
                tracing::error!(slot, "cannot remove cgroups of slot");
            }
            status
        });
        stopped.await.unwrap_or_else(|error| error.to_string())
    }

    /// Stops agon-box, for destructors. Blocks for at most a second, and leaves its cgroups to the caller.
    pub fn stop_blocking(&mut self) {
        if let Some(Running { mut child, socket, .. }) = self.running.take() {
            drop(socket);
            wait_or_kill(&mut child);
        }
    }

    /// The process id of the running agon-box.
    pub fn process(&self) -> Option<u32> {
        self.running.as_ref().map(|running| running.child.id())
    }
}

/// What happens to a request whose caller drops the future.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnDrop {
    Finish,
    Cancel,
}

struct PendingCall<'a> {
    client: &'a mut Client,
    on_drop: OnDrop,
    replied: bool,
}

impl Drop for PendingCall<'_> {
    fn drop(&mut self) {
        if !self.replied && self.on_drop == OnDrop::Cancel {
            self.client.try_send(&Request::Cancel, false);
        }
    }
}

/// Waits for a second, then kills the process. Returns the exit status.
fn wait_or_kill(child: &mut Child) -> String {
    for _ in 0..1000 {
        match child.try_wait() {
            Ok(Some(status)) => return status.to_string(),
            Ok(None) => std::thread::sleep(Duration::from_millis(1)),
            Err(error) => return error.to_string(),
        }
    }
    child.kill().ok();
    child.wait().map_or_else(|error| error.to_string(), |status| status.to_string())
}

fn not_running() -> Error {
    Error::Internal("not running".into())
}

pub fn unexpected_reply() -> Error {
    Error::Internal("reply does not match the request".into())
}
