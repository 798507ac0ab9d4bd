//! Hosts that are addresses, in whatever spelling a dialler would take for one.

use std::net::IpAddr;

use rustls_pki_types::ServerName;
use url::Host;

/// A URL's host: an address, or a name to resolve.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// An IP literal. `0x7f.1`, `017700000001` and `2130706433` are 127.0.0.1 to `getaddrinfo` and to the URL standard
    /// (<https://url.spec.whatwg.org/#concept-ipv4-parser>), so they are here.
    Address(IpAddr),
    /// A name.
    Name,
}

/// Tells addresses from names; `None` for what is neither, such as `1.2.3.4.5`.
pub(crate) fn target(host: &str) -> Option<Target> {
    match Host::parse(host).ok()? {
        Host::Ipv4(ip) => Some(Target::Address(IpAddr::V4(ip))),
        Host::Ipv6(ip) => Some(Target::Address(IpAddr::V6(ip))),
        Host::Domain(_) => Some(Target::Name),
    }
}

/// Whom the certificate must name: the URL's host, an odd spelling of an address as that address.
pub(crate) fn server_name(
    uri: &http::Uri,
) -> Result<ServerName<'static>, rustls_pki_types::InvalidDnsNameError> {
    let host = uri.host().unwrap_or_default();
    match target(host) {
        Some(Target::Address(ip)) => Ok(ServerName::from(ip)),
        _ => ServerName::try_from(host.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn as_75_every_spelling_of_an_address_is_that_address() {
        for host in [
            "127.0.0.1",
            "127.1",
            "127.0.1",
            "2130706433",
            "0x7f000001",
            "0x7F.1",
            "0177.0.0.1",
            "017700000001",
            "127.0.0.1.",
            "0x7f.0.0.0x1",
        ] {
            assert_eq!(target(host), Some(Target::Address(Ipv4Addr::LOCALHOST.into())), "{host}");
        }
        assert_eq!(target("[::FFFF:7f00:1]"), Some(Target::Address("::ffff:127.0.0.1".parse().unwrap())));
    }

    #[test]
    fn names_are_told_from_addresses_and_nonsense_from_both() {
        assert_eq!(target("idp.example.com"), Some(Target::Name));
        assert_eq!(target("127.0.0.1.nip.io"), Some(Target::Name));
        for host in ["", "1.2.3.4.5", "256.256.256.256", "[::1", "[v1.a]"] {
            assert_eq!(target(host), None, "{host}");
        }
    }
}
