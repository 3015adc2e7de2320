//! What a service is opened with.

use std::collections::BTreeMap;
use std::path::PathBuf;

use access::Authorised;
use cache::Cache;
use db::Db;
use ids::Clock;
use rpc::{PageKey, RootSecret};
use runtime::Shutdown;

use crate::OpenError;

/// The parts of the process that a service works with.
pub struct Context {
    /// Its own database, migrated.
    pub db: Db,
    /// Live messages, counters and rate limits. May lose any of them.
    pub cache: Cache,
    /// The source of time and ids.
    pub clock: Clock,
    /// Signs page tokens.
    pub page_key: PageKey,
    /// The installation's root secret, from which a service derives its keys.
    pub root_secret: RootSecret,
    /// Channels to the services that it calls.
    pub peers: Peers,
    pub data_dir: PathBuf,
    /// Begins when the process stops.
    pub shutdown: Shutdown,
}

/// Channels to other services. Calls carry the credential of this service.
#[derive(Clone, Default)]
pub struct Peers(BTreeMap<&'static str, Authorised>);

impl Peers {
    /// Channels by the name of the service they lead to.
    pub fn new(channels: impl IntoIterator<Item = (&'static str, Authorised)>) -> Self {
        Self(channels.into_iter().collect())
    }

    /// The channel to `service`, which must be listed in [`Descriptor::calls`](crate::Descriptor::calls).
    pub fn channel(&self, service: &str) -> Result<Authorised, OpenError> {
        let channel = self.0.get(service).cloned();
        channel.ok_or_else(|| {
            OpenError::Internal(format!("{service} is not in the descriptor's list of calls"))
        })
    }
}
