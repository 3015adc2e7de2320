//! The auth service: accounts, passwords, sessions, roles, invitations, service accounts and the
//! keys that sign tokens.
//!
//! Must not know problems, contests and judging. A resource in a role binding is only a name.
//!
//! Invariants:
//! - The database is the source of truth. Memory holds only data that can be read again (keys,
//!   revocations) or lost (counts of attempts).
//! - `sessions::issue_session` is the only place that issues users' tokens. It re-reads the user in
//!   the transaction that writes the session.
//! - A commit that ends a session or increases an epoch updates the verifier of this process, so
//!   that the next call sees it.
//! - Secrets are not stored in clear: passwords as argon2id, refresh tokens and codes as SHA-256,
//!   signing keys wrapped.

mod accounts;
mod audit;
mod binding;
mod bindings;
mod config;
mod country;
mod device;
mod email;
mod error;
mod events;
mod hashing;
mod housekeeping;
mod invitation;
mod invitations;
mod limit;
mod limits;
mod network;
mod password;
mod passwords;
mod refresh;
mod reserved;
mod rpc;
mod secret;
mod service_account;
mod service_accounts;
mod session;
mod sessions;
mod signing_key;
mod signing_keys;
mod store;
mod tokens;
mod user;
mod username;
mod users;

use std::sync::{Arc, PoisonError, RwLock};

use ::rpc::{PageKey, Services};
use access::{SigningKey, Verifier};
use bus::Bus;
use db::Db;
use futures_util::future::BoxFuture;
use ids::Clock;
use runtime::Tasks;
use service::{Context, Descriptor, OpenError, Service};

pub use config::{Config, Registration};
pub use error::{Error, Result};
pub use users::FirstAdmin;

use hashing::Hasher;
use limits::Limits;
use secret::Secrets;

/// The service. Cheap to clone.
#[derive(Clone)]
pub struct Auth(Arc<State>);

pub(crate) struct State {
    config: Config,
    db: Db,
    clock: Clock,
    secrets: Secrets,
    pages: PageKey,
    hasher: Hasher,
    limits: Limits,
    verifier: Verifier,
    signer: RwLock<Option<Arc<SigningKey>>>,
}

impl Service for Auth {
    const DESCRIPTOR: Descriptor = Descriptor {
        name: "auth",
        migrations: db::migrations!(
            "auth",
            "0001_accounts",
            "0002_tokens",
            ("0003_list_indexes"),
            "0004_known_addresses",
            "0005_made_accounts"
        ),
        publishes: events::TOPICS,
        consumes: &[],
        calls: &[],
    };

    type Config = Config;

    /// Loads or creates the signing keys, and loads the revocations.
    fn open(config: Config, context: Context) -> BoxFuture<'static, Result<Self, OpenError>> {
        Box::pin(async move {
            config.check().map_err(OpenError::Config)?;
            let Context { db, cache, clock, page_key, root_secret, .. } = context;
            let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
            let threads = if config.hash_threads == 0 { cores } else { config.hash_threads };
            let state = State {
                hasher: Hasher::new(threads, config.hash_queue),
                limits: Limits::new(&config, cache, clock.clone()),
                verifier: Verifier::local(clock.clone()),
                secrets: Secrets::new(&root_secret),
                pages: page_key,
                signer: RwLock::default(),
                config,
                db,
                clock,
            };
            let fail = |error: Error| OpenError::Storage(error.to_string());
            state.rotate_keys().await.map_err(fail)?;
            state.load_revocations(None).await.map_err(fail)?;
            Ok(Self(Arc::new(state)))
        })
    }

    fn routes(&self) -> Services {
        rpc::services(&self.0)
    }

    fn start(&self, tasks: &Tasks, _bus: &Bus) -> Result<(), OpenError> {
        housekeeping::start(self, tasks);
        Ok(())
    }
}

impl Auth {
    /// The verifier that this service keeps up to date, for every access layer in this process.
    pub fn verifier(&self) -> Verifier {
        self.0.verifier.clone()
    }

    /// A one-time code with which a user (id or username) can set a new password. For operators on
    /// the machine itself: no permission is checked.
    pub async fn reset_password(&self, user: &str) -> Result<String> {
        Ok(self.0.create_reset(None, user).await?.code)
    }

    /// The sequence number of the first record of the audit log that breaks the hash chain.
    pub async fn audit(&self) -> Result<Option<i64>> {
        let records = store::audit::page(&self.0.db, 0, i64::MAX).await?;
        Ok(audit::first_broken(&records))
    }
}

impl State {
    fn signer(&self) -> Result<Arc<SigningKey>> {
        let signer = self.signer.read().unwrap_or_else(PoisonError::into_inner).clone();
        signer.ok_or_else(|| Error::internal("no active signing key"))
    }
}
