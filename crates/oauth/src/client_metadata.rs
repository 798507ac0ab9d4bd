//! Client metadata (RFC 7591 §2), however it was obtained: by configuration, registration or document.

use aws_lc_rs::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::auth_method::AuthMethod;
use crate::grant_type::GrantType;
use crate::redirect_uri::RedirectUri;
use crate::scope::ScopeSet;

/// What is known about a client. All of it is self-asserted (AS-107).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientMetadata {
    /// The client's identifier, if the metadata names it (metadata documents do).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// A name to show to users.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_name: Option<String>,
    /// The client's home page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_uri: Option<String>,
    /// The client's logo; never to be hotlinked (AS-79).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logo_uri: Option<String>,
    /// Terms of service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tos_uri: Option<String>,
    /// Privacy policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_uri: Option<String>,
    /// The registered redirect URIs.
    #[serde(default)]
    pub redirect_uris: Vec<RedirectUri>,
    /// The grant types that the client may use.
    #[serde(default)]
    pub grant_types: Vec<GrantType>,
    /// The response types that the client may use.
    #[serde(default)]
    pub response_types: Vec<String>,
    /// The scopes that the client may ask for; `None` if it did not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<ScopeSet>,
    /// How the client authenticates at the token endpoint.
    pub token_endpoint_auth_method: AuthMethod,
    /// The methods that the client may use beside that one, where it declared a choice (RP metadata choices, AS-66).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub token_endpoint_auth_methods_supported: Vec<AuthMethod>,
    /// The client's public keys, by value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks: Option<Value>,
    /// The client's public keys, by reference.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks_uri: Option<String>,
    /// `native` or `web`; never defaulted (AS-68).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub application_type: Option<String>,
    /// How to reach the people responsible.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contacts: Vec<String>,
    /// The software, across its instances.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub software_id: Option<String>,
    /// The version of the software.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub software_version: Option<String>,
}

impl ClientMetadata {
    /// A public client with these redirect URIs, both grant types and nothing else said.
    pub fn public(redirect_uris: Vec<RedirectUri>) -> Self {
        Self {
            client_id: None,
            client_name: None,
            client_uri: None,
            logo_uri: None,
            tos_uri: None,
            policy_uri: None,
            redirect_uris,
            grant_types: GrantType::ALL.to_vec(),
            response_types: vec!["code".to_owned()],
            scope: None,
            token_endpoint_auth_method: AuthMethod::None,
            token_endpoint_auth_methods_supported: Vec::new(),
            jwks: None,
            jwks_uri: None,
            application_type: None,
            contacts: Vec::new(),
            software_id: None,
            software_version: None,
        }
    }

    /// Whether a request's redirect URI is one of the registered ones (AS-20, AS-21).
    pub fn has_redirect_uri(&self, requested: &str) -> bool {
        self.redirect_uris.iter().any(|registered| registered.matches(requested))
    }

    /// Hex SHA-256 over what a user's approval depends on (AS-80): redirect URIs, authentication method, scope, grant
    /// types, keys, name and logo. The order of list entries, of scopes and of members inside `jwks` does not matter.
    pub fn material_hash(&self) -> String {
        let mut redirect_uris: Vec<&str> = self.redirect_uris.iter().map(RedirectUri::as_str).collect();
        redirect_uris.sort_unstable();
        let mut grant_types: Vec<&str> =
            self.grant_types.iter().map(|grant_type| grant_type.as_str()).collect();
        grant_types.sort_unstable();
        let mut auth_methods: Vec<&str> =
            self.token_endpoint_auth_methods_supported.iter().map(|method| method.as_str()).collect();
        auth_methods.sort_unstable();
        let scope = self.scope.as_ref().map(|scope| {
            let mut tokens: Vec<&str> = scope.iter().collect();
            tokens.sort_unstable();
            tokens
        });
        let mut context = Context::new(&SHA256);
        feed(
            &mut context,
            &json!({
                "redirect_uris": redirect_uris,
                "token_endpoint_auth_method": self.token_endpoint_auth_method,
                "token_endpoint_auth_methods_supported": auth_methods,
                "scope": scope,
                "grant_types": grant_types,
                "jwks": self.jwks,
                "jwks_uri": self.jwks_uri,
                "client_name": self.client_name,
                "logo_uri": self.logo_uri,
            }),
        );
        context.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Feeds a value in a form that does not depend on the order of members and cannot be confused with another value's.
fn feed(context: &mut Context, value: &Value) {
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_unstable_by_key(|(name, _)| *name);
            context.update(format!("object {};", members.len()).as_bytes());
            for (name, member) in members {
                feed(context, &Value::from(name.as_str()));
                feed(context, member);
            }
        }
        Value::Array(items) => {
            context.update(format!("array {};", items.len()).as_bytes());
            items.iter().for_each(|item| feed(context, item));
        }
        Value::String(text) => {
            context.update(format!("string {};", text.len()).as_bytes());
            context.update(text.as_bytes());
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => context.update(format!("{value};").as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redirect_uri::RedirectPolicy;

    fn client(redirect_uris: &[&str]) -> ClientMetadata {
        let parse = |raw: &&str| RedirectUri::parse(raw, RedirectPolicy::PrivateSchemes).unwrap();
        ClientMetadata::public(redirect_uris.iter().map(parse).collect())
    }

    #[test]
    fn as_80_the_material_hash_changes_with_what_a_user_approved() {
        let base = client(&["https://c.example/a", "https://c.example/b"]);
        let hash = base.material_hash();
        assert_eq!(hash.len(), 64);
        type Change = fn(&mut ClientMetadata);
        let changes: [(&str, Change); 8] = [
            ("redirect_uris", |c| c.redirect_uris.truncate(1)),
            ("auth method", |c| c.token_endpoint_auth_method = AuthMethod::PrivateKeyJwt),
            ("scope", |c| c.scope = Some(ScopeSet::default())),
            ("grant_types", |c| c.grant_types.truncate(1)),
            ("jwks", |c| c.jwks = Some(json!({"keys": []}))),
            ("jwks_uri", |c| c.jwks_uri = Some("https://c.example/jwks".into())),
            ("client_name", |c| c.client_name = Some("C".into())),
            ("logo_uri", |c| c.logo_uri = Some("https://c.example/logo".into())),
        ];
        let mut seen = vec![hash];
        for (what, change) in changes {
            let mut changed = base.clone();
            change(&mut changed);
            let hash = changed.material_hash();
            assert!(!seen.contains(&hash), "{what}");
            seen.push(hash);
        }
    }

    #[test]
    fn as_80_the_material_hash_ignores_order_and_what_is_not_material() {
        let mut one = client(&["https://c.example/a", "https://c.example/b"]);
        let mut other = client(&["https://c.example/b", "https://c.example/a"]);
        one.scope = Some(ScopeSet::parse("a b").unwrap());
        other.scope = Some(ScopeSet::parse("b a").unwrap());
        one.jwks = serde_json::from_str(r#"{"keys":[{"kty":"EC","x":"1"}]}"#).unwrap();
        other.jwks = serde_json::from_str(r#"{"keys":[{"x":"1","kty":"EC"}]}"#).unwrap();
        other.grant_types.reverse();
        other.tos_uri = Some("https://c.example/tos".into());
        assert_eq!(one.material_hash(), other.material_hash());
    }

    #[test]
    fn as_20_any_registered_redirect_uri_may_be_requested() {
        let client = client(&["https://c.example/cb", "http://localhost/cb"]);
        assert!(client.has_redirect_uri("https://c.example/cb"));
        assert!(client.has_redirect_uri("http://localhost:5/cb"));
        assert!(!client.has_redirect_uri("https://c.example:5/cb"));
    }

    #[test]
    fn as_101_metadata_is_stored_and_loaded_as_it_was() {
        let mut full = client(&["cursor://x/cb"]);
        full.client_id = Some("c".into());
        full.scope = Some(ScopeSet::parse("a b").unwrap());
        full.jwks = Some(json!({"keys": [{"kty": "EC"}]}));
        full.contacts = vec!["a@c.example".into()];
        let stored = serde_json::to_value(&full).unwrap();
        assert_eq!(stored["scope"], "a b");
        assert_eq!(stored["token_endpoint_auth_method"], "none");
        assert_eq!(stored["grant_types"], json!(["authorization_code", "refresh_token"]));
        assert!(stored.get("jwks_uri").is_none());
        assert_eq!(serde_json::from_value::<ClientMetadata>(stored).unwrap(), full);
    }
}
