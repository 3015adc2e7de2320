//! Who people are, what they may do, and the tokens that say so.
//!
//! Owns accounts, passwords, sessions, roles, invitations, service accounts and the keys that sign
//! tokens. Knows nothing of problems, contests or judging: a role on a resource is a name to it.
//!
//! Invariants:
//! - the database is the truth; memory holds only what can be read again (keys, revocations) or
//!   lost (counts of attempts);
//! - `sessions::issue_session` is the only place where a user's token comes from, and it reads the
//!   user's state anew, in the transaction that writes the session;
//! - what ends a session or moves an epoch reaches the verifier of this process at the commit, so
//!   the next call already sees it;
//! - no secret is stored: passwords as argon2id, refresh tokens and codes as SHA-256, signing keys
//!   wrapped.

mod audit;
mod binding;
mod bindings;
mod config;
mod country;
mod email;
mod error;
mod events;
mod hashing;
mod invitation;
mod invitations;
mod limit;
mod limits;
mod password;
mod passwords;
mod refresh;
mod requests;
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
mod upkeep;
mod user;
mod username;
mod users;

use std::sync::{Arc, PoisonError, RwLock};

use ::rpc::{PageKey, RootSecret};
use access::Verifier;
use cache::Cache;
use db::Db;
use ids::Clock;

pub use config::{Config, Registration};
pub use error::{Error, Result};
pub use events::TOPICS;
pub use users::FirstAdmin;

use hashing::Hasher;
use limits::Limits;
use secret::Secrets;
use tokens::Signer;

/// The tables of auth.
pub const MIGRATIONS: db::Migrations = db::migrations!("auth", "0001_accounts", "0002_tokens");

/// The service. Cheap to clone.
#[derive(Clone)]
pub struct Auth(Arc<State>);

/// What the use cases work with.
pub(crate) struct State {
    config: Config,
    db: Db,
    clock: Clock,
    secrets: Secrets,
    pages: PageKey,
    hasher: Hasher,
    limits: Limits,
    verifier: Verifier,
    signer: RwLock<Option<Arc<Signer>>>,
}

/// Opens the service on its migrated database: makes or loads the signing keys, and loads what was
/// revoked.
pub async fn open(config: Config, db: Db, cache: Cache, secret: &RootSecret) -> Result<Auth> {
    config.check().map_err(Error::Internal)?;
    let clock = db.clock().clone();
    let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    let threads = if config.hash_threads == 0 { cores } else { config.hash_threads };
    let state = State {
        hasher: Hasher::new(threads, config.hash_queue),
        limits: Limits::new(&config, cache, clock.clone()),
        verifier: Verifier::local(clock.clone()),
        secrets: Secrets::new(secret),
        pages: PageKey::new(secret),
        signer: RwLock::default(),
        config,
        db,
        clock,
    };
    state.keep_keys().await?;
    state.load_revocations(None).await?;
    Ok(Auth(Arc::new(state)))
}

impl Auth {
    /// The gRPC services.
    #[must_use]
    pub fn services(&self) -> ::rpc::Services {
        rpc::services(&self.0)
    }

    /// The verifier that this service keeps up to date: for the layer of every server in this
    /// process.
    #[must_use]
    pub fn verifier(&self) -> Verifier {
        self.0.verifier.clone()
    }

    /// Starts the background work.
    pub fn workers(&self, tasks: &runtime::Tasks) {
        upkeep::start(&self.0, tasks);
    }

    /// Makes sure that there is an active administrator. When there was none, makes one with a
    /// random password and gives it to `keep` before anything is committed: a password that could
    /// not be kept makes no administrator.
    pub async fn ensure_admin(
        &self,
        keep: impl FnMut(&FirstAdmin) -> std::io::Result<()>,
    ) -> Result<Option<FirstAdmin>> {
        self.0.ensure_admin(keep).await
    }

    /// Makes sure that a service account with this key exists.
    pub async fn ensure_service(&self, name: &str, key: &access::PublicKey) -> Result<()> {
        self.0.ensure_service(name, key).await
    }

    /// A one-time code with which a user (id or username) sets a new password; for operators on
    /// the machine itself.
    pub async fn reset_password(&self, user: &str) -> Result<String> {
        let reset = self.0.create_reset(None, user).await?;
        Ok(reset.code)
    }

    /// The place of the first record of the audit log that was tampered with, if any was.
    pub async fn audit(&self) -> Result<Option<i64>> {
        self.0.audit().await
    }
}

impl State {
    /// The key that signs now.
    fn signer(&self) -> Result<Arc<Signer>> {
        let signer = self.signer.read().unwrap_or_else(PoisonError::into_inner).clone();
        signer.ok_or_else(|| Error::Internal("there is no signing key".into()))
    }

    /// Reads the whole audit log and checks its chain.
    async fn audit(&self) -> Result<Option<i64>> {
        let records = store::audit::page(&self.db, 0, i64::MAX).await?;
        Ok(audit::first_broken(&records))
    }
}
