//! A bounded map whose rows expire.

use std::borrow::Borrow;
use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;

use thv_clock::Timestamp;

/// Holds at most `capacity` rows; when full, the row that expires first makes room. Insertion drops what has expired, so
/// that memory follows the living rows without a sweeping task.
pub(super) struct ExpiringMap<K, V> {
    rows: HashMap<K, (V, Timestamp)>,
    by_expiry: BTreeSet<(Timestamp, K)>,
    capacity: usize,
}

impl<K: Clone + Eq + Hash + Ord, V> ExpiringMap<K, V> {
    pub(super) fn new(capacity: usize) -> Self {
        Self { rows: HashMap::new(), by_expiry: BTreeSet::new(), capacity: capacity.max(1) }
    }

    /// `None`, and nothing changed, when there is no room and the row that expires first may not be dropped.
    pub(super) fn insert(
        &mut self,
        key: K,
        value: V,
        expires_at: Timestamp,
        now: Timestamp,
        may_be_dropped: impl Fn(&V) -> bool,
    ) -> Option<()> {
        let replaced = self.remove(&key);
        while let Some((soonest, first)) = self.by_expiry.first() {
            if *soonest > now {
                if replaced.is_some() || self.rows.len() < self.capacity {
                    break;
                }
                if !self.rows.get(first).is_none_or(|(value, _)| may_be_dropped(value)) {
                    return None;
                }
            }
            if let Some((_, oldest)) = self.by_expiry.pop_first() {
                self.rows.remove(&oldest);
            }
        }
        self.by_expiry.insert((expires_at, key.clone()));
        self.rows.insert(key, (value, expires_at));
        Some(())
    }

    pub(super) fn live<Q>(&self, key: &Q, now: Timestamp) -> Option<(&V, Timestamp)>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let (value, expires_at) = self.rows.get(key)?;
        (*expires_at > now).then_some((value, *expires_at))
    }

    pub(super) fn remove<Q>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let (key, (value, expires_at)) = self.rows.remove_entry(key)?;
        self.by_expiry.remove(&(expires_at, key));
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Timestamp {
        Timestamp::from_secs(secs)
    }

    #[test]
    fn the_row_that_expires_first_makes_room() {
        let mut map = ExpiringMap::new(2);
        map.insert("late", 1, at(30), at(0), |_| true);
        map.insert("soon", 2, at(10), at(0), |_| true);
        map.insert("new", 3, at(20), at(0), |_| true);
        assert_eq!(map.live(&"soon", at(0)), None);
        assert_eq!(map.live(&"late", at(0)), Some((&1, at(30))));
        assert_eq!(map.live(&"new", at(0)), Some((&3, at(20))));
    }

    #[test]
    fn expired_rows_are_neither_seen_nor_kept() {
        let mut map = ExpiringMap::new(100);
        for key in 0..50 {
            map.insert(key, (), at(10), at(0), |_| true);
        }
        assert_eq!(map.live(&1, at(10)), None);
        map.insert(99, (), at(30), at(11), |_| true);
        assert_eq!((map.rows.len(), map.by_expiry.len()), (1, 1));
    }

    #[test]
    fn replacing_a_row_keeps_one() {
        let mut map = ExpiringMap::new(2);
        map.insert("a", 1, at(10), at(0), |_| true);
        map.insert("a", 2, at(20), at(0), |_| true);
        assert_eq!(map.live(&"a", at(15)), Some((&2, at(20))));
        assert_eq!(map.by_expiry.len(), 1);
    }
}
