//! Redirect URIs: which ones are accepted, and how a request's is compared with the registered ones.

use crate::newtype::validated_string;
use crate::raw_uri::{RawUri, UriError};

/// Schemes that a private-use redirect URI must never have: they run script, read files, or start something other
/// than the app that registered them.
const DENIED_SCHEMES: &[&str] = &[
    "about",
    "blob",
    "cid",
    "data",
    "dav",
    "feed",
    "file",
    "filesystem",
    "ftp",
    "ftps",
    "git",
    "gopher",
    "http",
    "https",
    "imap",
    "intent",
    "irc",
    "jar",
    "javascript",
    "ldap",
    "ldaps",
    "livescript",
    "mailto",
    "market",
    "mhtml",
    "mid",
    "mk",
    "mms",
    "ms-msdt",
    "ms-officecmd",
    "news",
    "nfs",
    "nntp",
    "pop",
    "rdp",
    "res",
    "resource",
    "search-ms",
    "sftp",
    "shell",
    "sip",
    "sips",
    "sms",
    "smb",
    "ssh",
    "svn",
    "tel",
    "telnet",
    "tftp",
    "urn",
    "vbscript",
    "view-source",
    "vnc",
    "ws",
    "wss",
    "wyciwyg",
];

/// Which redirect URIs a client may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RedirectPolicy {
    /// https, or http on this machine (AS-40).
    Strict,
    /// Additionally private-use schemes of native apps, such as `cursor://…` (RFC 8252 §7.1).
    ///
    /// Looser than RFC 8252: a scheme without a dot is accepted, since deployed editors use such schemes.
    PrivateSchemes,
}

/// Why a redirect URI was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum RedirectUriError {
    /// Not a URI of allowed characters.
    #[error("redirect URI {0}")]
    Uri(UriError),
    /// A fragment, even an empty one (RFC 6749 §3.1.2).
    #[error("redirect URI must not have a fragment")]
    Fragment,
    /// User name or password.
    #[error("redirect URI must not have a user name or password")]
    UserInfo,
    /// A `*`.
    #[error("redirect URI must not have a wildcard")]
    Wildcard,
    /// http to another machine.
    #[error("redirect URI with http must point to this machine (127.0.0.1, [::1] or localhost)")]
    HttpNotLoopback,
    /// A scheme that is not accepted here, or never.
    #[error("redirect URI has a scheme that is not accepted")]
    Scheme,
}

/// A redirect URI, as registered.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RedirectUri(String);

validated_string!(RedirectUri, |text| RedirectUri::parse(text, RedirectPolicy::PrivateSchemes));

impl RedirectUri {
    /// Checks a redirect URI, at most 2048 characters, under a policy.
    ///
    /// # Errors
    /// [`RedirectUriError`].
    pub fn parse(raw: &str, policy: RedirectPolicy) -> Result<Self, RedirectUriError> {
        let uri = RawUri::parse(raw).map_err(RedirectUriError::Uri)?;
        check_scheme(&uri, policy)?;
        if uri.fragment.is_some() {
            return Err(RedirectUriError::Fragment);
        }
        if uri.has_userinfo() {
            return Err(RedirectUriError::UserInfo);
        }
        if raw.contains('*') {
            return Err(RedirectUriError::Wildcard);
        }
        Ok(Self(raw.to_owned()))
    }

    /// Whether a request's redirect URI is this registered one: the same string (AS-20), or, for http on this
    /// machine, the same but for the port (AS-21, RFC 8252 §7.3).
    ///
    /// `localhost`, `127.0.0.1` and `[::1]` never stand for each other, path and query (also a bare `?`) are compared
    /// byte for byte, and https is never matched but exactly.
    pub fn matches(&self, requested: &str) -> bool {
        self.0 == requested || self.matches_but_for_port(requested)
    }

    fn matches_but_for_port(&self, requested: &str) -> bool {
        let (Ok(own), Ok(other)) = (RawUri::parse(&self.0), RawUri::parse(requested)) else { return false };
        let same_host = if own.host().eq_ignore_ascii_case("localhost") {
            other.host().eq_ignore_ascii_case("localhost")
        } else {
            own.host() == other.host()
        };
        own.scheme == "http"
            && other.scheme == "http"
            && own.is_loopback_host()
            && same_host
            && !other.has_userinfo()
            && own.path == other.path
            && own.query == other.query
            && other.fragment.is_none()
    }

    /// The host as written, without port; `None` for private-use schemes.
    pub fn host(&self) -> Option<&str> {
        let uri = RawUri::parse(&self.0).ok()?;
        matches!(uri.scheme, "http" | "https").then(|| uri.host())
    }

    /// The scheme as written.
    pub fn scheme(&self) -> &str {
        self.0.split_once(':').map_or("", |(scheme, _)| scheme)
    }

    /// Whether the URI points to this machine (127.0.0.0/8, `[::1]`, `localhost`), with http or https.
    pub fn is_loopback(&self) -> bool {
        self.host().is_some() && RawUri::parse(&self.0).is_ok_and(|uri| uri.is_loopback_host())
    }

    /// Whether the URI has a private-use scheme, and so ends in an app on the user's machine.
    pub fn is_private_scheme(&self) -> bool {
        !matches!(self.scheme(), "http" | "https")
    }
}

fn check_scheme(uri: &RawUri<'_>, policy: RedirectPolicy) -> Result<(), RedirectUriError> {
    match uri.scheme {
        "https" => return Ok(()),
        "http" if uri.is_loopback_host() => return Ok(()),
        "http" => return Err(RedirectUriError::HttpNotLoopback),
        _ => {}
    }
    let denied = DENIED_SCHEMES.contains(&uri.scheme.to_ascii_lowercase().as_str());
    let hierarchical = uri.authority.is_some() || uri.path.starts_with('/');
    if policy == RedirectPolicy::PrivateSchemes && !denied && hierarchical {
        Ok(())
    } else {
        Err(RedirectUriError::Scheme)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn registered(raw: &str) -> RedirectUri {
        RedirectUri::parse(raw, RedirectPolicy::PrivateSchemes).unwrap()
    }

    #[test]
    fn as_40_strict_accepts_https_and_loopback_http() {
        for raw in [
            "https://vscode.dev/redirect",
            "https://c.example",
            "https://c.example:8443/cb?a=b",
            "http://127.0.0.1:33418/",
            "http://127.0.0.1/callback",
            "http://localhost/callback",
            "http://LOCALHOST:1/callback",
            "http://[::1]:1/cb",
        ] {
            assert_eq!(RedirectUri::parse(raw, RedirectPolicy::Strict).unwrap().as_str(), raw);
        }
    }

    #[test]
    fn as_40_refused_under_every_policy() {
        use RedirectUriError as E;
        for (raw, error) in [
            ("javascript:alert(1)", E::Scheme),
            ("JavaScript:alert(1)", E::Scheme),
            ("javascript://c.example/%0aalert(1)", E::Scheme),
            ("javascript:/x", E::Scheme),
            ("data:text/html,x", E::Scheme),
            ("data:/x", E::Scheme),
            ("file:///etc/passwd", E::Scheme),
            ("vbscript:/x", E::Scheme),
            ("blob:https://c.example/x", E::Scheme),
            ("about:/blank", E::Scheme),
            ("ws://localhost/cb", E::Scheme),
            ("wss://c.example/cb", E::Scheme),
            ("ftp://c.example/cb", E::Scheme),
            ("view-source:/x", E::Scheme),
            ("intent://scan/", E::Scheme),
            ("urn:ietf:wg:oauth:2.0:oob", E::Scheme),
            ("myapp:callback", E::Scheme),
            ("HTTPS://c.example/cb", E::Scheme),
            ("HTTP://localhost/cb", E::Scheme),
            ("http://c.example/cb", E::HttpNotLoopback),
            ("http://localhost.example/cb", E::HttpNotLoopback),
            ("http://127.1/cb", E::HttpNotLoopback),
            ("http://0.0.0.0/cb", E::HttpNotLoopback),
            ("https://c.example/cb#", E::Fragment),
            ("https://c.example/cb#f", E::Fragment),
            ("https://u@c.example/cb", E::UserInfo),
            ("https://u:p@c.example/cb", E::UserInfo),
            ("http://localhost@evil.example/cb", E::HttpNotLoopback),
            ("https://c.example/*", E::Wildcard),
            ("https://c.example/cb?x=*", E::Wildcard),
            ("https://*.example/cb", E::Uri(UriError::InvalidHost)),
            ("https://c.example/c b", E::Uri(UriError::ForbiddenCharacter)),
            ("https://c.example/cb\r\nx", E::Uri(UriError::ForbiddenCharacter)),
            ("https://c.example\\cb", E::Uri(UriError::ForbiddenCharacter)),
            ("/cb", E::Uri(UriError::NoScheme)),
            ("", E::Uri(UriError::NoScheme)),
            ("https://", E::Uri(UriError::InvalidHost)),
        ] {
            for policy in [RedirectPolicy::Strict, RedirectPolicy::PrivateSchemes] {
                assert_eq!(RedirectUri::parse(raw, policy), Err(error), "{raw}");
            }
        }
        let long = format!("https://c.example/{}", "c".repeat(2048));
        assert_eq!(RedirectUri::parse(&long, RedirectPolicy::Strict), Err(E::Uri(UriError::TooLong)));
    }

    #[test]
    fn private_use_schemes_are_accepted_only_by_their_policy() {
        for raw in [
            "cursor://anysphere.cursor-mcp/oauth/callback",
            "com.example.app:/oauth2redirect",
            "myapp:///cb",
            "com.example.MyApp://cb?x=1",
        ] {
            assert!(
                RedirectUri::parse(raw, RedirectPolicy::PrivateSchemes).unwrap().is_private_scheme(),
                "{raw}"
            );
            assert_eq!(
                RedirectUri::parse(raw, RedirectPolicy::Strict),
                Err(RedirectUriError::Scheme),
                "{raw}"
            );
        }
    }

    #[test]
    fn private_use_schemes_have_no_fragment_userinfo_or_wildcard_either() {
        for (raw, error) in [
            ("myapp://cb#f", RedirectUriError::Fragment),
            ("myapp://u@host/cb", RedirectUriError::UserInfo),
            ("myapp://cb/*", RedirectUriError::Wildcard),
        ] {
            assert_eq!(RedirectUri::parse(raw, RedirectPolicy::PrivateSchemes), Err(error), "{raw}");
        }
    }

    #[test]
    fn as_20_as_21_a_requested_redirect_uri_matches_exactly_or_but_for_the_loopback_port() {
        for (own, requested, matches) in [
            ("https://c.example/cb", "https://c.example/cb", true),
            ("https://c.example/cb", "https://c.example:443/cb", false),
            ("https://c.example/cb", "https://c.example:8443/cb", false),
            ("https://c.example/cb", "https://C.example/cb", false),
            ("https://c.example/cb", "https://c.example/cb/", false),
            ("https://c.example/cb", "https://c.example/cb?", false),
            ("https://c.example/cb", "https://c.example/x/../cb", false),
            ("https://c.example/cb", "https://c.example.evil/cb", false),
            ("https://localhost/cb", "https://localhost:1/cb", false),
            ("http://localhost/callback", "http://localhost:49152/callback", true),
            ("http://localhost/callback", "http://LocalHost:49152/callback", true),
            ("http://localhost:8666/callback", "http://localhost:1/callback", true),
            ("http://localhost:8666/callback", "http://localhost/callback", true),
            ("http://127.0.0.1/callback", "http://127.0.0.1:5/callback", true),
            ("http://[::1]/callback", "http://[::1]:5/callback", true),
            ("http://127.0.0.1:33418/", "http://127.0.0.1:9/", true),
            ("http://127.0.0.1/cb", "http://127.0.0.2:5/cb", false),
            ("http://127.0.0.1/cb", "http://localhost:5/cb", false),
            ("http://localhost/cb", "http://127.0.0.1:5/cb", false),
            ("http://localhost/cb", "http://[::1]:5/cb", false),
            ("http://[::1]/cb", "http://[0:0:0:0:0:0:0:1]:5/cb", false),
            ("http://localhost/cb", "https://localhost:5/cb", false),
            ("http://localhost/cb", "HTTP://localhost:5/cb", false),
            ("http://localhost/cb", "http://localhost:5/CB", false),
            ("http://localhost/cb", "http://localhost:5/cb/", false),
            ("http://localhost/cb", "http://localhost:5/cb?", false),
            ("http://localhost/cb?", "http://localhost:5/cb?", true),
            ("http://localhost/cb?", "http://localhost:5/cb", false),
            ("http://localhost/cb?a=b", "http://localhost:5/cb?a=b", true),
            ("http://localhost/cb?a=b", "http://localhost:5/cb?a=c", false),
            ("http://localhost/cb", "http://localhost:5/%63b", false),
            ("http://localhost/", "http://localhost:5", false),
            ("http://localhost/cb", "http://localhost:5/cb#", false),
            ("http://localhost/cb", "http://localhost:5/cb#f", false),
            ("http://localhost/cb", "http://u@localhost:5/cb", false),
            ("http://localhost/cb", "http://localhost:5@evil.example/cb", false),
            ("http://localhost/cb", "http://localhost.evil.example:5/cb", false),
            ("http://localhost/cb", "http://localhost:99999/cb", false),
            ("http://localhost/cb", "http://localhost:/cb", false),
            ("cursor://x/cb", "cursor://x/cb", true),
            ("cursor://x/cb", "cursor://x:5/cb", false),
            ("cursor://localhost/cb", "cursor://localhost:5/cb", false),
        ] {
            assert_eq!(registered(own).matches(requested), matches, "{own} {requested}");
        }
    }

    #[test]
    fn as_38_as_39_host_and_kind() {
        for (raw, host, loopback) in [
            ("https://c.example:1/cb", Some("c.example"), false),
            ("http://localhost:1/cb", Some("localhost"), true),
            ("https://127.0.0.1/cb", Some("127.0.0.1"), true),
            ("http://[::1]/cb", Some("[::1]"), true),
            ("cursor://localhost/cb", None, false),
        ] {
            let uri = registered(raw);
            assert_eq!((uri.host(), uri.is_loopback()), (host, loopback), "{raw}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_judged_without_a_panic_and_kept(raw in "\\PC{0,60}|[a-zA-Z]{1,8}:/{0,3}[!-~]{0,50}") {
            if let Ok(uri) = RedirectUri::parse(&raw, RedirectPolicy::PrivateSchemes) {
                prop_assert_eq!(uri.as_str(), &raw);
                prop_assert!(uri.matches(&raw));
                prop_assert!(!raw.contains(['#', '*', '\\']) && raw.is_ascii());
            }
        }

        #[test]
        fn whatever_matches_a_loopback_uri_differs_in_the_port_only(
            host in "localhost|127\\.0\\.0\\.1|\\[::1\\]", tail in "[ -~]{0,30}", port in any::<u16>(),
        ) {
            let own = registered("http://localhost/cb");
            let requested = format!("http://{host}:{port}{tail}");
            prop_assert_eq!(own.matches(&requested), host == "localhost" && tail == "/cb");
        }
    }
}
