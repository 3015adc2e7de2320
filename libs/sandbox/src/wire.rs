//! The messages between a process and its boxes, and between a box and its inits: one packet each, with
//! file descriptors attached.
//!
//! A packet is a length, a JSON head and raw bytes. Both ends are the same executable, so there is no
//! versioning; a malformed packet is a bug and ends the box.

use crate::{
    config::Mount,
    outcome::{Limit, Violation},
};
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
};

/// The largest packet; fits the default buffer of a socket.
pub const PACKET: usize = 128 << 10;
/// Outputs up to this size travel inside the reply, larger ones as a file.
pub const INLINE: usize = 32 << 10;
/// The most file descriptors in one packet: three streams, and the ways into a control group.
const FDS: usize = 8;

/// From the owner to the box.
#[derive(Debug, Serialize, Deserialize)]
pub enum Request {
    /// The first message: make the container.
    Setup(Box<Setup>),
    /// Write the attached file's content at a path.
    Put { path: String, mode: u32 },
    /// Run a program; attached: the descriptors that `Run::stdin` and others name.
    Run(Box<Run>),
    /// Send back a copy of a file.
    Take { path: String, limit: u64 },
    /// Name the regular files below a directory.
    List { path: String, limit: usize },
    /// Replace the container.
    Reset,
    /// Kill the run under way, if any; has no reply of its own.
    Cancel,
}

/// What a box needs to know once.
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
    /// Run programs without what this machine misses (already agreed to by the operator).
    pub without: Vec<crate::Feature>,
}

/// One run, as the box and the init need it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Run {
    pub argv: Vec<String>,
    pub env: Vec<(String, String)>,
    pub cwd: String,
    pub stdin: Source,
    pub stdout: Target,
    pub stderr: Target,
    pub cpu_ns: u64,
    pub wall_ns: u64,
    pub memory: u64,
    pub output: u64,
    pub processes: u32,
    pub file_size: u64,
    pub open_files: u64,
    pub mounts: Vec<Mount>,
    pub all_cores: bool,
    pub keep_files: bool,
}

/// Where standard input comes from.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Source {
    Null,
    /// The next attached descriptor.
    Attached,
    File(String),
}

/// Where an output goes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Target {
    Null,
    Capture(u64),
    File(String),
    /// The next attached descriptor.
    Attached,
    /// The same as standard output.
    Stdout,
}

/// From the box to its owner.
#[derive(Debug, Serialize, Deserialize)]
pub enum Reply {
    Done,
    /// The container stands; what was found missing on the way.
    Ready(Facts),
    Ran(Box<Ran>),
    /// The file is attached.
    File,
    Names(Vec<String>),
    /// The caller's mistake.
    Invalid(String),
    /// A file is missing or of the wrong kind.
    NoFile(String),
    /// The box's or the machine's mistake.
    Failed(String),
}

/// What a box found when it made its first container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// 0 when the kernel has none.
    pub landlock_abi: i32,
    /// Why a feature is missing.
    pub missing: Vec<(crate::Feature, String)>,
    /// In a user namespace, without being root outside.
    pub rootless: bool,
}

/// What a run did.
#[derive(Debug, Serialize, Deserialize)]
pub struct Ran {
    pub end: End,
    pub limit: Option<Limit>,
    pub violation: Option<Violation>,
    pub cpu_ns: u64,
    pub wall_ns: u64,
    pub memory_peak: u64,
    pub processes_refused: bool,
    pub stdout: Captured,
    pub stderr: Captured,
}

/// How the program ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum End {
    Code(i32),
    Signal(i32),
    Killed,
    NotStarted(String),
}

/// A captured output: `kept` bytes are inline (standard output first) or attached as a file.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Captured {
    pub kept: u64,
    pub total: u64,
    pub attached: bool,
}

/// A received packet.
#[derive(Debug)]
pub struct Packet<T> {
    pub head: T,
    pub tail: Vec<u8>,
    pub fds: Vec<OwnedFd>,
}

/// Lays out a packet.
pub fn encode(head: &impl Serialize, tail: &[u8]) -> io::Result<Vec<u8>> {
    let mut packet = vec![0; 4];
    serde_json::to_writer(&mut packet, head)?;
    let length = u32::try_from(packet.len() - 4).map_err(io::Error::other)?;
    packet[..4].copy_from_slice(&length.to_le_bytes());
    packet.extend_from_slice(tail);
    if packet.len() > PACKET {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "more than 128 KiB of arguments"));
    }
    Ok(packet)
}

/// Reads what [`encode`] laid out.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> io::Result<(T, &[u8])> {
    let malformed = || io::Error::new(io::ErrorKind::InvalidData, "malformed packet");
    let (length, rest) = bytes.split_first_chunk::<4>().ok_or_else(malformed)?;
    let length = u32::from_le_bytes(*length) as usize;
    let (head, tail) = rest.split_at_checked(length).ok_or_else(malformed)?;
    Ok((serde_json::from_slice(head)?, tail))
}

/// Sends a packet that was laid out before.
pub fn send_raw(socket: BorrowedFd<'_>, packet: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "too many descriptors"));
    }
    loop {
        match sendmsg(socket, &[IoSlice::new(packet)], &mut control, SendFlags::NOSIGNAL) {
            Ok(_) => return Ok(()),
            Err(rustix::io::Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        }
    }
}

/// Lays out and sends.
pub fn send(
    socket: impl AsFd,
    head: &impl Serialize,
    tail: &[u8],
    fds: &[BorrowedFd<'_>],
) -> io::Result<()> {
    send_raw(socket.as_fd(), &encode(head, tail)?, fds)
}

/// Receives one packet into `buffer` (of [`PACKET`] bytes); the number of bytes is 0 at the end.
pub fn receive_raw(
    socket: BorrowedFd<'_>,
    buffer: &mut [u8],
    flags: RecvFlags,
) -> io::Result<(usize, Vec<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = loop {
        let flags = flags | RecvFlags::CMSG_CLOEXEC;
        match recvmsg(socket, &mut [IoSliceMut::new(buffer)], &mut control, flags) {
            Ok(received) => break received,
            Err(rustix::io::Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        }
    };
    let mut fds = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            fds.extend(rights);
        }
    }
    Ok((received.bytes, fds))
}

/// Waits for a packet and says how large it is; 0 at the end.
pub fn next_size(socket: impl AsFd) -> io::Result<usize> {
    use rustix::net::recv;
    let flags = RecvFlags::PEEK | RecvFlags::TRUNC;
    loop {
        match recv(&socket, &mut [0_u8; 0], flags) {
            Ok((_, size)) => return Ok(size),
            Err(rustix::io::Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        }
    }
}

/// Receives one packet, or `None` at the end.
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
