//! Page tokens: opaque, authenticated, bound to the other arguments of the list.
//!
//! A token is a keyset cursor with a MAC over the cursor and a digest of the call's arguments, so that
//! clients can neither forge a token nor use it for another list.

use aws_lc_rs::{digest, hmac};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tonic::Status;

use crate::secret::RootSecret;
use crate::status;

const MAC_LEN: usize = 16;
const MAX_TOKEN: usize = 2048;

/// Creates and verifies page tokens.
#[derive(Clone, Debug)]
pub struct PageKey(hmac::Key);

/// Digest of an RPC and its arguments, except those of paging.
pub type ArgsDigest = [u8; 32];

/// Digest of a list's arguments: the RPC's name and each filter, in a fixed order. Include the caller
/// if the content of the list depends on it.
pub fn digest(rpc: &str, args: &[&[u8]]) -> ArgsDigest {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in std::iter::once(rpc.as_bytes()).chain(args.iter().copied()) {
        // The length distinguishes ["ab", "c"] from ["a", "bc"].
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    context.finish().as_ref().try_into().expect("SHA-256 has 32 bytes")
}

impl PageKey {
    /// The page key derived from the installation's secret.
    pub fn new(secret: &RootSecret) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, &secret.derive("page-token")))
    }

    /// The token of the page after `cursor`.
    pub fn token(&self, args: &ArgsDigest, cursor: &impl Serialize) -> String {
        let cursor = serde_json::to_vec(cursor).expect("cursors are serializable");
        let mut bytes = self.mac(args, &cursor).to_vec();
        bytes.extend_from_slice(&cursor);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The cursor in `token`; `None` for the empty token of a first page.
    pub fn parse<C: DeserializeOwned>(
        &self,
        args: &ArgsDigest,
        token: &str,
    ) -> Result<Option<C>, Status> {
        if token.is_empty() {
            return Ok(None);
        }
        let cursor = self.open(args, token).ok_or_else(|| {
            status::invalid_argument(
                "page_token",
                "is not a valid token for this list; send next_page_token unchanged, \
                 with the same other arguments",
            )
        })?;
        Ok(Some(cursor))
    }

    fn open<C: DeserializeOwned>(&self, args: &ArgsDigest, token: &str) -> Option<C> {
        if token.len() > MAX_TOKEN {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
        let (mac, cursor) = bytes.split_at_checked(MAC_LEN)?;
        let expected = self.mac(args, cursor);
        aws_lc_rs::constant_time::verify_slices_are_equal(mac, &expected).ok()?;
        serde_json::from_slice(cursor).ok()
    }

    fn mac(&self, args: &ArgsDigest, cursor: &[u8]) -> [u8; MAC_LEN] {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(args);
        context.update(cursor);
        *context.sign().as_ref().first_chunk().expect("a tag has 32 bytes")
    }
}

/// The number of items of a page: `default` for 0, at most `max`, INVALID_ARGUMENT for negative
/// numbers.
pub fn page_size(requested: i32, default: i64, max: i64) -> Result<i64, Status> {
    match i64::from(requested) {
        0 => Ok(default),
        n if n < 0 => Err(status::invalid_argument(
            "page_size",
            "must not be negative; use 0 for the default",
        )),
        n => Ok(n.min(max)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> PageKey {
        PageKey::new(&RootSecret::from_bytes([1; 32]))
    }

    #[test]
    fn round_trip() {
        let args = digest("ListThings", &[b"tag", b"dp"]);
        let token = key().token(&args, &("2026-01-01", 7));
        let cursor: Option<(String, i64)> = key().parse(&args, &token).unwrap();
        assert_eq!(cursor, Some(("2026-01-01".into(), 7)));
        assert_eq!(key().parse::<(String, i64)>(&args, "").unwrap(), None);
    }

    #[test]
    fn tokens_are_bound_to_arguments_and_key() {
        let args = digest("ListThings", &[b"a", b"bc"]);
        let token = key().token(&args, &7);
        let other = digest("ListThings", &[b"ab", b"c"]);
        assert!(key().parse::<i64>(&other, &token).is_err());
        let foreign = PageKey::new(&RootSecret::from_bytes([2; 32]));
        assert!(foreign.parse::<i64>(&args, &token).is_err());
    }

    #[test]
    fn malformed_tokens_are_invalid_arguments() {
        let args = digest("ListThings", &[]);
        let good = key().token(&args, &7);
        for bad in ["x", "!!!", "AAAA", &good[1..], &format!("{good}A"), &"A".repeat(9999)] {
            let status = key().parse::<i64>(&args, bad).unwrap_err();
            assert_eq!(status::fields(&status)[0].0, "page_token", "{bad}");
        }
    }

    #[test]
    fn page_size_is_limited() {
        assert_eq!(page_size(0, 20, 100).unwrap(), 20);
        assert_eq!(page_size(7, 20, 100).unwrap(), 7);
        assert_eq!(page_size(i32::MAX, 20, 100).unwrap(), 100);
        assert_eq!(page_size(-1, 20, 100).unwrap_err().code(), tonic::Code::InvalidArgument);
    }
}
