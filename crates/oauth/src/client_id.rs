//! Client identifiers, opaque or URLs of metadata documents.

use crate::newtype::validated_string;
use crate::raw_uri::{MAX_LENGTH, RawUri, UriError};

/// Why a client identifier was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientIdError {
    /// No character at all.
    #[error("client_id is empty")]
    Empty,
    /// Longer than 2048 characters.
    #[error("client_id is longer than 2048 characters")]
    TooLong,
    /// Something else than visible ASCII.
    #[error("client_id has a character that is not visible ASCII")]
    ForbiddenCharacter,
}

/// A client identifier of any kind: 1 to 2048 visible ASCII characters.
///
/// Stricter than RFC 6749 appendix A.1, which also allows spaces.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientId(String);

validated_string!(ClientId, ClientId::parse);

impl ClientId {
    /// Checks length and characters.
    ///
    /// # Errors
    /// [`ClientIdError`].
    pub fn parse(raw: &str) -> Result<Self, ClientIdError> {
        if raw.is_empty() {
            return Err(ClientIdError::Empty);
        }
        if raw.len() > MAX_LENGTH {
            return Err(ClientIdError::TooLong);
        }
        if !raw.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(ClientIdError::ForbiddenCharacter);
        }
        Ok(Self(raw.to_owned()))
    }
}

impl From<&MetadataUrl> for ClientId {
    fn from(url: &MetadataUrl) -> Self {
        Self(url.0.clone())
    }
}

impl std::borrow::Borrow<str> for ClientId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// Why a URL cannot be a client identifier URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum MetadataUrlError {
    /// Not a URI of allowed characters.
    #[error("client_id URL {0}")]
    Uri(UriError),
    /// The scheme is not written in lower case, and identifiers are compared as strings.
    #[error("client_id URL must have its scheme in lower case")]
    UppercaseScheme,
    /// Neither https nor http on this machine.
    #[error("client_id URL must be an https URL")]
    NotHttps,
    /// http on this machine, which only a development server accepts.
    #[error("client_id URL with http is accepted only by a development server")]
    LoopbackHttpNotAllowed,
    /// User name or password.
    #[error("client_id URL must not have a user name or password")]
    UserInfo,
    /// A fragment, even an empty one.
    #[error("client_id URL must not have a fragment")]
    Fragment,
    /// No path, or the path `/`.
    #[error("client_id URL must have a path other than /")]
    NoPath,
    /// A `.` or `..` segment, also percent-encoded.
    #[error("client_id URL must not have . or .. path segments")]
    DotSegment,
}

impl MetadataUrlError {
    /// The row of the requirements table.
    pub const fn row(self) -> &'static str {
        match self {
            Self::Uri(_) => "AS-53",
            Self::UppercaseScheme => "AS-52",
            Self::LoopbackHttpNotAllowed => "AS-74",
            Self::NotHttps | Self::UserInfo | Self::Fragment | Self::NoPath | Self::DotSegment => "AS-51",
        }
    }

    /// The stable reason code.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Uri(UriError::TooLong) => "client_id_url_too_long",
            Self::Uri(_) => "client_id_url_malformed",
            Self::UppercaseScheme => "client_id_url_uppercase_scheme",
            Self::NotHttps => "client_id_url_not_https",
            Self::LoopbackHttpNotAllowed => "client_id_url_loopback_http",
            Self::UserInfo => "client_id_url_userinfo",
            Self::Fragment => "client_id_url_fragment",
            Self::NoPath => "client_id_url_no_path",
            Self::DotSegment => "client_id_url_dot_segment",
        }
    }
}

/// A client identifier URL: the location of a client ID metadata document
/// (draft-ietf-oauth-client-id-metadata-document-02 §3). Compared as a string.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MetadataUrl(String);

validated_string!(MetadataUrl, |text| MetadataUrl::parse(text, true));

impl MetadataUrl {
    /// Applies the rules to the raw text. A query is accepted. `allow_loopback_http` admits `http://` for hosts that
    /// are this machine (127.0.0.0/8, `[::1]`, `localhost`) and is meant for development servers only (AS-74).
    ///
    /// Stricter than the draft: the path `/` and excluded characters (RFC 3986 §2) are refused.
    ///
    /// # Errors
    /// [`MetadataUrlError`].
    pub fn parse(raw: &str, allow_loopback_http: bool) -> Result<Self, MetadataUrlError> {
        let uri = RawUri::parse(raw).map_err(MetadataUrlError::Uri)?;
        match uri.scheme {
            "https" => {}
            "http" if uri.is_loopback_host() && allow_loopback_http => {}
            "http" if uri.is_loopback_host() => return Err(MetadataUrlError::LoopbackHttpNotAllowed),
            other if other.eq_ignore_ascii_case("https") => return Err(MetadataUrlError::UppercaseScheme),
            _ => return Err(MetadataUrlError::NotHttps),
        }
        if uri.has_userinfo() {
            return Err(MetadataUrlError::UserInfo);
        }
        if uri.fragment.is_some() {
            return Err(MetadataUrlError::Fragment);
        }
        if uri.path.is_empty() || uri.path == "/" {
            return Err(MetadataUrlError::NoPath);
        }
        if uri.has_dot_segment() {
            return Err(MetadataUrlError::DotSegment);
        }
        Ok(Self(raw.to_owned()))
    }

    /// The host with its port, as written: what a consent page shows (AS-78).
    pub fn host(&self) -> &str {
        RawUri::parse(&self.0).ok().and_then(|uri| uri.authority).map_or("", |authority| authority.text)
    }

    /// The host without its port, as written.
    pub fn hostname(&self) -> &str {
        RawUri::parse(&self.0).map_or("", |uri| uri.host())
    }

    /// Whether this is an `http://` URL of this machine.
    pub fn is_loopback_http(&self) -> bool {
        crate::raw_uri::is_loopback_http(&self.0)
    }
}

/// Whether a client identifier is to be judged as a URL, whatever comes of it: it begins with `https://` or `http://`
/// in any letter case.
pub fn looks_like_url(client_id: &str) -> bool {
    ["https://", "http://"]
        .iter()
        .any(|scheme| client_id.get(..scheme.len()).is_some_and(|prefix| prefix.eq_ignore_ascii_case(scheme)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn client_ids_are_visible_ascii_of_limited_length() {
        assert!(ClientId::parse(&"x".repeat(2048)).is_ok());
        assert_eq!(ClientId::parse(&"x".repeat(2049)), Err(ClientIdError::TooLong));
        assert_eq!(ClientId::parse(""), Err(ClientIdError::Empty));
        for bad in ["a b", "a\n", "é", "\u{7f}"] {
            assert_eq!(ClientId::parse(bad), Err(ClientIdError::ForbiddenCharacter));
        }
        assert!(serde_json::from_str::<ClientId>("\"a b\"").is_err());
    }

    #[test]
    fn as_51_urls_that_are_client_identifiers() {
        for (raw, host) in [
            ("https://claude.ai/oauth/claude-code-client-metadata", "claude.ai"),
            ("https://vscode.dev/oauth/client-metadata.json", "vscode.dev"),
            ("https://e.example:443/c", "e.example:443"),
            ("https://E.Example/c", "E.Example"),
            ("https://e.example/c?v=1", "e.example"),
            ("https://e.example/c?", "e.example"),
            ("https://e.example/a..b/.c/...", "e.example"),
            ("https://e.example/c/", "e.example"),
            ("https://203.0.113.1/c", "203.0.113.1"),
            ("https://[2001:db8::1]:8443/c", "[2001:db8::1]:8443"),
            ("https://localhost/c", "localhost"),
        ] {
            let url = MetadataUrl::parse(raw, false).unwrap();
            assert_eq!((url.as_str(), url.host()), (raw, host));
        }
    }

    #[test]
    fn as_51_as_53_urls_that_are_not_client_identifiers() {
        use MetadataUrlError as E;
        for (raw, error) in [
            ("https://e.example", E::NoPath),
            ("https://e.example/", E::NoPath),
            ("https://e.example?c", E::NoPath),
            ("https://e.example/x/../c", E::DotSegment),
            ("https://e.example/./c", E::DotSegment),
            ("https://e.example/c/.", E::DotSegment),
            ("https://e.example/..", E::DotSegment),
            ("https://e.example/x/%2e%2e/c", E::DotSegment),
            ("https://e.example/x/%2E./c", E::DotSegment),
            ("https://e.example/.%2e/c", E::DotSegment),
            ("https://e.example/%2E/c", E::DotSegment),
            ("https://u@e.example/c", E::UserInfo),
            ("https://u:p@e.example/c", E::UserInfo),
            ("https://@e.example/c", E::UserInfo),
            ("https://e.example/c#f", E::Fragment),
            ("https://e.example/c#", E::Fragment),
            ("HTTPS://e.example/c", E::UppercaseScheme),
            ("Https://e.example/c", E::UppercaseScheme),
            ("http://e.example/c", E::NotHttps),
            ("ftp://e.example/c", E::NotHttps),
            ("javascript:/c", E::NotHttps),
            ("http://127.0.0.1/c", E::LoopbackHttpNotAllowed),
            ("http://localhost:3000/c", E::LoopbackHttpNotAllowed),
            ("https:///c", E::Uri(UriError::InvalidHost)),
            ("https:/c", E::Uri(UriError::InvalidHost)),
            ("https://:443/c", E::Uri(UriError::InvalidHost)),
            ("https://e.example:/c", E::Uri(UriError::InvalidPort)),
            ("https://e.example:x/c", E::Uri(UriError::InvalidPort)),
            ("https://e.example/c d", E::Uri(UriError::ForbiddenCharacter)),
            (" https://e.example/c", E::Uri(UriError::ForbiddenCharacter)),
            ("https://e.example/c\n", E::Uri(UriError::ForbiddenCharacter)),
            ("https://e.example\\c", E::Uri(UriError::ForbiddenCharacter)),
            ("https://é.example/c", E::Uri(UriError::ForbiddenCharacter)),
            ("https://e.example/é", E::Uri(UriError::ForbiddenCharacter)),
            ("https://e.example/\u{202e}c", E::Uri(UriError::ForbiddenCharacter)),
            ("https://e.example/%zz", E::Uri(UriError::PercentEncoding)),
            ("e.example/c", E::Uri(UriError::NoScheme)),
            ("", E::Uri(UriError::NoScheme)),
        ] {
            assert_eq!(MetadataUrl::parse(raw, false), Err(error), "{raw:?}");
        }
        let long = format!("https://e.example/{}", "c".repeat(2048 - 18));
        assert!(MetadataUrl::parse(&long, false).is_ok());
        assert_eq!(MetadataUrl::parse(&format!("{long}c"), false), Err(E::Uri(UriError::TooLong)));
    }

    #[test]
    fn as_74_http_only_on_this_machine_and_only_when_allowed() {
        for (raw, ok) in [
            ("http://127.0.0.1:9/c", true),
            ("http://127.1.2.3/c", true),
            ("http://[::1]:9/c", true),
            ("http://localhost/c", true),
            ("http://LOCALHOST/c", true),
            ("http://localhost.example/c", false),
            ("http://127.1/c", false),
            ("http://2130706433/c", false),
            ("http://[::ffff:127.0.0.1]/c", false),
            ("http://0.0.0.0/c", false),
            ("http://u@localhost/c", false),
            ("http://localhost/", false),
        ] {
            assert_eq!(MetadataUrl::parse(raw, true).is_ok(), ok, "{raw}");
        }
        assert!(MetadataUrl::parse("http://localhost/c", true).unwrap().is_loopback_http());
        assert!(!MetadataUrl::parse("https://localhost/c", true).unwrap().is_loopback_http());
    }

    #[test]
    fn as_52_identifiers_differ_when_their_text_differs() {
        let parse = |raw| MetadataUrl::parse(raw, false).unwrap();
        assert_ne!(parse("https://e.example/c"), parse("https://e.example:443/c"));
        assert_ne!(parse("https://e.example/c"), parse("https://E.example/c"));
        assert_ne!(parse("https://e.example/c"), parse("https://e.example/c/"));
        assert_ne!(parse("https://e.example/c"), parse("https://e.example/%63"));
    }

    #[test]
    fn what_looks_like_a_url_is_judged_as_one() {
        for (client_id, expected) in [
            ("https://e.example/c", true),
            ("HTTPS://e.example/c", true),
            ("http://", true),
            ("https:/e.example", false),
            ("6b1f1c5e", false),
            ("httpséé", false),
            ("", false),
        ] {
            assert_eq!(looks_like_url(client_id), expected, "{client_id}");
        }
    }

    proptest! {
        #[test]
        fn accepted_urls_survive_byte_for_byte_and_keep_their_rules(
            raw in "https?://[a-zA-Z0-9.:@%-]{0,20}/[!-~]{0,40}|\\PC{0,40}",
        ) {
            if let Ok(url) = MetadataUrl::parse(&raw, true) {
                prop_assert_eq!(url.as_str(), &raw);
                prop_assert!(!raw.contains('#') && !raw.contains('\\') && !url.host().contains('@'));
                prop_assert!(raw.starts_with("https://") || url.is_loopback_http());
                let folded = url::Url::parse(&raw).unwrap();
                prop_assert_eq!(folded.path().split('/').count(), raw.split(['?']).next().unwrap().split('/').count() - 2);
            }
        }
    }
}
