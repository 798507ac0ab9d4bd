//! `/oauth/client-metadata.json`: our own client ID metadata document, for upstreams that accept one (C13).

use bytes::Bytes;
use http::header::{CACHE_CONTROL, HeaderValue, PRAGMA};
use http::{Response, StatusCode};
use serde_json::json;

use crate::respond::json as json_response;
use crate::server::AuthServer;

impl AuthServer {
    pub(crate) fn own_metadata_document(&self) -> Response<Bytes> {
        let issuer = self.inner.settings.issuer.as_str();
        let document = json!({
            "client_id": format!("{issuer}/oauth/client-metadata.json"),
            "client_name": "ToolHive authorization server",
            "client_uri": issuer,
            "redirect_uris": [format!("{}/oauth/callback", self.inner.settings.authorization_endpoint_base)],
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
            "token_endpoint_auth_method": "private_key_jwt",
            "token_endpoint_auth_signing_alg": self.inner.keys.load().active().algorithm().as_str(),
            "jwks_uri": format!("{issuer}/.well-known/jwks.json"),
            "application_type": "web",
        });
        let mut response = json_response(StatusCode::OK, &document);
        response.headers_mut().remove(PRAGMA);
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600"));
        response
    }
}
