//! One process of a role: its connection, its circuit and its calls in flight.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use hyper::client::conn::http2::SendRequest;
use metrics::Gauge;
use tonic::body::Body;

use super::circuit::{Circuit, Rules};
use super::target::Target;

pub(crate) struct Endpoint {
    pub(crate) target: Arc<Target>,
    pub(crate) address: SocketAddr,
    in_flight: AtomicUsize,
    state: Mutex<State>,
    /// The role's number of open circuits.
    open: Gauge,
}

#[derive(Default)]
struct State {
    connection: Option<Connection>,
    /// The number of the last connection.
    last: u64,
    /// The number of the last connection that broke.
    broken: u64,
    connecting: bool,
    circuit: Circuit,
    /// The circuit is counted as open in the gauge.
    counted_open: bool,
    error: Option<Arc<str>>,
}

#[derive(Clone)]
struct Connection {
    number: u64,
    sender: SendRequest<Body>,
}

/// Whether an endpoint can take a call.
pub(crate) enum Availability {
    Ready(Lease),
    Connecting,
    /// The caller must open a connection. `probe`: the circuit is open.
    Disconnected {
        probe: bool,
    },
    /// Another call probes the open circuit.
    Probing,
    /// Not connected; the circuit is open, or another call opens no connection.
    Unavailable,
}

impl Endpoint {
    pub(crate) fn new(target: Arc<Target>, address: SocketAddr, open: Gauge) -> Self {
        Self { target, address, in_flight: AtomicUsize::new(0), state: Mutex::default(), open }
    }

    /// The number of calls in flight.
    pub(crate) fn load(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// The last connection error.
    pub(crate) fn error(&self) -> Option<Arc<str>> {
        self.state().error.clone()
    }

    /// With `connect`, an endpoint without a connection is marked as connecting if its circuit admits
    /// it. The caller must then report [`Endpoint::connected`] or [`Endpoint::failed`].
    pub(crate) fn availability(
        self: &Arc<Self>,
        now: Instant,
        rules: &Rules,
        connect: bool,
    ) -> Availability {
        let mut state = self.state();
        // A server that shuts down closes its connections, which is not a failure.
        state.connection.take_if(|connection| connection.sender.is_closed());
        if let Some(connection) = &state.connection {
            return Availability::Ready(Lease::new(self.clone(), connection.clone()));
        }
        let open = state.circuit.is_open();
        if state.connecting {
            return if open { Availability::Probing } else { Availability::Connecting };
        }
        if connect && state.circuit.admit(now, rules) {
            state.connecting = true;
            return Availability::Disconnected { probe: open };
        }
        Availability::Unavailable
    }

    /// Marks an endpoint with an open circuit as connecting if a probe is due for a role without other endpoints. The
    /// caller must then report [`Endpoint::connected`] or [`Endpoint::failed`].
    pub(crate) fn start_urgent_probe(&self, now: Instant, rules: &Rules) -> bool {
        let mut state = self.state();
        let due = state.connection.is_none()
            && !state.connecting
            && state.circuit.is_open()
            && state.circuit.admit_urgent(now, rules);
        state.connecting |= due;
        due
    }

    pub(crate) fn connected(&self, sender: SendRequest<Body>) {
        let mut state = self.state();
        state.connecting = false;
        state.last += 1;
        state.connection = Some(Connection { number: state.last, sender });
        state.circuit.connected();
        self.count_open(&mut state);
    }

    /// No connection could be opened. Returns true if the last error was a different one.
    pub(crate) fn failed(&self, now: Instant, rules: &Rules, why: &str) -> bool {
        let mut state = self.state();
        state.connecting = false;
        let new = state.error.as_deref() != Some(why);
        state.error = Some(why.into());
        state.circuit.failed(now, rules, rand::random());
        self.count_open(&mut state);
        new
    }

    fn count_open(&self, state: &mut State) {
        let open = state.circuit.is_open();
        if open != std::mem::replace(&mut state.counted_open, open) {
            let (peer, address) = (self.target.url(), self.address);
            if open {
                self.open.increment(1);
                tracing::warn!(%peer, %address, "circuit opened");
            } else {
                self.open.decrement(1);
                tracing::info!(%peer, %address, "circuit closed");
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        if self.state().counted_open {
            self.open.decrement(1);
        }
    }
}

/// A connection for one call, which counts as in flight until this is dropped.
pub(crate) struct Lease {
    endpoint: Arc<Endpoint>,
    connection: Connection,
}

impl Lease {
    fn new(endpoint: Arc<Endpoint>, connection: Connection) -> Self {
        endpoint.in_flight.fetch_add(1, Ordering::Relaxed);
        Self { endpoint, connection }
    }

    pub(crate) fn endpoint(&self) -> &Arc<Endpoint> {
        &self.endpoint
    }

    pub(crate) fn sender(&mut self) -> &mut SendRequest<Body> {
        &mut self.connection.sender
    }

    pub(crate) fn answered(&self) {
        let mut state = self.endpoint.state();
        state.circuit.answered();
        state.error = None;
        self.endpoint.count_open(&mut state);
    }

    /// The connection was closed in an orderly way and accepts no more calls.
    pub(crate) fn closed(&self) {
        self.endpoint
            .state()
            .connection
            .take_if(|connection| connection.number == self.connection.number);
    }

    /// The connection broke. It counts as one failure, however many calls were in flight.
    pub(crate) fn broke(&self, now: Instant, rules: &Rules, why: &str) {
        let mut state = self.endpoint.state();
        state.connection.take_if(|connection| connection.number == self.connection.number);
        if self.connection.number > state.broken {
            state.broken = self.connection.number;
            state.error = Some(why.into());
            state.circuit.failed(now, rules, rand::random());
            self.endpoint.count_open(&mut state);
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.endpoint.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}
