//! The consumers of this process and how they are.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use db::Db;
use tokio::sync::watch;

/// All consumers of one bus.
#[derive(Default)]
pub(crate) struct Registry {
    consumers: Mutex<Vec<Arc<State>>>,
}

/// One consumer.
pub(crate) struct State {
    pub name: &'static str,
    pub db: Db,
    /// Changes when there is something to replay.
    pub wake: watch::Sender<u64>,
    // What keeps a topic from going on, in words.
    stopped: Mutex<BTreeMap<&'static str, String>>,
    // How many keys are parked, by topic.
    parked: Mutex<BTreeMap<&'static str, usize>>,
}

impl Registry {
    pub fn add(&self, name: &'static str, db: Db) -> Arc<State> {
        let wake = watch::Sender::new(0);
        let state =
            Arc::new(State { name, db, wake, stopped: Mutex::default(), parked: Mutex::default() });
        lock(&self.consumers).push(state.clone());
        state
    }

    pub fn all(&self) -> Vec<Arc<State>> {
        lock(&self.consumers).clone()
    }

    pub fn health(&self) -> Result<(), String> {
        let mut words = Vec::new();
        for state in self.all() {
            let name = state.name;
            for (topic, why) in lock(&state.stopped).iter() {
                words.push(format!("consumer {name} stands still in {topic}: {why}"));
            }
            for (topic, keys) in lock(&state.parked).iter().filter(|(_, keys)| **keys > 0) {
                words.push(format!(
                    "consumer {name} has parked {keys} keys of {topic}: see its dead letters, mend the cause and \
                     replay them"
                ));
            }
        }
        if words.is_empty() { Ok(()) } else { Err(words.join("; ")) }
    }
}

impl State {
    /// Notes that the consumer cannot go on in `topic`; true when that is news.
    pub fn stopped(&self, topic: &'static str, why: &str) -> bool {
        let before = lock(&self.stopped).insert(topic, why.to_owned());
        before.as_deref() != Some(why)
    }

    pub fn parked(&self, topic: &'static str, keys: usize) {
        lock(&self.parked).insert(topic, keys);
    }

    pub fn goes_on(&self, topic: &'static str) {
        lock(&self.stopped).remove(topic);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
