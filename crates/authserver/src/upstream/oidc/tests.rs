//! Both kinds of remote upstreams against a provider over real sockets.

mod client;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::Full;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use thv_clock::{Clock, ManualClock, Timestamp};
use thv_egress::{Client, Policy, Roots};
use thv_jose::algorithm::Algorithm;
use thv_jose::key::SigningKey;
use thv_oauth::issuer::AllowHttp;
use thv_oauth::params::Params;
use thv_oauth::pkce::{CodeChallenge, CodeVerifier};
use thv_testkit::http_server::TestServer;
use tokio_util::task::TaskTracker;

use super::{OidcSettings, OidcUpstream};
use crate::upstream::oauth2::{IdentityPaths, OAuth2Settings, OAuth2Upstream, UserInfo};
use crate::upstream::{
    ConfiguredEndpoints, PreregisteredClient, ProviderSettings, RegistrationSettings, UpstreamError,
    UpstreamParts, UpstreamRequest,
};

const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

/// A provider whose token response and user info are what the test puts there.
struct Provider {
    server: TestServer,
    key: Arc<SigningKey>,
    answers: Arc<Mutex<Answers>>,
    clock: ManualClock,
}

#[derive(Default)]
struct Answers {
    tokens: Value,
    user: Value,
    announces_iss: bool,
    asked: Vec<(String, String)>,
}

impl Provider {
    async fn start() -> Self {
        let key = Arc::new(SigningKey::generate(Algorithm::ES256).unwrap());
        let answers = Arc::new(Mutex::new(Answers::default()));
        let (signer, shared) = (Arc::clone(&key), Arc::clone(&answers));
        let server = TestServer::http(move |request: Request<Bytes>| {
            std::future::ready(answer(&mut shared.lock().unwrap(), &signer, &request))
        });
        Self { server: server.await, key, answers, clock: ManualClock::at(NOW) }
    }

    fn egress() -> Client {
        Client::pooled(Policy::with_loopback(), &Roots::load(None).unwrap())
    }

    fn id_token(&self, changes: &Value) -> String {
        let mut claims = json!({
            "iss": self.server.url(""), "aud": "rp", "sub": "u1", "nonce": "the-nonce", "name": "Uma",
            "iat": NOW.as_secs(), "exp": NOW.as_secs() + 300
        });
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        self.key.sign("JWT", &claims).unwrap()
    }

    fn answers(&self, tokens: Value) {
        self.answers.lock().unwrap().tokens = tokens;
    }

    fn paths(&self) -> Vec<String> {
        self.answers.lock().unwrap().asked.iter().map(|(path, _)| path.clone()).collect()
    }

    fn userinfo(&self) -> UserInfo {
        UserInfo {
            endpoint: self.server.url("/user"),
            method: Method::GET,
            additional_headers: BTreeMap::from([("x-version".to_owned(), "1".to_owned())]),
            subject_fields: vec!["sub".to_owned(), "id".to_owned()],
            name_fields: vec!["name".to_owned(), "login".to_owned()],
            email_fields: vec!["email".to_owned()],
        }
    }

    fn provider(&self, scopes: &[&str]) -> ProviderSettings {
        ProviderSettings {
            discovery: None,
            endpoints: ConfiguredEndpoints::default(),
            allow_http: AllowHttp::Loopback,
            registration: RegistrationSettings {
                preregistered: Some(PreregisteredClient {
                    client_id: "rp".to_owned(),
                    client_secret: Some(SecretString::from("rp-secret")),
                    auth_method: None,
                }),
                ..RegistrationSettings::default()
            },
            redirect_uri: "https://mcp.example/oauth/callback".to_owned(),
            scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
            scope_parameter: "scope".to_owned(),
            scope_separator: " ".to_owned(),
            resource: None,
            additional_params: BTreeMap::new(),
        }
    }

    fn parts(&self) -> UpstreamParts {
        UpstreamParts {
            issuer: "https://mcp.example".to_owned(),
            egress: Self::egress(),
            clock: self.clock.shared(),
            stores: thv_store::memory::stores(thv_store::memory::Capacity::default()),
            published: None,
            tasks: TaskTracker::new(),
        }
    }

    fn oidc(&self, change: impl FnOnce(&mut OidcSettings)) -> OidcUpstream {
        let mut settings = OidcSettings {
            issuer: self.server.url(""),
            provider: self.provider(&["openid", "email"]),
            subject_claim: "sub".to_owned(),
            userinfo: None,
        };
        let params = &mut settings.provider.additional_params;
        params.insert("access_type".to_owned(), "offline".to_owned());
        change(&mut settings);
        OidcUpstream::new("corp".to_owned(), settings, self.parts())
    }

    fn oauth2(&self, change: impl FnOnce(&mut OAuth2Settings)) -> OAuth2Upstream {
        self.oauth2_with(self.parts(), change)
    }

    fn oauth2_with(&self, parts: UpstreamParts, change: impl FnOnce(&mut OAuth2Settings)) -> OAuth2Upstream {
        let mut settings = OAuth2Settings {
            provider: self.provider(&[]),
            userinfo: None,
            token_paths: None,
            identity_from_token: None,
        };
        settings.provider.endpoints = ConfiguredEndpoints {
            authorization: Some("https://gh.example/authorize?fixed=1".to_owned()),
            token: Some(self.server.url("/token")),
            revocation: Some(self.server.url("/revoke")),
            registration: None,
        };
        change(&mut settings);
        OAuth2Upstream::new("gh".to_owned(), settings, parts)
    }
}

fn answer(answers: &mut Answers, key: &SigningKey, request: &Request<Bytes>) -> Response<Full<Bytes>> {
    let path = request.uri().path().to_owned();
    let body = String::from_utf8(request.body().to_vec()).unwrap();
    answers.asked.push((path.clone(), body));
    let origin = format!("http://{}", request.headers().get("host").unwrap().to_str().unwrap());
    let body = match path.as_str() {
        "/.well-known/openid-configuration" => json!({
            "issuer": origin, "authorization_endpoint": format!("{origin}/authorize"),
            "token_endpoint": format!("{origin}/token"), "jwks_uri": format!("{origin}/jwks"),
            "authorization_response_iss_parameter_supported": answers.announces_iss
        }),
        "/jwks" => json!({"keys": [key.public().to_jwk()]}),
        "/token" => answers.tokens.clone(),
        "/user" => answers.user.clone(),
        "/revoke" => json!({}),
        "/register" => {
            json!({"client_id": "dynamic", "client_secret": "s3cret", "client_secret_expires_at": 0})
        }
        _ => Value::Null,
    };
    let status = if body.is_null() { 404 } else { 200 };
    let response = Response::builder().status(status).header("content-type", "application/json");
    response.body(Full::new(body.to_string().into())).unwrap()
}

async fn redeem(upstream: &OidcUpstream, iss: Option<&str>) -> Result<super::UpstreamLogin, UpstreamError> {
    upstream.provider().check_iss(iss).await?;
    upstream.redeem("the-code", &SecretString::from("the-verifier"), "the-nonce", None).await
}

fn query(url: &str) -> Params {
    Params::parse(url.split_once('?').unwrap().1.as_bytes()).unwrap()
}

fn request(challenge: &CodeChallenge, prompt_none: bool, prompt_login: bool) -> UpstreamRequest<'_> {
    let (state, nonce) = ("the-state", "the-nonce");
    UpstreamRequest { base_path: "", state, code_challenge: challenge, nonce, prompt_none, prompt_login }
}

#[tokio::test]
async fn u1_a_login_ends_with_a_subject_of_this_upstream_and_its_tokens() {
    let provider = Provider::start().await;
    provider.answers(json!({
        "access_token": "at", "token_type": "Bearer", "expires_in": 600, "refresh_token": "rt", "scope": "openid",
        "id_token": provider.id_token(&json!({"email": "uma@corp.example"}))
    }));
    let login = redeem(&provider.oidc(|_| {}), None).await.unwrap();
    assert_eq!((login.subject.sub.as_str(), login.subject.upstream.as_str()), ("corp:u1", "corp"));
    assert_eq!(login.subject.name.as_deref(), Some("Uma"));
    assert_eq!(login.subject.email.as_deref(), Some("uma@corp.example"));
    let tokens = login.tokens.unwrap();
    assert_eq!((tokens.provider.as_str(), tokens.subject.as_str()), ("corp", "u1"));
    assert_eq!(tokens.access_token.expose_secret(), "at");
    assert_eq!(tokens.refresh_token.unwrap().expose_secret(), "rt");
    assert_eq!(tokens.expires_at, Some(provider.clock.now() + Duration::from_secs(600)));
}

#[tokio::test]
async fn u1_a_login_needs_an_id_token_that_is_for_this_request_and_names_a_usable_subject() {
    let provider = Provider::start().await;
    let upstream = provider.oidc(|settings| settings.subject_claim = "oid".to_owned());
    for (claims, ok) in [
        (json!({"oid": "o1"}), true),
        (json!({"oid": "o1", "nonce": "another"}), false),
        (json!({"oid": "o1", "aud": "another"}), false),
        (json!({"oid": "o1", "exp": NOW.as_secs() - 61}), false),
        (json!({}), false),
        (json!({"oid": 7}), false),
        (json!({"oid": ""}), false),
        (json!({"oid": "a\nb"}), false),
        (json!({"oid": "x".repeat(256)}), false),
    ] {
        let id_token = provider.id_token(&claims);
        provider.answers(json!({"access_token": "at", "token_type": "Bearer", "id_token": id_token}));
        match redeem(&upstream, None).await {
            Ok(login) => assert!(ok && login.subject.sub == "corp:o1", "{claims}"),
            Err(error) => {
                assert!(!ok && matches!(error, UpstreamError::Unacceptable { .. }), "{claims}: {error:?}")
            }
        }
    }
    provider.answers(json!({"access_token": "at", "token_type": "Bearer"}));
    assert!(matches!(redeem(&upstream, None).await, Err(UpstreamError::Unacceptable { .. })));
    provider.answers(json!({"error": "invalid_grant"}));
    assert!(
        matches!(redeem(&upstream, None).await, Err(UpstreamError::Refused { error }) if error == "invalid_grant")
    );
}

#[tokio::test]
async fn cl_42_a_response_of_another_issuer_causes_no_token_request() {
    let provider = Provider::start().await;
    let issuer = provider.server.url("");
    provider.answers.lock().unwrap().announces_iss = true;
    let upstream = provider.oidc(|_| {});
    for iss in [None, Some("https://other.example"), Some(format!("{issuer}/").as_str())] {
        assert!(matches!(redeem(&upstream, iss).await, Err(UpstreamError::Unacceptable { .. })), "{iss:?}");
    }
    assert!(!provider.paths().contains(&"/token".to_owned()));
    let id_token = provider.id_token(&json!({}));
    provider.answers(json!({"access_token": "at", "token_type": "Bearer", "id_token": id_token}));
    redeem(&upstream, Some(&issuer)).await.unwrap();
}

#[tokio::test]
async fn u1_a_refresh_keeps_the_new_refresh_token_although_its_id_token_is_broken() {
    let provider = Provider::start().await;
    let upstream = provider.oidc(|_| {});
    let old = SecretString::from("rt-1");
    for id_token in [
        provider.id_token(&json!({})),
        provider.id_token(&json!({"aud": "another"})),
        provider.id_token(&json!({"exp": 1})),
        "broken".to_owned(),
    ] {
        provider.answers(json!({
            "access_token": "at-2", "token_type": "Bearer", "refresh_token": "rt-2", "id_token": id_token
        }));
        let tokens = upstream.refresh(&old, "u1", None).await.unwrap();
        assert_eq!(tokens.refresh_token.unwrap().expose_secret(), "rt-2", "{id_token}");
        assert_eq!(tokens.subject, "u1");
    }
    for changes in [json!({"sub": "u2"}), json!({"sub": "u2", "exp": 1}), json!({"sub": 1})] {
        let id_token = provider.id_token(&changes);
        provider.answers(json!({"access_token": "at", "token_type": "Bearer", "id_token": id_token}));
        let refused = upstream.refresh(&old, "u1", None).await;
        assert!(matches!(refused, Err(UpstreamError::Refused { .. })), "{changes}");
    }
    let (_, form) =
        provider.answers.lock().unwrap().asked.iter().rfind(|(path, _)| path == "/token").unwrap().clone();
    assert_eq!(form, "grant_type=refresh_token&refresh_token=rt-1", "no scope is sent");
}

#[tokio::test]
async fn u1_the_authorization_request_carries_pkce_nonce_scope_and_prompt() {
    let provider = Provider::start().await;
    let upstream = provider.oidc(|settings| {
        settings.provider.additional_params.insert("prompt".to_owned(), "consent".to_owned());
    });
    let challenge = CodeVerifier::from_random([7; 32]).challenge();
    for (prompt_none, prompt_login, prompt) in
        [(false, false, "consent"), (true, false, "none"), (false, true, "login consent")]
    {
        let request = request(&challenge, prompt_none, prompt_login);
        let url = upstream.authorization_url(&request).await.unwrap().url;
        assert!(url.starts_with(&provider.server.url("/authorize?")), "{url}");
        for (name, value) in [
            ("response_type", "code"),
            ("client_id", "rp"),
            ("redirect_uri", "https://mcp.example/oauth/callback"),
            ("scope", "openid email"),
            ("state", "the-state"),
            ("nonce", "the-nonce"),
            ("code_challenge", challenge.as_str()),
            ("code_challenge_method", "S256"),
            ("access_type", "offline"),
            ("prompt", prompt),
        ] {
            assert_eq!(query(&url).one(name), Ok(Some(value)), "{name}");
        }
    }
}

#[tokio::test]
async fn u1_user_info_completes_the_id_token_and_never_decides() {
    let provider = Provider::start().await;
    let userinfo = provider.userinfo();
    let upstream = provider.oidc(|settings| settings.userinfo = Some(userinfo));
    let id_token = provider.id_token(&json!({}));
    provider.answers(json!({"access_token": "at", "token_type": "Bearer", "id_token": id_token}));
    for (user, email) in [
        (json!({"sub": "u1", "email": "uma@corp.example", "name": "Not used"}), Some("uma@corp.example")),
        (json!({"sub": "u2", "email": "eve@corp.example"}), None),
        (Value::Null, None),
    ] {
        provider.answers.lock().unwrap().user = user;
        let subject = redeem(&upstream, None).await.unwrap().subject;
        assert_eq!((subject.name.as_deref(), subject.email.as_deref()), (Some("Uma"), email));
        assert_eq!(subject.sub, "corp:u1");
    }
}

#[tokio::test]
async fn u1_a_provider_that_is_down_at_the_start_is_found_later() {
    let provider = Provider::start().await;
    let upstream = provider.oidc(|_| {});
    provider.server.down();
    assert!(upstream.ready().await.unwrap_err().contains("could not be fetched"));
    assert!(matches!(redeem(&upstream, None).await, Err(UpstreamError::Unavailable(_))));
    provider.server.up();
    provider.clock.advance(Duration::from_secs(5));
    upstream.ready().await.unwrap();
}

#[tokio::test]
async fn u2_the_identity_comes_from_the_token_before_user_info_before_nothing() {
    let provider = Provider::start().await;
    let verifier = SecretString::from("the-verifier");
    let id_token = provider.id_token(&json!({"sub": "from-token"}));
    provider.answers(json!({"access_token": "abc", "account": {"id": 7, "name": "N"}, "id_token": id_token}));
    provider.answers.lock().unwrap().user = json!({"id": 583_231, "login": "octocat", "email": null});
    let paths = |subject: &str| IdentityPaths {
        subject: subject.to_owned(),
        name: Some("account.name".to_owned()),
        email: None,
    };
    for (identity, userinfo, sub, name) in [
        (Some(paths("account.id")), Some(provider.userinfo()), "gh:7", Some("N")),
        (Some(paths("id_token.@upstreamjwt.sub")), None, "gh:from-token", Some("N")),
        (None, Some(provider.userinfo()), "gh:583231", Some("octocat")),
        (None, None, "gh:tk-ba7816bf8f01cfea414140de5dae2223", None),
    ] {
        let upstream = provider.oauth2(|settings| {
            settings.identity_from_token = identity;
            settings.userinfo = userinfo;
        });
        let login = upstream.redeem("the-code", &verifier, None).await.unwrap();
        assert_eq!((login.subject.sub.as_str(), login.subject.name.as_deref()), (sub, name));
    }
    let upstream = provider.oauth2(|settings| settings.identity_from_token = Some(paths("account.missing")));
    assert!(upstream.redeem("the-code", &verifier, None).await.is_err(), "no other identity takes its place");
    provider.answers.lock().unwrap().user = Value::Null;
    let upstream = provider.oauth2(|settings| settings.userinfo = Some(provider.userinfo()));
    assert!(upstream.redeem("the-code", &verifier, None).await.is_err(), "no user info, no login");
}

#[tokio::test]
async fn u2_a_refresh_that_names_another_user_is_refused() {
    let provider = Provider::start().await;
    let paths = IdentityPaths { subject: "account.id".to_owned(), name: None, email: None };
    let upstream = provider.oauth2(|settings| settings.identity_from_token = Some(paths));
    let old = SecretString::from("rt-1");
    for (account, ok) in [(json!({"id": 7}), true), (json!({}), true), (json!({"id": 8}), false)] {
        provider.answers(json!({"access_token": "at-2", "refresh_token": "rt-2", "account": account}));
        match upstream.refresh(&old, "7", None).await {
            Ok(tokens) => assert!(ok && tokens.refresh_token.unwrap().expose_secret() == "rt-2"),
            Err(error) => assert!(!ok && matches!(error, UpstreamError::Refused { .. })),
        }
    }
}

#[tokio::test]
async fn u2_the_authorization_endpoint_keeps_its_query_and_no_empty_scope_or_nonce_is_sent() {
    let provider = Provider::start().await;
    let challenge = CodeVerifier::from_random([7; 32]).challenge();
    let request = request(&challenge, false, true);
    let url = provider.oauth2(|_| {}).authorization_url(&request).await.unwrap().url;
    assert!(url.starts_with("https://gh.example/authorize?fixed=1&response_type=code&"), "{url}");
    assert!(!url.contains("scope=") && !url.contains("nonce="), "{url}");
    assert_eq!(query(&url).one("prompt"), Ok(Some("login")));
    let script = provider.oauth2(|settings| {
        settings.provider.endpoints.authorization = Some("javascript:alert(1)".to_owned())
    });
    assert!(script.authorization_url(&request).await.is_err());
}
