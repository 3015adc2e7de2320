//! Resources shared by the roles of a process, and the channels to other processes.

use std::collections::BTreeMap;
use std::sync::Arc;

use access::{Authorised, Credentials, Verifier};
use bus::Bus;
use cache::Cache;
use ids::Clock;
use rpc::{Channel, Local, Methods, PageKey, RootSecret, Routes};
use runtime::Tasks;
use service::{Context, Descriptor};

use crate::config::Config;
use crate::data_dir::DataDir;
use crate::failure::Failure;
use crate::server::databases::Databases;
use crate::server::roles::Role;
use crate::server::topics::produced;
use crate::server::{keys, secrets};
use crate::services;

pub struct Base {
    pub config: Config,
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

    pub fn runs(&self, role: Role) -> bool {
        self.config.roles.contains(role)
    }

    /// The root secret, from which other secrets are derived.
    pub fn secret(&self) -> Result<RootSecret, Failure> {
        secrets::root(&self.config, &self.data)
    }

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
        for role in Role::services() {
            routes.push((role.package(), self.channel(role)?));
        }
        Ok(Routes::new(routes).into())
    }

    /// The credential of a role's service account.
    pub fn credentials(&self, account: Role) -> Result<Credentials, Failure> {
        let key = keys::load_or_create(&self.config, account.name())?;
        Ok(Credentials::new(account.name(), key, self.channel(Role::AUTH)?, self.clock.clone()))
    }

    /// The channel from a role to a service, with the credential of the role.
    pub fn peer(&self, role: Role, service: &str) -> Result<Authorised, Failure> {
        let unknown = || Failure::new(format!("there is no service {service}"));
        let to = Role::named(service).ok_or_else(unknown)?;
        Ok(self.credentials(role)?.channel(self.channel(to)?))
    }

    /// What a service of this process is opened with.
    pub fn context(&self, service: &Descriptor) -> Result<Context, Failure> {
        let peer = |name: &&'static str| Ok((*name, self.peer(Role::of(service), name)?));
        let peers = service.calls.iter().map(peer).collect::<Result<Vec<_>, Failure>>()?;
        Ok(Context {
            db: self.databases.of(service.name),
            cache: self.cache.clone(),
            clock: self.clock.clone(),
            page_key: self.page_key()?,
            root_secret: self.secret()?,
            peers: service::Peers::new(peers),
            data_dir: self.data.path().to_owned(),
            shutdown: self.tasks.shutdown().clone(),
        })
    }

    /// Verifies tokens through auth in another process, with the credential of a role of this process.
    pub fn verifier(&self) -> Result<Verifier, Failure> {
        let account = self.config.roles.iter().find(|role| *role != Role::AUTH);
        let credentials = self.credentials(account.unwrap_or(Role::GATEWAY))?;
        Ok(Verifier::remote(self.clock.clone(), self.channel(Role::AUTH)?, &credentials))
    }

    /// The event bus: Kafka, or the event logs in the databases of this process.
    pub fn bus(&self) -> Result<Bus, Failure> {
        let bus = if self.config.events.is_kafka() {
            Bus::kafka(self.config.events.clone(), &produced())
        } else {
            let logs = services::ALL.iter().filter_map(|service| {
                self.databases.find(service.name).map(|db| (service.publishes, db))
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
    let remote = Role::services().filter(|role| !config.roles.contains(*role));
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
