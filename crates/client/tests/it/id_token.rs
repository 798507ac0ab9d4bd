use secrecy::SecretString;
use serde_json::{Map, Value, json};
use thv_client::id_token::{Expectations, IdTokenError, verify};
use thv_client::jwks::JwksCache;
use thv_jose::algorithm::Algorithm;
use thv_jose::digest::base64url;
use thv_jose::jwks::Jwks;
use thv_jose::key::SigningKey;
use thv_jose::verify::VerifyError;

use crate::provider::{NOW, Provider, clock, egress};

const ISSUER: &str = "https://op.example";

fn claims(changes: &Value) -> Value {
    let mut claims = json!({
        "iss": ISSUER, "sub": "248289761001", "aud": "rp", "nonce": "n-0S6_WzA2Mj",
        "exp": NOW.as_secs() + 300, "iat": NOW.as_secs()
    });
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(name);
        } else {
            claims[name] = value.clone();
        }
    }
    claims
}

fn expectations<'a>(nonce: Option<&'a str>, access_token: Option<&'a SecretString>) -> Expectations<'a> {
    Expectations { issuer: ISSUER, client_id: "rp", nonce, access_token, now: NOW }
}

fn judge(key: &SigningKey, changes: &Value) -> Result<Map<String, Value>, IdTokenError> {
    let keys = Jwks::from_value(&json!({"keys": [key.public().to_jwk()]})).unwrap();
    let token = SecretString::from(key.sign("JWT", &claims(changes)).unwrap());
    let access_token = SecretString::from("jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y");
    verify(&token, &keys, &expectations(Some("n-0S6_WzA2Mj"), Some(&access_token)))
}

#[tokio::test]
async fn u1_an_id_token_verifies_with_the_keys_of_its_provider() {
    let provider = Provider::start().await;
    let (key, stranger) =
        (SigningKey::generate(Algorithm::ES256).unwrap(), SigningKey::generate(Algorithm::ES256).unwrap());
    provider.publish(&[&key]);
    let cache = JwksCache::new(egress(), clock().shared(), 2);
    let token = key.sign("JWT", &claims(&json!({}))).unwrap();
    let set = cache.load_for(&provider.url("/jwks"), &token).await.unwrap();
    let verified =
        verify(&SecretString::from(token), &*set.keys, &expectations(Some("n-0S6_WzA2Mj"), None)).unwrap();
    assert_eq!(verified["sub"], "248289761001");
    let forged = SecretString::from(stranger.sign("JWT", &claims(&json!({}))).unwrap());
    let error = verify(&forged, &*set.keys, &expectations(Some("n-0S6_WzA2Mj"), None)).unwrap_err();
    assert!(matches!(error, IdTokenError::Verify(VerifyError::UnknownKey)), "{error:?}");
}

#[test]
fn u1_issuer_audience_and_times_are_checked() {
    let key = SigningKey::generate(Algorithm::ES256).unwrap();
    let now = NOW.as_secs();
    for (changes, reason) in [
        (json!({"iss": "https://op.example/"}), Some("token_issuer")),
        (json!({"iss": null}), Some("token_issuer")),
        (json!({"aud": "other"}), Some("token_audience")),
        (json!({"aud": []}), Some("token_audience")),
        (json!({"aud": null}), Some("token_audience")),
        (json!({"exp": null}), Some("token_no_expiry")),
        (json!({"exp": now - 60}), Some("token_expired")),
        (json!({"exp": now - 59}), None),
        (json!({"iat": now + 61}), Some("token_issued_in_future")),
        (json!({"iat": now + 60}), None),
        (json!({"nbf": now + 61}), Some("token_not_yet_valid")),
    ] {
        let outcome = judge(&key, &changes);
        match (&outcome, reason) {
            (Ok(_), None) => {}
            (Err(IdTokenError::Verify(error)), Some(reason)) => {
                assert_eq!(error.reason(), reason, "{changes}")
            }
            _ => panic!("{changes}: {outcome:?}"),
        }
    }
    assert!(matches!(judge(&key, &json!({"iat": null})), Err(IdTokenError::NoIssuedAt)));
}

#[test]
fn u1_of_several_audiences_azp_must_be_this_client() {
    let key = SigningKey::generate(Algorithm::ES256).unwrap();
    for (changes, ok) in [
        (json!({"aud": ["rp"]}), true),
        (json!({"aud": ["rp", "api"], "azp": "rp"}), true),
        (json!({"aud": ["rp", "api"]}), false),
        (json!({"aud": ["rp", "api"], "azp": "api"}), false),
        (json!({"azp": "rp"}), true),
        (json!({"azp": "other"}), false),
        (json!({"azp": ["rp"]}), false),
    ] {
        let outcome = judge(&key, &changes);
        assert_eq!(outcome.is_ok(), ok, "{changes}: {outcome:?}");
        assert!(ok || matches!(outcome, Err(IdTokenError::AuthorizedParty)), "{changes}");
    }
}

#[test]
fn u1_the_nonce_is_the_requests_and_is_not_asked_for_after_a_refresh() {
    let key = SigningKey::generate(Algorithm::ES256).unwrap();
    for nonce in [json!("another"), json!(""), json!(7), json!(null)] {
        assert!(matches!(judge(&key, &json!({"nonce": nonce})), Err(IdTokenError::Nonce)), "{nonce}");
    }
    let keys = Jwks::from_value(&json!({"keys": [key.public().to_jwk()]})).unwrap();
    let token = SecretString::from(key.sign("JWT", &claims(&json!({"nonce": null}))).unwrap());
    assert!(verify(&token, &keys, &expectations(None, None)).is_ok());
}

#[test]
fn u1_at_hash_must_fit_the_access_token_where_it_is_present() {
    // OpenID Connect Core appendix A.3 for RS256; the others by sha384sum and sha512sum.
    let vectors = [
        (Algorithm::RS256, "77QmUPtjPfzWtF2AnpK9RQ"),
        (Algorithm::ES256, "77QmUPtjPfzWtF2AnpK9RQ"),
        (Algorithm::ES384, "jtAeDp945y1dDqU3nkIVGNZP1HjH_MFs"),
        (Algorithm::EdDSA, "q7nS86GgvvFaZkzALLWqJYaJIKw2wCDAVfCAsm5CrBM"),
    ];
    for (algorithm, at_hash) in vectors {
        let key = SigningKey::generate(algorithm).unwrap();
        judge(&key, &json!({"at_hash": at_hash})).unwrap_or_else(|error| panic!("{algorithm}: {error:?}"));
        for other in [json!("77QmUPtjPfzWtF2AnpK9RR"), json!(""), json!(1)] {
            let outcome = judge(&key, &json!({"at_hash": other}));
            assert!(matches!(outcome, Err(IdTokenError::AccessTokenHash)), "{algorithm} {other}");
        }
    }
}

#[test]
fn as_127_unsigned_and_symmetric_id_tokens_are_refused() {
    let key = SigningKey::generate(Algorithm::ES256).unwrap();
    let keys = Jwks::from_value(&json!({"keys": [key.public().to_jwk()]})).unwrap();
    let payload = base64url(claims(&json!({})).to_string().as_bytes());
    for alg in ["none", "HS256", "RS256"] {
        let header = base64url(json!({"alg": alg, "kid": key.kid()}).to_string().as_bytes());
        let token = SecretString::from(format!("{header}.{payload}.AAAA"));
        let error = verify(&token, &keys, &expectations(Some("n-0S6_WzA2Mj"), None)).unwrap_err();
        assert!(matches!(error, IdTokenError::Verify(_)), "{alg}");
    }
}
