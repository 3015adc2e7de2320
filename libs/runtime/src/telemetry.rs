//! Traces on their way to a collector, by the OpenTelemetry protocol over gRPC.
//!
//! A collector that is away costs nothing but its traces: what waits is bounded, whoever records
//! never waits, and the log tells once that it is gone and once that it is back.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::global::BoxedTracer;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{
    ExporterBuildError, RetryPolicy, WithExportConfig as _, WithTonicConfig as _,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider, SpanData, SpanExporter,
};
use serde::{Deserialize, Serialize};

/// Spans that wait for their export; more are dropped.
const QUEUE: usize = 8192;
/// Spans of one export.
const BATCH: usize = 512;
/// How long spans are collected before they leave.
const DELAY: Duration = Duration::from_secs(1);
/// How long one export may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where traces go, and how many.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Config {
    /// The collector's gRPC address (`http://jaeger:4317`, `https://…` with TLS); empty: no traces
    /// are recorded.
    pub otlp: String,
    /// The share of traces, from 0 to 1, that is recorded; a caller's own decision comes first.
    pub sample_ratio: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { otlp: String::new(), sample_ratio: 1.0 }
    }
}

/// Traces cannot be sent; the text begins with the key that is wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address is none.
    #[error("otlp: {url:?} is not the address of a collector; give http://host:4317: {source}")]
    Address {
        /// What was given.
        url: String,
        /// Why not.
        source: Box<ExporterBuildError>,
    },
    /// Not one of the schemes.
    #[error("otlp: {0:?} is not the address of a collector; give http://host:4317 or https://…")]
    Scheme(String),
    /// The share is none.
    #[error("sample_ratio: {0} is no share; give a number from 0 to 1")]
    Ratio(f64),
}

impl Config {
    /// Checks what no single value's type can.
    pub fn check(&self) -> Result<(), Error> {
        let known = ["http://", "https://"].iter().any(|scheme| self.otlp.starts_with(scheme));
        if !self.otlp.is_empty() && !known {
            return Err(Error::Scheme(self.otlp.clone()));
        }
        match (0.0..=1.0).contains(&self.sample_ratio) {
            true => Ok(()),
            false => Err(Error::Ratio(self.sample_ratio)),
        }
    }
}

/// Who records.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The service's name, as people look for it.
    pub service: String,
    /// Its version.
    pub version: String,
    /// Which of its processes this is.
    pub instance: String,
}

/// The way of this process's spans to the collector.
#[derive(Debug)]
pub struct Telemetry(SdkTracerProvider);

impl Telemetry {
    /// Opens the way, without connecting yet; `None` where no traces are wanted. Needs a runtime.
    pub fn open(config: &Config, identity: &Identity) -> Result<Option<Self>, Error> {
        config.check()?;
        if config.otlp.is_empty() {
            return Ok(None);
        }
        let exporter = opentelemetry_otlp::SpanExporter::builder()
            .with_tonic()
            .with_endpoint(config.otlp.clone())
            .with_timeout(PATIENCE)
            // The next batch is the next try.
            .with_retry_policy(RetryPolicy::default().with_max_retries(0))
            .build()
            .map_err(|source| Error::Address {
                url: config.otlp.clone(),
                source: Box::new(source),
            })?;
        let (url, away) = (config.otlp.clone(), AtomicBool::new(false));
        let batches = BatchConfigBuilder::default()
            .with_max_queue_size(QUEUE)
            .with_max_export_batch_size(BATCH)
            .with_scheduled_delay(DELAY)
            .build();
        let processor = BatchSpanProcessor::builder(Reporting { exporter, url, away })
            .with_batch_config(batches)
            .build();
        let sampler = Sampler::TraceIdRatioBased(config.sample_ratio);
        let provider = SdkTracerProvider::builder()
            .with_span_processor(processor)
            .with_sampler(Sampler::ParentBased(Box::new(sampler)))
            .with_resource(identity.resource())
            .build();
        Ok(Some(Self(provider)))
    }

    /// What spans are made with.
    pub fn tracer(&self) -> BoxedTracer {
        BoxedTracer::new(Box::new(self.0.tracer("agon")))
    }

    /// Sends what waits, for as long as `grace`.
    pub async fn close(self, grace: Duration) {
        let closing = tokio::task::spawn_blocking(move || self.0.shutdown_with_timeout(grace));
        if let Ok(Err(error)) = closing.await {
            tracing::warn!(%error, "the last traces may not have arrived");
        }
    }
}

impl Identity {
    fn resource(&self) -> Resource {
        Resource::builder()
            .with_service_name(self.service.clone())
            .with_attributes([
                KeyValue::new("service.namespace", "agon"),
                KeyValue::new("service.version", self.version.clone()),
                KeyValue::new("service.instance.id", self.instance.clone()),
            ])
            .build()
    }
}

/// Tells when the collector goes and comes, and counts what it took.
#[derive(Debug)]
struct Reporting {
    exporter: opentelemetry_otlp::SpanExporter,
    url: String,
    away: AtomicBool,
}

impl SpanExporter for Reporting {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len() as u64;
        let result = self.exporter.export(batch).await;
        let was_away = self.away.swap(result.is_err(), Ordering::Relaxed);
        let outcome = match &result {
            Ok(()) => "sent",
            Err(_) => "lost",
        };
        metrics::counter!("agon_telemetry_spans_total", "outcome" => outcome).increment(spans);
        match &result {
            Err(error) if !was_away => {
                let url = &self.url;
                tracing::warn!(url, %error, "the collector is away; traces are lost until it is back");
            }
            Ok(()) if was_away => tracing::info!(url = self.url, "the collector is back"),
            _ => {}
        }
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_config_is_checked() {
        let with = |otlp: &str, sample_ratio| Config { otlp: otlp.into(), sample_ratio };
        Config::default().check().unwrap();
        with("http://jaeger:4317", 0.1).check().unwrap();
        let told = |config: Config| config.check().unwrap_err().to_string();
        assert!(told(with("jaeger:4317", 1.0)).starts_with("otlp: "));
        assert!(told(with("", 1.5)).starts_with("sample_ratio: "));
        assert!(told(with("", f64::NAN)).starts_with("sample_ratio: "));
    }
}
