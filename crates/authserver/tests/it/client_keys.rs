//! Clients that authenticate with `private_key_jwt` (RFC 7523), their keys in the metadata document or behind `jwks_uri`.

use std::net::{IpAddr, Ipv4Addr};

use bytes::Bytes;
use http::{Response, StatusCode};
use serde_json::{Value, json};
use thv_jose::algorithm::Algorithm;
use thv_jose::client_assertion::{CLIENT_ASSERTION_TYPE, sign_client_assertion};
use thv_jose::digest::base64url;
use thv_jose::key::SigningKey;

use crate::cimd::{Tripwire, World};
use crate::fixture::{Browser, Fixture, Flow, ISSUER, assert_error, json as body};

const JWKS: &str = "/jwks.json";
const JWKS_URI: &str = "https://keys.example/jwks.json";
const SCOPE: (&str, &str) = ("scope", "openid offline_access");

/// A client, and the key that it signs with.
struct Keyed {
    world: World,
    key: SigningKey,
    client_id: String,
}

fn key() -> SigningKey {
    SigningKey::generate(Algorithm::ES256).unwrap()
}

fn jwks(keys: &[&SigningKey]) -> Value {
    json!({"keys": keys.iter().map(|key| key.public().to_jwk()).collect::<Vec<_>>()})
}

impl Keyed {
    /// A client whose document holds its keys.
    async fn inline() -> Self {
        let key = key();
        let set = jwks(&[&key]);
        Self::with(|document| document["jwks"] = set, key).await
    }

    /// A client whose document names where its keys are.
    async fn remote() -> Self {
        let key = key();
        let set = jwks(&[&key]);
        let keyed = Self::with(|document| document["jwks_uri"] = JWKS_URI.into(), key).await;
        keyed.world.host.set(JWKS, &set);
        keyed
    }

    async fn with(change: impl FnOnce(&mut Value), key: SigningKey) -> Self {
        let world = World::start().await;
        let client_id = world.publish("/client", |document| {
            document["token_endpoint_auth_method"] = "private_key_jwt".into();
            change(document);
        });
        Self { world, key, client_id }
    }

    async fn code(&self) -> (Flow, String) {
        let flow = Flow::new(&self.client_id);
        let code = Browser::new(&self.world.fixture).authorize(&flow.query(&[SCOPE])).await;
        (flow, code)
    }

    /// The claims of an acceptable assertion.
    fn claims(&self) -> Value {
        let now = self.world.fixture.clock.shared().now().as_secs();
        let (client_id, jti) = (&self.client_id, thv_jose::random::token());
        json!({"iss": client_id, "sub": client_id, "aud": ISSUER, "jti": jti, "iat": now, "exp": now + 60})
    }

    /// An assertion with these claims changed; `null` takes one away.
    fn assertion(&self, change: &Value) -> String {
        let mut claims = self.claims();
        for (name, value) in change.as_object().unwrap() {
            claims[name] = value.clone();
        }
        claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        self.key.sign("JWT", &claims).unwrap()
    }

    async fn redeem(&self, flow: &Flow, code: &str, assertion: &str) -> Response<Bytes> {
        authenticated(&self.world.fixture, &flow.redemption(code), assertion).await
    }

    /// Redeems and refreshes at `fixture`, each with its own assertion.
    async fn succeeds_at(&self, fixture: &Fixture, flow: &Flow, code: &str) {
        let redeemed = authenticated(fixture, &flow.redemption(code), &self.assertion(&json!({}))).await;
        assert_eq!(redeemed.status(), StatusCode::OK, "{:?}", redeemed.body());
        let refreshed = self.refresh_at(fixture, &body(&redeemed), &self.assertion(&json!({}))).await;
        assert_eq!(refreshed.status(), StatusCode::OK, "{:?}", refreshed.body());
    }

    async fn refresh_at(&self, fixture: &Fixture, tokens: &Value, assertion: &str) -> Response<Bytes> {
        let token = tokens["refresh_token"].as_str().unwrap();
        let form = [
            ("grant_type", "refresh_token"),
            ("client_id", self.client_id.as_str()),
            ("refresh_token", token),
        ];
        authenticated(fixture, &form, assertion).await
    }
}

async fn authenticated(fixture: &Fixture, form: &[(&str, &str)], assertion: &str) -> Response<Bytes> {
    let mut form = form.to_vec();
    form.extend([("client_assertion_type", CLIENT_ASSERTION_TYPE), ("client_assertion", assertion)]);
    fixture.token(&form).await
}

#[tokio::test]
async fn as_132_an_assertion_by_a_key_in_the_document_authenticates() {
    let keyed = Keyed::inline().await;
    let (flow, code) = keyed.code().await;
    keyed.succeeds_at(&keyed.world.fixture, &flow, &code).await;
}

#[tokio::test]
async fn as_132_an_assertion_by_a_key_behind_jwks_uri_authenticates() {
    let keyed = Keyed::remote().await;
    let (flow, code) = keyed.code().await;
    keyed.succeeds_at(&keyed.world.fixture, &flow, &code).await;
    assert_eq!(keyed.world.host.requests(JWKS), 1, "one fetch for login, redemption and refresh");
}

#[tokio::test]
async fn as_66_the_document_of_chatgpt_works() {
    let key = key();
    let set = jwks(&[&key]);
    let chatgpt = |document: &mut Value| {
        *document = json!({
            "client_id": document["client_id"],
            "client_name": "ChatGPT",
            "client_uri": "https://chatgpt.com",
            "redirect_uris": document["redirect_uris"],
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
            "token_endpoint_auth_methods_supported": ["none", "private_key_jwt"],
            "token_endpoint_auth_signing_alg": "ES256",
            "jwks_uri": JWKS_URI,
        });
    };
    let keyed = Keyed::with(chatgpt, key).await;
    keyed.world.host.set(JWKS, &set);
    let (flow, code) = keyed.code().await;
    keyed.succeeds_at(&keyed.world.fixture, &flow, &code).await;
    // It cannot know which of its methods we prefer, so either counts.
    let (flow, code) = keyed.code().await;
    assert_eq!(keyed.world.fixture.redeem(&flow, &code).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn as_65_no_other_authentication_stands_in_for_an_assertion() {
    let keyed = Keyed::inline().await;
    let (flow, code) = keyed.code().await;
    let fixture = &keyed.world.fixture;
    let refused = fixture.redeem(&flow, &code).await;
    assert_error(&refused, 401, "invalid_client", "client_authentication_method");
    let mut with_secret = flow.redemption(&code).to_vec();
    with_secret.push(("client_secret", "hunter2"));
    assert_error(&fixture.token(&with_secret).await, 401, "invalid_client", "client_authentication_method");
    with_secret.extend([("client_assertion_type", CLIENT_ASSERTION_TYPE), ("client_assertion", "a.b.c")]);
    let twice = fixture.token(&with_secret).await;
    assert_error(&twice, 400, "invalid_request", "client_authentication_repeated");
    let mut wrong_type = flow.redemption(&code).to_vec();
    let assertion = keyed.assertion(&json!({}));
    wrong_type.extend([("client_assertion_type", "saml2-bearer"), ("client_assertion", &assertion)]);
    assert_error(&fixture.token(&wrong_type).await, 400, "invalid_request", "client_assertion_type");
    assert_eq!(
        keyed.redeem(&flow, &code, &assertion).await.status(),
        StatusCode::OK,
        "nothing of this spent the code"
    );
}

#[tokio::test]
async fn as_132_every_claim_of_an_assertion_counts() {
    let keyed = Keyed::inline().await;
    let (flow, code) = keyed.code().await;
    let now = keyed.world.fixture.clock.shared().now().as_secs();
    let other = "https://docs.example/other";
    for (change, reason) in [
        (json!({"iss": other}), "token_issuer"),
        (json!({"iss": null}), "token_issuer"),
        (json!({"sub": null}), "token_claims_malformed"),
        (json!({"sub": 5}), "token_claims_malformed"),
        (json!({"aud": "https://other.example"}), "token_audience"),
        (json!({"aud": format!("{ISSUER}/")}), "token_audience"),
        (json!({"aud": format!("{ISSUER}/oauth/token/")}), "token_audience"),
        (json!({"aud": []}), "token_audience"),
        (json!({"aud": null}), "token_audience"),
        (json!({"exp": null}), "token_no_expiry"),
        (json!({"exp": now - 60}), "token_expired"),
        (json!({"exp": now + 2 * 3600}), "token_lives_too_long"),
        (json!({"exp": 1e300}), "token_claims_malformed"),
        (json!({"nbf": now + 120}), "token_not_yet_valid"),
        (json!({"iat": now + 120}), "token_issued_in_future"),
        (json!({"jti": null}), "client_assertion_jti"),
        (json!({"jti": ""}), "client_assertion_jti"),
        (json!({"jti": "j".repeat(257)}), "client_assertion_jti"),
        (json!({"jti": 5}), "token_claims_malformed"),
    ] {
        let response = keyed.redeem(&flow, &code, &keyed.assertion(&change)).await;
        assert_error(&response, 401, "invalid_client", reason);
    }
    let response = keyed.redeem(&flow, &code, &keyed.assertion(&json!({"sub": other}))).await;
    assert_error(&response, 401, "invalid_client", "client_id_mismatch");
    keyed.succeeds_at(&keyed.world.fixture, &flow, &code).await;
}

#[tokio::test]
async fn as_132_only_the_clients_own_signature_counts() {
    let keyed = Keyed::inline().await;
    let (flow, code) = keyed.code().await;
    let stranger = key().sign("JWT", &keyed.claims()).unwrap();
    let own = keyed.assertion(&json!({}));
    let (signing_input, _) = own.rsplit_once('.').unwrap();
    let (_, borrowed) = stranger.rsplit_once('.').unwrap();
    let unsigned = |header: Value| {
        let part = |value: &Value| base64url(value.to_string().as_bytes());
        format!("{}.{}.", part(&header), part(&keyed.claims()))
    };
    for (assertion, reason) in [
        (stranger.clone(), "token_unknown_key"),
        (format!("{signing_input}.{borrowed}"), "token_signature"),
        (format!("{signing_input}."), "token_signature"),
        (unsigned(json!({"alg": "none"})), "token_algorithm"),
        (unsigned(json!({"alg": "HS256", "kid": keyed.key.kid()})), "token_algorithm"),
        (unsigned(json!({"alg": "RS256", "kid": keyed.key.kid()})), "token_unknown_key"),
        (keyed.key.sign("at+jwt", &keyed.claims()).unwrap(), "token_type"),
        ("not-a-token".to_owned(), "token_malformed"),
        (format!("{own}."), "token_malformed"),
    ] {
        assert_error(&keyed.redeem(&flow, &code, &assertion).await, 401, "invalid_client", reason);
    }
    assert_eq!(keyed.redeem(&flow, &code, &own).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn as_132_an_assertion_counts_once_on_all_replicas() {
    let keyed = Keyed::inline().await;
    let (flow, code) = keyed.code().await;
    let assertion = keyed.assertion(&json!({}));
    let tokens = body(&keyed.redeem(&flow, &code, &assertion).await);
    for fixture in [&keyed.world.fixture, &keyed.world.restarted()] {
        let replayed = keyed.refresh_at(fixture, &tokens, &assertion).await;
        assert_error(&replayed, 401, "invalid_client", "client_assertion_replayed");
    }
    // It is forgotten when it would not be accepted any more, and then it is not accepted any more.
    keyed.world.advance(119);
    let replayed = keyed.refresh_at(&keyed.world.fixture, &tokens, &assertion).await;
    assert_error(&replayed, 401, "invalid_client", "client_assertion_replayed");
    keyed.world.advance(1);
    let expired = keyed.refresh_at(&keyed.world.fixture, &tokens, &assertion).await;
    assert_error(&expired, 401, "invalid_client", "token_expired");
    let refreshed = keyed.refresh_at(&keyed.world.fixture, &tokens, &keyed.assertion(&json!({}))).await;
    assert_eq!(refreshed.status(), StatusCode::OK, "no refused request invalidated the refresh token");
}

#[tokio::test]
async fn as_132_client_id_may_be_left_out_and_the_usual_forms_are_accepted() {
    let keyed = Keyed::inline().await;
    for change in [
        json!({"aud": ISSUER}),
        json!({"aud": [ISSUER, "https://other.example"]}),
        json!({"exp": 1_800_000_060.5}),
        json!({"iat": null}),
    ] {
        let (flow, code) = keyed.code().await;
        let form: Vec<_> =
            flow.redemption(&code).iter().copied().filter(|(name, _)| *name != "client_id").collect();
        let response = authenticated(&keyed.world.fixture, &form, &keyed.assertion(&change)).await;
        assert_eq!(response.status(), StatusCode::OK, "{change}: {:?}", response.body());
    }
}

#[tokio::test]
async fn as_133_the_issuer_and_for_older_clients_the_token_endpoint_are_the_audience() {
    let keyed = Keyed::inline().await;
    let (flow, code) = keyed.code().await;
    let endpoint = keyed.assertion(&json!({"aud": format!("{ISSUER}/oauth/token")}));
    let tokens = body(&keyed.redeem(&flow, &code, &endpoint).await);
    for typ in ["client-authentication+jwt", "oauth-client-auth+jwt"] {
        let typed = keyed.key.sign(typ, &keyed.claims()).unwrap();
        let refreshed = keyed.refresh_at(&keyed.world.fixture, &tokens, &typed).await;
        assert_eq!(refreshed.status(), StatusCode::OK, "{typ}");
    }
    let now = keyed.world.fixture.clock.shared().now();
    let lifetime = std::time::Duration::from_secs(60);
    let ours = sign_client_assertion(&keyed.key, &keyed.client_id, ISSUER, now, lifetime).unwrap();
    assert_eq!(keyed.refresh_at(&keyed.world.fixture, &tokens, &ours).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn c8_a_rotated_key_is_found_by_its_kid_and_the_former_one_is_void() {
    let mut keyed = Keyed::remote().await;
    let (flow, code) = keyed.code().await;
    let new = key();
    keyed.world.host.set(JWKS, &jwks(&[&new, &keyed.key]));
    keyed.world.advance(10);
    let former = std::mem::replace(&mut keyed.key, new);
    let tokens = body(&keyed.redeem(&flow, &code, &keyed.assertion(&json!({}))).await);
    assert!(tokens["refresh_token"].is_string(), "{tokens}");
    assert_eq!(keyed.world.host.requests(JWKS), 2);
    let by_former = former.sign("JWT", &keyed.claims()).unwrap();
    let refreshed = keyed.refresh_at(&keyed.world.fixture, &tokens, &by_former).await;
    assert_eq!(refreshed.status(), StatusCode::OK, "both are published");
    // The former key is withdrawn. It was kept with the grant, but the host has the last word while it answers.
    keyed.world.host.set(JWKS, &jwks(&[&keyed.key]));
    keyed.world.advance(300);
    let by_former = former.sign("JWT", &keyed.claims()).unwrap();
    let refused = keyed.refresh_at(&keyed.world.fixture, &body(&refreshed), &by_former).await;
    assert_error(&refused, 401, "invalid_client", "token_unknown_key");
    let by_new = keyed.assertion(&json!({}));
    assert_eq!(
        keyed.refresh_at(&keyed.world.fixture, &body(&refreshed), &by_new).await.status(),
        StatusCode::OK
    );
}

#[tokio::test]
async fn c8_made_up_kids_cause_no_flood_of_fetches() {
    let keyed = Keyed::remote().await;
    let (flow, code) = keyed.code().await;
    for _ in 0..5 {
        let stranger = key().sign("JWT", &keyed.claims()).unwrap();
        assert_error(
            &keyed.redeem(&flow, &code, &stranger).await,
            401,
            "invalid_client",
            "token_unknown_key",
        );
    }
    assert_eq!(keyed.world.host.requests(JWKS), 1);
    keyed.succeeds_at(&keyed.world.fixture, &flow, &code).await;
}

#[tokio::test]
async fn c9_tokens_are_had_while_the_keys_host_is_down() {
    let keyed = Keyed::remote().await;
    let (flow, code) = keyed.code().await;
    keyed.world.host.down();
    keyed.succeeds_at(&keyed.world.fixture, &flow, &code).await;
}

#[tokio::test]
async fn c9_tokens_are_had_from_a_server_that_never_fetched_the_keys() {
    let keyed = Keyed::remote().await;
    let (flow, code) = keyed.code().await;
    keyed.world.host.down();
    let restarted = keyed.world.restarted();
    let stranger = key().sign("JWT", &keyed.claims()).unwrap();
    let refused = authenticated(&restarted, &flow.redemption(&code), &stranger).await;
    assert_error(&refused, 401, "invalid_client", "token_unknown_key");
    keyed.succeeds_at(&restarted, &flow, &code).await;
}

#[tokio::test]
async fn c8_a_set_that_publishes_a_secret_is_void_at_once() {
    let keyed = Keyed::remote().await;
    let (flow, code) = keyed.code().await;
    let mut leaked = jwks(&[&keyed.key]);
    leaked["keys"][0]["d"] = "AAAA".into();
    keyed.world.host.set(JWKS, &leaked);
    let refused =
        authenticated(&keyed.world.restarted(), &flow.redemption(&code), &keyed.assertion(&json!({}))).await;
    assert_error(&refused, 401, "invalid_client", "client_keys_unreachable");
}

#[tokio::test]
async fn c8_a_login_whose_keys_cannot_be_fetched_yet_is_finished_when_they_can() {
    let keyed = Keyed::remote().await;
    keyed.world.host.set_status(JWKS, 503);
    let (flow, code) = keyed.code().await;
    let refused = keyed.redeem(&flow, &code, &keyed.assertion(&json!({}))).await;
    assert_error(&refused, 503, "temporarily_unavailable", "client_keys_unreachable");
    keyed.world.host.set_status(JWKS, 200);
    keyed.world.advance(5);
    keyed.succeeds_at(&keyed.world.fixture, &flow, &code).await;
}

#[tokio::test]
async fn as_73_a_jwks_uri_at_a_special_use_address_is_not_dialled() {
    let tripwire = Tripwire::on(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2)));
    let jwks_uri = format!("https://127.0.0.2:{}/jwks.json", tripwire.port());
    let keyed = Keyed::with(|document| document["jwks_uri"] = jwks_uri.into(), key()).await;
    let (flow, code) = keyed.code().await;
    let refused = keyed.redeem(&flow, &code, &keyed.assertion(&json!({}))).await;
    assert_error(&refused, 503, "temporarily_unavailable", "client_keys_unreachable");
    tripwire.assert_untouched();
}

#[tokio::test]
async fn c8_the_keys_of_a_public_client_are_not_fetched() {
    let world = World::start().await;
    let client_id = world.publish("/client", |document| document["jwks_uri"] = JWKS_URI.into());
    let flow = Flow::new(&client_id);
    let code = Browser::new(&world.fixture).authorize(&flow.query(&[])).await;
    assert_eq!(world.fixture.redeem(&flow, &code).await.status(), StatusCode::OK);
    assert_eq!(world.host.requests(JWKS), 0);
}
