//! JSON log lines, written without intermediate values.

use std::fmt::{self, Write as _};

use opentelemetry::trace::TraceContextExt as _;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

use super::is_export_field;

/// Ends each member that [`Members`] writes. JSON text never contains it.
const END: char = '\u{1f}';

/// The fields of a span as members of a JSON object, `"name":value`, without those that control the
/// export of spans.
pub(super) struct Members;

impl<'w> FormatFields<'w> for Members {
    fn format_fields<R: RecordFields>(&self, mut writer: Writer<'w>, fields: R) -> fmt::Result {
        let write = |name: &str, value: &dyn fmt::Display| {
            if is_export_field(name) {
                return Ok(());
            }
            write!(writer, "\"{name}\":{value}{END}")
        };
        let mut visitor = Visitor { write, result: Ok(()) };
        fields.record(&mut visitor);
        visitor.result
    }
}

/// One flat object per line, so that log stores need no unpacking: time, level, the fields of the
/// event, target, the ids of the current trace and span, the fields of the spans. Where fields have the
/// same name, the event takes precedence over its spans, and an inner span over an outer one.
pub(super) struct Json;

impl<S> FormatEvent<S, Members> for Json
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, Members>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let metadata = event.metadata();
        let mut seen: Vec<&'static str> = Vec::with_capacity(16);
        writer.write_str("{\"time\":\"")?;
        SystemTime.format_time(&mut writer)?;
        writer.write_char('"')?;
        seen.push("time");
        if metadata.fields().field("level").is_none() {
            write!(writer, ",\"level\":\"{}\"", metadata.level().as_str())?;
            seen.push("level");
        }
        let target = event_fields(&mut writer, event, &mut seen)?;
        if !seen.contains(&"target") {
            let target = target.unwrap_or_else(|| Text(metadata.target()).to_string());
            write!(writer, ",\"target\":{target}")?;
            seen.push("target");
        }
        write_trace(&mut writer, &mut seen)?;
        for span in context.event_scope().into_iter().flatten() {
            if let Some(fields) = span.extensions().get::<FormattedFields<Members>>() {
                write_span(&mut writer, &fields.fields, &seen)?;
            }
            seen.extend(span.metadata().fields().iter().map(|field| field.name()));
        }
        writer.write_str("}\n")
    }
}

/// Writes the fields of the event. Lines of libraries that use the `log` crate have their target and
/// source file as fields; their target is returned.
fn event_fields(
    writer: &mut Writer<'_>,
    event: &Event<'_>,
    seen: &mut Vec<&'static str>,
) -> Result<Option<String>, fmt::Error> {
    let mut target = None;
    let write = |name: &str, value: &dyn fmt::Display| {
        match name {
            "log.target" => target = Some(value.to_string()),
            name if name.starts_with("log.") => {}
            // The time of the line.
            "time" => {}
            name => write!(writer, ",\"{name}\":{value}")?,
        }
        Ok(())
    };
    let mut visitor = Visitor { write, result: Ok(()) };
    event.record(&mut visitor);
    visitor.result?;
    seen.extend(event.metadata().fields().iter().map(|field| field.name()));
    Ok(target)
}

/// Where spans are not exported, the span is the caller's.
fn write_trace(writer: &mut Writer<'_>, seen: &mut Vec<&'static str>) -> fmt::Result {
    opentelemetry::Context::map_current(|context| {
        let span = context.span();
        let ids = span.span_context();
        if ids.is_valid() && !seen.contains(&"trace_id") && !seen.contains(&"span_id") {
            seen.extend(["trace_id", "span_id"]);
            let (trace, span) = (ids.trace_id(), ids.span_id());
            write!(writer, ",\"trace_id\":\"{trace}\",\"span_id\":\"{span}\"")?;
        }
        Ok(())
    })
}

/// Writes the members of a span. Of a field that was recorded again, the last value is written.
fn write_span(writer: &mut Writer<'_>, members: &str, seen: &[&str]) -> fmt::Result {
    let mut rest = members;
    while let Some((member, after)) = rest.split_once(END) {
        rest = after;
        // Fields that were recorded later begin with a space.
        let member = member.trim_start();
        let name = member.get(1..).and_then(|member| member.split('"').next()).unwrap_or_default();
        let key = &member[..(name.len() + 3).min(member.len())];
        if !seen.contains(&name) && !after.contains(key) {
            write!(writer, ",{member}")?;
        }
    }
    Ok(())
}

/// Passes the name and the JSON text of each field to `write`, until it fails.
struct Visitor<W> {
    write: W,
    result: fmt::Result,
}

impl<W: FnMut(&str, &dyn fmt::Display) -> fmt::Result> Visitor<W> {
    fn add(&mut self, field: &Field, value: &dyn fmt::Display) {
        if self.result.is_ok() {
            self.result = (self.write)(field.name(), value);
        }
    }
}

impl<W: FnMut(&str, &dyn fmt::Display) -> fmt::Result> Visit for Visitor<W> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, &Text(&format!("{value:?}")));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, &Text(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, &value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, &value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, &serde_json::Value::from(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, &value);
    }
}

/// A text as a JSON string.
struct Text<'a>(&'a str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.bytes().any(|byte| byte < 0x20 || byte == b'"' || byte == b'\\') {
            return f.write_str(&serde_json::to_string(self.0).map_err(|_| fmt::Error)?);
        }
        f.write_char('"')?;
        f.write_str(self.0)?;
        f.write_char('"')
    }
}
