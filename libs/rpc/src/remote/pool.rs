//! The processes of one role: which there are, and which of them takes the next call.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use metrics::Gauge;
use tokio::sync::Notify;

use super::circuit::Rules;
use super::endpoint::{Endpoint, Lease, Standing};
use super::peer::Resilience;
use super::target::Target;
use super::{background, link};
use crate::tls::ClientTls;

/// The addresses that a name stands for.
pub(crate) type Lookup =
    Box<dyn Fn(String, u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> + Send + Sync>;

/// Asks the system.
pub(crate) fn system() -> Lookup {
    Box::new(|host, port| {
        Box::pin(async move { Ok(tokio::net::lookup_host((host, port)).await?.collect()) })
    })
}

/// A failed look-up or connection may mean that the addresses are old; they are not asked for more
/// often than this.
const PAUSE: Duration = Duration::from_millis(500);

pub(crate) struct Pool {
    targets: Vec<Arc<Target>>,
    tls: Option<ClientTls>,
    lookup: Lookup,
    rules: Rules,
    connect_timeout: Duration,
    believed: Duration,
    open: Gauge,
    known: Mutex<Known>,
    /// Something about the endpoints or their connections is new.
    changed: Notify,
}

#[derive(Default)]
struct Known {
    endpoints: Arc<[Arc<Endpoint>]>,
    asking: bool,
    asked: Option<Instant>,
    doubted: bool,
    error: Option<Arc<str>>,
}

/// No endpoint can take a call.
#[derive(Debug)]
pub(crate) enum NoLease {
    /// Connections were tried, in vain.
    Failed(Arc<str>),
    /// All are left alone for now, the first of them for this long.
    Open(Arc<str>, Duration),
}

enum Choice {
    Go(Lease),
    Wait,
    None(NoLease),
}

/// What a call has set going so far.
#[derive(Default)]
struct Begun {
    connecting: bool,
    trial: bool,
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
            connect_timeout: resilience.connect_timeout(),
            believed: resilience.believed(),
            open,
            known: Mutex::default(),
            changed: Notify::new(),
        })
    }

    pub(crate) fn rules(&self) -> &Rules {
        &self.rules
    }

    /// A place on a good connection, elsewhere than at `avoid` if there is an elsewhere. Waits for
    /// connections only while there is none.
    pub(crate) async fn lease(
        self: &Arc<Self>,
        avoid: Option<&Arc<Endpoint>>,
    ) -> Result<Lease, NoLease> {
        let mut begun = Begun::default();
        loop {
            let mut changed = pin!(self.changed.notified());
            changed.as_mut().enable();
            match self.choose(avoid, &mut begun) {
                Choice::Go(lease) => return Ok(lease),
                Choice::None(why) => return Err(why),
                Choice::Wait => changed.await,
            }
        }
    }

    fn choose(self: &Arc<Self>, avoid: Option<&Arc<Endpoint>>, begun: &mut Begun) -> Choice {
        let now = Instant::now();
        self.refresh(now);
        let (endpoints, asking, error) = {
            let known = self.known();
            (known.endpoints.clone(), known.asking, known.error.clone())
        };
        if endpoints.is_empty() {
            let why = || error.unwrap_or_else(|| "it has no address".into());
            return if asking { Choice::Wait } else { Choice::None(NoLease::Failed(why())) };
        }
        let connect = !std::mem::replace(&mut begun.connecting, true);
        let (mut ready, mut waiting, mut until) = (Vec::new(), false, None);
        for endpoint in endpoints.iter() {
            match endpoint.standing(now, &self.rules, connect) {
                Standing::Ready(lease) => ready.push(lease),
                Standing::Connecting => waiting = true,
                Standing::Tried => waiting |= begun.trial,
                Standing::Due { trial } => {
                    begun.trial |= trial;
                    waiting = true;
                    background(self.clone().connect(endpoint.clone()));
                }
                Standing::Out(at) => until = earlier(until, at),
            }
        }
        if let Some(lease) = lightest(ready, avoid) {
            return Choice::Go(lease);
        }
        if waiting {
            return Choice::Wait;
        }
        let why = endpoints.iter().find_map(|endpoint| endpoint.error());
        let why = why.unwrap_or_else(|| "no connection stands".into());
        Choice::None(match until {
            Some(at) if connect => NoLease::Open(why, at.saturating_duration_since(now)),
            // Somebody else's trial runs.
            None if connect => NoLease::Open(why, self.rules.first),
            _ => NoLease::Failed(why),
        })
    }

    async fn connect(self: Arc<Self>, endpoint: Arc<Endpoint>) {
        let (target, address) = (&endpoint.target, endpoint.address);
        match link::open(target, address, self.tls.as_ref(), self.connect_timeout).await {
            Ok(sender) => {
                tracing::debug!(target = target.url(), %address, "connected");
                endpoint.connected(sender);
            }
            Err(why) => {
                if endpoint.failed(Instant::now(), &self.rules, &why) {
                    tracing::warn!(target = target.url(), %address, error = why, "cannot connect");
                }
                self.known().doubted = true;
            }
        }
        self.changed.notify_waiters();
    }

    /// Looks the names up again, where that is due. Calls do not wait for it while they have
    /// addresses.
    fn refresh(self: &Arc<Self>, now: Instant) {
        let mut known = self.known();
        let asked = known.asked.map(|at| now.saturating_duration_since(at));
        let due = match asked {
            None => true,
            // Addresses in URLs do not change.
            Some(_) if self.targets.iter().all(|target| target.ip().is_some()) => false,
            Some(ago) => ago >= if known.doubted { PAUSE } else { self.believed },
        };
        if due && !known.asking {
            known.asking = true;
            known.asked = Some(now);
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
                // What was right a moment ago is a better guess than nothing.
                Err(why) => {
                    tracing::warn!(target = target.url(), error = %why, "cannot look up a name");
                    error = Some(format!("{}: {why}", target.host).into());
                    endpoints.extend(old.cloned());
                }
            }
        }
        let mut known = self.known();
        known.asking = false;
        known.doubted = error.is_some();
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
                let late = |_| io::Error::new(io::ErrorKind::TimedOut, "no answer in time");
                tokio::time::timeout(self.connect_timeout, lookup).await.map_err(late)?
            }
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn earlier(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    a.into_iter().chain(b).min()
}

/// The less loaded of two chosen by chance: nearly as good as the least loaded of all, and not the
/// same one for every caller.
fn lightest(mut ready: Vec<Lease>, avoid: Option<&Arc<Endpoint>>) -> Option<Lease> {
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

    /// Says what a gRPC server says first, and nothing more.
    async fn greeter() -> SocketAddr {
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
    async fn names_are_looked_up_again() {
        let (one, other) = (greeter().await, greeter().await);
        let answer = Arc::new(Mutex::new(Some(vec![one])));
        let asked = answer.clone();
        let lookup: Lookup = Box::new(move |_, _| {
            let answer = asked.lock().unwrap().clone();
            Box::pin(async { answer.ok_or_else(|| io::Error::other("no such name")) })
        });
        let target = Arc::new(Target::parse("http://judge.test:1").unwrap());
        let rules = Resilience { resolve_ms: 1, ..Resilience::default() };
        let pool = Pool::new(vec![target], None, &rules, lookup, Gauge::noop());
        let lead_to = async |address| {
            let leads = async {
                while pool.lease(None).await.unwrap().endpoint().address != address {
                    tokio::task::yield_now().await;
                }
            };
            tokio::time::timeout(Duration::from_secs(20), leads).await.unwrap();
        };
        lead_to(one).await;
        *answer.lock().unwrap() = Some(vec![other]);
        lead_to(other).await;
        // Without an answer, the last one holds.
        *answer.lock().unwrap() = None;
        let failed = async {
            while pool.known().error.is_none() {
                lead_to(other).await;
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), failed).await.unwrap();
        lead_to(other).await;
    }

    #[tokio::test]
    async fn a_name_without_an_address_fails() {
        let lookup: Lookup = Box::new(|_, _| Box::pin(async { Ok(Vec::new()) }));
        let target = Arc::new(Target::parse("http://judge.test:1").unwrap());
        let pool = Pool::new(vec![target], None, &Resilience::default(), lookup, Gauge::noop());
        assert!(matches!(pool.lease(None).await, Err(NoLease::Failed(_))));
    }
}
