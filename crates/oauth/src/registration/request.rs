//! From the members of a request to the metadata that is granted.

use serde_json::Value;

use super::{MAX_REDIRECT_URIS, RegistrationPolicy, RegistrationRefusal as Refusal};
use crate::auth_method::{AuthMethod, names_shared_secret};
use crate::client_keys;
use crate::client_metadata::ClientMetadata;
use crate::descriptive_text::{self, ClientNameError, MAX_CONTACTS, MAX_LENGTH, is_informative};
use crate::grant_type::GrantType;
use crate::json_object::{Members, WrongType};
use crate::raw_uri::is_https;
use crate::redirect_uri::{RedirectPolicy, RedirectUri};
use crate::scope::ScopeSet;

/// Keys given by value are kept with the registration and travel with every grant.
const MAX_JWKS: usize = 8 * 1024;

/// Every member that is read; others, and duplicates of others, are ignored (RFC 7591 §2).
const READ_MEMBERS: [&str; 16] = [
    "application_type",
    "client_name",
    "client_uri",
    "contacts",
    "grant_types",
    "jwks",
    "jwks_uri",
    "logo_uri",
    "policy_uri",
    "redirect_uris",
    "response_types",
    "scope",
    "software_id",
    "software_version",
    "token_endpoint_auth_method",
    "tos_uri",
];

pub(super) fn grant(members: &Members, policy: &RegistrationPolicy) -> Result<ClientMetadata, Refusal> {
    if let Some(name) = members.duplicate_of(&READ_MEMBERS) {
        return Err(Refusal::metadata("duplicate_member", format!("{name} appears more than once")));
    }
    let redirect_uris = redirect_uris(members)?;
    let application_type = application_type(members, &redirect_uris)?;
    let (jwks, jwks_uri) = keys(members)?;
    let has_keys = jwks.is_some() || jwks_uri.is_some();
    Ok(ClientMetadata {
        client_id: None,
        client_name: client_name(members)?,
        client_uri: uri(members, "client_uri")?,
        logo_uri: uri(members, "logo_uri")?,
        tos_uri: uri(members, "tos_uri")?,
        policy_uri: uri(members, "policy_uri")?,
        grant_types: grant_types(members)?,
        response_types: response_types(members)?,
        scope: Some(scope(members, policy)?),
        token_endpoint_auth_method: auth_method(members, policy, &redirect_uris, has_keys)?,
        redirect_uris,
        token_endpoint_auth_methods_supported: Vec::new(),
        jwks,
        jwks_uri,
        application_type,
        contacts: contacts(members)?,
        software_id: informative(members, "software_id")?,
        software_version: informative(members, "software_version")?,
    })
}

fn wrong_type(wrong: WrongType) -> Refusal {
    Refusal::metadata("member_wrong_type", format!("{} must be {}", wrong.member, wrong.expected))
}

fn redirect_uris(members: &Members) -> Result<Vec<RedirectUri>, Refusal> {
    let present = |uris: &Vec<&str>| (1..=MAX_REDIRECT_URIS).contains(&uris.len());
    let Some(raw) = members.texts("redirect_uris").ok().flatten().filter(present) else {
        return Err(Refusal::redirect_uri(
            "redirect_uris_missing",
            format!("redirect_uris must be an array of 1 to {MAX_REDIRECT_URIS} strings"),
        ));
    };
    raw.into_iter()
        .map(|raw| RedirectUri::parse(raw, RedirectPolicy::PrivateSchemes))
        .collect::<Result<_, _>>()
        .map_err(|error| Refusal::redirect_uri("redirect_uri_not_allowed", error.to_string()))
}

/// `web` clients have https redirect URIs on other machines than the user's (AS-106). `native` ones may have any that
/// the policy accepts.
///
/// Looser than OpenID Connect Dynamic Client Registration §2 for `native`, which excludes https: deployed editors
/// register claimed https URIs (RFC 8252 §7.2) next to loopback ones.
fn application_type(members: &Members, redirect_uris: &[RedirectUri]) -> Result<Option<String>, Refusal> {
    let declared = members.text("application_type").map_err(wrong_type)?;
    match declared {
        None | Some("native") => {}
        Some("web") => {
            if redirect_uris.iter().any(|uri| uri.scheme() != "https" || uri.is_loopback()) {
                return Err(Refusal::redirect_uri(
                    "redirect_uri_not_for_web",
                    "redirect URIs of a web application must be https and not on the user's own machine; \
                     use application_type native",
                ));
            }
        }
        Some(_) => {
            return Err(Refusal::metadata(
                "application_type_unknown",
                "application_type must be native or web",
            ));
        }
    }
    Ok(declared.map(str::to_owned))
}

fn keys(members: &Members) -> Result<(Option<Value>, Option<String>), Refusal> {
    let jwks = members.value("jwks");
    let jwks_uri = members.text("jwks_uri").map_err(wrong_type)?;
    if jwks.is_some() && jwks_uri.is_some() {
        return Err(Refusal::metadata("jwks_and_jwks_uri", "jwks and jwks_uri must not both be present"));
    }
    if let Some(jwks) = jwks {
        if jwks.to_string().len() > MAX_JWKS {
            let description = format!("jwks has more than {MAX_JWKS} bytes; serve it at a jwks_uri");
            return Err(Refusal::metadata("jwks_too_large", description));
        }
        client_keys::check(jwks).map_err(|error| Refusal::metadata("jwks_not_public", error.to_string()))?;
    }
    if jwks_uri.is_some_and(|uri| !is_https(uri)) {
        return Err(Refusal::metadata("metadata_uri_not_https", "jwks_uri must be an https URI"));
    }
    Ok((jwks.cloned(), jwks_uri.map(str::to_owned)))
}

fn client_name(members: &Members) -> Result<Option<String>, Refusal> {
    match members.text("client_name").map_err(wrong_type)?.map(descriptive_text::client_name) {
        None | Some(Err(ClientNameError::Empty)) => Ok(None),
        Some(Ok(name)) => Ok(Some(name)),
        Some(Err(error)) => Err(Refusal::metadata("client_name_invalid", error.to_string())),
    }
}

/// A URI for people. Only https is kept: http, which clients under development send, is dropped (the response shows
/// that), and every other scheme is refused (AS-77).
fn uri(members: &Members, name: &'static str) -> Result<Option<String>, Refusal> {
    match members.text(name).map_err(wrong_type)? {
        Some(uri) if is_https(uri) => Ok(Some(uri.to_owned())),
        Some(uri) if !uri.starts_with("http://") => {
            Err(Refusal::metadata("metadata_uri_not_https", format!("{name} must be an https URI")))
        }
        _ => Ok(None),
    }
}

/// What is served of the requested grant types (AS-67); all of them if nothing was requested.
///
/// Looser than the default of RFC 7591 §2: MCP clients expect refresh tokens without asking.
fn grant_types(members: &Members) -> Result<Vec<GrantType>, Refusal> {
    let Some(requested) = members.texts("grant_types").map_err(wrong_type)? else {
        return Ok(GrantType::ALL.to_vec());
    };
    let granted: Vec<_> =
        GrantType::ALL.into_iter().filter(|grant_type| requested.contains(&grant_type.as_str())).collect();
    if granted.contains(&GrantType::AuthorizationCode) {
        Ok(granted)
    } else {
        Err(Refusal::metadata("authorization_code_missing", "grant_types must include authorization_code"))
    }
}

fn response_types(members: &Members) -> Result<Vec<String>, Refusal> {
    match members.texts("response_types").map_err(wrong_type)? {
        Some(requested) if !requested.contains(&"code") => {
            Err(Refusal::metadata("response_type_code_missing", "response_types must include code"))
        }
        _ => Ok(vec!["code".to_owned()]),
    }
}

/// The supported ones of the requested scopes, all supported ones if none was requested, and the baseline. An array is
/// accepted beside the string of RFC 7591, since some clients send one.
fn scope(members: &Members, policy: &RegistrationPolicy) -> Result<ScopeSet, Refusal> {
    let requested = match members.value("scope") {
        None => None,
        Some(Value::Array(_)) => members.texts("scope").map_err(wrong_type)?,
        Some(_) => members.text("scope").map_err(wrong_type)?.map(|scope| scope.split(' ').collect()),
    };
    let granted = match requested {
        None => policy.scopes_supported.clone(),
        Some(requested) => policy.scopes_supported.named_in(requested),
    };
    Ok(granted.union(&policy.baseline))
}

/// The requested method if it can be granted, `none` if a shared secret was requested that cannot be.
///
/// Other than RFC 7591 §2, an absent method means `none`: MCP clients are public unless they say otherwise.
fn auth_method(
    members: &Members,
    policy: &RegistrationPolicy,
    redirect_uris: &[RedirectUri],
    has_keys: bool,
) -> Result<AuthMethod, Refusal> {
    let requested = members.text("token_endpoint_auth_method").map_err(wrong_type)?.unwrap_or("none");
    let supported = |method: &AuthMethod| policy.supported_auth_methods.contains(method);
    let known = AuthMethod::parse(requested).filter(supported);
    let keeps_secrets = policy.confidential_allowed
        && redirect_uris.iter().all(|uri| uri.scheme() == "https" && !uri.is_loopback());
    let granted = match known {
        Some(method) if method.is_shared_secret() && !keeps_secrets => {
            Some(AuthMethod::None).filter(supported)
        }
        None if names_shared_secret(requested) => Some(AuthMethod::None).filter(supported),
        other => other,
    };
    match granted {
        None => {
            Err(Refusal::metadata("auth_method_not_supported", "token_endpoint_auth_method is not supported"))
        }
        Some(AuthMethod::PrivateKeyJwt) if !has_keys => {
            Err(Refusal::metadata("client_keys_missing", "private_key_jwt needs jwks or jwks_uri"))
        }
        Some(method) => Ok(method),
    }
}

fn contacts(members: &Members) -> Result<Vec<String>, Refusal> {
    let contacts = members.texts("contacts").map_err(wrong_type)?.unwrap_or_default();
    if contacts.len() > MAX_CONTACTS || !contacts.iter().all(|contact| is_informative(contact)) {
        return Err(Refusal::metadata(
            "contacts_invalid",
            format!("contacts must be at most {MAX_CONTACTS} short printable strings"),
        ));
    }
    Ok(contacts.into_iter().map(str::to_owned).collect())
}

fn informative(members: &Members, name: &'static str) -> Result<Option<String>, Refusal> {
    match members.text(name).map_err(wrong_type)? {
        Some(text) if !is_informative(text) => Err(Refusal::metadata(
            "software_text_invalid",
            format!("{name} must be at most {MAX_LENGTH} printable ASCII characters"),
        )),
        text => Ok(text.map(str::to_owned)),
    }
}
