//! Engines of a test's own, to be stopped and started.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// PostgreSQL, Redis or Kafka, with data that outlives its process.
pub struct Engine {
    name: &'static str,
    directory: tempfile::TempDir,
    child: Option<Child>,
    /// Whether the directory is a disk of its own.
    mounted: bool,
}

/// Enough for a PostgreSQL with a few thousand rows and its log.
const SMALL_DISK: &str = "size=384m,mode=755";

impl Engine {
    pub fn new(name: &'static str) -> Self {
        Self::start_in(name, tempfile::tempdir().unwrap(), false)
    }

    /// On a small disk of its own, where this machine lets us make one.
    pub fn on_small_disk(name: &'static str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mount = ["-t", "tmpfs", "-o", SMALL_DISK, "tmpfs"];
        let mounted = Command::new("mount").args(mount).arg(directory.path()).output();
        let mounted = mounted.is_ok_and(|mounted| mounted.status.success());
        Self::start_in(name, directory, mounted)
    }

    fn start_in(name: &'static str, directory: tempfile::TempDir, mounted: bool) -> Self {
        // Servers may run as users of their own.
        let open = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(directory.path(), open).unwrap();
        let mut engine = Self { name, directory, child: None, mounted };
        engine.start();
        engine
    }

    /// Starts it and waits until it takes connections.
    pub fn start(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(90);
        while !self.answers() {
            assert!(Instant::now() < deadline, "{} does not start", self.name);
            let ended = self.child.as_mut().is_none_or(|child| child.try_wait().unwrap().is_some());
            // PostgreSQL refuses while what a killed server left behind still runs.
            if ended {
                self.child = Some(self.spawn());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn spawn(&self) -> Child {
        let script =
            format!("{}/../../deploy/engines/{}.sh", env!("CARGO_MANIFEST_DIR"), self.name);
        let mut command = Command::new(script);
        command.arg("another").arg(self.directory());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().unwrap()
    }

    pub fn url(&self) -> String {
        let url = std::fs::read_to_string(self.directory().join("url")).unwrap_or_default();
        url.trim().to_owned()
    }

    fn answers(&self) -> bool {
        let url = self.url();
        let port = url.split(':').next_back().and_then(|rest| rest.split('/').next());
        let port = port.and_then(|port| port.parse::<u16>().ok());
        port.is_some_and(|port| std::net::TcpStream::connect(("127.0.0.1", port)).is_ok())
    }

    /// Asks it to stop, as an operator would, and waits.
    pub fn stop(&mut self) {
        self.signal("-INT");
        self.wait();
    }

    pub fn kill(&mut self) {
        self.signal("-9");
        self.wait();
    }

    /// Leaves no room on its disk; false where the disk is not its own.
    pub fn fill_disk(&self) -> bool {
        if self.mounted {
            let mut ballast = std::fs::File::create(self.ballast()).unwrap();
            let block = vec![0; 4096];
            while ballast.write_all(&block).is_ok() {}
        }
        self.mounted
    }

    /// Makes room again. A server that could not go on without is started.
    pub fn make_room(&mut self) {
        std::fs::remove_file(self.ballast()).unwrap();
        self.start();
    }

    fn ballast(&self) -> PathBuf {
        self.directory().join("ballast")
    }

    fn signal(&self, signal: &str) {
        if let Some(child) = &self.child {
            Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
        }
    }

    fn wait(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.wait().unwrap();
        }
    }

    fn directory(&self) -> &Path {
        self.directory.path()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.kill();
        if self.mounted {
            Command::new("umount").arg("--lazy").arg(self.directory()).status().ok();
        }
    }
}
