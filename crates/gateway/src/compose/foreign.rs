//! Access tokens of another issuer: its keys, and its introspection endpoint (G3, RS-12).

mod sparing;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue};
use http::{Method, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use thv_client::jwks::JwksCache;
use thv_client::metadata::MetadataSource;
use thv_clock::Timestamp;
use thv_config::config::Oidc;
use thv_config::{Config, Problem, Profile};
use thv_egress::{Client, Limits};
use thv_jose::digest::base64url;
use thv_jose::jwks::Jwks;
use thv_oauth::issuer::AllowHttp;
use thv_oauth::params;
use thv_oauth::scope::ScopeSet;
use thv_resource::Verifier;
use thv_resource::verifier::{Introspect, Introspection, TokenKeys, Unavailable};

use super::{Shared, at, foreign_issuer_policy};
use sparing::Sparing;

const LIMITS: Limits = Limits { total: Duration::from_secs(5), max_body: 64 * 1024 };

/// The same verifier, accepting the tokens of the configured issuer too.
pub(super) fn trust(
    verifier: Verifier,
    oidc: &Oidc,
    config: &Config,
    profile: Profile,
    shared: &Shared,
) -> Result<Verifier, Problem> {
    let egress = Client::pooled(foreign_issuer_policy(config, profile), &shared.roots);
    let allow_http = if config.insecure_allow_http { AllowHttp::Any } else { AllowHttp::Loopback };
    let keys = IssuerKeys {
        url: oidc.jwks_url.clone(),
        metadata: MetadataSource::new(
            egress.clone(),
            oidc.issuer.clone(),
            allow_http,
            Arc::clone(&shared.clock),
        ),
        sets: JwksCache::new(egress.clone(), Arc::clone(&shared.clock), 2),
    };
    let verifier = verifier.trusting(oidc.issuer.clone(), Arc::new(keys));
    let Some(url) = &oidc.introspection_url else { return Ok(verifier) };
    let authorization = basic(oidc).map_err(|error| at("oidc.clientSecretRef", &error))?;
    let endpoint =
        IntrospectionEndpoint { url: url.clone(), issuer: oidc.issuer.clone(), authorization, egress };
    Ok(verifier.introspecting(Arc::new(Sparing::new(Arc::new(endpoint), Arc::clone(&shared.clock)))))
}

/// Our credentials at the introspection endpoint; both parts form-encoded first (RFC 6749 §2.3.1).
fn basic(oidc: &Oidc) -> Result<SecretString, thv_config::secret_ref::SecretRefError> {
    let encode = |text: &str| params::encode(&[("", text)]).trim_start_matches('=').to_owned();
    let id = encode(oidc.client_id.as_deref().unwrap_or_default());
    let secret = match &oidc.client_secret_ref {
        Some(reference) => SecretString::from(encode(reference.resolve()?.into_text()?.expose_secret())),
        None => SecretString::default(),
    };
    let pair = SecretString::from(format!("{id}:{}", secret.expose_secret()));
    Ok(SecretString::from(format!("Basic {}", STANDARD.encode(pair.expose_secret()))))
}

/// The keys that an issuer publishes, where its metadata or the configuration says.
struct IssuerKeys {
    url: Option<String>,
    metadata: MetadataSource,
    sets: JwksCache,
}

#[async_trait]
impl TokenKeys for IssuerKeys {
    async fn keys(&self, kid: Option<&str>) -> Result<Arc<Jwks>, Unavailable> {
        let url = match &self.url {
            Some(url) => url.clone(),
            None => {
                let metadata = self.metadata.load().await.map_err(|error| unavailable("metadata", &error))?;
                metadata.jwks_uri.clone().ok_or_else(|| {
                    tracing::error!("the issuer's metadata names no jwks_uri; set `oidc.jwksUrl`");
                    Unavailable
                })?
            }
        };
        let set = match kid {
            // The cache looks for the `kid` in a token's header.
            Some(kid) => self.sets.load_for(&url, &header(kid)).await,
            None => self.sets.load(&url).await,
        };
        set.map(|set| Arc::clone(&set.keys)).map_err(|error| unavailable("key set", &error))
    }
}

fn header(kid: &str) -> String {
    format!("{}.", base64url(json!({"kid": kid}).to_string().as_bytes()))
}

fn unavailable(what: &str, error: &(dyn std::error::Error + 'static)) -> Unavailable {
    tracing::warn!(error = thv_telemetry::chain(error), "the issuer's {what} cannot be had");
    Unavailable
}

/// An introspection endpoint (RFC 7662).
struct IntrospectionEndpoint {
    url: String,
    /// Whose tokens these are when the response does not say.
    issuer: String,
    authorization: SecretString,
    egress: Client,
}

/// RFC 7662 §2.2.
#[derive(Deserialize)]
struct Answer {
    active: bool,
    iss: Option<String>,
    sub: Option<String>,
    client_id: Option<String>,
    scope: Option<String>,
    aud: Option<Value>,
    exp: Option<u64>,
}

#[async_trait]
impl Introspect for IntrospectionEndpoint {
    async fn introspect(&self, token: &str) -> Result<Option<Introspection>, Unavailable> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let mut authorization =
            HeaderValue::from_str(self.authorization.expose_secret()).map_err(|_| Unavailable)?;
        authorization.set_sensitive(true);
        headers.insert(AUTHORIZATION, authorization);
        let form = params::encode(&[("token", token), ("token_type_hint", "access_token")]);
        let response = self.egress.post_form(&self.url, headers, form, LIMITS).await;
        let response = response.map_err(|error| unavailable("introspection endpoint", &error))?;
        if response.status != StatusCode::OK {
            tracing::warn!(http.status = response.status.as_u16(), http.method = %Method::POST, "introspection failed");
            return Err(Unavailable);
        }
        let answer: Answer = serde_json::from_slice(&response.body)
            .map_err(|error| unavailable("introspection response", &error))?;
        Ok(self.introspection(answer))
    }
}

impl IntrospectionEndpoint {
    /// An active token without subject, or without an end, is not accepted: nothing could be bound to it.
    fn introspection(&self, answer: Answer) -> Option<Introspection> {
        let Answer { active, iss, sub, client_id, scope, aud, exp } = answer;
        if !active {
            return None;
        }
        Some(Introspection {
            issuer: iss.unwrap_or_else(|| self.issuer.clone()),
            subject: sub?,
            client_id: client_id.unwrap_or_default(),
            scopes: ScopeSet::parse(scope.as_deref().unwrap_or_default()).unwrap_or_default(),
            audiences: match aud {
                Some(Value::String(one)) => vec![one],
                Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
                _ => Vec::new(),
            },
            expires_at: Timestamp::from_secs(exp?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use thv_config::SecretRef;

    fn endpoint() -> IntrospectionEndpoint {
        let roots = thv_egress::Roots::load(None).unwrap();
        IntrospectionEndpoint {
            url: "https://idp.example/introspect".to_owned(),
            issuer: "https://idp.example".to_owned(),
            authorization: SecretString::default(),
            egress: Client::new(thv_egress::Policy::public(), &roots),
        }
    }

    fn read(answer: Value) -> Option<Introspection> {
        endpoint().introspection(serde_json::from_value(answer).unwrap())
    }

    #[test]
    fn rs_12_an_active_token_is_read_as_rfc_7662_says() {
        let read_token = read(json!({
            "active": true, "sub": "alice", "client_id": "c", "scope": "a b", "aud": ["https://r.example"], "exp": 100,
        }))
        .unwrap();
        assert_eq!(read_token.issuer, "https://idp.example");
        assert_eq!((read_token.subject.as_str(), read_token.audiences.len()), ("alice", 1));
        assert_eq!(read_token.expires_at, Timestamp::from_secs(100));
        let one = read(json!({"active": true, "sub": "a", "aud": "https://r.example", "exp": 1})).unwrap();
        assert_eq!(one.audiences, ["https://r.example"]);
    }

    #[test]
    fn rs_12_inactive_and_endless_tokens_are_not_accepted() {
        assert!(read(json!({"active": false, "sub": "alice", "exp": 100})).is_none());
        assert!(read(json!({"active": true, "sub": "alice"})).is_none());
        assert!(read(json!({"active": true, "exp": 100})).is_none());
    }

    #[test]
    fn as_122_both_parts_of_basic_credentials_are_form_encoded() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("secret");
        std::fs::write(&file, "s:e c%").unwrap();
        let oidc = Oidc {
            client_id: Some("a:b".to_owned()),
            client_secret_ref: Some(SecretRef::file(file)),
            ..Oidc::default()
        };
        let encoded = basic(&oidc).unwrap();
        let encoded = encoded.expose_secret().strip_prefix("Basic ").unwrap();
        let plain = String::from_utf8(STANDARD.decode(encoded).unwrap()).unwrap();
        assert_eq!(plain, "a%3Ab:s%3Ae+c%25");
    }
}
