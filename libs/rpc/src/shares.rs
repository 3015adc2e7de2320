//! Bounded shares of a resource: no address and no caller can take all of it.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

/// A resource (connections, streams, bytes) with a limit for all holders together and one for each
/// key. Cheap to clone; clones share the counts.
#[derive(Debug)]
pub struct Shares<K: Hash + Eq>(Arc<Inner<K>>);

#[derive(Debug)]
struct Inner<K: Hash + Eq> {
    total: usize,
    each: usize,
    used: Mutex<Used<K>>,
}

#[derive(Debug)]
struct Used<K> {
    all: usize,
    by_key: HashMap<K, usize>,
}

/// Which limit was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    Total,
    Key,
}

impl<K: Hash + Eq> Clone for Shares<K> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K: Hash + Eq + Clone> Shares<K> {
    /// `total` limits all holders together, `each` the holders with the same key.
    pub fn new(total: usize, each: usize) -> Self {
        let used = Mutex::new(Used { all: 0, by_key: HashMap::new() });
        Self(Arc::new(Inner { total, each, used }))
    }

    /// Takes `amount` until the share is dropped. Without a key only the total is limited.
    pub fn take(&self, key: Option<K>, amount: usize) -> Result<Share<K>, Full> {
        let mut share = Share { shares: self.clone(), key, amount: 0 };
        share.grow(amount)?;
        Ok(share)
    }
}

/// A part of the resource, returned when dropped.
#[derive(Debug)]
pub struct Share<K: Hash + Eq> {
    shares: Shares<K>,
    key: Option<K>,
    amount: usize,
}

impl<K: Hash + Eq + Clone> Share<K> {
    /// Takes `more`; on failure the share is unchanged.
    pub fn grow(&mut self, more: usize) -> Result<(), Full> {
        let inner = &*self.shares.0;
        let mut used = inner.used.lock().unwrap_or_else(PoisonError::into_inner);
        let all = used.all.saturating_add(more);
        if all > inner.total {
            return Err(Full::Total);
        }
        if let Some(key) = &self.key {
            let own = used.by_key.get(key).copied().unwrap_or(0).saturating_add(more);
            if own > inner.each {
                return Err(Full::Key);
            }
            used.by_key.insert(key.clone(), own);
        }
        used.all = all;
        self.amount += more;
        Ok(())
    }
}

impl<K: Hash + Eq> Drop for Share<K> {
    fn drop(&mut self) {
        let mut used = self.shares.0.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.all -= self.amount;
        let Some(key) = &self.key else { return };
        if let Some(own) = used.by_key.get_mut(key) {
            *own -= self.amount;
            if *own == 0 {
                used.by_key.remove(key);
            }
        }
    }
}

/// The addresses without a share of their own, which only the total limits: loopback, proxies, and
/// networks in which many people share an address.
#[derive(Clone)]
pub struct Trusted(Arc<dyn Fn(IpAddr) -> bool + Send + Sync>);

impl Trusted {
    pub fn new(trusts: impl Fn(IpAddr) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(trusts))
    }

    pub fn trusts(&self, address: IpAddr) -> bool {
        (self.0)(address.to_canonical())
    }

    /// The key by which the address is counted; `None` for a trusted one. An IPv6 client has a
    /// whole /64.
    pub fn key(&self, address: IpAddr) -> Option<IpAddr> {
        if self.trusts(address) {
            return None;
        }
        let address = address.to_canonical();
        Some(match address {
            IpAddr::V4(_) => address,
            IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64).into(),
        })
    }
}

/// Trusts loopback.
impl Default for Trusted {
    fn default() -> Self {
        Self::new(|address| address.is_loopback())
    }
}

impl fmt::Debug for Trusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Trusted")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_key_cannot_take_everything() {
        let shares = Shares::new(10, 4);
        let mut first = shares.take(Some("a"), 3).unwrap();
        assert_eq!(shares.take(Some("a"), 2).unwrap_err(), Full::Key);
        first.grow(1).unwrap();
        assert_eq!(first.grow(1), Err(Full::Key));
        let other = shares.take(Some("b"), 4).unwrap();
        let exempt = shares.take(None, 2).unwrap();
        assert_eq!(shares.take(Some("c"), 1).unwrap_err(), Full::Total);
        drop((first, exempt));
        assert!(shares.take(Some("a"), 4).is_ok());
        drop(other);
        let used = shares.0.used.lock().unwrap();
        assert_eq!((used.all, used.by_key.len()), (0, 0));
    }

    #[test]
    fn addresses_of_one_ipv6_network_share() {
        let trusted = Trusted::new(|address| address.is_loopback());
        let key = |text: &str| trusted.key(text.parse().unwrap()).map(|key| key.to_string());
        assert_eq!(key("127.0.0.1"), None);
        assert_eq!(key("::ffff:127.0.0.1"), None);
        assert_eq!(key("192.0.2.7").as_deref(), Some("192.0.2.7"));
        assert_eq!(key("2001:db8::1:2:3:4").as_deref(), Some("2001:db8::"));
    }
}
