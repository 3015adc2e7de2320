//! What every service has in common, written once.
//!
//! Owns: the [`Service`] trait and its [`Descriptor`], from which the program derives roles, databases, topics, keys
//! and peers; the error variants common to all services and their mapping to `google.rpc.Status`; requests with a
//! `request_id` ([`Idempotent`]); pages of lists ([`Page`]); live streams ([`watch()`]); periodic work ([`every`]);
//! and the test fixture [`testing::World`].
//!
//! Must not know: any domain. A service depends on this crate, never on another service.

mod consume;
mod context;
mod descriptor;
mod error;
mod idempotent;
mod page;
mod periodic;
mod stubs;
pub mod testing;
mod watch;

use futures_util::future::BoxFuture;
use rpc::Services;
use runtime::Tasks;
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use consume::consume;
pub use context::{Context, Peers};
pub use descriptor::Descriptor;
pub use error::{Error, OpenError, peer};
pub use idempotent::{Idempotent, MAX_REQUEST_ID, check_request_id};
pub use page::Page;
pub use periodic::{every, purge_requests};
pub use watch::{Views, Watched, watch};

/// A service of the platform. `services/agon` holds the list of all of them.
pub trait Service: Clone + Send + Sync + Sized + 'static {
    /// What the rest of the program knows of the service.
    const DESCRIPTOR: Descriptor;

    /// Its section of the configuration. The section has the service's name.
    type Config: Clone + Default + DeserializeOwned + Serialize + Send + Sync;

    /// Opens the service on its migrated database. Does not wait for other services.
    fn open(config: Self::Config, context: Context) -> BoxFuture<'static, Result<Self, OpenError>>;

    fn routes(&self) -> Services;

    /// Starts its consumers and periodic work as tasks of the process.
    fn start(&self, tasks: &Tasks, bus: &bus::Bus) -> Result<(), OpenError>;
}
