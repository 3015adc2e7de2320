//! A value that is built from files and rebuilt when they change.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::files::{Stamp, Tls, TlsError};

const CHECK_INTERVAL: Duration = Duration::from_secs(10);

pub(super) struct Reload<T> {
    files: Tls,
    build: fn(&Tls) -> Result<T, TlsError>,
    current: Mutex<Current<T>>,
}

struct Current<T> {
    value: Arc<T>,
    stamp: Stamp,
    checked: Instant,
}

const FAILURES: &str = "agon_tls_reload_failures_total";

impl<T> Reload<T> {
    pub(super) fn new(
        files: &Tls,
        build: fn(&Tls) -> Result<T, TlsError>,
    ) -> Result<Self, TlsError> {
        metrics::counter!(FAILURES).increment(0);
        let stamp = files.stamp();
        let value = Arc::new(build(files)?);
        let current = Mutex::new(Current { value, stamp, checked: Instant::now() });
        Ok(Self { files: files.clone(), build, current })
    }

    /// The value for the files at `now`. If they are invalid, for example while they are being
    /// replaced, the previous value stays and the next check reads them again.
    pub(super) fn get(&self, now: Instant) -> Arc<T> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if now.saturating_duration_since(current.checked) >= CHECK_INTERVAL {
            current.checked = now;
            let stamp = self.files.stamp();
            if stamp != current.stamp {
                match (self.build)(&self.files) {
                    Ok(value) => {
                        tracing::info!(files = ?self.files, "certificates reloaded");
                        current.value = Arc::new(value);
                        current.stamp = stamp;
                    }
                    Err(error) => {
                        metrics::counter!(FAILURES).increment(1);
                        tracing::warn!(%error, "certificate reload failed, keeping the previous ones");
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
        let refusal = TlsError::Missing { option: "ca", hint: "set it" };
        if text.is_empty() { Err(refusal) } else { Ok(text) }
    }

    #[test]
    fn changed_files_are_reloaded() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ca.pem");
        std::fs::write(&path, "one").unwrap();
        let files = Tls { ca: Some(path.clone()), ..Tls::default() };
        let reload = Reload::new(&files, text).unwrap();
        let start = Instant::now();
        std::fs::write(&path, "other").unwrap();
        assert_eq!(*reload.get(start), "one", "the check interval is not over");
        assert_eq!(*reload.get(start + CHECK_INTERVAL * 2), "other");
        std::fs::write(&path, "").unwrap();
        assert_eq!(*reload.get(start + CHECK_INTERVAL * 4), "other");
        std::fs::write(&path, "third one").unwrap();
        assert_eq!(*reload.get(start + CHECK_INTERVAL * 6), "third one");
    }
}
