//! Reads and writes of the small files in a cgroup directory, by its handle.

use rustix::fs::{AtFlags, Mode, OFlags, mkdirat, open, openat, unlinkat};
use std::{
    io::{self, Read as _},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
};

#[derive(Debug)]
pub struct Dir(OwnedFd);

impl Dir {
    const FLAGS: OFlags = OFlags::DIRECTORY.union(OFlags::CLOEXEC);

    pub fn open(path: &Path) -> io::Result<Dir> {
        Ok(Dir(open(path, Dir::FLAGS, Mode::empty())?))
    }

    pub fn create(&self, name: &str) -> io::Result<Dir> {
        mkdirat(&self.0, name, Mode::from(0o755))?;
        Ok(Dir(openat(&self.0, name, Dir::FLAGS, Mode::empty())?))
    }

    pub fn remove(&self, name: &str) -> io::Result<()> {
        match unlinkat(&self.0, name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(rustix::io::Errno::NOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    pub fn fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    pub fn file(&self, name: &str, flags: OFlags) -> io::Result<OwnedFd> {
        Ok(openat(&self.0, name, flags | OFlags::CLOEXEC, Mode::empty())?)
    }

    pub fn write(&self, name: &str, value: &str) -> io::Result<()> {
        let file = self.file(name, OFlags::WRONLY)?;
        rustix::io::write(file, value.as_bytes())?;
        Ok(())
    }

    pub fn read(&self, name: &str) -> io::Result<String> {
        let file = self.file(name, OFlags::RDONLY)?;
        let mut buffer = [0; 1024];
        let length = rustix::io::read(file, &mut buffer)?;
        Ok(String::from_utf8_lossy(&buffer[..length]).into_owned())
    }

    /// Reads a file that contains one number.
    pub fn number(&self, name: &str) -> io::Result<u64> {
        self.read(name)?.trim().parse().map_err(io::Error::other)
    }

    /// Reads a file of any length with one number per line.
    pub fn numbers(&self, name: &str) -> io::Result<Vec<u32>> {
        let mut text = String::new();
        std::fs::File::from(self.file(name, OFlags::RDONLY)?).read_to_string(&mut text)?;
        Ok(text.lines().filter_map(|line| line.parse().ok()).collect())
    }

    /// Reads the number of a key from a file with lines of `key number`.
    pub fn keyed(&self, name: &str, key: &str) -> io::Result<u64> {
        keyed(&self.read(name)?, key)
            .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("{name}: no {key}")))
    }
}

fn keyed(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::keyed;

    #[test]
    fn reads_a_keyed_number() {
        let text = "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n";
        assert_eq!(keyed(text, "oom_kill"), Some(3));
        assert_eq!(keyed(text, "oom"), None);
    }
}
