//! One process that calls can go to.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use hyper::client::conn::http2::SendRequest;
use metrics::Gauge;
use tonic::body::Body;

use super::circuit::{Circuit, Rules};
use super::target::Target;

/// Its connection, its circuit, and the calls it works on.
pub(crate) struct Endpoint {
    pub(crate) target: Arc<Target>,
    pub(crate) address: SocketAddr,
    in_flight: AtomicUsize,
    state: Mutex<State>,
    /// How many circuits of the role are open.
    open: Gauge,
}

#[derive(Default)]
struct State {
    link: Option<Link>,
    made: u64,
    /// The last connection whose end was a failure.
    broken: u64,
    connecting: bool,
    circuit: Circuit,
    shown_open: bool,
    error: Option<Arc<str>>,
}

#[derive(Clone)]
struct Link {
    number: u64,
    sender: SendRequest<Body>,
}

/// What an endpoint is good for right now.
pub(crate) enum Standing {
    /// A call.
    Ready(Lease),
    /// It is being connected to.
    Connecting,
    /// The caller has to connect it. `trial`: the circuit is open and this is its test.
    Due { trial: bool },
    /// It is being tried by somebody who waits for it.
    Tried,
    /// It is left alone until then, or merely not connected.
    Out(Option<Instant>),
}

impl Endpoint {
    pub(crate) fn new(target: Arc<Target>, address: SocketAddr, open: Gauge) -> Self {
        Self { target, address, in_flight: AtomicUsize::new(0), state: Mutex::default(), open }
    }

    /// How many calls it works on.
    pub(crate) fn load(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Why it could not be reached last.
    pub(crate) fn error(&self) -> Option<Arc<str>> {
        self.state().error.clone()
    }

    /// With `connect`, an endpoint without a connection is marked as being connected to where its
    /// circuit admits that: the caller then owes [`Endpoint::connected`] or [`Endpoint::failed`].
    pub(crate) fn standing(
        self: &Arc<Self>,
        now: Instant,
        rules: &Rules,
        connect: bool,
    ) -> Standing {
        let mut state = self.state();
        // A server that goes away in order closes its connections: no fault, and no link either.
        state.link.take_if(|link| link.sender.is_closed());
        if let Some(link) = &state.link {
            return Standing::Ready(Lease::new(self.clone(), link.clone()));
        }
        let open = state.circuit.is_open();
        if state.connecting {
            return if open { Standing::Tried } else { Standing::Connecting };
        }
        if connect && state.circuit.admit(now, rules) {
            state.connecting = true;
            return Standing::Due { trial: open };
        }
        Standing::Out(state.circuit.until())
    }

    pub(crate) fn connected(&self, sender: SendRequest<Body>) {
        let mut state = self.state();
        state.connecting = false;
        state.made += 1;
        state.link = Some(Link { number: state.made, sender });
        state.circuit.connected();
        self.show(&mut state);
    }

    /// It could not be connected to. True when that is news.
    pub(crate) fn failed(&self, now: Instant, rules: &Rules, why: &str) -> bool {
        let mut state = self.state();
        state.connecting = false;
        let news = state.error.as_deref() != Some(why);
        state.error = Some(why.into());
        state.circuit.failed(now, rules, rand::random());
        self.show(&mut state);
        news
    }

    fn show(&self, state: &mut State) {
        let open = state.circuit.is_open();
        if open != std::mem::replace(&mut state.shown_open, open) {
            let (target, address) = (self.target.url(), self.address);
            if open {
                self.open.increment(1);
                tracing::warn!(%target, %address, "a server keeps failing; it is left alone");
            } else {
                self.open.decrement(1);
                tracing::info!(%target, %address, "a server is back");
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics half-way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        if self.state().shown_open {
            self.open.decrement(1);
        }
    }
}

/// A call's place on a connection; counted as load until dropped.
pub(crate) struct Lease {
    endpoint: Arc<Endpoint>,
    link: Link,
}

impl Lease {
    fn new(endpoint: Arc<Endpoint>, link: Link) -> Self {
        endpoint.in_flight.fetch_add(1, Ordering::Relaxed);
        Self { endpoint, link }
    }

    pub(crate) fn endpoint(&self) -> &Arc<Endpoint> {
        &self.endpoint
    }

    pub(crate) fn sender(&mut self) -> &mut SendRequest<Body> {
        &mut self.link.sender
    }

    /// The server answered.
    pub(crate) fn answered(&self) {
        let mut state = self.endpoint.state();
        state.circuit.answered();
        state.error = None;
        self.endpoint.show(&mut state);
    }

    /// The connection takes no more calls, in order.
    pub(crate) fn leave(&self) {
        self.endpoint.state().link.take_if(|link| link.number == self.link.number);
    }

    /// The connection broke under the call. However many calls it broke under, it is one failure.
    pub(crate) fn broke(&self, now: Instant, rules: &Rules, why: &str) {
        let mut state = self.endpoint.state();
        state.link.take_if(|link| link.number == self.link.number);
        if self.link.number > state.broken {
            state.broken = self.link.number;
            state.error = Some(why.into());
            state.circuit.failed(now, rules, rand::random());
            self.endpoint.show(&mut state);
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.endpoint.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}
