//! A bounded map whose rows expire.

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

    pub(super) fn insert(&mut self, key: K, value: V, expires_at: Timestamp, now: Timestamp) {
        self.remove(&key);
        while let Some((soonest, _)) = self.by_expiry.first() {
            if *soonest > now && self.rows.len() < self.capacity {
                break;
            }
            if let Some((_, oldest)) = self.by_expiry.pop_first() {
                self.rows.remove(&oldest);
            }
        }
        self.by_expiry.insert((expires_at, key.clone()));
        self.rows.insert(key, (value, expires_at));
    }

    pub(super) fn live(&self, key: &K, now: Timestamp) -> Option<&V> {
        self.rows.get(key).filter(|(_, expires_at)| *expires_at > now).map(|(value, _)| value)
    }

    pub(super) fn live_mut(&mut self, key: &K, now: Timestamp) -> Option<&mut V> {
        self.rows.get_mut(key).filter(|(_, expires_at)| *expires_at > now).map(|(value, _)| value)
    }

    pub(super) fn remove(&mut self, key: &K) -> Option<V> {
        let (value, expires_at) = self.rows.remove(key)?;
        self.by_expiry.remove(&(expires_at, key.clone()));
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
        map.insert("late", 1, at(30), at(0));
        map.insert("soon", 2, at(10), at(0));
        map.insert("new", 3, at(20), at(0));
        assert_eq!(map.live(&"soon", at(0)), None);
        assert_eq!(map.live(&"late", at(0)), Some(&1));
        assert_eq!(map.live(&"new", at(0)), Some(&3));
    }

    #[test]
    fn expired_rows_are_neither_seen_nor_kept() {
        let mut map = ExpiringMap::new(100);
        for key in 0..50 {
            map.insert(key, (), at(10), at(0));
        }
        assert_eq!(map.live(&1, at(10)), None);
        map.insert(99, (), at(30), at(11));
        assert_eq!((map.rows.len(), map.by_expiry.len()), (1, 1));
    }

    #[test]
    fn replacing_a_row_keeps_one() {
        let mut map = ExpiringMap::new(2);
        map.insert("a", 1, at(10), at(0));
        map.insert("a", 2, at(20), at(0));
        assert_eq!(map.live(&"a", at(15)), Some(&2));
        assert_eq!(map.by_expiry.len(), 1);
    }
}
