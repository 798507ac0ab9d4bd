//! Signing keys that change while the gateway runs (A13).

use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::ExposeSecret;
use serde_json::Value;
use thv_config::SecretRef;
use thv_gateway::keys::PUBLISHED_BEFORE_SIGNING;
use thv_jose::algorithm::Algorithm;
use thv_jose::key::SigningKey;

use super::backend::Backend;
use super::gate::{Gate, auth_server, clock};

fn key() -> SigningKey {
    SigningKey::generate(Algorithm::ES256).unwrap()
}

/// Longer each time, so that the change shows whatever the file system's clock says.
fn write(file: &Path, key: &SigningKey) {
    let before = std::fs::metadata(file).map_or(0, |metadata| metadata.len());
    let mut pem = key.to_pem().unwrap().expose_secret().to_owned();
    while pem.len() as u64 <= before {
        pem.push('\n');
    }
    // In one step: a file that is half written is no key.
    let new = file.with_extension("new");
    std::fs::write(&new, pem).unwrap();
    std::fs::rename(new, file).unwrap();
}

async fn published(gate: &Gate) -> Vec<String> {
    let set = gate.get("/.well-known/jwks.json").await.json();
    set["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

async fn until(gate: &Gate, condition: impl Fn(&[String]) -> bool) {
    while !condition(&published(gate).await) {
        tokio::task::yield_now().await;
    }
}

fn signed_with(token: &str) -> String {
    let header = URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
    serde_json::from_slice::<Value>(&header).unwrap()["kid"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a13_a_new_key_is_published_before_it_signs_and_the_old_one_verifies_until_its_tokens_expired() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("key.pem");
    let (old, new) = (key(), key());
    write(&file, &old);
    let backend = Backend::start().await;
    let gate = Gate::watching(&clock(), &backend.url(), Duration::from_millis(1), |config| {
        auth_server(config).signing_key_secret_refs = vec![SecretRef::file(&file)];
    })
    .await;
    let mut session = gate.log_in().await;
    let of_old = session.token().to_owned();
    assert_eq!(signed_with(&of_old), old.kid());
    // A token that would outlive the key.
    let mut claims = session.claims();
    claims["exp"] = (claims["exp"].as_u64().unwrap() * 2).into();
    let endless = old.sign("at+jwt", &claims).unwrap();
    assert_eq!(gate.call(&endless).await.status, 200);

    write(&file, &new);
    let has = |kids: &[String], key: &SigningKey| kids.iter().any(|kid| kid == key.kid());
    until(&gate, |kids| has(kids, &new)).await;
    assert!(has(&published(&gate).await, &old));
    session.refresh().await;
    assert_eq!(
        signed_with(session.token()),
        old.kid(),
        "whoever caches the key set does not know the new one"
    );

    gate.clock.advance(PUBLISHED_BEFORE_SIGNING);
    while signed_with(session.token()) != new.kid() {
        session.refresh().await;
    }
    for token in [&of_old, session.token()] {
        assert_eq!(gate.call(token).await.status, 200);
    }

    gate.clock.advance(Duration::from_secs(3600));
    until(&gate, |kids| !has(kids, &old)).await;
    let answer = gate.call(&endless).await;
    assert_eq!(answer.status, 401, "although it was remembered as good: {answer:?}");
    assert_eq!(answer.json()["reason"], "token_signature");
    session.refresh().await;
    assert_eq!(gate.call(session.token()).await.status, 200);
}

#[tokio::test]
async fn a13_a_key_file_that_is_broken_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let files: [PathBuf; 2] = ["current.pem", "previous.pem"].map(|name| directory.path().join(name));
    let [current, previous] = &files;
    let (one, two, three) = (key(), key(), key());
    write(current, &one);
    write(previous, &two);
    let backend = Backend::start().await;
    let gate = Gate::watching(&clock(), &backend.url(), Duration::from_millis(1), |config| {
        auth_server(config).signing_key_secret_refs = files.iter().map(SecretRef::file).collect();
    })
    .await;
    let session = gate.log_in().await;
    std::fs::write(current, "-----BEGIN PRIVATE KEY-----\nbroken").unwrap();
    write(previous, &three);
    // Looks go on, and the next sound state is taken.
    assert_eq!(gate.call(session.token()).await.status, 200);
    write(current, &one);
    until(&gate, |kids| kids.iter().any(|kid| kid == three.kid())).await;
    assert_eq!(gate.call(session.token()).await.status, 200);
}
