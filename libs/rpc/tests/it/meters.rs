//! A metrics recorder whose values tests can read.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};

#[derive(Default)]
pub struct Meters(Mutex<HashMap<Key, (bool, Arc<AtomicU64>)>>);

impl Meters {
    /// The value of a role's counter or gauge.
    pub fn get(&self, name: &'static str, role: &'static str) -> f64 {
        let key = Key::from_parts(name, &[("role", role)]);
        let meters = self.0.lock().unwrap();
        let (gauge, value) = meters.get(&key).unwrap_or_else(|| panic!("no {key}"));
        let value = value.load(Ordering::SeqCst);
        if *gauge { f64::from_bits(value) } else { value as f64 }
    }

    fn value(&self, key: &Key, gauge: bool) -> Arc<AtomicU64> {
        let mut meters = self.0.lock().unwrap();
        meters.entry(key.clone()).or_insert_with(|| (gauge, Arc::default())).1.clone()
    }
}

impl Recorder for Meters {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.value(key, false))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.value(key, true))
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}
