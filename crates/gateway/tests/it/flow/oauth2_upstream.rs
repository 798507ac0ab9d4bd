//! Logins at OAuth 2.0 servers without ID tokens (U2).

use serde_json::json;
use std::time::Duration;
use thv_config::upstream::{
    FieldMapping, IdentityFromToken, OAuth2Upstream, TokenResponseMapping, UpstreamProvider, UpstreamType,
    UserInfo,
};

use super::backend::Backend;
use super::gate::{Gate, auth_server, clock};
use super::provider::{CLIENT_ID, LIFETIME, Manner, Provider, Shape};

struct Scene {
    gate: Gate,
    backend: Backend,
    provider: Provider,
}

async fn scene(behave: impl FnOnce(&mut Manner), more: impl FnOnce(&Provider) -> OAuth2Upstream) -> Scene {
    let clock = clock();
    let (backend, provider) = (Backend::start().await, Provider::start(&clock).await);
    provider.behave(behave);
    let gate = Gate::start(&clock, &backend.url(), |config| {
        auth_server(config).upstream_providers = vec![UpstreamProvider {
            name: "gh".to_owned(),
            upstream_type: Some(UpstreamType::Oauth2),
            oauth2_config: Some(OAuth2Upstream {
                authorization_endpoint: provider.url("/authorize"),
                token_endpoint: provider.url("/token"),
                client_id: CLIENT_ID.to_owned(),
                client_secret_ref: Some(provider.secret_ref()),
                scopes: vec!["read:user".to_owned()],
                ..more(&provider)
            }),
            ..UpstreamProvider::default()
        }];
    })
    .await;
    Scene { gate, backend, provider }
}

fn user_info(provider: &Provider) -> OAuth2Upstream {
    let fields = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    OAuth2Upstream {
        user_info: Some(UserInfo {
            endpoint_url: provider.url("/user"),
            field_mapping: FieldMapping {
                subject_fields: fields(&["id"]),
                name_fields: fields(&["name", "login"]),
                email_fields: fields(&["email"]),
            },
            ..UserInfo::default()
        }),
        ..OAuth2Upstream::default()
    }
}

#[tokio::test]
async fn u2_the_user_info_says_who_it_is_by_number() {
    let scene = scene(
        |manner| {
            manner.shape = Shape::OAuth;
            manner.user = json!({"id": 583_231, "login": "octocat", "name": null, "email": null});
        },
        user_info,
    )
    .await;
    let session = scene.gate.log_in().await;
    let claims = session.claims();
    assert_eq!((&claims["sub"], &claims["name"]), (&json!("gh:583231"), &json!("octocat")));
    assert_eq!(claims.get("email"), None);
    assert_eq!(scene.gate.call(session.token()).await.status, 200);
    assert_eq!(scene.backend.only().header("authorization"), "Bearer upstream-access-1");
}

#[tokio::test]
async fn u2_a_user_info_without_the_subject_is_no_login() {
    let scene = scene(
        |manner| {
            manner.shape = Shape::OAuth;
            manner.user = json!({"login": "octocat"});
        },
        user_info,
    )
    .await;
    let refused = scene.gate.try_log_in().await;
    assert_eq!(refused.get("error"), Some("server_error"), "{refused:?}");
    assert!(refused.get("error_description").unwrap().starts_with("upstream_unacceptable: "));
}

#[tokio::test]
async fn u2_tokens_and_identity_are_found_inside_an_unusual_token_response() {
    let text = |text: &str| Some(text.to_owned());
    let scene = scene(
        |manner| (manner.shape, manner.subject) = (Shape::Nested, "U1"),
        |_| OAuth2Upstream {
            token_response_mapping: Some(TokenResponseMapping {
                access_token_path: "data.bot.token".to_owned(),
                refresh_token_path: text("data.bot.refresh"),
                expires_in_path: text("data.bot.ttl"),
                scope_path: None,
            }),
            identity_from_token: Some(IdentityFromToken {
                subject_path: "data.user.id".to_owned(),
                name_path: text("data.user.name"),
                email_path: None,
            }),
            ..OAuth2Upstream::default()
        },
    )
    .await;
    let session = scene.gate.log_in().await;
    assert_eq!(session.claims()["sub"], "gh:U1");
    assert_eq!(session.claims()["name"], "Nested");
    assert_eq!(scene.gate.call(session.token()).await.status, 200);
    assert_eq!(scene.backend.only().header("authorization"), "Bearer upstream-access-1");
    // Lifetime and refresh token were found, too.
    scene.gate.clock.advance(Duration::from_secs(LIFETIME));
    assert_eq!(scene.gate.call(session.token()).await.status, 200);
    assert_eq!(scene.backend.only().header("authorization"), "Bearer upstream-access-2");
    // Renewed tokens of another user are not used.
    scene.provider.behave(|manner| manner.subject = "U2");
    scene.gate.clock.advance(Duration::from_secs(LIFETIME));
    let answer = scene.gate.call(session.token()).await;
    assert_eq!((answer.status, answer.json()["reason"].clone()), (401, json!("upstream_login_ended")));
    assert!(scene.backend.seen().is_empty());
}
