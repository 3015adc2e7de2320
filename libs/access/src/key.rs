//! Ed25519 keys: what tokens are signed and verified with.

use std::fmt;

use aws_lc_rs::digest;
use aws_lc_rs::encoding::AsBigEndian;
use aws_lc_rs::rand;
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, ParsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

const PEM_HEAD: &str = "-----BEGIN PRIVATE KEY-----";
const PEM_TAIL: &str = "-----END PRIVATE KEY-----";

/// A text or bytes that are not an Ed25519 key.
#[derive(Debug, thiserror::Error)]
#[error(
    "not an Ed25519 key; give a private key as PKCS#8 PEM, as `openssl genpkey -algorithm ed25519` writes it"
)]
pub struct KeyError;

/// A private key.
pub struct SigningKey {
    pair: Ed25519KeyPair,
    seed: [u8; 32],
}

impl SigningKey {
    /// A new key, from the system's random source.
    #[must_use]
    pub fn generate() -> Self {
        let mut seed = [0; 32];
        rand::fill(&mut seed).expect("the system's random source answers");
        Self::from_seed(seed)
    }

    /// The key with this seed.
    #[must_use]
    pub fn from_seed(seed: [u8; 32]) -> Self {
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).expect("any 32 bytes are a seed");
        Self { pair, seed }
    }

    /// The secret itself, for wrapping.
    #[must_use]
    pub fn seed(&self) -> &[u8; 32] {
        &self.seed
    }

    /// Reads PKCS#8 PEM.
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        let body = text.trim().strip_prefix(PEM_HEAD).and_then(|rest| rest.strip_suffix(PEM_TAIL));
        let body: String = body.ok_or(KeyError)?.split_ascii_whitespace().collect();
        let der = STANDARD.decode(body).map_err(|_| KeyError)?;
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der).map_err(|_| KeyError)?;
        let seed = pair.seed().and_then(|seed| seed.as_be_bytes()).map_err(|_| KeyError)?;
        Ok(Self { pair, seed: seed.as_ref().try_into().map_err(|_| KeyError)? })
    }

    /// Writes PKCS#8 PEM.
    #[must_use]
    pub fn to_pem(&self) -> String {
        let der = self.pair.to_pkcs8v1().expect("a key can be written");
        format!("{PEM_HEAD}\n{}\n{PEM_TAIL}\n", STANDARD.encode(der.as_ref()))
    }

    /// Its public half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        let bytes = self.pair.public_key().as_ref();
        PublicKey::from_bytes(bytes).expect("the public half of a key is a key")
    }

    /// Signs.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.pair.sign(message).as_ref().to_vec()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.public().kid())
    }
}

/// A public key.
#[derive(Clone, Debug)]
pub struct PublicKey {
    bytes: [u8; 32],
    parsed: ParsedPublicKey,
}

impl PublicKey {
    /// The key with these 32 bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, KeyError> {
        let bytes: [u8; 32] = bytes.try_into().map_err(|_| KeyError)?;
        let parsed = ParsedPublicKey::new(&ED25519, bytes).map_err(|_| KeyError)?;
        Ok(Self { bytes, parsed })
    }

    /// The key of a JWK's `x`: base64url without padding.
    pub fn from_x(x: &str) -> Result<Self, KeyError> {
        Self::from_bytes(&URL_SAFE_NO_PAD.decode(x).map_err(|_| KeyError)?)
    }

    /// The 32 bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8; 32] {
        &self.bytes
    }

    /// For a JWK's `x`.
    #[must_use]
    pub fn x(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.bytes)
    }

    /// The RFC 7638 thumbprint: SHA-256 over the required members, in lexical order.
    #[must_use]
    pub fn kid(&self) -> String {
        let jwk = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, self.x());
        URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, jwk.as_bytes()))
    }

    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        self.parsed.verify_sig(message, signature).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thumbprint_of_rfc_8037() {
        // RFC 8037, appendix A.2 and A.3.
        let key = PublicKey::from_x("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo").unwrap();
        assert_eq!(key.kid(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }

    #[test]
    fn pem_round_trip() {
        let key = SigningKey::generate();
        let again = SigningKey::from_pem(&key.to_pem()).unwrap();
        assert_eq!(key.seed(), again.seed());
        assert!(again.public().verifies(b"m", &key.sign(b"m")));
        assert!(!again.public().verifies(b"n", &key.sign(b"m")));
        for bad in ["", "x", PEM_HEAD, &key.to_pem().replace("MC", "AA")] {
            assert!(SigningKey::from_pem(bad).is_err(), "{bad}");
        }
        assert!(!format!("{key:?}").contains(&key.to_pem()[30..60]));
    }

    #[test]
    fn pem_of_openssl() {
        // RFC 8410, section 10.3.
        let text = "-----BEGIN PRIVATE KEY-----\n\
                    MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
                    -----END PRIVATE KEY-----";
        let key = SigningKey::from_pem(text).unwrap();
        assert_eq!(key.public().x(), "Gb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE");
    }
}
