//! Keys derived from the root secret; sealed values and one-time codes.

use aws_lc_rs::aead::{AES_256_GCM, Aad, RandomizedNonceKey};
use aws_lc_rs::{digest, hmac, rand};
use rpc::RootSecret;
use uuid::Uuid;

/// Length of the nonce that precedes a sealed value.
const NONCE: usize = 12;

/// Crockford's base 32, in which no letter looks like a digit.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// Length of a code in characters, of 5 bits each.
const CODE: usize = 20;

/// One key per purpose.
pub struct Secrets {
    /// Wraps private signing keys.
    pub wrapping: [u8; 32],
    /// Authenticates refresh tokens.
    pub refresh: hmac::Key,
    /// Authenticates device tokens.
    pub device: hmac::Key,
    /// Derives invitation codes from ids.
    pub invitation: hmac::Key,
}

impl Secrets {
    pub fn new(root: &RootSecret) -> Self {
        let mac = |purpose| hmac::Key::new(hmac::HMAC_SHA256, &root.derive(purpose));
        Self {
            wrapping: root.derive("auth/signing-key-wrapping"),
            refresh: mac("auth/refresh-token"),
            device: mac("auth/device-token"),
            invitation: mac("auth/invitation-code"),
        }
    }

    /// The code of an invitation. Derived, so that it need not be stored.
    pub fn invitation_code(&self, id: Uuid) -> String {
        code_of(hmac::sign(&self.invitation, id.as_bytes()).as_ref())
    }
}

/// From a cryptographically secure source.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).expect("the system's random source answers");
    bytes
}

pub fn sha256(bytes: &[u8]) -> Vec<u8> {
    digest::digest(&digest::SHA256, bytes).as_ref().to_vec()
}

/// A new random code, to be typed by people.
pub fn new_code() -> String {
    code_of(&random::<CODE>())
}

/// The hash under which a code is stored; `None` for a text that cannot be a code. Ignores case,
/// spaces, hyphens and look-alike letters.
pub fn code_hash(typed: &str) -> Option<Vec<u8>> {
    let typed = typed.chars().filter(|c| !c.is_whitespace() && *c != '-');
    let mut plain = String::with_capacity(CODE);
    for c in typed.take(CODE + 1) {
        plain.push(match c.to_ascii_uppercase() {
            'O' => '0',
            'I' | 'L' => '1',
            c if u8::try_from(c).is_ok_and(|c| ALPHABET.contains(&c)) => c,
            _ => return None,
        });
    }
    (plain.len() == CODE).then(|| sha256(plain.as_bytes()))
}

/// Five bits of each of the first 20 bytes, in groups of five.
fn code_of(bytes: &[u8]) -> String {
    let mut code = String::with_capacity(CODE + 3);
    for (index, byte) in bytes.iter().take(CODE).enumerate() {
        if index > 0 && index % 5 == 0 {
            code.push('-');
        }
        code.push(char::from(ALPHABET[usize::from(byte % 32)]));
    }
    code
}

/// Encrypts and authenticates a value (AES-256-GCM) for one purpose.
pub fn seal(key: &[u8; 32], purpose: &[u8], value: &[u8]) -> Vec<u8> {
    let key = RandomizedNonceKey::new(&AES_256_GCM, key).expect("32 bytes are a key");
    let mut sealed = value.to_vec();
    let nonce = key.seal_in_place_append_tag(Aad::from(purpose), &mut sealed);
    let nonce = nonce.expect("short values can be sealed");
    let mut out = nonce.as_ref().to_vec();
    out.append(&mut sealed);
    out
}

/// Decrypts the result of [`seal`]; `None` if key, purpose or value do not match.
pub fn open(key: &[u8; 32], purpose: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    let (nonce, sealed) = sealed.split_at_checked(NONCE)?;
    let key = RandomizedNonceKey::new(&AES_256_GCM, key).ok()?;
    let nonce = aws_lc_rs::aead::Nonce::try_assume_unique_for_key(nonce).ok()?;
    let mut value = sealed.to_vec();
    let length = key.open_in_place(nonce, Aad::from(purpose), &mut value).ok()?.len();
    value.truncate(length);
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sealed_values_open_for_their_purpose_only() {
        let sealed = seal(&[1; 32], b"a", b"value");
        assert_ne!(sealed, seal(&[1; 32], b"a", b"value"));
        assert_eq!(open(&[1; 32], b"a", &sealed).as_deref(), Some(&b"value"[..]));
        assert_eq!(open(&[2; 32], b"a", &sealed), None);
        assert_eq!(open(&[1; 32], b"b", &sealed), None);
        assert_eq!(open(&[1; 32], b"a", &sealed[1..]), None);
        assert_eq!(open(&[1; 32], b"a", b""), None);
    }

    #[test]
    fn codes_ignore_case_and_separators() {
        let code = new_code();
        assert_eq!(code.len(), 23);
        assert!(code_hash(&code).is_some());
        assert_eq!(code_hash(&code), code_hash(&format!(" {} ", code.to_lowercase())));
        assert_eq!(code_hash(&code), code_hash(&code.replace('-', "").replace('0', "o")));
        assert_ne!(code_hash(&code), code_hash(&new_code()));
        for bad in ["", "x", &code[1..], &format!("{code}0"), &format!("{}U", &code[1..]), "ü"] {
            assert_eq!(code_hash(bad), None, "{bad}");
        }
    }

    #[test]
    fn invitation_codes_are_derived() {
        let secrets = Secrets::new(&RootSecret::from_bytes([1; 32]));
        let other = Secrets::new(&RootSecret::from_bytes([2; 32]));
        let id = Uuid::from_u128(7);
        assert_eq!(secrets.invitation_code(id), secrets.invitation_code(id));
        assert_ne!(secrets.invitation_code(id), other.invitation_code(id));
    }
}
