//! A stolen database tells nothing.

use std::sync::Arc;

use thv_oauth::auth_method::AuthMethod;
use thv_oauth::pkce::CodeVerifier;
use thv_oauth::scope::ScopeSet;
use thv_store::records::{
    Approval, ApprovedRequest, AuthorizationCode, Grant, GrantClient, GrantId, LoginProgress,
    PendingAuthorization, RegistrationKey, SessionId, UpstreamEndpoints, UpstreamRegistration,
    UpstreamRegistrations,
};
use thv_store::{Stores, contract};

use crate::support::{Database, T0, entry, later, one, session, subject};

/// What must not be found, whatever else the records hold.
pub(crate) const SECRETS: [&str; 6] = [
    "upstream-access-token",
    "upstream-refresh-token",
    "pkce-verifier-towards-the-upstream",
    "client-secret-of-ours",
    "registration-access-token",
    "replaced-client-secret",
];
const IDENTIFIERS: [&str; 12] = [
    "corp:somebody-special",
    "Special Somebody",
    "somebody@example.com",
    "upstream-subject",
    "upstream-client",
    "upstream-scope",
    "https://client.example/app.json",
    "stored-client-id",
    "our-client-id",
    "the-clients-state",
    "https://idp.example",
    "skipped-upstream",
];

fn grant_client() -> GrantClient {
    GrantClient {
        client_id: "https://client.example/app.json".to_owned(),
        client_name: "Sample".to_owned(),
        auth_method: AuthMethod::None,
        may_be_public: false,
        jwks: None,
        jwks_uri: None,
        may_refresh: true,
        metadata_hash: "hash".to_owned(),
    }
}

fn pending() -> PendingAuthorization {
    PendingAuthorization {
        request: ApprovedRequest {
            client: grant_client(),
            redirect_uri: "http://127.0.0.1:1/callback".to_owned(),
            state: Some("the-clients-state".to_owned()),
            code_challenge: CodeVerifier::from_random([7; 32]).challenge(),
            scopes: ScopeSet::parse("openid").unwrap(),
            resources: vec![],
            prompt_none: false,
            prompt_login: false,
        },
        approved_by: Some("corp:somebody-special".to_owned()),
        browser: [1; 32],
        upstream: "corp".to_owned(),
        upstream_verifier: "pkce-verifier-towards-the-upstream".into(),
        upstream_nonce: "nonce".to_owned(),
        upstream_client_id: Some("our-client-id".to_owned()),
        progress: Some(LoginProgress {
            session: SessionId::random(),
            subject: subject(),
            auth_time: T0,
            skipped: one("skipped-upstream"),
            failure: None,
        }),
        restarted: false,
        expires_at: later(600),
    }
}

fn registrations() -> UpstreamRegistrations {
    let registration = |secret: &str| UpstreamRegistration {
        client_id: "our-client-id".to_owned(),
        client_secret: Some(secret.into()),
        auth_method: AuthMethod::ClientSecretBasic,
        registered_at: T0,
        client_secret_expires_at: None,
        registration_access_token: Some("registration-access-token".into()),
        registration_client_uri: Some("https://idp.example/register/1".to_owned()),
        scope: None,
        refused: false,
    };
    UpstreamRegistrations {
        key: RegistrationKey {
            issuer: "https://gateway.example".to_owned(),
            upstream: "https://idp.example".to_owned(),
            redirect_uri: "https://gateway.example/oauth/callback".to_owned(),
            scopes_hash: [3; 32],
        },
        generations: vec![registration("client-secret-of-ours"), registration("replaced-client-secret")],
        endpoints: UpstreamEndpoints::default(),
        delete_on_removal: false,
    }
}

/// Keeps a record of each kind; `session` names what is asked for again later.
pub(crate) async fn fill(stores: &Stores) -> SessionId {
    let session = session();
    let id = session.id;
    let grant = Grant {
        id: GrantId::random(),
        session: id,
        client: Arc::new(grant_client()),
        subject: subject(),
        scopes: ScopeSet::parse("openid").unwrap(),
        resources: vec!["https://mcp.example.com/mcp".to_owned()],
        auth_time: T0,
        ended_login: None,
        refresh: None,
        expires_at: later(3600),
    };
    let code = AuthorizationCode {
        grant: grant.clone(),
        redirect_uri: "http://127.0.0.1:1/callback".to_owned(),
        code_challenge: CodeVerifier::from_random([7; 32]).challenge(),
        expires_at: later(60),
    };
    let approval = Approval {
        metadata_hash: "hash".to_owned(),
        scopes: ScopeSet::parse("openid").unwrap(),
        resources: vec![],
        expires_at: later(60),
    };
    let document = thv_store::records::StoredDocument {
        document: serde_json::json!({"client_id": "https://client.example/app.json"}),
        etag: None,
        fresh_until: T0,
        fetched_at: T0,
    };
    let (sub, client) = ("corp:somebody-special", "https://client.example/app.json");
    stores.sessions.insert(session, T0).await.unwrap();
    stores.grants.insert(grant, T0).await.unwrap();
    stores.codes.insert([1; 16], code, T0).await.unwrap();
    stores.pending.insert([2; 32], pending(), T0).await.unwrap();
    stores.upstream_tokens.put(&id, None, entry("upstream-access-token"), later(3600), T0).await.unwrap();
    let registered = contract::sample_client("stored-client-id", T0);
    stores.clients.insert(registered, later(60), T0).await.unwrap();
    stores.consents.save(sub, client, approval, T0).await.unwrap();
    stores.documents.save(client, document, later(60), T0).await.unwrap();
    assert!(stores.registrations.save(None, registrations(), T0).await.unwrap());
    assert!(stores.replays.claim([4; 32], later(60), T0).await.unwrap());
    assert!(stores.leases.acquire([5; 32], later(60), T0).await.unwrap().is_some());
    id
}

#[tokio::test]
async fn nothing_that_was_put_in_can_be_found_in_the_files() {
    let database = Database::new();
    let rows = database.open();
    let stores = thv_store::sealed::stores(rows.clone(), crate::support::keys(&[1]));
    let id = fill(&stores).await;
    let search = || {
        let mut bytes = std::fs::read(&database.path).unwrap();
        bytes.extend(std::fs::read(database.beside("-wal")).unwrap());
        assert!(
            find(&bytes, b"registration") && bytes.len() > 10_000,
            "the kinds are there, so it is the right file"
        );
        for text in SECRETS.iter().chain(&IDENTIFIERS) {
            assert!(!find(&bytes, text.as_bytes()), "{text}");
        }
        assert!(!find(&bytes, &id.0), "not even a record's name");
        assert!(!find(&bytes, &[1; 32]), "nor the key");
    };
    search();
    rows.close().await;
    search();
}

fn find(bytes: &[u8], text: &[u8]) -> bool {
    bytes.windows(text.len()).any(|window| window == text)
}
