//! Resource indicators (RFC 8707 §2).

use crate::newtype::validated_string;
use crate::raw_uri::{RawUri, UriError};

/// Where the metadata of protected resources is (RFC 9728 §3).
const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

/// Why a resource indicator was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum ResourceError {
    /// Not a URI of allowed characters.
    #[error("resource {0}")]
    Uri(UriError),
    /// Neither http nor https.
    #[error("resource must be an http or https URI")]
    Scheme,
    /// A fragment, which RFC 8707 §2 forbids.
    #[error("resource must not have a fragment")]
    Fragment,
    /// User name or password.
    #[error("resource must not have a user name or password")]
    UserInfo,
}

/// The identifier of a protected resource: an absolute http or https URI with a host and without a fragment.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ResourceIndicator(String);

validated_string!(ResourceIndicator, ResourceIndicator::parse);

impl ResourceIndicator {
    /// Checks a `resource` value.
    ///
    /// # Errors
    /// [`ResourceError`].
    pub fn parse(raw: &str) -> Result<Self, ResourceError> {
        let uri = RawUri::parse(raw).map_err(ResourceError::Uri)?;
        if !["http", "https"].iter().any(|scheme| uri.scheme.eq_ignore_ascii_case(scheme)) {
            return Err(ResourceError::Scheme);
        }
        if uri.fragment.is_some() {
            return Err(ResourceError::Fragment);
        }
        if uri.has_userinfo() {
            return Err(ResourceError::UserInfo);
        }
        Ok(Self(raw.to_owned()))
    }

    /// Whether `other` names the same resource although it is written differently: letter case of scheme and host,
    /// an explicit default port, or one final slash (RFC 9728 servers and their clients disagree about it).
    ///
    /// Meant for one purpose: finding a request's `resource` in the server's own list of audiences. Tokens carry the
    /// identifier of that list, and everything else compares strings.
    pub fn equivalent_to(&self, other: &str) -> bool {
        let Ok(other) = Self::parse(other) else { return false };
        self.0 == other.0 || folded(&self.0) == folded(&other.0)
    }

    /// Whether a server at `url` may call itself by this identifier: it is the URL itself, written one way or the other
    /// (RFC 9728 §3.3), or the part of the same host below which the URL lies, which deployed servers announce (CL-4).
    pub fn covers(&self, url: &str) -> bool {
        if self.equivalent_to(url) {
            return true;
        }
        let (Some((scheme, host, port, path, query)), Some((of_scheme, of_host, of_port, of_path, _))) =
            (folded(&self.0), folded(url))
        else {
            return false;
        };
        let below = of_path.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        let plain = !RawUri::parse(url).is_ok_and(|uri| uri.has_dot_segment());
        (scheme, host, port) == (of_scheme, of_host, of_port) && query.is_none() && below && plain
    }

    /// The scheme, host and port as they were written.
    pub fn origin(&self) -> &str {
        self.split().0
    }

    /// Where RFC 9728 §3.1 puts the metadata of this resource: the well-known path inserted between host and path.
    pub fn metadata_url(&self) -> String {
        let (origin, tail) = self.split();
        let tail = match tail.strip_prefix('/') {
            Some(rest) if rest.is_empty() || rest.starts_with('?') => rest,
            _ => tail,
        };
        format!("{origin}{WELL_KNOWN}{tail}")
    }

    /// Where the metadata of everything at this host may be.
    pub fn root_metadata_url(&self) -> String {
        format!("{}{WELL_KNOWN}", self.origin())
    }

    fn split(&self) -> (&str, &str) {
        let authority = self.0.find("://").map_or(0, |at| at + 3);
        let tail = self.0.get(authority..).and_then(|rest| rest.find(['/', '?']));
        self.0.split_at(tail.map_or(self.0.len(), |at| authority + at))
    }
}

fn folded(raw: &str) -> Option<(String, String, u16, &str, Option<&str>)> {
    let uri = RawUri::parse(raw).ok()?;
    let scheme = uri.scheme.to_ascii_lowercase();
    let port = uri.port().unwrap_or(if scheme == "https" { 443 } else { 80 });
    let path = uri.path.strip_suffix('/').unwrap_or(uri.path);
    Some((scheme, uri.host().to_ascii_lowercase(), port, path, uri.query))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn as_33_a_resource_is_an_absolute_uri_without_fragment() {
        for (raw, error) in [
            ("mcp.example/mcp", ResourceError::Uri(UriError::NoScheme)),
            ("/mcp", ResourceError::Uri(UriError::NoScheme)),
            ("", ResourceError::Uri(UriError::NoScheme)),
            ("https:///mcp", ResourceError::Uri(UriError::InvalidHost)),
            ("https://mcp.example/m cp", ResourceError::Uri(UriError::ForbiddenCharacter)),
            ("urn:example:mcp", ResourceError::Scheme),
            ("https://mcp.example/mcp#", ResourceError::Fragment),
            ("https://mcp.example/mcp#x", ResourceError::Fragment),
            ("https://u@mcp.example/mcp", ResourceError::UserInfo),
        ] {
            assert_eq!(ResourceIndicator::parse(raw), Err(error), "{raw}");
        }
        for raw in ["https://mcp.example", "http://localhost:3000/mcp?x=1", "HTTPS://MCP.example/"] {
            assert_eq!(ResourceIndicator::parse(raw).unwrap().as_str(), raw);
        }
    }

    #[test]
    fn a5_as_34_equivalence_folds_case_default_port_and_one_final_slash_only() {
        for (own, other, equivalent) in [
            ("https://mcp.example", "https://mcp.example/", true),
            ("https://mcp.example/", "https://mcp.example", true),
            ("https://mcp.example/mcp", "https://mcp.example:443/mcp", true),
            ("http://mcp.example/mcp", "http://mcp.example:80/mcp", true),
            ("https://mcp.example/mcp", "HTTPS://MCP.example/mcp", true),
            ("https://mcp.example/mcp", "https://mcp.example/mcp/", true),
            ("https://mcp.example/mcp/", "https://mcp.example/mcp//", false),
            ("https://mcp.example/mcp", "https://mcp.example/MCP", false),
            ("https://mcp.example/mcp", "http://mcp.example/mcp", false),
            ("https://mcp.example:80/mcp", "http://mcp.example/mcp", false),
            ("https://mcp.example/mcp", "https://mcp.example:8443/mcp", false),
            ("https://mcp.example/mcp", "https://mcp.example/mcp?", false),
            ("https://mcp.example/mcp", "https://mcp.example/x/../mcp", false),
            ("https://mcp.example/mcp", "https://mcp.example/mcp#f", false),
            ("https://mcp.example/mcp", "mcp.example/mcp", false),
        ] {
            assert_eq!(
                ResourceIndicator::parse(own).unwrap().equivalent_to(other),
                equivalent,
                "{own} {other}"
            );
        }
    }

    #[test]
    fn cl_3_cl_4_a_server_is_named_by_its_url_or_by_what_it_lies_below_on_the_same_host() {
        for (resource, url, covers) in [
            ("https://r.example/mcp", "https://r.example/mcp", true),
            ("https://r.example", "https://r.example/mcp", true),
            ("https://r.example/", "https://r.example/mcp", true),
            ("https://R.example:443/a", "https://r.example/a/mcp", true),
            ("https://r.example/a/", "https://r.example/a/mcp?x=1", true),
            ("https://r.example/a", "https://r.example/ab", false),
            ("https://r.example/mcp/x", "https://r.example/mcp", false),
            ("https://evil.example/mcp", "https://r.example/mcp", false),
            ("http://r.example/mcp", "https://r.example/mcp", false),
            ("https://r.example:8443/", "https://r.example/mcp", false),
            ("https://r.example/a?x=1", "https://r.example/a/b?x=1", false),
            ("https://r.example/a", "https://r.example/a/../b", false),
        ] {
            assert_eq!(ResourceIndicator::parse(resource).unwrap().covers(url), covers, "{resource} {url}");
        }
    }

    #[test]
    fn rs_2_metadata_location_is_inserted_before_the_path() {
        for (raw, url) in [
            ("https://r.example", "https://r.example/.well-known/oauth-protected-resource"),
            ("https://r.example/", "https://r.example/.well-known/oauth-protected-resource"),
            ("https://r.example:1/mcp", "https://r.example:1/.well-known/oauth-protected-resource/mcp"),
            ("https://r.example/mcp/", "https://r.example/.well-known/oauth-protected-resource/mcp/"),
            ("https://r.example/mcp?a=/b", "https://r.example/.well-known/oauth-protected-resource/mcp?a=/b"),
            ("https://r.example?a=/b", "https://r.example/.well-known/oauth-protected-resource?a=/b"),
            ("https://r.example/?a", "https://r.example/.well-known/oauth-protected-resource?a"),
        ] {
            assert_eq!(ResourceIndicator::parse(raw).unwrap().metadata_url(), url);
        }
    }

    proptest! {
        #[test]
        fn any_text_is_judged_without_a_panic(raw in "\\PC{0,60}|https?://[!-~]{0,50}") {
            if let Ok(resource) = ResourceIndicator::parse(&raw) {
                prop_assert!(resource.equivalent_to(&raw));
                prop_assert!(resource.metadata_url().contains("/.well-known/oauth-protected-resource"));
            }
        }
    }
}
