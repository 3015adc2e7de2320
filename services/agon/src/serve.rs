//! `agon serve`: the life of the platform in one process.

use std::io;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use proto::event::event_service_server::EventServiceServer;
use rpc::{Health, Limits, Local, Served, ServerTls, Services, Stack};
use runtime::admin::{self, Admin};
use runtime::metrics::Metrics;
use runtime::{Component, Readiness, Shutdown, Tasks};
use tokio::net::TcpListener;

use crate::banner;
use crate::base::Base;
use crate::cli::Settings;
use crate::config::{self, Config};
use crate::data::DataDir;
use crate::failure::Failure;
use crate::forward::{self, Front};
use crate::listeners::{Addresses, Listeners};
use crate::roles::Role;
use crate::spread::Spread;
use crate::telemetry::{self, Traces};
use crate::wire::{self, Roles};

/// Concurrent calls on one connection of another process of the installation.
const INTERNAL_STREAMS: u32 = 10_000;
/// How long the databases may take to close.
const FAREWELL: Duration = Duration::from_secs(5);

/// Serves until a signal says stop.
pub async fn run(settings: &Settings) -> Result<ExitCode, Failure> {
    let loaded = config::load(settings)?;
    let config = loaded.value;
    config.check()?;
    let traces = Traces::start(&config)?;
    for name in &loaded.ignored_env {
        tracing::warn!(name, "nothing reads this environment variable");
    }
    let shutdown = Shutdown::new();
    tokio::select! {
        // After the first signal this waits for a second one, which ends the process.
        failed = runtime::on_signals(shutdown.clone()) => {
            let error = failed.err().map(|error| error.to_string()).unwrap_or_default();
            Err(Failure::new(format!("cannot listen for signals: {error}")))
        }
        done = serve(&config, shutdown, traces) => done.map(|()| ExitCode::SUCCESS),
    }
}

async fn serve(config: &Config, shutdown: Shutdown, traces: Traces) -> Result<(), Failure> {
    let started = Instant::now();
    let data = DataDir::open(&config.data)?;
    let listeners = Listeners::bind(config).await?;
    let readiness = Readiness::default();
    let tasks = Tasks::new(shutdown.clone(), readiness.clone());
    let metrics = Metrics::install();
    crate::meanings::describe();
    metrics.describe(crate::VERSION);
    tasks.spawn("metrics", metrics.clone().upkeep(shutdown.clone()));

    // The admin listener is the first to answer and the last to go: it tells how far the rest is.
    let (addresses, Listeners { grpc, rest, admin }) = (listeners.addresses()?, listeners);
    let end = Shutdown::new();
    let shown = Admin { readiness, metrics, version: crate::VERSION, shutdown };
    let admin = admin::serve(admin, shown, end.clone());
    let platform = async {
        let up = Up { addresses, started, process: tasks.readiness().component("process") };
        let done = platform(config, data, tasks, grpc, rest, up).await;
        traces.close(Duration::from_secs(config.shutdown.grace_seconds)).await;
        end.begin();
        done
    };
    let (admin, platform) = tokio::join!(admin, platform);
    platform?;
    admin.map_err(|error| Failure::new(format!("admin listener: {error}")))?;
    tracing::info!("stopped");
    Ok(())
}

/// What there is to say once everything is up.
struct Up {
    addresses: Addresses,
    started: Instant,
    process: Component,
}

/// All roles, from opening their databases to closing them.
async fn platform(
    config: &Config,
    data: DataDir,
    tasks: Tasks,
    grpc: TcpListener,
    rest: Option<TcpListener>,
    up: Up,
) -> Result<(), Failure> {
    let grace = Duration::from_secs(config.shutdown.grace_seconds);
    let tls = tls(config)?;
    let base = Base::open(config, data, tasks.clone()).await?;
    telemetry::measure(&base.databases, base.data.path(), &tasks);
    let roles = Roles::open(&base).await?;
    let gateway = wire::gateway(&base)?;
    let (served, health) = stack(&base, &roles)?;
    base.local.set(served.clone());
    roles.start(&base)?;
    let rest = async {
        let Some((listener, gateway)) = rest.zip(gateway) else { return Ok(()) };
        gateway::serve(listener, gateway, grace, tasks.shutdown().wait()).await
    };
    let grpc = listen(config, grpc, tls, served, &tasks);
    let life = async {
        health.serving().await;
        up.process.ready();
        banner::print(&base, up.addresses, up.started.elapsed());
        tasks.shutdown().begun().await;
        health.not_serving().await;
        // Live feeds have no end of their own.
        roles.bus.close();
    };
    let (grpc, rest, ()) = tokio::join!(grpc, rest, life);
    for late in tasks.finish(grace).await {
        tracing::warn!(task = late, "did not stop within the grace time");
    }
    // A database that is away has nothing to say good-bye to.
    tokio::time::timeout(FAREWELL, base.databases.close()).await.ok();
    grpc.map_err(|error| Failure::new(format!("gRPC: {error}")))?;
    rest.map_err(|error| Failure::new(format!("REST: {error}")))
}

/// The gRPC listener.
async fn listen(
    config: &Config,
    listener: TcpListener,
    tls: Option<ServerTls>,
    served: Served,
    tasks: &Tasks,
) -> io::Result<()> {
    let grace = Duration::from_secs(config.shutdown.grace_seconds);
    let mut limits = Limits { grace, ..Limits::default() };
    if !config.roles.play(Role::Gateway) {
        // Its clients are processes, each with one connection for all that it does.
        limits.streams = INTERNAL_STREAMS;
    }
    let stop = tasks.shutdown().wait();
    match tls {
        None => rpc::serve(listener, served, limits, stop).await,
        Some(tls) => rpc::serve_tls(listener, served, limits, tls, stop).await,
    }
}

/// The certificates of the gRPC listener, where it has any.
fn tls(config: &Config) -> Result<Option<ServerTls>, Failure> {
    if config.grpc.tls == rpc::Tls::default() {
        return Ok(None);
    }
    let tls = ServerTls::new(&config.grpc.tls);
    tls.map(Some).map_err(|error| Failure::config(format!("grpc.{error}")))
}

/// The middleware around all services of this process.
fn stack(base: &Base, roles: &Roles) -> Result<(Served, Health), Failure> {
    let grpc = &base.config.grpc;
    let stack = || {
        Stack::new(proto::DESCRIPTOR_SET)
            .in_flight(grpc.in_flight)
            .deadline(Duration::from_secs(grpc.deadline_seconds))
    };
    let authorise = roles.authorise(base);
    let events = roles.events(base)?;
    let services = roles.services();
    let services = if forward::elsewhere(base).next().is_none() {
        events.into_iter().fold(services, Services::merge)
    } else {
        // What this process knows of events is a part of what its gateway answers.
        let here = events.map(|events| {
            let local = Local::new();
            local.set(stack().build(events, &authorise).0);
            local.into()
        });
        let names = forward::elsewhere(base).flat_map(wire::services_of);
        services.add(EventServiceServer::new(Spread::new(base, here)?)).and_names(names)
    };
    Ok(stack().build(services, &Front::new(base, authorise)?))
}
