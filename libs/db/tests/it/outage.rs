//! PostgreSQL that is stopped or hangs, behind a proxy.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use db::testing::{self, Kind, eventually};
use db::{Db, Error};
use futures_util::future::join_all;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::MIGRATIONS;

/// What clients of the server see.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Works,
    /// Connections are refused, and open ones are broken.
    Stopped,
    /// Connections are accepted, but nothing is transferred.
    Hangs,
}

/// Forwards connections to a server.
struct Proxy {
    address: std::net::SocketAddr,
    mode: Arc<watch::Sender<Mode>>,
    /// The number of connections so far.
    accepted: Arc<AtomicUsize>,
}

impl Proxy {
    async fn start(server: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mode = Arc::new(watch::Sender::new(Mode::Works));
        let accepted = Arc::default();
        let proxy = Self { address, mode, accepted };
        tokio::spawn(forward(listener, server, proxy.mode.clone(), proxy.accepted.clone()));
        proxy
    }

    fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }
}

async fn forward(
    listener: TcpListener,
    server: String,
    mode: Arc<watch::Sender<Mode>>,
    count: Arc<AtomicUsize>,
) {
    let address = listener.local_addr().unwrap();
    let (mut listener, mut changes) = (Some(listener), mode.subscribe());
    loop {
        match &listener {
            None => {
                changes.wait_for(|mode| *mode != Mode::Stopped).await.unwrap();
                listener = Some(TcpListener::bind(address).await.unwrap());
            }
            Some(open) => tokio::select! {
                accepted = open.accept() => {
                    let (client, _) = accepted.unwrap();
                    count.fetch_add(1, Ordering::SeqCst);
                    tokio::spawn(transfer(client, server.clone(), mode.subscribe()));
                }
                _ = changes.wait_for(|mode| *mode == Mode::Stopped) => listener = None,
            },
        }
    }
}

async fn transfer(mut client: TcpStream, server: String, mut mode: watch::Receiver<Mode>) {
    if *mode.borrow() == Mode::Works {
        let mut server = TcpStream::connect(server).await.unwrap();
        tokio::select! {
            _ = tokio::io::copy_bidirectional(&mut client, &mut server) => return,
            _ = mode.wait_for(|mode| *mode != Mode::Works) => {}
        }
    }
    mode.wait_for(|mode| *mode != Mode::Hangs).await.ok();
}

/// The URL of the test server.
fn postgres() -> Option<String> {
    testing::kinds().into_iter().find_map(|kind| match kind {
        Kind::Postgres(url) => Some(url),
        Kind::Sqlite => None,
    })
}

/// A database behind a proxy, with the default sizes of pools.
async fn behind_proxy() -> Option<(testing::TestDb, Proxy)> {
    let url = postgres()?;
    let (scheme, rest) = url.split_once("://").unwrap();
    let (authority, database) = rest.split_once('/').unwrap();
    let (account, server) = authority.split_once('@').unwrap_or(("", authority));
    let proxy = Proxy::start(server.to_owned()).await;
    let at = if account.is_empty() { "" } else { "@" };
    let url = format!("{scheme}://{account}{at}{}/{database}", proxy.address);
    let defaults = db::Options::new(url.clone(), "outage");
    let kind = Kind::Postgres(url);
    let db = kind.create_with(&MIGRATIONS, |options| {
        options.acquire_timeout = defaults.acquire_timeout;
        options.read_connections = defaults.read_connections;
        options.write_connections = defaults.write_connections;
    });
    Some((db.await, proxy))
}

async fn read(db: &Db) -> db::Result<i64> {
    db.query("SELECT count(*) FROM things").fetch_scalar().await
}

async fn write(db: &Db) -> db::Result<()> {
    let tx = db.begin().await?;
    tx.commit().await
}

/// Asserts that reads and writes fail within the time, however many there are.
async fn fails_within(db: &Db, limit: Duration) {
    for _ in 0..3 {
        let started = Instant::now();
        let calls = (0..20).map(|n| async move {
            if n % 2 == 0 { read(db).await.map(drop) } else { write(db).await }
        });
        for result in join_all(calls).await {
            assert!(matches!(result, Err(Error::Unavailable(_))), "{result:?}");
        }
        assert!(started.elapsed() < limit, "{:?}", started.elapsed());
    }
    assert!(db.health().await.is_err());
}

async fn recovers(db: &Db) {
    let started = Instant::now();
    eventually("the database is available", || async {
        read(db).await.is_ok() && write(db).await.is_ok()
    })
    .await;
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopped_server_is_reported_at_once() {
    let Some((db, proxy)) = behind_proxy().await else { return };
    read(&db).await.unwrap();
    proxy.set(Mode::Stopped);
    fails_within(&db, Duration::from_secs(2)).await;
    proxy.set(Mode::Works);
    recovers(&db).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hanging_server_is_reported_soon() {
    let Some((db, proxy)) = behind_proxy().await else { return };
    // Connections that were open could not tell a hanging server from a slow statement.
    let fresh = db.reopen().await;
    proxy.set(Mode::Hangs);
    let started = Instant::now();
    assert!(matches!(read(&fresh).await, Err(Error::Unavailable(_))));
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
    proxy.set(Mode::Works);
    recovers(&fresh).await;
}

/// Waiting for a busy pool is not an outage.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn busy_pool_is_waited_for() {
    let Some((db, proxy)) = behind_proxy().await else { return };
    let mut held = Vec::new();
    for _ in 0..db.options().write_connections {
        held.push(db.begin().await.unwrap());
    }
    let waiting = write(&db);
    let before = proxy.accepted.load(Ordering::SeqCst);
    let release = async {
        let checked = || async { proxy.accepted.load(Ordering::SeqCst) > before };
        eventually("the server is checked", checked).await;
        drop(held);
    };
    let (waited, ()) = tokio::join!(waiting, release);
    waited.unwrap();
}

/// Ten processes with one service each must fit into 60 connections: 5 here, and one for notifications.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn process_has_few_connections() {
    let Some(postgres) = postgres() else { return };
    let defaults = db::Options::new("postgres://", "connections");
    let migrations = db::Migrations { service: "connections", ..MIGRATIONS };
    let kind = Kind::Postgres(postgres);
    let create = kind.create_with(&migrations, |options| {
        options.read_connections = defaults.read_connections;
        options.write_connections = defaults.write_connections;
    });
    let test = create.await;
    let db = test.db();
    let calls = (0..200).map(|n| {
        let db = &db;
        async move { if n % 2 == 0 { read(db).await.map(drop) } else { write(db).await } }
    });
    join_all(calls).await.into_iter().collect::<db::Result<Vec<()>>>().unwrap();
    const COUNT: &str =
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'agon-connections'";
    let count: i64 = db.query(COUNT).fetch_scalar().await.unwrap();
    assert!(count <= 5, "{count} connections");
}
