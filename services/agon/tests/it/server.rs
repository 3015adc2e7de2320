//! `agon serve` as a child process.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek};
use std::os::unix::fs::FileExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::world::{AGON, TIMEOUT};

pub struct Server {
    pub child: Child,
    pub rest: String,
    pub grpc: String,
    pub admin: String,
    /// Its standard output until it was ready.
    pub banner: String,
    pub ready_after: Duration,
    log: Log,
}

/// The log of a server. A failing test prints its last 200 lines.
struct Log(File);

impl Drop for Log {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let mut text = Vec::new();
            let _ = self.0.rewind();
            let _ = self.0.read_to_end(&mut text);
            let text = String::from_utf8_lossy(&text);
            let lines: Vec<&str> = text.lines().collect();
            let end = &lines[lines.len().saturating_sub(200)..];
            println!("--- last {} lines of the server's log:\n{}\n---", end.len(), end.join("\n"));
        }
    }
}

impl Server {
    /// Starts and waits until it is ready.
    pub fn start(flags: &[String]) -> Self {
        Self::start_as(flags, |_| {})
    }

    pub fn start_as(flags: &[String], adjust: impl FnOnce(&mut Command)) -> Self {
        Self::spawn(flags, adjust).wait()
    }

    /// Starts; [`Starting::wait`] waits until it is ready.
    pub fn spawn(flags: &[String], adjust: impl FnOnce(&mut Command)) -> Starting {
        let start = Instant::now();
        let mut command = Command::new(AGON);
        command.arg("serve").args(flags).stdin(Stdio::null()).stdout(Stdio::piped());
        let log = tempfile::tempfile().unwrap();
        command.stderr(log.try_clone().unwrap());
        adjust(&mut command);
        Starting { child: command.spawn().unwrap(), log: Log(log), start }
    }

    /// The log so far. Does not move the offset, which the server shares.
    pub fn log(&self) -> String {
        let file = &self.log.0;
        let mut text = vec![0; file.metadata().unwrap().len().try_into().unwrap()];
        file.read_exact_at(&mut text, 0).unwrap();
        String::from_utf8(text).unwrap()
    }

    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Sends SIGTERM and waits for the end.
    pub fn terminate(&mut self) -> ExitStatus {
        let id = self.child.id().to_string();
        Command::new("kill").args(["-TERM", &id]).status().unwrap();
        let deadline = Instant::now() + TIMEOUT;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "the server does not stop");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// A server that is not ready yet.
pub struct Starting {
    child: Child,
    log: Log,
    start: Instant,
}

impl Starting {
    pub fn wait(mut self) -> Server {
        let start = self.start;
        let lines = lines_of(self.child.stdout.take().unwrap());
        let mut banner = String::new();
        while !banner.contains("Try:") {
            let left = TIMEOUT.saturating_sub(start.elapsed());
            let Ok(line) = lines.recv_timeout(left) else {
                let _ = self.child.kill();
                panic!("the server does not get ready; it printed: {banner}");
            };
            banner += &line;
        }
        let find = |name: &str| {
            let line = banner.lines().find(|line| line.trim_start().starts_with(name));
            let address = line.and_then(|line| line.split_whitespace().nth(1)).unwrap_or_default();
            format!("http://{}", address.trim_start_matches("http://"))
        };
        let (rest, grpc, admin) = (find("REST"), find("gRPC"), find("admin"));
        let ready_after = start.elapsed();
        Server { child: self.child, rest, grpc, admin, banner, ready_after, log: self.log }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The lines of a pipe. Reads to its end, so that the writer never blocks.
fn lines_of(pipe: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            // The receiver is gone after the server is ready.
            let _ = send.send(line + "\n");
        }
    });
    receive
}
