//! Copies files into and out of a container whose directories untrusted programs may have modified.
//!
//! The kernel resolves each path below a directory handle, without following symbolic links or crossing mounts,
//! and only regular files are opened. No program runs at the same time.

use super::container::{Area, Container};
use rustix::{
    fs::{
        AtFlags, Dir, FileType, MemfdFlags, Mode, OFlags, RenameFlags, ResolveFlags, fchmod,
        fchown, fstat, fstatvfs, memfd_create, mkdirat, openat2, renameat_with, unlinkat,
    },
    io::Errno,
};
use std::{
    ffi::{CStr, CString},
    fs::File,
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    path::{Component, Path},
};

const RESOLVE: ResolveFlags = ResolveFlags::IN_ROOT
    .union(ResolveFlags::NO_SYMLINKS)
    .union(ResolveFlags::NO_MAGICLINKS)
    .union(ResolveFlags::NO_XDEV);

/// Why a request failed; see [`crate::wire::Reply`].
#[derive(Debug)]
pub enum RequestError {
    Invalid(String),
    NoFile(String),
    Failed(io::Error),
}

impl From<io::Error> for RequestError {
    fn from(error: io::Error) -> RequestError {
        RequestError::Failed(error)
    }
}

impl From<Errno> for RequestError {
    fn from(error: Errno) -> RequestError {
        match error {
            Errno::NOENT | Errno::NOTDIR => RequestError::NoFile("does not exist".into()),
            Errno::LOOP => RequestError::NoFile("is a symbolic link".into()),
            Errno::ISDIR => RequestError::NoFile("is a directory".into()),
            Errno::XDEV => RequestError::NoFile("is on another file system".into()),
            Errno::NXIO | Errno::ACCESS => RequestError::NoFile("is not a regular file".into()),
            Errno::NOSPC => RequestError::NoFile("does not fit on the sandbox's disk".into()),
            error => RequestError::Failed(error.into()),
        }
    }
}

/// A path in the container, split into the writable directory and the rest.
#[derive(Debug)]
pub struct SandboxPath<'a> {
    pub area: Area,
    /// Relative to the area; empty for the area itself.
    pub below: &'a Path,
}

impl<'a> SandboxPath<'a> {
    /// Parses an absolute path such as `/box/a/b`.
    pub fn parse(path: &'a str) -> Result<SandboxPath<'a>, RequestError> {
        let plain =
            Path::new(path).components().skip(1).all(|part| matches!(part, Component::Normal(_)));
        let areas = [("/box", Area::Box), ("/tmp", Area::Tmp), ("/app", Area::App)];
        let found = areas.into_iter().find_map(|(prefix, area)| {
            let below = Path::new(path).strip_prefix(prefix).ok()?;
            Some(SandboxPath { area, below })
        });
        found.filter(|_| plain && !path.contains('\0')).ok_or_else(|| {
            RequestError::Invalid(format!(
                "{path}: must be a path below /box, /tmp or /app, without `..`"
            ))
        })
    }

    fn file(&self) -> Result<&'a Path, RequestError> {
        if self.below.as_os_str().is_empty() {
            return Err(RequestError::Invalid("the path must name a file, not a directory".into()));
        }
        Ok(self.below)
    }
}

fn open(area: BorrowedFd<'_>, below: &Path, flags: OFlags, mode: Mode) -> Result<OwnedFd, Errno> {
    let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NOCTTY | OFlags::NONBLOCK;
    let below = if below.as_os_str().is_empty() { Path::new(".") } else { below };
    loop {
        match openat2(area, below, flags, mode, RESOLVE) {
            // A concurrent rename or mount anywhere on the machine interfered.
            Err(Errno::AGAIN) => {}
            result => return result,
        }
    }
}

fn regular(file: OwnedFd) -> Result<(OwnedFd, u64), RequestError> {
    let found = fstat(&file)?;
    if FileType::from_raw_mode(found.st_mode) != FileType::RegularFile {
        return Err(RequestError::NoFile("is not a regular file".into()));
    }
    Ok((file, u64::try_from(found.st_size).unwrap_or(0)))
}

/// Creates a file and its parent directories, with the content of another file. See [`create`] for `owner`.
pub fn put(
    container: &Container,
    path: &SandboxPath<'_>,
    content: OwnedFd,
    mode: u32,
    owner: Option<u32>,
) -> Result<(), RequestError> {
    let file = create(container, path, Mode::from(mode & 0o777), owner)?;
    io::copy(&mut File::from(content), &mut File::from(file)).map_err(|error| {
        Errno::from_io_error(&error).map_or(RequestError::Failed(error), RequestError::from)
    })?;
    Ok(())
}

/// Creates an empty file and its parent directories. `owner` becomes the owner of the file instead of root.
pub fn create(
    container: &Container,
    path: &SandboxPath<'_>,
    mode: Mode,
    owner: Option<u32>,
) -> Result<OwnedFd, RequestError> {
    let (area, below) = (container.area(path.area), path.file()?);
    let mut parents: Vec<_> = below.ancestors().skip(1).collect();
    parents.pop();
    for directory in parents.into_iter().rev() {
        let parent = directory.parent().unwrap_or(Path::new(""));
        let parent = open(area, parent, OFlags::DIRECTORY, Mode::empty())?;
        let Some(name) = directory.file_name() else { continue };
        match mkdirat(&parent, name, Mode::from(0o755)) {
            // Programs may write to directories in /box and /tmp, but not in /app.
            Ok(()) if path.area != Area::App => {
                let made = open(parent.as_fd(), Path::new(name), OFlags::DIRECTORY, Mode::empty())?;
                fchmod(&made, Mode::from(0o1777))?;
            }
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::TRUNC;
    let (file, _) = regular(open(area, below, flags, mode)?)?;
    fchmod(&file, mode)?;
    if let Some(owner) = owner {
        give(file.as_fd(), owner);
    }
    Ok(file)
}

/// Makes a user the owner of a file or pipe, who can then open it again by `/proc/self/fd`.
pub fn give(file: BorrowedFd<'_>, owner: u32) {
    let (uid, gid) = (rustix::fs::Uid::from_raw(owner), rustix::fs::Gid::from_raw(owner));
    fchown(file, Some(uid), Some(gid)).ok();
}

pub fn is_pipe(file: BorrowedFd<'_>) -> bool {
    fstat(file).is_ok_and(|found| FileType::from_raw_mode(found.st_mode) == FileType::Fifo)
}

pub fn open_for_reading(
    container: &Container,
    path: &SandboxPath<'_>,
) -> Result<OwnedFd, RequestError> {
    let file = open(container.area(path.area), path.file()?, OFlags::RDONLY, Mode::empty())?;
    Ok(regular(file)?.0)
}

/// Copies a file to an anonymous file, which later programs cannot change.
pub fn get(
    container: &Container,
    path: &SandboxPath<'_>,
    limit: u64,
) -> Result<OwnedFd, RequestError> {
    let file = open(container.area(path.area), path.file()?, OFlags::RDONLY, Mode::empty())?;
    let (file, size) = regular(file)?;
    if size > limit {
        return Err(RequestError::NoFile(format!("has {size} bytes, the limit is {limit}")));
    }
    Ok(copy("copy", file, limit)?.into())
}

/// An anonymous file with at most `limit` bytes of another one, at offset 0.
fn copy(name: &str, file: OwnedFd, limit: u64) -> io::Result<File> {
    let mut copy = File::from(memfd_create(name, MemfdFlags::CLOEXEC)?);
    io::copy(&mut io::Read::take(File::from(file), limit), &mut copy)?;
    io::Seek::seek(&mut copy, io::SeekFrom::Start(0))?;
    Ok(copy)
}

/// Copies a regular file of the host for the standard input of one program. The program can open the copy again by
/// `/dev/stdin`, and can neither change it nor learn the name of the original, which other programs read too.
pub fn copy_input(proc_dir: BorrowedFd<'_>, input: OwnedFd) -> Result<OwnedFd, RequestError> {
    let (input, _) = regular(input)?;
    let copy = copy("stdin", input, u64::MAX)?;
    fchmod(&copy, Mode::from(0o444))?;
    let name = format!("self/fd/{}", copy.as_raw_fd());
    Ok(rustix::fs::openat(proc_dir, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?)
}

/// The sorted paths of at most `limit` regular files below a directory.
pub fn list(
    container: &Container,
    path: &SandboxPath<'_>,
    limit: usize,
) -> Result<Vec<String>, RequestError> {
    let area = container.area(path.area);
    let mut found = Vec::new();
    let mut pending = vec![path.below.to_path_buf()];
    while let Some(directory) = pending.pop() {
        let opened = match open(area, &directory, OFlags::DIRECTORY, Mode::empty()) {
            Ok(opened) => opened,
            // Skip directories that are too deep to be named by a path.
            Err(Errno::NAMETOOLONG) => continue,
            Err(error) => return Err(error.into()),
        };
        for (name, kind) in entries(opened.as_fd())? {
            let path = directory.join(name.to_string_lossy().as_ref());
            match kind {
                FileType::Directory => pending.push(path),
                FileType::RegularFile if found.len() < limit => {
                    found.push(path.to_string_lossy().into_owned());
                }
                _ => {}
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Whether a writable directory is empty, by the inode count of its file system.
pub fn is_empty(area: BorrowedFd<'_>) -> io::Result<bool> {
    let count = fstatvfs(area)?;
    // The directory itself is counted.
    Ok(count.f_files - count.f_ffree <= 1)
}

/// Empties a directory. Moves nested directories up to the top level before removing them, so that neither
/// recursion nor path length grows with the nesting depth.
pub fn wipe(area: BorrowedFd<'_>) -> io::Result<()> {
    let mut moved = 0_u64;
    while !is_empty(area)? {
        let before = moved;
        let mut removed = false;
        for (name, _) in entries(area)? {
            removed |= remove(area, &name, &mut moved)?;
        }
        if !removed && moved == before {
            return Err(io::Error::other("cannot empty the sandbox's disk"));
        }
    }
    Ok(())
}

fn entries(directory: BorrowedFd<'_>) -> io::Result<Vec<(CString, FileType)>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        if name != c"." && name != c".." {
            names.push((name.to_owned(), entry.file_type()));
        }
    }
    Ok(names)
}

/// Removes an entry of `area`. Moves the subdirectories of a directory up to `area`. True if it was removed.
fn remove(area: BorrowedFd<'_>, name: &CStr, moved: &mut u64) -> io::Result<bool> {
    if unlinkat(area, name, AtFlags::empty()).is_ok()
        || unlinkat(area, name, AtFlags::REMOVEDIR).is_ok()
    {
        return Ok(true);
    }
    let flags = OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let directory = rustix::fs::openat(area, name, flags, Mode::empty())?;
    for (below, _) in entries(directory.as_fd())? {
        if unlinkat(&directory, &below, AtFlags::empty()).is_ok()
            || unlinkat(&directory, &below, AtFlags::REMOVEDIR).is_ok()
        {
            continue;
        }
        loop {
            *moved += 1;
            let up = format!("moved-{moved}");
            match renameat_with(&directory, &below, area, &up, RenameFlags::NOREPLACE) {
                Ok(()) => break,
                Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(unlinkat(area, name, AtFlags::REMOVEDIR).is_ok())
}
