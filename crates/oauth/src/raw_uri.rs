//! A URI taken apart without changing it (RFC 3986, appendix B).
//!
//! The `url` crate folds `/x/../y`, `%2e%2e`, `:443` and letter case, which hides exactly what the rules of this crate
//! look at (AS-53). Here the parts are slices of what was sent.

use std::net::{Ipv4Addr, Ipv6Addr};

/// The longest URI that any rule accepts, in bytes.
pub(crate) const MAX_LENGTH: usize = 2048;

/// Why a text is not a URI that can be judged further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum UriError {
    /// Longer than 2048 bytes.
    #[error("longer than 2048 characters")]
    TooLong,
    /// A control character, space, backslash, non-ASCII or otherwise excluded character (RFC 3986 §2).
    #[error("has a character that is not allowed in a URI")]
    ForbiddenCharacter,
    /// A `%` that is not followed by two hexadecimal digits.
    #[error("has a malformed percent-encoding")]
    PercentEncoding,
    /// No scheme: not an absolute URI.
    #[error("is not an absolute URI")]
    NoScheme,
    /// The host is neither a name of ASCII letters, digits, `-`, `.`, `_` nor an IP address.
    #[error("has a malformed host")]
    InvalidHost,
    /// The port is not a number between 0 and 65535.
    #[error("has a malformed port")]
    InvalidPort,
}

/// The parts of a URI, as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RawUri<'a> {
    pub(crate) scheme: &'a str,
    pub(crate) authority: Option<Authority<'a>>,
    pub(crate) path: &'a str,
    /// `Some("")` for a bare `?`.
    pub(crate) query: Option<&'a str>,
    /// `Some("")` for a bare `#`.
    pub(crate) fragment: Option<&'a str>,
}

/// What stands between `//` and the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Authority<'a> {
    /// All of it.
    pub(crate) text: &'a str,
    pub(crate) has_userinfo: bool,
    /// May be empty for schemes other than http and https. IPv6 addresses keep their brackets.
    pub(crate) host: &'a str,
    pub(crate) port: Option<u16>,
}

impl<'a> RawUri<'a> {
    /// Takes `text` apart.
    ///
    /// # Errors
    /// [`UriError`] if it is not an absolute URI of allowed characters, or http(s) without a host.
    pub(crate) fn parse(text: &'a str) -> Result<Self, UriError> {
        if text.len() > MAX_LENGTH {
            return Err(UriError::TooLong);
        }
        check_characters(text)?;
        let (rest, fragment) = cut(text, '#');
        let (rest, query) = cut(rest, '?');
        let (scheme, rest) = rest.split_once(':').ok_or(UriError::NoScheme)?;
        if !is_scheme(scheme) {
            return Err(UriError::NoScheme);
        }
        let (authority, path) = match rest.strip_prefix("//") {
            None => (None, rest),
            Some(rest) => {
                let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
                (Some(Authority::parse(authority)?), path)
            }
        };
        let is_web = scheme.eq_ignore_ascii_case("https") || scheme.eq_ignore_ascii_case("http");
        if is_web && authority.is_none_or(|authority| authority.host.is_empty()) {
            return Err(UriError::InvalidHost);
        }
        Ok(Self { scheme, authority, path, query, fragment })
    }

    /// The host, or `""`.
    pub(crate) fn host(&self) -> &'a str {
        self.authority.map_or("", |authority| authority.host)
    }

    pub(crate) fn has_userinfo(&self) -> bool {
        self.authority.is_some_and(|authority| authority.has_userinfo)
    }

    pub(crate) fn port(&self) -> Option<u16> {
        self.authority.and_then(|authority| authority.port)
    }

    /// Whether the host is this machine: an address of 127.0.0.0/8, `::1`, or the name `localhost`.
    pub(crate) fn is_loopback_host(&self) -> bool {
        let host = self.host();
        match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
            Some(v6) => v6.parse().is_ok_and(|address: Ipv6Addr| address.is_loopback()),
            None => {
                host.eq_ignore_ascii_case("localhost")
                    || host.parse().is_ok_and(|address: Ipv4Addr| address.is_loopback())
            }
        }
    }

    /// Whether a path segment is `.` or `..`, also when the dots are percent-encoded.
    pub(crate) fn has_dot_segment(&self) -> bool {
        self.path.split('/').any(|segment| {
            let dots = segment.replace("%2e", ".").replace("%2E", ".");
            dots == "." || dots == ".."
        })
    }
}

impl<'a> Authority<'a> {
    fn parse(text: &'a str) -> Result<Self, UriError> {
        let (has_userinfo, host_port) = match text.rsplit_once('@') {
            Some((_, rest)) => (true, rest),
            None => (false, text),
        };
        let (host, port) = match host_port.rfind(']') {
            Some(end) => host_port.split_at(end + 1),
            None => host_port.split_at(host_port.find(':').unwrap_or(host_port.len())),
        };
        if !is_host(host) {
            return Err(UriError::InvalidHost);
        }
        let port = if port.is_empty() {
            None
        } else {
            let digits = port.strip_prefix(':').filter(|port| port.bytes().all(|byte| byte.is_ascii_digit()));
            Some(digits.and_then(|digits| digits.parse().ok()).ok_or(UriError::InvalidPort)?)
        };
        Ok(Self { text, has_userinfo, host, port })
    }
}

fn cut(text: &str, at: char) -> (&str, Option<&str>) {
    match text.split_once(at) {
        Some((before, after)) => (before, Some(after)),
        None => (text, None),
    }
}

fn check_characters(text: &str) -> Result<(), UriError> {
    let excluded = |byte: u8| !byte.is_ascii_graphic() || br#""<>\^`{|}"#.contains(&byte);
    if text.bytes().any(excluded) {
        return Err(UriError::ForbiddenCharacter);
    }
    let well_encoded = text
        .split('%')
        .skip(1)
        .all(|after| after.len() >= 2 && after.bytes().take(2).all(|byte| byte.is_ascii_hexdigit()));
    if well_encoded { Ok(()) } else { Err(UriError::PercentEncoding) }
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

fn is_host(text: &str) -> bool {
    match text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
        Some(v6) => v6.parse::<Ipv6Addr>().is_ok(),
        None => text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte)),
    }
}

/// Whether `text` is an https URI with a host and without userinfo.
pub(crate) fn is_https(text: &str) -> bool {
    RawUri::parse(text).is_ok_and(|uri| uri.scheme == "https" && !uri.has_userinfo())
}

/// Whether `text` is an http URI of this machine, without userinfo.
pub(crate) fn is_loopback_http(text: &str) -> bool {
    RawUri::parse(text).is_ok_and(|uri| uri.scheme == "http" && !uri.has_userinfo() && uri.is_loopback_host())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn parts_are_slices_of_the_text() {
        let uri = RawUri::parse("https://u:p@H.example:0443/a/../b?q?#f#".trim_end_matches('#')).unwrap();
        assert_eq!((uri.scheme, uri.path), ("https", "/a/../b"));
        assert_eq!((uri.query, uri.fragment), (Some("q?"), Some("f")));
        let authority = uri.authority.unwrap();
        assert_eq!(authority.text, "u:p@H.example:0443");
        assert_eq!((authority.host, authority.port), ("H.example", Some(443)));
        assert!(uri.has_userinfo() && uri.has_dot_segment());
    }

    #[test]
    fn malformed_uris_say_why() {
        for (text, error) in [
            ("", UriError::NoScheme),
            ("//h/p", UriError::NoScheme),
            ("1x:/p", UriError::NoScheme),
            (":/p", UriError::NoScheme),
            ("https:/p", UriError::InvalidHost),
            ("https:///p", UriError::InvalidHost),
            ("http://:80/p", UriError::InvalidHost),
            ("https://[::1/p", UriError::InvalidHost),
            ("https://[fe80::1%25eth0]/p", UriError::InvalidHost),
            ("https://h%41/p", UriError::InvalidHost),
            ("https://h*/p", UriError::InvalidHost),
            ("https://h:/p", UriError::InvalidPort),
            ("https://h:65536/p", UriError::InvalidPort),
            ("https://h:+1/p", UriError::InvalidPort),
            ("https://h:1:2/p", UriError::InvalidPort),
            ("https://[::1]x/p", UriError::InvalidPort),
            ("https://h/p q", UriError::ForbiddenCharacter),
            ("https://h\\p", UriError::ForbiddenCharacter),
            ("https://h/é", UriError::ForbiddenCharacter),
            ("https://h/\u{0}", UriError::ForbiddenCharacter),
            ("https://h/%", UriError::PercentEncoding),
            ("https://h/%a", UriError::PercentEncoding),
            ("https://h/%%41", UriError::PercentEncoding),
        ] {
            assert_eq!(RawUri::parse(text), Err(error), "{text}");
        }
        assert_eq!(RawUri::parse(&format!("https://h/{}", "a".repeat(2039))), Err(UriError::TooLong));
        assert!(RawUri::parse(&format!("https://h/{}", "a".repeat(2038))).is_ok());
    }

    #[test]
    fn loopback_hosts_are_literals_of_this_machine() {
        for (host, loopback) in [
            ("localhost", true),
            ("LocalHost", true),
            ("127.0.0.1", true),
            ("127.9.9.9", true),
            ("[::1]", true),
            ("[0:0:0:0:0:0:0:1]", true),
            ("localhost.", false),
            ("a.localhost", false),
            ("127.1", false),
            ("0x7f.0.0.1", false),
            ("127.0.0.1.example", false),
            ("[::ffff:127.0.0.1]", false),
            ("0.0.0.0", false),
            ("128.0.0.1", false),
        ] {
            let text = format!("http://{host}:1/");
            assert_eq!(RawUri::parse(&text).unwrap().is_loopback_host(), loopback, "{host}");
            assert_eq!(is_loopback_http(&text), loopback);
        }
        assert!(!is_loopback_http("http://u@localhost/"));
        assert!(!is_loopback_http("https://localhost/"));
    }

    proptest! {
        #[test]
        fn any_text_parses_into_its_parts_or_fails(text in "\\PC{0,80}|[a-z]{1,5}:[!-~]{0,80}|https://[!-~]{0,60}") {
            if let Ok(uri) = RawUri::parse(&text) {
                let authority = uri.authority.map_or(String::new(), |a| format!("//{}", a.text));
                let query = uri.query.map_or(String::new(), |q| format!("?{q}"));
                let fragment = uri.fragment.map_or(String::new(), |f| format!("#{f}"));
                prop_assert_eq!(format!("{}:{authority}{}{query}{fragment}", uri.scheme, uri.path), text);
            }
        }
    }
}
