//! Which addresses are not on the public internet: the IANA special-purpose registries of RFC 6890, and the forms in
//! which an IPv6 address carries an IPv4 one (AS-73, AS-75).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The special purpose that keeps an address from being dialled, named after the registry's entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SpecialUse {
    /// `0.0.0.0` and `::`: many systems take them for the own host.
    Unspecified,
    /// The rest of `0.0.0.0/8`, "this network" (RFC 791 §3.2).
    ThisNetwork,
    /// `127.0.0.0/8` and `::1` (RFC 1122 §3.2.1.3, RFC 4291 §2.5.3).
    Loopback,
    /// `10.0.0.0/8`, `172.16.0.0/12` and `192.168.0.0/16` (RFC 1918).
    Private,
    /// `169.254.0.0/16` and `fe80::/10` (RFC 3927, RFC 4291 §2.5.6).
    LinkLocal,
    /// `fc00::/7` (RFC 4193), and the site-local `fec0::/10` that it replaced (RFC 3879).
    UniqueLocal,
    /// `100.64.0.0/10`, shared by carrier-grade NATs (RFC 6598).
    Cgnat,
    /// An address under which a cloud serves instance metadata or credentials.
    Metadata,
    /// IETF protocol assignments: `192.0.0.0/24` and `2001::/23` (RFC 6890 §2.1, RFC 2928).
    ProtocolAssignments,
    /// Addresses for examples (RFC 5737, RFC 3849, RFC 9637).
    Documentation,
    /// Addresses for device benchmarks: `198.18.0.0/15` and `2001:2::/48` (RFC 2544, RFC 5180).
    Benchmarking,
    /// The AS112 project's sinks for private reverse lookups (RFC 7534, RFC 7535).
    As112,
    /// Automatic multicast tunneling: `192.52.193.0/24` (RFC 7450).
    Amt,
    /// `192.88.99.0/24`, the retired 6to4 relay anycast (RFC 7526).
    RelayAnycast,
    /// `224.0.0.0/4` and `ff00::/8` (RFC 5771, RFC 4291 §2.7).
    Multicast,
    /// `240.0.0.0/4` (RFC 1112 §4) and all of IPv6 outside `2000::/3` that has no other name here (RFC 4291 §2.4).
    Reserved,
    /// `255.255.255.255` (RFC 919 §7).
    Broadcast,
    /// `100::/64` and `100:0:0:1::/64`, where packets vanish (RFC 6666, RFC 9780).
    Discard,
    /// `5f00::/16`, segment routing identifiers (RFC 9602).
    SegmentRouting,
    /// `::/96` around an otherwise public IPv4 address, deprecated (RFC 4291 §2.5.5.1).
    V4Compatible,
    /// `64:ff9b:1::/48`, NAT64 prefixes of local meaning (RFC 8215).
    Nat64Local,
    /// `2001::/32`, a tunnel whose far end the address names (RFC 4380).
    Teredo,
    /// `2002::/16`, a tunnel whose far end the address names (RFC 3056).
    SixToFour,
}

impl fmt::Display for SpecialUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unspecified => "unspecified",
            Self::ThisNetwork => "this network",
            Self::Loopback => "loopback",
            Self::Private => "private",
            Self::LinkLocal => "link-local",
            Self::UniqueLocal => "unique local",
            Self::Cgnat => "carrier-grade NAT",
            Self::Metadata => "cloud metadata",
            Self::ProtocolAssignments => "IETF protocol assignments",
            Self::Documentation => "documentation",
            Self::Benchmarking => "benchmarking",
            Self::As112 => "AS112",
            Self::Amt => "automatic multicast tunneling",
            Self::RelayAnycast => "6to4 relay anycast",
            Self::Multicast => "multicast",
            Self::Reserved => "reserved",
            Self::Broadcast => "broadcast",
            Self::Discard => "discard-only",
            Self::SegmentRouting => "segment routing",
            Self::V4Compatible => "IPv4-compatible",
            Self::Nat64Local => "local NAT64",
            Self::Teredo => "Teredo",
            Self::SixToFour => "6to4",
        })
    }
}

/// A network: its first address, its prefix length, its purpose.
type Entry<A> = (A, u32, SpecialUse);

/// The first match names the purpose, so a narrower network stands before the one around it.
const V4: &[Entry<Ipv4Addr>] = &[
    (Ipv4Addr::new(0, 0, 0, 0), 32, SpecialUse::Unspecified),
    (Ipv4Addr::new(0, 0, 0, 0), 8, SpecialUse::ThisNetwork),
    (Ipv4Addr::new(10, 0, 0, 0), 8, SpecialUse::Private),
    (Ipv4Addr::new(100, 100, 100, 200), 32, SpecialUse::Metadata), // Alibaba Cloud
    (Ipv4Addr::new(100, 64, 0, 0), 10, SpecialUse::Cgnat),
    (Ipv4Addr::new(127, 0, 0, 0), 8, SpecialUse::Loopback),
    (Ipv4Addr::new(168, 63, 129, 16), 32, SpecialUse::Metadata), // Azure's wire server, though globally routable
    (Ipv4Addr::new(169, 254, 169, 254), 32, SpecialUse::Metadata), // AWS, Azure, Google Cloud and others
    (Ipv4Addr::new(169, 254, 170, 2), 32, SpecialUse::Metadata), // AWS ECS task credentials
    (Ipv4Addr::new(169, 254, 170, 23), 32, SpecialUse::Metadata), // AWS EKS pod identity
    (Ipv4Addr::new(169, 254, 0, 23), 32, SpecialUse::Metadata),  // Tencent Cloud
    (Ipv4Addr::new(169, 254, 0, 0), 16, SpecialUse::LinkLocal),
    (Ipv4Addr::new(172, 16, 0, 0), 12, SpecialUse::Private),
    (Ipv4Addr::new(192, 0, 0, 192), 32, SpecialUse::Metadata), // Oracle Cloud
    (Ipv4Addr::new(192, 0, 0, 0), 24, SpecialUse::ProtocolAssignments),
    (Ipv4Addr::new(192, 0, 2, 0), 24, SpecialUse::Documentation),
    (Ipv4Addr::new(192, 31, 196, 0), 24, SpecialUse::As112),
    (Ipv4Addr::new(192, 52, 193, 0), 24, SpecialUse::Amt),
    (Ipv4Addr::new(192, 88, 99, 0), 24, SpecialUse::RelayAnycast),
    (Ipv4Addr::new(192, 168, 0, 0), 16, SpecialUse::Private),
    (Ipv4Addr::new(192, 175, 48, 0), 24, SpecialUse::As112),
    (Ipv4Addr::new(198, 18, 0, 0), 15, SpecialUse::Benchmarking),
    (Ipv4Addr::new(198, 51, 100, 0), 24, SpecialUse::Documentation),
    (Ipv4Addr::new(203, 0, 113, 0), 24, SpecialUse::Documentation),
    (Ipv4Addr::new(224, 0, 0, 0), 4, SpecialUse::Multicast),
    (Ipv4Addr::new(255, 255, 255, 255), 32, SpecialUse::Broadcast),
    (Ipv4Addr::new(240, 0, 0, 0), 4, SpecialUse::Reserved),
];

/// As [`V4`]; addresses that carry an IPv4 one are judged before this table.
const V6: &[Entry<Ipv6Addr>] = &[
    (Ipv6Addr::UNSPECIFIED, 128, SpecialUse::Unspecified),
    (Ipv6Addr::LOCALHOST, 128, SpecialUse::Loopback),
    (v6(0x64, 0xff9b, 1, 0), 48, SpecialUse::Nat64Local),
    (v6(0x100, 0, 0, 0), 64, SpecialUse::Discard),
    (v6(0x100, 0, 0, 1), 64, SpecialUse::Discard),
    (v6(0x2001, 0, 0, 0), 32, SpecialUse::Teredo),
    (v6(0x2001, 2, 0, 0), 48, SpecialUse::Benchmarking),
    (v6(0x2001, 0, 0, 0), 23, SpecialUse::ProtocolAssignments),
    (v6(0x2001, 0xdb8, 0, 0), 32, SpecialUse::Documentation),
    (v6(0x2002, 0, 0, 0), 16, SpecialUse::SixToFour),
    (v6(0x2620, 0x4f, 0x8000, 0), 48, SpecialUse::As112),
    (v6(0x3fff, 0, 0, 0), 20, SpecialUse::Documentation),
    (v6(0x5f00, 0, 0, 0), 16, SpecialUse::SegmentRouting),
    (Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254), 128, SpecialUse::Metadata), // AWS
    (Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23), 128, SpecialUse::Metadata),  // AWS EKS pod identity
    (Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254), 128, SpecialUse::Metadata),  // Google Cloud
    (Ipv6Addr::new(0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42), 128, SpecialUse::Metadata),   // Scaleway
    (v6(0xfc00, 0, 0, 0), 7, SpecialUse::UniqueLocal),
    (v6(0xfe80, 0, 0, 0), 10, SpecialUse::LinkLocal),
    (v6(0xfec0, 0, 0, 0), 10, SpecialUse::UniqueLocal),
    (v6(0xff00, 0, 0, 0), 8, SpecialUse::Multicast),
];

/// What IANA has delegated as global unicast; anything outside is refused (RFC 4291 §2.4).
const GLOBAL_UNICAST: (Ipv6Addr, u32) = (v6(0x2000, 0, 0, 0), 3);

const fn v6(a: u16, b: u16, c: u16, d: u16) -> Ipv6Addr {
    Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0)
}

/// The special purpose of an address; `None` for global unicast.
///
/// An IPv4 address inside an IPv4-mapped, NAT64 (`64:ff9b::/96`) or IPv4-compatible one is judged as itself. The tunnels
/// 6to4 and Teredo and the local NAT64 prefix are refused whatever they carry: nobody publishes a document there, and
/// where the packet would surface is not ours to know.
pub fn special_use(ip: IpAddr) -> Option<SpecialUse> {
    match ip {
        IpAddr::V4(ip) => special_v4(ip),
        IpAddr::V6(ip) => special_v6(ip),
    }
}

fn special_v4(ip: Ipv4Addr) -> Option<SpecialUse> {
    V4.iter()
        .find(|(net, prefix, _)| net.to_bits() ^ ip.to_bits() <= u32::MAX.unbounded_shr(*prefix))
        .map(|e| e.2)
}

fn special_v6(ip: Ipv6Addr) -> Option<SpecialUse> {
    if let Some(embedded) = ip.to_ipv4_mapped().or_else(|| nat64(ip)) {
        return special_v4(embedded);
    }
    if let Some((.., special)) = V6.iter().find(|(net, prefix, _)| within(ip, *net, *prefix)) {
        return Some(*special);
    }
    if within(ip, Ipv6Addr::UNSPECIFIED, 96) {
        return special_v4(low_v4(ip)).or(Some(SpecialUse::V4Compatible));
    }
    let (net, prefix) = GLOBAL_UNICAST;
    (!within(ip, net, prefix)).then_some(SpecialUse::Reserved)
}

/// The IPv4 address behind the well-known NAT64 prefix `64:ff9b::/96`, which public DNS64 answers use (RFC 6052 §2.1).
fn nat64(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    within(ip, v6(0x64, 0xff9b, 0, 0), 96).then(|| low_v4(ip))
}

fn low_v4(ip: Ipv6Addr) -> Ipv4Addr {
    let [.., a, b, c, d] = ip.octets();
    Ipv4Addr::new(a, b, c, d)
}

fn within(ip: Ipv6Addr, net: Ipv6Addr, prefix: u32) -> bool {
    net.to_bits() ^ ip.to_bits() <= u128::MAX.unbounded_shr(prefix)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(text: &str) -> Option<SpecialUse> {
        special_use(text.parse().unwrap())
    }

    #[test]
    fn as_73_every_special_purpose_registry_entry_is_named() {
        use SpecialUse::*;
        for (text, expected) in [
            ("0.0.0.0", Unspecified),
            ("0.0.0.1", ThisNetwork),
            ("10.0.0.0", Private),
            ("10.255.255.255", Private),
            ("100.64.0.0", Cgnat),
            ("100.127.255.255", Cgnat),
            ("100.100.100.200", Metadata),
            ("127.0.0.1", Loopback),
            ("127.255.255.255", Loopback),
            ("168.63.129.16", Metadata),
            ("169.254.0.1", LinkLocal),
            ("169.254.169.254", Metadata),
            ("169.254.170.2", Metadata),
            ("172.16.0.0", Private),
            ("172.31.255.255", Private),
            ("192.0.0.1", ProtocolAssignments),
            ("192.0.0.192", Metadata),
            ("192.0.2.255", Documentation),
            ("192.31.196.1", As112),
            ("192.52.193.1", Amt),
            ("192.88.99.1", RelayAnycast),
            ("192.168.0.1", Private),
            ("192.175.48.1", As112),
            ("198.18.0.0", Benchmarking),
            ("198.19.255.255", Benchmarking),
            ("198.51.100.1", Documentation),
            ("203.0.113.1", Documentation),
            ("224.0.0.1", Multicast),
            ("239.255.255.255", Multicast),
            ("240.0.0.1", Reserved),
            ("255.255.255.254", Reserved),
            ("255.255.255.255", Broadcast),
            ("::", Unspecified),
            ("::1", Loopback),
            ("::8.8.8.8", V4Compatible),
            ("::127.0.0.1", Loopback),
            ("::ffff:127.0.0.1", Loopback),
            ("::ffff:0:127.0.0.1", Reserved),
            ("64:ff9b::10.0.0.1", Private),
            ("64:ff9b::a9fe:a9fe", Metadata),
            ("64:ff9b:1::8.8.8.8", Nat64Local),
            ("64:ff9b:2::1", Reserved),
            ("100::1", Discard),
            ("100:0:0:1::1", Discard),
            ("2001::1", Teredo),
            ("2001:0:4136:e378:8000:63bf:3fff:fdd2", Teredo),
            ("2001:2::1", Benchmarking),
            ("2001:1::1", ProtocolAssignments),
            ("2001:20::1", ProtocolAssignments),
            ("2001:db8::1", Documentation),
            ("2002:7f00:1::", SixToFour),
            ("2002:808:808::1", SixToFour),
            ("2620:4f:8000::1", As112),
            ("3fff::1", Documentation),
            ("5f00::1", SegmentRouting),
            ("4000::1", Reserved),
            ("fc00::1", UniqueLocal),
            ("fd00:ec2::254", Metadata),
            ("fd20:ce::254", Metadata),
            ("fdff::1", UniqueLocal),
            ("fe80::1", LinkLocal),
            ("fec0::1", UniqueLocal),
            ("ff02::1", Multicast),
        ] {
            assert_eq!(of(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn as_73_global_unicast_beside_the_registries_stays_reachable() {
        for text in [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "169.253.255.255",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "::ffff:8.8.8.8",
            "64:ff9b::8.8.8.8",
            "2000::1",
            "2001:200::1",
            "2001:4860:4860::8888",
            "2001:db9::1",
            "2003::1",
            "2606:4700::1111",
            "3ffe:ffff::1",
        ] {
            assert_eq!(of(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn judging_never_panics_and_nothing_outside_global_unicast_passes(bits: u128) {
            let ip = Ipv6Addr::from_bits(bits);
            let carrier = ip.to_ipv4_mapped().is_some() || nat64(ip).is_some();
            prop_assert!(special_use(ip.into()).is_some() || carrier || bits >> 125 == 1);
        }

        #[test]
        fn as_75_an_embedded_v4_address_is_judged_as_itself(bits: u32) {
            let own = special_use(Ipv4Addr::from_bits(bits).into());
            let inside = |prefix: u128| special_use(Ipv6Addr::from_bits(prefix << 32 | u128::from(bits)).into());
            prop_assert_eq!(inside(0xffff), own, "v4-mapped");
            prop_assert_eq!(inside(0x0064_ff9b << 64), own, "NAT64");
            prop_assert!(inside(0).is_some(), "v4-compatible");
            prop_assert_eq!(inside(0x0064_ff9b_0001 << 48), Some(SpecialUse::Nat64Local));
            let tunnel = Ipv6Addr::from_bits(0x2002 << 112 | u128::from(bits) << 80);
            prop_assert_eq!(special_use(tunnel.into()), Some(SpecialUse::SixToFour));
        }
    }
}
