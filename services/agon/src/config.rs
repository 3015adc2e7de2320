//! What can be configured, with the defaults of a laptop.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use runtime::config::{Loaded, Sources};
use runtime::logs::Format;
use serde::{Deserialize, Serialize};

use crate::cli::arguments::Settings;
use crate::failure::Failure;
use crate::server::roles::{Role, Roles};

/// The whole configuration. `agon config` prints it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Config {
    /// Which roles this process plays: `auth`, `problem`, `challenge`, `judge` (the queue), `worker`
    /// (runs programs), `gateway` (REST).
    pub roles: Roles,
    /// Directory of databases, keys and test data. One process uses it at a time.
    pub data: PathBuf,
    /// 64 hexadecimal digits from which page tokens and other keys are derived; made in the data
    /// directory when absent. Processes of one installation need the same.
    pub root_secret: Option<String>,
    /// A file that holds the root secret, instead of `root_secret`.
    pub root_secret_file: Option<PathBuf>,
    /// Directory of the service accounts' private keys, `NAME.pem`; `keys` in the data directory when
    /// absent. A key that is not there is derived from the root secret, where one is configured.
    pub keys: Option<PathBuf>,
    /// Where the roles are that other processes play.
    pub peers: Peers,
    /// gRPC: all services, health, reflection.
    pub grpc: Grpc,
    /// REST.
    pub rest: Rest,
    /// `/livez`, `/readyz`, `/metrics`, `/version`.
    pub admin: Admin,
    /// Where the services keep their data.
    pub database: Database,
    /// How events travel between services.
    pub events: bus::KafkaConfig,
    /// What may be lost: live messages, counters, rate limits.
    pub cache: CacheConfig,
    /// Calls a minute of one user, by class of call.
    pub limits: access::Limits,
    /// Accounts and sessions.
    pub auth: auth::Config,
    /// Problems and their packages.
    pub problem: problem::Config,
    /// Judging.
    pub judge: judge::Config,
    /// Submissions.
    pub challenge: challenge::Config,
    /// The REST edge.
    pub gateway: gateway::Config,
    /// Logs.
    pub log: Log,
    /// Traces.
    pub telemetry: runtime::telemetry::Config,
    /// The sample problems that come with the program.
    pub samples: Samples,
    /// Stopping.
    pub shutdown: Stopping,
}

/// The gRPC listener.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Grpc {
    /// Its address.
    pub listen: SocketAddr,
    /// Calls worked on at once; one more is answered UNAVAILABLE.
    pub in_flight: usize,
    /// Deadline of a call that brings none, in seconds.
    pub deadline_seconds: u64,
    /// With a certificate and its key the listener speaks TLS; with a CA as well it turns away clients
    /// without a certificate of that CA.
    pub tls: rpc::Tls,
}

/// The other processes of the installation.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Peers {
    /// Addresses of the role: `http://host:port`, or `https://host:port`. A name with several addresses
    /// stands for as many processes.
    pub auth: Vec<String>,
    /// The same of `problem`.
    pub problem: Vec<String>,
    /// The same of `challenge`.
    pub challenge: Vec<String>,
    /// The same of `judge`.
    pub judge: Vec<String>,
    /// For https: whom to trust, and who this process is.
    pub tls: rpc::Tls,
    /// What is done when a process does not answer.
    pub resilience: rpc::Resilience,
}

impl Peers {
    /// Where a role is, if anywhere.
    pub fn of(&self, role: Role) -> Option<rpc::Peer> {
        let urls = match role {
            Role::Auth => &self.auth,
            Role::Problem => &self.problem,
            Role::Challenge => &self.challenge,
            Role::Judge => &self.judge,
            Role::Worker | Role::Gateway => return None,
        };
        let (tls, resilience) = (self.tls.clone(), self.resilience.clone());
        (!urls.is_empty()).then(|| rpc::Peer { urls: urls.clone(), tls, resilience })
    }
}

/// The REST listener.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Rest {
    /// Its address.
    pub listen: SocketAddr,
}

/// The admin listener.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Admin {
    /// Its address. It shows no secrets, but is not meant for the public.
    pub listen: SocketAddr,
}

/// The databases.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Database {
    /// `sqlite:` keeps one file per service in the data directory; `postgres://…` one schema per
    /// service in that database.
    pub url: String,
    /// Connections for reading, per service.
    pub read_connections: u32,
    /// Connections for writing, per service (PostgreSQL; SQLite has one writer).
    pub write_connections: u32,
    /// What the schemas' names begin with (PostgreSQL), for several installations in one database.
    pub schema_prefix: String,
}

/// The cache.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CacheConfig {
    /// `memory:` (of this process) or `redis://host:port`, `rediss://…` with TLS.
    pub url: String,
    /// What the names of keys and channels begin with, for several installations on one server.
    pub prefix: String,
}

/// Logs, which go to standard error.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Log {
    /// `auto` (pretty on a terminal, JSON otherwise), `pretty` or `json`.
    pub format: Format,
    /// What is logged: a level, and exceptions by target (`info,rpc=debug`).
    pub filter: String,
}

/// Sample problems.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Samples {
    /// Import them at the first start.
    pub import: bool,
}

/// Stopping.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Stopping {
    /// How long running calls and tasks may take to finish, in seconds.
    pub grace_seconds: u64,
}

impl Default for Config {
    fn default() -> Self {
        let local = |port| SocketAddr::from(([127, 0, 0, 1], port));
        Self {
            roles: Roles::default(),
            data: "data".into(),
            root_secret: None,
            root_secret_file: None,
            keys: None,
            peers: Peers::default(),
            grpc: Grpc {
                listen: local(50051),
                in_flight: 1024,
                deadline_seconds: 30,
                tls: rpc::Tls::default(),
            },
            rest: Rest { listen: local(8080) },
            admin: Admin { listen: local(9464) },
            database: Database {
                url: "sqlite:".into(),
                read_connections: 4,
                write_connections: 8,
                schema_prefix: String::new(),
            },
            events: bus::KafkaConfig::default(),
            cache: CacheConfig { url: "memory:".into(), prefix: "agon".into() },
            limits: access::Limits::default(),
            auth: auth::Config::default(),
            problem: problem::Config::default(),
            judge: judge::Config::default(),
            challenge: challenge::Config::default(),
            gateway: gateway::Config::default(),
            log: Log {
                format: Format::Auto,
                filter: "info,html5ever=error,sqlx::postgres::notice=warn".into(),
            },
            telemetry: runtime::telemetry::Config::default(),
            samples: Samples { import: true },
            shutdown: Stopping { grace_seconds: 10 },
        }
    }
}

/// Variables that commands and tests read, and that are no settings.
const OTHER_VARIABLES: [&str; 4] = ["AGON_CONFIG", "AGON_HOME", "AGON_SERVER", "AGON_PASSWORD"];

/// Loads the configuration that `settings` and the environment ask for.
pub fn load(settings: &Settings) -> Result<Loaded<Config>, Failure> {
    let env = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| {
            !OTHER_VARIABLES.contains(&name.as_str()) && !name.starts_with("AGON_TEST_")
        });
    let sources = Sources {
        file: settings.config.clone(),
        default_file: Some("agon.toml".into()),
        env: env.collect(),
        flags: flags(settings)?,
    };
    Ok(runtime::config::load(&sources)?)
}

fn flags(settings: &Settings) -> Result<Vec<(String, String, String)>, Failure> {
    let named = [
        ("--roles", "roles", &settings.roles),
        ("--data", "data", &settings.data),
        ("--grpc", "grpc.listen", &settings.grpc),
        ("--rest", "rest.listen", &settings.rest),
        ("--admin", "admin.listen", &settings.admin),
        ("--database", "database.url", &settings.database),
        ("--events", "events.url", &settings.events),
        ("--cache", "cache.url", &settings.cache),
        ("--log-format", "log.format", &settings.log_format),
        ("--log", "log.filter", &settings.log),
    ];
    let mut flags = Vec::new();
    for (flag, key, value) in named {
        if let Some(value) = value {
            flags.push((flag.to_owned(), key.to_owned(), value.clone()));
        }
    }
    for pair in &settings.set {
        let (key, value) = pair.split_once('=').ok_or_else(|| {
            Failure::usage(format!("--set {pair}: give KEY=VALUE, such as log.filter=debug"))
        })?;
        flags.push((format!("--set {key}"), key.to_owned(), value.to_owned()));
    }
    Ok(flags)
}

impl Config {
    /// Where a service's database is.
    pub fn database_url(&self, data: &Path, service: &str) -> String {
        match self.database.url.as_str() {
            "sqlite:" => format!("sqlite:{}", data.join(format!("{service}.db")).display()),
            url => url.to_owned(),
        }
    }

    /// Checks what no single value's type can.
    pub fn check(&self) -> Result<(), Failure> {
        let url = &self.database.url;
        let known =
            url == "sqlite:" || url.starts_with("postgres://") || url.starts_with("postgresql://");
        if !known {
            return Err(Failure::config(
                "database.url: give `sqlite:` (files in the data directory) or postgres://…",
            ));
        }
        let counts = [
            ("grpc.in_flight", self.grpc.in_flight as u64),
            ("grpc.deadline_seconds", self.grpc.deadline_seconds),
            ("database.read_connections", self.database.read_connections.into()),
            ("database.write_connections", self.database.write_connections.into()),
        ];
        if let Some((key, _)) = counts.iter().find(|(_, count)| *count == 0) {
            return Err(Failure::config(format!("{key}: give at least 1")));
        }
        let telemetry = self.telemetry.check();
        telemetry.map_err(|error| Failure::config(format!("telemetry.{error}")))?;
        let events = self.events.check();
        events.map_err(|error| Failure::config(format!("events.{error}")))?;
        self.check_roles()?;
        if self.events.is_kafka() && url == "sqlite:" {
            return Err(Failure::config(
                "events.url: events go to Kafka from PostgreSQL only; with SQLite leave it at `embedded:`, or give \
                 --database postgres://…",
            ));
        }
        Ok(())
    }

    /// Services in several processes need what several processes can share.
    fn check_roles(&self) -> Result<(), Failure> {
        let roles = &self.roles;
        if roles.is_empty() {
            let names = Role::ALL.map(Role::name).join(", ");
            return Err(Failure::config(format!("roles: give at least one of {names}")));
        }
        if self.root_secret.is_some() && self.root_secret_file.is_some() {
            return Err(Failure::config("root_secret_file: leave it out, or root_secret"));
        }
        if !roles.serve() || roles.are_whole() {
            return Ok(());
        }
        let why = "as other services run in other processes (see roles)";
        let problem = if self.database.url == "sqlite:" {
            "database.url: give postgres://…"
        } else if !self.events.is_kafka() {
            "events.url: give kafka://host:port"
        } else if self.cache.url == "memory:" {
            "cache.url: give redis://host:port"
        } else if self.root_secret.is_none() && self.root_secret_file.is_none() {
            "root_secret: give all processes the same, in root_secret or root_secret_file"
        } else {
            return Ok(());
        };
        Err(Failure::config(format!("{problem}, {why}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_become_settings() {
        let settings = Settings {
            data: Some("elsewhere".into()),
            set: vec!["log.filter=debug".into()],
            ..Settings::default()
        };
        let loaded = load(&settings).unwrap();
        assert_eq!(loaded.value.data, Path::new("elsewhere"));
        assert_eq!(loaded.value.log.filter, "debug");
        assert_eq!(loaded.source("log.filter").unwrap().to_string(), "--set log.filter");
        let bad = Settings { set: vec!["x".into()], ..Settings::default() };
        assert!(load(&bad).is_err());
    }

    #[test]
    fn roles_apart_need_what_can_be_shared() {
        let mut config = Config { roles: Roles::of(&[Role::Gateway]), ..Config::default() };
        config.check().unwrap();
        config.roles = Roles::of(&[]);
        assert!(config.check().unwrap_err().to_string().starts_with("roles: give"));
        config.roles = Roles::of(&[Role::Auth, Role::Judge]);
        let missing = |config: &Config| config.check().unwrap_err().to_string();
        assert!(missing(&config).starts_with("database.url"));
        config.database.url = "postgres://localhost/agon".into();
        assert!(missing(&config).starts_with("events.url"));
        config.events.url = "kafka://localhost:9092".into();
        assert!(missing(&config).starts_with("cache.url"));
        config.cache.url = "redis://localhost".into();
        assert!(missing(&config).starts_with("root_secret"));
        config.root_secret = Some("07".repeat(32));
        config.check().unwrap();
        config.root_secret_file = Some("file".into());
        assert!(missing(&config).starts_with("root_secret_file"));
    }

    #[test]
    fn databases_by_url() {
        let mut config = Config::default();
        config.check().unwrap();
        assert_eq!(config.database_url(Path::new("/d"), "auth"), "sqlite:/d/auth.db");
        config.database.url = "postgres://localhost/agon".into();
        config.check().unwrap();
        assert_eq!(config.database_url(Path::new("/d"), "auth"), "postgres://localhost/agon");
        config.telemetry.otlp = "localhost:4317".into();
        assert!(config.check().unwrap_err().to_string().contains("telemetry.otlp"));
        config.telemetry.otlp = "http://localhost:4317".into();
        config.events.url = "kafka://localhost:9092".into();
        config.check().unwrap();
        config.database.url = "sqlite:".into();
        assert!(config.check().unwrap_err().to_string().contains("events.url"));
        config.database.url = "mysql://localhost".into();
        assert!(config.check().is_err());
        config = Config::default();
        config.database.write_connections = 0;
        assert!(
            config.check().unwrap_err().to_string().starts_with("database.write_connections: ")
        );
    }
}
