//! What was registered (RFC 7591 §3.2.1, RFC 7592 §3).

use http::StatusCode;
use secrecy::SecretString;
use serde_json::{Map, Value};
use thv_clock::Timestamp;
use thv_egress::{Response, json};
use thv_oauth::auth_method::AuthMethod;
use thv_oauth::client_id::ClientId;

use super::{Registration, RegistrationError};
use crate::server_text;
use crate::token_response::{scope, whole_seconds};

type Members = Map<String, Value>;

/// What holds where an answer is silent.
#[derive(Clone, Copy)]
pub(super) struct Fallback<'a> {
    /// The method that was asked for.
    pub(super) asked: AuthMethod,
    /// The registration that was changed.
    pub(super) previous: Option<&'a Registration>,
}

/// Reads an answer of status 200 or 201. What an answer brings replaces what was there before.
pub(super) fn read(response: &Response, fallback: Fallback<'_>) -> Result<Registration, RegistrationError> {
    if !matches!(response.status, StatusCode::OK | StatusCode::CREATED) {
        let what = format!("its status is {}", response.status.as_u16());
        return Err(RegistrationError::malformed(what));
    }
    if !json::is_json(&response.headers) {
        return Err(RegistrationError::malformed("it is not JSON"));
    }
    parse(&response.body, fallback)
}

fn parse(body: &[u8], Fallback { asked, previous }: Fallback<'_>) -> Result<Registration, RegistrationError> {
    let members: Members =
        serde_json::from_slice(body).map_err(|_| RegistrationError::malformed("it is not a JSON object"))?;
    let new_secret = secret(&members, "client_secret")?;
    // The expiry is the new secret's; without one it may be news of the old.
    let old = previous.filter(|_| new_secret.is_none());
    let registration = Registration {
        client_id: client_id(&members, previous)?,
        client_secret_expires_at: match expiry(&members)? {
            Some(expires_at) => expires_at,
            None => old.and_then(|old| old.client_secret_expires_at),
        },
        client_secret: new_secret.or_else(|| old.and_then(|old| old.client_secret.clone())),
        client_id_issued_at: time(&members, "client_id_issued_at")?
            .or_else(|| previous.and_then(|previous| previous.client_id_issued_at)),
        registration_access_token: secret(&members, "registration_access_token")?
            .or_else(|| previous.and_then(|previous| previous.registration_access_token.clone())),
        registration_client_uri: text(&members, "registration_client_uri")?
            .map(str::to_owned)
            .or_else(|| previous.and_then(|previous| previous.registration_client_uri.clone())),
        token_endpoint_auth_method: method(&members, asked)?,
        scope: members
            .get("scope")
            .and_then(scope)
            .or_else(|| previous.and_then(|previous| previous.scope.clone())),
    };
    check_credential(registration, asked)
}

fn client_id(members: &Members, previous: Option<&Registration>) -> Result<String, RegistrationError> {
    let client_id =
        text(members, "client_id")?.ok_or_else(|| RegistrationError::malformed("it has no client_id"))?;
    ClientId::parse(client_id).map_err(|error| RegistrationError::malformed(format!("its {error}")))?;
    if previous.is_some_and(|previous| previous.client_id != client_id) {
        return Err(RegistrationError::malformed("its client_id is another client's"));
    }
    Ok(client_id.to_owned())
}

fn method(members: &Members, asked: AuthMethod) -> Result<AuthMethod, RegistrationError> {
    let Some(name) = text(members, "token_endpoint_auth_method")? else { return Ok(asked) };
    AuthMethod::parse(name)
        .ok_or_else(|| RegistrationError::UnknownMethod { method: server_text::code(name, |_| false) })
}

/// A method that this client cannot use is better known now than at every login.
fn check_credential(
    registration: Registration,
    asked: AuthMethod,
) -> Result<Registration, RegistrationError> {
    let method = registration.token_endpoint_auth_method;
    if method.is_shared_secret() && registration.client_secret.is_none() {
        return Err(RegistrationError::UnusableMethod { method, lacks: "client_secret" });
    }
    if method == AuthMethod::PrivateKeyJwt && asked != AuthMethod::PrivateKeyJwt {
        return Err(RegistrationError::UnusableMethod { method, lacks: "registered key" });
    }
    Ok(registration)
}

/// `null` and empty strings count as absent.
fn text<'a>(members: &'a Members, name: &str) -> Result<Option<&'a str>, RegistrationError> {
    match members.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.as_str()).filter(|text| !text.is_empty())),
        Some(_) => Err(RegistrationError::malformed(format!("its {name} is not a string"))),
    }
}

fn secret(members: &Members, name: &str) -> Result<Option<SecretString>, RegistrationError> {
    Ok(text(members, name)?.map(SecretString::from))
}

fn time(members: &Members, name: &str) -> Result<Option<Timestamp>, RegistrationError> {
    let Some(value) = members.get(name).filter(|value| !value.is_null()) else { return Ok(None) };
    let seconds = whole_seconds(value)
        .ok_or_else(|| RegistrationError::malformed(format!("its {name} is not a number of seconds")))?;
    Ok(Some(Timestamp::from_secs(seconds.as_secs())))
}

/// When the secret expires: `Some(None)` for 0, which means never; `None` where the answer is silent.
fn expiry(members: &Members) -> Result<Option<Option<Timestamp>>, RegistrationError> {
    let expires_at = time(members, "client_secret_expires_at")?;
    Ok(expires_at.map(|expires_at| (expires_at != Timestamp::EPOCH).then_some(expires_at)))
}

#[cfg(test)]
mod tests;
