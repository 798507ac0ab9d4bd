//! Keys that are exchanged while requests run.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;

use crate::at_rest::AtRestRing;
use crate::hmac::HmacRing;
use crate::keyring::KeyRing;

/// The signing keys in force; every clone sees a replacement at once.
pub type KeyHandle = Reloadable<KeyRing>;

/// The HMAC secrets in force; every clone sees a replacement at once.
pub type HmacHandle = Reloadable<HmacRing>;

/// The keys in force that encrypt records at rest; every clone sees a replacement at once.
pub type AtRestHandle = Reloadable<AtRestRing>;

/// A shared value that is replaced as a whole. Clones are cheap and share the value.
pub struct Reloadable<T>(Arc<Cell<T>>);

struct Cell<T> {
    value: ArcSwap<T>,
    generation: AtomicU64,
}

impl<T> Reloadable<T> {
    /// A handle to `value`, generation 0.
    pub fn new(value: T) -> Self {
        Self(Arc::new(Cell { value: ArcSwap::from_pointee(value), generation: AtomicU64::new(0) }))
    }

    /// The value in force. Load once per request, so that the request sees one set of keys.
    pub fn load(&self) -> Arc<T> {
        self.0.value.load_full()
    }

    /// Puts `value` in force and starts a new generation.
    pub fn replace(&self, value: T) {
        self.0.value.store(Arc::new(value));
        self.0.generation.fetch_add(1, Ordering::SeqCst);
    }

    /// A number that changes with every replacement.
    ///
    /// A cache of verdicts reads it *before* [`load`](Self::load): what it then computes can be newer than the number says,
    /// never older.
    pub fn generation(&self) -> u64 {
        self.0.generation.load(Ordering::SeqCst)
    }
}

impl<T> Clone for Reloadable<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> fmt::Debug for Reloadable<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reloadable").field("generation", &self.generation()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_see_a_replacement_and_its_generation() {
        let handle = Reloadable::new(1);
        let clone = handle.clone();
        let loaded = clone.load();
        handle.replace(2);
        assert_eq!((*loaded, *clone.load()), (1, 2));
        assert_eq!(clone.generation(), 1);
    }
}
