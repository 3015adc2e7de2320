use super::*;

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

fn claims() -> Claims {
    let iat = now().timestamp();
    Claims {
        iss: ISSUER.into(),
        aud: ISSUER.into(),
        sub: Uuid::from_u128(1),
        client_id: "ada".into(),
        kind: "user".into(),
        sid: Some(Uuid::from_u128(2)),
        iat,
        exp: iat + 300,
        auth_time: iat - 60,
        jti: Uuid::from_u128(3),
        roles: vec!["player".into(), "judge".into(), "from-the-future".into()],
        scope: "b a".into(),
        epoch: 4,
        amr: vec!["pwd".into()],
    }
}

fn key() -> SigningKey {
    SigningKey::from_seed([1; 32])
}

fn keys() -> KeySet {
    KeySet::new(ACCESS, [key().public()])
}

#[track_caller]
fn refused(token: &str, why: Rejection) {
    assert_eq!(keys().verify(token, now()), Err(why), "{token}");
}

fn with_header(header: &str, key: &SigningKey) -> String {
    let signed = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(header),
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(&claims()).unwrap())
    );
    let signature = URL_SAFE_NO_PAD.encode(key.sign(signed.as_bytes()));
    format!("{signed}.{signature}")
}

#[test]
fn a_good_token_speaks() {
    let token = sign(&key(), ACCESS, &claims());
    let principal = keys().verify(&token, now()).unwrap();
    assert_eq!((principal.kind, principal.name.as_str()), (Kind::User, "ada"));
    assert_eq!(principal.roles, [Role::Player, Role::Judge]);
    assert_eq!(principal.scopes, ["a", "b"]);
    assert!(principal.has("challenge.source.get") && !principal.has("auth.binding.create"));
}

#[test]
fn every_other_header_is_refused() {
    let kid = key().public().kid();
    let good = format!(r#"{{"alg":"EdDSA","kid":"{kid}","typ":"at+jwt"}}"#);
    assert!(keys().verify(&with_header(&good, &key()), now()).is_ok());
    for header in [
        r#"{"alg":"none"}"#.to_owned(),
        format!(r#"{{"alg":"none","kid":"{kid}","typ":"at+jwt"}}"#),
        format!(r#"{{"alg":"HS256","kid":"{kid}","typ":"at+jwt"}}"#),
        format!(r#"{{"alg":"EdDSA","kid":"{kid}","typ":"JWT"}}"#),
        format!(r#"{{"alg":"EdDSA","kid":"{kid}x","typ":"at+jwt"}}"#),
        r#"{"alg":"EdDSA","kid":"../../dev/null","typ":"at+jwt"}"#.to_string(),
        format!(r#"{{"alg":"EdDSA","kid":"{kid}","typ":"at+jwt","jku":"https://evil.example"}}"#),
        format!(r#"{{"alg":"EdDSA","kid":"{kid}","typ":"at+jwt","crit":["exp"]}}"#),
        format!(r#"{{"alg":"EdDSA","kid":"{kid}","typ":"at+jwt","jwk":{{"kty":"OKP"}}}}"#),
        format!(r#" {{"alg":"EdDSA","kid":"{kid}","typ":"at+jwt"}}"#),
        format!(r#"{{"typ":"at+jwt","kid":"{kid}","alg":"EdDSA"}}"#),
        String::new(),
    ] {
        refused(&with_header(&header, &key()), Rejection::Malformed);
    }
}

#[test]
fn the_public_key_is_no_shared_secret() {
    // HS256 with the public key as the secret, under the true header and under its own.
    let token = sign(&key(), ACCESS, &claims());
    let (signed, _) = token.rsplit_once('.').unwrap();
    let hmac_key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, key().public().bytes());
    let tag = aws_lc_rs::hmac::sign(&hmac_key, signed.as_bytes());
    refused(&format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag)), Rejection::Malformed);
}

#[test]
fn tampering_and_foreign_keys() {
    let token = sign(&key(), ACCESS, &claims());
    for position in 0..token.len() {
        let mut bytes = token.clone().into_bytes();
        bytes[position] = if bytes[position] == b'A' { b'B' } else { b'A' };
        let tampered = String::from_utf8(bytes).unwrap();
        assert!(keys().verify(&tampered, now()).is_err(), "byte {position}");
    }
    let other = SigningKey::from_seed([2; 32]);
    refused(&sign(&other, ACCESS, &claims()), Rejection::Malformed);
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
        format!("{token} "),
        "é".repeat(100),
        "a".repeat(MAX_LENGTH + 1),
    ] {
        refused(&bad, Rejection::Malformed);
    }
}

#[test]
fn a_long_token_is_refused_though_well_signed() {
    let long = Claims { client_id: "x".repeat(MAX_LENGTH), ..claims() };
    refused(&sign(&key(), ACCESS, &long), Rejection::Malformed);
}

#[test]
fn what_the_claims_say() {
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
    check(|c| c.iat = i64::MIN, Rejection::Malformed);
    check(|c| c.exp = c.iat - 1, Rejection::Malformed);
    check(|c| c.auth_time = i64::MAX, Rejection::Malformed);
    check(|c| (c.iat, c.exp) = (c.iat + 31, c.exp + 31), Rejection::Malformed);
    check(|c| (c.iat, c.exp) = (c.iat - 330, c.exp - 330), Rejection::Expired);
    let leeway = Claims { iat: claims().iat - 329, exp: claims().exp - 329, ..claims() };
    assert!(keys().verify(&sign(&key(), ACCESS, &leeway), now()).is_ok());
}

#[test]
fn claims_must_be_whole() {
    let whole = serde_json::to_value(claims()).unwrap();
    for required in ["iss", "aud", "sub", "client_id", "kind", "iat", "exp", "auth_time", "jti"] {
        let mut value = whole.clone();
        value.as_object_mut().unwrap().remove(required);
        refused(&sign(&key(), ACCESS, &value), Rejection::Malformed);
        value[required] = serde_json::json!({"nested": true});
        refused(&sign(&key(), ACCESS, &value), Rejection::Malformed);
    }
    refused(&sign(&key(), ACCESS, &"text"), Rejection::Malformed);
}
