//! How a protected resource presents itself: its metadata document and its refusals.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Response};
use serde_json::json;
use thv_oauth::challenge::Challenge;
use thv_oauth::resource_metadata::ProtectedResourceMetadata;
use thv_oauth::scope::ScopeSet;

use crate::bearer::bearer_token;
use crate::refusal::{Reason, Refusal};
use crate::verified::Verified;
use crate::verifier::Verifier;

const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

/// Clients ask for it on their own account; a resource never does (RS-9).
const OFFLINE_ACCESS: &str = "offline_access";

/// What a protected resource says about itself.
#[derive(Clone, Debug, Default)]
pub struct ProtectedResourceConfig {
    /// The resource identifier: the public URL that clients use, byte for byte (RS-3).
    pub resource: String,
    /// The issuers whose tokens are accepted (RS-1).
    pub authorization_servers: Vec<String>,
    /// What clients may ask for. `offline_access` is left out (RS-9).
    pub scopes_supported: ScopeSet,
    /// Without which no request passes.
    pub required_scopes: ScopeSet,
    /// A name for display.
    pub name: Option<String>,
}

/// The configured resource identifier or scope cannot be published.
#[derive(Debug, thiserror::Error)]
pub enum UnusableMetadata {
    /// The identifier is not `scheme://host…`.
    #[error("the resource identifier is not an absolute URL")]
    NotAbsolute,
    /// Something in it cannot be written as JSON.
    #[error("the protected resource metadata cannot be written")]
    Json(#[source] serde_json::Error),
}

/// A protected resource towards its clients (RFC 9728, RFC 6750 §3).
pub struct ProtectedResource {
    metadata: Bytes,
    metadata_path: String,
    metadata_url: String,
    required_scopes: ScopeSet,
    /// What a client without a token is told to ask for.
    wanted_scopes: ScopeSet,
}

impl ProtectedResource {
    /// Prepares document and challenges.
    ///
    /// # Errors
    ///
    /// [`UnusableMetadata`].
    pub fn new(config: ProtectedResourceConfig) -> Result<Self, UnusableMetadata> {
        let (origin, path) = split_origin(&config.resource).ok_or(UnusableMetadata::NotAbsolute)?;
        // An origin is one resource with or without its slash (RFC 9728 §3.1).
        let metadata_path = format!("{WELL_KNOWN}{}", if path == "/" { "" } else { path });
        let metadata_url = format!("{origin}{metadata_path}");
        let scopes_supported = without_offline_access(&config.scopes_supported);
        let wanted_scopes = match without_offline_access(&config.required_scopes) {
            required if required.is_empty() => scopes_supported.clone(),
            required => required,
        };
        let document = ProtectedResourceMetadata {
            resource: config.resource,
            authorization_servers: config.authorization_servers,
            scopes_supported: scopes_supported.iter().map(str::to_owned).collect(),
            bearer_methods_supported: vec!["header".to_owned()],
            resource_name: config.name,
            ..ProtectedResourceMetadata::default()
        };
        let metadata = serde_json::to_vec(&document).map_err(UnusableMetadata::Json)?.into();
        let required_scopes = config.required_scopes;
        Ok(Self { metadata, metadata_path, metadata_url, required_scopes, wanted_scopes })
    }

    /// The metadata document (RS-1, RS-3), to be served as `application/json`.
    pub fn metadata(&self) -> Bytes {
        self.metadata.clone()
    }

    /// The path of the metadata document: the well-known path with the resource's own path behind it (RS-2).
    pub fn metadata_path(&self) -> &str {
        &self.metadata_path
    }

    /// The URL of the metadata document, as challenges name it.
    pub fn metadata_url(&self) -> &str {
        &self.metadata_url
    }

    /// Who makes the request, if its token is good and was granted enough (RS-10).
    ///
    /// # Errors
    ///
    /// A [`Refusal`] for [`Self::refuse`].
    pub async fn authenticate(
        &self,
        verifier: &Verifier,
        headers: &HeaderMap,
        query: Option<&str>,
    ) -> Result<Arc<Verified>, Refusal> {
        let verified = verifier.verify(bearer_token(headers, query)?).await?;
        // Our scopes have no hierarchy, so the subset says it all (RS-8).
        if !self.required_scopes.is_subset_of(&verified.scopes) {
            return Err(Refusal::InsufficientScope);
        }
        Ok(verified)
    }

    /// The response to a refused request. Its challenge names the metadata and the scopes to ask for (RS-4 to RS-7).
    pub fn refuse(&self, refusal: &Refusal) -> Response<Bytes> {
        let reason = refusal.reason();
        let description = format!("{refusal} ({reason})");
        let error = refusal.error().map_or(reason, |error| error.as_str());
        let body = json!({"error": error, "error_description": &description, "reason": reason});
        let mut response = Response::new(Bytes::from(body.to_string()));
        *response.status_mut() = refusal.status();
        response.extensions_mut().insert(Reason(reason));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(retry_after) = refusal.retry_after() {
            headers.insert(RETRY_AFTER, HeaderValue::from(retry_after.as_secs().max(1)));
            return response;
        }
        let challenge = self.challenge(refusal, &description).to_string();
        // A challenge is printable ASCII by construction.
        if let Ok(challenge) = HeaderValue::try_from(challenge) {
            headers.insert(WWW_AUTHENTICATE, challenge);
        }
        response
    }

    fn challenge(&self, refusal: &Refusal, description: &str) -> Challenge {
        let scope = match refusal {
            Refusal::InsufficientScope => Cow::Borrowed(&self.required_scopes),
            Refusal::UpstreamLoginNeeded { scopes } => Cow::Owned(with_asked(&self.required_scopes, scopes)),
            Refusal::UpstreamLoginEnded { scopes } => Cow::Owned(with_asked(&self.wanted_scopes, scopes)),
            _ => Cow::Borrowed(&self.wanted_scopes),
        };
        let challenge = Challenge::bearer().resource_metadata(&self.metadata_url).scope(&scope);
        match refusal.error() {
            Some(error) => challenge.error(error).error_description(description),
            None => challenge,
        }
    }
}

fn with_asked(always: &ScopeSet, asked: &ScopeSet) -> ScopeSet {
    always.union(&without_offline_access(asked))
}

fn without_offline_access(scopes: &ScopeSet) -> ScopeSet {
    // Tokens of a set are tokens.
    ScopeSet::from_tokens(scopes.iter().filter(|&scope| scope != OFFLINE_ACCESS)).unwrap_or_default()
}

/// `https://host:port` and the rest, as raw text: a URL parser would rewrite both.
fn split_origin(url: &str) -> Option<(&str, &str)> {
    let host = url.find("://")? + 3;
    let rest = url.get(host..)?;
    let end = rest.find(['/', '?', '#']).map_or(url.len(), |at| host + at);
    (end > host).then(|| url.split_at(end))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    use http::StatusCode;
    use serde_json::Value;

    use crate::credential::CredentialError;
    use crate::refusal::{RequestFault, TokenFault};

    fn scopes(text: &str) -> ScopeSet {
        ScopeSet::parse(text).unwrap()
    }

    fn resource(required: &str) -> ProtectedResource {
        ProtectedResource::new(ProtectedResourceConfig {
            resource: "https://mcp.example.com/mcp".to_owned(),
            authorization_servers: vec!["https://as.example.com".to_owned()],
            scopes_supported: scopes("openid profile offline_access"),
            required_scopes: scopes(required),
            name: None,
        })
        .unwrap()
    }

    fn challenge(response: &Response<Bytes>) -> &str {
        response.headers()[WWW_AUTHENTICATE].to_str().unwrap()
    }

    #[test]
    fn rs_1_rs_3_rs_9_the_document_names_resource_and_servers_and_no_offline_access() {
        let document: Value = serde_json::from_slice(&resource("").metadata()).unwrap();
        let expected = json!({
            "resource": "https://mcp.example.com/mcp",
            "authorization_servers": ["https://as.example.com"],
            "scopes_supported": ["openid", "profile"],
            "bearer_methods_supported": ["header"],
        });
        assert_eq!(document, expected);
    }

    #[test]
    fn rs_2_the_resources_path_follows_the_well_known_path() {
        let table = [
            ("https://h/mcp", "https://h/.well-known/oauth-protected-resource/mcp"),
            ("https://h:8443/a/b?c=d", "https://h:8443/.well-known/oauth-protected-resource/a/b?c=d"),
            ("https://h/", "https://h/.well-known/oauth-protected-resource"),
            ("https://h", "https://h/.well-known/oauth-protected-resource"),
        ];
        for (identifier, expected) in table {
            let config = ProtectedResourceConfig {
                resource: identifier.to_owned(),
                ..ProtectedResourceConfig::default()
            };
            assert_eq!(ProtectedResource::new(config).unwrap().metadata_url(), expected);
        }
        for identifier in ["", "/mcp", "https://", "https:///mcp"] {
            let config = ProtectedResourceConfig {
                resource: identifier.to_owned(),
                ..ProtectedResourceConfig::default()
            };
            assert!(ProtectedResource::new(config).is_err(), "{identifier}");
        }
    }

    #[test]
    fn rs_4_rs_5_a_request_without_a_token_is_challenged_without_an_error() {
        let response = resource("").refuse(&Refusal::NoToken);
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(
            challenge(&response),
            "Bearer scope=\"openid profile\", \
             resource_metadata=\"https://mcp.example.com/.well-known/oauth-protected-resource/mcp\""
        );
        let body: Value = serde_json::from_slice(response.body()).unwrap();
        assert_eq!(body["error"], "token_missing");
        assert_eq!(response.extensions().get(), Some(&Reason("token_missing")));
        assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
    }

    #[test]
    fn rs_4_a_bad_token_is_challenged_with_the_reason() {
        let response = resource("profile").refuse(&TokenFault::Expired.into());
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(
            challenge(&response),
            "Bearer error=\"invalid_token\", \
             error_description=\"the access token has expired (token_expired)\", scope=\"profile\", \
             resource_metadata=\"https://mcp.example.com/.well-known/oauth-protected-resource/mcp\""
        );
    }

    #[test]
    fn rs_6_rs_7_too_little_scope_is_answered_with_all_that_is_required() {
        let response = resource("profile openid").refuse(&Refusal::InsufficientScope);
        assert_eq!(response.status(), StatusCode::FORBIDDEN);
        assert_eq!(
            challenge(&response),
            "Bearer error=\"insufficient_scope\", error_description=\"the access token lacks a scope that this \
             resource requires (scope_insufficient)\", scope=\"profile openid\", \
             resource_metadata=\"https://mcp.example.com/.well-known/oauth-protected-resource/mcp\""
        );
    }

    #[test]
    fn rs_6_a_malformed_request_is_an_invalid_request() {
        let response = resource("").refuse(&RequestFault::RepeatedAuthorization.into());
        assert_eq!(response.status(), StatusCode::BAD_REQUEST);
        assert!(challenge(&response).starts_with("Bearer error=\"invalid_request\", error_description="));
    }

    #[test]
    fn an_outage_is_not_blamed_on_the_token() {
        let retry_after = Duration::from_secs(2);
        let table = [
            (
                Refusal::Unavailable { retry_after },
                "the access token cannot be checked at the moment (verification_unavailable)",
            ),
            (
                Refusal::without_credential(CredentialError::Unavailable { retry_after }, &scopes("a")),
                "the upstream credential is unavailable at the moment (upstream_unavailable)",
            ),
        ];
        for (refusal, description) in table {
            let response = resource("").refuse(&refusal);
            assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
            assert_eq!(response.headers()[RETRY_AFTER], "2");
            assert!(!response.headers().contains_key(WWW_AUTHENTICATE));
            let body: Value = serde_json::from_slice(response.body()).unwrap();
            assert_eq!(body["error_description"], description);
        }
    }

    /// Status and challenge for a token that was granted `granted`, at a resource that requires `required`.
    fn challenged(required: &str, granted: &str, error: CredentialError) -> (StatusCode, String) {
        let refusal = Refusal::without_credential(error, &scopes(granted));
        let response = resource(required).refuse(&refusal);
        assert_eq!(response.extensions().get(), Some(&Reason(refusal.reason())));
        (response.status(), challenge(&response).to_owned())
    }

    #[test]
    fn rs_6_rs_7_a_login_on_demand_is_asked_for_with_all_that_the_client_needs() {
        // required, granted, the scope of the login ▶ the challenge's scope
        let table = [
            ("", "", "upstream:hub", "upstream:hub"),
            ("", "openid profile", "upstream:hub", "openid profile upstream:hub"),
            ("profile", "openid profile", "upstream:hub", "profile openid upstream:hub"),
            ("profile", "profile upstream:a", "upstream:b", "profile upstream:a upstream:b"),
            ("profile", "profile upstream:hub", "upstream:hub", "profile upstream:hub"),
            ("profile", "profile offline_access", "upstream:hub", "profile upstream:hub"),
            ("profile", "a'b,c=d profile", "upstream:%;()", "profile a'b,c=d upstream:%;()"),
            // What no scope may hold cannot leave the quotes.
            ("profile", "profile", "x\", error=\"y", "profile"),
            ("profile", "profile", "x\\", "profile"),
            ("profile", "profile", "two scopes", "profile"),
            ("profile", "profile", "\u{fc}\r\nSet-Cookie: a=b", "profile"),
            ("profile", "profile", "", "profile"),
        ];
        for (required, granted, scope, expected) in table {
            let error = CredentialError::StepUpNeeded { scope: scope.to_owned() };
            let expected = format!(
                "Bearer error=\"insufficient_scope\", error_description=\"the session has not logged in to the \
                 upstream provider, authorize again with the scopes of the challenge (upstream_login_needed)\", \
                 scope=\"{expected}\", \
                 resource_metadata=\"https://mcp.example.com/.well-known/oauth-protected-resource/mcp\""
            );
            assert_eq!(challenged(required, granted, error), (StatusCode::FORBIDDEN, expected), "{scope:?}");
        }
    }

    #[test]
    fn rs_4_rs_5_a_login_that_has_ended_is_asked_for_by_the_scope_that_runs_it() {
        // required, granted, the scope of the login ▶ the challenge's scope
        let table = [
            ("", "openid", None, "openid profile"),
            ("profile", "profile upstream:a", None, "profile"),
            ("", "openid upstream:hub", Some("upstream:hub"), "openid profile upstream:hub"),
            ("profile", "mail profile", Some("upstream:hub"), "profile mail upstream:hub"),
            ("profile", "offline_access", Some("upstream:hub"), "profile upstream:hub"),
            ("profile", "mail profile", Some("\", realm=\""), "profile mail"),
        ];
        for (required, granted, scope, expected) in table {
            let error = CredentialError::ReauthenticationNeeded { scope: scope.map(str::to_owned) };
            let expected = format!(
                "Bearer error=\"invalid_token\", error_description=\"the login at the upstream provider has ended, \
                 sign in again (upstream_login_ended)\", scope=\"{expected}\", \
                 resource_metadata=\"https://mcp.example.com/.well-known/oauth-protected-resource/mcp\""
            );
            assert_eq!(
                challenged(required, granted, error),
                (StatusCode::UNAUTHORIZED, expected),
                "{scope:?}"
            );
        }
    }
}
