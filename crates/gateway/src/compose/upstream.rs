//! Where users log in.

use std::collections::HashMap;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use http::Method;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use secrecy::SecretString;
use thv_authserver::upstream as parts;
use thv_authserver::upstream::local::{LocalUser, LocalUsers};
use thv_authserver::upstream::{
    ConfiguredEndpoints, DynamicRegistration, OAuth2Settings, OidcSettings, PreregisteredClient,
    ProviderSettings, PublishedClient, RegistrationMode, RegistrationSettings, Upstream, UpstreamParts,
};
use thv_authserver::{Leg, LoginChain, Requirement};
use thv_client::discovery::DiscoveryUrl;
use thv_config::upstream::{
    DcrConfig, LocalUpstream, OAuth2Upstream, OidcUpstream, Registration, UpstreamKind, UpstreamProvider,
    UserInfo, UserInfoMethod,
};
use thv_config::{AuthServer, Problem, SecretRef, UsersFile};
use thv_egress::{Client, Policy};
use thv_jose::reload::KeyHandle;
use thv_oauth::issuer::AllowHttp;
use thv_store::Stores;
use tokio_util::task::TaskTracker;

use super::{Shared, at};

/// What `allowPrivateIPs` opens (RFC 1918, RFC 4193). Loopback and link-local addresses, where clouds keep their secrets,
/// stay closed.
const PRIVATE: [Ipv4Net; 3] = [
    Ipv4Net::new_assert(Ipv4Addr::new(10, 0, 0, 0), 8),
    Ipv4Net::new_assert(Ipv4Addr::new(172, 16, 0, 0), 12),
    Ipv4Net::new_assert(Ipv4Addr::new(192, 168, 0, 0), 16),
];
const PRIVATE_V6: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7);

/// What one upstream provider permits beside the rules for every outbound request.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Permissions {
    /// `allowPrivateIPs`.
    pub(crate) private: bool,
    /// `insecureAllowHTTP`.
    pub(crate) plain_http: bool,
}

impl From<&OidcUpstream> for Permissions {
    fn from(oidc: &OidcUpstream) -> Self {
        Self { private: oidc.allow_private_ips, plain_http: oidc.insecure_allow_http }
    }
}

impl From<&OAuth2Upstream> for Permissions {
    fn from(oauth2: &OAuth2Upstream) -> Self {
        Self { private: oauth2.allow_private_ips, plain_http: oauth2.insecure_allow_http }
    }
}

impl Permissions {
    /// Which addresses may be dialled for this provider.
    pub(crate) fn added_to(self, general: &Policy) -> Policy {
        let mut policy = general.clone();
        policy.plain_http |= self.plain_http;
        if self.private {
            policy.allow_cidrs.extend(PRIVATE.into_iter().map(IpNet::V4));
            policy.allow_cidrs.push(IpNet::V6(PRIVATE_V6));
        }
        policy
    }
}

/// What every upstream provider is made with.
pub(super) struct Common<'a> {
    pub(super) server: &'a AuthServer,
    /// Which addresses may be dialled.
    pub(super) policy: Policy,
    pub(super) stores: Stores,
    pub(super) keys: KeyHandle,
    pub(super) tasks: TaskTracker,
    pub(super) shared: &'a Shared,
}

/// The upstream providers of a login, in their order.
pub(super) fn login_chain(common: &Common<'_>) -> Result<LoginChain, Problem> {
    // A connection for each request: where one that was kept breaks, nobody can tell whether the refresh token in the request
    // was used up. Logins and refreshes are rare enough.
    let egress = Client::new(common.policy.clone(), &common.shared.roots);
    let legs = common.server.upstream_providers.iter().map(|provider| {
        Ok(Leg {
            upstream: upstream(common, provider, &egress)?,
            label: provider.display_name().to_owned(),
            requirement: match (provider.optional, provider.on_demand) {
                (_, true) => Requirement::OnDemand,
                (true, false) => Requirement::Optional,
                (false, false) => Requirement::Required,
            },
        })
    });
    let mut legs = legs.collect::<Result<Vec<_>, Problem>>()?.into_iter();
    let identity = legs.next().ok_or_else(missing)?;
    Ok(LoginChain::new(identity, legs.collect()))
}

fn missing() -> Problem {
    Problem::error("authServer.upstreamProviders", "at least one upstream provider is required")
}

fn upstream(common: &Common<'_>, provider: &UpstreamProvider, egress: &Client) -> Result<Upstream, Problem> {
    let name = &provider.name;
    Ok(match provider.kind().ok_or_else(missing)? {
        UpstreamKind::Local(local) => Upstream::local(name, local_users(provider, local)?),
        UpstreamKind::Oidc(oidc) => {
            let parts = common.parts(egress, oidc.into());
            Upstream::oidc(name, oidc_settings(common.server, provider, oidc)?, parts)
        }
        UpstreamKind::OAuth2(oauth2) => {
            let parts = common.parts(egress, oauth2.into());
            Upstream::oauth2(name, oauth2_settings(common.server, provider, oauth2)?, parts)
        }
    })
}

impl Common<'_> {
    fn parts(&self, egress: &Client, permissions: Permissions) -> UpstreamParts {
        let egress = if permissions == Permissions::default() {
            egress.clone()
        } else {
            Client::new(permissions.added_to(&self.policy), &self.shared.roots)
        };
        UpstreamParts {
            issuer: self.server.issuer.clone(),
            egress,
            clock: Arc::clone(&self.shared.clock),
            stores: self.stores.clone(),
            published: PublishedClient::of(&self.server.issuer, self.keys.clone()),
            tasks: self.tasks.clone(),
        }
    }
}

fn local_users(provider: &UpstreamProvider, local: &LocalUpstream) -> Result<LocalUsers, Problem> {
    if let Some(user) = &local.development_user {
        return Ok(LocalUsers::development(&provider.name, user));
    }
    let users = UsersFile::load(&local.users_file.clone().unwrap_or_default())
        .map_err(|problems| Problem::error(path(provider, "localConfig.usersFile"), problems.to_string()))?;
    let users = users.users.into_iter().map(|user| {
        let thv_config::users::LocalUser { username, password_hash, subject, name, email } = user;
        (username, LocalUser { subject, name, email, password_hash })
    });
    Ok(LocalUsers::from_file(&provider.name, users.collect::<HashMap<_, _>>()))
}

fn oidc_settings(
    server: &AuthServer,
    provider: &UpstreamProvider,
    oidc: &OidcUpstream,
) -> Result<OidcSettings, Problem> {
    let block = "oidcConfig";
    let client = ConfiguredClient {
        id: &oidc.client_id,
        secret: oidc.client_secret_ref.as_ref(),
        dynamic: oidc.dcr_config.as_ref(),
    };
    let allow_http = allow_http(oidc.insecure_allow_http);
    Ok(OidcSettings {
        issuer: oidc.issuer_url.clone(),
        provider: ProviderSettings {
            discovery: discovery(provider, block, oidc.registration_discovery_url(), allow_http)?,
            endpoints: ConfiguredEndpoints {
                registration: client.dynamic.and_then(|dynamic| dynamic.registration_endpoint.clone()),
                ..ConfiguredEndpoints::default()
            },
            allow_http,
            registration: registration(provider, block, &client)?,
            redirect_uri: redirect_uri(server, oidc.redirect_uri.as_deref()),
            scopes: oidc.scopes.clone(),
            scope_parameter: "scope".to_owned(),
            scope_separator: " ".to_owned(),
            resource: oidc.resource.clone().filter(|_| oidc.send_resource),
            additional_params: oidc.additional_authorization_params.clone(),
        },
        subject_claim: oidc.subject_claim.clone(),
        userinfo: oidc.user_info_override.as_ref().map(user_info),
    })
}

fn oauth2_settings(
    server: &AuthServer,
    provider: &UpstreamProvider,
    oauth2: &OAuth2Upstream,
) -> Result<OAuth2Settings, Problem> {
    let block = "oauth2Config";
    let client = ConfiguredClient {
        id: &oauth2.client_id,
        secret: oauth2.client_secret_ref.as_ref(),
        dynamic: oauth2.dcr_config.as_ref(),
    };
    let allow_http = allow_http(oauth2.insecure_allow_http);
    let configured = |endpoint: &String| Some(endpoint.clone()).filter(|endpoint| !endpoint.is_empty());
    Ok(OAuth2Settings {
        provider: ProviderSettings {
            discovery: discovery(provider, block, oauth2.metadata_url(), allow_http)?,
            endpoints: ConfiguredEndpoints {
                authorization: configured(&oauth2.authorization_endpoint),
                token: configured(&oauth2.token_endpoint),
                revocation: oauth2.revocation_endpoint.clone(),
                registration: oauth2.registration_endpoint().map(str::to_owned),
            },
            allow_http,
            registration: registration(provider, block, &client)?,
            redirect_uri: redirect_uri(server, oauth2.redirect_uri.as_deref()),
            scopes: oauth2.scopes.clone(),
            scope_parameter: oauth2.scope_parameter.clone(),
            scope_separator: oauth2.scope_separator.clone(),
            resource: oauth2.resource.clone().filter(|_| oauth2.send_resource),
            additional_params: oauth2.additional_authorization_params.clone(),
        },
        userinfo: oauth2.user_info.as_ref().map(user_info),
        token_paths: oauth2.token_response_mapping.as_ref().map(|mapping| parts::TokenResponsePaths {
            access_token: mapping.access_token_path.clone(),
            scope: mapping.scope_path.clone(),
            refresh_token: mapping.refresh_token_path.clone(),
            expires_in: mapping.expires_in_path.clone(),
        }),
        identity_from_token: oauth2.identity_from_token.as_ref().map(|identity| parts::IdentityPaths {
            subject: identity.subject_path.clone(),
            name: identity.name_path.clone(),
            email: identity.email_path.clone(),
        }),
    })
}

const fn allow_http(insecure: bool) -> AllowHttp {
    if insecure { AllowHttp::Any } else { AllowHttp::Loopback }
}

fn discovery(
    provider: &UpstreamProvider,
    block: &str,
    url: Option<&str>,
    allow_http: AllowHttp,
) -> Result<Option<DiscoveryUrl>, Problem> {
    let parsed = url.map(|url| DiscoveryUrl::parse(url, allow_http)).transpose();
    parsed.map_err(|error| at(&path(provider, &format!("{block}.dcrConfig.discoveryUrl")), &error))
}

/// What both kinds of providers say about this server as their client.
struct ConfiguredClient<'a> {
    id: &'a str,
    secret: Option<&'a SecretRef>,
    dynamic: Option<&'a DcrConfig>,
}

fn registration(
    provider: &UpstreamProvider,
    block: &str,
    client: &ConfiguredClient<'_>,
) -> Result<RegistrationSettings, Problem> {
    let client_secret = secret(provider, &format!("{block}.clientSecretRef"), client.secret)?;
    let preregistered =
        Some(PreregisteredClient { client_id: client.id.to_owned(), client_secret, auth_method: None });
    Ok(RegistrationSettings {
        mode: match provider.registration_mode() {
            Registration::Auto => RegistrationMode::Auto,
            Registration::Preregistered => RegistrationMode::Preregistered,
            Registration::Cimd => RegistrationMode::MetadataDocument,
            Registration::Dcr => RegistrationMode::Registration,
        },
        preregistered: preregistered.filter(|client| !client.client_id.is_empty()),
        dynamic: dynamic_registration(provider, block, client.dynamic)?,
    })
}

fn dynamic_registration(
    provider: &UpstreamProvider,
    block: &str,
    dynamic: Option<&DcrConfig>,
) -> Result<DynamicRegistration, Problem> {
    let Some(dynamic) = dynamic else { return Ok(DynamicRegistration::default()) };
    let key = format!("{block}.dcrConfig.initialAccessTokenRef");
    Ok(DynamicRegistration {
        initial_access_token: secret(provider, &key, dynamic.initial_access_token_ref.as_ref())?,
        software_id: dynamic.software_id.clone(),
        software_statement: dynamic.software_statement.clone().map(SecretString::from),
        client_name: dynamic.client_name.clone(),
        delete_on_removal: dynamic.delete_on_removal,
    })
}

fn user_info(info: &UserInfo) -> parts::UserInfo {
    parts::UserInfo {
        endpoint: info.endpoint_url.clone(),
        method: match info.http_method {
            UserInfoMethod::Get => Method::GET,
            UserInfoMethod::Post => Method::POST,
        },
        additional_headers: info.additional_headers.clone(),
        subject_fields: info.field_mapping.subject_fields.clone(),
        name_fields: info.field_mapping.name_fields.clone(),
        email_fields: info.field_mapping.email_fields.clone(),
    }
}

/// Our callback as it is registered at the provider.
fn redirect_uri(server: &AuthServer, configured: Option<&str>) -> String {
    configured.map_or_else(|| format!("{}/oauth/callback", server.authorization_base()), str::to_owned)
}

fn secret(
    provider: &UpstreamProvider,
    key: &str,
    reference: Option<&SecretRef>,
) -> Result<Option<SecretString>, Problem> {
    let text = reference.map(|reference| reference.resolve().and_then(|secret| secret.into_text()));
    text.transpose().map_err(|error| at(&path(provider, key), &error))
}

fn path(provider: &UpstreamProvider, key: &str) -> String {
    format!("authServer.upstreamProviders[{}].{key}", provider.name)
}
