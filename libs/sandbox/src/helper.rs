//! `agon-box`: the helper process that owns the container of one slot.
//!
//! It has one thread and no async runtime, and handles one request at a time. It exits when its socket is closed,
//! also when its parent dies. When it dies, the kernel kills its inits (parent-death signal) and with them all
//! programs.

mod container;
mod files;
mod init;
mod landlock;
mod mounts;
mod output;
mod privileges;
pub(crate) mod probe;
mod process;
mod root;
mod run;
mod seccomp;
mod server;
mod stack;

use rustix::fs::{Mode, OFlags};
use std::{io, os::fd::OwnedFd};

/// The argument that makes the executable run a probe of the self-test; the probe's name and argument follow.
pub(crate) const PROBE: &str = "probe";

/// The main function of agon-box. A program whose first argument is `box` calls this before it starts any thread
/// or runtime, and exits with the returned code.
pub fn main() -> i32 {
    let arguments: Vec<_> = std::env::args().collect();
    if let [.., word, name, argument] = arguments.as_slice()
        && word == PROBE
    {
        return probe::main(name, argument);
    }
    match take_socket().and_then(|socket| server::main(&socket)) {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("agon-box: {error}");
            70
        }
    }
}

/// Takes the socket from standard input and replaces standard input and output by `/dev/null`.
fn take_socket() -> io::Result<OwnedFd> {
    let stdin = io::stdin();
    let socket = rustix::io::fcntl_dupfd_cloexec(&stdin, 3)?;
    let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    Ok(socket)
}
