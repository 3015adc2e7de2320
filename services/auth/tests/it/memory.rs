//! Memory of password hashing.

use std::process::Command;

use auth::Auth;
use db::testing::Kind;
use futures_util::{StreamExt as _, stream};
use ids::Clock;
use proto::auth::session_service_client::SessionServiceClient;
use service::Service as _;
use tonic::Code;

use crate::world::{open, session_request};

/// Set in the process that is measured. Other tests would disturb the measurement.
const MEASURED: &str = "AGON_TEST_MEASURED";
const LOG_INS: usize = 500;
const CONCURRENT: usize = 20;
/// Memory of a hash, in KiB.
const HASH: usize = 19 * 1024;
/// What the rest of the process may use during the calls, in KiB.
const MARGIN: usize = 16 * 1024;

#[test]
fn failed_log_ins_do_not_keep_memory() {
    if std::env::var_os(MEASURED).is_some() {
        tokio::runtime::Runtime::new().unwrap().block_on(measure());
        return;
    }
    let mut test = Command::new(std::env::current_exe().unwrap());
    test.args(["--exact", "memory::failed_log_ins_do_not_keep_memory", "--nocapture"]);
    let output = test.env(MEASURED, "1").output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    print!("{text}");
}

async fn measure() {
    let clock = Clock::system();
    let db = Kind::Sqlite.create(&Auth::DESCRIPTOR.migrations).await;
    let (_auth, channel) = open(&db, &clock).await;
    let threads = std::thread::available_parallelism().unwrap().get();
    let before = memory("VmRSS");
    let log_ins = stream::iter(0..LOG_INS).map(|n| {
        let mut sessions = SessionServiceClient::new(channel.clone());
        async move {
            let request = session_request(&format!("stranger{n}"), "wrong horse battery staple");
            let status = sessions.create_session(request).await.unwrap_err();
            assert_eq!(status.code(), Code::Unauthenticated, "{status:?}");
        }
    });
    log_ins.buffer_unordered(CONCURRENT).collect::<()>().await;
    let (peak, after) = (memory("VmHWM"), memory("VmRSS"));
    eprintln!("{LOG_INS} failed log-ins: {before} KiB before, {peak} at the peak, {after} after");
    assert!(peak <= before + threads * HASH + MARGIN, "{before} -> {peak} KiB");
}

/// A field of this process's memory status, in KiB.
fn memory(field: &str) -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap();
    line.split_ascii_whitespace().nth(1).unwrap().parse().unwrap()
}
