//! Device tokens: proof that a device has signed in to an account before.
//!
//! A token is `agnd_` and the base64url of the user's id, a random id of the device and a MAC. It
//! replaces no secret: it only gives the device its own budget of failed sign-ins.

use aws_lc_rs::{constant_time, hmac};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

use crate::secret;

const PREFIX: &str = "agnd_";
const ID: usize = 16;
const BODY: usize = 2 * ID;
const TAG: usize = 16;

/// A device of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Device {
    pub user_id: Uuid,
    pub id: Uuid,
}

impl Device {
    pub fn new(user_id: Uuid) -> Self {
        Self { user_id, id: Uuid::from_bytes(secret::random()) }
    }

    /// Parses a token; `None` if it was not issued by this installation.
    pub fn parse(key: &hmac::Key, token: &str) -> Option<Self> {
        let body = token.strip_prefix(PREFIX).filter(|body| body.len() < 100)?;
        let bytes: [u8; BODY + TAG] = URL_SAFE_NO_PAD.decode(body).ok()?.try_into().ok()?;
        let (body, theirs) = bytes.split_at(BODY);
        let tag = hmac::sign(key, body);
        constant_time::verify_slices_are_equal(&tag.as_ref()[..TAG], theirs).ok()?;
        let (user_id, id) = body.split_at(ID);
        Some(Self { user_id: Uuid::from_slice(user_id).ok()?, id: Uuid::from_slice(id).ok()? })
    }

    pub fn token(&self, key: &hmac::Key) -> String {
        let mut bytes = [self.user_id.as_bytes().as_slice(), self.id.as_bytes()].concat();
        let tag = hmac::sign(key, &bytes);
        bytes.extend_from_slice(&tag.as_ref()[..TAG]);
        format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_own_tokens_are_read() {
        let key = |byte| hmac::Key::new(hmac::HMAC_SHA256, &[byte; 32]);
        let device = Device::new(Uuid::from_u128(7));
        let token = device.token(&key(1));
        assert_eq!(Device::parse(&key(1), &token), Some(device));
        assert_ne!(device, Device::new(Uuid::from_u128(7)));
        assert_eq!(Device::parse(&key(2), &token), None);
        for bad in ["", "agnd_", &token[5..], &token[..30], &format!("{token}A")] {
            assert_eq!(Device::parse(&key(1), bad), None, "{bad}");
        }
    }
}
