//! Where users log in.

use std::collections::HashMap;
use std::sync::Arc;

use http::Method;
use secrecy::SecretString;
use thv_authserver::upstream as parts;
use thv_authserver::upstream::local::{LocalUser, LocalUsers};
use thv_authserver::upstream::{OAuth2Settings, OidcSettings, Upstream};
use thv_config::upstream::{
    LocalUpstream, OAuth2Upstream, OidcUpstream, UpstreamKind, UpstreamProvider, UserInfo, UserInfoMethod,
};
use thv_config::{AuthServer, Problem, SecretRef, UsersFile};
use thv_egress::Client;

use super::{Shared, at};

/// The upstream provider that establishes the identity.
pub(super) fn upstream(server: &AuthServer, egress: Client, shared: &Shared) -> Result<Upstream, Problem> {
    let missing =
        || Problem::error("authServer.upstreamProviders", "at least one upstream provider is required");
    let provider = server.primary_provider().ok_or_else(missing)?;
    let (name, clock) = (&provider.name, Arc::clone(&shared.clock));
    Ok(match provider.kind().ok_or_else(missing)? {
        UpstreamKind::Local(local) => Upstream::local(name, local_users(provider, local)?),
        UpstreamKind::Oidc(oidc) => {
            let settings = oidc_settings(server, provider, oidc)?;
            Upstream::oidc(name, parts::OidcUpstream::new(settings, egress, clock))
        }
        UpstreamKind::OAuth2(oauth2) => {
            let settings = oauth2_settings(server, provider, oauth2)?;
            Upstream::oauth2(name, parts::OAuth2Upstream::new(settings, egress, clock))
        }
    })
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
    Ok(OidcSettings {
        issuer: oidc.issuer_url.clone(),
        client_id: oidc.client_id.clone(),
        client_secret: secret(provider, "oidcConfig.clientSecretRef", oidc.client_secret_ref.as_ref())?,
        redirect_uri: redirect_uri(server, oidc.redirect_uri.as_deref()),
        scopes: oidc.scopes.clone(),
        subject_claim: oidc.subject_claim.clone(),
        additional_params: oidc.additional_authorization_params.clone(),
        userinfo: oidc.user_info_override.as_ref().map(user_info),
    })
}

fn oauth2_settings(
    server: &AuthServer,
    provider: &UpstreamProvider,
    oauth2: &OAuth2Upstream,
) -> Result<OAuth2Settings, Problem> {
    Ok(OAuth2Settings {
        authorization_endpoint: oauth2.authorization_endpoint.clone(),
        token_endpoint: oauth2.token_endpoint.clone(),
        client_id: oauth2.client_id.clone(),
        client_secret: secret(provider, "oauth2Config.clientSecretRef", oauth2.client_secret_ref.as_ref())?,
        redirect_uri: redirect_uri(server, oauth2.redirect_uri.as_deref()),
        scopes: oauth2.scopes.clone(),
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
        additional_params: oauth2.additional_authorization_params.clone(),
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
