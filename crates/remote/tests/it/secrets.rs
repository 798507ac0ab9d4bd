//! What nobody gets to see (CL-30).

use std::time::Duration;

use http::StatusCode;
use secrecy::ExposeSecret;
use serde_json::json;
use thv_client::preflight::Preflight;
use thv_remote::credentials::Credentials;
use thv_remote::token_exchange::TokenExchangeSettings;
use thv_remote::ui::Input;
use thv_testkit::sink::Sink;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::support::authorization_server::{LIFETIME, page, redirect, refusal};
use crate::support::user::within;
use crate::support::world::{A_MINUTE, World};

/// What must not be found, and what is looked at.
#[derive(Default)]
struct Inspection {
    secrets: Vec<String>,
    texts: String,
}

impl Inspection {
    fn secret(&mut self, secret: &str) {
        assert!(secret.len() >= 16, "{secret} may be there by chance");
        self.secrets.push(secret.to_owned());
    }

    fn text(&mut self, text: impl Into<String>) {
        self.texts.push_str(&text.into());
        self.texts.push('\n');
    }

    /// The secrets of a world whose stories have been told.
    fn of(&mut self, world: &World) {
        for secret in world.idp.secrets() {
            self.secret(&secret);
        }
        for asked in world.idp.asked("/token") {
            for name in ["code", "code_verifier", "refresh_token", "client_secret", "subject_token"] {
                if let Some(value) = asked.one(name) {
                    self.secret(value);
                }
            }
            if let Some(basic) = asked.header("authorization") {
                self.secret(basic.strip_prefix("Basic ").unwrap());
            }
        }
        self.text(format!("{:?}", world.keep.kept()));
        self.text(world.user.shown().join("\n"));
    }

    fn pass(&self, log: &str) {
        for secret in &self.secrets {
            for text in [log, &self.texts] {
                let line = text.lines().find(|line| line.contains(secret));
                assert!(line.is_none(), "{secret} is in {line:?}");
            }
        }
    }
}

#[tokio::test]
async fn cl_30_no_secret_is_ever_logged_or_shown() {
    let sink = Sink::default();
    let writer = sink.clone();
    // Everything, our dependencies' words among it.
    let lines = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(move || writer.clone());
    tracing_subscriber::registry().with(lines).init();

    let mut inspection = Inspection::default();
    by_document(&mut inspection).await;
    by_registration(&mut inspection).await;
    by_hand(&mut inspection).await;

    let log = sink.text();
    for event in [
        "logged in",
        "registered dynamically",
        "the registration was renewed",
        "the authorization server refuses this client",
        "the refresh token was refused",
        "a token request failed",
        "no login",
        "authorization server metadata found",
    ] {
        assert!(log.contains(event), "{event:?} is missing: was this path taken?");
    }
    assert!(log.contains(" TRACE "), "the lowest level is captured");
    assert!(inspection.secrets.len() > 40, "{}", inspection.secrets.len());
    inspection.pass(&log);
}

/// A login over TLS, its renewal, its end, one that fails, one whose URL is pasted, a logout.
async fn by_document(inspection: &mut Inspection) {
    let mut world = World::start_https().await;
    let process = world.logged_in().await;
    let access = process.session.access().await.unwrap();
    inspection.text(format!("{access:?}"));
    world.idp.forget_access_tokens();
    inspection.text(process.call().await.body);
    world.clock.advance(Duration::from_secs(LIFETIME));
    world.idp.forget_access_tokens();
    world.idp.forget_refresh_tokens();
    assert_eq!(process.call().await.status, StatusCode::OK);

    // The server repeats what it was sent.
    world.idp.behave(|manner| {
        manner.on(|asked| {
            (asked.path == "/token").then(|| {
                let code = asked.one("code").or(asked.one("refresh_token")).unwrap();
                page(
                    400,
                    "application/json",
                    json!({"error": "invalid_grant", "error_description": code}).to_string(),
                )
            })
        });
    });
    world.idp.forget_access_tokens();
    world.clock.advance(A_MINUTE * 10);
    let got = process.call().await;
    assert_eq!(got.status, StatusCode::SERVICE_UNAVAILABLE);
    inspection.text(got.body);
    let error = process.log_in().await.unwrap_err();
    inspection.text(format!("{error:?} {} {:?}", thv_telemetry::chain(&*error), error.hint()));
    inspection.text(world.user.page(world.user.opened().len()).await.text());

    world.idp.behave(|manner| manner.hook = None);
    world.settings.skip_browser = true;
    let headless = world.process().await;
    let login = tokio::spawn(async move { headless.log_in().await });
    let urls = world.user.shown().iter().filter(|shown| shown.starts_with("log in")).count();
    let url = world.user.is_asked(urls + 1).await;
    let ended_at = world.user.step(&url).await.location().unwrap().to_string();
    let foreign = ended_at.replace("state=", "state=x");
    for url in [foreign, ended_at] {
        let input = Input::CallbackUrl(url);
        inspection.text(format!("{input:?}"));
        world.user.says(input);
    }
    within(login).await.unwrap().unwrap();
    inspection.text(format!("{:?}", process.session.log_out(true).await));
    inspection.of(&world);
}

/// A registration after a refused document, renewed, with a secret; an answer that comes at once.
async fn by_registration(inspection: &mut Inspection) {
    let world = World::start().await;
    let uri = world.idp.server.url("/register/1");
    let expires_at = crate::support::world::START.as_secs() + 3600;
    world.idp.behave(|manner| {
        manner.knows_everybody = true;
        manner.metadata()["token_endpoint_auth_methods_supported"] = json!(["client_secret_basic"]);
        manner.registration = json!({
            "client_secret": "registered-client-secret-0123456789", "client_secret_expires_at": expires_at,
            "registration_client_uri": uri, "registration_access_token": "registration-access-token-0123456789",
        });
        manner.on(|asked| {
            let by_document = asked.one("client_id").is_some_and(|client_id| client_id.starts_with("https://"));
            (asked.path == "/authorize" && by_document)
                .then(|| redirect("/error?error=invalid_client&error_description=stranger"))
        });
    });
    let process = world.logged_in().await;
    process.log_in().await.unwrap();
    inspection.secret("registered-client-secret-0123456789");
    inspection.secret("registration-access-token-0123456789");
    let record = world.keep.kept().to_secret();
    assert!(record.expose_secret().contains("registration-access-token-0123456789"));
    inspection.text(format!("{:?} {record:?}", Credentials::from_secret(&record)));
    inspection.text(format!("{:?}", Preflight::Answered("code=answered-at-once-0123456789".to_owned())));
    inspection.secret("answered-at-once-0123456789");
    world.idp.behave(|manner| manner.on(|asked| (asked.method == "DELETE").then(|| refusal(403, "no"))));
    inspection.text(format!("{:?}", process.session.log_out(true).await));
    inspection.of(&world);
}

/// A client with a secret, and a token that is exchanged for another one.
async fn by_hand(inspection: &mut Inspection) {
    let mut world = World::start().await;
    world.settings.client_id = Some("by-hand".to_owned());
    world.client_secret = Some("configured-client-secret-0123456789".to_owned().into());
    let mut config = world.config().await;
    let exchange =
        TokenExchangeSettings { url: world.idp.server.url("/exchange"), ..TokenExchangeSettings::default() };
    config.token_exchange = Some((exchange, Some("exchange-client-secret-0123456789".to_owned().into())));
    world.idp.behave(|manner| {
        manner.on(|asked| {
            let answer = r#"{"access_token":"exchanged-token-0123456789","token_type":"Bearer"}"#;
            (asked.path == "/exchange").then(|| page(200, "application/json", answer))
        });
    });
    let process = world.process_of(config).await;
    inspection.text(format!("{:?}", process.call().await));
    assert_eq!(world.idp.asked("/exchange").len(), 1);
    let mut config = world.config().await;
    config.bearer_token = Some("configured-bearer-token-0123456789".to_owned().into());
    inspection.text(format!("{:?}", world.process_of(config).await.call().await));
    for secret in [
        "configured-client-secret-0123456789",
        "exchange-client-secret-0123456789",
        "exchanged-token-0123456789",
        "configured-bearer-token-0123456789",
    ] {
        inspection.secret(secret);
    }
    inspection.of(&world);
}
