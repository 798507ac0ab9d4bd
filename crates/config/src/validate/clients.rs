//! Preregistered clients.

use std::collections::BTreeSet;

use thv_oauth::client_id::{ClientId, looks_like_url};
use thv_oauth::redirect_uri::{RedirectPolicy, RedirectUri};

use crate::auth_server::{AuthServer, PreregisteredClient};

use super::findings::Findings;

pub(super) fn check(auth_server: &AuthServer, findings: &mut Findings) {
    let mut seen = BTreeSet::new();
    for (index, client) in auth_server.clients.iter().enumerate() {
        let at = format!("authServer.clients[{index}]");
        check_client(&at, client, &auth_server.scopes_supported, findings);
        if !seen.insert(&client.client_id) {
            findings.error(&format!("{at}.clientId"), format!("{:?} occurs twice", client.client_id));
        }
    }
}

fn check_client(at: &str, client: &PreregisteredClient, supported: &[String], findings: &mut Findings) {
    let id_at = format!("{at}.clientId");
    if findings.required(&id_at, &client.client_id, "any name that the client knows, such as my-app") {
        if let Err(error) = ClientId::parse(&client.client_id) {
            findings.error(&id_at, error.to_string());
        } else if looks_like_url(&client.client_id) {
            findings.error(
                &id_at,
                "a URL identifies a client by its metadata document; use cimd.pinnedDocuments for that, or another name",
            );
        }
    }
    if client.redirect_uris.is_empty() {
        findings.error(&format!("{at}.redirectUris"), "at least one redirect URI is required");
    }
    for (index, uri) in client.redirect_uris.iter().enumerate() {
        if let Err(error) = RedirectUri::parse(uri, RedirectPolicy::PrivateSchemes) {
            findings.error(&format!("{at}.redirectUris[{index}]"), format!("{uri:?}: {error}"));
        }
    }
    let scopes_at = format!("{at}.scopes");
    findings.scopes(&scopes_at, &client.scopes);
    findings.subset(&scopes_at, "scopes", &client.scopes, supported);
}
