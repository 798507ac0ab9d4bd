//! Upstream providers: where users of the embedded authorization server log in.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::secret_ref::SecretRef;

/// One upstream provider. Exactly the block that belongs to its type is present.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct UpstreamProvider {
    /// Name in paths, logs and metrics: lower-case letters, digits and inner hyphens, at most 63. Required.
    pub name: String,
    /// Which kind of provider. Required.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub upstream_type: Option<UpstreamType>,
    /// Settings of type `oidc`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oidc_config: Option<OidcUpstream>,
    /// Settings of type `oauth2`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oauth2_config: Option<OAuth2Upstream>,
    /// Settings of type `local`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local_config: Option<LocalUpstream>,
}

impl UpstreamProvider {
    /// The block that belongs to the type. `None` only before validation.
    pub fn kind(&self) -> Option<UpstreamKind<'_>> {
        match self.upstream_type? {
            UpstreamType::Oidc => self.oidc_config.as_ref().map(UpstreamKind::Oidc),
            UpstreamType::Oauth2 => self.oauth2_config.as_ref().map(UpstreamKind::OAuth2),
            UpstreamType::Local => self.local_config.as_ref().map(UpstreamKind::Local),
        }
    }
}

/// Kinds of upstream provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UpstreamType {
    /// OpenID Connect provider: discovery, nonce, ID token.
    Oidc,
    /// OAuth 2.0 authorization server without ID tokens.
    Oauth2,
    /// Users of this server itself.
    Local,
}

impl UpstreamType {
    /// The name in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Oidc => "oidc",
            Self::Oauth2 => "oauth2",
            Self::Local => "local",
        }
    }
}

/// An upstream provider by its type, for an exhaustive match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpstreamKind<'a> {
    /// OpenID Connect provider.
    Oidc(&'a OidcUpstream),
    /// OAuth 2.0 authorization server.
    OAuth2(&'a OAuth2Upstream),
    /// Users of this server itself.
    Local(&'a LocalUpstream),
}

/// An OpenID Connect provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct OidcUpstream {
    /// Issuer of the provider; its metadata is at `/.well-known/openid-configuration` below it. Required.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub issuer_url: String,
    /// Client identifier of this server at the provider. Required.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub client_id: String,
    /// Client secret; a public client when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_secret_ref: Option<SecretRef>,
    /// Redirection URI registered at the provider; `{issuer}/oauth/callback` when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redirect_uri: Option<String>,
    /// Scopes asked for; must contain `openid`.
    pub scopes: Vec<String>,
    /// Claim of the ID token that identifies the user.
    pub subject_claim: String,
    /// Further parameters of the authorization request.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub additional_authorization_params: BTreeMap<String, String>,
    /// Where name and e-mail come from when the ID token lacks them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_info_override: Option<UserInfo>,
    /// Allows `http` endpoints that are not loopback. For test networks only.
    #[serde(rename = "insecureAllowHTTP")]
    pub insecure_allow_http: bool,
}

impl Default for OidcUpstream {
    fn default() -> Self {
        Self {
            issuer_url: String::new(),
            client_id: String::new(),
            client_secret_ref: None,
            redirect_uri: None,
            scopes: ["openid", "profile", "email"].map(str::to_owned).to_vec(),
            subject_claim: "sub".to_owned(),
            additional_authorization_params: BTreeMap::new(),
            user_info_override: None,
            insecure_allow_http: false,
        }
    }
}

/// An OAuth 2.0 authorization server without ID tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct OAuth2Upstream {
    /// Authorization endpoint. Required.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub authorization_endpoint: String,
    /// Token endpoint. Required.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub token_endpoint: String,
    /// Client identifier of this server at the provider. Required.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub client_id: String,
    /// Client secret; a public client when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_secret_ref: Option<SecretRef>,
    /// Redirection URI registered at the provider; `{issuer}/oauth/callback` when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redirect_uri: Option<String>,
    /// Scopes asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    /// Where the user's identity is asked for with the access token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_info: Option<UserInfo>,
    /// Where the members of a non-standard token response are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_response_mapping: Option<TokenResponseMapping>,
    /// Where the user's identity is inside the token response. Preferred over `userInfo`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity_from_token: Option<IdentityFromToken>,
    /// Further parameters of the authorization request.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub additional_authorization_params: BTreeMap<String, String>,
    /// Allows `http` endpoints that are not loopback. For test networks only.
    #[serde(rename = "insecureAllowHTTP")]
    pub insecure_allow_http: bool,
}

/// A request that answers who the owner of an access token is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct UserInfo {
    /// Where the request goes. Required.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub endpoint_url: String,
    /// Method of the request.
    pub http_method: UserInfoMethod,
    /// Further header fields of the request.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub additional_headers: BTreeMap<String, String>,
    /// Which members of the response carry the identity.
    pub field_mapping: FieldMapping,
}

/// Method of a user info request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum UserInfoMethod {
    /// GET.
    #[default]
    Get,
    /// POST with an empty body.
    Post,
}

/// Names of user info members, the first present one wins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct FieldMapping {
    /// Members that identify the user.
    pub subject_fields: Vec<String>,
    /// Members with a name for people.
    pub name_fields: Vec<String>,
    /// Members with an e-mail address.
    pub email_fields: Vec<String>,
}

impl Default for FieldMapping {
    fn default() -> Self {
        Self {
            subject_fields: vec!["sub".to_owned()],
            name_fields: vec!["name".to_owned()],
            email_fields: vec!["email".to_owned()],
        }
    }
}

/// Dot paths to the members of a non-standard token response.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct TokenResponseMapping {
    /// Path to the access token. Required.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub access_token_path: String,
    /// Path to the granted scope.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope_path: Option<String>,
    /// Path to the refresh token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_token_path: Option<String>,
    /// Path to the lifetime in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_in_path: Option<String>,
}

/// Dot paths to the user's identity inside the token response. A segment `@upstreamjwt` reads the payload of the JWT that
/// the path has reached.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct IdentityFromToken {
    /// Path to what identifies the user. Required.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub subject_path: String,
    /// Path to a name for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name_path: Option<String>,
    /// Path to an e-mail address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email_path: Option<String>,
}

/// Users of this server itself. Exactly one of the two members is present.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct LocalUpstream {
    /// The users and their password hashes: a [`UsersFile`](crate::UsersFile).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub users_file: Option<PathBuf>,
    /// Name of the one user who logs in without a password. Development only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub development_user: Option<String>,
}
