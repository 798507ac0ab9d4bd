//! `exp`, `nbf` and `iat`.

use std::time::Duration;

use serde_json::{Value, json};
use thv_clock::{Clock, ManualClock, Timestamp};
use thv_jose::algorithm::Algorithm;
use thv_jose::client_assertion::sign_client_assertion;
use thv_jose::verify::{Expected, Typ, verify};

use crate::{NOW, claims, expected, key, verdict};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_token_is_refused_from_its_exp_on() {
    let clock = ManualClock::at(NOW);
    let signer = key(Algorithm::EdDSA);
    let token = signer.sign("at+jwt", &claims()).unwrap();
    let verdict = |leeway| {
        let expected = Expected { now: clock.now(), leeway, ..expected() };
        verdict(&token, signer.public(), &expected)
    };
    clock.advance(Duration::from_millis(59_999));
    assert_eq!(verdict(Duration::ZERO), "accepted");
    clock.advance(Duration::from_millis(1));
    assert_eq!(verdict(Duration::ZERO), "token_expired");
    assert_eq!(verdict(SECOND), "accepted");
    clock.advance(SECOND);
    assert_eq!(verdict(SECOND), "token_expired");
}

#[test]
fn a_token_without_exp_or_with_a_wrong_one_is_refused() {
    let signer = key(Algorithm::EdDSA);
    let verdict = |exp: Value| {
        let mut claims = claims();
        claims["exp"] = exp;
        verdict(&signer.sign("at+jwt", &claims).unwrap(), signer.public(), &expected())
    };
    assert_eq!(verdict(json!(null)), "token_no_expiry");
    assert_eq!(verdict(json!("1900000000")), "token_claims_malformed");
    assert_eq!(verdict(json!(-1)), "token_claims_malformed");
    assert_eq!(verdict(json!(1e300)), "token_claims_malformed");
    assert_eq!(verdict(json!(NOW.as_secs() as f64 + 0.5)), "accepted");
    assert_eq!(verdict(json!(u64::MAX)), "accepted");
}

#[test]
fn tokens_from_the_future_are_refused_beyond_the_leeway() {
    let signer = key(Algorithm::EdDSA);
    let verdict = |member: &str, ahead: u64, leeway| {
        let mut claims = claims();
        claims[member] = json!(NOW.as_secs() + ahead);
        let token = signer.sign("at+jwt", &claims).unwrap();
        verdict(&token, signer.public(), &Expected { leeway, ..expected() })
    };
    for (member, reason) in [("nbf", "token_not_yet_valid"), ("iat", "token_issued_in_future")] {
        assert_eq!(verdict(member, 0, Duration::ZERO), "accepted");
        assert_eq!(verdict(member, 1, Duration::ZERO), reason);
        assert_eq!(verdict(member, 1, SECOND), "accepted");
        assert_eq!(verdict(member, 2, SECOND), reason);
    }
}

#[test]
fn age_and_lifetime_are_bounded_when_asked() {
    let signer = key(Algorithm::EdDSA);
    let token = signer.sign("at+jwt", &claims()).unwrap();
    let verdict = |expected: Expected<'_>| verdict(&token, signer.public(), &expected);
    let later = NOW + Duration::from_secs(30);
    let aged = |secs| Expected { now: later, max_age: Some(Duration::from_secs(secs)), ..expected() };
    assert_eq!(verdict(aged(30)), "accepted");
    assert_eq!(verdict(aged(29)), "token_too_old");
    let living = |secs| Expected { max_lifetime: Some(Duration::from_secs(secs)), ..expected() };
    assert_eq!(verdict(living(60)), "accepted");
    assert_eq!(verdict(living(59)), "token_lives_too_long");

    let mut undated = claims();
    undated.as_object_mut().unwrap().remove("iat");
    let undated = signer.sign("at+jwt", &undated).unwrap();
    assert_eq!(crate::verdict(&undated, signer.public(), &aged(3600)), "token_too_old");
    assert_eq!(crate::verdict(&undated, signer.public(), &expected()), "accepted");
}

#[test]
fn as_132_a_client_assertion_names_the_client_twice_and_is_short_lived() {
    let signer = key(Algorithm::ES256);
    let make = || {
        sign_client_assertion(&signer, "client", "https://as.example", NOW, Duration::from_secs(60)).unwrap()
    };
    let expected = Expected {
        issuer: Some("client"),
        ..Expected::new(Typ::ClientAssertion, &["https://as.example"], NOW)
    };
    let claims: Value = verify(&make(), signer.public(), &expected).unwrap();
    assert_eq!((&claims["iss"], &claims["sub"]), (&json!("client"), &json!("client")));
    assert_eq!(claims["exp"], json!((NOW + Duration::from_secs(60)).as_secs()));
    let second: Value = verify(&make(), signer.public(), &expected).unwrap();
    assert_ne!(claims["jti"], second["jti"]);
    let late = Expected { now: Timestamp::from_secs(NOW.as_secs() + 60), ..expected };
    assert_eq!(verdict(&make(), signer.public(), &late), "token_expired");
}
