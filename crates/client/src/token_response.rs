//! Token responses and their errors (RFC 6749 §5), also where a server does not keep to the standard.

use std::fmt;
use std::time::Duration;

use http::StatusCode;
use secrecy::SecretString;
use serde_json::{Map, Value};
use thv_egress::{Response, json};
use thv_oauth::error;
use url::form_urlencoded;

use crate::member_path::MemberPath;
use crate::token_request::TokenRequestError;

/// The longest error code and description that are taken over.
const MAX_ERROR: usize = 64;
const MAX_DESCRIPTION: usize = 300;
const NO_CODE: &str = "an error without a usable code";

/// What the server's token responses look like.
#[derive(Clone, Debug)]
pub enum TokenResponseShape {
    /// As RFC 6749 §5.1 says; `token_type` must be there.
    Standard,
    /// The same, but `token_type` may be absent.
    Lenient,
    /// Members are elsewhere, and every token is a bearer token.
    Mapped(TokenMembers),
}

/// Where the members of a token response are that does not have the standard's shape.
#[derive(Clone, Debug)]
pub struct TokenMembers {
    /// The access token.
    pub access_token: MemberPath,
    /// The granted scope.
    pub scope: Option<MemberPath>,
    /// The refresh token.
    pub refresh_token: Option<MemberPath>,
    /// The lifetime in seconds.
    pub expires_in: Option<MemberPath>,
}

/// A successful token response.
#[derive(Clone, Debug)]
pub struct TokenResponse {
    /// The access token; a bearer token.
    pub access_token: SecretString,
    /// The refresh token, if there is a new one.
    pub refresh_token: Option<SecretString>,
    /// The ID token (OpenID Connect Core §3.1.3.3).
    pub id_token: Option<SecretString>,
    /// How long the access token lives, if the server says so; 0 counts as unknown.
    pub expires_in: Option<Duration>,
    /// The scope that was granted, if the server says so.
    pub scope: Option<String>,
    /// Everything, for members that the standard does not know.
    pub document: TokenDocument,
}

/// A whole token response. `Debug` does not show it.
#[derive(Clone)]
pub struct TokenDocument(Value);

impl TokenDocument {
    /// The text at `path`.
    pub fn text(&self, path: &MemberPath) -> Option<String> {
        path.text(&self.0)
    }

    fn secret(&self, path: &MemberPath) -> Option<SecretString> {
        self.text(path).map(SecretString::from)
    }

    fn member(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    fn secret_member(&self, name: &str) -> Option<SecretString> {
        self.member(name).and_then(Value::as_str).filter(|text| !text.is_empty()).map(SecretString::from)
    }
}

impl fmt::Debug for TokenDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenDocument").finish_non_exhaustive()
    }
}

/// Reads an answer of the token endpoint.
pub(crate) fn read(
    response: &Response,
    shape: &TokenResponseShape,
    sent: &[(&str, &str)],
) -> Result<TokenResponse, TokenRequestError> {
    let document = document(response);
    let error = document.as_ref().and_then(|document| document.get("error"));
    let error = error.and_then(|error| error_code(error, sent));
    if let Some(failure) = failure(response.status, error) {
        return Err(failure);
    }
    let document = document.ok_or_else(|| malformed("it is neither a JSON object nor a form"))?;
    tokens(TokenDocument(document), shape)
}

/// What went wrong in the server's own words, for the log: cut to size, and left out when it repeats a secret that was sent.
pub(crate) fn description(response: &Response, sent: &[(&str, &str)]) -> Option<String> {
    let document = document(response)?;
    let text = document.get("error_description")?.as_str()?;
    (!repeats_secret(text, sent)).then(|| error::description(text).chars().take(MAX_DESCRIPTION).collect())
}

fn repeats_secret(text: &str, sent: &[(&str, &str)]) -> bool {
    sent.iter().any(|(name, value)| {
        matches!(*name, "code" | "code_verifier" | "refresh_token" | "client_secret") && text.contains(value)
    })
}

/// A JSON object, or a form as older servers send it whatever `Accept` says.
fn document(response: &Response) -> Option<Value> {
    if let Ok(members) = serde_json::from_slice::<Map<String, Value>>(&response.body) {
        return Some(Value::Object(members));
    }
    if json::is_json(&response.headers) {
        return None;
    }
    let members: Map<String, Value> = form_urlencoded::parse(&response.body)
        .map(|(name, value)| (name.into_owned(), value.into_owned().into()))
        .collect();
    let is_form = ["access_token", "error"].iter().any(|name| members.contains_key(*name));
    is_form.then_some(Value::Object(members))
}

/// An error code within the character set of RFC 6749 §5.2. Whatever else is there says no more than that there is one.
fn error_code(error: &Value, sent: &[(&str, &str)]) -> Option<String> {
    match error {
        Value::Null | Value::Bool(false) => None,
        Value::String(code) if code.is_empty() => None,
        Value::String(code) if repeats_secret(code, sent) => Some(NO_CODE.to_owned()),
        Value::String(code) if code.len() <= MAX_ERROR && error::description(code) == *code => {
            Some(code.clone())
        }
        _ => Some(NO_CODE.to_owned()),
    }
}

/// A server may send an error with status 200 (GitHub does), so the code is looked at first; what says "later" says so by
/// status or by code.
fn failure(status: StatusCode, error: Option<String>) -> Option<TokenRequestError> {
    let later = status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS;
    match error {
        Some(code) if later || matches!(code.as_str(), "temporarily_unavailable" | "server_error") => {
            Some(TokenRequestError::Unavailable { reason: code })
        }
        Some(error) => Some(TokenRequestError::Refused { error }),
        None if later => {
            Some(TokenRequestError::Unavailable { reason: format!("status {}", status.as_u16()) })
        }
        None if status.is_success() => None,
        None if matches!(status, StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED) => {
            Some(TokenRequestError::Refused { error: format!("status {}", status.as_u16()) })
        }
        // A redirect, a firewall's page, a wrong path: not the server's judgement of the grant.
        None => Some(malformed(format!("its status is {}", status.as_u16()))),
    }
}

fn tokens(document: TokenDocument, shape: &TokenResponseShape) -> Result<TokenResponse, TokenRequestError> {
    let no_token = || malformed("it has no access token");
    let id_token = document.secret_member("id_token");
    if let TokenResponseShape::Mapped(members) = shape {
        let find = |path: &Option<MemberPath>| path.as_ref().and_then(|path| path.find(&document.0));
        return Ok(TokenResponse {
            access_token: document.secret(&members.access_token).ok_or_else(no_token)?,
            refresh_token: members.refresh_token.as_ref().and_then(|path| document.secret(path)),
            id_token,
            expires_in: find(&members.expires_in).as_ref().and_then(seconds),
            scope: find(&members.scope).as_ref().and_then(scope),
            document,
        });
    }
    match document.member("token_type").and_then(Value::as_str) {
        Some(kind) if kind.eq_ignore_ascii_case("bearer") => {}
        None if matches!(shape, TokenResponseShape::Lenient) => {}
        Some(_) => return Err(malformed("its token_type is not bearer")),
        None => return Err(malformed("it has no token_type")),
    }
    Ok(TokenResponse {
        access_token: document.secret_member("access_token").ok_or_else(no_token)?,
        refresh_token: document.secret_member("refresh_token"),
        id_token,
        expires_in: document.member("expires_in").and_then(seconds),
        scope: document.member("scope").and_then(scope),
        document,
    })
}

/// Some servers send numbers as strings, and fractions.
fn seconds(value: &Value) -> Option<Duration> {
    let number = match value {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => text.trim().parse().ok()?,
        _ => return None,
    };
    let lifetime = Duration::try_from_secs_f64(number.floor()).ok()?;
    (!lifetime.is_zero()).then_some(lifetime)
}

/// Some servers send an array.
fn scope(value: &Value) -> Option<String> {
    match value {
        Value::String(scope) if !scope.is_empty() => Some(scope.clone()),
        Value::Array(tokens) => {
            let tokens: Option<Vec<&str>> = tokens.iter().map(Value::as_str).collect();
            tokens.map(|tokens| tokens.join(" ")).filter(|scope| !scope.is_empty())
        }
        _ => None,
    }
}

fn malformed(what: impl Into<String>) -> TokenRequestError {
    TokenRequestError::Malformed { what: what.into() }
}
