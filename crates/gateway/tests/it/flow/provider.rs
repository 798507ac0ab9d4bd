use std::collections::HashMap;
use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, LOCATION};
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};
use tempfile::NamedTempFile;
use thv_clock::{Clock, ManualClock};
use thv_config::upstream::{OidcUpstream, UpstreamProvider, UpstreamType};
use thv_config::{Config, SecretRef};
use thv_jose::algorithm::Algorithm;
use thv_jose::digest::{base64url, sha256};
use thv_jose::key::SigningKey;
use thv_jose::keyring::KeyRing;
use thv_jose::random;
use thv_oauth::params::{Params, append_query};
use thv_testkit::http_server::TestServer;
use tokio::sync::watch;

use super::gate::auth_server;

pub(super) const CLIENT_ID: &str = "gateway-at-corp";
/// How long the provider's access tokens live, in seconds.
pub(super) const LIFETIME: u64 = 600;

/// An identity provider whose users are logged in already. It rotates refresh tokens and accepts each once.
pub(super) struct Provider {
    server: TestServer,
    state: Arc<State>,
    secret_file: NamedTempFile,
}

/// How the provider behaves.
#[derive(Clone)]
pub(super) struct Manner {
    pub(super) subject: &'static str,
    /// Whether the metadata announces `iss` in authorization responses.
    pub(super) announces_iss: bool,
    pub(super) iss: Option<String>,
    /// The authorization endpoint refuses with this.
    pub(super) error: Option<&'static str>,
    /// The ID token's nonce, other than the request's.
    pub(super) nonce: Option<&'static str>,
    pub(super) audience: &'static str,
    /// Refresh tokens are refused.
    pub(super) refuses_refresh: bool,
    /// Refresh requests are answered with 503.
    pub(super) is_overloaded: bool,
    pub(super) shape: Shape,
    /// The answer to `GET /user`.
    pub(super) user: Value,
}

/// What a token response looks like.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    OpenId,
    /// Like OpenId, without an ID token.
    OAuth,
    /// Everything below `data`, with the user's id.
    Nested,
}

struct State {
    keys: KeyRing,
    secret: String,
    clock: ManualClock,
    manner: Mutex<Manner>,
    codes: Mutex<HashMap<String, Params>>,
    refresh_tokens: Mutex<Vec<String>>,
    /// Everything secret that was handed out.
    issued: Mutex<Vec<String>>,
    access_tokens: AtomicUsize,
    refresh_requests: AtomicUsize,
    refreshes: watch::Sender<usize>,
    held: watch::Sender<bool>,
}

impl Provider {
    pub(super) async fn start(clock: &ManualClock) -> Self {
        let manner = Manner {
            subject: "alice",
            announces_iss: false,
            iss: None,
            error: None,
            nonce: None,
            audience: CLIENT_ID,
            refuses_refresh: false,
            is_overloaded: false,
            shape: Shape::OpenId,
            user: Value::Null,
        };
        let secret = random::token();
        let mut secret_file = NamedTempFile::new().unwrap();
        secret_file.write_all(secret.as_bytes()).unwrap();
        let state = Arc::new(State {
            keys: KeyRing::new(vec![SigningKey::generate(Algorithm::ES256).unwrap()]).unwrap(),
            secret,
            clock: clock.clone(),
            manner: Mutex::new(manner),
            codes: Mutex::default(),
            refresh_tokens: Mutex::default(),
            issued: Mutex::default(),
            access_tokens: AtomicUsize::new(0),
            refresh_requests: AtomicUsize::new(0),
            refreshes: watch::Sender::new(0),
            held: watch::Sender::new(false),
        });
        let shared = Arc::clone(&state);
        let server = TestServer::http(move |request| Arc::clone(&shared).answer(request)).await;
        Self { server, state, secret_file }
    }

    pub(super) fn url(&self, path: &str) -> String {
        self.server.url(path)
    }

    pub(super) fn secret_ref(&self) -> SecretRef {
        SecretRef::file(self.secret_file.path())
    }

    pub(super) fn secret(&self) -> &str {
        &self.state.secret
    }

    /// Makes it the only upstream, as `oidc`.
    pub(super) fn as_oidc(&self, config: &mut Config) {
        auth_server(config).upstream_providers = vec![UpstreamProvider {
            name: "corp".to_owned(),
            upstream_type: Some(UpstreamType::Oidc),
            oidc_config: Some(OidcUpstream {
                issuer_url: self.url(""),
                client_id: CLIENT_ID.to_owned(),
                client_secret_ref: Some(self.secret_ref()),
                ..OidcUpstream::default()
            }),
            ..UpstreamProvider::default()
        }];
    }

    pub(super) fn behave(&self, change: impl FnOnce(&mut Manner)) {
        change(&mut self.state.manner.lock().unwrap());
    }

    pub(super) fn down(&self) {
        self.server.down();
    }

    pub(super) fn up(&self) {
        self.server.up();
    }

    /// How many refresh requests have arrived.
    pub(super) fn refresh_requests(&self) -> usize {
        self.state.refresh_requests.load(Ordering::SeqCst)
    }

    /// Keeps refresh requests waiting, or lets them go.
    pub(super) fn hold(&self, held: bool) {
        self.state.held.send_replace(held);
    }

    /// Waits for a refresh request to arrive.
    pub(super) async fn refresh_requested(&self) {
        self.state.refreshes.subscribe().wait_for(|count| *count > 0).await.unwrap();
    }

    /// Everything secret that was handed out.
    pub(super) fn issued(&self) -> Vec<String> {
        self.state.issued.lock().unwrap().clone()
    }
}

impl State {
    async fn answer(self: Arc<Self>, request: Request<Bytes>) -> Response<Full<Bytes>> {
        let issuer = format!("http://{}", request.headers()["host"].to_str().unwrap());
        let query = request.uri().query().unwrap_or_default().to_owned();
        match request.uri().path() {
            "/.well-known/openid-configuration" => self.metadata(&issuer),
            "/jwks" => respond(200, self.keys.jwks_json()),
            "/authorize" => self.authorize(&query, &issuer),
            "/token" => self.token(&request, &issuer).await,
            "/user" => self.user(&request),
            _ => respond(404, "{}"),
        }
    }

    fn metadata(&self, issuer: &str) -> Response<Full<Bytes>> {
        let metadata = json!({
            "issuer": issuer,
            "authorization_endpoint": format!("{issuer}/authorize"),
            "token_endpoint": format!("{issuer}/token"),
            "jwks_uri": format!("{issuer}/jwks"),
            "authorization_response_iss_parameter_supported": self.manner.lock().unwrap().announces_iss,
        });
        respond(200, metadata.to_string())
    }

    fn authorize(&self, query: &str, issuer: &str) -> Response<Full<Bytes>> {
        let params = Params::parse(query.as_bytes()).unwrap();
        let one = |name| params.one(name).unwrap().unwrap();
        assert_eq!((one("response_type"), one("client_id")), ("code", CLIENT_ID));
        let manner = self.manner.lock().unwrap().clone();
        let mut answer = vec![("state", one("state"))];
        let iss = manner.iss.as_deref().map(|iss| if iss == "ours" { issuer } else { iss });
        answer.extend(iss.map(|iss| ("iss", iss)));
        let code = self.secret_value("code");
        match manner.error {
            Some(error) => answer.push(("error", error)),
            None => answer.push(("code", &code)),
        }
        let location = append_query(one("redirect_uri"), &answer);
        self.codes.lock().unwrap().insert(code, params);
        let mut response = respond(302, "");
        response.headers_mut().insert(LOCATION, location.parse().unwrap());
        response
    }

    async fn token(&self, request: &Request<Bytes>, issuer: &str) -> Response<Full<Bytes>> {
        use base64::Engine;
        let form = Params::parse(request.body()).unwrap();
        let one = |name| form.one(name).unwrap();
        let basic = base64::engine::general_purpose::STANDARD.encode(format!("{CLIENT_ID}:{}", self.secret));
        if request.headers().get(AUTHORIZATION).is_none_or(|value| *value != format!("Basic {basic}")) {
            return respond(401, r#"{"error":"invalid_client"}"#);
        }
        let refused = || respond(400, r#"{"error":"invalid_grant"}"#);
        match one("grant_type") {
            Some("authorization_code") => {
                let Some(params) = self.codes.lock().unwrap().remove(one("code").unwrap()) else {
                    return refused();
                };
                let challenge = base64url(&sha256(one("code_verifier").unwrap().as_bytes()));
                assert_eq!(params.one("code_challenge").unwrap(), Some(challenge.as_str()));
                assert_eq!(one("redirect_uri"), params.one("redirect_uri").unwrap());
                respond(200, self.tokens(issuer, params.one("nonce").unwrap()))
            }
            Some("refresh_token") => {
                self.refresh_requests.fetch_add(1, Ordering::SeqCst);
                self.refreshes.send_modify(|count| *count += 1);
                self.held.subscribe().wait_for(|held| !held).await.unwrap();
                if self.manner.lock().unwrap().is_overloaded {
                    return respond(503, "{}");
                }
                let presented = one("refresh_token").unwrap();
                let mut known = self.refresh_tokens.lock().unwrap();
                let at = known.iter().position(|token| token == presented);
                match at.filter(|_| !self.manner.lock().unwrap().refuses_refresh) {
                    Some(at) => {
                        known.remove(at);
                        drop(known);
                        respond(200, self.tokens(issuer, None))
                    }
                    None => refused(),
                }
            }
            other => panic!("grant_type {other:?}"),
        }
    }

    fn tokens(&self, issuer: &str, nonce: Option<&str>) -> String {
        let manner = self.manner.lock().unwrap().clone();
        let number = self.access_tokens.fetch_add(1, Ordering::SeqCst) + 1;
        let access_token = format!("upstream-access-{number}");
        let refresh_token = self.secret_value("upstream-refresh");
        self.issued.lock().unwrap().push(access_token.clone());
        self.refresh_tokens.lock().unwrap().push(refresh_token.clone());
        let now = self.clock.now().as_secs();
        let mut response = match manner.shape {
            Shape::Nested => {
                let user = json!({"id": manner.subject, "name": "Nested"});
                return json!({"ok": true, "data": {
                    "bot": {"token": access_token, "refresh": refresh_token, "ttl": LIFETIME}, "user": user,
                }})
                .to_string();
            }
            _ => json!({
                "access_token": access_token, "refresh_token": refresh_token, "token_type": "Bearer",
                "expires_in": LIFETIME, "scope": "openid",
            }),
        };
        if manner.shape == Shape::OpenId {
            let claims = json!({
                "iss": issuer, "sub": manner.subject, "aud": manner.audience, "iat": now, "exp": now + 60,
                "nonce": manner.nonce.or(nonce), "name": "Alice Example",
            });
            let id_token = self.keys.sign("JWT", &claims).unwrap();
            self.issued.lock().unwrap().push(id_token.clone());
            response["id_token"] = id_token.into();
        }
        response.to_string()
    }

    fn user(&self, request: &Request<Bytes>) -> Response<Full<Bytes>> {
        let authorization = request.headers()[AUTHORIZATION].to_str().unwrap();
        assert!(authorization.starts_with("Bearer upstream-access-"), "{authorization}");
        respond(200, self.manner.lock().unwrap().user.to_string())
    }

    fn secret_value(&self, kind: &str) -> String {
        let value = format!("{kind}-{}", random::token());
        self.issued.lock().unwrap().push(value.clone());
        value
    }
}

fn respond(status: u16, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response.headers_mut().insert(CONTENT_TYPE, "application/json".parse().unwrap());
    response
}
