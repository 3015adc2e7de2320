//! Bounds what requests that are still arriving cost: their time, and their memory by address.

use std::future::Future;
use std::net::IpAddr;
use std::time::Duration;

use tonic::{Code, Status};

use crate::pace::{Pace, Patience, TooSlow};
use crate::shares::{Full, Share, Shares, Trusted};
use crate::status;

/// What a request costs beside its body, in bytes.
const BASE: usize = 4096;
/// An address that is not trusted has this fraction of the memory.
const FRACTION: usize = 8;

/// The limits of requests that are still arriving. Cheap to clone; clones share the memory.
#[derive(Clone, Debug)]
pub struct Reading {
    pace: Pace,
    memory: Shares<IpAddr>,
    trusted: Trusted,
}

/// Why a request was not read to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadError {
    TooSlow,
    Full(Full),
}

impl From<TooSlow> for ReadError {
    fn from(_: TooSlow) -> Self {
        Self::TooSlow
    }
}

impl From<Full> for ReadError {
    fn from(full: Full) -> Self {
        Self::Full(full)
    }
}

impl ReadError {
    pub fn status(self) -> Status {
        let after = Duration::from_secs(1);
        match self {
            Self::TooSlow => {
                let text = "the request did not arrive in time";
                status::error(Code::DeadlineExceeded, "REQUEST_TOO_SLOW", text)
            }
            Self::Full(Full::Total) => {
                let text = "too many incomplete requests; try again shortly";
                status::retry(Code::Unavailable, "OVERLOADED", text, after)
            }
            Self::Full(Full::Key) => {
                let text = "too many incomplete requests from this address";
                status::retry(Code::ResourceExhausted, "ADDRESS_LIMIT", text, after)
            }
        }
    }
}

impl Reading {
    /// `memory` is the size of all incomplete requests, in bytes.
    pub fn new(pace: Pace, memory: usize, trusted: Trusted) -> Self {
        Self { pace, memory: Shares::new(memory, memory / FRACTION), trusted }
    }

    pub fn pace(&self) -> Pace {
        self.pace
    }

    /// For a request of which `received` bytes have arrived and more are missing.
    pub fn begin(&self, address: Option<IpAddr>, received: usize) -> Result<Reader, ReadError> {
        let key = address.and_then(|address| self.trusted.key(address));
        let memory = self.memory.take(key, BASE + received)?;
        Ok(Reader { patience: self.pace.begin(), memory })
    }
}

impl Default for Reading {
    fn default() -> Self {
        Self::new(Pace::default(), 256 * 1024 * 1024, Trusted::default())
    }
}

/// One incomplete request.
#[derive(Debug)]
pub struct Reader {
    patience: Patience,
    memory: Share<IpAddr>,
}

impl Reader {
    /// Waits for the next bytes of the client.
    pub async fn wait<T>(&mut self, bytes: impl Future<Output = T>) -> Result<T, ReadError> {
        Ok(self.patience.wait(bytes).await?)
    }

    pub fn received(&mut self, bytes: usize) -> Result<(), ReadError> {
        self.patience.received(bytes);
        Ok(self.memory.grow(bytes)?)
    }
}
