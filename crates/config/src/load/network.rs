//! Addresses and networks, with errors that say what to write.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use serde::{Deserialize, Deserializer, de};

/// A network with its host bits cleared.
struct Cidr(IpNet);

impl<'de> Deserialize<'de> for Cidr {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match text.parse::<IpNet>() {
            Ok(network) => Ok(Self(network.trunc())),
            Err(_) => Err(de::Error::custom(match text.parse::<IpAddr>() {
                Ok(address) => {
                    format!("{text:?} is an address, not a network; write {}", IpNet::from(address))
                }
                Err(_) => format!("{text:?} is not a network; write one such as 10.0.0.0/8 or fd00::/8"),
            })),
        }
    }
}

struct Address(SocketAddr);

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Self).map_err(|_| {
            de::Error::custom(format!(
                "{text:?} is not an IP address with a port; write one such as 127.0.0.1:8080 or [::1]:8080"
            ))
        })
    }
}

pub(crate) fn socket_addr<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    Address::deserialize(deserializer).map(|address| address.0)
}

pub(crate) fn optional_socket_addr<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<SocketAddr>, D::Error> {
    Ok(Option::<Address>::deserialize(deserializer)?.map(|address| address.0))
}

pub(crate) fn cidrs<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<IpNet>, D::Error> {
    Ok(Vec::<Cidr>::deserialize(deserializer)?.into_iter().map(|cidr| cidr.0).collect())
}

pub(crate) fn host_overrides<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, SocketAddr>, D::Error> {
    let overrides = BTreeMap::<String, Address>::deserialize(deserializer)?;
    Ok(overrides.into_iter().map(|(host, address)| (host, address.0)).collect())
}
