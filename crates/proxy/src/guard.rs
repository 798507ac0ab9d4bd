//! Host and Origin, checked before anything else.
//!
//! A web page can make a browser send requests to this server, through DNS rebinding even under a host name that is the
//! page's own. The backend cannot tell: it sees the Host that the proxy writes (PX-2).

use http::header::{HOST, HeaderName, HeaderValue, ORIGIN};
use http::{HeaderMap, StatusCode, Uri};

/// Where a browser's request comes from (Fetch Metadata Request Headers §2.3).
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Which hosts a request may be for and from which web origins it may come (RS-15, PX-2).
#[derive(Clone, Debug, Default)]
pub struct HostOriginGuard {
    hosts: Vec<AllowedHost>,
    origins: Vec<String>,
}

#[derive(Clone, Debug)]
struct AllowedHost {
    name: String,
    /// As written; none allows the schemes' default ports.
    port: Option<String>,
}

/// Why a request is turned away at the door.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GuardRefusal {
    /// No host, or more than one (RFC 9112 §3.2).
    #[error("the request does not name exactly one host")]
    HostMissing,
    /// Not one of our hosts (RFC 9110 §15.5.20).
    #[error("this server does not answer for the requested host")]
    HostForeign,
    /// The web page's origin is not allowed (RS-15).
    #[error("requests from this web origin are not allowed")]
    OriginForeign,
}

impl GuardRefusal {
    /// 400, 421 or 403.
    pub const fn status(self) -> StatusCode {
        match self {
            Self::HostMissing => StatusCode::BAD_REQUEST,
            Self::HostForeign => StatusCode::MISDIRECTED_REQUEST,
            Self::OriginForeign => StatusCode::FORBIDDEN,
        }
    }

    /// The stable reason code.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::HostMissing => "host_missing",
            Self::HostForeign => "host_foreign",
            Self::OriginForeign => "origin_foreign",
        }
    }
}

impl HostOriginGuard {
    /// `hosts` are `name`, which stands for the default ports, or `name:port`; IPv6 literals in brackets. `origins` are
    /// serialized origins (RFC 6454 §6.2), such as `https://app.example`.
    pub fn new<H, O>(hosts: H, origins: O) -> Self
    where
        H: IntoIterator<Item: AsRef<str>>,
        O: IntoIterator<Item: Into<String>>,
    {
        let hosts = hosts.into_iter().map(|host| AllowedHost::parse(host.as_ref())).collect();
        Self { hosts, origins: origins.into_iter().map(Into::into).collect() }
    }

    /// Judges a request by its target and headers.
    ///
    /// # Errors
    ///
    /// [`GuardRefusal`]; nothing of the request may be processed then.
    pub fn check(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), GuardRefusal> {
        let mut hosts = headers.get_all(HOST).iter();
        let (host, authority) = (hosts.next(), uri.authority());
        if hosts.next().is_some() || (host.is_none() && authority.is_none()) {
            return Err(GuardRefusal::HostMissing);
        }
        let header_is_ours = host.is_none_or(|host| host.to_str().is_ok_and(|host| self.allows_host(host)));
        // HTTP/2 and absolute-form name the host in the target.
        let authority_is_ours = authority.is_none_or(|authority| self.allows_host(authority.as_str()));
        if !header_is_ours || !authority_is_ours {
            return Err(GuardRefusal::HostForeign);
        }
        self.check_origin(headers)
    }

    /// Whether a web page of this origin may use the server. Origins are compared as strings without case.
    pub fn allows_origin(&self, origin: &str) -> bool {
        self.origins.iter().any(|allowed| allowed.eq_ignore_ascii_case(origin))
    }

    fn check_origin(&self, headers: &HeaderMap) -> Result<(), GuardRefusal> {
        // An image or a link sends no Origin; browsers say all the same that a page elsewhere wants it.
        let elsewhere = |value: &HeaderValue| matches!(value.as_bytes(), b"cross-site" | b"same-site");
        if !headers.contains_key(ORIGIN) && headers.get_all(SEC_FETCH_SITE).iter().any(elsewhere) {
            return Err(GuardRefusal::OriginForeign);
        }
        // Every value must be allowed, so that a repeated header cannot hide one.
        let all_allowed = headers
            .get_all(ORIGIN)
            .iter()
            .all(|origin| origin.to_str().is_ok_and(|origin| self.allows_origin(origin)));
        if all_allowed { Ok(()) } else { Err(GuardRefusal::OriginForeign) }
    }

    fn allows_host(&self, host: &str) -> bool {
        let (name, port) = split_port(host);
        self.hosts.iter().any(|allowed| allowed.name.eq_ignore_ascii_case(name) && allowed.allows_port(port))
    }
}

impl AllowedHost {
    fn parse(host: &str) -> Self {
        let (name, port) = split_port(host);
        Self { name: name.to_owned(), port: port.map(str::to_owned) }
    }

    fn allows_port(&self, port: Option<&str>) -> bool {
        match (self.port.as_deref(), port) {
            (None | Some("80" | "443"), None) | (None, Some("80" | "443")) => true,
            (allowed, port) => allowed == port,
        }
    }
}

fn split_port(host: &str) -> (&str, Option<&str>) {
    match host.rsplit_once(':') {
        // A colon before the closing bracket belongs to an IPv6 address.
        Some((name, port)) if !port.contains(']') => (name, Some(port)),
        _ => (host, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(uri: &'static str, headers: &[(HeaderName, &'static str)]) -> Result<(), GuardRefusal> {
        let guard = HostOriginGuard::new(
            ["mcp.example.com", "127.0.0.1:8080", "[::1]:8080"],
            ["https://app.example", "http://localhost:6274"],
        );
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name, HeaderValue::from_static(value));
        }
        guard.check(&Uri::from_static(uri), &map)
    }

    #[test]
    fn px_2_our_hosts_pass_with_and_without_the_default_port() {
        for host in
            ["mcp.example.com", "MCP.example.com:443", "mcp.example.com:80", "127.0.0.1:8080", "[::1]:8080"]
        {
            assert_eq!(check("/mcp", &[(HOST, host)]), Ok(()), "{host}");
        }
        assert_eq!(check("https://mcp.example.com/mcp", &[]), Ok(()));
    }

    #[test]
    fn px_2_foreign_hosts_are_refused() {
        for host in [
            "evil.example",
            "mcp.example.com.evil.example",
            "mcp.example.com:8443",
            "127.0.0.1",
            "127.0.0.1:80",
            "[::1]",
            "",
            ":",
        ] {
            assert_eq!(check("/mcp", &[(HOST, host)]), Err(GuardRefusal::HostForeign), "{host}");
        }
        let disagree = check("http://evil.example/mcp", &[(HOST, "mcp.example.com")]);
        assert_eq!(disagree, Err(GuardRefusal::HostForeign));
    }

    #[test]
    fn a_request_names_exactly_one_host() {
        assert_eq!(check("/mcp", &[]), Err(GuardRefusal::HostMissing));
        let twice = [(HOST, "mcp.example.com"), (HOST, "mcp.example.com")];
        assert_eq!(check("/mcp", &twice), Err(GuardRefusal::HostMissing));
    }

    #[test]
    fn rs_15_what_a_foreign_page_embeds_is_refused_without_an_origin() {
        let site = |value| check("/mcp", &[(HOST, "mcp.example.com"), (SEC_FETCH_SITE, value)]);
        for value in ["cross-site", "same-site"] {
            assert_eq!(site(value), Err(GuardRefusal::OriginForeign), "{value}");
        }
        for value in ["none", "same-origin"] {
            assert_eq!(site(value), Ok(()), "{value}");
        }
        let app =
            [(HOST, "mcp.example.com"), (ORIGIN, "https://app.example"), (SEC_FETCH_SITE, "cross-site")];
        assert_eq!(check("/mcp", &app), Ok(()), "a page that may");
    }

    #[test]
    fn rs_15_a_present_origin_must_be_allowed() {
        let host = (HOST, "mcp.example.com");
        assert_eq!(check("/mcp", &[host.clone(), (ORIGIN, "https://app.example")]), Ok(()));
        for origin in ["https://evil.example", "null", "", "http://app.example", "https://app.example:8443"] {
            let refused = check("/mcp", &[host.clone(), (ORIGIN, origin)]);
            assert_eq!(refused, Err(GuardRefusal::OriginForeign), "{origin}");
        }
        let hidden = [host, (ORIGIN, "https://app.example"), (ORIGIN, "https://evil.example")];
        assert_eq!(check("/mcp", &hidden), Err(GuardRefusal::OriginForeign));
    }
}
