//! `agon-box`: the helper process that owns one slot's container.
//!
//! One thread, no runtime, one request at a time. Its owner's death is the end of its socket, upon which it ends
//! itself; its own death ends its inits (they ask the kernel for that), and with them all programs.

mod container;
mod files;
mod filter;
mod init;
mod mounts;
mod output;
pub(crate) mod probe;
mod process;
mod root;
mod rules;
mod run;
mod serve;
mod users;

use rustix::fs::{Mode, OFlags};
use std::{io, os::fd::OwnedFd};

/// The word with which the executable is a probe of the self-test instead of a box; its name and argument follow.
pub(crate) const PROBE: &str = "probe";

/// The helper's whole life. A program whose first argument is `box` calls this first of all, before any
/// thread or runtime exists; it returns the code to exit with.
pub fn main() -> i32 {
    let arguments: Vec<_> = std::env::args().collect();
    if let [.., word, name, argument] = arguments.as_slice()
        && word == PROBE
    {
        return probe::main(name, argument);
    }
    match socket().and_then(|socket| serve::main(&socket)) {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("agon-box: {error}");
            70
        }
    }
}

/// The socket is standard input, where a process can be given it without further ado.
fn socket() -> io::Result<OwnedFd> {
    let stdin = io::stdin();
    let socket = rustix::io::fcntl_dupfd_cloexec(&stdin, 3)?;
    let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    Ok(socket)
}
