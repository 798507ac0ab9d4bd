//! Keys that others publish.

use serde_json::{Value, json};
use thv_jose::algorithm::Algorithm;
use thv_jose::jwks::{Jwks, JwksError, MAX_KEYS};
use thv_jose::key::{KeyError, PublicKey};
use thv_jose::verify::KeySource;

use crate::{claims, expected, key, verdict};

fn jwk(algorithm: Algorithm) -> Value {
    key(algorithm).public().to_jwk()
}

fn with(mut jwk: Value, member: &str, value: Value) -> Value {
    jwk[member] = value;
    jwk
}

#[test]
fn every_key_survives_its_jwk() {
    for algorithm in Algorithm::ALL {
        let signer = key(algorithm);
        let read = PublicKey::all_from_jwk(&signer.public().to_jwk()).unwrap().remove(0);
        assert_eq!((read.algorithm(), read.kid()), (algorithm, Some(signer.kid())));
        assert_eq!(read.thumbprint(), signer.kid());
        let token = signer.sign("at+jwt", &claims()).unwrap();
        assert_eq!(verdict(&token, &read, &expected()), "accepted", "{algorithm}");
    }
}

#[test]
fn a_jwk_must_be_public_of_a_known_type_and_for_signatures() {
    let es256 = jwk(Algorithm::ES256);
    let rsa = jwk(Algorithm::RS256);
    let coordinate = es256["x"].as_str().unwrap();
    let cases = [
        (with(es256.clone(), "d", json!("AQ")), KeyError::Private("d")),
        (with(rsa.clone(), "qi", json!("AQ")), KeyError::Private("qi")),
        (json!({ "kty": "oct", "k": "c2VjcmV0" }), KeyError::Symmetric),
        (with(es256.clone(), "crv", json!("secp256k1")), KeyError::UnsupportedType),
        (json!({ "kty": "OKP", "crv": "X25519", "x": coordinate }), KeyError::UnsupportedType),
        (json!({ "kty": "AKP" }), KeyError::UnsupportedType),
        (with(es256.clone(), "alg", json!("ES384")), KeyError::WrongAlgorithm),
        (with(es256.clone(), "alg", json!("RS256")), KeyError::WrongAlgorithm),
        (with(rsa.clone(), "alg", json!("HS256")), KeyError::WrongAlgorithm),
        (with(es256.clone(), "use", json!("enc")), KeyError::WrongUse),
        (with(es256.clone(), "key_ops", json!(["encrypt"])), KeyError::WrongUse),
        (with(es256.clone(), "y", json!(coordinate)), KeyError::Invalid),
        (with(es256.clone(), "x", json!(&coordinate[1..])), KeyError::Malformed("x")),
        (with(es256, "kid", json!(7)), KeyError::Malformed("kid")),
        (with(rsa.clone(), "n", json!("AQAB")), KeyError::RsaSize),
        (with(rsa.clone(), "e", json!("AQ")), KeyError::Invalid),
        (with(rsa.clone(), "e", json!("Ag")), KeyError::Invalid),
        (with(rsa, "e", json!(null)), KeyError::Malformed("e")),
        (json!([]), KeyError::Malformed("kty")),
    ];
    for (jwk, error) in cases {
        assert_eq!(PublicKey::all_from_jwk(&jwk).unwrap_err(), error, "{jwk}");
    }
}

#[test]
fn unusable_keys_are_skipped() {
    let good = jwk(Algorithm::ES256);
    let set = json!({ "keys": [with(good.clone(), "use", json!("enc")), { "kty": "AKP" }, 7, good] });
    let set = Jwks::parse(set.to_string().as_bytes()).unwrap();
    assert_eq!(set.keys().len(), 1);
    assert!(Jwks::from_value(&json!({ "keys": [] })).unwrap().is_empty());
}

#[test]
fn a_set_that_publishes_a_secret_is_refused_wholly() {
    let good = jwk(Algorithm::ES256);
    for bad in [with(jwk(Algorithm::EdDSA), "d", json!("AQ")), json!({ "kty": "oct", "k": "AQ" })] {
        let set = json!({ "keys": [good, bad] });
        assert!(matches!(Jwks::from_value(&set), Err(JwksError::Secret(_))), "{set}");
    }
    // Also when the key would be skipped for another reason.
    let odd = json!({ "keys": [with(with(good, "use", json!("enc")), "d", json!("AQ"))] });
    assert!(matches!(Jwks::from_value(&odd), Err(JwksError::Secret(_))));
    let unknown = json!({ "keys": [{ "kty": "AKP", "d": "AQ" }] });
    assert!(matches!(Jwks::from_value(&unknown), Err(JwksError::Secret(_))));
}

#[test]
fn sets_are_bounded_and_must_be_sets() {
    let key = jwk(Algorithm::EdDSA);
    let set = |count| json!({ "keys": vec![key.clone(); count] });
    assert_eq!(Jwks::from_value(&set(MAX_KEYS)).unwrap().keys().len(), MAX_KEYS);
    assert!(matches!(Jwks::from_value(&set(MAX_KEYS + 1)), Err(JwksError::TooMany)));
    assert!(matches!(Jwks::parse(b"{}"), Err(JwksError::NoKeys)));
    assert!(matches!(Jwks::parse(b"<html>"), Err(JwksError::Json(_))));
}

#[test]
fn an_rsa_key_without_alg_serves_rs256_and_ps256() {
    let mut jwk = jwk(Algorithm::RS256);
    jwk.as_object_mut().unwrap().remove("alg");
    let set = Jwks::from_value(&json!({ "keys": [jwk] })).unwrap();
    assert_eq!(set.candidates(None, Algorithm::RS256).len(), 1);
    assert_eq!(set.candidates(None, Algorithm::PS256).len(), 1);
    assert!(set.candidates(None, Algorithm::ES256).is_empty());
    assert_eq!(PublicKey::all_from_jwk(&jwk).unwrap()[0].algorithm(), Algorithm::RS256);
}

#[test]
fn a_key_without_kid_is_a_candidate_for_every_kid() {
    let signer = key(Algorithm::ES256);
    let mut jwk = signer.public().to_jwk();
    jwk.as_object_mut().unwrap().remove("kid");
    let set = Jwks::from_value(&json!({ "keys": [jwk] })).unwrap();
    assert_eq!(set.candidates(Some("any"), Algorithm::ES256).len(), 1);
    assert_eq!(set.candidates(None, Algorithm::ES256).len(), 1);
}
