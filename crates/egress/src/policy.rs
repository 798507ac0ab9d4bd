//! Which addresses may be dialled.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::address::{SpecialUse, special_use};

/// Which addresses may be dialled beside global unicast, and where some hosts are found without asking DNS.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// Special-use networks that may be dialled all the same: a private identity provider, an air-gapped mirror. Without
    /// [`Policy::plain_http`] also the only destinations that may be reached by plain `http`.
    pub allow_cidrs: Vec<IpNet>,
    /// Where a host is found, keyed `host:port` in lower case (`[::1]:443` for an IPv6 literal), as `curl --resolve` does.
    /// The address is judged like any other.
    pub host_overrides: HashMap<String, SocketAddr>,
    /// Whether every address that may be dialled may be reached by plain `http`. It permits no further address.
    pub plain_http: bool,
}

impl Policy {
    /// Global unicast only.
    pub fn public() -> Self {
        Self::default()
    }

    /// Global unicast and the own host; for development only (AS-74).
    pub fn with_loopback() -> Self {
        let v4 = Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8);
        let v6 = Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128);
        Self { allow_cidrs: vec![IpNet::V4(v4), IpNet::V6(v6)], ..Self::default() }
    }

    /// Global unicast, the own host and private networks: what a user reaches whose own server is there. Link-local
    /// addresses, among them the clouds' metadata services, stay out.
    pub fn with_local_networks() -> Self {
        let v4 = [(10, 0, 8), (172, 16, 12), (192, 168, 16), (100, 64, 10)];
        let v4 = v4.map(|(a, b, length)| IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(a, b, 0, 0), length)));
        let unique_local = IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7));
        let mut policy = Self::with_loopback();
        policy.allow_cidrs.extend(v4);
        policy.allow_cidrs.push(unique_local);
        policy
    }

    /// Judges an address that is about to be dialled.
    ///
    /// # Errors
    /// The special use of an address that is neither global unicast nor in [`Policy::allow_cidrs`].
    pub fn permits(&self, ip: IpAddr) -> Result<(), SpecialUse> {
        match special_use(ip) {
            Some(special) if !self.allows(ip) => Err(special),
            _ => Ok(()),
        }
    }

    /// Whether the operator listed the address, as itself or as the IPv4 address that it maps (RFC 4291 §2.5.5.2). One under
    /// which a cloud serves credentials has to be listed by itself: who lists the network around it means the others.
    pub fn allows(&self, ip: IpAddr) -> bool {
        let canonical = ip.to_canonical();
        let alone = special_use(ip) == Some(SpecialUse::Metadata);
        let mut listed =
            self.allow_cidrs.iter().filter(|net| !alone || net.prefix_len() == net.max_prefix_len());
        listed.any(|net| net.contains(&ip) || net.contains(&canonical))
    }

    /// Whether nobody minds that the address is reached by plain `http`.
    pub(crate) fn permits_plain_http(&self, ip: IpAddr) -> bool {
        self.plain_http || self.allows(ip)
    }

    /// Where the operator says that `host` is found on `port`.
    pub(crate) fn host_override(&self, host: &str, port: u16) -> Option<SocketAddr> {
        if self.host_overrides.is_empty() {
            return None;
        }
        self.host_overrides.get(&format!("{}:{port}", host.to_ascii_lowercase())).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn as_74_loopback_is_permitted_in_development_only() {
        assert_eq!(Policy::public().permits(ip("127.0.0.1")), Err(SpecialUse::Loopback));
        let development = Policy::with_loopback();
        for text in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            assert_eq!(development.permits(ip(text)), Ok(()), "{text}");
        }
        assert_eq!(development.permits(ip("10.0.0.1")), Err(SpecialUse::Private));
        assert_eq!(development.permits(ip("64:ff9b::127.0.0.1")), Err(SpecialUse::Loopback));
    }

    #[test]
    fn a_listed_network_is_permitted_and_its_neighbours_are_not() {
        let policy = Policy { allow_cidrs: vec!["10.1.0.0/16".parse().unwrap()], ..Policy::public() };
        assert_eq!(policy.permits(ip("10.1.2.3")), Ok(()));
        assert_eq!(policy.permits(ip("::ffff:10.1.2.3")), Ok(()));
        assert_eq!(policy.permits(ip("10.2.0.1")), Err(SpecialUse::Private));
        assert_eq!(policy.permits(ip("8.8.8.8")), Ok(()));
        assert!(!policy.allows(ip("8.8.8.8")));
    }

    #[test]
    fn cl_11_local_networks_have_no_metadata_services() {
        let mut local = Policy::with_local_networks();
        for text in ["127.0.0.1", "::1", "10.1.2.3", "172.31.0.1", "192.168.1.1", "100.64.0.1", "fd00::1"] {
            assert_eq!(local.permits(ip(text)), Ok(()), "{text}");
        }
        for text in ["169.254.169.254", "fd00:ec2::254", "100.100.100.200", "fe80::1", "0.0.0.0", "224.0.0.1"]
        {
            assert!(local.permits(ip(text)).is_err(), "{text}");
        }
        local.allow_cidrs.push("100.100.100.200/32".parse().unwrap());
        assert_eq!(
            local.permits(ip("100.100.100.200")),
            Ok(()),
            "an address that is listed by itself is meant"
        );
    }

    #[test]
    fn an_override_is_found_by_host_in_any_case_and_port() {
        let address: SocketAddr = "10.0.0.1:8443".parse().unwrap();
        let host_overrides = HashMap::from([("idp.test:443".to_owned(), address)]);
        let policy = Policy { host_overrides, ..Policy::public() };
        assert_eq!(policy.host_override("IdP.test", 443), Some(address));
        assert_eq!(policy.host_override("idp.test", 444), None);
    }
}
