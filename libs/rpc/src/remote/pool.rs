//! The endpoints of one role: resolves their addresses, connects, and picks one for each call.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use metrics::Gauge;
use tokio::sync::Notify;

use super::circuit::{Rules, URGENT_PROBE_INTERVAL};
use super::endpoint::{Availability, Endpoint, Lease};
use super::peer::Resilience;
use super::target::Target;
use super::{background, connection};
use crate::tls::ClientTls;

/// Resolves a host name.
pub(crate) type Lookup =
    Box<dyn Fn(String, u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> + Send + Sync>;

pub(crate) fn system_resolver() -> Lookup {
    Box::new(|host, port| {
        Box::pin(async move { Ok(tokio::net::lookup_host((host, port)).await?.collect()) })
    })
}

/// After a failed lookup or connection, addresses may be stale and are resolved again after this time.
const STALE_RESOLVE_INTERVAL: Duration = Duration::from_millis(500);
/// The timeout of a probe: a process that starts must not wait for the end of an older attempt.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

pub(crate) struct Pool {
    targets: Vec<Arc<Target>>,
    tls: Option<ClientTls>,
    lookup: Lookup,
    rules: Rules,
    connect_timeout: Duration,
    resolve_interval: Duration,
    open: Gauge,
    known: Mutex<Known>,
    /// Notified when endpoints or connections change.
    changed: Notify,
}

#[derive(Default)]
struct Known {
    endpoints: Arc<[Arc<Endpoint>]>,
    resolving: bool,
    resolved: Option<Instant>,
    stale: bool,
    error: Option<Arc<str>>,
}

/// No endpoint is available.
#[derive(Debug)]
pub(crate) enum NoLease {
    /// No connection could be opened.
    Failed(Arc<str>),
    /// All circuits are open; the next probe is due after this time.
    Open(Arc<str>, Duration),
}

enum Choice {
    Lease(Lease),
    Wait,
    None(NoLease),
}

/// What a call has started so far.
#[derive(Default)]
struct Started {
    connecting: bool,
    probe: bool,
}

impl Pool {
    pub(crate) fn new(
        targets: Vec<Arc<Target>>,
        tls: Option<ClientTls>,
        resilience: &Resilience,
        lookup: Lookup,
        open: Gauge,
    ) -> Arc<Self> {
        Arc::new(Self {
            targets,
            tls,
            lookup,
            rules: resilience.circuit(),
            connect_timeout: Duration::from_millis(resilience.connect_timeout_ms),
            resolve_interval: Duration::from_millis(resilience.resolve_ms),
            open,
            known: Mutex::default(),
            changed: Notify::new(),
        })
    }

    pub(crate) fn rules(&self) -> &Rules {
        &self.rules
    }

    /// A connection for a call, not to `avoid` if there is another endpoint. Waits for a connection
    /// only if none is open.
    pub(crate) async fn lease(
        self: &Arc<Self>,
        avoid: Option<&Arc<Endpoint>>,
    ) -> Result<Lease, NoLease> {
        let mut started = Started::default();
        loop {
            let mut changed = pin!(self.changed.notified());
            changed.as_mut().enable();
            match self.choose(avoid, &mut started) {
                Choice::Lease(lease) => return Ok(lease),
                Choice::None(why) => return Err(why),
                Choice::Wait => changed.await,
            }
        }
    }

    fn choose(self: &Arc<Self>, avoid: Option<&Arc<Endpoint>>, started: &mut Started) -> Choice {
        let now = Instant::now();
        self.refresh(now);
        let (endpoints, resolving, error) = {
            let known = self.known();
            (known.endpoints.clone(), known.resolving, known.error.clone())
        };
        if endpoints.is_empty() {
            let why = || error.unwrap_or_else(|| "the name has no address".into());
            return if resolving { Choice::Wait } else { Choice::None(NoLease::Failed(why())) };
        }
        let connect = !std::mem::replace(&mut started.connecting, true);
        let (mut ready, mut waiting) = (Vec::new(), false);
        for endpoint in endpoints.iter() {
            match endpoint.availability(now, &self.rules, connect) {
                Availability::Ready(lease) => ready.push(lease),
                Availability::Connecting => waiting = true,
                Availability::Probing => waiting |= started.probe,
                Availability::Disconnected { probe } => {
                    started.probe |= probe;
                    waiting = true;
                    let timeout = if probe { PROBE_TIMEOUT } else { self.connect_timeout };
                    background(self.clone().connect(endpoint.clone(), timeout));
                }
                Availability::Unavailable => {}
            }
        }
        if let Some(lease) = least_loaded(ready, avoid) {
            return Choice::Lease(lease);
        }
        // All circuits are open: probe often, so that the role is used as soon as it is back.
        if !waiting && connect {
            for endpoint in endpoints.iter() {
                if endpoint.start_urgent_probe(now, &self.rules) {
                    started.probe = true;
                    waiting = true;
                    background(self.clone().connect(endpoint.clone(), PROBE_TIMEOUT));
                }
            }
        }
        if waiting {
            return Choice::Wait;
        }
        let why = endpoints.iter().find_map(|endpoint| endpoint.error());
        let why = why.unwrap_or_else(|| "there is no connection".into());
        Choice::None(match connect {
            // Calls probe the circuits.
            true => NoLease::Open(why, URGENT_PROBE_INTERVAL),
            false => NoLease::Failed(why),
        })
    }

    async fn connect(self: Arc<Self>, endpoint: Arc<Endpoint>, timeout: Duration) {
        let (target, address) = (&endpoint.target, endpoint.address);
        let timeout = timeout.min(self.connect_timeout);
        match connection::open(target, address, self.tls.as_ref(), timeout).await {
            Ok(sender) => {
                tracing::debug!(peer = target.url(), %address, "connected");
                endpoint.connected(sender);
            }
            Err(why) => {
                if endpoint.failed(Instant::now(), &self.rules, &why) {
                    tracing::warn!(peer = target.url(), %address, error = why, "connection failed");
                }
                self.known().stale = true;
            }
        }
        self.changed.notify_waiters();
    }

    /// Resolves the names again when that is due, in the background.
    fn refresh(self: &Arc<Self>, now: Instant) {
        let mut known = self.known();
        let asked = known.resolved.map(|at| now.saturating_duration_since(at));
        let due = match asked {
            None => true,
            // IP addresses need no lookup.
            Some(_) if self.targets.iter().all(|target| target.ip().is_some()) => false,
            Some(ago) => {
                ago >= if known.stale { STALE_RESOLVE_INTERVAL } else { self.resolve_interval }
            }
        };
        if due && !known.resolving {
            known.resolving = true;
            known.resolved = Some(now);
            background(self.clone().resolve());
        }
    }

    async fn resolve(self: Arc<Self>) {
        let old = self.known().endpoints.clone();
        let (mut endpoints, mut error) = (Vec::new(), None);
        for target in &self.targets {
            let old = old.iter().filter(|endpoint| Arc::ptr_eq(&endpoint.target, target));
            match self.addresses(target).await {
                Ok(mut addresses) => {
                    addresses.sort_unstable();
                    addresses.dedup();
                    endpoints.extend(addresses.into_iter().map(|address| {
                        let known = old.clone().find(|endpoint| endpoint.address == address);
                        known.cloned().unwrap_or_else(|| {
                            Arc::new(Endpoint::new(target.clone(), address, self.open.clone()))
                        })
                    }));
                }
                // Keep the previous addresses.
                Err(why) => {
                    tracing::warn!(peer = target.url(), error = %why, "name lookup failed");
                    error = Some(format!("{}: {why}", target.host).into());
                    endpoints.extend(old.cloned());
                }
            }
        }
        let mut known = self.known();
        known.resolving = false;
        known.stale = error.is_some();
        known.error = error;
        known.endpoints = endpoints.into();
        drop(known);
        self.changed.notify_waiters();
    }

    async fn addresses(&self, target: &Target) -> io::Result<Vec<SocketAddr>> {
        match target.ip() {
            Some(ip) => Ok(vec![SocketAddr::new(ip, target.port)]),
            None => {
                let lookup = (self.lookup)(target.host.clone(), target.port);
                let late = |_| io::Error::new(io::ErrorKind::TimedOut, "the name lookup timed out");
                tokio::time::timeout(self.connect_timeout, lookup).await.map_err(late)?
            }
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The less loaded of two random endpoints (power of two choices).
fn least_loaded(mut ready: Vec<Lease>, avoid: Option<&Arc<Endpoint>>) -> Option<Lease> {
    if let Some(avoid) = avoid
        && ready.len() > 1
    {
        ready.retain(|lease| !Arc::ptr_eq(lease.endpoint(), avoid));
    }
    if ready.len() < 2 {
        return ready.pop();
    }
    let one = ready.swap_remove(rand::random_range(0..ready.len()));
    let other = ready.swap_remove(rand::random_range(0..ready.len()));
    let first = one.endpoint().load() <= other.endpoint().load();
    Some(if first { one } else { other })
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    use super::*;

    /// A server that sends its HTTP/2 settings and nothing else.
    async fn settings_server() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        background(async move {
            let mut streams = Vec::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
                if stream.write_all(&settings).await.is_ok() {
                    streams.push(stream);
                }
            }
        });
        address
    }

    #[tokio::test]
    async fn names_are_resolved_again() {
        let (one, other) = (settings_server().await, settings_server().await);
        let answer = Arc::new(Mutex::new(Some(vec![one])));
        let asked = answer.clone();
        let lookup: Lookup = Box::new(move |_, _| {
            let answer = asked.lock().unwrap().clone();
            Box::pin(async { answer.ok_or_else(|| io::Error::other("no such name")) })
        });
        let target = Arc::new(Target::parse("http://judge.test:1").unwrap());
        let rules = Resilience { resolve_ms: 1, ..Resilience::default() };
        let pool = Pool::new(vec![target], None, &rules, lookup, Gauge::noop());
        let reach = async |address| {
            let reached = async {
                while pool.lease(None).await.unwrap().endpoint().address != address {
                    tokio::task::yield_now().await;
                }
            };
            tokio::time::timeout(Duration::from_secs(20), reached).await.unwrap();
        };
        reach(one).await;
        *answer.lock().unwrap() = Some(vec![other]);
        reach(other).await;
        // A failed lookup keeps the addresses.
        *answer.lock().unwrap() = None;
        let failed = async {
            while pool.known().error.is_none() {
                reach(other).await;
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), failed).await.unwrap();
        reach(other).await;
    }

    #[tokio::test]
    async fn name_without_an_address_fails() {
        let lookup: Lookup = Box::new(|_, _| Box::pin(async { Ok(Vec::new()) }));
        let target = Arc::new(Target::parse("http://judge.test:1").unwrap());
        let pool = Pool::new(vec![target], None, &Resilience::default(), lookup, Gauge::noop());
        assert!(matches!(pool.lease(None).await, Err(NoLease::Failed(_))));
    }
}
