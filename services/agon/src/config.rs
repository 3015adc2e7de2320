//! The configuration. The defaults suit a single machine.

mod durations;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use rpc::Trusted;
use runtime::config::{Loaded, Sources};
use runtime::logs::Format;
use serde::{Deserialize, Serialize};

use crate::cli::arguments::Settings;
use crate::failure::Failure;
use crate::server::roles::{Role, Roles};
use crate::services::Sections;

/// The whole configuration. `agon config` prints it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Config {
    /// Roles of this process: `auth`, `problem`, `challenge`, `judge` (the queue), `worker` (runs
    /// programs), `gateway` (REST).
    pub roles: Roles,
    /// Directory of databases, keys and test data. One process uses it at a time.
    pub data: PathBuf,
    /// 64 hexadecimal digits from which page-token keys and other keys are derived. Generated in the
    /// data directory by default. All processes of an installation need the same value.
    pub root_secret: Option<String>,
    /// File with the root secret; an alternative to `root_secret`.
    pub root_secret_file: Option<PathBuf>,
    /// Directory of the service accounts' private keys, `NAME.pem`; default: `keys` in the data
    /// directory. A missing key is derived from the configured root secret.
    pub keys: Option<PathBuf>,
    /// Addresses of the roles that other processes run.
    pub peers: Peers,
    /// The gRPC listener: all services, health, reflection.
    pub grpc: Grpc,
    /// The REST listener.
    pub rest: Rest,
    /// The admin listener: `/livez`, `/readyz`, `/metrics`, `/version`.
    pub admin: Admin,
    /// The services' databases.
    pub database: Database,
    /// The transport of events between services.
    pub events: bus::KafkaConfig,
    /// Live messages, counters and rate limits. Their loss is tolerated.
    pub cache: CacheConfig,
    /// Calls per minute and user, by class of call.
    pub limits: access::Limits,
    /// One section per service.
    #[serde(flatten)]
    pub services: Sections,
    /// The REST edge.
    pub gateway: gateway::Config,
    /// Logs.
    pub log: Log,
    /// Traces.
    pub telemetry: runtime::telemetry::Config,
    /// The sample problems that come with the program.
    pub samples: Samples,
    /// Shutdown.
    pub shutdown: ShutdownConfig,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Grpc {
    /// The address to listen on.
    pub listen: SocketAddr,
    /// Maximum number of concurrent unary calls; further calls fail with UNAVAILABLE.
    pub in_flight: usize,
    /// Maximum number of open streams; further ones fail with UNAVAILABLE.
    pub streams: usize,
    /// Maximum number of open connections of an address; further ones are closed. Loopback and
    /// `auth.trusted_networks` have no limit, and processes without the gateway role, whose clients are other
    /// processes, apply none.
    pub connections_per_address: usize,
    /// Deadline of unary calls that set none, in seconds.
    pub deadline_seconds: u64,
    /// Maximum deadline of unary calls, in seconds.
    pub max_deadline_seconds: u64,
    /// A certificate and its key enable TLS. A CA additionally requires client certificates of that CA.
    pub tls: rpc::Tls,
}

const SERVICE: &str = "{service}";

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Peers {
    /// Addresses of each service that other processes run: `http://host:port` or `https://host:port`. A host name with
    /// several addresses stands for as many processes.
    #[serde(flatten)]
    pub addresses: BTreeMap<String, Vec<String>>,
    /// The address of services without addresses of their own; `{service}` stands for the name of the service.
    pub address: String,
    /// For https: the trusted CA, and the certificate of this process.
    pub tls: rpc::Tls,
    /// Retries, and the circuit breaker of each process.
    pub resilience: rpc::Resilience,
}

impl Default for Peers {
    fn default() -> Self {
        let addresses = Role::services().map(|role| (role.name().to_owned(), Vec::new()));
        let (tls, resilience) = (rpc::Tls::default(), rpc::Resilience::default());
        Self { addresses: addresses.collect(), address: String::new(), tls, resilience }
    }
}

impl Peers {
    /// The processes of a service; `None` if no address is configured.
    pub fn of(&self, role: Role) -> Option<rpc::Peer> {
        let own = self.addresses.get(role.name()).filter(|urls| !urls.is_empty()).cloned();
        let common = || vec![self.address.replace(SERVICE, role.name())];
        let urls = own.or_else(|| (!self.address.is_empty()).then(common))?;
        Some(rpc::Peer { urls, tls: self.tls.clone(), resilience: self.resilience.clone() })
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Rest {
    /// The address to listen on.
    pub listen: SocketAddr,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Admin {
    /// The address to listen on. Shows no secrets, but keep it private.
    pub listen: SocketAddr,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Database {
    /// `sqlite:` uses one file per service in the data directory; `postgres://…` one schema per service.
    pub url: String,
    /// Read connections per service. 0: 4 on SQLite, 2 on PostgreSQL.
    pub read_connections: u32,
    /// Write connections per service (PostgreSQL; SQLite has one writer). With Kafka each service has one connection
    /// more, for notifications: so a process has at most 6 per service by default.
    pub write_connections: u32,
    /// Prefix of schema names (PostgreSQL), for several installations in one database.
    pub schema_prefix: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CacheConfig {
    /// `memory:` (this process only), `redis://host:port`, or `rediss://…` for TLS.
    pub url: String,
    /// Prefix of keys and channels, for several installations on one server.
    pub prefix: String,
}

/// Logs. They go to standard error.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Log {
    /// `auto` (pretty on a terminal, JSON otherwise), `pretty` or `json`.
    pub format: Format,
    /// A level, and exceptions by target (`info,rpc=debug`).
    pub filter: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Samples {
    /// Import them at first start.
    pub import: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ShutdownConfig {
    /// Time that running calls and tasks get to finish, in seconds.
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
                streams: 8192,
                connections_per_address: 256,
                deadline_seconds: 30,
                max_deadline_seconds: 60,
                tls: rpc::Tls::default(),
            },
            rest: Rest { listen: local(8080) },
            admin: Admin { listen: local(9464) },
            database: Database {
                url: "sqlite:".into(),
                read_connections: 0,
                write_connections: 3,
                schema_prefix: String::new(),
            },
            events: bus::KafkaConfig::default(),
            cache: CacheConfig { url: "memory:".into(), prefix: "agon".into() },
            limits: access::Limits::default(),
            services: Sections::default(),
            gateway: gateway::Config::default(),
            log: Log {
                format: Format::Auto,
                filter: "info,html5ever=error,sqlx::postgres::notice=warn".into(),
            },
            telemetry: runtime::telemetry::Config::default(),
            samples: Samples { import: true },
            shutdown: ShutdownConfig { grace_seconds: 10 },
        }
    }
}

/// Environment variables that are not settings.
const OTHER_VARIABLES: [&str; 5] =
    ["AGON_CA", "AGON_CONFIG", "AGON_HOME", "AGON_SERVER", "AGON_PASSWORD"];

/// Loads the configuration from defaults, file, environment and flags.
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
            Failure::usage(format!(
                "--set {pair}: must have the form KEY=VALUE, such as log.filter=debug"
            ))
        })?;
        flags.push((format!("--set {key}"), key.to_owned(), value.to_owned()));
    }
    Ok(flags)
}

impl Config {
    /// The database URL of a service.
    pub fn database_url(&self, data: &Path, service: &str) -> String {
        match self.database.url.as_str() {
            "sqlite:" => format!("sqlite:{}", data.join(format!("{service}.db")).display()),
            url => url.to_owned(),
        }
    }

    /// Whether the databases are files in the data directory.
    pub fn uses_sqlite(&self) -> bool {
        self.database.url == "sqlite:"
    }

    /// Checks the values that their types do not check.
    pub fn check(&self) -> Result<(), Failure> {
        let url = &self.database.url;
        let known =
            url == "sqlite:" || url.starts_with("postgres://") || url.starts_with("postgresql://");
        if !known {
            return Err(Failure::config(
                "database.url: must be `sqlite:` (files in the data directory) or postgres://…",
            ));
        }
        let counts = [
            ("grpc.in_flight", self.grpc.in_flight as u64),
            ("grpc.streams", self.grpc.streams as u64),
            ("grpc.connections_per_address", self.grpc.connections_per_address as u64),
            ("database.write_connections", self.database.write_connections.into()),
        ];
        if let Some((key, _)) = counts.iter().find(|(_, count)| *count == 0) {
            return Err(Failure::config(format!("{key}: must be at least 1")));
        }
        let tree = serde_json::to_value(self).expect("configurations are serializable");
        durations::check(&tree).map_err(Failure::config)?;
        let telemetry = self.telemetry.check();
        telemetry.map_err(|error| Failure::config(format!("telemetry.{error}")))?;
        let events = self.events.check();
        events.map_err(|error| Failure::config(format!("events.{error}")))?;
        let address = &self.peers.address;
        if !address.is_empty() && !address.contains(SERVICE) {
            let text = format!("peers.address: must contain {SERVICE}, got {address:?}");
            return Err(Failure::config(text));
        }
        self.check_roles()?;
        if self.events.is_kafka() && url == "sqlite:" {
            return Err(Failure::config(
                "events.url: Kafka requires PostgreSQL; use `embedded:`, or set --database postgres://…",
            ));
        }
        Ok(())
    }

    /// The addresses that share no limit of connections and streams.
    pub fn trusted(&self) -> Trusted {
        let auth = self.services.auth.clone();
        Trusted::new(move |address| auth.trusts(address))
    }

    /// Services in several processes need shared engines and a shared root secret.
    fn check_roles(&self) -> Result<(), Failure> {
        let roles = &self.roles;
        if roles.is_empty() {
            let names = Role::all().map(Role::name).collect::<Vec<_>>().join(", ");
            return Err(Failure::config(format!("roles: must contain at least one of {names}")));
        }
        if self.root_secret.is_some() && self.root_secret_file.is_some() {
            return Err(Failure::config(
                "root_secret_file: must not be set together with root_secret",
            ));
        }
        if !roles.has_services() || roles.has_all_services() {
            return Ok(());
        }
        let why = "because other services run in other processes (see roles)";
        let problem = if self.database.url == "sqlite:" {
            "database.url: must be postgres://…"
        } else if !self.events.is_kafka() {
            "events.url: must be kafka://host:port"
        } else if self.cache.url == "memory:" {
            "cache.url: must be redis://host:port"
        } else if self.root_secret.is_none() && self.root_secret_file.is_none() {
            "root_secret: all processes must set the same root_secret or root_secret_file"
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
    fn services_in_several_processes_need_shared_engines() {
        let mut config = Config { roles: Roles::of(&["gateway"]), ..Config::default() };
        config.check().unwrap();
        config.roles = Roles::of(&[]);
        assert!(config.check().unwrap_err().to_string().starts_with("roles: must"));
        config.roles = Roles::of(&["auth", "judge"]);
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
    fn services_without_own_addresses_have_the_common_one() {
        let mut config = Config::default();
        let urls = |config: &Config| config.peers.of(Role::AUTH).map(|peer| peer.urls);
        assert_eq!(urls(&config), None);
        config.peers.address = "http://{service}:50051".into();
        config.check().unwrap();
        assert_eq!(urls(&config).unwrap(), ["http://auth:50051"]);
        config.peers.addresses.insert("auth".into(), vec!["http://other:1".into()]);
        assert_eq!(urls(&config).unwrap(), ["http://other:1"]);
        config.peers.address = "http://auth:50051".into();
        assert!(config.check().unwrap_err().to_string().starts_with("peers.address: "));
    }

    #[test]
    fn database_url_depends_on_the_engine() {
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
