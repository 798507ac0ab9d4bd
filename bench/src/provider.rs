//! An upstream provider without pages: whoever comes is logged in at once and gets the same tokens as everybody.

use std::convert::Infallible;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::Full;

use crate::error::BenchError;
use crate::login::form;
use crate::serve;

/// Path of the authorization endpoint.
pub(crate) const AUTHORIZATION_PATH: &str = "/authorize";
/// Path of the token endpoint.
pub(crate) const TOKEN_PATH: &str = "/token";
/// The access token that every login gives.
pub(crate) const ACCESS_TOKEN: &str = "upstream-access-token";
/// Member of the token response that says who the user is.
pub(crate) const SUBJECT: &str = "sub";

/// Serves both endpoints (RFC 6749 §3).
///
/// # Errors
/// When no port can be bound.
pub(crate) async fn run() -> Result<(), BenchError> {
    serve::serve(|request: Request<_>| async {
        let response = match request.uri().path() {
            AUTHORIZATION_PATH => redirect(request.uri().query().unwrap_or_default()),
            TOKEN_PATH => Some(serve::json(tokens())),
            _ => None,
        };
        serve::drain(request).await;
        Ok::<_, Infallible>(response.unwrap_or_else(|| serve::empty(StatusCode::BAD_REQUEST)))
    })
    .await
}

/// Back to where the request says, with a code; `None` when it does not say.
fn redirect(query: &str) -> Option<Response<Full<Bytes>>> {
    let [target, state] = [form::parameter(query, "redirect_uri")?, form::parameter(query, "state")?];
    let answer = form::encode(&[("code", "code"), ("state", &state)]);
    let location = HeaderValue::try_from(format!("{target}?{answer}")).ok()?;
    let mut response = serve::empty(StatusCode::SEE_OTHER);
    response.headers_mut().insert(header::LOCATION, location);
    Some(response)
}

/// The token response (RFC 6749 §5.1): good for a day, so that nothing is renewed while something is measured.
fn tokens() -> Bytes {
    let response = serde_json::json!({
        "access_token": ACCESS_TOKEN,
        "token_type": "Bearer",
        "expires_in": 86_400,
        "refresh_token": "upstream-refresh-token",
        SUBJECT: "bench",
    });
    Bytes::from(response.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_browser_goes_back_with_a_code_and_its_state() {
        let query = form::encode(&[("redirect_uri", "http://127.0.0.1:1/oauth/callback"), ("state", "a&b")]);
        let response = redirect(&query).unwrap();
        assert_eq!(response.status(), StatusCode::SEE_OTHER);
        let location = response.headers()[header::LOCATION].to_str().unwrap();
        assert_eq!(location, "http://127.0.0.1:1/oauth/callback?code=code&state=a%26b");
        assert!(redirect("state=x").is_none());
    }
}
