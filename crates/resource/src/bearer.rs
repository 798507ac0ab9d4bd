//! Taking the access token out of a request.

use http::HeaderMap;
use http::header::AUTHORIZATION;

use crate::refusal::{Refusal, RequestFault};

/// The bearer token of a request (RFC 6750 §2.1).
///
/// The header is the only place where a token counts: a request with `access_token` in its query is unauthenticated,
/// and one that has both is malformed (RS-14). Bodies are never looked at.
///
/// # Errors
///
/// [`Refusal::NoToken`] without a header or with another scheme; [`Refusal::InvalidRequest`] when the header is repeated,
/// is not a token, or has a rival in the query.
pub fn bearer_token<'a>(headers: &'a HeaderMap, query: Option<&str>) -> Result<&'a str, Refusal> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Err(Refusal::NoToken) };
    if values.next().is_some() {
        return Err(RequestFault::RepeatedAuthorization.into());
    }
    let text = value.as_bytes();
    let scheme_length = text.iter().position(|&byte| byte == b' ').unwrap_or(text.len());
    let (scheme, credentials) = text.split_at(scheme_length);
    if !scheme.eq_ignore_ascii_case(b"bearer") {
        return Err(Refusal::NoToken);
    }
    let token = std::str::from_utf8(credentials).unwrap_or_default().trim_matches(' ');
    if !is_b64token(token) {
        return Err(RequestFault::MalformedAuthorization.into());
    }
    if query.is_some_and(names_access_token) {
        return Err(RequestFault::TokenInQuery.into());
    }
    Ok(token)
}

fn names_access_token(query: &str) -> bool {
    query.split('&').any(|pair| pair.split('=').next() == Some("access_token"))
}

/// `1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"="`
fn is_b64token(token: &str) -> bool {
    let body = token.trim_end_matches('=');
    // No early end and no short circuit: this way the bytes are looked at sixteen at a time, and tokens are long.
    let allowed = |byte: u8| {
        byte.is_ascii_alphanumeric()
            | (byte == b'-')
            | (byte == b'.')
            | (byte == b'_')
            | (byte == b'~')
            | (byte == b'+')
            | (byte == b'/')
    };
    !body.is_empty() && body.bytes().fold(true, |good, byte| good & allowed(byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn extract(values: &[&'static str], query: Option<&str>) -> Result<String, Refusal> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_static(value));
        }
        bearer_token(&headers, query).map(str::to_owned)
    }

    #[test]
    fn the_scheme_is_compared_without_case() {
        for value in ["Bearer abc.def~+/=", "bearer abc.def~+/=", "BEARER  abc.def~+/="] {
            assert_eq!(extract(&[value], None).as_deref(), Ok("abc.def~+/="), "{value}");
        }
    }

    #[test]
    fn rs_4_a_request_without_a_bearer_scheme_sent_no_token() {
        assert_eq!(extract(&[], None), Err(Refusal::NoToken));
        assert_eq!(extract(&["Basic YTpi"], None), Err(Refusal::NoToken));
        assert_eq!(extract(&["Bearerabc"], None), Err(Refusal::NoToken));
    }

    #[test]
    fn rs_6_a_malformed_header_is_an_invalid_request() {
        let malformed = Err(Refusal::InvalidRequest(RequestFault::MalformedAuthorization));
        for value in
            ["Bearer", "Bearer ", "Bearer a b", "Bearer a,b", "Bearer =", "Bearer \"a\"", "Bearer a=b"]
        {
            assert_eq!(extract(&[value], None), malformed, "{value:?}");
        }
        let repeated = Err(Refusal::InvalidRequest(RequestFault::RepeatedAuthorization));
        assert_eq!(extract(&["Bearer a", "Bearer a"], None), repeated);
        assert_eq!(extract(&["Bearer a", "Basic b"], None), repeated);
    }

    #[test]
    fn rs_14_a_token_in_the_query_never_counts() {
        assert_eq!(extract(&[], Some("access_token=abc")), Err(Refusal::NoToken));
        let rival = Err(Refusal::InvalidRequest(RequestFault::TokenInQuery));
        assert_eq!(extract(&["Bearer abc"], Some("a=b&access_token=abc")), rival);
        assert_eq!(extract(&["Bearer abc"], Some("a=access_token")).as_deref(), Ok("abc"));
    }
}
