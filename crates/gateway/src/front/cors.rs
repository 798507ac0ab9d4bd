//! Which web pages may read our answers (Fetch Standard §3.2, AS-41).
//!
//! Documents and endpoints that use no ambient credentials are open to every page. The MCP endpoint is open to the allowed
//! origins alone. The authorization endpoint and the pages behind it are open to none.

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, HeaderMap, HeaderName, HeaderValue, ORIGIN, VARY,
};
use http::{Response, StatusCode};
use thv_proxy::ResponseBody;

use super::reply;

const ANYBODY: HeaderValue = HeaderValue::from_static("*");
const DAY: HeaderValue = HeaderValue::from_static("86400");
const ON_ORIGIN: HeaderValue = HeaderValue::from_static("origin");
/// What a web page may read of the MCP endpoint's responses beside the safelisted fields.
const EXPOSED: HeaderValue =
    HeaderValue::from_static("mcp-session-id, mcp-protocol-version, www-authenticate, retry-after");
/// Used when a preflight does not say which fields the request will have.
const USUAL_FIELDS: HeaderValue =
    HeaderValue::from_static("authorization, content-type, mcp-protocol-version");

/// Whether this is the question that a browser asks before the request itself.
pub fn is_preflight(headers: &HeaderMap) -> bool {
    headers.contains_key(ORIGIN) && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

/// Any page may read this response.
pub fn open(headers: &mut HeaderMap) {
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, ANYBODY);
}

/// Any page may send this request.
pub fn open_preflight(request: &HeaderMap, methods: &'static str) -> Response<ResponseBody> {
    let mut response = preflight(request, methods);
    open(response.headers_mut());
    response
}

/// The page of this origin, which was found to be allowed, may read this response.
pub fn grant(headers: &mut HeaderMap, origin: HeaderValue) {
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    headers.append(VARY, ON_ORIGIN);
}

/// The page of this origin, which was found to be allowed, may send this request.
pub fn granted_preflight(
    request: &HeaderMap,
    methods: &'static str,
    origin: HeaderValue,
) -> Response<ResponseBody> {
    let mut response = preflight(request, methods);
    response.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    response.headers_mut().append(VARY, ON_ORIGIN);
    response
}

/// The fields asked for are allowed as they are: parameters of tools travel in fields of any name (`Mcp-Param-*`).
fn preflight(request: &HeaderMap, methods: &'static str) -> Response<ResponseBody> {
    let mut response = reply::empty(StatusCode::NO_CONTENT);
    let fields = request.get(ACCESS_CONTROL_REQUEST_HEADERS).cloned().unwrap_or(USUAL_FIELDS);
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(methods));
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, fields);
    headers.insert(ACCESS_CONTROL_MAX_AGE, DAY);
    headers.append(VARY, HeaderValue::from_name(HeaderName::from_static("access-control-request-headers")));
    response
}
