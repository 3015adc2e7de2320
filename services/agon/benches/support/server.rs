//! The server of a benchmark.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::process::{self, Rest};

/// A server with every role.
pub struct Server {
    pub child: Child,
    pub rest_port: u16,
    pub grpc_port: u16,
    pub admin_port: u16,
    pub ready_after: Duration,
}

impl Server {
    /// Starts a server with more settings, and waits until it answers.
    pub async fn start(data: &Path, http: &reqwest::Client, settings: &[&str]) -> Server {
        let [rest_port, grpc_port, admin_port] = free_ports();
        let start = Instant::now();
        let child = Command::new(env!("CARGO_BIN_EXE_agon"))
            .args(["serve", "--log", "warn"])
            .args(["--data".as_ref(), data.as_os_str()])
            .args(["--rest", &format!("127.0.0.1:{rest_port}")])
            .args(["--grpc", &format!("127.0.0.1:{grpc_port}")])
            .args(["--admin", &format!("127.0.0.1:{admin_port}")])
            .args(["--set", "challenge.submissions_per_hour=100000"])
            .args(["--set", "limits.submit=0", "--set", "limits.read=0"])
            .args(settings.iter().flat_map(|setting| ["--set", setting]))
            .stdout(Stdio::null())
            .spawn()
            .expect("the program starts");
        let ready = format!("http://127.0.0.1:{rest_port}/v1/problems");
        while http.get(&ready).send().await.is_err() {
            assert!(start.elapsed() < Duration::from_secs(60), "the program does not answer");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Server { child, rest_port, grpc_port, admin_port, ready_after: start.elapsed() }
    }

    pub fn rest(&self, http: &reqwest::Client) -> Rest {
        Rest {
            http: http.clone(),
            url: format!("http://127.0.0.1:{}", self.rest_port),
            metrics: format!("http://127.0.0.1:{}/metrics", self.admin_port),
        }
    }

    pub fn stop(mut self) {
        process::stop(&mut self.child);
    }
}

fn free_ports() -> [u16; 3] {
    let listeners = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").expect("a free port"));
    listeners.map(|listener| listener.local_addr().expect("an address").port())
}
