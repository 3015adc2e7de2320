//! Opens a problem package: an archive as it is, a directory packed into a tar.gz archive.
//!
//! Reads regular files only, and never more than the size limits, whatever a path turns out to be.

use std::ffi::OsStr;
use std::fs::{self, File, Metadata};
use std::io::{self, BufWriter, Read, Seek, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use package::SizeLimits;
use rustix::fs::OFlags;
use tar::{Builder, EntryType, Header};

use crate::failure::Failure;

/// Directories are not followed any deeper; the format allows fewer levels.
const MAX_DEPTH: usize = 64;

const EXPECTED: &str = "must be a directory, or a .zip, .tar, .tar.gz or .tgz file";

/// A package as one file.
#[derive(Debug)]
pub struct Archive {
    pub file: File,
    /// In bytes.
    pub size: u64,
    pub media_type: &'static str,
}

pub fn open(path: &Path, limits: &SizeLimits) -> Result<Archive, Failure> {
    let fail = |error| Failure::usage(format!("cannot read {}: {error}", path.display()));
    // Opening a device can have effects, so look at it first.
    let metadata = fs::metadata(path).map_err(fail)?;
    if metadata.is_dir() {
        return pack(path, limits).map_err(|error| match error.kind() {
            io::ErrorKind::FileTooLarge => Failure::new(error.to_string()),
            _ => fail(error),
        });
    }
    let refuse = |what: &str| {
        let text = format!("{} {what}; it {EXPECTED}", path.display());
        Failure::usage(text)
    };
    if !metadata.is_file() {
        return Err(refuse(&format!("is {}", kind(&metadata))));
    }
    let (mut file, size) = open_regular(path, OFlags::empty()).map_err(fail)?;
    let mut head = Vec::new();
    Read::by_ref(&mut file).take(512).read_to_end(&mut head).map_err(fail)?;
    file.rewind().map_err(fail)?;
    let media_type = package::media_type(&head)
        .map_err(|message| Failure::usage(format!("{}: {message}", path.display())))?;
    Ok(Archive { file, size, media_type })
}

fn kind(metadata: &Metadata) -> &'static str {
    let file_type = metadata.file_type();
    if file_type.is_fifo() {
        "a pipe"
    } else if file_type.is_socket() {
        "a socket"
    } else {
        "a device"
    }
}

/// Opens a file and returns its size. Does not block, even if the path became a pipe in the meantime.
fn open_regular(path: &Path, flags: OFlags) -> io::Result<(File, u64)> {
    let flags = (flags | OFlags::NONBLOCK).bits();
    let file = File::options().read(true).custom_flags(flags.cast_signed()).open(path)?;
    let metadata = file.metadata()?;
    match metadata.is_file() {
        true => Ok((file, metadata.len())),
        false => Err(io::Error::other("is not a regular file")),
    }
}

fn pack(directory: &Path, limits: &SizeLimits) -> io::Result<Archive> {
    let root = directory.canonicalize()?;
    // The name of the package. Links may leave the directory and enter it again by this name.
    let name = root.file_name().filter(|name| package::is_allowed_name(name.as_bytes()));
    let is_package = root.join("problem.yaml").exists();
    let top = PathBuf::from(name.filter(|_| is_package).unwrap_or(OsStr::new(".")));
    let output = BufWriter::new(tempfile::tempfile()?);
    let tar = Builder::new(GzEncoder::new(output, Compression::fast()));
    let mut packer = Packer { tar, root: &root, top: &top, limits, entries: 0, bytes: 0 };
    packer.add_directory(Path::new(""), 0)?;
    let mut output = packer.tar.into_inner()?.finish()?;
    output.flush()?;
    let mut file = output.into_inner().map_err(io::IntoInnerError::into_error)?;
    let size = file.stream_position()?;
    file.rewind()?;
    Ok(Archive { file, size, media_type: "application/gzip" })
}

struct Packer<'a> {
    tar: Builder<GzEncoder<BufWriter<File>>>,
    root: &'a Path,
    /// The directory in the archive.
    top: &'a Path,
    limits: &'a SizeLimits,
    entries: usize,
    bytes: u64,
}

impl Packer<'_> {
    /// Adds the content of a directory, by its path in the package, in the order of the names.
    fn add_directory(&mut self, path: &Path, depth: usize) -> io::Result<()> {
        // One more than the limit, which `add` then reports.
        let children = fs::read_dir(self.root.join(path))?.take(self.limits.entries + 1);
        let mut children = children.collect::<io::Result<Vec<_>>>()?;
        children.sort_by_key(fs::DirEntry::file_name);
        for child in children {
            let name = child.file_name();
            if !package::is_hidden_name(name.as_bytes()) {
                self.add(&path.join(&name), &name, depth)?;
            }
        }
        Ok(())
    }

    fn add(&mut self, path: &Path, name: &OsStr, depth: usize) -> io::Result<()> {
        self.entries += 1;
        if self.entries > self.limits.entries {
            return Err(self.too_large(path, self.limits.entries, "files and directories"));
        }
        let full = self.root.join(path);
        let file_type = fs::symlink_metadata(&full)?.file_type();
        if file_type.is_dir() {
            self.append(path, EntryType::Directory, 0, io::empty())?;
            let is_used = package::is_allowed_name(name.as_bytes()) && depth < MAX_DEPTH;
            return if is_used { self.add_directory(path, depth + 1) } else { Ok(()) };
        }
        // The name of an ignored file is reported; its content is not needed.
        if !package::is_allowed_name(name.as_bytes()) {
            return self.append(path, EntryType::Regular, 0, io::empty());
        }
        if file_type.is_symlink() {
            return self.add_link(path, &full);
        }
        if !file_type.is_file() {
            return self.append(path, EntryType::Fifo, 0, io::empty());
        }
        let (file, size) = open_regular(&full, OFlags::NOFOLLOW)
            .map_err(|error| io::Error::other(format!("{}: {error}", path.display())))?;
        self.bytes = self.bytes.saturating_add(size);
        if size > self.limits.file || self.bytes > self.limits.unpacked {
            let max = self.limits.file.min(self.limits.unpacked);
            return Err(self.too_large(path, max, "bytes"));
        }
        self.append(path, EntryType::Regular, size, file)
    }

    fn too_large(&self, path: &Path, max: impl std::fmt::Display, unit: &str) -> io::Error {
        let path = path.display();
        let text = format!("{path}: the package is too large; at most {max} {unit} are allowed");
        io::Error::new(io::ErrorKind::FileTooLarge, text)
    }

    /// Adds a link; absolute targets inside the package become relative.
    fn add_link(&mut self, path: &Path, full: &Path) -> io::Result<()> {
        let mut target = fs::read_link(full)?;
        let inside = |target: &Path| {
            let target = target.canonicalize().ok()?;
            target.strip_prefix(self.root).ok().map(Path::to_path_buf)
        };
        if target.is_absolute()
            && let Some(inside) = inside(&target)
        {
            let levels = path.components().count() - 1;
            target = PathBuf::from("../".repeat(levels)).join(inside);
        }
        let mut header = header(EntryType::Symlink, 0);
        self.tar.append_link(&mut header, self.top.join(path), target)
    }

    fn append(
        &mut self,
        path: &Path,
        entry_type: EntryType,
        size: u64,
        content: impl Read,
    ) -> io::Result<()> {
        let mut header = header(entry_type, size);
        let mut content = content.take(size);
        self.tar.append_data(&mut header, self.top.join(path), &mut content)?;
        match content.limit() {
            0 => Ok(()),
            _ => Err(io::Error::other(format!("{} changed while it was read", path.display()))),
        }
    }
}

fn header(entry_type: EntryType, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(entry_type);
    header.set_size(size);
    header.set_mode(0o644);
    header
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::os::unix::fs::symlink;

    use flate2::read::GzDecoder;

    use super::*;

    fn package() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("sum/data/secret")).unwrap();
        fs::write(dir.path().join("sum/problem.yaml"), "name: x").unwrap();
        fs::write(dir.path().join("sum/data/secret/1.in"), "1").unwrap();
        dir
    }

    /// The entries of an archive: type and content, or the target of a link.
    fn entries(archive: Archive) -> BTreeMap<String, (EntryType, String)> {
        let mut tar = tar::Archive::new(GzDecoder::new(archive.file));
        let entry = |entry: io::Result<tar::Entry<'_, _>>| {
            let mut entry = entry.unwrap();
            let name = entry.path().unwrap().display().to_string();
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            if let Some(target) = entry.link_name().unwrap() {
                text = target.display().to_string();
            }
            (name, (entry.header().entry_type(), text))
        };
        tar.entries().unwrap().map(entry).collect()
    }

    fn make(dir: &Path, kind: rustix::fs::FileType, name: &str) {
        rustix::fs::mknodat(rustix::fs::CWD, dir.join(name), kind, 0o644.into(), 0).unwrap();
    }

    #[test]
    fn directories_are_packed_with_their_links_and_special_files() {
        let dir = package();
        let root = dir.path().join("sum");
        symlink("1.in", root.join("data/secret/2.in")).unwrap();
        symlink(root.join("data/secret/1.in"), root.join("data/secret/3.in")).unwrap();
        symlink("/etc/passwd", root.join("data/secret/4.in")).unwrap();
        make(&root, rustix::fs::FileType::Fifo, "pipe");
        let _socket = std::os::unix::net::UnixListener::bind(root.join("socket")).unwrap();
        fs::create_dir(root.join(".git")).unwrap();
        fs::create_dir(root.join("odd name")).unwrap();
        make(&root.join("odd name"), rustix::fs::FileType::Fifo, "pipe");
        let found = entries(open(&root, &SizeLimits::default()).unwrap());
        let check = |name: &str, kind, text: &str| {
            assert_eq!(found.get(name), Some(&(kind, text.to_owned())), "{name}");
        };
        check("sum/problem.yaml", EntryType::Regular, "name: x");
        check("sum/data/secret/2.in", EntryType::Symlink, "1.in");
        check("sum/data/secret/3.in", EntryType::Symlink, "../../data/secret/1.in");
        check("sum/data/secret/4.in", EntryType::Symlink, "/etc/passwd");
        check("sum/pipe", EntryType::Fifo, "");
        check("sum/socket", EntryType::Fifo, "");
        assert!(!found.keys().any(|name| name.contains(".git") || name.ends_with("name/pipe")));
        assert!(found.keys().any(|name| name.trim_end_matches('/') == "sum/odd name"));
    }

    #[test]
    fn pipes_devices_and_sockets_are_refused_without_reading() {
        let dir = package();
        make(dir.path(), rustix::fs::FileType::Fifo, "pipe.tar");
        let _socket = std::os::unix::net::UnixListener::bind(dir.path().join("s.zip")).unwrap();
        for (path, what) in [
            (dir.path().join("pipe.tar"), "is a pipe"),
            (dir.path().join("s.zip"), "is a socket"),
            ("/dev/zero".into(), "is a device"),
        ] {
            let error = open(&path, &SizeLimits::default()).unwrap_err().to_string();
            assert!(error.contains(what) && error.contains(".tar.gz"), "{error}");
        }
    }

    #[test]
    fn content_decides_the_type_of_an_archive() {
        let dir = package();
        let packed = open(&dir.path().join("sum"), &SizeLimits::default()).unwrap();
        let renamed = dir.path().join("p.TGZ.backup");
        io::copy(&mut (&packed.file), &mut File::create(&renamed).unwrap()).unwrap();
        let archive = open(&renamed, &SizeLimits::default()).unwrap();
        assert_eq!(archive.media_type, "application/gzip");
        fs::write(dir.path().join("p.zip"), "Rar!").unwrap();
        let error = open(&dir.path().join("p.zip"), &SizeLimits::default()).unwrap_err();
        assert!(error.to_string().contains("is a rar archive; it must be a zip"), "{error}");
    }

    #[test]
    fn huge_files_are_named_before_they_are_read() {
        let dir = package();
        let root = dir.path().join("sum");
        let huge = File::create(root.join("data/secret/9.in")).unwrap();
        huge.set_len(1 << 40).unwrap();
        let error = open(&root, &SizeLimits::default()).unwrap_err().to_string();
        assert!(error.starts_with("data/secret/9.in: the package is too large"), "{error}");
        let few = SizeLimits { entries: 3, ..SizeLimits::default() };
        fs::remove_file(root.join("data/secret/9.in")).unwrap();
        let error = open(&root, &few).unwrap_err().to_string();
        assert!(error.contains("at most 3 files and directories"), "{error}");
    }
}
