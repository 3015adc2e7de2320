//! Ed25519 keys that sign and verify tokens, and their JWK form.

use std::fmt;

use aws_lc_rs::encoding::AsBigEndian;
use aws_lc_rs::rand;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::crypto::{self, aws_lc};
use jsonwebtoken::jwk::{
    AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse, ThumbprintHash,
};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey};
use proto::auth::JsonWebKey;

const PEM_HEAD: &str = "-----BEGIN PRIVATE KEY-----";
const PEM_TAIL: &str = "-----END PRIVATE KEY-----";

/// The input is not an Ed25519 key.
#[derive(Debug, thiserror::Error)]
#[error(
    "not an Ed25519 key; private keys must be PKCS#8 PEM, as written by `openssl genpkey -algorithm ed25519`"
)]
pub struct KeyError;

/// A private key. Its memory is zeroed on drop.
pub struct SigningKey {
    /// PKCS#8 v1 DER, which ends with the seed.
    encoding: EncodingKey,
    public: PublicKey,
}

impl SigningKey {
    /// A new key from the system's random source.
    pub fn generate() -> Self {
        let mut seed = [0; 32];
        rand::fill(&mut seed).expect("the system's random source answers");
        Self::from_seed(seed)
    }

    pub fn from_seed(seed: [u8; 32]) -> Self {
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).expect("any 32 bytes are a seed");
        let der = pair.to_pkcs8v1().expect("an Ed25519 key has a PKCS#8 form");
        let encoding = EncodingKey::from_ed_der(der.as_ref());
        let public = PublicKey::from_bytes(pair.public_key().as_ref());
        let public = public.expect("an Ed25519 public key has 32 bytes");
        Self { encoding, public }
    }

    /// The secret seed, for wrapping.
    pub fn seed(&self) -> &[u8; 32] {
        self.encoding.as_bytes().last_chunk().expect("PKCS#8 v1 ends with the seed")
    }

    /// Reads PKCS#8 PEM. The PEM feature of `jsonwebtoken` would add the crate `time`.
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        let body = text.trim().strip_prefix(PEM_HEAD).and_then(|rest| rest.strip_suffix(PEM_TAIL));
        let body: String = body.ok_or(KeyError)?.split_ascii_whitespace().collect();
        let der = STANDARD.decode(body).map_err(|_| KeyError)?;
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der).map_err(|_| KeyError)?;
        let seed = pair.seed().and_then(|seed| seed.as_be_bytes()).map_err(|_| KeyError)?;
        Ok(Self::from_seed(seed.as_ref().try_into().map_err(|_| KeyError)?))
    }

    /// Writes PKCS#8 PEM.
    pub fn to_pem(&self) -> String {
        format!("{PEM_HEAD}\n{}\n{PEM_TAIL}\n", STANDARD.encode(self.encoding.as_bytes()))
    }

    pub fn public(&self) -> PublicKey {
        self.public.clone()
    }

    /// The public key's RFC 7638 thumbprint.
    pub fn kid(&self) -> &str {
        self.public.kid()
    }

    /// The signature of `message` in base64url without padding.
    pub(crate) fn sign(&self, message: &[u8]) -> String {
        crypto::sign(message, &self.encoding, Algorithm::EdDSA).expect("an Ed25519 key signs")
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.kid())
    }
}

#[derive(Clone, Debug)]
pub struct PublicKey {
    bytes: [u8; 32],
    kid: String,
    decoding: DecodingKey,
}

impl PublicKey {
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, KeyError> {
        // Every key is made here. The explicit choice still holds if another crate enables a second
        // backend of `jsonwebtoken`; an error only means that a provider is installed already.
        let _ = aws_lc::DEFAULT_PROVIDER.install_default();
        let decoding = DecodingKey::from_ed_der(bytes);
        let bytes = bytes.try_into().map_err(|_| KeyError)?;
        let jwk = Jwk::from_decoding_key(&decoding, Some(Algorithm::EdDSA));
        let kid = jwk.and_then(|jwk| jwk.thumbprint(ThumbprintHash::SHA256));
        Ok(Self { bytes, kid: kid.map_err(|_| KeyError)?, decoding })
    }

    pub fn bytes(&self) -> &[u8; 32] {
        &self.bytes
    }

    /// The RFC 7638 thumbprint (SHA-256).
    pub fn kid(&self) -> &str {
        &self.kid
    }

    pub(crate) fn decoding(&self) -> &DecodingKey {
        &self.decoding
    }
}

impl From<&PublicKey> for JsonWebKey {
    fn from(key: &PublicKey) -> Self {
        Self {
            kty: "OKP".to_owned(),
            crv: "Ed25519".to_owned(),
            x: URL_SAFE_NO_PAD.encode(key.bytes),
            kid: key.kid.clone(),
            r#use: "sig".to_owned(),
            alg: "EdDSA".to_owned(),
        }
    }
}

impl TryFrom<&JsonWebKey> for PublicKey {
    type Error = KeyError;

    /// Accepts Ed25519 keys for EdDSA signatures only. The `kid` is computed, not copied.
    fn try_from(key: &JsonWebKey) -> Result<Self, KeyError> {
        let members = serde_json::json!({
            "kty": key.kty, "crv": key.crv, "x": key.x, "use": key.r#use, "alg": key.alg,
        });
        let jwk: Jwk = serde_json::from_value(members).map_err(|_| KeyError)?;
        let usable = jwk.common.public_key_use == Some(PublicKeyUse::Signature)
            && jwk.common.key_algorithm == Some(KeyAlgorithm::EdDSA)
            && matches!(&jwk.algorithm, AlgorithmParameters::OctetKeyPair(pair)
                if pair.curve == EllipticCurve::Ed25519);
        if !usable {
            return Err(KeyError);
        }
        let key = DecodingKey::from_jwk(&jwk).map_err(|_| KeyError)?;
        Self::from_bytes(key.try_get_as_bytes().map_err(|_| KeyError)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kid_is_the_thumbprint_of_rfc_8037() {
        // RFC 8037, appendix A.2 and A.3.
        let mut key = JsonWebKey::from(&SigningKey::generate().public());
        key.x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo".into();
        let key = PublicKey::try_from(&key).unwrap();
        assert_eq!(key.kid(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }

    #[test]
    fn only_ed25519_signature_keys_are_read() {
        let good = JsonWebKey::from(&SigningKey::generate().public());
        let read = |change: fn(&mut JsonWebKey)| {
            let mut key = good.clone();
            change(&mut key);
            PublicKey::try_from(&key)
        };
        assert_eq!(read(|_| {}).unwrap().kid(), good.kid);
        assert!(read(|key| key.kty = "oct".into()).is_err());
        assert!(read(|key| key.kty = "EC".into()).is_err());
        assert!(read(|key| key.crv = "P-256".into()).is_err());
        assert!(read(|key| key.crv = "Ed448".into()).is_err());
        assert!(read(|key| key.alg = "HS256".into()).is_err());
        assert!(read(|key| key.alg = "none".into()).is_err());
        assert!(read(|key| key.r#use = "enc".into()).is_err());
        assert!(read(|key| key.x.push('=')).is_err());
        assert!(read(|key| key.x.truncate(40)).is_err());
        assert!(read(|key| key.x.clear()).is_err());
    }

    #[test]
    fn pem_round_trip() {
        let key = SigningKey::generate();
        let again = SigningKey::from_pem(&key.to_pem()).unwrap();
        assert_eq!(key.seed(), again.seed());
        assert_eq!(key.sign(b"m"), again.sign(b"m"));
        for bad in ["", "x", PEM_HEAD, &key.to_pem().replace("MC", "AA")] {
            assert!(SigningKey::from_pem(bad).is_err(), "{bad}");
        }
        assert!(!format!("{key:?}").contains(&key.to_pem()[30..60]));
    }

    #[test]
    fn pem_of_rfc_8410_is_read() {
        // RFC 8410, section 10.3.
        let text = "-----BEGIN PRIVATE KEY-----\n\
                    MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
                    -----END PRIVATE KEY-----";
        let key = JsonWebKey::from(&SigningKey::from_pem(text).unwrap().public());
        assert_eq!(key.x, "Gb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE");
    }
}
