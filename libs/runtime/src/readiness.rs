//! Whether this process can do its work, told per component.

use std::collections::BTreeMap;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use metrics::gauge;
use serde::Serialize;

use crate::shutdown::Shutdown;

/// How often the components' metrics are brought up to date.
const MEASURED: Duration = Duration::from_secs(10);

/// How a component is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", content = "message", rename_all = "snake_case")]
pub enum State {
    /// Not ready yet.
    Starting,
    /// Working.
    Ready,
    /// The process serves, but this part of it does not, as the message says.
    Degraded(String),
    /// The process should get no traffic until this heals.
    Failed(String),
}

type Check = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = State> + Send>> + Send + Sync>;

/// The components of a process; `/readyz` reports them.
#[derive(Clone, Default)]
pub struct Readiness(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    states: BTreeMap<String, State>,
    checks: BTreeMap<String, Check>,
}

/// What `/readyz` answers.
#[derive(Debug, Serialize)]
pub struct Report {
    /// No component is starting or failed.
    pub ready: bool,
    /// Each component's state.
    pub components: BTreeMap<String, State>,
}

/// One component's handle on its own state.
#[derive(Clone, Debug)]
pub struct Component {
    readiness: Readiness,
    name: Arc<str>,
}

impl Readiness {
    /// The handle of a component, which is [`State::Starting`] until it says otherwise.
    pub fn component(&self, name: impl Into<Arc<str>>) -> Component {
        let name = name.into();
        self.lock().states.entry(name.to_string()).or_insert(State::Starting);
        Component { readiness: self.clone(), name }
    }

    /// Adds a component whose state is asked for with every report.
    pub fn check<F, Fut>(&self, name: impl Into<String>, check: F)
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = State> + Send + 'static,
    {
        self.lock().checks.insert(name.into(), Arc::new(move || Box::pin(check())));
    }

    /// The state of everything, now.
    pub async fn report(&self) -> Report {
        let (mut components, checks) = {
            let inner = self.lock();
            (inner.states.clone(), inner.checks.clone())
        };
        for (name, check) in checks {
            let answer = tokio::time::timeout(Duration::from_secs(2), check()).await;
            let late = || State::Failed("gave no answer within 2 s".into());
            components.insert(name, answer.unwrap_or_else(|_| late()));
        }
        let bad = |state: &State| matches!(state, State::Starting | State::Failed(_));
        Report { ready: !components.values().any(bad), components }
    }

    /// Keeps the metrics of the components up to date, until `shutdown`.
    pub async fn measure(self, shutdown: Shutdown) {
        let mut tick = tokio::time::interval(MEASURED);
        while shutdown.unless_begun(tick.tick()).await.is_some() {
            for (component, state) in self.report().await.components {
                let of = |wanted: bool| f64::from(u8::from(wanted));
                let (up, degraded) = (state == State::Ready, matches!(state, State::Degraded(_)));
                gauge!("agon_component_up", "component" => component.clone())
                    .set(of(up || degraded));
                gauge!("agon_component_degraded", "component" => component).set(of(degraded));
            }
        }
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
    /// It works.
    pub fn ready(&self) {
        self.set(State::Ready);
    }

    /// The rest of the process works without it.
    pub fn degraded(&self, why: impl Into<String>) {
        self.set(State::Degraded(why.into()));
    }

    /// The process cannot do its work.
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
    async fn ready_when_nothing_is_missing() {
        let readiness = Readiness::default();
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
