//! The metadata documents of one authorization server, one by one.

use std::time::Duration;

use http::StatusCode;
use http::header::{ACCEPT, HeaderMap, HeaderValue};
use thv_egress::{Limits, Response};
use thv_oauth::issuer::Issuer;
use thv_oauth::pkce::METHOD_S256;
use thv_oauth::server_metadata::AuthorizationServerMetadata;

use super::Lookup;
use crate::reach::Reach;

const LIMITS: Limits = Limits { total: Duration::from_secs(10), max_body: 256 * 1024 };

/// What is at the places of an issuer's metadata: RFC 8414's, and OpenID Connect's until one is found (CL-5).
pub(super) async fn of(reach: &Reach, issuer: &str) -> Vec<Lookup> {
    let parsed = match Issuer::parse_upstream(issuer, reach.allow_http) {
        Ok(parsed) => parsed,
        Err(error) => return vec![absent(issuer, error.to_string())],
    };
    let mut lookups = vec![look(reach, issuer, &parsed.authorization_server_metadata_url()).await];
    for url in parsed.openid_configuration_urls() {
        let lookup = look(reach, issuer, &url).await;
        let is_found = lookup.is_found;
        lookups.push(lookup);
        if is_found {
            break;
        }
    }
    lookups
}

async fn look(reach: &Reach, issuer: &str, url: &str) -> Lookup {
    let headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("application/json"))]);
    let found = match reach.egress().get(url, headers, LIMITS).await {
        Ok(response) => read(&response, issuer),
        Err(error) => Err(thv_telemetry::chain(&error)),
    };
    match found {
        Ok(metadata) => Lookup { url: url.to_owned(), is_found: true, outcome: describe(&metadata) },
        Err(outcome) => absent(url, outcome),
    }
}

fn absent(url: &str, outcome: String) -> Lookup {
    Lookup { url: url.to_owned(), is_found: false, outcome }
}

fn read(response: &Response, issuer: &str) -> Result<AuthorizationServerMetadata, String> {
    if response.status != StatusCode::OK {
        return Err(format!("status {}", response.status.as_u16()));
    }
    let metadata: AuthorizationServerMetadata = serde_json::from_slice(&response.body)
        .map_err(|error| format!("not authorization server metadata: {error}"))?;
    // One that is looked for at a host and not by its name may write itself either way.
    if metadata.issuer.trim_end_matches('/') != issuer.trim_end_matches('/') {
        return Err(format!("metadata of another issuer, {:?}", metadata.issuer));
    }
    Ok(metadata)
}

fn describe(metadata: &AuthorizationServerMetadata) -> String {
    let yes = |is: bool| if is { "yes" } else { "no" };
    let s256 = metadata.code_challenge_methods_supported.iter().any(|method| method == METHOD_S256);
    format!(
        "metadata (client ID metadata documents: {}, registration: {}, S256: {})",
        yes(metadata.client_id_metadata_document_supported),
        yes(metadata.registration_endpoint.is_some()),
        yes(s256),
    )
}
