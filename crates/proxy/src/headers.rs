//! Which header fields cross the proxy, and which do not.

use http::header::{
    ALT_SVC, AUTHORIZATION, CONNECTION, COOKIE, EXPECT, FORWARDED, HeaderMap, HeaderName, HeaderValue,
    PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, SET_COOKIE, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
    WWW_AUTHENTICATE,
};

/// Fields that concern one connection alone (RFC 9110 §7.6.1), besides those that `Connection` names.
const HOP_BY_HOP: [HeaderName; 7] = [
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    CONNECTION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// What a client says to us and not to the backend (PX-4, RS-13). `Expect` is answered by our own server.
const CLIENT_ONLY: [HeaderName; 5] = [AUTHORIZATION, PROXY_AUTHORIZATION, COOKIE, FORWARDED, EXPECT];

/// Families of names that only we write.
const OURS: [&str; 3] = ["x-forwarded-", "x-real-ip", "x-thv-"];

/// What a backend says about itself: its cookies and challenges must not be taken for ours.
const BACKEND_ONLY: [HeaderName; 4] = [SET_COOKIE, WWW_AUTHENTICATE, PROXY_AUTHENTICATE, ALT_SVC];

/// Leaves of a client's request only what the backend may see.
pub fn strip_request(headers: &mut HeaderMap) {
    strip_hop_by_hop(headers);
    for name in CLIENT_ONLY {
        headers.remove(name);
    }
    let ours = |name: &&HeaderName| OURS.iter().any(|prefix| name.as_str().starts_with(prefix));
    // Collecting nothing does not allocate, and there is nothing as a rule.
    let forged: Vec<HeaderName> = headers.keys().filter(ours).cloned().collect();
    for name in forged {
        headers.remove(name);
    }
}

/// Leaves of the backend's response only what the client may see.
pub fn strip_response(headers: &mut HeaderMap) {
    strip_hop_by_hop(headers);
    for name in BACKEND_ONLY {
        headers.remove(name);
    }
}

fn strip_hop_by_hop(headers: &mut HeaderMap) {
    if headers.contains_key(CONNECTION) {
        let named: Vec<HeaderName> =
            headers.get_all(CONNECTION).iter().flat_map(connection_options).collect();
        for name in named {
            headers.remove(name);
        }
    }
    for name in HOP_BY_HOP {
        headers.remove(name);
    }
}

fn connection_options(value: &HeaderValue) -> impl Iterator<Item = HeaderName> {
    value
        .as_bytes()
        .split(|&byte| byte == b',')
        .filter_map(|option| HeaderName::from_bytes(option.trim_ascii()).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(headers: &[(&'static str, &'static str)]) -> HeaderMap {
        headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }

    fn names(headers: &HeaderMap) -> Vec<&str> {
        let mut names: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn px_4_what_the_backend_must_not_see_is_stripped() {
        let stripped = [
            "authorization",
            "proxy-authorization",
            "cookie",
            "forwarded",
            "x-forwarded-for",
            "x-forwarded-host",
            "x-forwarded-proto",
            "x-forwarded-prefix",
            "x-real-ip",
            "x-thv-subject",
            "connection",
            "keep-alive",
            "proxy-connection",
            "te",
            "trailer",
            "transfer-encoding",
            "upgrade",
            "expect",
        ];
        for name in stripped {
            let mut headers = map(&[(name, "x-any"), ("accept", "text/event-stream")]);
            strip_request(&mut headers);
            assert_eq!(names(&headers), ["accept"], "{name}");
        }
    }

    #[test]
    fn px_3_what_the_backend_needs_stays() {
        let kept = [
            "accept",
            "content-length",
            "content-type",
            "last-event-id",
            "mcp-method",
            "mcp-name",
            "mcp-param-city",
            "mcp-protocol-version",
            "mcp-session-id",
            "origin",
            "traceparent",
            "tracestate",
            "user-agent",
        ];
        let mut headers: HeaderMap =
            kept.iter().map(|name| (HeaderName::from_static(name), HeaderValue::from_static("1"))).collect();
        strip_request(&mut headers);
        assert_eq!(names(&headers), kept);
    }

    #[test]
    fn fields_named_by_connection_are_hop_by_hop() {
        let mut headers = map(&[("connection", "close, X-Secret"), ("x-secret", "1"), ("x-other", "2")]);
        headers.append(CONNECTION, HeaderValue::from_static("X-Third,,bad name"));
        headers.insert("x-third", HeaderValue::from_static("3"));
        strip_request(&mut headers);
        assert_eq!(names(&headers), ["x-other"]);
    }

    #[test]
    fn the_backends_cookies_and_challenges_stay_behind() {
        let mut headers = map(&[
            ("set-cookie", "a=b"),
            ("www-authenticate", "Bearer"),
            ("proxy-authenticate", "Basic"),
            ("alt-svc", "h3=\":443\""),
            ("connection", "x-hop"),
            ("x-hop", "1"),
            ("mcp-session-id", "s"),
            ("content-type", "text/event-stream"),
        ]);
        headers.append(SET_COOKIE, HeaderValue::from_static("c=d"));
        strip_response(&mut headers);
        assert_eq!(names(&headers), ["content-type", "mcp-session-id"]);
    }
}
