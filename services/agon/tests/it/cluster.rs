//! A distributed installation: two processes per role.

use std::path::{Path, PathBuf};

use db::testing::Kind;
use ids::Clock;

use crate::world::{Server, World};

const EACH: usize = 2;
/// Below the range of ephemeral ports.
const FIRST_PORT: usize = 21_000;

pub fn services() -> impl Iterator<Item = &'static str> {
    agon::services::ALL.iter().map(|service| service.name)
}

/// The roles in start order.
pub fn roles() -> impl Iterator<Item = &'static str> {
    services().chain(["gateway", "worker"])
}

pub struct Member {
    pub role: &'static str,
    pub flags: Vec<String>,
    pub server: Server,
}

impl Member {
    /// Kills the process and starts a new one.
    pub fn crash_and_restart(&mut self) {
        self.server.kill();
        self.server = Server::start(&self.flags);
    }
}

/// The address, directory and flags of the processes of an installation.
pub struct Cluster {
    /// A loopback address that no other installation uses.
    address: String,
    dir: PathBuf,
    shared: Vec<String>,
    /// Flags of the test, for every process.
    extra: Vec<String>,
}

impl Cluster {
    /// Uses PostgreSQL; `shared` has the flags of the other engines.
    pub fn new(kind: &Kind, prefix: &str, dir: &Path, shared: &[String], extra: &[String]) -> Self {
        let Kind::Postgres(url) = kind else { panic!("distributed services require PostgreSQL") };
        let id = Clock::system().new_id().as_u128();
        let part = |shift: u32| (id >> shift) as u8 % 250 + 1;
        let address = format!("127.{}.{}.{}", part(0), part(8), part(16));
        let mut all = vec!["--database".to_owned(), url.clone()];
        let settings =
            [format!("database.schema_prefix={prefix}"), format!("root_secret={}", secret())];
        all.extend(settings.into_iter().flat_map(|setting| ["--set".into(), setting]));
        all.extend(shared.iter().cloned());
        Self { address, dir: dir.into(), shared: all, extra: extra.into() }
    }

    pub fn start(&self) -> Vec<Member> {
        let each = |role: &'static str| (1..=EACH).map(move |number| (role, number));
        let starting: Vec<_> = roles()
            .flat_map(each)
            .map(|(role, number)| {
                let flags = self.flags(role, number);
                (role, Server::spawn(&flags, |_| {}), flags)
            })
            .collect();
        let started = starting.into_iter().map(|(role, starting, flags)| Member {
            role,
            flags,
            server: starting.wait(),
        });
        started.collect()
    }

    pub fn member(&self, role: &'static str, number: usize) -> Member {
        let flags = self.flags(role, number);
        Member { role, server: Server::start(&flags), flags }
    }

    fn flags(&self, role: &str, number: usize) -> Vec<String> {
        let at = |what: usize| format!("{}:{}", self.address, port(role, number) + what);
        let mut flags: Vec<String> = vec!["--roles".into(), role.into()];
        for (what, flag) in ["--grpc", "--rest", "--admin"].iter().enumerate() {
            flags.extend([(*flag).to_owned(), at(what)]);
        }
        let data = self.dir.join(format!("{role}-{number}")).display().to_string();
        flags.extend(["--data".into(), data]);
        for peer in services() {
            let url = |number| format!("http://{}:{}", self.address, port(peer, number));
            let urls: Vec<_> = (1..=EACH).map(url).collect();
            flags.extend(["--set".into(), format!("peers.{peer}={}", urls.join(","))]);
        }
        match role {
            // Workers get their key only, not the root secret.
            "worker" => {
                let keys = self.keys();
                flags.extend(["--set".into(), format!("keys={}", keys.display())]);
            }
            _ => flags.extend(self.shared.iter().cloned()),
        }
        flags.extend(self.extra.iter().cloned());
        flags
    }

    fn keys(&self) -> PathBuf {
        let keys = self.dir.join("keys");
        if !keys.exists() {
            std::fs::create_dir_all(&keys).unwrap();
            let setting = format!("root_secret={}", secret());
            let key = World::run(&["keys", "export", "worker", "--set", &setting]);
            std::fs::write(keys.join("worker.pem"), key).unwrap();
        }
        keys
    }
}

/// The root secret of distributed installations.
pub fn secret() -> String {
    "5e".repeat(32)
}

fn port(role: &str, number: usize) -> usize {
    let at = roles().position(|known| known == role).unwrap();
    FIRST_PORT + 100 * at + 10 * number
}
