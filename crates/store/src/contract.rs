//! What every backend must do. A backend's tests call [`fulfil`] with a way to make an empty store.

#![allow(
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    clippy::panic,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "these are tests"
)]

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
    RefreshFamily, RegistrationKey, Session, SessionId, StoredClient, StoredDocument, Subject,
    UpstreamEndpoints, UpstreamRegistration, UpstreamRegistrations, UpstreamTokens, VaultEntry,
};
use crate::{Redemption, Rotation, RotationPolicy, StoreError, Stores, Take};

const T0: Timestamp = Timestamp::from_secs(1_000_000);
const POLICY: RotationPolicy =
    RotationPolicy { grace: Duration::from_secs(30), idle: Duration::from_secs(3600) };

/// Runs the whole contract; `make` returns an empty backend.
pub async fn fulfil(make: impl AsyncFn() -> Stores) {
    a_pending_authorization_is_taken_exactly_once(&make().await).await;
    another_browser_neither_reads_nor_takes(&make().await).await;
    a_code_is_redeemed_exactly_once_and_remembers_its_grant(&make().await).await;
    a_refresh_token_rotates_and_its_reuse_ends_the_family(&make().await).await;
    parallel_refreshes_get_the_same_successor(&make().await).await;
    a_family_ends_by_inactivity_and_absolutely(&make().await).await;
    a_registration_ends_unless_it_is_used(&make().await).await;
    a_registration_is_changed_and_deleted(&make().await).await;
    approvals_are_per_user_and_client(&make().await).await;
    upstream_tokens_are_per_session_and_upstream(&make().await).await;
    of_two_that_replace_the_same_tokens_one_succeeds(&make().await).await;
    a_session_lives_as_long_as_its_grants(&make().await).await;
    of_two_that_register_first_one_is_kept(&make().await).await;
    the_index_has_every_registration_of_a_deployment(&make().await).await;
    a_turn_has_one_holder_until_it_is_given_back_or_ends(&make().await).await;
    documents_are_kept_until_their_time(&make().await).await;
    a_key_is_claimed_once(&make().await).await;
}

/// A registration, for tests.
pub fn sample_client(client_id: &str, issued_at: Timestamp) -> StoredClient {
    let metadata: ClientMetadata = serde_json::from_value(serde_json::json!({
        "client_name": "Sample", "redirect_uris": ["http://127.0.0.1/callback"], "grant_types": ["authorization_code"],
        "response_types": ["code"], "token_endpoint_auth_method": "none", "contacts": [],
    }))
    .unwrap();
    StoredClient {
        client_id: client_id.to_owned(),
        metadata,
        secret_digest: None,
        registration_token_digest: None,
        issued_at,
        used_at: None,
    }
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
        session: SessionId::random(),
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
        upstream_client_id: None,
        progress: None,
        restarted: false,
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

/// Loads and rotates, as the token endpoint does.
async fn rotate(
    stores: &Stores,
    id: &GrantId,
    presented: u32,
    now: Timestamp,
    policy: RotationPolicy,
) -> Result<Rotation, StoreError> {
    match stores.grants.load(id, now).await? {
        Some(loaded) => stores.grants.rotate(loaded, presented, now, policy).await,
        None => Ok(Rotation::Absent),
    }
}

async fn a_refresh_token_rotates_and_its_reuse_ends_the_family(stores: &Stores) {
    let grant = sample_grant(Some(family()));
    let id = grant.id;
    stores.grants.insert(grant, T0).await.unwrap();
    let Rotation::Rotated(rotated) = rotate(stores, &id, 0, T0, POLICY).await.unwrap() else {
        panic!("current")
    };
    assert_eq!(rotated.refresh.unwrap().generation, 1);
    let within = T0 + POLICY.grace;
    let Rotation::Replayed(same) = rotate(stores, &id, 0, within, POLICY).await.unwrap() else {
        panic!("grace")
    };
    assert_eq!(same.refresh.unwrap().generation, 1, "the same successor");
    let after = within + Duration::from_secs(1);
    assert!(matches!(rotate(stores, &id, 0, after, POLICY).await.unwrap(), Rotation::Reused(_)));
    assert!(stores.grants.load(&id, after).await.unwrap().is_none(), "the grant ended with its family");
    assert!(matches!(rotate(stores, &id, 1, after, POLICY).await.unwrap(), Rotation::Absent));
    assert!(!stores.grants.revoke(&id, after).await.unwrap(), "nothing is left to revoke");
}

async fn parallel_refreshes_get_the_same_successor(stores: &Stores) {
    let grant = sample_grant(Some(family()));
    let id = grant.id;
    stores.grants.insert(grant, T0).await.unwrap();
    let (a, b) = tokio::join!(rotate(stores, &id, 0, T0, POLICY), rotate(stores, &id, 0, T0, POLICY));
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
    assert!(matches!(rotate(stores, &id, 0, T0 + POLICY.idle, POLICY).await.unwrap(), Rotation::Absent));
    let used = sample_grant(Some(family()));
    let id = used.id;
    stores.grants.insert(used, T0).await.unwrap();
    let soon = T0 + Duration::from_secs(3500);
    assert!(matches!(rotate(stores, &id, 0, soon, POLICY).await.unwrap(), Rotation::Rotated(_)));
    let end = T0 + Duration::from_secs(5000);
    assert!(matches!(rotate(stores, &id, 1, end, POLICY).await.unwrap(), Rotation::Absent));
    assert!(matches!(rotate(stores, &id, 7, soon, POLICY).await.unwrap(), Rotation::Absent), "never issued");
    let without = sample_grant(None);
    let id = without.id;
    stores.grants.insert(without, T0).await.unwrap();
    assert!(matches!(rotate(stores, &id, 0, T0, POLICY).await.unwrap(), Rotation::Absent), "no family");
}

async fn a_registration_ends_unless_it_is_used(stores: &Stores) {
    let (hour, day) = (Duration::from_secs(3600), Duration::from_secs(86_400));
    stores.clients.insert(sample_client("unused", T0), T0 + hour, T0).await.unwrap();
    stores.clients.insert(sample_client("used", T0), T0 + hour, T0).await.unwrap();
    stores.clients.used("used", T0 + day, T0).await.unwrap();
    let now = T0 + hour;
    assert!(stores.clients.load("unused", now).await.unwrap().is_none());
    assert_eq!(stores.clients.load("used", now).await.unwrap().unwrap().used_at, Some(T0));
    assert!(stores.clients.load("used", T0 + day).await.unwrap().is_none());
}

async fn a_registration_is_changed_and_deleted(stores: &Stores) {
    let until = T0 + Duration::from_secs(3600);
    stores.clients.insert(sample_client("managed", T0), until, T0).await.unwrap();
    let secret = |client: &StoredClient| StoredClient { secret_digest: Some([1; 32]), ..client.clone() };
    assert!(stores.clients.update("managed", secret, T0).await.unwrap());
    assert!(!stores.clients.update("unknown", secret, T0).await.unwrap());
    assert_eq!(stores.clients.load("managed", T0).await.unwrap().unwrap().secret_digest, Some([1; 32]));
    assert!(stores.clients.delete("managed", T0).await.unwrap());
    assert!(!stores.clients.delete("managed", T0).await.unwrap());
    assert!(stores.clients.load("managed", T0).await.unwrap().is_none());
}

async fn approvals_are_per_user_and_client(stores: &Stores) {
    let approval = Approval {
        metadata_hash: "h".to_owned(),
        scopes: ScopeSet::parse("openid").unwrap(),
        resources: vec![],
        expires_at: T0 + Duration::from_secs(60),
    };
    stores.consents.save("corp:a", "c", approval.clone(), T0).await.unwrap();
    assert_eq!(stores.consents.load("corp:a", "c", T0).await.unwrap().as_deref(), Some(&approval));
    assert_eq!(stores.consents.load("corp:b", "c", T0).await.unwrap(), None);
    assert_eq!(stores.consents.load("corp:a", "d", T0).await.unwrap(), None);
    assert_eq!(stores.consents.load("corp:a", "c", T0 + Duration::from_secs(60)).await.unwrap(), None);
}

fn sample_entry(access_token: &str) -> VaultEntry {
    let tokens = UpstreamTokens {
        provider: "corp".to_owned(),
        subject: "u".to_owned(),
        access_token: SecretString::from(access_token),
        refresh_token: Some(SecretString::from("refresh")),
        obtained_at: T0,
        expires_at: Some(T0),
        scopes: Some("a b".to_owned()),
        client_id: Some("us".to_owned()),
    };
    VaultEntry { tokens, rotates: Some(true), intent: None, login: 1 }
}

async fn upstream_tokens_are_per_session_and_upstream(stores: &Stores) {
    let (session, until) = (SessionId::random(), T0 + Duration::from_secs(60));
    let rows = &stores.upstream_tokens;
    rows.put(&session, sample_entry("first"), until, T0).await.unwrap();
    rows.put(&session, sample_entry("second"), until, T0).await.unwrap();
    let kept = rows.load(&session, "corp", T0).await.unwrap().unwrap();
    assert_eq!(kept.value.tokens.access_token.expose_secret(), "second");
    assert_eq!(kept.value.tokens.refresh_token.as_ref().unwrap().expose_secret(), "refresh");
    assert_eq!(
        (kept.value.rotates, kept.value.tokens.expires_at, kept.value.tokens.obtained_at),
        (Some(true), Some(T0), T0)
    );
    assert!(rows.load(&SessionId::random(), "corp", T0).await.unwrap().is_none());
    assert!(rows.load(&session, "other", T0).await.unwrap().is_none());
    rows.keep_until(&session, "corp", until + Duration::from_secs(60), T0).await.unwrap();
    rows.keep_until(&session, "corp", until, T0).await.unwrap();
    assert!(rows.load(&session, "corp", until).await.unwrap().is_some(), "kept for longer, never for less");
    assert!(rows.take(&session, "corp", T0).await.unwrap().is_some());
    assert!(rows.take(&session, "corp", T0).await.unwrap().is_none());
    assert!(rows.load(&session, "corp", T0).await.unwrap().is_none());
}

async fn of_two_that_replace_the_same_tokens_one_succeeds(stores: &Stores) {
    let (session, until) = (SessionId::random(), T0 + Duration::from_secs(60));
    let rows = &stores.upstream_tokens;
    rows.put(&session, sample_entry("old"), until, T0).await.unwrap();
    let loaded = rows.load(&session, "corp", T0).await.unwrap().unwrap();
    let (a, b) = tokio::join!(
        rows.replace(&session, &loaded, sample_entry("a"), T0),
        rows.replace(&session, &loaded, sample_entry("b"), T0),
    );
    let (a, b) = (a.unwrap(), b.unwrap());
    assert!(a != b, "one of them");
    let kept = rows.load(&session, "corp", T0).await.unwrap().unwrap();
    assert_eq!(kept.value.tokens.access_token.expose_secret(), if a { "a" } else { "b" });
    assert_eq!(kept.until, until);
    assert!(!rows.replace(&session, &loaded, sample_entry("late"), T0).await.unwrap());
}

async fn a_session_lives_as_long_as_its_grants(stores: &Stores) {
    let sessions = &stores.sessions;
    let until = T0 + Duration::from_secs(60);
    let session = Session {
        id: SessionId::random(),
        subject: sample_grant(None).subject,
        grants: vec![],
        expires_at: until,
    };
    let (id, one, other) = (session.id, GrantId::random(), GrantId::random());
    sessions.insert(session, T0).await.unwrap();
    let long = until + Duration::from_secs(60);
    let (a, b) = tokio::join!(sessions.attach(&id, one, long, T0), sessions.attach(&id, other, long, T0));
    assert!(a.unwrap() && b.unwrap());
    assert_eq!(sessions.load(&id, until).await.unwrap().unwrap().value.grants.len(), 2, "neither got lost");
    assert!(!sessions.detach(&id, &one, T0).await.unwrap(), "another grant rests on it");
    let loaded = sessions.load(&id, T0).await.unwrap().unwrap();
    assert!(sessions.attach(&id, one, long, T0).await.unwrap());
    assert!(!sessions.end(&loaded, T0).await.unwrap(), "it has changed");
    assert!(!sessions.detach(&id, &one, T0).await.unwrap());
    assert!(sessions.detach(&id, &other, T0).await.unwrap(), "the last one");
    assert!(sessions.load(&id, T0).await.unwrap().is_none());
    assert!(!sessions.attach(&id, one, long, T0).await.unwrap());
    assert!(sessions.detach(&id, &one, T0).await.unwrap(), "gone already");
}

fn sample_registrations(client_id: &str) -> UpstreamRegistrations {
    UpstreamRegistrations {
        key: RegistrationKey {
            issuer: "https://gateway.example".to_owned(),
            upstream: "https://idp.example".to_owned(),
            redirect_uri: "https://gateway.example/oauth/callback".to_owned(),
            scopes_hash: [3; 32],
        },
        generations: vec![UpstreamRegistration {
            client_id: client_id.to_owned(),
            client_secret: Some(SecretString::from("client-secret")),
            auth_method: AuthMethod::ClientSecretBasic,
            registered_at: T0,
            client_secret_expires_at: Some(T0),
            registration_access_token: Some(SecretString::from("manage")),
            registration_client_uri: Some("https://idp.example/reg/1".to_owned()),
            scope: None,
            refused: false,
        }],
        endpoints: UpstreamEndpoints {
            token: Some("https://idp.example/token".to_owned()),
            ..UpstreamEndpoints::default()
        },
        delete_on_removal: true,
    }
}

async fn of_two_that_register_first_one_is_kept(stores: &Stores) {
    let rows = &stores.registrations;
    let key = sample_registrations("a").key;
    let (a, b) = tokio::join!(
        rows.save(None, sample_registrations("a"), T0),
        rows.save(None, sample_registrations("b"), T0),
    );
    let (a, b) = (a.unwrap(), b.unwrap());
    assert!(a != b, "one of them");
    let kept = rows.load(&key, T0).await.unwrap().unwrap();
    let current = &kept.value.generations[0];
    assert_eq!(current.client_id, if a { "a" } else { "b" });
    assert_eq!(current.client_secret.as_ref().unwrap().expose_secret(), "client-secret");
    assert_eq!(current.registration_access_token.as_ref().unwrap().expose_secret(), "manage");
    assert_eq!(kept.value.endpoints, sample_registrations("a").endpoints);
    let elsewhere = RegistrationKey { redirect_uri: "https://other.example/cb".to_owned(), ..key.clone() };
    assert!(rows.load(&elsewhere, T0).await.unwrap().is_none());
    assert!(rows.save(Some(&kept), sample_registrations("c"), T0).await.unwrap());
    assert!(!rows.save(Some(&kept), sample_registrations("d"), T0).await.unwrap());
    assert!(rows.delete(&key, T0).await.unwrap());
    assert!(rows.load(&key, T0).await.unwrap().is_none());
}

async fn the_index_has_every_registration_of_a_deployment(stores: &Stores) {
    let rows = &stores.registrations;
    let one = sample_registrations("a").key;
    let other = RegistrationKey { upstream: "https://other.example".to_owned(), ..one.clone() };
    let foreign = RegistrationKey { issuer: "https://another.example".to_owned(), ..one.clone() };
    assert!(rows.index(&one.issuer, T0).await.unwrap().is_empty());
    let (first, second) = tokio::join!(rows.note(&one, T0), rows.note(&other, T0));
    first.unwrap();
    second.unwrap();
    rows.note(&one, T0).await.unwrap();
    rows.note(&foreign, T0).await.unwrap();
    let mut keys = rows.index(&one.issuer, T0).await.unwrap();
    keys.sort_by(|a, b| a.upstream.cmp(&b.upstream));
    assert_eq!(keys, [one.clone(), other.clone()]);
    rows.unnote(&one, T0).await.unwrap();
    assert_eq!(rows.index(&one.issuer, T0).await.unwrap(), [other]);
}

async fn a_turn_has_one_holder_until_it_is_given_back_or_ends(stores: &Stores) {
    let (leases, until) = (&stores.leases, T0 + Duration::from_secs(60));
    let (a, b) = tokio::join!(leases.acquire([5; 32], until, T0), leases.acquire([5; 32], until, T0));
    let held = a.unwrap().xor(b.unwrap()).expect("one of them");
    assert!(leases.acquire([6; 32], until, T0).await.unwrap().is_some(), "another turn");
    leases.release(held, T0).await.unwrap();
    assert!(leases.acquire([5; 32], until, T0).await.unwrap().is_some());
    let next = leases.acquire([5; 32], until + Duration::from_secs(60), until).await.unwrap();
    assert!(next.is_some(), "it ended by itself");
    leases.release(held, until).await.unwrap();
    assert!(leases.acquire([5; 32], until, until).await.unwrap().is_none(), "not ours to give back any more");
}

async fn documents_are_kept_until_their_time(stores: &Stores) {
    let document = StoredDocument {
        document: serde_json::json!({"client_id": "https://client.example/app.json"}),
        etag: Some("\"1\"".to_owned()),
        fresh_until: T0,
        fetched_at: T0,
    };
    let until = T0 + Duration::from_secs(60);
    stores.documents.save("https://client.example/app.json", document.clone(), until, T0).await.unwrap();
    let kept = stores.documents.load("https://client.example/app.json", T0).await.unwrap();
    assert_eq!(kept.as_deref(), Some(&document));
    assert!(stores.documents.load("https://client.example/app.json", until).await.unwrap().is_none());
}

async fn a_key_is_claimed_once(stores: &Stores) {
    let until = T0 + Duration::from_secs(60);
    assert!(stores.replays.claim([1; 32], until, T0).await.unwrap());
    assert!(!stores.replays.claim([1; 32], until, T0).await.unwrap());
    assert!(stores.replays.claim([1; 32], until, until).await.unwrap(), "free again after its time");
}
