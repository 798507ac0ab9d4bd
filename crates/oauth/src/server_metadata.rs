//! Authorization server metadata (RFC 8414 §2, OpenID Connect Discovery §3).

use serde::{Deserialize, Deserializer, Serialize};

use crate::issuer::{AllowHttp, Issuer, IssuerError};
use crate::raw_uri::{RawUri, UriError};

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
    /// Algorithms of client assertions at the revocation endpoint.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub revocation_endpoint_auth_signing_alg_values_supported: Vec<String>,
    /// Client authentication at the introspection endpoint.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub introspection_endpoint_auth_methods_supported: Vec<String>,
    /// Algorithms of client assertions at the introspection endpoint.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub introspection_endpoint_auth_signing_alg_values_supported: Vec<String>,
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

/// Why a URL that another server names must not be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// Not a URI of allowed characters.
    #[error("the URL {0}")]
    Uri(UriError),
    /// Not https, and http is not allowed for this host.
    #[error("the URL is not https; plain http is for loopback addresses only")]
    NotHttps,
    /// User name or password.
    #[error("the URL has a user name")]
    UserInfo,
    /// A fragment (RFC 6749 §3.1, §3.2).
    #[error("the URL has a fragment")]
    Fragment,
    /// A `.` or `..` segment, which clients resolve differently.
    #[error("the URL has dot segments")]
    DotSegment,
}

/// Whether an endpoint that a server names may be used: https, or http where `allow_http` says so. It may have a query
/// (RFC 6749 §3.1, §3.2).
///
/// # Errors
/// [`EndpointError`].
pub fn check_endpoint(url: &str, allow_http: AllowHttp) -> Result<(), EndpointError> {
    if RawUri::parse(url).map_err(EndpointError::Uri)?.fragment.is_some() {
        return Err(EndpointError::Fragment);
    }
    let (base, _) = url.split_once('?').unwrap_or((url, ""));
    match Issuer::parse_upstream(base, allow_http) {
        Ok(_) => Ok(()),
        Err(IssuerError::Uri(error)) => Err(EndpointError::Uri(error)),
        Err(IssuerError::NotHttps) => Err(EndpointError::NotHttps),
        Err(IssuerError::UserInfo) => Err(EndpointError::UserInfo),
        Err(IssuerError::DotSegment) => Err(EndpointError::DotSegment),
        Err(IssuerError::Fragment) => Err(EndpointError::Fragment),
        // An endpoint may end with a slash, and its query has been cut off.
        Err(IssuerError::TrailingSlash | IssuerError::Query) => Ok(()),
    }
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
    fn rfc_8414_2_endpoints_are_https_and_may_have_a_query() {
        for (url, outcome) in [
            ("https://as.example/token", Ok(())),
            ("https://as.example/token?tenant=a%20b/", Ok(())),
            ("https://as.example/", Ok(())),
            ("http://127.0.0.1:1/token", Ok(())),
            ("http://as.example/token", Err(EndpointError::NotHttps)),
            ("javascript:alert(1)", Err(EndpointError::NotHttps)),
            ("https://u:p@as.example/token", Err(EndpointError::UserInfo)),
            ("https://as.example/token#", Err(EndpointError::Fragment)),
            ("https://as.example/a/../token", Err(EndpointError::DotSegment)),
            ("/token", Err(EndpointError::Uri(UriError::NoScheme))),
            ("https://as.example/token?a b", Err(EndpointError::Uri(UriError::ForbiddenCharacter))),
        ] {
            assert_eq!(check_endpoint(url, AllowHttp::Loopback), outcome, "{url}");
        }
        assert_eq!(check_endpoint("http://as.example/token", AllowHttp::Any), Ok(()));
        assert_eq!(check_endpoint("http://localhost/token", AllowHttp::No), Err(EndpointError::NotHttps));
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
