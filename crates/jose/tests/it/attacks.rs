//! Tokens that must be refused.

use proptest::prelude::*;
use serde_json::{Value, json};
use thv_jose::algorithm::Algorithm;
use thv_jose::digest::base64url;
use thv_jose::jwks::Jwks;
use thv_jose::keyring::KeyRing;
use thv_jose::verify::{Expected, MAX_TOKEN_LEN, Typ, peek_unverified, verify};

use crate::{aws_key, claims, expected, key, signed_with_header, verdict, with_header};

#[test]
fn as_127_none_and_symmetric_algorithms_are_refused() {
    let signer = key(Algorithm::ES256);
    let token = signer.sign("at+jwt", &claims()).unwrap();
    for alg in ["none", "None", "nOnE", "HS256", "HS512", "ES256K", ""] {
        let forged = with_header(&token, &json!({ "alg": alg, "typ": "at+jwt" }).to_string());
        assert_eq!(verdict(&forged, signer.public(), &expected()), "token_algorithm", "{alg}");
        let unsigned = format!("{}.", forged.rsplit_once('.').unwrap().0);
        assert_eq!(verdict(&unsigned, signer.public(), &expected()), "token_algorithm", "{alg}");
    }
    let without = with_header(&token, r#"{"typ":"at+jwt"}"#);
    assert_eq!(verdict(&without, signer.public(), &expected()), "token_algorithm");
}

#[test]
fn an_rsa_public_key_is_no_hmac_secret() {
    use aws_lc_rs::hmac;
    let signer = key(Algorithm::RS256);
    let ring = KeyRing::new(vec![signer]).unwrap();
    let secret = ring.jwks_json();
    let header = json!({ "alg": "HS256", "typ": "at+jwt", "kid": ring.active().kid() }).to_string();
    let input = format!("{}.{}", base64url(header.as_bytes()), base64url(claims().to_string().as_bytes()));
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &secret), input.as_bytes());
    let forged = format!("{input}.{}", base64url(tag.as_ref()));
    assert_eq!(verdict(&forged, &ring, &expected()), "token_algorithm");
}

#[test]
fn the_header_cannot_choose_another_algorithm_than_the_keys() {
    let (ec, rsa) = (key(Algorithm::ES256), key(Algorithm::RS256));
    let token = ec.sign("at+jwt", &claims()).unwrap();
    assert_eq!(verdict(&token, rsa.public(), &expected()), "token_unknown_key");
    // The kid of one key with the algorithm of the other finds nothing.
    let crossed = json!({ "alg": "RS256", "typ": "at+jwt", "kid": ec.kid() }).to_string();
    let crossed = with_header(&token, &crossed);
    // An RS256 key does not verify PS256, although the numbers would fit.
    let padded = rsa.sign("at+jwt", &claims()).unwrap();
    let padded =
        with_header(&padded, &json!({ "alg": "PS256", "typ": "at+jwt", "kid": rsa.kid() }).to_string());
    let ring = KeyRing::new(vec![ec, rsa]).unwrap();
    assert_eq!(verdict(&crossed, &ring, &expected()), "token_unknown_key");
    assert_eq!(verdict(&padded, &ring, &expected()), "token_unknown_key");
}

#[test]
fn keys_in_the_header_are_not_followed() {
    let (attacker, ours) = (aws_key::Ed25519::generate(), key(Algorithm::EdDSA));
    let header = json!({ "alg": "EdDSA", "typ": "at+jwt", "jwk": attacker.public().to_jwk(), "jku": "https://evil.example" });
    let forged = signed_with_header(&attacker, &header.to_string(), &claims());
    assert_eq!(verdict(&forged, attacker.public(), &expected()), "accepted");
    assert_eq!(verdict(&forged, ours.public(), &expected()), "token_signature");
}

#[test]
fn critical_extensions_are_refused_even_when_signed() {
    let signer = aws_key::Ed25519::generate();
    for extension in [r#""crit":["exp"]"#, r#""crit":[]"#, r#""b64":true"#, r#""crit":["b64"],"b64":false"#] {
        let header = format!(r#"{{"alg":"EdDSA","typ":"at+jwt",{extension}}}"#);
        let token = signed_with_header(&signer, &header, &claims());
        assert_eq!(verdict(&token, signer.public(), &expected()), "token_critical_header", "{extension}");
    }
}

#[test]
fn duplicate_header_members_are_refused_known_or_not() {
    let signer = aws_key::Ed25519::generate();
    for twice in [r#""alg":"EdDSA""#, r#""typ":"at+jwt""#, r#""x":1,"x":1"#, r#""\u0061lg":"EdDSA""#] {
        let header = format!(r#"{{"alg":"EdDSA","typ":"at+jwt",{twice}}}"#);
        let token = signed_with_header(&signer, &header, &claims());
        assert_eq!(verdict(&token, signer.public(), &expected()), "token_header_malformed", "{twice}");
    }
    for header in ["[]", "null", "\"EdDSA\"", "{", r#"{"alg":7}"#] {
        let token = signed_with_header(&signer, header, &claims());
        assert_eq!(verdict(&token, signer.public(), &expected()), "token_header_malformed", "{header}");
    }
}

#[test]
fn ecdsa_signatures_have_a_fixed_size_and_are_not_der() {
    let signer = key(Algorithm::ES256);
    let token = signer.sign("at+jwt", &claims()).unwrap();
    let (input, signature) = token.rsplit_once('.').unwrap();
    let signature = thv_jose::digest::base64url_decode(signature).unwrap();
    assert_eq!(signature.len(), 64);
    // SEQUENCE { INTEGER r, INTEGER s } with leading zeros kept: what a verifier of DER signatures would take.
    let mut der = vec![0x30, 70, 0x02, 33, 0];
    der.extend(&signature[..32]);
    der.extend([0x02, 33, 0]);
    der.extend(&signature[32..]);
    let zero_padded = [&signature[..], &[0]].concat();
    for wrong in [&der[..], &signature[..63], &signature[..32], &zero_padded, &[0; 64], &[]] {
        let forged = format!("{input}.{}", base64url(wrong));
        assert_eq!(
            verdict(&forged, signer.public(), &expected()),
            "token_signature",
            "{} bytes",
            wrong.len()
        );
    }
}

#[test]
fn every_algorithm_refuses_truncated_extended_and_altered_tokens() {
    for algorithm in Algorithm::ALL {
        let signer = key(algorithm);
        let token = signer.sign("at+jwt", &claims()).unwrap();
        let (input, signature) = token.rsplit_once('.').unwrap();
        let signature = thv_jose::digest::base64url_decode(signature).unwrap();
        let mut flipped = signature.clone();
        flipped[10] ^= 1;
        for wrong in
            [&signature[1..], &signature[..signature.len() - 1], &[&signature[..], &[0]].concat(), &flipped]
        {
            let forged = format!("{input}.{}", base64url(wrong));
            assert_eq!(verdict(&forged, signer.public(), &expected()), "token_signature", "{algorithm}");
        }
        let mut other = claims();
        other["sub"] = json!("someone else");
        let (header, _) = token.split_once('.').unwrap();
        let altered =
            format!("{header}.{}.{}", base64url(other.to_string().as_bytes()), base64url(&signature));
        assert_eq!(verdict(&altered, signer.public(), &expected()), "token_signature", "{algorithm}");
    }
}

#[test]
fn only_the_compact_form_in_strict_base64url_is_read() {
    let signer = key(Algorithm::EdDSA);
    let token = signer.sign("at+jwt", &claims()).unwrap();
    let (input, signature) = token.rsplit_once('.').unwrap();
    for wrong in [
        String::new(),
        "a.b".to_owned(),
        input.to_owned(),
        format!("{token}."),
        format!("{token}.{signature}"),
        format!("{token}=="),
        format!(" {token}"),
        format!("{token}\n"),
        format!("{input}.{signature}/"),
        json!({ "protected": "e30", "payload": "e30", "signature": "" }).to_string(),
    ] {
        assert_eq!(verdict(&wrong, signer.public(), &expected()), "token_malformed", "{wrong}");
    }
    assert_eq!(verdict("..", signer.public(), &expected()), "token_header_malformed");
    let long = format!("{input}.{}", "A".repeat(MAX_TOKEN_LEN));
    assert_eq!(verdict(&long, signer.public(), &expected()), "token_too_long");
}

#[test]
fn rs_11_the_typ_must_be_that_of_the_expected_kind() {
    let signer = key(Algorithm::EdDSA);
    let accepts = |kind: Typ, typ: &str| {
        let token = signer.sign(typ, &claims()).unwrap();
        verdict(&token, signer.public(), &Expected { typ: kind, ..expected() }) == "accepted"
    };
    let table = [
        (
            Typ::AccessToken,
            vec!["at+jwt", "application/at+jwt", "AT+JWT"],
            vec!["JWT", "", "dpop+jwt", "jwt+at"],
        ),
        (Typ::IdToken, vec!["JWT", "jwt"], vec!["at+jwt", "application/at+jwt", "logout+jwt", ""]),
        (
            Typ::ClientAssertion,
            vec!["JWT", "oauth-client-auth+jwt", "client-authentication+jwt"],
            vec!["at+jwt", "dpop+jwt"],
        ),
        (Typ::Any, vec!["", "anything"], vec![]),
    ];
    for (kind, good, bad) in table {
        for typ in good {
            assert!(accepts(kind, typ), "{kind:?} {typ}");
        }
        for typ in bad {
            assert!(!accepts(kind, typ), "{kind:?} {typ}");
        }
    }
}

#[test]
fn rs_11_an_absent_typ_is_no_access_token() {
    let signer = aws_key::Ed25519::generate();
    let token = signed_with_header(&signer, r#"{"alg":"EdDSA"}"#, &claims());
    let verdict = |typ| verdict(&token, signer.public(), &Expected { typ, ..expected() });
    assert_eq!(verdict(Typ::AccessToken), "token_type");
    assert_eq!(verdict(Typ::IdToken), "accepted");
    assert_eq!(verdict(Typ::ClientAssertion), "accepted");
}

#[test]
fn rs_11_issuer_and_audience_are_compared_as_raw_strings() {
    let signer = key(Algorithm::EdDSA);
    let verdict = |member: &str, value: Value| {
        let mut claims = claims();
        claims[member] = value;
        verdict(&signer.sign("at+jwt", &claims).unwrap(), signer.public(), &expected())
    };
    for iss in [
        json!("https://as.example/"),
        json!("https://AS.example"),
        json!("https://as.example:443"),
        json!(null),
    ] {
        assert_eq!(verdict("iss", iss.clone()), "token_issuer", "{iss}");
    }
    assert_eq!(verdict("aud", json!(["https://other.example", "https://rs.example"])), "accepted");
    for aud in
        [json!("https://rs.example/"), json!([]), json!(["https://other.example"]), json!(null), json!("")]
    {
        assert_eq!(verdict("aud", aud.clone()), "token_audience", "{aud}");
    }
    assert_eq!(verdict("aud", json!([7])), "token_claims_malformed");
}

#[test]
fn an_empty_list_of_audiences_accepts_nothing() {
    let signer = key(Algorithm::EdDSA);
    let token = signer.sign("at+jwt", &claims()).unwrap();
    assert_eq!(
        verdict(&token, signer.public(), &Expected { audiences: &[], ..expected() }),
        "token_audience"
    );
}

#[test]
fn a_kid_selects_the_key_and_duplicates_are_all_tried() {
    let (one, two) = (key(Algorithm::ES256), key(Algorithm::ES256));
    let mut jwks = json!({ "keys": [one.public().to_jwk(), two.public().to_jwk()] });
    let token = two.sign("at+jwt", &claims()).unwrap();
    let set = |jwks: &Value| Jwks::from_value(jwks).unwrap();
    assert_eq!(verdict(&token, &set(&jwks), &expected()), "accepted");
    jwks["keys"][0]["kid"] = json!(two.kid());
    assert_eq!(verdict(&token, &set(&jwks), &expected()), "accepted");
    jwks["keys"][1]["kid"] = json!("renamed");
    assert_eq!(verdict(&token, &set(&jwks), &expected()), "token_signature");
    jwks["keys"][0]["kid"] = json!("renamed, too");
    assert_eq!(verdict(&token, &set(&jwks), &expected()), "token_unknown_key");
}

#[test]
fn peeking_verifies_nothing() {
    let token = format!("{}.{}.", base64url(b"{}"), base64url(br#"{"iss":"anyone"}"#));
    assert_eq!(peek_unverified::<Value>(&token), Some(json!({ "iss": "anyone" })));
    assert_eq!(peek_unverified::<Value>("no token"), None);
}

proptest! {
    #[test]
    fn verifying_arbitrary_text_never_panics(token in "\\PC{0,300}") {
        let ring = KeyRing::new(vec![key(Algorithm::EdDSA)]).unwrap();
        prop_assert!(verify::<Value>(&token, &ring, &expected()).is_err());
    }

    #[test]
    fn verifying_arbitrary_parts_never_panics(header in "\\PC{0,80}", payload: Vec<u8>, signature: Vec<u8>) {
        let ring = KeyRing::new(vec![key(Algorithm::EdDSA)]).unwrap();
        let header = format!(r#"{{"alg":"EdDSA","typ":"at+jwt",{header:?}:1}}"#);
        let token = format!("{}.{}.{}", base64url(header.as_bytes()), base64url(&payload), base64url(&signature));
        prop_assert!(verify::<Value>(&token, &ring, &expected()).is_err());
    }

    #[test]
    fn parsing_arbitrary_key_sets_never_panics(document: Vec<u8>, kty in "EC|RSA|OKP|oct", x in "[A-Za-z0-9_-]{0,60}") {
        let _ = Jwks::parse(&document);
        let jwk = json!({ "keys": [{ "kty": kty, "crv": "P-256", "x": x, "y": x, "n": x, "e": x }] });
        prop_assert!(Jwks::from_value(&jwk).map_or(true, |set| set.is_empty()));
    }
}
