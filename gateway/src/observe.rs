//! What is told about every request: one log line and metrics by route template, never by path.

use std::time::Instant;

use axum::response::Response;
use http::Method;
use tracing::Span;
use transcode::Route;

/// A request from its arrival to the head of its answer. Dropped before, it was cancelled.
pub(crate) struct Observed {
    method: &'static str,
    template: String,
    rpc: String,
    span: Span,
    start: Instant,
    ended: bool,
}

impl Observed {
    pub(crate) fn begin(method: &Method, span: Span) -> Self {
        metrics::gauge!("agon_http_in_flight").increment(1);
        Self {
            method: known(method),
            template: "none".into(),
            rpc: String::new(),
            span,
            start: Instant::now(),
            ended: false,
        }
    }

    pub(crate) fn span(&self) -> Span {
        self.span.clone()
    }

    /// The binding is known.
    pub(crate) fn route(&mut self, route: &Route) {
        self.template = route.template.to_string();
        self.rpc = route.rpc.clone();
    }

    /// The head of the answer is known.
    pub(crate) fn end(mut self, response: Response) -> Response {
        self.finish(response.status().as_u16());
        response
    }

    fn finish(&mut self, status: u16) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        let took = self.start.elapsed();
        let route = self.template.clone();
        metrics::gauge!("agon_http_in_flight").decrement(1);
        metrics::counter!(
            "agon_http_total",
            "method" => self.method, "route" => route.clone(), "status" => status.to_string()
        )
        .increment(1);
        metrics::histogram!("agon_http_duration_seconds", "method" => self.method, "route" => route)
            .record(took);
        let _entered = self.span.enter();
        let duration_ms = (took.as_secs_f64() * 1_000_000.0).round() / 1000.0;
        tracing::info!(
            method = self.method,
            route = self.template,
            rpc = self.rpc,
            status,
            duration_ms,
            "request"
        );
    }
}

impl Drop for Observed {
    fn drop(&mut self) {
        // The client went away: nginx's code for it.
        const CLIENT_CLOSED_REQUEST: u16 = 499;
        self.finish(CLIENT_CLOSED_REQUEST);
    }
}

/// Methods as metric labels: a client may invent others, and labels are for good.
fn known(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}
