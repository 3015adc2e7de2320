//! Resources shared by the roles of a process, and the channels to other processes.

use std::collections::BTreeMap;
use std::sync::Arc;

use access::{Authorised, Credentials, Verifier};
use bus::Bus;
use cache::Cache;
use ids::Clock;
use rpc::{Channel, Local, Methods, PageKey, RootSecret, Routes};
use runtime::Tasks;

use crate::config::Config;
use crate::data_dir::DataDir;
use crate::failure::Failure;
use crate::server::databases::Databases;
use crate::server::roles::Role;
use crate::server::topics::produced;
use crate::server::{keys, secrets};

/// Shared resources of all roles.
pub struct Base {
    pub config: Config,
    /// The locked data directory.
    pub data: Arc<DataDir>,
    /// The migrated databases of this process's services.
    pub databases: Databases,
    pub clock: Clock,
    pub cache: Cache,
    /// In-process calls to this process's services.
    pub local: Local,
    pub tasks: Tasks,
    /// Channels to the roles of other processes.
    remote: BTreeMap<Role, Channel>,
}

impl Base {
    /// Opens and migrates the databases and connects to the peers.
    pub async fn open(config: &Config, data: DataDir, tasks: Tasks) -> Result<Self, Failure> {
        let clock = Clock::system();
        let databases = Databases::open(config, data.path(), &clock).await?;
        databases.migrate().await?;
        databases.refuse_unfinished_promotion().await?;
        Ok(Self {
            cache: cache(config, &clock)?,
            local: Local::new(),
            remote: remote(config)?,
            config: config.clone(),
            data: Arc::new(data),
            databases,
            clock,
            tasks,
        })
    }

    /// Whether this process runs a role.
    pub fn runs(&self, role: Role) -> bool {
        self.config.roles.contains(role)
    }

    /// The root secret, from which other secrets are derived.
    pub fn secret(&self) -> Result<RootSecret, Failure> {
        secrets::root(&self.config, &self.data)
    }

    /// The key of page tokens.
    pub fn page_key(&self) -> Result<PageKey, Failure> {
        Ok(PageKey::new(&self.secret()?))
    }

    /// The channel to a role, in this process or another.
    pub fn channel(&self, role: Role) -> Result<Channel, Failure> {
        if self.runs(role) {
            return Ok(self.local.clone().into());
        }
        self.remote.get(&role).cloned().ok_or_else(|| {
            Failure::config(format!(
                "peers.{role}: must have at least one http://host:port, because this process does not run that role"
            ))
        })
    }

    /// One channel to all services, in this process or others.
    pub fn channel_to_all(&self) -> Result<Channel, Failure> {
        let mut routes = vec![("agon.event.v1".to_owned(), self.local.clone().into())];
        for role in Role::SERVICES {
            routes.push((role.package(), self.channel(role)?));
        }
        Ok(Routes::new(routes).into())
    }

    /// The credential of a role's service account.
    pub fn credentials(&self, account: Role) -> Result<Credentials, Failure> {
        let key = keys::load_or_create(&self.config, account.name())?;
        Ok(Credentials::new(account.name(), key, self.channel(Role::Auth)?, self.clock.clone()))
    }

    /// The channel from one role to another, with the credential of the first.
    pub fn between(&self, from: Role, to: Role) -> Result<Authorised, Failure> {
        Ok(self.credentials(from)?.channel(self.channel(to)?))
    }

    /// Verifies tokens through auth in another process, with the credential of a role of this process.
    pub fn verifier(&self) -> Result<Verifier, Failure> {
        let account = self.config.roles.iter().find(|role| *role != Role::Auth);
        let credentials = self.credentials(account.unwrap_or(Role::Gateway))?;
        Ok(Verifier::remote(self.clock.clone(), self.channel(Role::Auth)?, &credentials))
    }

    /// The event bus: Kafka, or the event logs in the databases of this process.
    pub fn bus(&self) -> Result<Bus, Failure> {
        let bus = if self.config.events.is_kafka() {
            Bus::kafka(self.config.events.clone(), &produced().map(|(_, topics)| topics))
        } else {
            let logs = produced().into_iter().filter_map(|(service, topics)| {
                self.databases.find(service).map(|db| (topics, db))
            });
            Bus::embedded(logs.collect())
        };
        bus.map_err(|error| Failure::new(format!("events: {error}")))
    }
}

fn cache(config: &Config, clock: &Clock) -> Result<Cache, Failure> {
    let opened = Cache::open(&config.cache.url, &config.cache.prefix, clock.clone());
    opened.map_err(|error| Failure::config(format!("cache.url: {error}")))
}

/// One channel for each configured role of another process.
fn remote(config: &Config) -> Result<BTreeMap<Role, Channel>, Failure> {
    let methods = Methods::new(&[proto::DESCRIPTOR_SET]);
    let remote = Role::SERVICES.into_iter().filter(|role| !config.roles.contains(*role));
    let peers = remote.filter_map(|role| Some((role, config.peers.of(role)?)));
    peers
        .map(|(role, peer)| {
            let channel = Channel::connect_all(role.name(), &peer, &methods);
            let channel =
                channel.map_err(|error| Failure::config(format!("peers.{role}: {error}")))?;
            Ok((role, channel))
        })
        .collect()
}
