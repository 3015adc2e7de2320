//! The access log line, the span and the metrics of a request, by route template, never by path.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

use http::{Method, StatusCode};
use metrics::{Counter, Gauge, Histogram};

const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// The metrics of all requests. Handles are kept because looking a metric up by name is the most
/// expensive part of recording it.
#[derive(Debug)]
pub struct Meters {
    in_flight: Gauge,
    unmatched: Arc<str>,
    known: RwLock<HashMap<Key, Meter>>,
}

/// Method, template and status.
type Key = (&'static str, Arc<str>, u16);

#[derive(Clone, Debug)]
struct Meter {
    total: Counter,
    duration: Histogram,
}

impl Meters {
    pub fn new() -> Self {
        let in_flight = metrics::gauge!("agon_http_requests_in_flight");
        Meters { in_flight, unmatched: "unmatched".into(), known: RwLock::default() }
    }

    fn meter(&self, key: &Key) -> Meter {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(meter) = known.get(key) {
            return meter.clone();
        }
        drop(known);
        let (method, route, status) = key;
        let labels = [
            ("method", (*method).to_owned()),
            ("route", route.to_string()),
            ("status", status.to_string()),
        ];
        let meter = Meter {
            total: metrics::counter!("agon_http_requests_total", &labels),
            duration: metrics::histogram!("agon_http_request_duration_seconds", &labels[..2]),
        };
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.insert(key.clone(), meter.clone());
        meter
    }
}

/// A request that is being answered. Dropping it without [`Record::finish`] records status 499: the
/// client disconnected.
pub struct Record {
    /// The template of the route; `unmatched` until it is known.
    pub template: Arc<str>,
    meters: Arc<Meters>,
    method: &'static str,
    started: Instant,
    context: rpc::Context,
    finished: bool,
}

impl Record {
    /// Starts the request's span and makes it the current span of `context`.
    pub fn new(meters: &Arc<Meters>, method: &Method, context: &mut rpc::Context) -> Self {
        let known = METHODS.into_iter().find(|known| *known == method.as_str());
        let method = known.unwrap_or("other");
        meters.in_flight.increment(1.0);
        context.start(tracing::info_span!(
            "http",
            otel.kind = "server",
            otel.name = method,
            request_id = &*context.request_id,
        ));
        context.set_attribute("http.request.method", method);
        Record {
            template: meters.unmatched.clone(),
            meters: meters.clone(),
            method,
            started: Instant::now(),
            context: context.clone(),
            finished: false,
        }
    }

    pub fn finish(mut self, status: StatusCode) {
        self.finished = true;
        self.write(status.as_u16());
    }

    fn write(&self, status: u16) {
        self.context.sync_scope(|| self.write_in_span(status));
    }

    fn write_in_span(&self, status: u16) {
        let took = self.started.elapsed();
        let (method, route) = (self.method, &*self.template);
        if self.context.is_exported() {
            self.context.rename(format!("{method} {route}"));
            self.context.set_attribute("http.route", route.to_owned());
            self.context.set_attribute("http.response.status_code", i64::from(status));
            if status >= 500 {
                self.context.fail("");
            }
        }
        let meter = self.meters.meter(&(method, self.template.clone(), status));
        meter.total.increment(1);
        meter.duration.record(took.as_secs_f64());
        tracing::info!(method, route, status, took_us = took.as_micros() as u64, "http request");
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        self.meters.in_flight.decrement(1.0);
        if !self.finished {
            self.write(499);
        }
    }
}
