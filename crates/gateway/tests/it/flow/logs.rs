//! What is written to the log (O6).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{Method, Request};
use http_body_util::Full;
use serde_json::json;
use tempfile::TempDir;
use thv_telemetry::logs::{Format, layer};
use thv_testkit::browser::Page;
use thv_testkit::certs::TestCa;
use thv_testkit::oauth_client::{Tokens, walk};
use thv_testkit::sink::Sink;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use super::backend::Backend;
use super::gate::{Gate, REDIRECT_URI, TOOL_CALL, auth_server, clock};
use super::production::{PASSWORD, production};
use super::provider::{LIFETIME, Provider};

/// What must not be found, by what it is.
#[derive(Default)]
struct Secrets(Vec<(&'static str, String)>);

impl Secrets {
    fn add(&mut self, what: &'static str, secret: &str) {
        self.0.push((what, secret.to_owned()));
    }

    fn tokens(&mut self, tokens: &Tokens) {
        self.add("access token", tokens.access_token());
        self.add("refresh token", tokens.refresh_token().unwrap());
    }

    /// The cookies that a page sets.
    fn cookies(&mut self, page: &Page) {
        for cookie in page.headers().get_all("set-cookie") {
            let value = cookie.to_str().unwrap().split(';').next().unwrap().split_once('=').unwrap().1;
            if !value.is_empty() {
                self.add("cookie", value);
            }
        }
    }

    /// The end of a secret is as bad as all of it; of a JWT it is the signature, so its claims are looked for too.
    fn assert_absent(&self, log: &str) {
        for (what, secret) in &self.0 {
            let tail = &secret[secret.len().saturating_sub(16)..];
            let claims = secret.split('.').nth(1).filter(|claims| claims.len() > 16);
            for part in [Some(tail), claims].into_iter().flatten() {
                let line = log.lines().find(|line| line.contains(part));
                assert!(line.is_none(), "a {what} ({secret}) is in the log: {line:?}");
            }
        }
    }
}

#[tokio::test]
async fn o6_no_secret_is_ever_logged() {
    let sink = Sink::default();
    let writer = sink.clone();
    let lines = layer(Format::Json, "trace".parse().unwrap(), false, move || writer.clone());
    tracing_subscriber::registry().with(lines).init();
    let mut secrets = Secrets::default();

    let directory = tempfile::tempdir().unwrap();
    with_a_provider(&mut secrets, &directory).await;
    with_passwords(&mut secrets).await;

    let log = sink.text();
    for event in [
        "client registered",
        "authorization code issued",
        "authorization refused",
        "request of a client refused",
        "local login refused",
        "a token request failed",
        "upstream refresh failed",
        "upstream login failed",
    ] {
        assert!(log.contains(event), "{event:?} is missing: was this path taken?\n{log}");
    }
    assert!(log.contains(r#""level":"DEBUG""#), "the lower levels are captured, too");
    assert!(secrets.0.len() > 30, "{}", secrets.0.len());
    secrets.assert_absent(&log);
}

/// A login at an identity provider, calls and refreshes, and what can go wrong with them.
async fn with_a_provider(secrets: &mut Secrets, directory: &TempDir) {
    let clock = clock();
    let (backend, provider) = (Backend::start().await, Provider::start(&clock).await);
    let client_secret = "configured-client-secret-0123456789";
    let secret_file = directory.path().join("client-secret");
    std::fs::write(&secret_file, client_secret).unwrap();
    secrets.add("client secret", client_secret);
    secrets.add("client secret of the gateway", provider.secret());
    let gate = Gate::start(&clock, &backend.url(), |config| {
        provider.as_oidc(config);
        let server = auth_server(config);
        server.allow_confidential_client_registration = true;
        server.clients = vec![thv_config::auth_server::PreregisteredClient {
            client_id: "known".to_owned(),
            client_secret_ref: Some(thv_config::SecretRef::file(&secret_file)),
            redirect_uris: vec![REDIRECT_URI.to_owned()],
            ..Default::default()
        }];
    })
    .await;

    let (mut browser, server) = (gate.browser(), gate.discover().await);
    let confidential = json!({"redirect_uris": ["https://app.example/cb"], "token_endpoint_auth_method": "client_secret_basic"});
    let registered = server.register(&mut browser, &confidential).await.json();
    secrets.add("client secret", registered["client_secret"].as_str().unwrap());
    let basic = STANDARD.encode(format!("known:{client_secret}"));
    secrets.add("client secret", &basic);
    // A confidential client, whose secret is wrong at first.
    let confidential = gate.request("known");
    let code = confidential.authorize(&mut browser, &server, &[]).await.code().to_owned();
    secrets.add("code", &code);
    secrets.add("code verifier", &confidential.pkce.verifier);
    let verifier = &confidential.pkce.verifier;
    let form = format!(
        "grant_type=authorization_code&code={code}&redirect_uri={REDIRECT_URI}&code_verifier={verifier}"
    );
    let mut exchange = async |basic: &str| {
        let request = Request::post(server.text("token_endpoint"))
            .header("authorization", format!("Basic {basic}"))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Full::from(form.clone()))
            .unwrap();
        browser.send(request).await
    };
    let wrong = STANDARD.encode("known:a-secret-that-is-wrong");
    secrets.add("client secret", &wrong);
    secrets.add("client secret", "a-secret-that-is-wrong");
    assert_eq!(exchange(&wrong).await.status(), 401);
    secrets.tokens(&Tokens::of(&exchange(&basic).await));

    let client_id = server.register_public(&mut browser, REDIRECT_URI).await;
    let request = gate.request(&client_id);
    secrets.add("code verifier", &request.pkce.verifier);
    let consent = browser.get(&request.url(&server)).await;
    secrets.cookies(&consent);
    for (name, value) in consent.forms().into_iter().flat_map(|form| form.fields) {
        if name == "ticket" {
            secrets.add("consent ticket", &value);
        }
    }
    let callback = walk(&mut browser, consent, REDIRECT_URI, &[]).await;
    for name in ["thv_dev_csrf", "thv_dev_flow", "thv_dev_sign_in"] {
        if let Some(cookie) = browser.cookie(&gate.origin, name) {
            secrets.add("cookie", &cookie);
        }
    }
    secrets.add("code", callback.code());
    let tokens = Tokens::of(&request.exchange(&mut browser, &server, callback.code()).await);
    secrets.tokens(&tokens);
    assert_eq!(gate.get("/mcp").await.status(), 401);
    assert_eq!(gate.call(tokens.access_token()).await.status, 200);

    // Renewed at the provider, after a refusal of the backend, not at all, refused.
    clock.advance(std::time::Duration::from_secs(LIFETIME));
    assert_eq!(gate.call(tokens.access_token()).await.status, 200);
    backend.refuse("Bearer upstream-access-2");
    assert_eq!(gate.call(tokens.access_token()).await.status, 200);
    clock.advance(std::time::Duration::from_secs(LIFETIME));
    provider.behave(|manner| manner.is_overloaded = true);
    assert_eq!(gate.call(tokens.access_token()).await.status, 503);
    provider.behave(|manner| (manner.is_overloaded, manner.refuses_refresh) = (false, true));
    assert_eq!(gate.call(tokens.access_token()).await.status, 401);

    // Who would only get another token that is refused is to log in.
    assert_eq!(tokens.refresh(&mut browser, &server, &client_id).await.status(), 400);
    provider.behave(|manner| manner.refuses_refresh = false);
    let consent = browser.get(&gate.request(&client_id).url(&server)).await;
    let again = walk(&mut browser, consent, REDIRECT_URI, &[]).await;
    secrets.add("code", again.code());

    // Ours: rotated, reused, ended; in the query, broken, redeemed twice. The new login is the old session's, too.
    let next = Tokens::of(&tokens.refresh(&mut browser, &server, &client_id).await);
    secrets.tokens(&next);
    clock.advance(std::time::Duration::from_secs(61));
    assert_eq!(tokens.refresh(&mut browser, &server, &client_id).await.status(), 400);
    assert_eq!(gate.call(next.access_token()).await.status, 401);
    let in_query = format!("{}?access_token={}", gate.resource(), next.access_token());
    let both = gate.to_mcp(Method::POST, next.access_token()).uri(&in_query);
    assert_eq!(gate.whole(both.body(Full::from(TOOL_CALL)).unwrap()).await.status, 400);
    let broken = next.access_token().replace('.', "");
    secrets.add("broken token", &broken);
    assert_eq!(gate.call(&broken).await.status, 401);
    assert_eq!(request.exchange(&mut browser, &server, callback.code()).await.status(), 400);

    // Logins that fail, and a callback that belongs to nobody.
    provider.behave(|manner| manner.nonce = Some("another"));
    gate.try_log_in().await;
    provider.behave(|manner| manner.error = Some("access_denied"));
    gate.try_log_in().await;
    let stray = "stray-code-0123456789abcdef";
    secrets.add("code", stray);
    assert_eq!(gate.get(&format!("/oauth/callback?state=unknown&code={stray}")).await.status(), 400);
    for issued in provider.issued() {
        secrets.add("secret of the provider", &issued);
    }
}

/// A login with a password, after one with a wrong password.
async fn with_passwords(secrets: &mut Secrets) {
    let (directory, ca, backend) = (tempfile::tempdir().unwrap(), TestCa::new(), Backend::start().await);
    let gate = production(&directory, &ca, &backend.url(), "").await;
    let (mut browser, server) = (gate.browser(), gate.discover().await);
    let client_id = server.register_public(&mut browser, REDIRECT_URI).await;
    let page = browser.get(&gate.request(&client_id).url(&server)).await;
    secrets.cookies(&page);
    let mut forms = page.forms().into_iter();
    let approve = forms.find_map(|mut form| form.press("decision", "approve").then_some(form)).unwrap();
    let next = browser.submit(&page, &approve).await;
    secrets.cookies(&next);
    let login = browser.follow(next, 1).await;
    let mut form = login.form();
    form.fill("username", "ann");
    form.fill("password", "a-wrong-password-0123");
    assert_eq!(browser.submit(&login, &form).await.status(), 403);
    form.fill("password", PASSWORD);
    let done = browser.submit(&login, &form).await;
    secrets.cookies(&done);
    let code = done.location().unwrap();
    let code = code.query_pairs().find(|(name, _)| name == "code").unwrap().1;
    secrets.add("code", &code);
    secrets.add("password", PASSWORD);
    secrets.add("password", "a-wrong-password-0123");
}
