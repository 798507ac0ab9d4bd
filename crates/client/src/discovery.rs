//! The one URL that an operator gives for a server: its issuer, or the place of its metadata.

use thv_oauth::issuer::{AllowHttp, Issuer, IssuerError};

const RFC8414: &str = "/.well-known/oauth-authorization-server";
const OPENID: &str = "/.well-known/openid-configuration";

/// Why a URL does not lead to metadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DiscoveryUrlError {
    /// What it says about the issuer cannot be right.
    #[error("the discovery URL does not lead to an issuer")]
    Issuer(#[source] IssuerError),
    /// The well-known part stands in the middle of a path, or twice.
    #[error(
        "the discovery URL has its well-known part in the middle of a path: give the issuer's URL instead"
    )]
    Ambiguous,
}

/// A URL that leads to the metadata of a server, and what follows from it about the server's issuer identifier.
///
/// A URL with a well-known part is the place of a document: RFC 8414's and OpenID Connect's inserted between host and path
/// (RFC 8414 §3.1, §5), or appended to the issuer (OpenID Connect Discovery §4). Any other URL is the issuer itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiscoveryUrl {
    issuer: Issuer,
    /// The document that was named, if one was.
    document: Option<Document>,
    allow_http: AllowHttp,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Document {
    url: String,
    is_openid: bool,
}

impl DiscoveryUrl {
    /// Reads a URL. Plain http is for the hosts that `allow_http` names, here and for the server's endpoints.
    ///
    /// # Errors
    /// [`DiscoveryUrlError`].
    pub fn parse(url: &str, allow_http: AllowHttp) -> Result<Self, DiscoveryUrlError> {
        // The same rules hold for both: https, no query, no fragment, no user name, no dot segments.
        let parsed = Issuer::parse_upstream(url, allow_http).map_err(DiscoveryUrlError::Issuer)?;
        let Some((before, after, is_openid)) = well_known(parsed.path())? else {
            return Ok(Self { issuer: parsed, document: None, allow_http });
        };
        let issuer = format!("{}{}", parsed.origin(), format!("{before}{after}").trim_end_matches('/'));
        let issuer = Issuer::parse_upstream(&issuer, allow_http).map_err(DiscoveryUrlError::Issuer)?;
        let document = Some(Document { url: url.to_owned(), is_openid });
        Ok(Self { issuer, document, allow_http })
    }

    /// The issuer identifier, as far as the URL tells: where the URL is a document's, the identifier may also be this with a
    /// `/` at the end, since the place of the document is the same for both (RFC 8414 §3.1). The metadata says which.
    pub fn issuer(&self) -> &Issuer {
        &self.issuer
    }

    /// The identifiers that a document may name, and no other (RFC 8414 §3.3, CL-6).
    pub(crate) fn issuers(&self) -> Vec<String> {
        let issuer = self.issuer.as_str();
        match self.document {
            None => vec![issuer.to_owned()],
            Some(_) => vec![issuer.to_owned(), format!("{issuer}/")],
        }
    }

    /// Puts the document that was named before all others of its kind, whether it is where the standards put it or not.
    pub(crate) fn first_in(&self, [mut rfc8414, mut openid]: [Vec<String>; 2]) -> [Vec<String>; 2] {
        if let Some(Document { url, is_openid }) = &self.document {
            let urls = if *is_openid { &mut openid } else { &mut rfc8414 };
            urls.retain(|known| known != url);
            urls.insert(0, url.clone());
        }
        [rfc8414, openid]
    }

    /// Which URLs of the server may be plain http.
    pub(crate) fn allow_http(&self) -> AllowHttp {
        self.allow_http
    }
}

/// Splits a path at its well-known part: what stands before and after, and whether it is OpenID Connect's.
fn well_known(path: &str) -> Result<Option<(&str, &str, bool)>, DiscoveryUrlError> {
    let found = [(RFC8414, false), (OPENID, true)].into_iter().find_map(|(part, is_openid)| {
        let (before, after) = path.split_once(part)?;
        // `…/openid-configuration-2` is something else.
        (after.is_empty() || after.starts_with('/')).then_some((before, after, is_openid))
    });
    match found {
        Some((before, after, _)) if !before.is_empty() && !matches!(after, "" | "/") => {
            Err(DiscoveryUrlError::Ambiguous)
        }
        Some((before, after, _)) if [before, after].iter().any(|rest| rest.contains("/.well-known/")) => {
            Err(DiscoveryUrlError::Ambiguous)
        }
        found => Ok(found),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(url: &str) -> Result<(String, Option<bool>), DiscoveryUrlError> {
        let url = DiscoveryUrl::parse(url, AllowHttp::Loopback)?;
        Ok((url.issuer().as_str().to_owned(), url.document.map(|document| document.is_openid)))
    }

    #[test]
    fn rfc_8414_3_1_the_issuer_follows_from_every_well_known_form() {
        for (url, issuer, is_openid) in [
            ("https://as.example", "https://as.example", None),
            ("https://as.example/", "https://as.example/", None),
            ("https://as.example/t/1", "https://as.example/t/1", None),
            ("https://as.example/.well-known/oauth-authorization-server", "https://as.example", Some(false)),
            (
                "https://as.example/.well-known/oauth-authorization-server/t/1",
                "https://as.example/t/1",
                Some(false),
            ),
            ("https://as.example/.well-known/openid-configuration", "https://as.example", Some(true)),
            ("https://as.example/.well-known/openid-configuration/t", "https://as.example/t", Some(true)),
            ("https://as.example/t/.well-known/openid-configuration", "https://as.example/t", Some(true)),
            ("https://as.example/t/.well-known/openid-configuration/", "https://as.example/t", Some(true)),
            (
                "https://as.example/t/.well-known/oauth-authorization-server",
                "https://as.example/t",
                Some(false),
            ),
            (
                "http://localhost:1/.well-known/openid-configuration-2",
                "http://localhost:1/.well-known/openid-configuration-2",
                None,
            ),
        ] {
            assert_eq!(parsed(url), Ok((issuer.to_owned(), is_openid)), "{url}");
        }
    }

    #[test]
    fn rfc_8414_2_what_is_no_place_of_metadata_is_refused() {
        for (url, error) in [
            ("http://as.example", DiscoveryUrlError::Issuer(IssuerError::NotHttps)),
            (
                "https://as.example/.well-known/openid-configuration?p=1",
                DiscoveryUrlError::Issuer(IssuerError::Query),
            ),
            ("https://as.example/a/.well-known/openid-configuration/b", DiscoveryUrlError::Ambiguous),
            (
                "https://as.example/.well-known/openid-configuration/.well-known/oauth-authorization-server",
                DiscoveryUrlError::Ambiguous,
            ),
            ("https://u@as.example", DiscoveryUrlError::Issuer(IssuerError::UserInfo)),
        ] {
            assert_eq!(parsed(url), Err(error), "{url}");
        }
        assert!(DiscoveryUrl::parse("http://as.example", AllowHttp::Any).is_ok());
    }

    proptest! {
        #[test]
        fn rfc_8414_3_1_every_place_of_an_issuers_metadata_leads_back_to_it(
            raw in "https://[a-z]{1,8}(:[0-9]{1,4})?(/[a-z0-9]{1,5}){0,3}/?",
        ) {
            let issuer = Issuer::parse_upstream(&raw, AllowHttp::No).unwrap();
            let mut urls = issuer.openid_configuration_urls();
            urls.push(issuer.authorization_server_metadata_url());
            for url in urls {
                let discovered = DiscoveryUrl::parse(&url, AllowHttp::No).unwrap();
                prop_assert!(discovered.issuers().contains(&raw), "{url}");
            }
        }

        #[test]
        fn any_text_is_judged_without_a_panic(raw in "\\PC{0,40}|https://a(/|\\.well-known|openid-configuration|x){0,8}") {
            let _ = DiscoveryUrl::parse(&raw, AllowHttp::Any);
        }
    }

    #[test]
    fn the_named_document_is_looked_at_first() {
        let url = "https://as.example/t/.well-known/openid-configuration";
        let named = DiscoveryUrl::parse(url, AllowHttp::No).unwrap();
        let other = "https://as.example/.well-known/openid-configuration/t";
        let [rfc8414, openid] = named.first_in([vec!["r".into()], vec![other.into(), url.into()]]);
        assert_eq!((rfc8414, openid), (vec!["r".to_owned()], vec![url.to_owned(), other.to_owned()]));
    }
}
