//! The root secret of an installation.

use std::fmt;

use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use aws_lc_rs::rand;

/// 32 random bytes from which all symmetric keys of the installation are derived.
///
/// Never used as a key itself: [`RootSecret::derive`] returns a key for each purpose.
#[derive(Clone)]
pub struct RootSecret([u8; 32]);

/// A text is not a root secret.
#[derive(Debug, thiserror::Error)]
#[error("a root secret must be 64 hexadecimal digits")]
pub struct SecretError;

impl RootSecret {
    pub fn generate() -> Self {
        let mut bytes = [0; 32];
        rand::fill(&mut bytes).expect("the system has a random source");
        Self(bytes)
    }

    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Parses 64 hexadecimal digits; surrounding whitespace is ignored.
    pub fn from_hex(text: &str) -> Result<Self, SecretError> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text.trim(), &mut bytes).map_err(|_| SecretError)?;
        Ok(Self(bytes))
    }

    /// 64 hexadecimal digits.
    pub fn to_hex(&self) -> String {
        hex::encode(self.0)
    }

    /// The key for a purpose (`"page-token"`): HKDF-SHA256 with the purpose as info.
    pub fn derive(&self, purpose: &str) -> [u8; 32] {
        let mut key = [0; 32];
        let info = [purpose.as_bytes()];
        Salt::new(HKDF_SHA256, b"agon/v1")
            .extract(&self.0)
            .expand(&info, HKDF_SHA256)
            .and_then(|okm| okm.fill(&mut key))
            .expect("32 bytes are within HKDF's limit");
        key
    }
}

impl fmt::Debug for RootSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RootSecret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_purpose_has_its_own_key() {
        let secret = RootSecret::from_bytes([7; 32]);
        assert_eq!(secret.derive("a"), secret.derive("a"));
        assert_ne!(secret.derive("a"), secret.derive("b"));
        assert_ne!(secret.derive("a"), RootSecret::generate().derive("a"));
    }

    #[test]
    fn hex_round_trip() {
        let secret = RootSecret::generate();
        let again = RootSecret::from_hex(&format!("{}\n", secret.to_hex())).unwrap();
        assert_eq!(secret.0, again.0);
        assert!(RootSecret::from_hex("abc").is_err());
        assert!(RootSecret::from_hex(&"zz".repeat(32)).is_err());
        assert!(RootSecret::from_hex(&"+1".repeat(32)).is_err());
        assert_eq!(format!("{secret:?}"), "RootSecret(…)");
    }
}
