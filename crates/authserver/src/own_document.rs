//! `/oauth/client-metadata.json`: our own client ID metadata document, for upstreams that accept one (C13).

use std::collections::BTreeSet;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, HeaderValue, PRAGMA};
use http::{Response, StatusCode};
use serde_json::{Value, json};

use crate::respond::json as json_response;
use crate::server::AuthServer;
use crate::upstream::Upstream;

/// Where it is.
pub(crate) const PATH: &str = "/oauth/client-metadata.json";
/// Our name for people at upstreams.
pub(crate) const NAME: &str = "ToolHive authorization server";

impl AuthServer {
    /// One document for all upstreams, so it has all callbacks and all scopes.
    pub(crate) fn own_metadata_document(&self) -> Response<Bytes> {
        let issuer = self.inner.settings.issuer.as_str();
        let upstreams = || self.inner.chain.legs().filter_map(|leg| Upstream::asked_with(&leg.upstream));
        let mut redirect_uris: BTreeSet<String> =
            upstreams().map(|(redirect_uri, _)| redirect_uri.to_owned()).collect();
        if redirect_uris.is_empty() {
            redirect_uris
                .insert(format!("{}/oauth/callback", self.inner.settings.authorization_endpoint_base));
        }
        let scopes: BTreeSet<&str> = upstreams().flat_map(|(_, scopes)| scopes).map(String::as_str).collect();
        let mut document = json!({
            "client_id": format!("{issuer}{PATH}"),
            "client_name": NAME,
            "client_uri": issuer,
            "redirect_uris": redirect_uris,
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
            "token_endpoint_auth_method": crate::upstream::DOCUMENT_METHOD.as_str(),
            "token_endpoint_auth_signing_alg": self.inner.keys.load().active().algorithm().as_str(),
            "jwks_uri": format!("{issuer}/.well-known/jwks.json"),
            "application_type": "web",
        });
        if let Some(members) = document.as_object_mut().filter(|_| !scopes.is_empty()) {
            let scopes: Vec<&str> = scopes.into_iter().collect();
            members.insert("scope".to_owned(), Value::from(scopes.join(" ")));
        }
        let mut response = json_response(StatusCode::OK, &document);
        response.headers_mut().remove(PRAGMA);
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600"));
        response
    }
}
