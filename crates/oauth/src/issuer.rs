//! Issuer identifiers and where their metadata is (RFC 8414 §2, §3).

use crate::newtype::validated_string;
use crate::raw_uri::{RawUri, UriError};

/// Which issuers may use plain http.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AllowHttp {
    /// None: https only.
    No,
    /// Those on this machine: 127.0.0.0/8, `::1`, `localhost`.
    Loopback,
    /// All.
    Any,
}

/// Why an issuer was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IssuerError {
    /// Not a URI at all.
    #[error("issuer {0}")]
    Uri(UriError),
    /// Not https, and http is not allowed for this host.
    #[error("issuer must be an https URL")]
    NotHttps,
    /// A query, which RFC 8414 §2 forbids.
    #[error("issuer must not have a query")]
    Query,
    /// A fragment, which RFC 8414 §2 forbids.
    #[error("issuer must not have a fragment")]
    Fragment,
    /// User name or password.
    #[error("issuer must not have a user name")]
    UserInfo,
    /// A `/` at the end.
    #[error("issuer must not end with a slash")]
    TrailingSlash,
    /// A `.` or `..` segment, which clients resolve differently.
    #[error("issuer must not have dot segments")]
    DotSegment,
}

/// An issuer identifier, compared as a string everywhere (AS-3).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Issuer(String);

validated_string!(Issuer, |text| Issuer::parse_upstream(text, AllowHttp::Any));

impl Issuer {
    /// Parses an issuer of our own: no trailing slash, so that well-known locations and endpoints are unambiguous.
    ///
    /// # Errors
    /// [`IssuerError`].
    pub fn parse(raw: &str, allow_http: AllowHttp) -> Result<Self, IssuerError> {
        let issuer = Self::parse_upstream(raw, allow_http)?;
        if raw.ends_with('/') { Err(IssuerError::TrailingSlash) } else { Ok(issuer) }
    }

    /// Parses somebody else's issuer, which may end with a slash (RFC 8414 §3.1 says how to deal with that).
    ///
    /// # Errors
    /// [`IssuerError`], never `TrailingSlash`.
    pub fn parse_upstream(raw: &str, allow_http: AllowHttp) -> Result<Self, IssuerError> {
        let uri = RawUri::parse(raw).map_err(IssuerError::Uri)?;
        let http_allowed = match allow_http {
            AllowHttp::No => false,
            AllowHttp::Loopback => uri.is_loopback_host(),
            AllowHttp::Any => true,
        };
        if uri.scheme != "https" && !(uri.scheme == "http" && http_allowed) {
            return Err(IssuerError::NotHttps);
        }
        if uri.has_userinfo() {
            return Err(IssuerError::UserInfo);
        }
        if uri.query.is_some() {
            return Err(IssuerError::Query);
        }
        if uri.fragment.is_some() {
            return Err(IssuerError::Fragment);
        }
        if uri.has_dot_segment() {
            return Err(IssuerError::DotSegment);
        }
        Ok(Self(raw.to_owned()))
    }

    /// The path as written: `""` or e.g. `/tenant1`.
    pub fn path(&self) -> &str {
        self.split().1
    }

    /// Scheme, host and port as written, e.g. `https://as.example:8443`.
    pub fn origin(&self) -> &str {
        self.split().0
    }

    /// Where RFC 8414 §3.1 puts the metadata: the well-known path inserted between host and issuer path.
    pub fn authorization_server_metadata_url(&self) -> String {
        self.inserted("oauth-authorization-server")
    }

    /// Where OpenID Connect Discovery documents are looked for: inserted as in RFC 8414 §5, then appended to the
    /// issuer as in OpenID Connect Discovery §4. One location if the issuer has no path.
    pub fn openid_configuration_urls(&self) -> Vec<String> {
        let (origin, path) = self.split();
        let mut urls = vec![self.inserted("openid-configuration")];
        let path = path.trim_end_matches('/');
        if !path.is_empty() {
            urls.push(format!("{origin}{path}/.well-known/openid-configuration"));
        }
        urls
    }

    fn inserted(&self, name: &str) -> String {
        let (origin, path) = self.split();
        format!("{origin}/.well-known/{name}{}", path.trim_end_matches('/'))
    }

    fn split(&self) -> (&str, &str) {
        let authority = self.0.find("://").map_or(0, |at| at + 3);
        let path =
            self.0.get(authority..).and_then(|rest| rest.find('/')).map_or(self.0.len(), |at| authority + at);
        self.0.split_at(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn as_3_an_issuer_is_https_without_query_fragment_userinfo_or_trailing_slash() {
        for (raw, error) in [
            ("http://as.example", IssuerError::NotHttps),
            ("http://localhost:8080", IssuerError::NotHttps),
            ("HTTPS://as.example", IssuerError::NotHttps),
            ("ftp://as.example", IssuerError::NotHttps),
            ("as.example", IssuerError::Uri(UriError::NoScheme)),
            ("https:as.example", IssuerError::Uri(UriError::InvalidHost)),
            ("https://as.example?", IssuerError::Query),
            ("https://as.example?a=b", IssuerError::Query),
            ("https://as.example#", IssuerError::Fragment),
            ("https://u@as.example", IssuerError::UserInfo),
            ("https://as.example/", IssuerError::TrailingSlash),
            ("https://as.example/t/", IssuerError::TrailingSlash),
            ("https://as.example/../t", IssuerError::DotSegment),
        ] {
            assert_eq!(Issuer::parse(raw, AllowHttp::No), Err(error), "{raw}");
        }
        assert_eq!(
            Issuer::parse("https://AS.example:443/t", AllowHttp::No).unwrap().as_str(),
            "https://AS.example:443/t"
        );
    }

    #[test]
    fn as_13_plain_http_only_where_allowed() {
        for (raw, loopback, any) in [
            ("http://localhost:1", true, true),
            ("http://127.0.0.1", true, true),
            ("http://[::1]:1", true, true),
            ("http://as.example", false, true),
            ("ftp://localhost", false, false),
        ] {
            assert_eq!(Issuer::parse(raw, AllowHttp::Loopback).is_ok(), loopback, "{raw}");
            assert_eq!(Issuer::parse(raw, AllowHttp::Any).is_ok(), any, "{raw}");
        }
    }

    #[test]
    fn as_2_and_as_14_well_known_locations() {
        for (raw, path, rfc8414, openid) in [
            (
                "https://as.example",
                "",
                "https://as.example/.well-known/oauth-authorization-server",
                &["https://as.example/.well-known/openid-configuration"][..],
            ),
            (
                "https://as.example/",
                "/",
                "https://as.example/.well-known/oauth-authorization-server",
                &["https://as.example/.well-known/openid-configuration"],
            ),
            (
                "https://as.example:8443/t/1",
                "/t/1",
                "https://as.example:8443/.well-known/oauth-authorization-server/t/1",
                &[
                    "https://as.example:8443/.well-known/openid-configuration/t/1",
                    "https://as.example:8443/t/1/.well-known/openid-configuration",
                ],
            ),
            (
                "https://as.example/t/",
                "/t/",
                "https://as.example/.well-known/oauth-authorization-server/t",
                &[
                    "https://as.example/.well-known/openid-configuration/t",
                    "https://as.example/t/.well-known/openid-configuration",
                ],
            ),
        ] {
            let issuer = Issuer::parse_upstream(raw, AllowHttp::No).unwrap();
            assert_eq!(issuer.path(), path);
            assert_eq!(format!("{}{path}", issuer.origin()), raw);
            assert_eq!(issuer.authorization_server_metadata_url(), rfc8414);
            assert_eq!(issuer.openid_configuration_urls(), openid);
        }
    }

    proptest! {
        #[test]
        fn any_text_is_judged_without_a_panic_and_kept(raw in "\\PC{0,40}|https?://[!-~]{0,40}") {
            if let Ok(issuer) = Issuer::parse(&raw, AllowHttp::Any) {
                prop_assert_eq!(issuer.as_str(), &raw);
                prop_assert_eq!(format!("{}{}", issuer.origin(), issuer.path()), raw);
                prop_assert!(issuer.authorization_server_metadata_url().starts_with(issuer.origin()));
            }
        }
    }
}
