//! Asking who the owner of an access token is (OpenID Connect Core §5.3, and APIs like it).

use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue};
use http::{Method, StatusCode};
use secrecy::SecretString;
use serde_json::{Map, Value};
use thv_egress::{Client, EgressError, Limits, Request};

use crate::header_fields::bearer;

const LIMITS: Limits = Limits { total: Duration::from_secs(10), max_body: 64 * 1024 };

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum UserInfoError {
    /// Nothing was received.
    #[error("the user info endpoint could not be reached")]
    Unreachable(#[source] EgressError),
    /// Only 200 is success.
    #[error("the user info endpoint answered with status {0}")]
    Status(u16),
    /// The answer is not a JSON object.
    #[error("the user info endpoint's answer is not a JSON object")]
    Invalid(#[source] serde_json::Error),
    /// The access token has characters that no header field can carry.
    #[error("the access token cannot be sent in a header field")]
    AccessToken,
}

impl UserInfoError {
    /// Whether the endpoint may answer later.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Unreachable(_) => true,
            Self::Status(status) => *status == 429 || *status >= 500,
            Self::Invalid(_) | Self::AccessToken => false,
        }
    }
}

/// The claims that the endpoint at `url` answers `access_token` with. `headers` are sent besides; `Accept` and
/// `Authorization` are set here, the former only if absent.
///
/// # Errors
/// [`UserInfoError`].
pub async fn fetch(
    egress: &Client,
    method: Method,
    url: &str,
    mut headers: HeaderMap,
    access_token: &SecretString,
) -> Result<Map<String, Value>, UserInfoError> {
    headers.insert(AUTHORIZATION, bearer(access_token).map_err(|_| UserInfoError::AccessToken)?);
    headers.entry(ACCEPT).or_insert(HeaderValue::from_static("application/json"));
    let request = Request { method, url, headers, body: Bytes::new() };
    let response = egress.send(request, LIMITS).await.map_err(UserInfoError::Unreachable)?;
    if response.status != StatusCode::OK {
        return Err(UserInfoError::Status(response.status.as_u16()));
    }
    serde_json::from_slice(&response.body).map_err(UserInfoError::Invalid)
}
