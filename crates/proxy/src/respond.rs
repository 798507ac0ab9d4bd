//! The proxy's own responses.

use std::error::Error;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::{Either, Full};
use thv_jose::{digest, random};
use thv_resource::Reason;
use thv_telemetry::chain;

use crate::body::ResponseBody;

/// Why the proxy answers in the backend's stead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Failure {
    #[error("the MCP server behind this gateway cannot be reached")]
    Unreachable,
    #[error("the MCP server behind this gateway did not accept a connection in time")]
    ConnectTimeout,
    #[error("the MCP server behind this gateway broke off before it answered")]
    BrokenOff,
    #[error("the MCP server behind this gateway did not answer in time")]
    ResponseTimeout,
    #[error("the request's body broke off")]
    RequestBrokenOff,
    #[error(
        "the MCP server behind this gateway wants a credential that the gateway is not configured to send"
    )]
    Unauthorized,
    /// RS-16. The client is told what it would be told of a session that has ended.
    #[error("there is no such session")]
    ForeignSession,
    #[error("the request has more than one Mcp-Session-Id header")]
    RepeatedSessionId,
}

impl Failure {
    const fn reason(self) -> &'static str {
        match self {
            Self::Unreachable => "backend_unreachable",
            Self::ConnectTimeout => "backend_connect_timeout",
            Self::BrokenOff => "backend_broke_off",
            Self::ResponseTimeout => "backend_response_timeout",
            Self::RequestBrokenOff => "request_broke_off",
            Self::Unauthorized => "backend_unauthorized",
            Self::ForeignSession => "session_not_found",
            Self::RepeatedSessionId => "session_id_repeated",
        }
    }

    const fn status(self) -> StatusCode {
        match self {
            Self::Unreachable | Self::BrokenOff | Self::Unauthorized => StatusCode::BAD_GATEWAY,
            Self::ConnectTimeout | Self::ResponseTimeout => StatusCode::GATEWAY_TIMEOUT,
            Self::RequestBrokenOff | Self::RepeatedSessionId => StatusCode::BAD_REQUEST,
            Self::ForeignSession => StatusCode::NOT_FOUND,
        }
    }

    /// Logs the failure with all its causes, and answers without them; both carry the same correlation id.
    pub(crate) fn respond(self, cause: Option<&(dyn Error + 'static)>) -> Response<ResponseBody> {
        let correlation_id = digest::base64url(&random::bytes::<9>());
        let cause = cause.map(chain);
        let reason = self.reason();
        match self {
            // What a client does is not the operator's trouble.
            Self::RequestBrokenOff | Self::ForeignSession | Self::RepeatedSessionId => {
                tracing::info!(
                    error.reason = reason,
                    correlation.id = correlation_id,
                    cause,
                    "request not passed on: {self}"
                );
            }
            _ => tracing::warn!(
                error.reason = reason,
                correlation.id = correlation_id,
                cause,
                "request not passed on: {self}"
            ),
        }
        // Three texts of our own alphabet: nothing in them needs escaping.
        let body = format!(
            r#"{{"error":"{reason}","error_description":"{self}","correlation_id":"{correlation_id}"}}"#
        );
        let mut response = Response::new(Either::Right(Full::new(Bytes::from(body))));
        *response.status_mut() = self.status();
        response.extensions_mut().insert(Reason(reason));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}
