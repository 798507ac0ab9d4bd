//! Who sends a request, seen through the proxies that the operator trusts.

use std::net::IpAddr;
use std::sync::Arc;

use http::HeaderMap;
use http::header::HeaderName;
use ipnet::IpNet;

use crate::listener::Origin;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The sender of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The nearest address that no trusted proxy vouches for as being a proxy.
    pub address: IpAddr,
}

/// Whose `X-Forwarded-For` counts (AS-134).
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
    pub fn peer(&self, origin: &Origin, headers: &HeaderMap) -> Peer {
        let mut address = origin.address.ip();
        if self.0.is_empty() || !self.contains(address) {
            return Peer { address };
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
        Peer { address }
    }
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

    fn peer(trusted: &[&str], socket: &str, forwarded_for: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for line in forwarded_for {
            headers.append(FORWARDED_FOR, line.parse().unwrap());
        }
        let trusted = TrustedProxies::new(trusted.iter().map(|network| network.parse().unwrap()));
        let origin = Origin::new(socket.parse().unwrap(), false);
        trusted.peer(&origin, &headers).address.to_string()
    }

    #[test]
    fn as_134_forwarded_headers_of_strangers_are_ignored() {
        assert_eq!(peer(&["10.0.0.0/8"], "203.0.113.9:1", &["198.51.100.1"]), "203.0.113.9");
        assert_eq!(peer(&[], "10.0.0.1:1", &["198.51.100.1"]), "10.0.0.1");
    }

    #[test]
    fn as_134_the_rightmost_untrusted_hop_is_the_sender() {
        let chain = &["6.6.6.6, 198.51.100.7", "10.1.1.1, 10.2.2.2"];
        assert_eq!(peer(&["10.0.0.0/8"], "10.0.0.1:1", chain), "198.51.100.7");
    }

    #[test]
    fn a_chain_of_nothing_but_trusted_proxies_ends_at_its_leftmost() {
        assert_eq!(peer(&["10.0.0.0/8"], "10.0.0.1:1", &["10.3.3.3, 10.2.2.2"]), "10.3.3.3");
        assert_eq!(peer(&["10.0.0.0/8"], "10.0.0.1:1", &[]), "10.0.0.1");
    }

    #[test]
    fn a_hop_that_is_no_address_ends_the_reading() {
        let seen = peer(&["10.0.0.0/8"], "10.0.0.1:1", &["198.51.100.7, unknown, 10.2.2.2"]);
        assert_eq!(seen, "10.2.2.2");
    }

    #[test]
    fn ports_brackets_and_mapped_addresses_are_understood() {
        let from = |hop| peer(&["10.0.0.0/8"], "10.0.0.1:1", &[hop]);
        assert_eq!(from("198.51.100.7:4711"), "198.51.100.7");
        assert_eq!(from("[2001:db8::1]:4711"), "2001:db8::1");
        assert_eq!(from("[2001:db8::1]"), "2001:db8::1");
        assert_eq!(from("::ffff:198.51.100.7"), "198.51.100.7");
    }
}
