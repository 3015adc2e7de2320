//! The readiness of a process, by component.

use std::collections::BTreeMap;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use metrics::gauge;
use serde::Serialize;

use crate::shutdown::Shutdown;

/// The update interval of the components' metrics.
const MEASURE_INTERVAL: Duration = Duration::from_secs(10);

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", content = "message", rename_all = "snake_case")]
pub enum State {
    /// Not ready yet; the process is unready.
    Starting,
    Ready,
    /// Unavailable for the reason given; the process is still ready.
    Degraded(String),
    /// Unavailable for the reason given; the process is unready.
    Failed(String),
}

type Check = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = State> + Send>> + Send + Sync>;

/// The components of a process, which `/readyz` reports.
#[derive(Clone, Default)]
pub struct Readiness(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    states: BTreeMap<String, State>,
    checks: BTreeMap<String, Check>,
}

/// The answer of `/readyz`.
#[derive(Debug, Serialize)]
pub struct Report {
    /// True if there are components and none of them is starting or failed.
    pub ready: bool,
    pub components: BTreeMap<String, State>,
}

/// Sets the state of one component.
#[derive(Clone, Debug)]
pub struct Component {
    readiness: Readiness,
    name: Arc<str>,
}

impl Readiness {
    /// Adds a component, which is [`State::Starting`] until its state is set.
    pub fn component(&self, name: impl Into<Arc<str>>) -> Component {
        let name = name.into();
        self.lock().states.entry(name.to_string()).or_insert(State::Starting);
        Component { readiness: self.clone(), name }
    }

    /// Adds a component whose state is queried for every report, for at most 2 s.
    pub fn check<F, Fut>(&self, name: impl Into<String>, check: F)
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = State> + Send + 'static,
    {
        self.lock().checks.insert(name.into(), Arc::new(move || Box::pin(check())));
    }

    pub fn report(&self) -> BoxFuture<'_, Report> {
        Box::pin(async move {
            let (mut components, checks) = {
                let inner = self.lock();
                (inner.states.clone(), inner.checks.clone())
            };
            for (name, check) in checks {
                let state = tokio::time::timeout(Duration::from_secs(2), check()).await;
                let late = || State::Failed("no response within 2 s".into());
                components.insert(name, state.unwrap_or_else(|_| late()));
            }
            let bad = |state: &State| matches!(state, State::Starting | State::Failed(_));
            let ready = !components.is_empty() && !components.values().any(bad);
            Report { ready, components }
        })
    }

    /// Updates the metrics of the components until `shutdown`.
    pub fn measure(self, shutdown: Shutdown) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let mut tick = tokio::time::interval(MEASURE_INTERVAL);
            while shutdown.unless_begun(tick.tick()).await.is_some() {
                for (component, state) in self.report().await.components {
                    let value = |set: bool| f64::from(u8::from(set));
                    let (up, degraded) =
                        (state == State::Ready, matches!(state, State::Degraded(_)));
                    gauge!("agon_component_up", "component" => component.clone())
                        .set(value(up || degraded));
                    gauge!("agon_component_degraded", "component" => component)
                        .set(value(degraded));
                }
            }
        })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Readiness").field(&self.lock().states).finish()
    }
}

impl Component {
    pub fn ready(&self) {
        self.set(State::Ready);
    }

    pub fn degraded(&self, why: impl Into<String>) {
        self.set(State::Degraded(why.into()));
    }

    pub fn failed(&self, why: impl Into<String>) {
        self.set(State::Failed(why.into()));
    }

    fn set(&self, state: State) {
        self.readiness.lock().states.insert(self.name.to_string(), state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn ready_unless_a_component_is_starting_or_failed() {
        let readiness = Readiness::default();
        assert!(!readiness.report().await.ready, "no component is registered");
        let store = readiness.component("store");
        let judge = readiness.component("judge");
        assert!(!readiness.report().await.ready);
        store.ready();
        judge.degraded("no sandbox on this machine");
        readiness.check("disk", || async { State::Ready });
        assert!(readiness.report().await.ready);
        readiness.check("disk", || async { State::Failed("full".into()) });
        let report = readiness.report().await;
        assert!(!report.ready);
        assert_eq!(report.components["disk"], State::Failed("full".into()));
    }
}
