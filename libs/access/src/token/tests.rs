use jsonwebtoken::{EncodingKey, Header};
use serde_json::{Value, json};

use super::*;

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

fn claims() -> Claims {
    let iat = now().timestamp();
    Claims {
        sid: Some(Uuid::from_u128(2)),
        auth_time: iat - 60,
        roles: vec!["player".into(), "judge".into(), "from-the-future".into()],
        scope: "b a".into(),
        epoch: 4,
        amr: vec!["pwd".into()],
        ..Claims::new("user", Uuid::from_u128(1), "ada", Uuid::from_u128(3), iat, 300)
    }
}

fn key() -> SigningKey {
    SigningKey::from_seed([1; 32])
}

fn verify(token: &str) -> Result<Principal, Rejection> {
    KeySet::new([key().public()]).verify(token, now())
}

#[track_caller]
fn refused(token: &str, why: Rejection) {
    assert_eq!(verify(token), Err(why), "{token}");
}

/// A token with these bytes as header and claims, signed by the accepted key.
fn raw(header: &str, claims: &[u8]) -> String {
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let signature = key().sign(signed.as_bytes());
    format!("{signed}.{signature}")
}

fn with_header(header: &str) -> String {
    raw(header, &serde_json::to_vec(&claims()).unwrap())
}

fn with_claims(claims: &[u8]) -> String {
    raw(&format!(r#"{{"alg":"EdDSA","kid":"{}","typ":"at+jwt"}}"#, key().kid()), claims)
}

#[test]
fn a_valid_token_yields_its_principal() {
    let principal = verify(&sign(&key(), ACCESS, &claims())).unwrap();
    assert_eq!((principal.kind, principal.name.as_str()), (Kind::User, "ada"));
    assert_eq!(principal.roles, [Role::Player, Role::Judge]);
    assert_eq!(principal.scopes, ["a", "b"]);
    assert!(principal.has("challenge.source.get") && !principal.has("auth.binding.create"));
}

#[test]
fn every_other_header_is_refused() {
    let kid = key().kid().to_owned();
    assert!(
        verify(&with_header(&format!(r#"{{"alg":"EdDSA","kid":"{kid}","typ":"at+jwt"}}"#))).is_ok()
    );
    for header in [
        r#"{"alg":"none"}"#.to_owned(),
        format!(r#"{{"alg":"none","kid":"{kid}","typ":"at+jwt"}}"#),
        format!(r#"{{"alg":"HS256","kid":"{kid}","typ":"at+jwt"}}"#),
        format!(r#"{{"alg":"ES256","kid":"{kid}","typ":"at+jwt"}}"#),
        format!(r#"{{"alg":"EdDSA","kid":"{kid}","typ":"JWT"}}"#),
        format!(r#"{{"alg":"EdDSA","kid":"{kid}"}}"#),
        format!(r#"{{"alg":"EdDSA","kid":"{kid}x","typ":"at+jwt"}}"#),
        r#"{"alg":"EdDSA","kid":"../../dev/null","typ":"at+jwt"}"#.to_owned(),
        r#"{"alg":"EdDSA","typ":"at+jwt"}"#.to_owned(),
        format!(r#"{{"alg":"EdDSA","kid":"{kid}","typ":"at+jwt","jku":"https://evil.example"}}"#),
        format!(r#"{{"alg":"EdDSA","kid":"{kid}","typ":"at+jwt","x5u":"https://evil.example"}}"#),
        format!(r#"{{"alg":"EdDSA","kid":"{kid}","typ":"at+jwt","crit":["exp"]}}"#),
        format!(r#"{{"alg":"EdDSA","kid":"{kid}","typ":"at+jwt","b64":false,"crit":["b64"]}}"#),
        format!(r#"{{"alg":"EdDSA","kid":"{kid}","typ":"at+jwt","jwk":{{"kty":"OKP"}}}}"#),
        format!(r#"{{"alg":"EdDSA","alg":"none","kid":"{kid}","typ":"at+jwt"}}"#),
        format!(r#" {{"alg":"EdDSA","kid":"{kid}","typ":"at+jwt"}}"#),
        format!(r#"{{"typ":"at+jwt","kid":"{kid}","alg":"EdDSA"}}"#),
        String::new(),
    ] {
        refused(&with_header(&header), Rejection::Malformed);
    }
}

#[test]
fn the_public_key_is_not_an_hmac_secret() {
    // HS256 with the public key as the secret, under its own header and under the accepted one.
    let public = key().public();
    let header = Header {
        typ: Some(ACCESS.into()),
        kid: Some(public.kid().into()),
        ..Header::new(Algorithm::HS256)
    };
    let secret = EncodingKey::from_secret(public.bytes()).unwrap();
    let token = jsonwebtoken::encode(&header, &claims(), &secret).unwrap();
    refused(&token, Rejection::Malformed);
    let token = sign(&key(), ACCESS, &claims());
    let (signed, _) = token.rsplit_once('.').unwrap();
    let tag = jsonwebtoken::crypto::sign(signed.as_bytes(), &secret, Algorithm::HS256).unwrap();
    refused(&format!("{signed}.{tag}"), Rejection::Malformed);
}

#[test]
fn tampered_and_foreign_tokens_are_refused() {
    let token = sign(&key(), ACCESS, &claims());
    for position in 0..token.len() {
        let mut bytes = token.clone().into_bytes();
        bytes[position] = if bytes[position] == b'A' { b'B' } else { b'A' };
        let tampered = String::from_utf8(bytes).unwrap();
        assert!(verify(&tampered).is_err(), "byte {position}");
    }
    refused(&sign(&SigningKey::from_seed([2; 32]), ACCESS, &claims()), Rejection::Malformed);
    refused(&sign(&key(), ASSERTION, &claims()), Rejection::Malformed);
    let (head, signature) = token.rsplit_once('.').unwrap();
    for bad in [
        String::new(),
        ".".into(),
        "..".into(),
        "a.b".into(),
        head.to_owned(),
        format!("{head}."),
        format!("{token}="),
        format!("{token}."),
        format!(".{token}"),
        format!("{head}.{signature}.{signature}"),
        format!("{head}.{}", &signature[..85]),
        format!("{head}.{}", signature.replace('_', "/").replace('-', "+") + "=="),
        format!("{token} "),
        format!("{token}\n"),
        "é".repeat(100),
        "a".repeat(MAX_LENGTH + 1),
    ] {
        refused(&bad, Rejection::Malformed);
    }
}

#[test]
fn an_oversized_token_is_refused_despite_its_signature() {
    let long = Claims { client_id: "x".repeat(MAX_LENGTH), ..claims() };
    refused(&sign(&key(), ACCESS, &long), Rejection::Malformed);
}

#[test]
fn invalid_claims_are_refused() {
    let check = |change: fn(&mut Claims), why| {
        let mut claims = claims();
        change(&mut claims);
        refused(&sign(&key(), ACCESS, &claims), why);
    };
    check(|c| c.iss = "evil".into(), Rejection::Malformed);
    check(|c| c.aud = "other".into(), Rejection::WrongAudience);
    check(|c| c.kind = "god".into(), Rejection::Malformed);
    check(|c| c.sid = None, Rejection::Malformed);
    check(|c| c.kind = "service".into(), Rejection::Malformed);
    check(|c| c.exp = c.iat + MAX_LIFETIME + 1, Rejection::Malformed);
    check(|c| c.exp = i64::MAX, Rejection::Malformed);
    check(|c| c.exp = -1, Rejection::Malformed);
    check(|c| c.iat = i64::MIN, Rejection::Malformed);
    check(|c| c.exp = c.iat - 1, Rejection::Malformed);
    check(|c| c.auth_time = i64::MAX, Rejection::Malformed);
    check(|c| (c.iat, c.exp) = (c.iat + 31, c.exp + 31), Rejection::Malformed);
    check(|c| c.nbf = Some(c.iat + 31), Rejection::Malformed);
    check(|c| c.nbf = Some(i64::MAX), Rejection::Malformed);
    check(|c| (c.iat, c.exp) = (c.iat - 330, c.exp - 330), Rejection::Expired);
}

#[test]
fn clock_skew_is_accepted_within_the_leeway() {
    let (iat, exp) = (claims().iat, claims().exp);
    for accepted in [
        Claims { iat: iat - 329, exp: exp - 329, ..claims() },
        Claims { iat: iat + 30, exp: exp + 30, ..claims() },
        Claims { nbf: Some(iat + 30), ..claims() },
        Claims { nbf: Some(i64::MIN), ..claims() },
    ] {
        assert!(verify(&sign(&key(), ACCESS, &accepted)).is_ok(), "{accepted:?}");
    }
}

#[test]
fn incomplete_and_mistyped_claims_are_refused() {
    let whole = serde_json::to_value(claims()).unwrap();
    let refuse = |claims: &Value| refused(&sign(&key(), ACCESS, claims), Rejection::Malformed);
    for required in ["iss", "aud", "sub", "client_id", "kind", "iat", "exp", "auth_time", "jti"] {
        let mut value = whole.clone();
        value.as_object_mut().unwrap().remove(required);
        refuse(&value);
        for wrong in [json!({"nested": true}), json!(null), json!([ISSUER, "other"]), json!(1.5)] {
            value[required] = wrong;
            refuse(&value);
        }
    }
    for time in ["iat", "exp", "nbf"] {
        let mut value = whole.clone();
        value[time] = json!("1800000000");
        refuse(&value);
    }
    refuse(&json!("text"));
}

#[test]
fn claims_must_be_one_json_object() {
    let good = serde_json::to_string(&claims()).unwrap();
    assert!(verify(&with_claims(good.as_bytes())).is_ok());
    let twice = good.replacen('{', r#"{"exp":9999999999,"#, 1);
    for bad in ["", "{", "[]", "null", &format!("{good}x"), &format!("{good}{good}"), &twice] {
        refused(&with_claims(bad.as_bytes()), Rejection::Malformed);
    }
    refused(&with_claims(b"\xff\xfe"), Rejection::Malformed);
}
