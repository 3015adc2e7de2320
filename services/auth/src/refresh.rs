//! Refresh tokens: their format, and the decision between rotation, repetition and reuse.
//!
//! A token is `agnr_` and the base64url of session id, 256 random bits and a MAC. Because of the
//! MAC, a valid token that is not the current one of its session must have been issued earlier: its
//! use means theft. A token with a wrong MAC means nothing. Only SHA-256 of tokens is stored.

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Duration, Utc};
use uuid::Uuid;

use crate::secret::{self, sha256};

const PREFIX: &str = "agnr_";
const ID: usize = 16;
const SECRET: usize = 32;
const TAG: usize = 16;

/// A refresh token. Has no `Debug`: it is a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct RefreshToken {
    bytes: [u8; ID + SECRET + TAG],
}

impl RefreshToken {
    pub fn new(key: &hmac::Key, session_id: Uuid) -> Self {
        let mut bytes = [0; ID + SECRET + TAG];
        bytes[..ID].copy_from_slice(session_id.as_bytes());
        bytes[ID..ID + SECRET].copy_from_slice(&secret::random::<SECRET>());
        let tag = hmac::sign(key, &bytes[..ID + SECRET]);
        bytes[ID + SECRET..].copy_from_slice(&tag.as_ref()[..TAG]);
        Self { bytes }
    }

    /// Parses a token; `None` if it was not issued by this installation.
    pub fn parse(key: &hmac::Key, text: &str) -> Option<Self> {
        let body = text.strip_prefix(PREFIX).filter(|body| body.len() < 100)?;
        let bytes = URL_SAFE_NO_PAD.decode(body).ok()?.try_into().ok()?;
        let token = Self { bytes };
        let tag = hmac::sign(key, &token.bytes[..ID + SECRET]);
        let (ours, theirs) = (&tag.as_ref()[..TAG], &token.bytes[ID + SECRET..]);
        aws_lc_rs::constant_time::verify_slices_are_equal(ours, theirs).ok()?;
        Some(token)
    }

    pub fn session_id(&self) -> Uuid {
        Uuid::from_bytes(*self.bytes.first_chunk().expect("a token begins with an id"))
    }

    /// The stored form.
    pub fn hash(&self) -> Vec<u8> {
        sha256(&self.bytes)
    }

    /// The form sent to the client.
    pub fn text(&self) -> String {
        format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(self.bytes))
    }

    /// Encrypts this token so that only `predecessor` can decrypt it.
    pub fn seal_under(&self, predecessor: &Self) -> Vec<u8> {
        secret::seal(&predecessor.sealing_key(), b"refresh-successor", &self.bytes)
    }

    /// Decrypts a successor sealed under this token.
    pub fn open_successor(&self, sealed: &[u8]) -> Option<Self> {
        let bytes = secret::open(&self.sealing_key(), b"refresh-successor", sealed)?;
        Some(Self { bytes: bytes.try_into().ok()? })
    }

    /// Cannot be computed from the stored hash.
    fn sealing_key(&self) -> [u8; 32] {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &self.bytes[ID..ID + SECRET]);
        let tag = hmac::sign(&key, b"agon/refresh-sealing");
        tag.as_ref().try_into().expect("a SHA-256 tag has 32 bytes")
    }
}

/// The refresh tokens that a session stores.
pub struct StoredTokens<'a> {
    /// Hash of the current token.
    pub current: &'a [u8],
    /// Hash of its predecessor.
    pub previous: Option<&'a [u8]>,
    /// When the current token was issued.
    pub rotated_at: DateTime<Utc>,
}

/// The result for a token of a live session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Current token: issue a successor.
    Rotate,
    /// The response was probably lost: return the same, still unused successor.
    Repeat,
    /// Used before the grace period, or its successor was used: end the session.
    Reused,
}

/// Decides by the hash of a valid token. If it equals `previous`, the current token is unused,
/// because its use would have replaced `previous`.
pub fn decide(
    hash: &[u8],
    stored: &StoredTokens<'_>,
    grace: Duration,
    now: DateTime<Utc>,
) -> Decision {
    if hash == stored.current {
        return Decision::Rotate;
    }
    let in_grace = grace > Duration::zero() && now <= stored.rotated_at + grace;
    if stored.previous == Some(hash) && in_grace { Decision::Repeat } else { Decision::Reused }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, &[1; 32])
    }

    #[test]
    fn tokens_round_trip() {
        let session = Uuid::from_u128(9);
        let token = RefreshToken::new(&key(), session);
        let text = token.text();
        let read = RefreshToken::parse(&key(), &text).unwrap();
        assert!(read == token && read.session_id() == session);
        assert_ne!(token.hash(), RefreshToken::new(&key(), session).hash());
        let other = hmac::Key::new(hmac::HMAC_SHA256, &[2; 32]);
        assert!(RefreshToken::parse(&other, &text).is_none());
    }

    #[test]
    fn foreign_and_tampered_tokens_are_refused() {
        let text = RefreshToken::new(&key(), Uuid::from_u128(9)).text();
        let mut tampered = text.clone().into_bytes();
        tampered[30] = if tampered[30] == b'A' { b'B' } else { b'A' };
        let tampered = String::from_utf8(tampered).unwrap();
        for bad in ["", "agnr_", &text[5..], &text[..50], &format!("{text}A"), &tampered, "ü"] {
            assert!(RefreshToken::parse(&key(), bad).is_none(), "{bad}");
        }
        assert!(RefreshToken::parse(&key(), &format!("agnr_{}", "A".repeat(100_000))).is_none());
    }

    #[test]
    fn only_the_predecessor_opens_its_successor() {
        let first = RefreshToken::new(&key(), Uuid::from_u128(9));
        let second = RefreshToken::new(&key(), Uuid::from_u128(9));
        let sealed = second.seal_under(&first);
        assert!(first.open_successor(&sealed).unwrap() == second);
        assert!(second.open_successor(&sealed).is_none());
    }

    #[test]
    fn rotation_repetition_and_reuse() {
        let at = |seconds| DateTime::from_timestamp(seconds, 0).unwrap();
        let stored = StoredTokens { current: b"new", previous: Some(b"old"), rotated_at: at(1000) };
        let check =
            |hash: &[u8], grace, now| decide(hash, &stored, Duration::seconds(grace), at(now));
        assert_eq!(check(b"new", 60, 9000), Decision::Rotate);
        assert_eq!(check(b"old", 60, 1060), Decision::Repeat);
        assert_eq!(check(b"old", 60, 1061), Decision::Reused);
        assert_eq!(check(b"old", 0, 1000), Decision::Reused);
        assert_eq!(check(b"older", 60, 1000), Decision::Reused);
    }
}
