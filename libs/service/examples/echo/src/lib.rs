//! An example of a service: one table, one event, one consumer, two RPCs. `docs/adding-a-service.md` walks through it.
//!
//! Owns: the texts that users store. Every new user gets a first text, a greeting.
//!
//! Must not know: how accounts are created; it hears of them by agon.user.v1.

use std::ops::Deref;
use std::sync::{Arc, LazyLock};

use ::rpc::{PageKey, Services};
use bus::Bus;
use db::{Db, Migration, Migrations};
use futures_util::future::BoxFuture;
use proto::echo_service_server::EchoServiceServer;
use runtime::Tasks;
use service::{Context, Descriptor, OpenError, Service};

mod config;
mod echo;
mod echoes;
mod error;
pub mod events;
mod rpc;
mod store;

pub use config::Config;
pub use error::Error;

/// The generated code. A real service's is in `libs/proto`.
pub mod proto {
    #[expect(clippy::pedantic, clippy::allow_attributes, reason = "generated code")]
    mod generated {
        include!(concat!(env!("OUT_DIR"), "/all.rs"));
    }
    pub use generated::agon::echo::v1::*;
    pub use generated::agon::event::v1::EchoCreated;
}

/// The descriptors of the platform's protos and of the example's.
pub static DESCRIPTOR_SET: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let own = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
    // Concatenated messages are merged when they are decoded.
    [::proto::DESCRIPTOR_SET, own].concat()
});

/// The service. Cheap to clone.
#[derive(Clone)]
pub struct Echo(Arc<Inner>);

pub struct Inner {
    config: Config,
    db: Db,
    page_key: PageKey,
}

impl Deref for Echo {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl Service for Echo {
    const DESCRIPTOR: Descriptor = Descriptor {
        name: "echo",
        // A real service writes db::migrations!("echo", "0001_echoes").
        migrations: Migrations {
            service: "echo",
            files: &[Migration::new(
                "0001_echoes",
                include_str!("../migrations/0001_echoes.sql"),
                include_str!("../migrations/0001_echoes.sql"),
            )
            .with_down(
                include_str!("../migrations/0001_echoes.down.sql"),
                include_str!("../migrations/0001_echoes.down.sql"),
            )],
        },
        publishes: &[events::ECHO],
        consumes: &[events::USERS],
        calls: &[],
    };

    type Config = Config;

    fn open(config: Config, context: Context) -> BoxFuture<'static, Result<Self, OpenError>> {
        Box::pin(async move {
            let Context { db, page_key, .. } = context;
            Ok(Self(Arc::new(Inner { config, db, page_key })))
        })
    }

    fn routes(&self) -> Services {
        Services::new().add(EchoServiceServer::new(self.clone()))
    }

    fn start(&self, tasks: &Tasks, bus: &Bus) -> Result<(), OpenError> {
        service::consume(tasks, bus, &self.db, &events::USERS, events::Users(self.clone()))
    }
}
