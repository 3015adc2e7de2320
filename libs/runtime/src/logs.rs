//! Structured logs: readable text on a terminal, JSON otherwise.

mod json;

use std::fmt;
use std::io::IsTerminal;

use serde::{Deserialize, Serialize};
use tracing::field::{Field, Visit};
use tracing_subscriber::field::{MakeVisitor as _, RecordFields, VisitOutput as _};
use tracing_subscriber::filter::{FilterExt as _, LevelFilter, dynamic_filter_fn};
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::{DefaultFields, Writer};
use tracing_subscriber::layer::Filter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _};

use self::json::{Json, Members};
use crate::telemetry::{self, Telemetry};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// `Pretty` on a terminal, `Json` otherwise.
    #[default]
    Auto,
    Pretty,
    /// One object per line.
    Json,
}

/// The log filter is malformed.
#[derive(Debug, thiserror::Error)]
#[error("log filter {filter:?} is malformed, expected for example info,rpc=debug: {source}")]
pub struct FilterError {
    filter: String,
    source: tracing_subscriber::filter::ParseError,
}

/// Installs the subscriber of this process, which logs to standard error and hands spans to
/// `telemetry`. `filter` applies to log lines only.
pub fn install(
    format: Format,
    filter: &str,
    telemetry: Option<&Telemetry>,
) -> Result<(), FilterError> {
    let filter = EnvFilter::try_new(filter)
        .map_err(|source| FilterError { filter: filter.to_owned(), source })?;
    let terminal = std::io::stderr().is_terminal();
    let spans = telemetry.map(|telemetry| telemetry::layer(telemetry.tracer()));
    let subscriber = tracing_subscriber::registry().with(spans);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let json = format == Format::Json || (format == Format::Auto && !terminal);
    let installed = if json {
        let lines = lines.fmt_fields(Members).event_format(Json);
        subscriber.with(lines.with_filter(evaluated_each_time(filter))).try_init()
    } else {
        let lines = lines.fmt_fields(TextFields).with_ansi(terminal).with_target(false);
        subscriber.with(lines.with_filter(evaluated_each_time(filter))).try_init()
    };
    // Tests share one process; the first subscriber stays.
    drop(installed);
    Ok(())
}

/// A filter whose results are not cached for each callsite. With cached results `tracing-subscriber` 0.3 applies the
/// result of the last `enabled!` check of the thread to the next span or event, which is then lost. rdkafka and sqlx make
/// such checks.
fn evaluated_each_time<S>(filter: impl Filter<S>) -> impl Filter<S> {
    filter.and(dynamic_filter_fn(|_, _| true).with_max_level_hint(LevelFilter::TRACE))
}

/// Whether a field controls the export of a span and is not for log lines.
fn is_export_field(name: &str) -> bool {
    name.starts_with("otel.")
}

/// The default text format, without the fields that control the export of spans.
struct TextFields;

impl<'w> FormatFields<'w> for TextFields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'w>, fields: R) -> fmt::Result {
        let mut visitor = DefaultFields::new().make_visitor(writer);
        fields.record(&mut WithoutExportFields(&mut visitor));
        visitor.finish()
    }
}

struct WithoutExportFields<'a>(&'a mut dyn Visit);

impl Visit for WithoutExportFields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if !is_export_field(field.name()) {
            self.0.record_debug(field, value);
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if !is_export_field(field.name()) {
            self.0.record_str(field, value);
        }
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.0.record_error(field, value);
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use opentelemetry::trace::{
        SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState,
        TracerProvider as _,
    };
    use opentelemetry_sdk::trace::SdkTracerProvider;
    use serde_json::Value;

    use super::*;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// The last line that `work` logs in JSON.
    fn json(telemetry: Option<&SdkTracerProvider>, work: impl FnOnce()) -> Value {
        let sink = Sink::default();
        let writer = sink.clone();
        let lines = tracing_subscriber::fmt::layer()
            .fmt_fields(Members)
            .event_format(Json)
            .with_writer(move || writer.clone())
            .with_filter(evaluated_each_time(EnvFilter::new("info")));
        let spans = telemetry.map(|provider| telemetry::layer(provider.tracer("tests")));
        let subscriber = tracing_subscriber::registry().with(spans).with(lines);
        tracing::subscriber::with_default(subscriber, work);
        let text = String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
        for line in text.lines() {
            let value: Value = serde_json::from_str(line).unwrap();
            for key in value.as_object().unwrap().keys() {
                assert_eq!(line.matches(&format!("\"{key}\":")).count(), 1, "{line}");
            }
        }
        serde_json::from_str(text.lines().last().unwrap()).unwrap()
    }

    fn log_in_a_span() {
        let span = tracing::info_span!("rpc", otel.kind = "server", request_id = "r1", n = 3);
        span.in_scope(|| tracing::info!(code = "OK", late = false, "call"));
    }

    #[test]
    fn json_lines_are_flat() {
        let line = json(None, log_in_a_span);
        assert_eq!(line["request_id"], "r1");
        assert_eq!(line["n"], 3);
        assert_eq!(line["code"], "OK");
        assert_eq!(line["late"], false);
        assert_eq!(line["message"], "call");
        assert!(line["time"].as_str().unwrap().ends_with('Z'));
        assert_eq!(line.get("otel.kind"), None);
        assert_eq!(line.get("trace_id"), None);
    }

    #[test]
    fn json_keys_are_unique() {
        let line = json(None, || {
            let kept = "a \"quoted\" text\n";
            let outer = tracing::info_span!("outer", request_id = "r1", kept).entered();
            let late = tracing::field::Empty;
            let inner = tracing::info_span!("inner", request_id = "r2", late);
            inner.record("late", 1.5);
            inner.record("late", 2.5);
            inner.in_scope(
                || tracing::warn!(target: "t", request_id = "r3", level = 7, "say \u{1f}"),
            );
            inner.in_scope(|| tracing::warn!(target: "t", nan = f64::NAN, "say \u{1f}"));
            drop(outer);
        });
        assert_eq!(line["request_id"], "r2");
        assert_eq!(line["kept"], "a \"quoted\" text\n");
        assert_eq!(line["late"], 2.5);
        assert_eq!((&line["level"], &line["target"]), (&"WARN".into(), &"t".into()));
        assert_eq!((&line["message"], &line["nan"]), (&"say \u{1f}".into(), &Value::Null));
    }

    #[test]
    fn json_lines_have_the_ids_of_the_exported_span() {
        let provider = SdkTracerProvider::builder().build();
        let line = json(Some(&provider), log_in_a_span);
        assert_eq!(line["trace_id"].as_str().unwrap().len(), 32);
        assert_eq!(line["span_id"].as_str().unwrap().len(), 16);
        assert_eq!(line["request_id"], "r1");
    }

    #[test]
    fn enabled_checks_do_not_lose_the_next_span() {
        let provider = SdkTracerProvider::builder().build();
        let line = json(Some(&provider), || {
            for _ in 0..3 {
                assert!(!tracing::enabled!(tracing::Level::TRACE));
                log_in_a_span();
            }
            tracing::info!("the end");
        });
        assert_eq!(line["message"], "the end");
        let line = json(Some(&provider), || {
            log_in_a_span();
            assert!(!tracing::enabled!(tracing::Level::DEBUG));
            log_in_a_span();
        });
        assert_eq!(line["trace_id"].as_str().map(str::len), Some(32));
        assert_eq!(line["request_id"], "r1");
    }

    #[test]
    fn json_lines_have_the_ids_of_the_trace_without_export() {
        let (trace_id, span_id) = (TraceId::from(0xabc_u128), SpanId::from(0xdef_u64));
        let caller =
            SpanContext::new(trace_id, span_id, TraceFlags::default(), true, TraceState::NONE);
        let context = opentelemetry::Context::new().with_remote_span_context(caller);
        let line = json(None, || {
            let _trace = context.attach();
            log_in_a_span();
        });
        assert_eq!(line["trace_id"], format!("{:032x}", 0xabc));
        assert_eq!(line["span_id"], format!("{:016x}", 0xdef));
    }

    #[test]
    fn text_lines_omit_export_fields() {
        let sink = Sink::default();
        let writer = sink.clone();
        let lines = tracing_subscriber::fmt::layer()
            .fmt_fields(TextFields)
            .with_ansi(false)
            .with_writer(move || writer.clone());
        let subscriber = tracing_subscriber::registry().with(lines);
        tracing::subscriber::with_default(subscriber, log_in_a_span);
        let text = String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
        assert!(text.contains("rpc{request_id=\"r1\" n=3}"), "{text}");
    }
}
