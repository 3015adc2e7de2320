//! Requests that may arrive twice (see `db::requests`).

use access::Caller;
use db::Tx;
use db::requests::{Claim, claim, store};
use rpc::Violations;

use crate::error::{Error, Result};
use crate::secret::sha256;

/// Longest request id, in bytes.
const MAX_ID: usize = 128;

/// A request that wants to be done once. Without an id it is done each time.
pub struct Once<'a> {
    caller: String,
    rpc: &'static str,
    request_id: &'a str,
    digest: Vec<u8>,
}

impl<'a> Once<'a> {
    /// A request of a caller; `content` is what makes it this request and no other, free of
    /// secrets.
    pub fn new(caller: &Caller, rpc: &'static str, request_id: &'a str, content: &[&str]) -> Self {
        Self::of(caller.acting().id.to_string(), rpc, request_id, content)
    }

    /// A request of whoever this names.
    pub fn of(caller: String, rpc: &'static str, request_id: &'a str, content: &[&str]) -> Self {
        let digest = sha256(content.join("\u{0}").as_bytes());
        Self { caller, rpc, request_id, digest }
    }

    /// The response that was given before, if it was.
    pub async fn begin(&self, tx: &mut Tx) -> Result<Option<Vec<u8>>> {
        if self.request_id.is_empty() {
            return Ok(None);
        }
        let now = tx.now();
        let (caller, digest) = (self.caller.as_str(), self.digest.as_slice());
        match claim(tx, caller, self.rpc, self.request_id, digest, now).await? {
            Claim::New => Ok(None),
            Claim::Replay(response) => Ok(Some(response)),
            Claim::Conflict => Err(Error::RequestIdReused),
        }
    }

    /// Keeps the response, which must hold no secret.
    pub async fn finish(&self, tx: &mut Tx, response: &impl prost::Message) -> Result<()> {
        if self.request_id.is_empty() {
            return Ok(());
        }
        let response = response.encode_to_vec();
        Ok(store(tx, &self.caller, self.rpc, self.request_id, &response).await?)
    }
}

/// Checks a request id.
pub fn check_id(violations: &mut Violations, request_id: &str) {
    let fine = request_id.len() <= MAX_ID && !request_id.contains('\0');
    violations.check(fine, "request_id", "must be any text of at most 128 bytes");
}
