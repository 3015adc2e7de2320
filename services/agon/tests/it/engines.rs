//! Private engines that a test can stop and start.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// PostgreSQL, Redis or Kafka. Its data survives restarts.
pub struct Engine {
    name: &'static str,
    directory: tempfile::TempDir,
    child: Option<Child>,
    /// Whether the directory is a separate file system.
    mounted: bool,
}

/// Enough for PostgreSQL with a few thousand rows and its log.
const SMALL_DISK: &str = "size=384m,mode=755";

impl Engine {
    pub fn new(name: &'static str) -> Self {
        Self::start_in(name, tempfile::tempdir().unwrap(), false)
    }

    /// Uses a small separate file system if this machine permits mounts.
    pub fn on_small_disk(name: &'static str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mount = ["-t", "tmpfs", "-o", SMALL_DISK, "tmpfs"];
        let mounted = Command::new("mount").args(mount).arg(directory.path()).output();
        let mounted = mounted.is_ok_and(|mounted| mounted.status.success());
        Self::start_in(name, directory, mounted)
    }

    fn start_in(name: &'static str, directory: tempfile::TempDir, mounted: bool) -> Self {
        // Servers may run as other users.
        let open = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(directory.path(), open).unwrap();
        let mut engine = Self { name, directory, child: None, mounted };
        engine.start();
        engine
    }

    /// Starts the engine and waits until it accepts connections.
    pub fn start(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(90);
        while !self.accepts_connections() {
            assert!(Instant::now() < deadline, "{} does not start", self.name);
            let ended = self.child.as_mut().is_none_or(|child| child.try_wait().unwrap().is_some());
            // PostgreSQL does not start while children of a killed server are running.
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
        command.arg("foreground").arg(self.directory());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().unwrap()
    }

    pub fn url(&self) -> String {
        let url = std::fs::read_to_string(self.directory().join("url")).unwrap_or_default();
        url.trim().to_owned()
    }

    fn accepts_connections(&self) -> bool {
        let url = self.url();
        let port = url.split(':').next_back().and_then(|rest| rest.split('/').next());
        let port = port.and_then(|port| port.parse::<u16>().ok());
        port.is_some_and(|port| std::net::TcpStream::connect(("127.0.0.1", port)).is_ok())
    }

    /// Stops the engine with SIGINT and waits for its end.
    pub fn stop(&mut self) {
        self.signal("-INT");
        self.wait();
    }

    pub fn kill(&mut self) {
        self.signal("-9");
        self.wait();
    }

    /// Fills the file system. Returns false if it is not a separate one.
    pub fn fill_disk(&self) -> bool {
        if self.mounted {
            let mut ballast = std::fs::File::create(self.ballast()).unwrap();
            let block = vec![0; 4096];
            while ballast.write_all(&block).is_ok() {}
        }
        self.mounted
    }

    /// Frees the space, and starts the server if it stopped.
    pub fn free_disk(&mut self) {
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
