//! One fetch of a document: guarded, without redirects, 200 only (AS-55, AS-56, AS-60, AS-76).

use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, HeaderMap, HeaderValue};
use thv_egress::client::{Client, Limits};
use thv_egress::freshness::Validators;
use thv_egress::{EgressError, json};
use thv_oauth::client_id::MetadataUrl;

/// Everything together: name resolution, connection, TLS, headers, body.
const TOTAL: Duration = Duration::from_secs(5);

/// Why there is no document.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    /// Nothing was received.
    #[error("the address could not be fetched")]
    Egress(#[source] EgressError),
    /// Only 200 is success.
    #[error("the answer's status is {0} where only 200 is accepted")]
    Status(u16),
    /// Neither `application/json` nor `application/*+json`.
    #[error("the answer's Content-Type is not JSON")]
    ContentType,
}

impl FetchError {
    /// The stable reason code. It tells only of what was received from an address that may be dialled: everything before
    /// that looks the same (C4).
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::Egress(EgressError::TooLarge { .. }) => "cimd_document_too_large",
            Self::Egress(_) => "cimd_unreachable",
            Self::Status(_) => "cimd_status",
            Self::ContentType => "cimd_content_type",
        }
    }
}

/// A received document.
pub(super) struct Body {
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// What a conditional fetch brought.
pub(super) enum Fetched {
    New(Body),
    NotModified(HeaderMap),
}

/// Fetches `url`, conditionally when there is something to compare with.
pub(super) async fn fetch(
    egress: &Client,
    url: &MetadataUrl,
    validators: Option<&Validators>,
    max_body: usize,
) -> Result<Fetched, FetchError> {
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    if let Some(validators) = validators {
        validators.apply(&mut headers);
    }
    let limits = Limits { total: TOTAL, max_body };
    let response = egress.get(url.as_str(), headers, limits).await.map_err(FetchError::Egress)?;
    match response.status.as_u16() {
        200 if json::is_json(&response.headers) => {
            Ok(Fetched::New(Body { headers: response.headers, body: response.body }))
        }
        200 => Err(FetchError::ContentType),
        304 if validators.is_some() => Ok(Fetched::NotModified(response.headers)),
        status => Err(FetchError::Status(status)),
    }
}
