//! The circuit breaker of an endpoint: a state machine that gets time and randomness as parameters.

use std::time::{Duration, Instant};

/// When a circuit opens, and for how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// Consecutive failures that open it.
    pub(crate) failures: u32,
    /// How long it is open the first time; doubles each time.
    pub(crate) first: Duration,
    /// The maximum time that it is open.
    pub(crate) longest: Duration,
}

/// Closed until enough consecutive connections failed or broke.
///
/// An open circuit is probed by a connection, not by a call, because the call could succeed on another
/// endpoint.
#[derive(Debug, Default)]
pub(crate) struct Circuit {
    failures: u32,
    openings: u32,
    until: Option<Instant>,
    /// The start of the last probe, or the failure that opened it.
    tried: Option<Instant>,
}

/// The shortest time between two probes of a role that has no connection.
pub(crate) const URGENT_PROBE_INTERVAL: Duration = Duration::from_millis(100);

impl Circuit {
    pub(crate) fn is_open(&self) -> bool {
        self.until.is_some()
    }

    /// Whether a connection may be opened now. An open circuit admits one at a time.
    pub(crate) fn admit(&mut self, now: Instant, rules: &Rules) -> bool {
        match self.until {
            None => true,
            Some(until) if now < until => false,
            Some(_) => {
                self.probe(now, rules);
                true
            }
        }
    }

    /// Whether an open circuit may be probed now although its time is not over, because the role has no other endpoint.
    pub(crate) fn admit_urgent(&mut self, now: Instant, rules: &Rules) -> bool {
        let due = self.tried.is_none_or(|at| now >= at + URGENT_PROBE_INTERVAL);
        if due {
            self.probe(now, rules);
        }
        due
    }

    fn probe(&mut self, now: Instant, rules: &Rules) {
        self.until = Some(now + self.wait(rules));
        self.tried = Some(now);
    }

    /// A connection was opened. The circuit is closed, but the next failure opens it again.
    pub(crate) fn connected(&mut self) {
        self.until = None;
    }

    /// A call was answered, with any status.
    pub(crate) fn answered(&mut self) {
        *self = Self::default();
    }

    /// A connection failed or broke. `random` in 0..1 spreads the probes of many clients.
    pub(crate) fn failed(&mut self, now: Instant, rules: &Rules, random: f64) {
        self.failures = self.failures.saturating_add(1);
        if self.failures >= rules.failures {
            self.until = Some(now + self.wait(rules).mul_f64(0.75 + random / 2.0));
            self.tried = Some(now);
            self.openings = self.openings.saturating_add(1);
        }
    }

    fn wait(&self, rules: &Rules) -> Duration {
        rules.first.saturating_mul(1 << self.openings.min(16)).min(rules.longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: Rules =
        Rules { failures: 3, first: Duration::from_secs(1), longest: Duration::from_secs(3) };

    fn opened(now: Instant) -> Circuit {
        let mut circuit = Circuit::default();
        for _ in 0..3 {
            assert!(!circuit.is_open() && circuit.admit(now, &RULES));
            circuit.failed(now, &RULES, 0.5);
        }
        circuit
    }

    #[test]
    fn opens_after_consecutive_failures() {
        let now = Instant::now();
        assert!(opened(now).is_open());
        let mut circuit = Circuit::default();
        for _ in 0..10 {
            circuit.failed(now, &RULES, 0.5);
            circuit.failed(now, &RULES, 0.5);
            circuit.answered();
        }
        assert!(!circuit.is_open());
    }

    #[test]
    fn open_circuit_admits_one_probe() {
        let now = Instant::now();
        let mut circuit = opened(now);
        assert!(!circuit.admit(now, &RULES));
        let later = now + Duration::from_secs(1);
        assert!(circuit.admit(later, &RULES));
        assert!(!circuit.admit(later, &RULES), "another probe is running");
        circuit.connected();
        assert!(!circuit.is_open());
    }

    #[test]
    fn urgent_probes_do_not_wait_for_the_end_of_the_open_time() {
        let now = Instant::now();
        let mut circuit = opened(now);
        assert!(!circuit.admit_urgent(now, &RULES));
        let mut later = now;
        for _ in 0..20 {
            later += URGENT_PROBE_INTERVAL;
            assert!(circuit.admit_urgent(later, &RULES));
            circuit.failed(later, &RULES, 0.5);
            assert!(!circuit.admit_urgent(later, &RULES));
        }
    }

    #[test]
    fn connection_without_an_answered_call_does_not_reset_failures() {
        let now = Instant::now();
        let mut circuit = opened(now);
        circuit.connected();
        circuit.failed(now, &RULES, 0.5);
        assert!(circuit.is_open());
        circuit.connected();
        circuit.answered();
        circuit.failed(now, &RULES, 0.5);
        assert!(!circuit.is_open());
    }

    #[test]
    fn wait_doubles_up_to_a_limit() {
        let now = Instant::now();
        let mut circuit = opened(now);
        let mut waits = Vec::new();
        for _ in 0..4 {
            let wait = circuit.until.unwrap() - now;
            waits.push(wait.as_secs());
            circuit.failed(now, &RULES, 0.5);
        }
        assert_eq!(waits, [1, 2, 3, 3]);
        circuit.failed(now, &RULES, 0.0);
        assert_eq!(circuit.until.unwrap() - now, RULES.longest.mul_f64(0.75));
    }
}
