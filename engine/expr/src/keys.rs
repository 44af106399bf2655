//! Which rows of a batch stay when each key stays once.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

/// Of each key the row that none of the others comes before, in any order; nothing if every key is there once. `before` says of
/// two rows whether the first comes before the second.
///
/// ```
/// use expr::keys::first_of_each;
/// assert_eq!(first_of_each(&[b"a", b"b"], &|_, _| false), None);
/// assert_eq!(first_of_each(&[b"a", b"a"], &|a, b| a > b), Some(vec![1]));
/// ```
pub fn first_of_each(keys: &[&[u8]], before: &dyn Fn(u32, u32) -> bool) -> Option<Vec<u32>> {
    let hasher = DefaultHashBuilder::default();
    let key = |row: u32| keys.get(row as usize).copied().unwrap_or_default();
    // The table holds no more than the numbers of rows, so that it stays near.
    let mut chosen: HashTable<u32> = HashTable::with_capacity(keys.len());
    let mut twice = false;
    for (row, bytes) in (0u32..).zip(keys) {
        let hash = hasher.hash_one(bytes);
        match chosen.find_mut(hash, |held| key(*held) == *bytes) {
            None => {
                chosen.insert_unique(hash, row, |held| hasher.hash_one(key(*held)));
            }
            Some(held) => {
                twice = true;
                if before(row, *held) {
                    *held = row;
                }
            }
        }
    }
    twice.then(|| chosen.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_first_stays(rows in prop::collection::vec(("[ab]{0,3}", 0u8..9), 0..40)) {
            let keys: Vec<&[u8]> = rows.iter().map(|(key, _)| key.as_bytes()).collect();
            let age = |row: u32| rows.get(row as usize).map(|(_, age)| (*age, row));
            let mut wanted: BTreeMap<&[u8], u32> = BTreeMap::new();
            for (row, key) in (0..).zip(&keys) {
                let held = wanted.entry(key).or_insert(row);
                *held = if age(row) < age(*held) { row } else { *held };
            }
            let found = first_of_each(&keys, &|a, b| age(a) < age(b));
            prop_assert_eq!(found.is_none(), wanted.len() == keys.len());
            if let Some(mut found) = found {
                found.sort_unstable();
                let mut wanted: Vec<u32> = wanted.into_values().collect();
                wanted.sort_unstable();
                prop_assert_eq!(found, wanted);
            }
        }
    }
}
