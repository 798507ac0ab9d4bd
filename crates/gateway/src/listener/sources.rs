use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

/// How many connections each source address holds. Never more entries than open connections.
#[derive(Clone)]
pub(super) struct Sources {
    held: Arc<Mutex<HashMap<IpAddr, usize>>>,
    bound: usize,
}

/// One connection's place in [`Sources`], given back when dropped.
pub(super) struct Share {
    sources: Sources,
    key: IpAddr,
}

impl Sources {
    pub(super) fn new(bound: usize) -> Self {
        Self { held: Arc::default(), bound }
    }

    /// A share for one more connection from `address`, unless it holds as many as it may.
    pub(super) fn take(&self, address: IpAddr) -> Option<Share> {
        let key = network(address);
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let count = held.entry(key).or_insert(0);
        if *count >= self.bound {
            return None;
        }
        *count += 1;
        Some(Share { sources: self.clone(), key })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut held = self.sources.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = held.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                held.remove(&self.key);
            }
        }
    }
}

/// A host on IPv6 has a whole /64 of addresses to itself.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => {
            let prefix = v6.to_bits() >> 64 << 64;
            IpAddr::V6(Ipv6Addr::from_bits(prefix))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_holds_no_more_than_its_bound_and_leaves_nothing_behind() {
        let sources = Sources::new(2);
        let one: IpAddr = "192.0.2.1".parse().unwrap();
        let first = sources.take(one).unwrap();
        let _second = sources.take(one).unwrap();
        assert!(sources.take(one).is_none());
        assert!(sources.take("192.0.2.2".parse().unwrap()).is_some());
        drop(first);
        assert!(sources.take(one).is_some());
        assert_eq!(sources.held.lock().unwrap().len(), 1);
    }

    #[test]
    fn the_addresses_of_one_ipv6_host_are_one_source() {
        let sources = Sources::new(1);
        let _held = sources.take("2001:db8:0:1::1".parse().unwrap()).unwrap();
        assert!(sources.take("2001:db8:0:1:ffff::2".parse().unwrap()).is_none());
        assert!(sources.take("2001:db8:0:2::1".parse().unwrap()).is_some());
    }
}
