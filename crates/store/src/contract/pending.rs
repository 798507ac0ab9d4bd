//! Logins in flight.

use std::time::Duration;

use secrecy::SecretString;
use thv_oauth::pkce::CodeVerifier;
use thv_oauth::scope::ScopeSet;

use super::samples::{T0, sample_grant_client};
use crate::records::{ApprovedRequest, PendingAuthorization};
use crate::{Stores, Take};

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

pub(super) async fn a_pending_authorization_is_taken_exactly_once(stores: &Stores) {
    let (key, browser) = ([1; 32], [2; 32]);
    stores.pending.insert(key, sample_pending(browser), T0).await.unwrap();
    assert!(stores.pending.load(&key, &browser, T0).await.unwrap().is_some(), "reading does not take");
    assert!(matches!(stores.pending.take(&key, &browser, T0).await.unwrap(), Take::Taken(_)));
    assert!(matches!(stores.pending.take(&key, &browser, T0).await.unwrap(), Take::Absent));
    stores.pending.insert(key, sample_pending(browser), T0).await.unwrap();
    let late = T0 + Duration::from_secs(600);
    assert!(matches!(stores.pending.take(&key, &browser, late).await.unwrap(), Take::Absent), "expired");
}

pub(super) async fn another_browser_neither_reads_nor_takes(stores: &Stores) {
    let (key, browser, thief) = ([1; 32], [2; 32], [3; 32]);
    stores.pending.insert(key, sample_pending(browser), T0).await.unwrap();
    assert!(stores.pending.load(&key, &thief, T0).await.unwrap().is_none());
    assert!(matches!(stores.pending.take(&key, &thief, T0).await.unwrap(), Take::WrongBrowser));
    assert!(
        matches!(stores.pending.take(&key, &browser, T0).await.unwrap(), Take::Taken(_)),
        "the owner still can"
    );
}
