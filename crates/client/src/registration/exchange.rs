//! One request to a registration or client configuration endpoint, and what its failure means.

use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use http::{Method, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};
use thv_egress::{Client, Limits, Request, Response};

use super::RegistrationError;
use crate::header_fields::{bearer, retry_after};
use crate::server_text;

const LIMITS: Limits = Limits { total: Duration::from_secs(15), max_body: 256 * 1024 };

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// RFC 7591 §3.
    Register {
        /// Whether there is an initial access token.
        with_token: bool,
    },
    /// RFC 7592 §2.
    Manage,
}

/// Sends, and returns a response of a 2xx status. No error repeats the token or one of the other `secrets`.
pub(super) async fn send<'a>(
    egress: &Client,
    method: Method,
    url: &str,
    token: Option<&SecretString>,
    body: Option<Vec<u8>>,
    purpose: Purpose,
    secrets: impl Iterator<Item = &'a SecretString>,
) -> Result<Response, RegistrationError> {
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    if body.is_some() {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    if let Some(token) = token {
        let kind = if purpose == Purpose::Manage { "registration" } else { "initial" };
        headers.insert(AUTHORIZATION, bearer(token).map_err(|_| RegistrationError::AccessToken(kind))?);
    }
    let body = body.map(Bytes::from).unwrap_or_default();
    let request = Request { method, url, headers, body };
    let response = egress.send(request, LIMITS).await.map_err(RegistrationError::Unreachable)?;
    let secrets: Vec<&str> =
        secrets.map(ExposeSecret::expose_secret).filter(|secret| !secret.is_empty()).collect();
    failure(&response, purpose, &secrets).map_or(Ok(response), Err)
}

fn failure(response: &Response, purpose: Purpose, secrets: &[&str]) -> Option<RegistrationError> {
    let status = response.status.as_u16();
    let management = purpose == Purpose::Manage;
    Some(match response.status {
        code if code.is_success() => return None,
        code if code.is_redirection() => RegistrationError::Redirected { status },
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED => {
            if management {
                RegistrationError::ManagementNotSupported { status }
            } else {
                RegistrationError::NotSupported { status }
            }
        }
        code if code.is_server_error() || code == StatusCode::TOO_MANY_REQUESTS => {
            RegistrationError::Unavailable { status, retry_after: retry_after(&response.headers) }
        }
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => unauthorized(response.status, purpose),
        _ => refused(response, secrets)
            .unwrap_or_else(|| RegistrationError::malformed(format!("its status is {status}"))),
    })
}

fn unauthorized(status: StatusCode, purpose: Purpose) -> RegistrationError {
    let forbidden = status == StatusCode::FORBIDDEN;
    let status = status.as_u16();
    match purpose {
        Purpose::Register { with_token: true } => RegistrationError::InitialTokenRefused { status },
        Purpose::Register { with_token: false } => RegistrationError::InitialTokenNeeded { status },
        Purpose::Manage if forbidden => RegistrationError::ManagementNotSupported { status },
        Purpose::Manage => RegistrationError::Gone,
    }
}

/// An error body (RFC 7591 §3.2.2).
fn refused(response: &Response, secrets: &[&str]) -> Option<RegistrationError> {
    let repeats_secret = |text: &str| secrets.iter().any(|secret| text.contains(secret));
    let members: Map<String, Value> = serde_json::from_slice(&response.body).ok()?;
    let text = |name: &str| members.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let error = server_text::code(text("error")?, repeats_secret);
    let description =
        text("error_description").and_then(|text| server_text::description(text, repeats_secret));
    Some(RegistrationError::Refused { error, description })
}
