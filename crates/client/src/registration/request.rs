//! What is asked for (RFC 7591 §2).

use secrecy::{ExposeSecret, SecretString};
use serde::{Serialize, Serializer};
use serde_json::Value;
use thv_oauth::auth_method::AuthMethod;
use thv_oauth::grant_type::GrantType;

/// Client metadata, as it is sent. What is not set is left out, and the server chooses.
#[derive(Clone, Debug, Default, Serialize)]
pub struct RegistrationRequest {
    /// Where authorization responses may go.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub redirect_uris: Vec<String>,
    /// How this client wants to authenticate. Absent means `client_secret_basic`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_endpoint_auth_method: Option<AuthMethod>,
    /// Absent means `authorization_code` alone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub grant_types: Vec<GrantType>,
    /// Absent means `code`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub response_types: Vec<String>,
    /// A name to show to users.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_name: Option<String>,
    /// The client's home page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_uri: Option<String>,
    /// The client's logo.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logo_uri: Option<String>,
    /// How to reach the people responsible.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub contacts: Vec<String>,
    /// The scopes that this client will ask for, separated by spaces.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// The client's public keys, for `private_key_jwt`.
    #[serde(flatten)]
    pub keys: Option<ClientKeys>,
    /// The software, across its instances.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub software_id: Option<String>,
    /// The version of the software.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub software_version: Option<String>,
    /// A signed statement about the software (RFC 7591 §2.3), sent as it is. Who has it can register in our name.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "exposed")]
    pub software_statement: Option<SecretString>,
    /// `native` or `web` (OpenID Connect Dynamic Client Registration §2).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub application_type: Option<String>,
}

/// Public keys, by reference or by value: never both (RFC 7591 §2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum ClientKeys {
    /// The URL of a JWK Set.
    #[serde(rename = "jwks_uri")]
    Reference(String),
    /// A JWK Set.
    #[serde(rename = "jwks")]
    Value(Value),
}

/// Writes a secret into a body that is sent.
pub(super) fn exposed<S: Serializer>(
    secret: &Option<SecretString>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    secret.as_ref().map(ExposeSecret::expose_secret).serialize(serializer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn rfc_7591_2_every_member_that_is_set_is_sent_and_no_other() {
        assert_eq!(serde_json::to_value(RegistrationRequest::default()).unwrap(), json!({}));
        let full = RegistrationRequest {
            redirect_uris: vec!["https://c.example/cb".into()],
            token_endpoint_auth_method: Some(AuthMethod::PrivateKeyJwt),
            grant_types: GrantType::ALL.to_vec(),
            response_types: vec!["code".into()],
            client_name: Some("C".into()),
            client_uri: Some("https://c.example".into()),
            logo_uri: Some("https://c.example/logo.png".into()),
            contacts: vec!["a@c.example".into()],
            scope: Some("a b".into()),
            keys: Some(ClientKeys::Reference("https://c.example/jwks".into())),
            software_id: Some("id".into()),
            software_version: Some("1.0".into()),
            software_statement: Some("e30.e30.AA".into()),
            application_type: Some("web".into()),
        };
        assert_eq!(
            serde_json::to_value(&full).unwrap(),
            json!({
                "redirect_uris": ["https://c.example/cb"], "token_endpoint_auth_method": "private_key_jwt",
                "grant_types": ["authorization_code", "refresh_token"], "response_types": ["code"],
                "client_name": "C", "client_uri": "https://c.example", "logo_uri": "https://c.example/logo.png",
                "contacts": ["a@c.example"], "scope": "a b", "jwks_uri": "https://c.example/jwks",
                "software_id": "id", "software_version": "1.0", "software_statement": "e30.e30.AA",
                "application_type": "web"
            })
        );
        assert!(!format!("{full:?}").contains("e30"), "a statement is shown to nobody");
        let by_value = RegistrationRequest {
            keys: Some(ClientKeys::Value(json!({"keys": []}))),
            ..RegistrationRequest::default()
        };
        assert_eq!(serde_json::to_value(by_value).unwrap(), json!({"jwks": {"keys": []}}));
    }
}
