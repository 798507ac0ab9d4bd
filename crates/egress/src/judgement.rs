//! What a policy says of the addresses that a URL leads to: of those that are about to be dialled, and of those that can be
//! told from the URL alone.

use std::net::{IpAddr, Ipv4Addr};

use http::Uri;
use http::uri::Scheme;

use crate::address::SpecialUse;
use crate::error::EgressError;
use crate::literal::{self, Target};
use crate::policy::Policy;

/// Why nothing is sent to an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Forbidden {
    #[error("the address is of special use")]
    Address { address: IpAddr, special_use: SpecialUse },
    #[error("the address may not be reached by plain http")]
    Plaintext,
}

impl Policy {
    /// Judges the addresses of one host. One forbidden address condemns the whole answer: a public address beside it is a
    /// cover.
    pub(crate) fn judge(
        &self,
        uri: &Uri,
        addresses: impl Iterator<Item = IpAddr> + Clone,
    ) -> Result<(), Forbidden> {
        for address in addresses.clone() {
            self.permits(address).map_err(|special_use| Forbidden::Address { address, special_use })?;
        }
        let mut in_the_clear = addresses.filter(|_| uri.scheme() != Some(&Scheme::HTTPS));
        if in_the_clear.all(|address| self.permits_plain_http(address)) {
            Ok(())
        } else {
            Err(Forbidden::Plaintext)
        }
    }

    /// Judges a URL as far as it can be judged without asking DNS: by its scheme, and by its address where the host is an
    /// address, `localhost` or in [`Policy::host_overrides`]. What passes may still be refused when it is dialled.
    ///
    /// # Errors
    /// [`EgressError::Url`], [`EgressError::Scheme`], [`EgressError::Refused`] or [`EgressError::Plaintext`], as a request to
    /// the URL would fail.
    pub fn judge_url(&self, url: &str) -> Result<(), EgressError> {
        let uri = parse(url)?;
        let host = uri.host().unwrap_or_default();
        let judged = self.judge(&uri, self.known_address(&uri).into_iter());
        judged.map_err(|forbidden| EgressError::forbidden(host, forbidden))?;
        self.permits_scheme(&uri)
    }

    /// The scheme is `https`, or `http` where some address may be reached in the clear.
    pub(crate) fn permits_scheme(&self, uri: &Uri) -> Result<(), EgressError> {
        let plaintext = self.plain_http || !self.allow_cidrs.is_empty();
        match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS || (plaintext && *scheme == Scheme::HTTP) => Ok(()),
            _ => Err(EgressError::Scheme),
        }
    }

    fn known_address(&self, uri: &Uri) -> Option<IpAddr> {
        let host = uri.host().unwrap_or_default();
        if let Some(address) = self.host_override(host, port(uri)) {
            return Some(address.ip());
        }
        match literal::target(host)? {
            Target::Address(ip) => Some(ip),
            // Many systems also have it at `::1`; that is seen when it is dialled.
            Target::Name => host.eq_ignore_ascii_case("localhost").then_some(Ipv4Addr::LOCALHOST.into()),
        }
    }
}

/// Reads a URL that is to be dialled, whatever its scheme.
pub(crate) fn parse(url: &str) -> Result<Uri, EgressError> {
    let uri: Uri = url.parse().map_err(|_| EgressError::Url { reason: "it is malformed" })?;
    let Some(authority) = uri.authority() else {
        return Err(EgressError::Url { reason: "it is not absolute" });
    };
    if authority.as_str().contains('@') {
        return Err(EgressError::Url { reason: "it carries user information" });
    }
    Ok(uri)
}

/// The port that a URL leads to.
pub(crate) fn port(uri: &Uri) -> u16 {
    uri.port_u16().unwrap_or(if uri.scheme() == Some(&Scheme::HTTP) { 80 } else { 443 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    fn listing(networks: &[&str]) -> Policy {
        Policy { allow_cidrs: networks.iter().map(|net| net.parse().unwrap()).collect(), ..Policy::public() }
    }

    #[test]
    fn a_url_is_judged_by_the_address_that_it_shows() {
        let refused = |policy: &Policy, url: &str| match policy.judge_url(url) {
            Err(EgressError::Refused { special_use, .. }) => special_use,
            other => panic!("{url}: {other:?}"),
        };
        for url in ["https://127.0.0.1:9000/a", "https://0x7f.1", "https://[::1]", "http://LocalHost/"] {
            assert_eq!(refused(&Policy::public(), url), SpecialUse::Loopback, "{url}");
            assert!(Policy::with_loopback().judge_url(url).is_ok(), "{url}");
        }
        assert_eq!(refused(&listing(&["10.0.0.0/8"]), "https://192.168.0.1/"), SpecialUse::Private);
        for url in ["https://idp.example.com", "https://8.8.8.8/token?a=b"] {
            assert!(Policy::public().judge_url(url).is_ok(), "{url}");
        }
        let host_overrides = HashMap::from([("idp.test:443".to_owned(), "10.0.0.1:1".parse().unwrap())]);
        let overridden = Policy { host_overrides, ..Policy::public() };
        assert_eq!(refused(&overridden, "https://idp.test/"), SpecialUse::Private);
        assert!(overridden.judge_url("https://idp.test:444/").is_ok());
    }

    #[test]
    fn plain_http_needs_a_listed_address_or_the_permission() {
        let (public, listed) = (Policy::public(), listing(&["10.0.0.0/8"]));
        let open = Policy { plain_http: true, ..Policy::public() };
        assert!(matches!(public.judge_url("http://idp.test/"), Err(EgressError::Scheme)));
        assert!(matches!(listed.judge_url("http://8.8.8.8/"), Err(EgressError::Plaintext { .. })));
        assert!(matches!(open.judge_url("ftp://idp.test/"), Err(EgressError::Scheme)));
        assert!(matches!(open.judge_url("http://10.0.0.1/"), Err(EgressError::Refused { .. })));
        for (policy, url) in
            [(&listed, "http://10.0.0.1/"), (&listed, "http://idp.test/"), (&open, "http://8.8.8.8/")]
        {
            assert!(policy.judge_url(url).is_ok(), "{url}");
        }
    }
}
