//! A Redis server of one test, which can be killed, restarted and paused.

use std::process::{Child, Command, Stdio};

use cache::Cache;
use cache::testing::{Backend, eventually, required, unique};

pub struct Server {
    pub port: u16,
    process: Option<Child>,
}

impl Server {
    /// None, which skips the test, when `redis-server` is not installed and not required.
    pub async fn start() -> Option<Self> {
        let port = free_port();
        let mut server = Self { port, process: None };
        match Command::new("redis-server").arg("--version").stdout(Stdio::null()).status() {
            Ok(_) => server.run().await,
            Err(error) if required() => panic!("AGON_TEST_REQUIRE_ENGINES=1, but {error}"),
            Err(_) => {
                eprintln!("skipped: redis-server is not installed");
                return None;
            }
        }
        Some(server)
    }

    /// Two connected caches with the same prefix.
    pub async fn two_caches(&self) -> (Cache, Cache) {
        let backend = Backend::Redis { url: self.url(), prefix: unique() };
        (backend.cache().await, backend.cache().await)
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Starts a new, empty process on the same port.
    pub async fn run(&mut self) {
        let mut command = Command::new("redis-server");
        command.args(["--bind", "127.0.0.1", "--port", &self.port.to_string()]);
        command.args(["--save", "", "--appendonly", "no"]);
        self.process = Some(command.stdout(Stdio::null()).spawn().unwrap());
        eventually("the server responds", async || self.request(&["PING"]).await.is_ok()).await;
    }

    pub async fn request(&self, words: &[&str]) -> redis::RedisResult<redis::Value> {
        let client = redis::Client::open(self.url())?;
        let mut connection = client.get_multiplexed_async_connection().await?;
        redis::cmd(words[0]).arg(&words[1..]).query_async(&mut connection).await
    }

    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// Pauses the process; its connections stay open.
    pub fn hang(&self) {
        self.signal("-STOP");
    }

    pub fn wake(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let process = self.process.as_ref().expect("running").id().to_string();
        assert!(Command::new("kill").args([signal, &process]).status().unwrap().success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
