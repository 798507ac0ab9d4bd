//! Token responses (RFC 6749 §5.1), also where a server does not keep to the standard.

use std::fmt;
use std::time::Duration;

use secrecy::SecretString;
use serde_json::Value;

use crate::error_response;
use crate::form_endpoint::Answer;
use crate::member_path::MemberPath;
use crate::token_request::TokenRequestError;

/// What the server's token responses look like.
#[derive(Clone, Debug)]
pub enum TokenResponseShape {
    /// As RFC 6749 §5.1 says; `token_type` must be there.
    Standard,
    /// The same, but `token_type` may be absent.
    Lenient,
    /// Members are elsewhere, and every token is a bearer token.
    Mapped(TokenMembers),
    /// The same, or [`Lenient`](Self::Lenient) where there is no access token: a server that issues tokens of several kinds
    /// at once (Slack does) renews one at a time, which then needs no place of its own.
    MappedOrLenient(TokenMembers),
}

impl TokenResponseShape {
    /// The shape of answers to refresh requests.
    pub(crate) fn of_refresh(&self) -> Self {
        match self {
            Self::Mapped(members) => Self::MappedOrLenient(members.clone()),
            other => other.clone(),
        }
    }
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
pub(crate) fn read(answer: &Answer, shape: &TokenResponseShape) -> Result<TokenResponse, TokenRequestError> {
    if let Some(failure) = error_response::failure(answer) {
        return Err(failure.into());
    }
    let document = error_response::document(&answer.response);
    let document = document.ok_or_else(|| malformed("it is neither a JSON object nor a form"))?;
    tokens(TokenDocument(document), shape)
}

fn tokens(document: TokenDocument, shape: &TokenResponseShape) -> Result<TokenResponse, TokenRequestError> {
    let no_token = || malformed("it has no access token");
    let id_token = document.secret_member("id_token");
    let mapped = match shape {
        TokenResponseShape::Mapped(members) => Some(members),
        TokenResponseShape::MappedOrLenient(members) => {
            Some(members).filter(|members| document.text(&members.access_token).is_some())
        }
        TokenResponseShape::Standard | TokenResponseShape::Lenient => None,
    };
    if let Some(members) = mapped {
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
        None if !matches!(shape, TokenResponseShape::Standard) => {}
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

fn seconds(value: &Value) -> Option<Duration> {
    whole_seconds(value).filter(|lifetime| !lifetime.is_zero())
}

/// Some servers send numbers as strings, and fractions.
pub(crate) fn whole_seconds(value: &Value) -> Option<Duration> {
    let number = match value {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => text.trim().parse().ok()?,
        _ => return None,
    };
    Duration::try_from_secs_f64(number.floor()).ok()
}

/// Some servers send an array.
pub(crate) fn scope(value: &Value) -> Option<String> {
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
