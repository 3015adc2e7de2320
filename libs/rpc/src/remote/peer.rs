//! The configuration of calls to a role's processes.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tower::retry::budget::TpsBudget;

use super::circuit;
use crate::tls::Tls;

/// The addresses of one role's processes, and how to call them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Peer {
    /// `http://host:port` or `https://host:port`. Each address that a host name resolves to is one
    /// process; names are resolved again at intervals.
    pub urls: Vec<String>,
    /// For https: the trusted CA, and this process's certificate.
    pub tls: Tls,
    /// Retries, circuit breaker and timeouts.
    pub resilience: Resilience,
}

/// Retries, circuit breaker and timeouts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Resilience {
    /// Attempts of a call that may be repeated, including the first.
    pub tries: u32,
    /// Retries as a share of the calls of the last 10 s, in percent.
    pub retry_percent: u32,
    /// Retries per second that are allowed in addition to that share.
    pub retry_min_per_second: u32,
    /// Consecutive failures that open the circuit of a process.
    pub circuit_failures: u32,
    /// How long it is open at first, in milliseconds; doubles each time. While all processes of a role are unreachable,
    /// they are probed every 100 ms instead.
    pub circuit_open_ms: u64,
    /// The maximum time that it is open, in milliseconds.
    pub circuit_open_max_ms: u64,
    /// The timeout of opening a connection, in milliseconds.
    pub connect_timeout_ms: u64,
    /// How long resolved addresses are used, in milliseconds.
    pub resolve_ms: u64,
}

impl Default for Resilience {
    fn default() -> Self {
        Self {
            tries: 3,
            retry_percent: 10,
            retry_min_per_second: 10,
            circuit_failures: 5,
            circuit_open_ms: 500,
            circuit_open_max_ms: 15_000,
            connect_timeout_ms: 5_000,
            resolve_ms: 10_000,
        }
    }
}

impl Resilience {
    pub(crate) fn circuit(&self) -> circuit::Rules {
        circuit::Rules {
            failures: self.circuit_failures.max(1),
            first: Duration::from_millis(self.circuit_open_ms.max(1)),
            longest: Duration::from_millis(self.circuit_open_max_ms.max(1)),
        }
    }

    pub(crate) fn retry_budget(&self) -> TpsBudget {
        let share = self.retry_percent.min(1000) as f32 / 100.0;
        TpsBudget::new(Duration::from_secs(10), self.retry_min_per_second.min(1_000_000), share)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_urls_are_required() {
        let text = r#"{ "urls": ["http://judge:50051"], "resilience": { "tries": 1 } }"#;
        let peer: Peer = serde_json::from_str(text).unwrap();
        let resilience = Resilience { tries: 1, ..Resilience::default() };
        let urls = vec!["http://judge:50051".to_owned()];
        assert_eq!(peer, Peer { urls, resilience, ..Peer::default() });
        assert!(serde_json::from_str::<Peer>(r#"{ "url": "http://judge" }"#).is_err());
    }
}
