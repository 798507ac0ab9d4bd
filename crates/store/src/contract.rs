//! What every backend must do. A backend's tests call [`fulfil`] with a way to make an empty store.

#![allow(clippy::missing_panics_doc, clippy::unwrap_used, clippy::panic, reason = "these are tests")]

use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use thv_clock::Timestamp;
use thv_oauth::auth_method::AuthMethod;
use thv_oauth::client_metadata::ClientMetadata;
use thv_oauth::pkce::CodeVerifier;
use thv_oauth::scope::ScopeSet;

use crate::records::{
    Approval, ApprovedRequest, AuthorizationCode, Grant, GrantClient, GrantId, PendingAuthorization,
    RefreshFamily, StoredClient, Subject, UpstreamTokens,
};
use crate::{Redemption, Rotation, RotationPolicy, Stores, Take};

const T0: Timestamp = Timestamp::from_secs(1_000_000);
const POLICY: RotationPolicy =
    RotationPolicy { grace: Duration::from_secs(30), idle: Duration::from_secs(3600) };

/// Runs the whole contract; `make` returns an empty backend.
pub async fn fulfil(make: &dyn Fn() -> Stores) {
    a_pending_authorization_is_taken_exactly_once(&make()).await;
    another_browser_neither_reads_nor_takes(&make()).await;
    a_code_is_redeemed_exactly_once_and_remembers_its_grant(&make()).await;
    a_refresh_token_rotates_and_its_reuse_ends_the_family(&make()).await;
    parallel_refreshes_get_the_same_successor(&make()).await;
    a_family_ends_by_inactivity_and_absolutely(&make()).await;
    a_client_is_reaped_only_without_a_living_grant(&make()).await;
    approvals_are_per_user_and_client(&make()).await;
    upstream_tokens_follow_their_grant(&make()).await;
    a_key_is_claimed_once(&make()).await;
}

/// A registration, for tests.
pub fn sample_client(client_id: &str, issued_at: Timestamp) -> StoredClient {
    let metadata: ClientMetadata = serde_json::from_value(serde_json::json!({
        "client_name": "Sample", "redirect_uris": ["http://127.0.0.1/callback"], "grant_types": ["authorization_code"],
        "response_types": ["code"], "token_endpoint_auth_method": "none", "contacts": [],
    }))
    .unwrap();
    StoredClient { client_id: client_id.to_owned(), metadata, secret_digest: None, issued_at, used_at: None }
}

fn sample_grant_client() -> GrantClient {
    GrantClient {
        client_id: "https://client.example/app.json".to_owned(),
        client_name: "Sample".to_owned(),
        auth_method: AuthMethod::None,
        may_be_public: false,
        jwks: None,
        jwks_uri: None,
        may_refresh: true,
        metadata_hash: "h".to_owned(),
    }
}

fn sample_grant(family: Option<RefreshFamily>) -> Grant {
    Grant {
        id: GrantId::random(),
        client: Arc::new(sample_grant_client()),
        subject: Subject { sub: "corp:u".to_owned(), upstream: "corp".to_owned(), name: None, email: None },
        scopes: ScopeSet::parse("openid").unwrap(),
        resources: vec!["https://mcp.example.com/mcp".to_owned()],
        auth_time: T0,
        refresh: family,
        expires_at: T0 + Duration::from_secs(10_000),
    }
}

fn family() -> RefreshFamily {
    RefreshFamily {
        generation: 0,
        rotated_at: T0,
        idle_expires_at: T0 + POLICY.idle,
        absolute_expires_at: T0 + Duration::from_secs(5000),
    }
}

fn sample_pending(browser: [u8; 32]) -> PendingAuthorization {
    PendingAuthorization {
        request: ApprovedRequest {
            client: sample_grant_client(),
            redirect_uri: "http://127.0.0.1:1/callback".to_owned(),
            state: Some("s".to_owned()),
            code_challenge: CodeVerifier::from_random([7; 32]).challenge(),
            scopes: ScopeSet::parse("openid").unwrap(),
            resources: vec![],
            prompt_none: false,
            prompt_login: false,
        },
        approved_by: None,
        browser,
        upstream: "corp".to_owned(),
        upstream_verifier: SecretString::from("v"),
        upstream_nonce: "n".to_owned(),
        expires_at: T0 + Duration::from_secs(600),
    }
}

async fn a_pending_authorization_is_taken_exactly_once(stores: &Stores) {
    let (key, browser) = ([1; 32], [2; 32]);
    stores.pending.insert(key, sample_pending(browser), T0).await.unwrap();
    assert!(stores.pending.load(&key, &browser, T0).await.unwrap().is_some(), "reading does not take");
    assert!(matches!(stores.pending.take(&key, &browser, T0).await.unwrap(), Take::Taken(_)));
    assert!(matches!(stores.pending.take(&key, &browser, T0).await.unwrap(), Take::Absent));
    stores.pending.insert(key, sample_pending(browser), T0).await.unwrap();
    let late = T0 + Duration::from_secs(600);
    assert!(matches!(stores.pending.take(&key, &browser, late).await.unwrap(), Take::Absent), "expired");
}

async fn another_browser_neither_reads_nor_takes(stores: &Stores) {
    let (key, browser, thief) = ([1; 32], [2; 32], [3; 32]);
    stores.pending.insert(key, sample_pending(browser), T0).await.unwrap();
    assert!(stores.pending.load(&key, &thief, T0).await.unwrap().is_none());
    assert!(matches!(stores.pending.take(&key, &thief, T0).await.unwrap(), Take::WrongBrowser));
    assert!(
        matches!(stores.pending.take(&key, &browser, T0).await.unwrap(), Take::Taken(_)),
        "the owner still can"
    );
}

async fn a_code_is_redeemed_exactly_once_and_remembers_its_grant(stores: &Stores) {
    let code = AuthorizationCode {
        grant: sample_grant(None),
        redirect_uri: "http://127.0.0.1:1/callback".to_owned(),
        code_challenge: CodeVerifier::from_random([7; 32]).challenge(),
        upstream_tokens: None,
        expires_at: T0 + Duration::from_secs(60),
    };
    let (id, grant) = ([9; 16], code.grant.id);
    stores.codes.insert(id, code.clone(), T0).await.unwrap();
    assert!(stores.codes.load(&id, T0).await.unwrap().is_some(), "reading does not redeem");
    let (first, second) = tokio::join!(stores.codes.redeem(&id, T0), stores.codes.redeem(&id, T0));
    let outcomes = [first.unwrap(), second.unwrap()];
    assert_eq!(outcomes.iter().filter(|outcome| matches!(outcome, Redemption::First(_))).count(), 1);
    assert_eq!(
        outcomes.iter().filter(|outcome| matches!(outcome, Redemption::Again(id) if *id == grant)).count(),
        1
    );
    assert!(stores.codes.load(&id, T0).await.unwrap().is_none());
    stores.codes.insert([8; 16], code, T0).await.unwrap();
    let late = T0 + Duration::from_secs(60);
    assert!(matches!(stores.codes.redeem(&[8; 16], late).await.unwrap(), Redemption::Absent));
}

async fn a_refresh_token_rotates_and_its_reuse_ends_the_family(stores: &Stores) {
    let grant = sample_grant(Some(family()));
    let id = grant.id;
    stores.grants.insert(grant, T0).await.unwrap();
    let Rotation::Rotated(rotated) = stores.grants.rotate(&id, 0, T0, POLICY).await.unwrap() else {
        panic!("current")
    };
    assert_eq!(rotated.refresh.unwrap().generation, 1);
    let within = T0 + POLICY.grace;
    let Rotation::Replayed(same) = stores.grants.rotate(&id, 0, within, POLICY).await.unwrap() else {
        panic!("grace")
    };
    assert_eq!(same.refresh.unwrap().generation, 1, "the same successor");
    let after = within + Duration::from_secs(1);
    assert!(matches!(stores.grants.rotate(&id, 0, after, POLICY).await.unwrap(), Rotation::Reused(_)));
    assert!(stores.grants.load(&id, after).await.unwrap().is_none(), "the grant ended with its family");
    assert!(matches!(stores.grants.rotate(&id, 1, after, POLICY).await.unwrap(), Rotation::Absent));
    assert!(!stores.grants.revoke(&id).await.unwrap(), "nothing is left to revoke");
}

async fn parallel_refreshes_get_the_same_successor(stores: &Stores) {
    let grant = sample_grant(Some(family()));
    let id = grant.id;
    stores.grants.insert(grant, T0).await.unwrap();
    let (a, b) =
        tokio::join!(stores.grants.rotate(&id, 0, T0, POLICY), stores.grants.rotate(&id, 0, T0, POLICY));
    let generations = [a.unwrap(), b.unwrap()].map(|outcome| match outcome {
        Rotation::Rotated(grant) | Rotation::Replayed(grant) => grant.refresh.unwrap().generation,
        Rotation::Reused(_) | Rotation::Absent => panic!("both are answered"),
    });
    assert_eq!(generations, [1, 1]);
}

async fn a_family_ends_by_inactivity_and_absolutely(stores: &Stores) {
    let idle = sample_grant(Some(family()));
    let id = idle.id;
    stores.grants.insert(idle, T0).await.unwrap();
    assert!(matches!(
        stores.grants.rotate(&id, 0, T0 + POLICY.idle, POLICY).await.unwrap(),
        Rotation::Absent
    ));
    let used = sample_grant(Some(family()));
    let id = used.id;
    stores.grants.insert(used, T0).await.unwrap();
    let soon = T0 + Duration::from_secs(3500);
    assert!(matches!(stores.grants.rotate(&id, 0, soon, POLICY).await.unwrap(), Rotation::Rotated(_)));
    let end = T0 + Duration::from_secs(5000);
    assert!(matches!(stores.grants.rotate(&id, 1, end, POLICY).await.unwrap(), Rotation::Absent));
    assert!(
        matches!(stores.grants.rotate(&id, 7, soon, POLICY).await.unwrap(), Rotation::Absent),
        "never issued"
    );
    let without = sample_grant(None);
    let id = without.id;
    stores.grants.insert(without, T0).await.unwrap();
    assert!(matches!(stores.grants.rotate(&id, 0, T0, POLICY).await.unwrap(), Rotation::Absent), "no family");
}

async fn a_client_is_reaped_only_without_a_living_grant(stores: &Stores) {
    let (hour, day) = (Duration::from_secs(3600), Duration::from_secs(86_400));
    stores.clients.insert(sample_client("unused", T0)).await.unwrap();
    stores.clients.insert(sample_client("used", T0)).await.unwrap();
    stores.clients.used("used", T0, T0 + day).await.unwrap();
    let now = T0 + hour;
    assert_eq!(stores.clients.reap(now, now).await.unwrap(), 1);
    assert!(stores.clients.load("unused").await.unwrap().is_none());
    assert_eq!(stores.clients.load("used").await.unwrap().unwrap().used_at, Some(T0));
    let later = T0 + day + hour;
    assert_eq!(stores.clients.reap(later, later).await.unwrap(), 1);
}

async fn approvals_are_per_user_and_client(stores: &Stores) {
    let approval = Approval {
        metadata_hash: "h".to_owned(),
        scopes: ScopeSet::parse("openid").unwrap(),
        resources: vec![],
        expires_at: T0 + Duration::from_secs(60),
    };
    stores.consents.save("corp:a", "c", approval.clone(), T0).await.unwrap();
    assert_eq!(stores.consents.load("corp:a", "c", T0).await.unwrap(), Some(approval));
    assert_eq!(stores.consents.load("corp:b", "c", T0).await.unwrap(), None);
    assert_eq!(stores.consents.load("corp:a", "d", T0).await.unwrap(), None);
    assert_eq!(stores.consents.load("corp:a", "c", T0 + Duration::from_secs(60)).await.unwrap(), None);
}

async fn upstream_tokens_follow_their_grant(stores: &Stores) {
    let tokens = UpstreamTokens {
        provider: "corp".to_owned(),
        subject: "u".to_owned(),
        access_token: SecretString::from("first"),
        refresh_token: None,
        expires_at: None,
        scopes: None,
    };
    let grant = GrantId::random();
    let until = T0 + Duration::from_secs(60);
    stores.upstream_tokens.put(grant, tokens.clone(), until, T0).await.unwrap();
    let second = UpstreamTokens { access_token: SecretString::from("second"), ..tokens };
    stores.upstream_tokens.put(grant, second, until, T0).await.unwrap();
    let kept = stores.upstream_tokens.load(&grant, T0).await.unwrap().unwrap();
    assert_eq!(kept.access_token.expose_secret(), "second");
    assert!(stores.upstream_tokens.load(&GrantId::random(), T0).await.unwrap().is_none());
    stores.upstream_tokens.delete(&grant).await.unwrap();
    assert!(stores.upstream_tokens.load(&grant, T0).await.unwrap().is_none());
}

async fn a_key_is_claimed_once(stores: &Stores) {
    let until = T0 + Duration::from_secs(60);
    assert!(stores.replays.claim([1; 32], until, T0).await.unwrap());
    assert!(!stores.replays.claim([1; 32], until, T0).await.unwrap());
    assert!(stores.replays.claim([1; 32], until, until).await.unwrap(), "free again after its time");
}
