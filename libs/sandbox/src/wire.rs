//! The messages between the sandbox and its agon-box processes, and between an agon-box and its inits.
//!
//! Each message is one packet: the length of the head, a JSON head, raw bytes, and file descriptors.
//! Both ends are the same executable, so messages have no version. A malformed packet ends the agon-box.

use crate::{
    config::Mount,
    outcome::{Exit, Limit, Violation},
    spec::Limits,
};
use rustix::io::retry_on_intr;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::PathBuf,
    time::Duration,
};

/// The maximum packet size, which fits the default socket buffer.
pub const PACKET: usize = 128 << 10;
/// Outputs up to this size are sent in the reply, larger ones as an attached file.
pub const INLINE: usize = 32 << 10;
/// The maximum number of descriptors in a packet: three streams, and those for entering a cgroup.
const FDS: usize = 8;

/// From the sandbox to agon-box.
#[derive(Debug, Serialize, Deserialize)]
pub enum Request {
    /// The first message: create the container.
    Setup(Box<Setup>),
    /// Copy the attached file to a path.
    Put {
        path: String,
        mode: u32,
    },
    /// Run a program. Attached: a descriptor for each stream that is `Attached`.
    Run(Box<Run>),
    /// Reply with a copy of a file.
    Get {
        path: String,
        limit: u64,
    },
    /// List the regular files below a directory.
    List {
        path: String,
        limit: usize,
    },
    Reset,
    /// Kill the current run, if any. Has no reply.
    Cancel,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Setup {
    pub slot: usize,
    pub core: Option<usize>,
    pub all_cores: Vec<usize>,
    pub uid: u32,
    pub root: Option<PathBuf>,
    pub mounts: Vec<Mount>,
    pub disk_bytes: u64,
    pub disk_files: u64,
    pub cgroups: crate::cgroup::Base,
    /// Features that the operator allows to be missing.
    pub without: Vec<crate::Feature>,
}

/// [`crate::RunSpec`] without its descriptors.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Run {
    pub argv: Vec<String>,
    pub env: Vec<(String, String)>,
    pub cwd: String,
    pub stdin: Source,
    pub stdout: Target,
    pub stderr: Target,
    pub limits: Limits,
    pub mounts: Vec<Mount>,
    pub all_cores: bool,
    pub keep_files: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Source {
    Null,
    /// The next attached descriptor, which no other program has.
    Attached,
    /// A copy of the next attached descriptor, a regular file.
    Copied,
    File(String),
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Target {
    Null,
    Capture(u64),
    File(String),
    /// The next attached descriptor.
    Attached,
    /// The target of standard output; for standard error only.
    Stdout,
}

/// From agon-box to the sandbox.
#[derive(Debug, Serialize, Deserialize)]
pub enum Reply {
    Done,
    Ready(Facts),
    Finished(Box<RunResult>),
    File,
    Names(Vec<String>),
    Invalid(String),
    /// A file is missing, not regular, or too large.
    NoFile(String),
    /// agon-box or the machine failed.
    Failed(String),
}

/// What agon-box detected when it created its first container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// 0 when the kernel has no landlock.
    pub landlock_abi: i32,
    /// The missing features, each with the reason.
    pub missing: Vec<(crate::Feature, String)>,
    /// Whether agon-box runs in a user namespace, without being root outside.
    pub rootless: bool,
}

/// [`crate::Outcome`] without the captured bytes.
#[derive(Debug, Serialize, Deserialize)]
pub struct RunResult {
    pub exit: Exit,
    pub limit: Option<Limit>,
    pub violation: Option<Violation>,
    pub cpu_time: Duration,
    pub wall_time: Duration,
    pub memory_peak: u64,
    pub processes_refused: bool,
    pub stdout: Captured,
    pub stderr: Captured,
}

/// A captured output: `kept` bytes, inline (standard output first) or in an attached file.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Captured {
    pub kept: u64,
    pub total: u64,
    pub attached: bool,
}

#[derive(Debug)]
pub struct Packet<T> {
    pub head: T,
    pub tail: Vec<u8>,
    pub fds: Vec<OwnedFd>,
}

pub fn encode(head: &impl Serialize, tail: &[u8]) -> io::Result<Vec<u8>> {
    let mut packet = vec![0; 4];
    serde_json::to_writer(&mut packet, head)?;
    let length = u32::try_from(packet.len() - 4).map_err(io::Error::other)?;
    packet[..4].copy_from_slice(&length.to_le_bytes());
    packet.extend_from_slice(tail);
    if packet.len() > PACKET {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "arguments and environment are larger than 128 KiB",
        ));
    }
    Ok(packet)
}

/// Returns the head and the raw bytes.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> io::Result<(T, &[u8])> {
    let malformed = || io::Error::new(io::ErrorKind::InvalidData, "malformed packet");
    let (length, rest) = bytes.split_first_chunk::<4>().ok_or_else(malformed)?;
    let length = u32::from_le_bytes(*length) as usize;
    let (head, tail) = rest.split_at_checked(length).ok_or_else(malformed)?;
    Ok((serde_json::from_slice(head)?, tail))
}

/// Sends an encoded packet.
pub fn send_raw(socket: BorrowedFd<'_>, packet: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "more than 8 descriptors"));
    }
    let (packet, flags) = ([IoSlice::new(packet)], SendFlags::NOSIGNAL);
    retry_on_intr(|| sendmsg(socket, &packet, &mut control, flags))?;
    Ok(())
}

pub fn send(
    socket: impl AsFd,
    head: &impl Serialize,
    tail: &[u8],
    fds: &[BorrowedFd<'_>],
) -> io::Result<()> {
    send_raw(socket.as_fd(), &encode(head, tail)?, fds)
}

/// Receives one packet into `buffer` and returns its length, which is 0 after the peer closed the socket.
pub fn receive_raw(
    socket: BorrowedFd<'_>,
    buffer: &mut [u8],
    flags: RecvFlags,
) -> io::Result<(usize, Vec<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let flags = flags | RecvFlags::CMSG_CLOEXEC;
    let mut buffer = [IoSliceMut::new(buffer)];
    let received = retry_on_intr(|| recvmsg(socket, &mut buffer, &mut control, flags))?;
    let mut fds = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            fds.extend(rights);
        }
    }
    Ok((received.bytes, fds))
}

/// Waits for a packet and returns its size without receiving it; 0 after the peer closed the socket.
pub fn next_size(socket: impl AsFd) -> io::Result<usize> {
    use rustix::net::recv;
    let flags = RecvFlags::PEEK | RecvFlags::TRUNC;
    let (_, size) = retry_on_intr(|| recv(&socket, &mut [0_u8; 0], flags))?;
    Ok(size)
}

/// Receives one packet, or `None` after the peer closed the socket.
pub fn receive<T: DeserializeOwned>(
    socket: impl AsFd,
    buffer: &mut [u8],
    flags: RecvFlags,
) -> io::Result<Option<Packet<T>>> {
    let (length, fds) = receive_raw(socket.as_fd(), buffer, flags)?;
    if length == 0 {
        return Ok(None);
    }
    let (head, tail) = decode(&buffer[..length])?;
    Ok(Some(Packet { head, tail: tail.to_vec(), fds }))
}

/// A connected pair of packet sockets.
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
    let flags = SocketFlags::CLOEXEC;
    Ok(socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?)
}
