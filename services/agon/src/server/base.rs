//! What the roles of a process share, and the ways to those of other processes.

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

/// What every role is given.
pub struct Base {
    /// The configuration.
    pub config: Config,
    /// The data directory, locked.
    pub data: Arc<DataDir>,
    /// The databases of the services in this process, up to date.
    pub databases: Databases,
    /// Time and ids.
    pub clock: Clock,
    /// Live messages and counters.
    pub cache: Cache,
    /// This process's own services.
    pub local: Local,
    /// Background work.
    pub tasks: Tasks,
    /// The roles of other processes.
    remote: BTreeMap<Role, Channel>,
}

impl Base {
    /// Opens what the roles share.
    pub async fn open(config: &Config, data: DataDir, tasks: Tasks) -> Result<Self, Failure> {
        let clock = Clock::system();
        let databases = Databases::open(config, data.path(), &clock).await?;
        databases.migrate().await?;
        databases.refuse_half().await?;
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

    /// Whether this process plays a role.
    pub fn plays(&self, role: Role) -> bool {
        self.config.roles.play(role)
    }

    /// What other secrets are derived from.
    pub fn secret(&self) -> Result<RootSecret, Failure> {
        secrets::root(&self.config, &self.data)
    }

    /// For page tokens.
    pub fn page_key(&self) -> Result<PageKey, Failure> {
        Ok(PageKey::new(&self.secret()?))
    }

    /// The way to a role, in this process or another.
    pub fn to(&self, role: Role) -> Result<Channel, Failure> {
        if self.plays(role) {
            return Ok(self.local.clone().into());
        }
        self.remote.get(&role).cloned().ok_or_else(|| {
            Failure::config(format!(
                "peers.{role}: give at least one http://host:port, as this process does not play that role"
            ))
        })
    }

    /// The way to every service, whoever plays it.
    pub fn to_all(&self) -> Result<Channel, Failure> {
        let mut routes = vec![("agon.event.v1".to_owned(), self.local.clone().into())];
        for role in Role::SERVICES {
            routes.push((role.package(), self.to(role)?));
        }
        Ok(Routes::new(routes).into())
    }

    /// The credential of a role's service account.
    pub fn credentials(&self, account: Role) -> Result<Credentials, Failure> {
        let key = keys::load_or_make(&self.config, account.name())?;
        Ok(Credentials::new(account.name(), key, self.to(Role::Auth)?, self.clock.clone()))
    }

    /// The way from one role to another, with the credential of the first.
    pub fn between(&self, from: Role, to: Role) -> Result<Authorised, Failure> {
        Ok(self.credentials(from)?.channel(self.to(to)?))
    }

    /// What tells good tokens from bad ones, where auth is in another process: with the credential of a role of this
    /// one.
    pub fn verifier(&self) -> Result<Verifier, Failure> {
        let account = self.config.roles.iter().find(|role| *role != Role::Auth);
        let credentials = self.credentials(account.unwrap_or(Role::Gateway))?;
        Ok(Verifier::remote(self.clock.clone(), self.to(Role::Auth)?, &credentials))
    }

    /// The events of all services: from Kafka, or from the databases of this process.
    pub fn bus(&self) -> Result<Bus, Failure> {
        let bus = if self.config.events.is_kafka() {
            Bus::kafka(self.config.events.clone(), &produced().map(|(_, topics)| topics))
        } else {
            let here = produced().into_iter().filter_map(|(service, topics)| {
                self.databases.find(service).map(|db| (topics, db))
            });
            Bus::embedded(here.collect())
        };
        bus.map_err(|error| Failure::new(format!("events: {error}")))
    }
}

fn cache(config: &Config, clock: &Clock) -> Result<Cache, Failure> {
    let opened = Cache::open(&config.cache.url, &config.cache.prefix, clock.clone());
    opened.map_err(|error| Failure::config(format!("cache.url: {error}")))
}

/// One channel for each role that is configured to be elsewhere.
fn remote(config: &Config) -> Result<BTreeMap<Role, Channel>, Failure> {
    let methods = Methods::new(&[proto::DESCRIPTOR_SET]);
    let elsewhere = Role::SERVICES.into_iter().filter(|role| !config.roles.play(*role));
    let peers = elsewhere.filter_map(|role| Some((role, config.peers.of(role)?)));
    peers
        .map(|(role, peer)| {
            let channel = Channel::connect_all(role.name(), &peer, &methods);
            let channel =
                channel.map_err(|error| Failure::config(format!("peers.{role}: {error}")))?;
            Ok((role, channel))
        })
        .collect()
}
