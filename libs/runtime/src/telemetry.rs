//! Export of spans to a collector, by OTLP over gRPC.
//!
//! Exporting never blocks: the queue is bounded, and when the collector is unreachable, spans are
//! dropped. The log reports once that it is unreachable and once that it is back.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{
    ExporterBuildError, RetryPolicy, WithExportConfig as _, WithTonicConfig as _,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracer, SdkTracerProvider, SpanData,
    SpanExporter,
};
use serde::{Deserialize, Serialize};
use tracing::Subscriber;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, dynamic_filter_fn};
use tracing_subscriber::registry::LookupSpan;

/// Further spans are dropped while this many wait for export.
const QUEUE: usize = 8192;
const BATCH: usize = 512;
const EXPORT_INTERVAL: Duration = Duration::from_secs(1);
const EXPORT_TIMEOUT: Duration = Duration::from_secs(5);

/// Where traces are sent, and how many of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Config {
    /// The collector's gRPC URL (`http://jaeger:4317`, `https://…` for TLS). Empty: no traces are
    /// exported.
    pub otlp: String,
    /// The share of traces that is recorded, from 0 to 1. A caller's own decision takes precedence.
    pub sample_ratio: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { otlp: String::new(), sample_ratio: 1.0 }
    }
}

/// The configuration is invalid. Messages begin with the key.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("otlp: {url:?} is not a valid URL, expected http://host:4317: {source}")]
    Address { url: String, source: Box<ExporterBuildError> },
    #[error("otlp: {0:?} must start with http:// or https://, for example http://host:4317")]
    Scheme(String),
    #[error("sample_ratio must be between 0 and 1, got {0}")]
    Ratio(f64),
}

impl Config {
    /// Checks the scheme of the URL and the range of the ratio.
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

/// The process that exports, as resource attributes.
#[derive(Clone, Debug)]
pub struct Identity {
    /// `service.name`
    pub service: String,
    /// `service.version`
    pub version: String,
    /// `service.instance.id`
    pub instance: String,
}

/// The export of this process's spans. [`crate::logs::install`] connects it to `tracing`.
#[derive(Debug)]
pub struct Telemetry(SdkTracerProvider);

impl Telemetry {
    /// Starts the exporter, which connects in the background; `None` if no collector is configured.
    /// Requires a Tokio runtime.
    pub fn open(config: &Config, identity: &Identity) -> Result<Option<Self>, Error> {
        config.check()?;
        if config.otlp.is_empty() {
            return Ok(None);
        }
        let exporter = opentelemetry_otlp::SpanExporter::builder()
            .with_tonic()
            .with_endpoint(config.otlp.clone())
            .with_timeout(EXPORT_TIMEOUT)
            // Retrying would delay the next batch.
            .with_retry_policy(RetryPolicy::default().with_max_retries(0))
            .build()
            .map_err(|source| (config.otlp.clone(), Box::new(source)))
            .map_err(|(url, source)| Error::Address { url, source })?;
        let (url, unreachable) = (config.otlp.clone(), AtomicBool::new(false));
        let batches = BatchConfigBuilder::default()
            .with_max_queue_size(QUEUE)
            .with_max_export_batch_size(BATCH)
            .with_scheduled_delay(EXPORT_INTERVAL)
            .build();
        let processor = BatchSpanProcessor::builder(Reporting { exporter, url, unreachable })
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

    /// The tracer for [`layer`].
    pub fn tracer(&self) -> SdkTracer {
        self.0.tracer("agon")
    }

    /// Exports the queued spans, for at most `grace`.
    pub fn close(self, grace: Duration) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let closing = tokio::task::spawn_blocking(move || self.0.shutdown_with_timeout(grace));
            if let Ok(Err(error)) = closing.await {
                tracing::warn!(%error, "last spans may be lost");
            }
        })
    }
}

/// The layer that exports `tracing` spans that have an `otel.kind`. Spans without it only add fields to
/// log lines. Events are not exported: they may contain causes of errors and personal data.
pub fn layer<S>(tracer: SdkTracer) -> impl Layer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let exported =
        // Dynamic: see `logs::evaluated_each_time`.
        dynamic_filter_fn(|metadata, _| {
            metadata.is_span() && metadata.fields().field("otel.kind").is_some()
        });
    tracing_opentelemetry::layer()
        .with_tracer(tracer)
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_tracked_inactivity(false)
        .with_filter(exported.with_max_level_hint(LevelFilter::INFO))
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

/// Logs when the collector becomes unreachable or reachable, and counts spans.
#[derive(Debug)]
struct Reporting {
    exporter: opentelemetry_otlp::SpanExporter,
    url: String,
    unreachable: AtomicBool,
}

impl SpanExporter for Reporting {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len() as u64;
        let result = self.exporter.export(batch).await;
        let was_unreachable = self.unreachable.swap(result.is_err(), Ordering::Relaxed);
        let outcome = if result.is_ok() { "sent" } else { "lost" };
        metrics::counter!("agon_telemetry_spans_total", "outcome" => outcome).increment(spans);
        match &result {
            Err(error) if !was_unreachable => {
                let url = &self.url;
                tracing::warn!(url, %error, "collector unreachable, dropping spans");
            }
            Ok(()) if was_unreachable => {
                tracing::info!(url = self.url, "collector reachable again");
            }
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
    fn config_is_checked() {
        let with = |otlp: &str, sample_ratio| Config { otlp: otlp.into(), sample_ratio };
        Config::default().check().unwrap();
        with("http://jaeger:4317", 0.1).check().unwrap();
        let error = |config: Config| config.check().unwrap_err().to_string();
        assert!(error(with("jaeger:4317", 1.0)).starts_with("otlp: "));
        assert_eq!(error(with("", 1.5)), "sample_ratio must be between 0 and 1, got 1.5");
        assert!(error(with("", f64::NAN)).starts_with("sample_ratio "));
    }
}
