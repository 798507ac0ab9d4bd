//! Upstream providers: where users of the embedded authorization server log in.

mod registration;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::secret_ref::SecretRef;

pub use registration::{DcrConfig, Registration};

/// One upstream provider. Exactly the block that belongs to its type is present.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct UpstreamProvider {
    /// Name in paths, logs and metrics: lower-case letters, digits and inner hyphens, at most 63. Required.
    pub name: String,
    /// Which kind of provider. Required.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub upstream_type: Option<UpstreamType>,
    /// Name of a known provider, whose settings stand in for what is left out here. They are filled in when a file is read;
    /// see [`preset`](crate::preset).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preset: Option<String>,
    /// Name for people on pages; use [`display_name`](Self::display_name).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Whether users may skip this login. Not for the first provider.
    pub optional: bool,
    /// Whether this login is asked for only when what is behind the gateway needs it. Not for the first provider.
    pub on_demand: bool,
    /// How this server becomes a client of the provider; use [`registration_mode`](Self::registration_mode).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registration: Option<Registration>,
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
    /// The name for people: the label, or the name.
    pub fn display_name(&self) -> &str {
        self.label.as_deref().unwrap_or(&self.name)
    }

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
    /// Client identifier of this server at the provider; empty when it registers itself.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub client_id: String,
    /// Client secret; a public client when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_secret_ref: Option<SecretRef>,
    /// Dynamic client registration at the provider, instead of a client identifier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dcr_config: Option<DcrConfig>,
    /// Redirection URI registered at the provider; `{issuer}/oauth/callback` when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redirect_uri: Option<String>,
    /// Scopes asked for; must contain `openid`.
    pub scopes: Vec<String>,
    /// Claim of the ID token that identifies the user.
    pub subject_claim: String,
    /// Resource that tokens are asked for (RFC 8707), sent with every authorization and token request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    /// Whether [`resource`](Self::resource) is sent. Some providers refuse requests that carry one.
    pub send_resource: bool,
    /// Further parameters of the authorization request.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub additional_authorization_params: BTreeMap<String, String>,
    /// Where name and e-mail come from when the ID token lacks them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_info_override: Option<UserInfo>,
    /// Allows endpoints of this provider at private addresses.
    #[serde(rename = "allowPrivateIPs")]
    pub allow_private_ips: bool,
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
            dcr_config: None,
            redirect_uri: None,
            scopes: ["openid", "profile", "email"].map(str::to_owned).to_vec(),
            subject_claim: "sub".to_owned(),
            resource: None,
            send_resource: true,
            additional_authorization_params: BTreeMap::new(),
            user_info_override: None,
            allow_private_ips: false,
            insecure_allow_http: false,
        }
    }
}

/// An OAuth 2.0 authorization server without ID tokens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct OAuth2Upstream {
    /// Where the provider's metadata is: a well-known URL (RFC 8414 §3, OpenID Connect Discovery §4), or the issuer itself.
    /// Use [`metadata_url`](Self::metadata_url).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub discovery_url: Option<String>,
    /// Authorization endpoint; wins over the metadata. Required without metadata.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub authorization_endpoint: String,
    /// Token endpoint; wins over the metadata. Required without metadata.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub token_endpoint: String,
    /// Revocation endpoint (RFC 7009); wins over the metadata.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revocation_endpoint: Option<String>,
    /// Client identifier of this server at the provider; empty when it registers itself.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub client_id: String,
    /// Client secret; a public client when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_secret_ref: Option<SecretRef>,
    /// Dynamic client registration at the provider, instead of a client identifier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dcr_config: Option<DcrConfig>,
    /// Redirection URI registered at the provider; `{issuer}/oauth/callback` when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redirect_uri: Option<String>,
    /// Scopes asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    /// Parameter of the authorization request that carries the scopes.
    pub scope_parameter: String,
    /// What stands between scopes in that parameter.
    pub scope_separator: String,
    /// Where the user's identity is asked for with the access token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_info: Option<UserInfo>,
    /// Where the members of a non-standard token response are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_response_mapping: Option<TokenResponseMapping>,
    /// Where the user's identity is inside the token response. Preferred over `userInfo`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity_from_token: Option<IdentityFromToken>,
    /// Resource that tokens are asked for (RFC 8707), sent with every authorization and token request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    /// Whether [`resource`](Self::resource) is sent. Some providers refuse requests that carry one.
    pub send_resource: bool,
    /// Further parameters of the authorization request.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub additional_authorization_params: BTreeMap<String, String>,
    /// Allows endpoints of this provider at private addresses.
    #[serde(rename = "allowPrivateIPs")]
    pub allow_private_ips: bool,
    /// Allows `http` endpoints that are not loopback. For test networks only.
    #[serde(rename = "insecureAllowHTTP")]
    pub insecure_allow_http: bool,
}

impl Default for OAuth2Upstream {
    fn default() -> Self {
        Self {
            discovery_url: None,
            authorization_endpoint: String::new(),
            token_endpoint: String::new(),
            revocation_endpoint: None,
            client_id: String::new(),
            client_secret_ref: None,
            dcr_config: None,
            redirect_uri: None,
            scopes: Vec::new(),
            scope_parameter: "scope".to_owned(),
            scope_separator: " ".to_owned(),
            user_info: None,
            token_response_mapping: None,
            identity_from_token: None,
            resource: None,
            send_resource: true,
            additional_authorization_params: BTreeMap::new(),
            allow_private_ips: false,
            insecure_allow_http: false,
        }
    }
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
