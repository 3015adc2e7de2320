//! Landlock: a second lock on files, besides the mounts, and on the network, besides the filter.
//!
//! The rules hang on directories that live as long as the container, so they are made once for each
//! container and put on every init, from which programs inherit them.

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, PathBeneath, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetError, Scope,
};
use std::{
    io,
    os::fd::{BorrowedFd, OwnedFd},
};

/// The kernel's version of landlock, 0 for none.
pub fn version() -> i32 {
    const VERSION: libc::c_ulong = 1;
    // SAFETY: with this flag the call only answers a number and reads no memory.
    let answer = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, 0, 0, VERSION) };
    i32::try_from(answer).unwrap_or(0).max(0)
}

/// The rules for one container; `None` where the kernel has no landlock.
pub fn create(
    root: BorrowedFd<'_>,
    devices: BorrowedFd<'_>,
    writable: [BorrowedFd<'_>; 2],
) -> io::Result<Option<OwnedFd>> {
    if version() == 0 {
        return Ok(None);
    }
    build(root, devices, writable).map_err(io::Error::other)
}

fn build(
    root: BorrowedFd<'_>,
    devices: BorrowedFd<'_>,
    writable: [BorrowedFd<'_>; 2],
) -> Result<Option<OwnedFd>, RulesetError> {
    let all = AccessFs::from_all(ABI::V5);
    let read: BitFlags<AccessFs> = AccessFs::ReadFile | AccessFs::ReadDir | AccessFs::Execute;
    let device_nodes: BitFlags<AccessFs> =
        AccessFs::MakeChar | AccessFs::MakeBlock | AccessFs::IoctlDev;
    let mut rules = Ruleset::default()
        .handle_access(all)?
        .handle_access(AccessNet::from_all(ABI::V4))?
        .scope(Scope::from_all(ABI::V6))?
        .create()?
        .add_rule(PathBeneath::new(root, read))?
        .add_rule(PathBeneath::new(devices, read | AccessFs::WriteFile | AccessFs::Truncate))?;
    for directory in writable {
        rules = rules.add_rule(PathBeneath::new(directory, all & !device_nodes))?;
    }
    Ok(rules.into())
}

/// Puts the rules on this process and all that it starts.
pub fn restrict_self(rules: BorrowedFd<'_>) -> io::Result<()> {
    use std::os::fd::AsRawFd;
    // SAFETY: the call takes a descriptor and a number.
    let result = unsafe { libc::syscall(libc::SYS_landlock_restrict_self, rules.as_raw_fd(), 0) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
