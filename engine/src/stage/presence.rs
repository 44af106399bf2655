//! Which keys a table is known to hold, for `present('table', key)`.
//!
//! The answer "yes" is always true: a key is entered when a row of it is on its way into the table, and a child's commit
//! waits for its parent's. "No" can be wrong (the set is bounded, the oldest keys leave); a topology then makes a call that
//! it could have spared. A row counts when it holds the version of the table's first column group: a placeholder that
//! another group made does not.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use hashbrown::HashSet;

/// A bounded set of keys, by 128-bit hash.
pub struct Presence {
    inner: Mutex<Inner>,
    capacity: usize,
}

#[derive(Default)]
struct Inner {
    keys: HashSet<u128>,
    order: VecDeque<u128>,
}

impl Presence {
    /// A set of at most `capacity` keys.
    pub fn new(capacity: usize) -> Self {
        Presence { inner: Mutex::default(), capacity: capacity.max(1) }
    }

    /// Enters `key`.
    pub fn insert(&self, key: &str) {
        let hash = hash(key);
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.keys.insert(hash) {
            inner.order.push_back(hash);
            if inner.order.len() > self.capacity
                && let Some(oldest) = inner.order.pop_front()
            {
                inner.keys.remove(&oldest);
            }
        }
    }

    /// Whether `key` is known to be there.
    pub fn contains(&self, key: &str) -> bool {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).keys.contains(&hash(key))
    }
}

/// A 128-bit hash of `text`: two SipHashes of 64 bits behind different prefixes. A collision needs about 2^64 keys.
pub fn hash(text: &str) -> u128 {
    use std::hash::{DefaultHasher, Hasher};
    let half = |prefix: u8| {
        let mut hasher = DefaultHasher::new();
        hasher.write_u8(prefix);
        hasher.write(text.as_bytes());
        hasher.finish()
    };
    (u128::from(half(1)) << 64) | u128::from(half(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_key_leaves_first() {
        let presence = Presence::new(2);
        for key in ["a", "b", "a", "c"] {
            presence.insert(key);
        }
        assert_eq!([false, true, true], ["a", "b", "c"].map(|k| presence.contains(k)));
    }
}
