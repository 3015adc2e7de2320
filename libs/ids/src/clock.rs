//! The current time, and ids made from it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chrono::{DateTime, SubsecRound, Utc};
use uuid::{ContextV7, Timestamp, Uuid};

/// The source of the time and of new ids. Cheap to clone; clones share their state.
#[derive(Clone, Debug)]
pub struct Clock {
    source: Source,
    // One context per process (or per manual clock) keeps ids increasing within a millisecond.
    ids: Arc<Mutex<ContextV7>>,
}

#[derive(Clone, Debug)]
enum Source {
    System,
    Manual(Arc<Mutex<DateTime<Utc>>>),
}

impl Clock {
    pub fn system() -> Self {
        static IDS: std::sync::OnceLock<Arc<Mutex<ContextV7>>> = std::sync::OnceLock::new();
        let ids = IDS.get_or_init(|| Arc::new(Mutex::new(ContextV7::new()))).clone();
        Self { source: Source::System, ids }
    }

    /// A clock for tests, which stops at `start` and changes only by [`Clock::advance`].
    pub fn manual(start: DateTime<Utc>) -> Self {
        let now = Arc::new(Mutex::new(start.trunc_subsecs(6)));
        Self { source: Source::Manual(now), ids: Arc::new(Mutex::new(ContextV7::new())) }
    }

    /// The time, truncated to microseconds, the precision of both databases: a stored value that is read again
    /// equals the original.
    pub fn now(&self) -> DateTime<Utc> {
        match &self.source {
            Source::System => system_now(),
            Source::Manual(now) => *lock(now),
        }
    }

    /// Advances a manual clock.
    ///
    /// # Panics
    /// On the system clock.
    pub fn advance(&self, by: Duration) {
        match &self.source {
            Source::System => panic!("the system clock cannot be advanced; use Clock::manual"),
            Source::Manual(now) => *lock(now) += by,
        }
    }

    /// A new UUIDv7 of the clock's time. Ids of one process increase, also within one millisecond and when the
    /// clock is set back.
    pub fn new_id(&self) -> Uuid {
        let now = self.now();
        let seconds = u64::try_from(now.timestamp()).unwrap_or(0);
        let context = lock(&self.ids);
        Uuid::new_v7(Timestamp::from_unix(&*context, seconds, now.timestamp_subsec_nanos()))
    }
}

#[expect(clippy::disallowed_methods, reason = "the only place that reads the wall clock")]
fn system_now() -> DateTime<Utc> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let micros = i64::try_from(since.as_micros()).unwrap_or(i64::MAX);
    DateTime::from_timestamp_micros(micros).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

// Ignores poisoning: no update under a lock can be interrupted halfway.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_increase_and_contain_the_time() {
        let clock = Clock::system();
        let before = clock.now().timestamp_millis();
        let ids: Vec<Uuid> = (0..20_000).map(|_| clock.new_id()).collect();
        assert!(ids.windows(2).all(|pair| pair[0] < pair[1]));
        assert_eq!(ids[0].get_version_num(), 7);
        let (seconds, nanos) = ids[0].get_timestamp().expect("version 7 has a time").to_unix();
        let millis = i64::try_from(seconds * 1000 + u64::from(nanos / 1_000_000)).expect("fits");
        assert!((millis - before).abs() < 1000);
    }

    #[test]
    fn ids_are_unique_and_increase_across_threads_and_clones() {
        let clock = Clock::system();
        let mut threads = Vec::new();
        for _ in 0..4 {
            let clock = clock.clone();
            threads.push(std::thread::spawn(move || {
                (0..2000).map(|_| clock.new_id()).collect::<Vec<_>>()
            }));
        }
        let mut all = Vec::new();
        for thread in threads {
            let ids = thread.join().expect("no panic");
            assert!(ids.windows(2).all(|pair| pair[0] < pair[1]));
            all.extend(ids);
        }
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 8000);
    }

    #[test]
    fn manual_clock_changes_only_by_advance() {
        let start = DateTime::from_timestamp(1_800_000_000, 123_456_789).expect("valid");
        let clock = Clock::manual(start);
        assert_eq!(clock.now().timestamp_subsec_nanos(), 123_456_000);
        let other = clock.clone();
        other.advance(Duration::from_secs(3600));
        assert_eq!((clock.now() - start).num_minutes(), 59);
        assert!(clock.new_id() < other.new_id());
    }

    #[test]
    #[should_panic(expected = "cannot be advanced")]
    fn system_clock_cannot_be_advanced() {
        Clock::system().advance(Duration::from_secs(1));
    }
}
