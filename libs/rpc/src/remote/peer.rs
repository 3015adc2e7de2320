//! How a role's processes are found and treated, as configured.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::circuit;
use crate::tls::Tls;

/// Where the processes of one role are, and how to speak to them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Peer {
    /// `http://host:port` or `https://host:port`. A name with several addresses stands for as many
    /// processes, and is looked up again from time to time.
    pub urls: Vec<String>,
    /// For https: whom to trust, and who this process is.
    pub tls: Tls,
    /// What is done when a process does not answer.
    pub resilience: Resilience,
}

/// What is done when a process does not answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Resilience {
    /// Tries of a call that is safe to repeat, the first included.
    pub tries: u32,
    /// Repetitions in the long run, as a share of all calls.
    pub retry_percent: u32,
    /// Repetitions beyond that share, saved up while all goes well.
    pub retry_reserve: u32,
    /// Failures in a row after which a process is left alone for a while.
    pub circuit_failures: u32,
    /// How long that is at first, in milliseconds; it doubles from then on.
    pub circuit_open_ms: u64,
    /// How long it is at most, in milliseconds.
    pub circuit_open_max_ms: u64,
    /// How long a connection may take to come about, in milliseconds.
    pub connect_timeout_ms: u64,
    /// How long looked-up addresses are believed, in milliseconds.
    pub resolve_ms: u64,
}

impl Default for Resilience {
    fn default() -> Self {
        Self {
            tries: 3,
            retry_percent: 10,
            retry_reserve: 100,
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

    pub(crate) fn connect_timeout(&self) -> Duration {
        Duration::from_millis(self.connect_timeout_ms)
    }

    pub(crate) fn believed(&self) -> Duration {
        Duration::from_millis(self.resolve_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_all_that_must_be_said() {
        let text = r#"{ "urls": ["http://judge:50051"], "resilience": { "tries": 1 } }"#;
        let peer: Peer = serde_json::from_str(text).unwrap();
        let resilience = Resilience { tries: 1, ..Resilience::default() };
        let urls = vec!["http://judge:50051".to_owned()];
        assert_eq!(peer, Peer { urls, resilience, ..Peer::default() });
        assert!(serde_json::from_str::<Peer>(r#"{ "url": "http://judge" }"#).is_err());
    }
}
