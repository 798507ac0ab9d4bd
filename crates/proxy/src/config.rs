//! What the composition decides about a proxy.

use std::net::IpAddr;
use std::time::Duration;

use http::header::{AUTHORIZATION, HeaderName, HeaderValue};
use http::uri::{Authority, PathAndQuery};
use http::{HeaderMap, Uri};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Where the upstream credential goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inject {
    /// Nowhere: the backend gets no credential.
    None,
    /// Into `Authorization`.
    Authorization,
    /// Into a header of this name; the client's own of that name is stripped.
    Header(HeaderName),
}

impl Inject {
    pub(crate) fn into_header(self) -> Option<HeaderName> {
        match self {
            Self::None => None,
            Self::Authorization => Some(AUTHORIZATION),
            Self::Header(name) => Some(name),
        }
    }
}

/// How a [`Proxy`](crate::Proxy) behaves.
#[derive(Clone, Debug)]
pub struct ProxyConfig {
    /// What clients see, such as `https://mcp.example.com`: the source of `X-Forwarded-Proto` and `X-Forwarded-Host`.
    pub public_url: Uri,
    /// Where the upstream credential goes.
    pub inject: Inject,
    /// Whether the backend is told who makes the request, in `X-Thv-*`.
    pub forward_identity: bool,
    /// How long the backend may take to begin its response, counted from the last piece of the request; `None` is for
    /// ever. An answer in plain JSON begins when the tool has done its work. GET has no deadline: the head of a stream may
    /// come with its first event. Nor have streams that have begun.
    pub response_deadline: Option<Duration>,
}

/// The public URL names no scheme or host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the public URL must have a scheme and a host")]
pub struct UnusablePublicUrl;

/// The client's address, as the backend is told.
#[derive(Clone, Debug)]
pub struct Peer {
    forwarded_for: HeaderValue,
}

impl Peer {
    /// The address of the client itself, not of a trusted proxy in front of us. Made once for each connection.
    pub fn new(address: IpAddr) -> Self {
        let text = address.to_canonical().to_string();
        // An address is always a header value.
        let forwarded_for =
            HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static("unknown"));
        Self { forwarded_for }
    }
}

/// Our `X-Forwarded-Proto` and `X-Forwarded-Host`, made once.
pub(crate) struct Forwarded {
    proto: HeaderValue,
    host: HeaderValue,
}

impl Forwarded {
    pub(crate) fn new(public_url: &Uri) -> Result<Self, UnusablePublicUrl> {
        let value = |text: Option<&str>| text.and_then(|text| HeaderValue::from_str(text).ok());
        let proto = value(public_url.scheme_str()).ok_or(UnusablePublicUrl)?;
        let host = value(public_url.authority().map(Authority::as_str)).ok_or(UnusablePublicUrl)?;
        Ok(Self { proto, host })
    }

    pub(crate) fn add(&self, headers: &mut HeaderMap, peer: &Peer) {
        headers.insert(FORWARDED_FOR, peer.forwarded_for.clone());
        headers.insert(FORWARDED_PROTO, self.proto.clone());
        headers.insert(FORWARDED_HOST, self.host.clone());
    }
}

/// The backend's path with the client's query: `base` is the configured path, perhaps with a query of its own.
pub fn backend_path(base: &PathAndQuery, query: Option<&str>) -> PathAndQuery {
    let Some(query) = query else { return base.clone() };
    let separator = if base.query().is_some() { '&' } else { '?' };
    // Both halves were parsed as parts of a request target, so together they are one.
    PathAndQuery::try_from(format!("{base}{separator}{query}")).unwrap_or_else(|_| base.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clients_query_is_kept_and_its_path_is_not() {
        let table = [
            ("/mcp", None, "/mcp"),
            ("/", Some("a=b"), "/?a=b"),
            ("/x/mcp", Some("a=%2F&&c"), "/x/mcp?a=%2F&&c"),
            ("/mcp?key=1", None, "/mcp?key=1"),
            ("/mcp?key=1", Some("a=b"), "/mcp?key=1&a=b"),
            ("/mcp", Some(""), "/mcp?"),
        ];
        for (base, query, expected) in table {
            assert_eq!(backend_path(&PathAndQuery::from_static(base), query), expected);
        }
    }

    #[test]
    fn a_mapped_address_is_written_as_ipv4() {
        let peer = Peer::new("::ffff:192.0.2.7".parse().unwrap());
        assert_eq!(peer.forwarded_for, "192.0.2.7");
    }

    #[test]
    fn a_public_url_needs_scheme_and_host() {
        assert!(Forwarded::new(&Uri::from_static("https://mcp.example.com")).is_ok());
        assert_eq!(Forwarded::new(&Uri::from_static("/mcp")).err(), Some(UnusablePublicUrl));
    }
}
