//! `agon serve`: the life of the platform in one process.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use rpc::{Limits, Local, Services, Stack};
use runtime::admin::{self, Admin};
use runtime::metrics::Metrics;
use runtime::{Readiness, Shutdown, Tasks, logs};

use crate::banner;
use crate::cli::Settings;
use crate::config::{self, Config};
use crate::data::DataDir;
use crate::failure::Failure;
use crate::listeners::Listeners;

/// Serves until a signal says stop.
pub async fn run(settings: &Settings) -> Result<ExitCode, Failure> {
    let loaded = config::load(settings)?;
    let config = loaded.value;
    config.check()?;
    logs::install(config.log.format, &config.log.filter)
        .map_err(|error| Failure::config(format!("log.filter: {error}")))?;
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
        done = serve(&config, shutdown) => done.map(|()| ExitCode::SUCCESS),
    }
}

async fn serve(config: &Config, shutdown: Shutdown) -> Result<(), Failure> {
    let started = Instant::now();
    let data = DataDir::open(&config.data)?;
    let listeners = Listeners::bind(config).await?;
    let addresses = listeners.addresses()?;
    let readiness = Readiness::default();
    let tasks = Tasks::new(shutdown.clone(), readiness.clone());
    let process = readiness.component("process");

    let metrics = Metrics::install();
    let end = Shutdown::new();
    let version = crate::VERSION;
    let admin = Admin { readiness, metrics: metrics.clone(), version, shutdown: shutdown.clone() };
    let admin = admin::serve(listeners.admin, admin, end.clone());
    tasks.spawn("metrics", metrics.upkeep(shutdown.clone()));
    let _secret = crate::secrets::root(config, &data)?;

    let local = Local::new();
    let stack = Stack::new(proto::DESCRIPTOR_SET)
        .in_flight(config.grpc.in_flight)
        .deadline(Duration::from_secs(config.grpc.deadline_seconds));
    let (served, health) = stack.build(Services::new(), &tower::layer::util::Identity::new());
    local.set(served.clone());
    let grace = Duration::from_secs(config.shutdown.grace_seconds);
    let limits = Limits { grace, ..Limits::default() };
    let grpc = rpc::serve(listeners.grpc, served, limits, shutdown.wait());

    let work = async {
        health.serving().await;
        process.ready();
        banner::print(&data, addresses, started.elapsed());
        let stopping = async {
            shutdown.begun().await;
            health.not_serving().await;
        };
        let (grpc, ()) = tokio::join!(grpc, stopping);
        for late in tasks.finish(grace).await {
            tracing::warn!(task = late, "did not stop within the grace time");
        }
        end.begin();
        grpc.map_err(|error| Failure::new(format!("gRPC: {error}")))
    };
    let (admin, work) = tokio::join!(admin, work);
    admin.map_err(|error| Failure::new(format!("admin listener: {error}")))?;
    tracing::info!("stopped");
    work
}
