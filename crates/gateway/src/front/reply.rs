//! Answers of the gateway's own.

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use http::{Response, StatusCode};
use http_body_util::{Either, Full};
use serde_json::json;
use thv_jose::digest::base64url;
use thv_jose::random;
use thv_proxy::ResponseBody;

pub(super) const JSON: HeaderValue = HeaderValue::from_static("application/json");
pub(super) const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
pub(super) const NOSNIFF: HeaderValue = HeaderValue::from_static("nosniff");
const CORRELATION: HeaderName = HeaderName::from_static("x-correlation-id");

/// A body that is already here.
pub fn full(bytes: Bytes) -> ResponseBody {
    Either::Right(Full::new(bytes))
}

/// The same response with a body that is already here.
pub fn ready(response: Response<Bytes>) -> Response<ResponseBody> {
    response.map(full)
}

/// A response without a body.
pub fn empty(status: StatusCode) -> Response<ResponseBody> {
    let mut response = Response::new(full(Bytes::new()));
    *response.status_mut() = status;
    response
}

/// A JSON response that nobody keeps.
pub fn json(status: StatusCode, value: &serde_json::Value) -> Response<ResponseBody> {
    let mut response = Response::new(full(Bytes::from(value.to_string())));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, JSON);
    headers.insert(CACHE_CONTROL, NO_STORE);
    headers.insert(X_CONTENT_TYPE_OPTIONS, NOSNIFF);
    response
}

/// A refusal with its stable reason code; log line and response share a correlation id.
pub fn refusal(status: StatusCode, reason: &'static str, description: &str) -> Response<ResponseBody> {
    let correlation_id = base64url(&random::bytes::<9>());
    tracing::info!(
        error.reason = reason,
        correlation.id = correlation_id,
        http.status = status.as_u16(),
        "request refused: {description}"
    );
    let body = json!({"error": reason, "error_description": description, "correlation_id": correlation_id});
    let mut response = json(status, &body);
    if let Ok(id) = HeaderValue::try_from(correlation_id) {
        response.headers_mut().insert(CORRELATION, id);
    }
    response
}

/// There is nothing at this path.
pub fn not_found() -> Response<ResponseBody> {
    json(
        StatusCode::NOT_FOUND,
        &json!({"error": "not_found", "error_description": "there is nothing at this path"}),
    )
}

/// The path exists, for other methods (RFC 9110 §15.5.6).
pub fn method_not_allowed(allowed: &'static str) -> Response<ResponseBody> {
    let description = format!("allowed methods: {allowed}");
    let body = json!({"error": "method_not_allowed", "error_description": description});
    let mut response = json(StatusCode::METHOD_NOT_ALLOWED, &body);
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    response
}
