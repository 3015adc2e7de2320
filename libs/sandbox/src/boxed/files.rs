//! Files in and out of a container, after untrusted programs had their way with its directories.
//!
//! Every path is resolved by the kernel below a directory handle, without following links or crossing
//! mounts, and only regular files are opened. No program runs meanwhile.

use super::container::{Area, Container};
use rustix::{
    fs::{
        AtFlags, Dir, FileType, MemfdFlags, Mode, OFlags, RenameFlags, ResolveFlags, fchmod,
        fchown, fstat, fstatvfs, memfd_create, mkdirat, openat2, renameat_with, unlinkat,
    },
    io::Errno,
};
use std::{
    fs::File,
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Component, Path},
};

const RESOLVE: ResolveFlags = ResolveFlags::IN_ROOT
    .union(ResolveFlags::NO_SYMLINKS)
    .union(ResolveFlags::NO_MAGICLINKS)
    .union(ResolveFlags::NO_XDEV);

/// Why a file operation did not happen.
#[derive(Debug)]
pub enum Refusal {
    /// The caller's mistake.
    Invalid(String),
    /// Missing, or not a regular file, or too large.
    NoFile(String),
    /// Anything else.
    Failed(io::Error),
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Refusal {
        Refusal::Failed(error)
    }
}

impl From<Errno> for Refusal {
    fn from(error: Errno) -> Refusal {
        match error {
            Errno::NOENT | Errno::NOTDIR => Refusal::NoFile("does not exist".into()),
            Errno::LOOP => Refusal::NoFile("is a symbolic link".into()),
            Errno::ISDIR => Refusal::NoFile("is a directory".into()),
            Errno::XDEV => Refusal::NoFile("is on another file system".into()),
            Errno::NXIO | Errno::ACCESS => Refusal::NoFile("is not a regular file".into()),
            Errno::NOSPC => Refusal::NoFile("does not fit on the sandbox's disk".into()),
            error => Refusal::Failed(error.into()),
        }
    }
}

/// A path inside the container, taken apart.
#[derive(Debug)]
pub struct Place<'a> {
    pub area: Area,
    /// Below the area; never empty unless the area itself is meant.
    pub below: &'a Path,
}

impl<'a> Place<'a> {
    /// `/box/a/b` and the like.
    pub fn parse(path: &'a str) -> Result<Place<'a>, Refusal> {
        let plain =
            Path::new(path).components().skip(1).all(|part| matches!(part, Component::Normal(_)));
        let areas = [("/box", Area::Box), ("/tmp", Area::Tmp), ("/app", Area::App)];
        let found = areas.into_iter().find_map(|(prefix, area)| {
            let below = Path::new(path).strip_prefix(prefix).ok()?;
            Some(Place { area, below })
        });
        found.filter(|_| plain && !path.contains('\0')).ok_or_else(|| {
            Refusal::Invalid(format!("{path}: not a plain path below /box, /tmp or /app"))
        })
    }

    fn file(&self) -> Result<&'a Path, Refusal> {
        if self.below.as_os_str().is_empty() {
            return Err(Refusal::Invalid("the path names a directory".into()));
        }
        Ok(self.below)
    }
}

fn open(area: BorrowedFd<'_>, below: &Path, flags: OFlags, mode: Mode) -> Result<OwnedFd, Errno> {
    let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NOCTTY | OFlags::NONBLOCK;
    let below = if below.as_os_str().is_empty() { Path::new(".") } else { below };
    loop {
        match openat2(area, below, flags, mode, RESOLVE) {
            // The kernel gave up for a race with another rename or mount anywhere on the machine.
            Err(Errno::AGAIN) => {}
            result => return result,
        }
    }
}

fn regular(file: OwnedFd) -> Result<(OwnedFd, u64), Refusal> {
    let found = fstat(&file)?;
    if FileType::from_raw_mode(found.st_mode) != FileType::RegularFile {
        return Err(Refusal::NoFile("is not a regular file".into()));
    }
    Ok((file, u64::try_from(found.st_size).unwrap_or(0)))
}

/// Makes a file, and the directories above it, with the content of another.
pub fn put(
    container: &Container,
    place: &Place<'_>,
    content: OwnedFd,
    mode: u32,
) -> Result<(), Refusal> {
    let file = create(container, place, Mode::from(mode & 0o777), None)?;
    io::copy(&mut File::from(content), &mut File::from(file)).map_err(|error| {
        Errno::from_io_error(&error).map_or(Refusal::Failed(error), Refusal::from)
    })?;
    Ok(())
}

/// Makes an empty file, and the directories above it; `owner` gets them instead of root.
pub fn create(
    container: &Container,
    place: &Place<'_>,
    mode: Mode,
    owner: Option<u32>,
) -> Result<OwnedFd, Refusal> {
    let (area, below) = (container.area(place.area), place.file()?);
    let mut above: Vec<_> = below.ancestors().skip(1).collect();
    above.pop();
    for directory in above.into_iter().rev() {
        let parent = directory.parent().unwrap_or(Path::new(""));
        let parent = open(area, parent, OFlags::DIRECTORY, Mode::empty())?;
        let Some(name) = directory.file_name() else { continue };
        match mkdirat(&parent, name, Mode::from(0o755)) {
            // Programs work in the directories of their box, but only read those of /app.
            Ok(()) if place.area != Area::App => {
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
        let (uid, gid) = (rustix::fs::Uid::from_raw(owner), rustix::fs::Gid::from_raw(owner));
        fchown(&file, Some(uid), Some(gid)).ok();
    }
    Ok(file)
}

/// Opens a file for reading.
pub fn read(container: &Container, place: &Place<'_>) -> Result<OwnedFd, Refusal> {
    let file = open(container.area(place.area), place.file()?, OFlags::RDONLY, Mode::empty())?;
    Ok(regular(file)?.0)
}

/// Copies a file into one of its own, which later programs cannot reach.
pub fn take(container: &Container, place: &Place<'_>, limit: u64) -> Result<OwnedFd, Refusal> {
    let file = open(container.area(place.area), place.file()?, OFlags::RDONLY, Mode::empty())?;
    let (file, size) = regular(file)?;
    if size > limit {
        return Err(Refusal::NoFile(format!("has {size} bytes, more than {limit}")));
    }
    let mut copy = File::from(memfd_create("taken", MemfdFlags::CLOEXEC)?);
    io::copy(&mut io::Read::take(File::from(file), limit), &mut copy)?;
    io::Seek::seek(&mut copy, io::SeekFrom::Start(0))?;
    Ok(copy.into())
}

/// The regular files below a directory, by name.
pub fn list(
    container: &Container,
    place: &Place<'_>,
    limit: usize,
) -> Result<Vec<String>, Refusal> {
    let area = container.area(place.area);
    let mut found = Vec::new();
    let mut pending = vec![place.below.to_path_buf()];
    while let Some(directory) = pending.pop() {
        let opened = match open(area, &directory, OFlags::DIRECTORY, Mode::empty()) {
            Ok(opened) => opened,
            // Deeper than any path, which is no place for a file that somebody wants.
            Err(Errno::NAMETOOLONG) => continue,
            Err(error) => return Err(error.into()),
        };
        for (name, kind) in entries(opened.as_fd())? {
            let path = directory.join(&name);
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

fn entries(directory: BorrowedFd<'_>) -> io::Result<Vec<(String, FileType)>> {
    use std::os::unix::ffi::OsStrExt;
    let mut names = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            let name = std::ffi::OsStr::from_bytes(name).to_string_lossy().into_owned();
            names.push((name, entry.file_type()));
        }
    }
    Ok(names)
}

/// Whether there is anything in a directory of the container, by the count that its file system keeps.
pub fn is_empty(area: BorrowedFd<'_>) -> io::Result<bool> {
    let count = fstatvfs(area)?;
    // The directory itself is one.
    Ok(count.f_files - count.f_ffree <= 1)
}

/// Empties a directory, however deep a program dug. What lies deeper is moved up first, so that neither
/// recursion nor path length grows with the depth.
pub fn wipe(area: BorrowedFd<'_>) -> io::Result<()> {
    let mut moved = 0_u64;
    while !is_empty(area)? {
        let before = moved;
        let mut removed = false;
        for (name, _) in raw_entries(area)? {
            removed |= remove(area, &name, &mut moved)?;
        }
        if !removed && moved == before {
            return Err(io::Error::other("the sandbox's disk cannot be emptied"));
        }
    }
    Ok(())
}

type Name = std::ffi::CString;

fn raw_entries(directory: BorrowedFd<'_>) -> io::Result<Vec<(Name, FileType)>> {
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

/// Removes one entry; of a directory, its directories are moved up beside it.
fn remove(area: BorrowedFd<'_>, name: &Name, moved: &mut u64) -> io::Result<bool> {
    if unlinkat(area, name, AtFlags::empty()).is_ok()
        || unlinkat(area, name, AtFlags::REMOVEDIR).is_ok()
    {
        return Ok(true);
    }
    let flags = OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let directory = rustix::fs::openat(area, name, flags, Mode::empty())?;
    for (below, _) in raw_entries(directory.as_fd())? {
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
