//! Records to keep.

use std::sync::Arc;
use std::time::Duration;

use thv_clock::Timestamp;
use thv_oauth::auth_method::AuthMethod;
use thv_oauth::client_metadata::ClientMetadata;
use thv_oauth::scope::ScopeSet;

use crate::records::{Grant, GrantClient, GrantId, RefreshFamily, SessionId, StoredClient, Subject};

pub(super) const T0: Timestamp = Timestamp::from_secs(1_000_000);

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

pub(super) fn sample_grant_client() -> GrantClient {
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

pub(super) fn sample_grant(family: Option<RefreshFamily>) -> Grant {
    Grant {
        id: GrantId::random(),
        session: SessionId::random(),
        client: Arc::new(sample_grant_client()),
        subject: Subject { sub: "corp:u".to_owned(), upstream: "corp".to_owned(), name: None, email: None },
        scopes: ScopeSet::parse("openid").unwrap(),
        resources: vec!["https://mcp.example.com/mcp".to_owned()],
        auth_time: T0,
        ended_login: None,
        refresh: family,
        expires_at: T0 + Duration::from_secs(10_000),
    }
}
