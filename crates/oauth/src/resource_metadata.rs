//! Protected resource metadata (RFC 9728 §2).

use serde::{Deserialize, Serialize};

use crate::server_metadata::null_as_default;

/// The document at `/.well-known/oauth-protected-resource…`. Absent members and empty arrays are the same thing and
/// are not written (RFC 9728 §3.2); unknown members are ignored when read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProtectedResourceMetadata {
    /// The resource identifier, byte for byte what clients use as the URL.
    pub resource: String,
    /// Issuers of the authorization servers whose tokens are accepted.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub authorization_servers: Vec<String>,
    /// The resource's own keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks_uri: Option<String>,
    /// Scopes that are used to access the resource.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub scopes_supported: Vec<String>,
    /// How tokens may be sent; `header` here.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub bearer_methods_supported: Vec<String>,
    /// A name to show to users.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_name: Option<String>,
    /// Documentation for developers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_documentation: Option<String>,
    /// How data may be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_policy_uri: Option<String>,
    /// Terms of service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_tos_uri: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn rs_3_empty_arrays_are_omitted() {
        let metadata = ProtectedResourceMetadata {
            resource: "https://r.example/mcp".into(),
            authorization_servers: vec!["https://as.example".into()],
            ..ProtectedResourceMetadata::default()
        };
        assert_eq!(
            serde_json::to_value(&metadata).unwrap(),
            json!({"resource": "https://r.example/mcp", "authorization_servers": ["https://as.example"]})
        );
    }

    #[test]
    fn documents_of_others_are_read_with_unknown_members_and_nulls() {
        let metadata: ProtectedResourceMetadata =
            serde_json::from_value(json!({"resource": "r", "scopes_supported": null, "x": 1})).unwrap();
        assert_eq!(metadata, ProtectedResourceMetadata { resource: "r".into(), ..Default::default() });
        assert!(
            serde_json::from_value::<ProtectedResourceMetadata>(json!({"authorization_servers": []}))
                .is_err()
        );
    }
}
