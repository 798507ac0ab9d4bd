//! The token vault's rows.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use super::samples::T0;
use crate::Stores;
use crate::records::{SessionId, UpstreamTokens, VaultEntry};

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
    VaultEntry { tokens, rotates: Some(true), intent: None, login: 1, forced_at: None, refused_at: None }
}

pub(super) async fn upstream_tokens_are_per_session_and_upstream(stores: &Stores) {
    let (session, until) = (SessionId::random(), T0 + Duration::from_secs(60));
    let rows = &stores.upstream_tokens;
    assert!(rows.put(&session, None, sample_entry("first"), until, T0).await.unwrap());
    assert!(!rows.put(&session, None, sample_entry("late"), until, T0).await.unwrap());
    let first = rows.load(&session, "corp", T0).await.unwrap().unwrap();
    assert!(rows.put(&session, Some(&first), sample_entry("second"), until, T0).await.unwrap());
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

pub(super) async fn of_two_that_replace_the_same_tokens_one_succeeds(stores: &Stores) {
    let (session, until) = (SessionId::random(), T0 + Duration::from_secs(60));
    let rows = &stores.upstream_tokens;
    rows.put(&session, None, sample_entry("old"), until, T0).await.unwrap();
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
