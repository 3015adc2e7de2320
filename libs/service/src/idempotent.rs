//! Requests with a `request_id`: the second arrival gets the response of the first.
//!
//! The id is stored with the caller, the RPC, a digest of the request and the response, in the transaction of the
//! change itself, for 24 h. The form follows AIP-155; the edge copies the `Idempotency-Key` header into the field.

use std::fmt::Display;

use db::requests::{self, Claim};
use db::{Db, Tx, TxGuard};
use prost::Message;
use rpc::Violations;
use sha2::{Digest, Sha256};

use crate::Error;

/// The longest request id, in bytes.
pub const MAX_REQUEST_ID: usize = 128;

/// Adds a violation when `request_id` is too long or contains a NUL character.
pub fn check_request_id(violations: &mut Violations, request_id: &str) {
    let valid = request_id.len() <= MAX_REQUEST_ID && !request_id.contains('\0');
    violations.check(valid, "request_id", "must have at most 128 bytes, and no NUL character");
}

/// A request that is applied once. With an empty request id it is applied on every arrival.
pub struct Idempotent<'a> {
    caller: String,
    rpc: &'static str,
    request_id: &'a str,
    digest: [u8; 32],
}

impl<'a> Idempotent<'a> {
    /// A request of `caller`, whose ids do not collide with those of other callers. `content` is what distinguishes it
    /// from another request with the same id, and is compared by its digest.
    pub fn new(
        caller: impl Display,
        rpc: &'static str,
        request_id: &'a str,
        content: &[&[u8]],
    ) -> Self {
        let mut hash = Sha256::new();
        for part in content {
            // The lengths keep ["ab", "c"] and ["a", "bc"] apart.
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        Self { caller: caller.to_string(), rpc, request_id, digest: hash.finalize().into() }
    }

    /// Runs `work` in a transaction and stores its response, which must hold no secret. When the request was answered
    /// before, returns that response instead. INVALID_ARGUMENT when the id belongs to another request.
    pub async fn run<R, E, F, Fut>(&self, db: &Db, work: F) -> Result<R, E>
    where
        R: Message + Default,
        E: From<Error> + From<db::Error>,
        F: Fn(TxGuard) -> Fut,
        Fut: Future<Output = Result<R, E>>,
    {
        let work = &work;
        db.transact(|mut tx| async move {
            if let Some(response) = self.claim(&mut tx).await? {
                return Ok(response);
            }
            let response = tx.lend(work).await??;
            self.store(&mut tx, &response).await?;
            Ok(response)
        })
        .await
    }

    /// The response of an earlier arrival, read without claiming the id: lets a retry be answered before validation,
    /// which may depend on what has changed since.
    pub async fn replay<R: Message + Default>(&self, db: &Db) -> Result<Option<R>, Error> {
        if self.request_id.is_empty() {
            return Ok(None);
        }
        let now = db.clock().now();
        let claim =
            requests::find(db, &self.caller, self.rpc, self.request_id, &self.digest, now).await?;
        decode(claim)
    }

    /// Claims the id in `tx`, after which [`Self::store`] must follow. Returns the response of an earlier arrival. A
    /// concurrent request with the same id waits until `tx` ends. For use cases that [`Self::run`] does not fit.
    pub async fn claim<R: Message + Default>(&self, tx: &mut Tx) -> Result<Option<R>, Error> {
        if self.request_id.is_empty() {
            return Ok(None);
        }
        let now = tx.now();
        let claim =
            requests::claim(tx, &self.caller, self.rpc, self.request_id, &self.digest, now).await?;
        decode(claim)
    }

    /// Stores the response of a claimed request.
    pub async fn store(&self, tx: &mut Tx, response: &impl Message) -> Result<(), Error> {
        if self.request_id.is_empty() {
            return Ok(());
        }
        let response = response.encode_to_vec();
        Ok(requests::store(tx, &self.caller, self.rpc, self.request_id, &response).await?)
    }
}

fn decode<R: Message + Default>(claim: Claim) -> Result<Option<R>, Error> {
    match claim {
        Claim::New => Ok(None),
        Claim::Replay(response) => Ok(Some(R::decode(response.as_slice())?)),
        Claim::Conflict => Err(Error::RequestIdReused),
    }
}
