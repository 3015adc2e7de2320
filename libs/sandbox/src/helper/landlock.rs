//! Landlock rules: a second layer of protection for files, besides the mounts, and for the network, besides the
//! system-call filter.
//!
//! The rules refer to directories of the container, so they are created once per container. Each init applies
//! them to itself, and programs inherit them.

use ::landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, PathBeneath, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetError, Scope,
};
use std::{
    io,
    os::fd::{BorrowedFd, OwnedFd},
};

/// The landlock ABI version of the kernel, or 0 if it has no landlock.
pub fn version() -> i32 {
    const VERSION: libc::c_ulong = 1;
    // SAFETY: with this flag the call only returns a number and does not access memory.
    let version = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, 0, 0, VERSION) };
    i32::try_from(version).unwrap_or(0).max(0)
}

/// Creates the rules of a container; `None` if the kernel has no landlock.
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

/// Applies the rules to this process and its future children.
pub fn restrict_self(rules: BorrowedFd<'_>) -> io::Result<()> {
    use std::os::fd::AsRawFd;
    // SAFETY: takes numbers only.
    let result = unsafe { libc::syscall(libc::SYS_landlock_restrict_self, rules.as_raw_fd(), 0) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
