//! Credentials of the Contest API: HTTP basic authentication beside access tokens.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::AUTHORIZATION;
use http::{HeaderMap, StatusCode};
use sha2::{Digest as _, Sha256};
use tonic::Code;

use crate::failure::Failure;
use crate::headers;

/// Sessions of this process. Hashing a password at every request would be slow.
const SESSIONS: usize = 4096;
/// An access token is not used in its last seconds, so that it does not expire during a request.
const MARGIN: Duration = Duration::from_secs(30);

#[derive(Debug, PartialEq, Eq)]
pub enum Credential {
    Anonymous,
    Token(String),
    Password { username: String, password: String },
}

impl Credential {
    /// An access token is accepted as the password of any username, because the tools of ICPC send basic authentication
    /// only.
    pub fn of(headers: &HeaderMap) -> Result<Self, Failure> {
        let Some(value) = headers::single(headers, &AUTHORIZATION)? else {
            return Ok(Credential::Anonymous);
        };
        let parsed = value.to_str().ok().and_then(|text| {
            let (scheme, rest) = text.split_once(' ')?;
            let rest = rest.trim();
            if scheme.eq_ignore_ascii_case("bearer") {
                return Some(Credential::Token(rest.to_owned()));
            }
            let basic = scheme.eq_ignore_ascii_case("basic");
            let bytes = STANDARD.decode(rest).ok().filter(|_| basic)?;
            let text = String::from_utf8(bytes).ok()?;
            let (username, password) = text.split_once(':')?;
            Some(if is_token(password) {
                Credential::Token(password.to_owned())
            } else {
                Credential::Password { username: username.into(), password: password.into() }
            })
        });
        parsed.ok_or_else(|| {
            let message = "Authorization must be Basic with username and password, or Bearer";
            let (http, code) = (StatusCode::UNAUTHORIZED, Code::Unauthenticated);
            Failure::new(http, code, "CREDENTIAL_MALFORMED", message)
        })
    }
}

/// Whether the text has the form of an access token: a JSON Web Token.
fn is_token(text: &str) -> bool {
    let parts: Vec<&str> = text.split('.').collect();
    let part = |part: &&str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
    };
    text.starts_with("eyJ") && parts.len() == 3 && parts.iter().all(part)
}

/// Access tokens by the SHA-256 of username and password. Services still check each token, so that a session that has
/// ended gives no access.
#[derive(Debug, Default)]
pub struct Sessions(Mutex<HashMap<[u8; 32], (String, Instant)>>);

impl Sessions {
    pub fn key(username: &str, password: &str) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update((username.len() as u64).to_be_bytes());
        hash.update(username);
        hash.update(password);
        hash.finalize().into()
    }

    pub fn get(&self, key: &[u8; 32], now: Instant) -> Option<String> {
        let sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.get(key).filter(|(_, until)| *until > now).map(|(token, _)| token.clone())
    }

    pub fn put(&self, key: [u8; 32], token: String, lifetime: Duration, now: Instant) {
        let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if sessions.len() >= SESSIONS {
            sessions.retain(|_, (_, until)| *until > now);
        }
        if sessions.len() < SESSIONS {
            sessions.insert(key, (token, now + lifetime.saturating_sub(MARGIN)));
        }
    }

    /// Forgets a token that a service refused.
    pub fn remove(&self, token: &str) {
        let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.retain(|_, (known, _)| known != token);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(value: &str) -> Option<Credential> {
        Credential::of(&HeaderMap::from_iter([(AUTHORIZATION, value.parse().unwrap())])).ok()
    }

    #[test]
    fn credentials_are_read() {
        let basic = |text: &str| of(&format!("Basic {}", STANDARD.encode(text)));
        let password = |username: &str, password: &str| {
            Some(Credential::Password { username: username.into(), password: password.into() })
        };
        assert_eq!(basic("ada:a:b c"), password("ada", "a:b c"));
        assert_eq!(basic("ada:"), password("ada", ""));
        assert_eq!(basic("x:eyJh.b-1.c_2"), Some(Credential::Token("eyJh.b-1.c_2".into())));
        assert_eq!(basic("x:eyJh.b"), password("x", "eyJh.b"));
        assert_eq!(of("bearer abc"), Some(Credential::Token("abc".into())));
        assert_eq!(Credential::of(&HeaderMap::new()).ok(), Some(Credential::Anonymous));
        for malformed in ["Basic", "Basic ?", "Digest abc", "Basic YWJj", "Basic /////w=="] {
            assert_eq!(of(malformed), None, "{malformed}");
        }
    }

    #[test]
    fn sessions_expire_and_are_forgotten() {
        let (sessions, now) = (Sessions::default(), Instant::now());
        let key = Sessions::key("ada", "secret");
        assert_ne!(key, Sessions::key("adas", "ecret"));
        sessions.put(key, "token".into(), Duration::from_secs(90), now);
        assert_eq!(sessions.get(&key, now).as_deref(), Some("token"));
        assert_eq!(sessions.get(&key, now + Duration::from_secs(61)), None);
        sessions.remove("token");
        assert_eq!(sessions.get(&key, now), None);
        for n in 0..2 * SESSIONS {
            sessions.put(Sessions::key("ada", &n.to_string()), String::new(), MARGIN * 2, now);
        }
        assert_eq!(sessions.0.lock().unwrap().len(), SESSIONS);
        sessions.put(key, "token".into(), MARGIN * 2, now + MARGIN * 3);
        assert_eq!(sessions.0.lock().unwrap().len(), 1);
    }
}
