//! A confidential client that registered itself, and what hangs on the grants of its users.

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{Method, Request, Response, StatusCode};
use secrecy::SecretString;
use serde_json::{Value, json};
use thv_authserver::Parts;
use thv_clock::Timestamp;
use thv_jose::verify::peek_unverified;
use thv_store::Stores;
use thv_store::records::{GrantId, SessionId, UpstreamTokens, VaultEntry};

use crate::fixture::{Browser, Fixture, Flow, T0, json as body_of};

pub(crate) const REDIRECT: &str = "https://app.example/callback";

/// The client's registration.
pub(crate) struct Confidential {
    pub(crate) client_id: String,
    pub(crate) secret: String,
    /// The answer to its registration.
    pub(crate) registered: Value,
}

impl Confidential {
    pub(crate) async fn register(fixture: &Fixture) -> Self {
        let request = json!({"client_name": "Confidential", "redirect_uris": [REDIRECT],
            "token_endpoint_auth_method": "client_secret_post", "software_id": "app"});
        let answer = fixture.post_json("/oauth/register", &request).await;
        assert_eq!(answer.status(), StatusCode::CREATED, "{:?}", answer.body());
        let registered = body_of(&answer);
        let text = |name: &str| registered[name].as_str().unwrap().to_owned();
        Self { client_id: text("client_id"), secret: text("client_secret"), registered }
    }

    pub(crate) fn registration_token(&self) -> &str {
        self.registered["registration_access_token"].as_str().unwrap()
    }

    /// `form` with its credentials.
    pub(crate) fn with_credentials<'a>(&'a self, form: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        let mut form = form.to_vec();
        form.extend([("client_id", self.client_id.as_str()), ("client_secret", self.secret.as_str())]);
        form
    }

    /// A login of a user; the token response.
    pub(crate) async fn log_in(&self, fixture: &Fixture) -> Value {
        let flow = Flow { redirect_uri: REDIRECT.to_owned(), ..Flow::new(&self.client_id) };
        let code = Browser::new(fixture).authorize(&flow.query(&[("scope", "openid offline_access")])).await;
        let mut form = flow.redemption(&code).to_vec();
        form.push(("client_secret", &self.secret));
        let answer = fixture.token(&form).await;
        assert_eq!(answer.status(), StatusCode::OK, "{:?}", answer.body());
        body_of(&answer)
    }

    pub(crate) async fn refresh(&self, fixture: &Fixture, tokens: &Value) -> Response<Bytes> {
        let form = [("grant_type", "refresh_token"), ("refresh_token", text(tokens, "refresh_token"))];
        fixture.token(&self.with_credentials(&form)).await
    }
}

/// A server where clients may register a secret, and its stores.
pub(crate) fn fixture_with(change: impl FnOnce(&mut Parts)) -> (Fixture, Stores) {
    let mut stores = None;
    let fixture = Fixture::with(|parts| {
        parts.settings.confidential_registration = true;
        change(parts);
        stores = Some(parts.stores.clone());
    });
    (fixture, stores.unwrap())
}

pub(crate) fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value[member].as_str().unwrap_or_else(|| panic!("no {member} in {value}"))
}

/// The grant behind an access token, as the token names it.
pub(crate) fn tsid(tokens: &Value) -> String {
    let claims: Value = peek_unverified(text(tokens, "access_token")).unwrap();
    text(&claims, "tsid").to_owned()
}

/// The session of the grant behind an access token.
pub(crate) async fn session_of(stores: &Stores, tokens: &Value) -> SessionId {
    let id = GrantId::parse(&tsid(tokens)).unwrap();
    stores.grants.load(&id, T0).await.unwrap().unwrap().value.session
}

/// Lets a session have upstream tokens.
pub(crate) async fn give_upstream_tokens(stores: &Stores, session: &SessionId) {
    let tokens = UpstreamTokens {
        provider: "local".to_owned(),
        subject: "dev".to_owned(),
        access_token: SecretString::from("upstream-access"),
        refresh_token: None,
        obtained_at: T0,
        expires_at: None,
        scopes: None,
        client_id: None,
    };
    let entry =
        VaultEntry { tokens, rotates: None, intent: None, login: 1, forced_at: None, refused_at: None };
    let until = Timestamp::from_secs(T0.as_secs() + 3600);
    stores.upstream_tokens.put(session, None, entry, until, T0).await.unwrap();
}

pub(crate) async fn has_upstream_tokens(stores: &Stores, session: &SessionId) -> bool {
    stores.upstream_tokens.load(session, "local", T0).await.unwrap().is_some()
}

/// Posts a form to an endpoint beside the token endpoint.
pub(crate) async fn post(fixture: &Fixture, path: &str, form: &[(&str, &str)]) -> Response<Bytes> {
    let request = Request::builder()
        .method(Method::POST)
        .uri(path)
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Bytes::from(thv_oauth::params::encode(form)));
    fixture.call(request.unwrap()).await
}

/// A request to a client's configuration endpoint.
pub(crate) async fn manage(
    fixture: &Fixture,
    method: Method,
    client_id: &str,
    token: &str,
    body: Option<&Value>,
) -> Response<Bytes> {
    let request = Request::builder()
        .method(method)
        .uri(format!("/oauth/register/{client_id}"))
        .header(CONTENT_TYPE, "application/json")
        .header(AUTHORIZATION, format!("Bearer {token}"));
    let body = body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
    fixture.call(request.body(body).unwrap()).await
}
