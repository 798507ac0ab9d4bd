//! Who sends a request, seen through the proxies that the operator trusts.

use std::net::IpAddr;
use std::sync::Arc;

use http::HeaderMap;
use http::header::HeaderName;
use ipnet::IpNet;

use crate::listener::Origin;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// The sender of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The nearest address that no trusted proxy vouches for as being a proxy.
    pub address: IpAddr,
    /// Whether the sender's connection is encrypted, here or at a trusted proxy.
    pub secure: bool,
}

/// Whose `X-Forwarded-For` and `X-Forwarded-Proto` count (AS-134).
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies(Arc<[IpNet]>);

impl TrustedProxies {
    /// Trusts the addresses in these networks and nobody else.
    pub fn new(networks: impl IntoIterator<Item = IpNet>) -> Self {
        Self(networks.into_iter().collect())
    }

    /// Whether `address` is a trusted proxy. IPv4-mapped addresses count as the IPv4 address.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// The sender of a request with these headers that came over this connection.
    ///
    /// The hops of `X-Forwarded-For` are read from the right: each was written by the party to the right of it, so the
    /// first that is not a trusted proxy is the last one whose word is not needed. A hop that is no address ends the
    /// reading, and the proxy that passed it on counts as the sender.
    pub fn peer(&self, origin: Origin, headers: &HeaderMap) -> Peer {
        let mut address = origin.address.ip();
        if self.0.is_empty() || !self.contains(address) {
            return Peer { address, secure: origin.tls };
        }
        let lines = headers.get_all(FORWARDED_FOR).iter().rev();
        let hops = lines.map(|line| line.to_str().unwrap_or("?")).flat_map(|line| line.rsplit(','));
        for hop in hops {
            let Some(hop) = address_of(hop.trim()) else { break };
            address = hop;
            if !self.contains(hop) {
                break;
            }
        }
        Peer { address, secure: origin.tls || forwarded_proto_is_https(headers) }
    }
}

/// The last value: it was written by the trusted proxy that holds the connection.
fn forwarded_proto_is_https(headers: &HeaderMap) -> bool {
    let last = headers.get_all(FORWARDED_PROTO).iter().next_back().and_then(|line| line.to_str().ok());
    last.and_then(|line| line.rsplit(',').next())
        .is_some_and(|proto| proto.trim().eq_ignore_ascii_case("https"))
}

/// An address as proxies write it: bare, or with a port (`192.0.2.1:4711`, `[2001:db8::1]:4711`).
fn address_of(hop: &str) -> Option<IpAddr> {
    let bare = hop.parse::<IpAddr>().ok();
    let with_port = || hop.parse::<std::net::SocketAddr>().ok().map(|address| address.ip());
    let in_brackets = || hop.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    bare.or_else(with_port).or_else(in_brackets).map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(trusted: &[&str], socket: &str, forwarded_for: &[&str], proto: Option<&str>) -> (String, bool) {
        let mut headers = HeaderMap::new();
        for line in forwarded_for {
            headers.append(FORWARDED_FOR, line.parse().unwrap());
        }
        if let Some(proto) = proto {
            headers.insert(FORWARDED_PROTO, proto.parse().unwrap());
        }
        let trusted = TrustedProxies::new(trusted.iter().map(|network| network.parse().unwrap()));
        let origin = Origin { address: socket.parse().unwrap(), tls: false };
        let peer = trusted.peer(origin, &headers);
        (peer.address.to_string(), peer.secure)
    }

    #[test]
    fn as_134_forwarded_headers_of_strangers_are_ignored() {
        let seen = peer(&["10.0.0.0/8"], "203.0.113.9:1", &["198.51.100.1"], Some("https"));
        assert_eq!(seen, ("203.0.113.9".to_owned(), false));
        let nobody = peer(&[], "10.0.0.1:1", &["198.51.100.1"], Some("https"));
        assert_eq!(nobody, ("10.0.0.1".to_owned(), false));
    }

    #[test]
    fn as_134_the_rightmost_untrusted_hop_is_the_sender() {
        let chain = &["6.6.6.6, 198.51.100.7", "10.1.1.1, 10.2.2.2"];
        let seen = peer(&["10.0.0.0/8"], "10.0.0.1:1", chain, Some("https"));
        assert_eq!(seen, ("198.51.100.7".to_owned(), true));
    }

    #[test]
    fn a_chain_of_nothing_but_trusted_proxies_ends_at_its_leftmost() {
        assert_eq!(peer(&["10.0.0.0/8"], "10.0.0.1:1", &["10.3.3.3, 10.2.2.2"], None).0, "10.3.3.3");
        assert_eq!(peer(&["10.0.0.0/8"], "10.0.0.1:1", &[], None).0, "10.0.0.1");
    }

    #[test]
    fn a_hop_that_is_no_address_ends_the_reading() {
        let seen = peer(&["10.0.0.0/8"], "10.0.0.1:1", &["198.51.100.7, unknown, 10.2.2.2"], None);
        assert_eq!(seen.0, "10.2.2.2");
    }

    #[test]
    fn ports_brackets_and_mapped_addresses_are_understood() {
        let from = |hop| peer(&["10.0.0.0/8"], "10.0.0.1:1", &[hop], None).0;
        assert_eq!(from("198.51.100.7:4711"), "198.51.100.7");
        assert_eq!(from("[2001:db8::1]:4711"), "2001:db8::1");
        assert_eq!(from("[2001:db8::1]"), "2001:db8::1");
        assert_eq!(from("::ffff:198.51.100.7"), "198.51.100.7");
    }

    #[test]
    fn only_the_nearest_forwarded_proto_counts() {
        assert!(!peer(&["10.0.0.0/8"], "10.0.0.1:1", &[], Some("https, http")).1);
        assert!(peer(&["10.0.0.0/8"], "10.0.0.1:1", &[], Some("http, HTTPS")).1);
    }
}
