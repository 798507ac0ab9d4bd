//! Requests that are refused before the server hears of them.

use http::header::ALLOW;
use http::{HeaderValue, Response, StatusCode};
use thv_mcp::error_code;
use thv_mcp::version::ProtocolVersion;

use crate::body::{self, BridgeBody};
use crate::edit;
use crate::jsonrpc::{self, Id, Malformed};

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("this endpoint answers POST, GET and DELETE; revision 2026-07-28 has POST only")]
    Method,
    #[error("the response is application/json or text/event-stream, and the Accept header allows neither")]
    NothingAcceptable,
    #[error("the response is text/event-stream, which the Accept header does not allow")]
    EventsNotAcceptable,
    #[error("the body must be application/json")]
    ContentType,
    #[error("the body exceeds {0} bytes")]
    TooLarge(usize),
    #[error("the body broke off")]
    BodyBroken,
    #[error(transparent)]
    Malformed(#[from] Malformed),
    #[error("the {0} header is repeated, or is no text")]
    Header(&'static str),
    #[error("the Mcp-Session-Id header is missing: open a session by initialize")]
    SessionMissing,
    #[error("there is no such session: open one by initialize")]
    SessionUnknown,
    #[error("there are too many sessions, and none of them is idle")]
    TooManySessions,
    #[error("protocol version {0} is not supported")]
    Version(String),
    /// Revision 2026-07-28, "Server Validation".
    #[error("the headers and the body disagree: {0}")]
    HeaderMismatch(String),
    /// Revision 2026-07-28, "`_meta`".
    #[error("the request's _meta lacks {0}, or it is of the wrong type")]
    Envelope(&'static str),
    /// Revision 2026-07-28, "Protocol Version Header".
    #[error("there is no method {0}")]
    UnknownMethod(String),
}

impl Refusal {
    /// The refusal of the request with this id.
    pub(crate) fn of(self, id: &Id) -> Refused {
        Refused { refusal: self, id: Some(id.clone()) }
    }

    const fn status(&self) -> StatusCode {
        match self {
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::NothingAcceptable | Self::EventsNotAcceptable => StatusCode::NOT_ACCEPTABLE,
            Self::ContentType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::SessionUnknown | Self::UnknownMethod(_) => StatusCode::NOT_FOUND,
            Self::TooManySessions => StatusCode::SERVICE_UNAVAILABLE,
            Self::BodyBroken
            | Self::Malformed(_)
            | Self::Header(_)
            | Self::SessionMissing
            | Self::Version(_)
            | Self::HeaderMismatch(_)
            | Self::Envelope(_) => StatusCode::BAD_REQUEST,
        }
    }

    const fn code(&self) -> i64 {
        match self {
            Self::Malformed(Malformed::NotJson) => error_code::PARSE_ERROR,
            Self::TooManySessions => error_code::INTERNAL_ERROR,
            Self::Version(_) => error_code::UNSUPPORTED_PROTOCOL_VERSION,
            Self::HeaderMismatch(_) => error_code::HEADER_MISMATCH,
            Self::Envelope(_) => error_code::INVALID_PARAMS,
            Self::UnknownMethod(_) => error_code::METHOD_NOT_FOUND,
            _ => error_code::INVALID_REQUEST,
        }
    }

    /// What a client needs in order to do better, as JSON.
    fn data(&self) -> Option<String> {
        let Self::Version(requested) = self else { return None };
        let stateless = ProtocolVersion::ALL.into_iter().filter(|version| version.is_stateless());
        let supported: Vec<String> = stateless.map(|version| jsonrpc::string(version.as_str())).collect();
        let supported = format!("[{}]", supported.join(","));
        Some(edit::object([("supported", supported.as_str()), ("requested", &jsonrpc::string(requested))]))
    }
}

/// A refusal, and the request that it is about, if that much could be read.
#[derive(Debug)]
pub(crate) struct Refused {
    refusal: Refusal,
    id: Option<Id>,
}

impl<R: Into<Refusal>> From<R> for Refused {
    fn from(refusal: R) -> Self {
        Self { refusal: refusal.into(), id: None }
    }
}

impl Refused {
    /// The HTTP response.
    pub(crate) fn respond(self) -> Response<BridgeBody> {
        let Self { refusal, id } = self;
        tracing::info!(status = refusal.status().as_u16(), "request refused: {refusal}");
        let error = jsonrpc::error(refusal.code(), &refusal.to_string(), refusal.data().as_deref());
        let message = jsonrpc::response(id.as_ref().map_or("null", Id::as_json), Err(error));
        let mut response = body::json(refusal.status(), message);
        if refusal == Refusal::Method {
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST, GET, DELETE"));
        }
        response
    }
}
