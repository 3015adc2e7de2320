//! Something made of files, made again when they change.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::files::{Stamp, Tls, TlsError};

/// How often the files are looked at, at most.
const PAUSE: Duration = Duration::from_secs(10);

pub(super) struct Reload<T> {
    files: Tls,
    make: fn(&Tls) -> Result<T, TlsError>,
    current: Mutex<Current<T>>,
}

struct Current<T> {
    value: Arc<T>,
    stamp: Stamp,
    looked: Instant,
}

/// Certificates that were not in order.
const FAILURES: &str = "agon_tls_reload_failures_total";

impl<T> Reload<T> {
    pub(super) fn new(
        files: &Tls,
        make: fn(&Tls) -> Result<T, TlsError>,
    ) -> Result<Self, TlsError> {
        metrics::counter!(FAILURES).increment(0);
        let stamp = files.stamp();
        let value = Arc::new(make(files)?);
        let current = Mutex::new(Current { value, stamp, looked: Instant::now() });
        Ok(Self { files: files.clone(), make, current })
    }

    /// As the files have it at `now`. Files that are not in order, as while they are being
    /// replaced one after the other, are tried again later.
    pub(super) fn get(&self, now: Instant) -> Arc<T> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if now.saturating_duration_since(current.looked) >= PAUSE {
            current.looked = now;
            let stamp = self.files.stamp();
            if stamp != current.stamp {
                match (self.make)(&self.files) {
                    Ok(value) => {
                        tracing::info!(files = ?self.files, "new certificates are in use");
                        current.value = Arc::new(value);
                        current.stamp = stamp;
                    }
                    Err(error) => {
                        metrics::counter!(FAILURES).increment(1);
                        tracing::warn!(%error, "the former certificates stay in use");
                    }
                }
            }
        }
        current.value.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(files: &Tls) -> Result<String, TlsError> {
        let path = files.ca.as_ref().unwrap();
        let text = std::fs::read_to_string(path).unwrap();
        let refusal = TlsError::Missing { option: "ca", hint: "say something" };
        if text.is_empty() { Err(refusal) } else { Ok(text) }
    }

    #[test]
    fn follows_the_files() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ca.pem");
        std::fs::write(&path, "one").unwrap();
        let files = Tls { ca: Some(path.clone()), ..Tls::default() };
        let reload = Reload::new(&files, text).unwrap();
        let start = Instant::now();
        std::fs::write(&path, "other").unwrap();
        assert_eq!(*reload.get(start), "one", "it was looked at a moment ago");
        assert_eq!(*reload.get(start + PAUSE * 2), "other");
        std::fs::write(&path, "").unwrap();
        assert_eq!(*reload.get(start + PAUSE * 4), "other");
        std::fs::write(&path, "third one").unwrap();
        assert_eq!(*reload.get(start + PAUSE * 6), "third one");
    }
}
