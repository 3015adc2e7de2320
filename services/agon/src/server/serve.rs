//! `agon serve`: starts and stops the roles of a process.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use proto::event::event_service_server::EventServiceServer;
use rpc::{
    Connections, Health, Limits, Local, Pace, Reading, Served, ServerTls, Services, Stack, Trusted,
};
use runtime::admin::{self, Admin};
use runtime::metrics::Metrics;
use runtime::{Component, Readiness, Shutdown, Tasks};
use tokio::net::TcpListener;

use crate::cli::arguments::Settings;
use crate::config::{self, Config};
use crate::data_dir::DataDir;
use crate::failure::Failure;
use crate::server::banner;
use crate::server::base::Base;
use crate::server::event_fanout::EventFanout;
use crate::server::forward::{self, ForwardLayer};
use crate::server::listeners::{Addresses, Listeners};
use crate::server::roles::Role;
use crate::server::telemetry::{self, Traces};
use crate::server::wire::{self, Roles};

/// Maximum concurrent calls per connection of another process of the installation.
const INTERNAL_STREAMS: u32 = 10_000;
/// Maximum size of all request messages that are still arriving.
const READING_BYTES: usize = 256 * 1024 * 1024;
/// Time to close the databases. An unavailable database does not close.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// Serves until SIGINT or SIGTERM.
pub async fn run(settings: &Settings) -> Result<ExitCode, Failure> {
    let loaded = config::load(settings)?;
    let config = loaded.value;
    config.check()?;
    let traces = Traces::start(&config)?;
    for name in &loaded.ignored_env {
        tracing::warn!(name, "unknown environment variable");
    }
    let shutdown = Shutdown::new();
    tokio::select! {
        // The first signal starts the shutdown, the second one ends the process.
        failed = runtime::on_signals(shutdown.clone()) => {
            let error = failed.err().map(|error| error.to_string()).unwrap_or_default();
            Err(Failure::new(format!("cannot listen for signals: {error}")))
        }
        result = serve(&config, shutdown, traces) => result.map(|()| ExitCode::SUCCESS),
    }
}

async fn serve(config: &Config, shutdown: Shutdown, traces: Traces) -> Result<(), Failure> {
    let started = Instant::now();
    let data = DataDir::open(&config.data)?;
    let listeners = Listeners::bind(config).await?;
    let readiness = Readiness::default();
    // Starting until all roles have registered their components and are ready.
    let process = readiness.component("process");
    let tasks = Tasks::new(shutdown.clone(), readiness.clone());
    let metrics = Metrics::install();
    crate::server::metric_help::describe();
    metrics.describe(crate::VERSION);
    tasks.spawn("metrics", metrics.clone().upkeep(shutdown.clone()));

    // The admin listener starts first and stops last: it reports the progress of start and shutdown.
    let (addresses, Listeners { grpc, rest, admin }) = (listeners.addresses()?, listeners);
    let admin_shutdown = Shutdown::new();
    let state = Admin { readiness, metrics, version: crate::VERSION, shutdown };
    let admin = admin::serve(admin, state, admin_shutdown.clone());
    let platform = async {
        let startup = Startup { addresses, started, process };
        let result = platform(config, data, tasks, grpc, rest, startup).await;
        traces.close(Duration::from_secs(config.shutdown.grace_seconds)).await;
        admin_shutdown.begin();
        result
    };
    let (admin, platform) = tokio::join!(admin, platform);
    platform?;
    admin.map_err(|error| Failure::new(format!("admin listener: {error}")))?;
    tracing::info!("stopped");
    Ok(())
}

/// What is reported when all roles are ready.
struct Startup {
    addresses: Addresses,
    started: Instant,
    process: Component,
}

/// Opens the databases, runs all roles until shutdown, and closes the databases.
async fn platform(
    config: &Config,
    data: DataDir,
    tasks: Tasks,
    grpc: TcpListener,
    rest: Option<TcpListener>,
    startup: Startup,
) -> Result<(), Failure> {
    let grace = Duration::from_secs(config.shutdown.grace_seconds);
    let tls = tls(config)?;
    let base = Base::open(config, data, tasks.clone()).await?;
    telemetry::sample(&base.databases, base.data.path(), &tasks);
    let roles = Roles::open(&base).await?;
    let gateway = wire::gateway(&base, startup.addresses.admin)?;
    let (served, health) = stack(&base, &roles)?;
    base.local.set(served.clone());
    roles.start(&base)?;
    let rest = async {
        let Some((listener, gateway)) = rest.zip(gateway) else { return };
        gateway::serve(listener, gateway, grace, tasks.shutdown().wait()).await;
    };
    let grpc = listen(&base, grpc, tls, served, &tasks);
    let lifecycle = async {
        health.serving().await;
        startup.process.ready();
        banner::print(&base, startup.addresses, startup.started.elapsed());
        tasks.shutdown().begun().await;
        health.not_serving().await;
        // Ends event subscriptions, which otherwise run forever.
        roles.bus.close();
    };
    tokio::join!(grpc, rest, lifecycle);
    for task in tasks.finish(grace).await {
        tracing::warn!(task, "task exceeded grace period");
    }
    tokio::time::timeout(CLOSE_TIMEOUT, base.databases.close()).await.ok();
    Ok(())
}

async fn listen(
    base: &Base,
    listener: TcpListener,
    tls: Option<ServerTls>,
    served: Served,
    tasks: &Tasks,
) {
    let config = &base.config;
    let connections = Connections {
        per_address: config.grpc.connections_per_address,
        trusted: clients(base),
        grace: Duration::from_secs(config.shutdown.grace_seconds),
        ..Connections::default()
    };
    let mut limits = Limits { connections, ..Limits::default() };
    if !base.runs(Role::GATEWAY) {
        limits.streams = INTERNAL_STREAMS;
    }
    rpc::serve(listener, served, limits, tls, tasks.shutdown().wait()).await;
}

/// The trusted clients of the gRPC listener. Without the gateway role the clients are other processes, each with a
/// single connection.
fn clients(base: &Base) -> Trusted {
    if base.runs(Role::GATEWAY) { base.config.trusted() } else { Trusted::new(|_| true) }
}

/// The TLS configuration of the gRPC listener, if any.
fn tls(config: &Config) -> Result<Option<ServerTls>, Failure> {
    if config.grpc.tls == rpc::Tls::default() {
        return Ok(None);
    }
    let tls = ServerTls::new(&config.grpc.tls);
    tls.map(Some).map_err(|error| Failure::config(format!("grpc.{error}")))
}

/// All services of this process with their middleware.
fn stack(base: &Base, roles: &Roles) -> Result<(Served, Health), Failure> {
    let grpc = &base.config.grpc;
    let stack = || {
        Stack::new(proto::DESCRIPTOR_SET)
            .internal(access::Policy::is_internal)
            .in_flight(grpc.in_flight)
            .streams(grpc.streams)
            .deadline(Duration::from_secs(grpc.deadline_seconds))
            .max_deadline(Duration::from_secs(grpc.max_deadline_seconds))
            .reading(Reading::new(Pace::default(), READING_BYTES, clients(base)))
    };
    let authorise = roles.authorise(base);
    let events = roles.events(base)?;
    let services = roles.routes();
    let services = if forward::remote_roles(base).next().is_none() {
        events.into_iter().fold(services, Services::merge)
    } else {
        // The gateway merges the events of this process with those of other processes.
        let local = events.map(|events| {
            let channel = Local::new();
            channel.set(stack().build(events, &authorise).0);
            channel.into()
        });
        let names = forward::remote_roles(base).flat_map(wire::services_of);
        services.add(EventServiceServer::new(EventFanout::new(base, local)?)).and_names(names)
    };
    Ok(stack().build(services, &ForwardLayer::new(base, authorise)?))
}
