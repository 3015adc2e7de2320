//! Idempotency of requests by request id (see `db::requests`).

use access::Caller;
use db::Tx;
use db::requests::{Claim, claim, store};
use rpc::Violations;

use crate::error::{Error, Result};
use crate::secret::sha256;

/// Maximum length of a request id, in bytes.
const MAX_ID: usize = 128;

/// A request that is executed at most once per request id. Without an id it is executed every time.
pub struct Once<'a> {
    caller: String,
    rpc: &'static str,
    request_id: &'a str,
    digest: Vec<u8>,
}

impl<'a> Once<'a> {
    /// `content` identifies the request and must not contain secrets.
    pub fn new(caller: &Caller, rpc: &'static str, request_id: &'a str, content: &[&str]) -> Self {
        Self::of(caller.acting().id.to_string(), rpc, request_id, content)
    }

    /// With the name of the caller, for requests without a signed-in user.
    pub fn of(caller: String, rpc: &'static str, request_id: &'a str, content: &[&str]) -> Self {
        let digest = sha256(content.join("\u{0}").as_bytes());
        Self { caller, rpc, request_id, digest }
    }

    /// Claims the request id in `tx`; the stored response if the request was executed before.
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

    /// Stores the response, which must not contain secrets.
    pub async fn finish(&self, tx: &mut Tx, response: &impl prost::Message) -> Result<()> {
        if self.request_id.is_empty() {
            return Ok(());
        }
        let response = response.encode_to_vec();
        Ok(store(tx, &self.caller, self.rpc, self.request_id, &response).await?)
    }
}

pub fn check_id(violations: &mut Violations, request_id: &str) {
    let fine = request_id.len() <= MAX_ID && !request_id.contains('\0');
    violations.check(fine, "request_id", "must have at most 128 bytes and no zero byte");
}
