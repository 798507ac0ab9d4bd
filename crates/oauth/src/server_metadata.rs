//! Authorization server metadata (RFC 8414 §2, OpenID Connect Discovery §3).

use serde::{Deserialize, Deserializer, Serialize};

/// The metadata of an authorization server, to be served or as read from another server.
///
/// Absent members and empty arrays are the same thing and are not written (AS-4); `null` counts as absent and unknown
/// members are ignored when read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthorizationServerMetadata {
    /// The issuer; compare as a string (AS-3).
    pub issuer: String,
    /// Where authorization requests go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorization_endpoint: Option<String>,
    /// Where token requests go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_endpoint: Option<String>,
    /// The keys of the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks_uri: Option<String>,
    /// Dynamic client registration (RFC 7591).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registration_endpoint: Option<String>,
    /// Token revocation (RFC 7009).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revocation_endpoint: Option<String>,
    /// Token introspection (RFC 7662).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub introspection_endpoint: Option<String>,
    /// Pushed authorization requests (RFC 9126).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pushed_authorization_request_endpoint: Option<String>,
    /// OpenID Connect UserInfo.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub userinfo_endpoint: Option<String>,
    /// OpenID Connect RP-initiated logout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_session_endpoint: Option<String>,
    /// Scopes that clients may ask for.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub scopes_supported: Vec<String>,
    /// Response types; `code` here.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub response_types_supported: Vec<String>,
    /// Response modes.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub response_modes_supported: Vec<String>,
    /// Grant types. Absent means `authorization_code` and `implicit` (RFC 8414 §2).
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub grant_types_supported: Vec<String>,
    /// Client authentication at the token endpoint. Absent means `client_secret_basic` (RFC 8414 §2).
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub token_endpoint_auth_methods_supported: Vec<String>,
    /// Algorithms of client assertions.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub token_endpoint_auth_signing_alg_values_supported: Vec<String>,
    /// Client authentication at the revocation endpoint.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub revocation_endpoint_auth_methods_supported: Vec<String>,
    /// Client authentication at the introspection endpoint.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub introspection_endpoint_auth_methods_supported: Vec<String>,
    /// PKCE methods. MCP clients refuse a server that does not list `S256` (AS-6).
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub code_challenge_methods_supported: Vec<String>,
    /// DPoP algorithms (RFC 9449 §5.1).
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub dpop_signing_alg_values_supported: Vec<String>,
    /// Whether URLs of metadata documents are accepted as `client_id`; not written if false (AS-7).
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "std::ops::Not::not")]
    pub client_id_metadata_document_supported: bool,
    /// Whether authorization responses carry `iss` (RFC 9207 §3); not written if false.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "std::ops::Not::not")]
    pub authorization_response_iss_parameter_supported: bool,
    /// OpenID Connect subject identifier types.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub subject_types_supported: Vec<String>,
    /// OpenID Connect ID token algorithms.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub id_token_signing_alg_values_supported: Vec<String>,
    /// OpenID Connect claims.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub claims_supported: Vec<String>,
    /// Documentation for developers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_documentation: Option<String>,
}

/// Reads `null` as an absent member.
pub(crate) fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn as_4_as_7_empty_arrays_and_false_flags_are_omitted() {
        let mut metadata = AuthorizationServerMetadata {
            issuer: "https://as.example".into(),
            response_types_supported: vec!["code".into()],
            ..AuthorizationServerMetadata::default()
        };
        assert_eq!(
            serde_json::to_value(&metadata).unwrap(),
            json!({"issuer": "https://as.example", "response_types_supported": ["code"]})
        );
        metadata.client_id_metadata_document_supported = true;
        metadata.authorization_response_iss_parameter_supported = true;
        let written = serde_json::to_value(&metadata).unwrap();
        assert_eq!(written["client_id_metadata_document_supported"], true);
        assert_eq!(written["authorization_response_iss_parameter_supported"], true);
        assert_eq!(serde_json::from_value::<AuthorizationServerMetadata>(written).unwrap(), metadata);
    }

    #[test]
    fn documents_of_others_are_read_with_unknown_members_and_nulls() {
        let read: AuthorizationServerMetadata = serde_json::from_value(json!({
            "issuer": "i", "scopes_supported": null, "client_id_metadata_document_supported": null,
            "jwks_uri": null, "request_parameter_supported": true
        }))
        .unwrap();
        assert_eq!(read, AuthorizationServerMetadata { issuer: "i".into(), ..Default::default() });
        assert!(
            serde_json::from_value::<AuthorizationServerMetadata>(json!({"token_endpoint": "t"})).is_err()
        );
    }
}
