//! URLs as raw text. A URL library would fold case, dots and default ports, and the folded text is not what clients compare.

use std::net::{Ipv4Addr, Ipv6Addr};

/// The parts of an absolute `http` or `https` URL, uninterpreted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HttpUrl<'a> {
    pub(super) scheme: &'a str,
    /// Host as written, an IPv6 address with its brackets.
    pub(super) host: &'a str,
    pub(super) port: Option<u16>,
    /// Scheme, host and port as written.
    pub(super) origin: &'a str,
    /// Empty or from the first slash.
    pub(super) path: &'a str,
    query: Option<&'a str>,
    fragment: Option<&'a str>,
}

/// Parts that some URLs must not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UrlPart {
    Path,
    TrailingSlash,
    Query,
    Fragment,
    DefaultPort,
    UpperCaseHost,
}

impl UrlPart {
    /// Spellings that browsers and HTTP libraries change, so that comparing text would fail.
    pub(super) const UNSTABLE: &[Self] = &[Self::DefaultPort, Self::UpperCaseHost];
    /// What an origin must not have.
    pub(super) const NOT_IN_ORIGIN: &[Self] = &[
        Self::Query,
        Self::Fragment,
        Self::TrailingSlash,
        Self::Path,
        Self::DefaultPort,
        Self::UpperCaseHost,
    ];

    pub(super) fn phrase(self) -> &'static str {
        match self {
            Self::Path => "a path",
            Self::TrailingSlash => "a trailing slash",
            Self::Query => "a query",
            Self::Fragment => "a fragment",
            Self::DefaultPort => "the default port of its scheme; leave the port out",
            Self::UpperCaseHost => "upper-case letters in its host",
        }
    }
}

impl<'a> HttpUrl<'a> {
    /// Splits a URL; the error completes the sentence "`text` …".
    pub(super) fn parse(text: &'a str) -> Result<Self, &'static str> {
        if !text.bytes().all(|b| b.is_ascii_graphic())
            || text.contains(['\\', '"', '<', '>', '`', '{', '}', '|', '^'])
        {
            return Err("is not a URL: it has a space or a character that must be percent-encoded");
        }
        let Some((scheme, after)) = text.split_once("://") else {
            return Err("is not an absolute URL; it must begin with https://");
        };
        match scheme {
            "https" | "http" => {}
            _ if scheme.eq_ignore_ascii_case("https") || scheme.eq_ignore_ascii_case("http") => {
                return Err("must have its scheme in lower-case letters");
            }
            _ => return Err("has a scheme other than https"),
        }
        let (authority, rest) = after.split_at(after.find(['/', '?', '#']).unwrap_or(after.len()));
        let origin = text.get(..text.len() - rest.len()).unwrap_or(text);
        if authority.contains('@') {
            return Err("must not contain a user name or password");
        }
        let (host, port) = host_and_port(authority)?;
        let (rest, fragment) = rest.split_once('#').map_or((rest, None), |(rest, part)| (rest, Some(part)));
        let (path, query) = rest.split_once('?').map_or((rest, None), |(rest, part)| (rest, Some(part)));
        Ok(Self { scheme, host, port, origin, path, query, fragment })
    }

    pub(super) fn has(&self, part: UrlPart) -> bool {
        match part {
            UrlPart::Path => !matches!(self.path, "" | "/"),
            UrlPart::TrailingSlash => self.path.ends_with('/'),
            UrlPart::Query => self.query.is_some(),
            UrlPart::Fragment => self.fragment.is_some(),
            UrlPart::DefaultPort => self.port == Some(if self.scheme == "https" { 443 } else { 80 }),
            UrlPart::UpperCaseHost => self.host.contains(|c: char| c.is_ascii_uppercase()),
        }
    }

    /// Whether the host can only be this machine.
    pub(super) fn is_loopback(&self) -> bool {
        let bare = self.host.trim_start_matches('[').trim_end_matches(']');
        self.host.eq_ignore_ascii_case("localhost")
            || bare.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
            || bare.parse::<Ipv6Addr>().is_ok_and(|address| address.is_loopback())
    }
}

/// Whether a path has a segment that URL libraries remove, plain or percent-encoded.
pub(super) fn has_dot_segment(path: &str) -> bool {
    path.split('/').any(|segment| {
        let plain = segment.replace("%2e", ".").replace("%2E", ".");
        plain == "." || plain == ".."
    })
}

/// Splits `host:port`; the port is optional.
pub(super) fn host_and_port(authority: &str) -> Result<(&str, Option<u16>), &'static str> {
    let (host, port) = match authority.rfind(':') {
        Some(colon) if !authority.ends_with(']') => {
            let (host, port) = authority.split_at(colon);
            (host, port.strip_prefix(':'))
        }
        _ => (authority, None),
    };
    let valid = match host.strip_prefix('[') {
        Some(address) => address.strip_suffix(']').is_some_and(|address| address.parse::<Ipv6Addr>().is_ok()),
        None => !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_".contains(&b)),
    };
    if !valid {
        return Err("has no valid host");
    }
    let port = match port {
        None => None,
        Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => match digits.parse() {
            Ok(port) if port != 0 => Some(port),
            _ => return Err("has no valid port"),
        },
        Some(_) => return Err("has no valid port"),
    };
    Ok((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_split_without_being_changed() {
        let url = HttpUrl::parse("https://Mcp.Example.com:443/a/%2e%2e?q#f").unwrap();
        assert_eq!(
            (url.host, url.port, url.origin),
            ("Mcp.Example.com", Some(443), "https://Mcp.Example.com:443")
        );
        assert_eq!(url.path, "/a/%2e%2e");
        for part in [UrlPart::Path, UrlPart::Query, UrlPart::Fragment, UrlPart::DefaultPort] {
            assert!(url.has(part), "{part:?}");
        }
        assert!(url.has(UrlPart::UpperCaseHost) && !url.has(UrlPart::TrailingSlash));
    }

    #[test]
    fn loopback_hosts_are_recognized_and_no_others() {
        for text in [
            "http://localhost",
            "http://127.0.0.1:80",
            "http://127.8.9.1/",
            "http://[::1]:9",
            "http://LOCALHOST",
        ] {
            assert!(HttpUrl::parse(text).unwrap().is_loopback(), "{text}");
        }
        for text in [
            "http://localhost.example.com",
            "http://127.0.0.1.example.com",
            "http://10.0.0.1",
            "http://[::2]",
        ] {
            assert!(!HttpUrl::parse(text).unwrap().is_loopback(), "{text}");
        }
    }

    #[test]
    fn malformed_urls_are_refused() {
        for (text, reason) in [
            ("mcp.example.com", "absolute"),
            ("ftp://example.com", "scheme other"),
            ("HTTPS://example.com", "lower-case"),
            ("https://user@example.com", "user name"),
            ("https://", "valid host"),
            ("https:///path", "valid host"),
            ("https://exa mple.com", "space"),
            ("https://ex\u{e4}mple.com", "space or a character"),
            ("https://example.com\\@evil.com", "character"),
            ("https://example.com:", "valid port"),
            ("https://example.com:0", "valid port"),
            ("https://example.com:65536", "valid port"),
            ("https://example.com:+1", "valid port"),
            ("https://[::1", "valid host"),
            ("https://[example]", "valid host"),
        ] {
            let error = HttpUrl::parse(text).unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
