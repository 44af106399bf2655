//! Keys that appear twice in one object: found without sorting, and settled as nearly every reader of JSON settles them.

use sonic_rs::{JsonContainerTrait, JsonType, JsonValueTrait};

use super::Json;
use super::json::{elements, object};

/// Whether a key appears twice in one object.
pub(super) fn has_repeated_key(root: &Json) -> bool {
    let mut pending = vec![root];
    let mut keys: Vec<&str> = Vec::new();
    while let Some(value) = pending.pop() {
        let is_container = |value: &&Json| matches!(value.get_type(), JsonType::Object | JsonType::Array);
        let Some(object) = value.as_object() else {
            pending.extend(elements(value).iter().filter(is_container));
            continue;
        };
        keys.clear();
        for (key, child) in object.iter() {
            keys.push(key);
            pending.extend(Some(child).filter(is_container));
        }
        if is_repeated(&mut keys) {
            return true;
        }
    }
    false
}

/// Whether a key is in `keys` twice; may reorder them.
pub(super) fn is_repeated(keys: &mut [&str]) -> bool {
    const PLACES: usize = 128;
    if keys.len() > PLACES / 2 {
        keys.sort_unstable();
        return keys.windows(2).any(|pair| pair.first() == pair.last());
    }
    // Open addressing: the number of the key at each place, zero where there is none.
    let mut places = [0u8; PLACES];
    for (number, key) in (1u8..).zip(keys.iter()) {
        let mut at = hash(key) % PLACES;
        while let Some(held) = places.get(at).copied().filter(|held| *held > 0) {
            if keys.get(usize::from(held) - 1) == Some(key) {
                return true;
            }
            at = (at + 1) % PLACES;
        }
        if let Some(place) = places.get_mut(at) {
            *place = number;
        }
    }
    false
}

/// Of the length, the first and the last bytes of a key.
fn hash(key: &str) -> usize {
    let bytes = key.as_bytes();
    let word = |part: Option<&[u8; 4]>| part.map_or(0, |part| u32::from_le_bytes(*part));
    let (first, last) = match bytes {
        [a, b, c, ..] if bytes.len() < 4 => (u32::from_le_bytes([*a, *b, *c, 0]), 0),
        [a, rest @ ..] if bytes.len() < 3 => (u32::from(*a), rest.first().copied().map_or(0, u32::from)),
        _ => (word(bytes.first_chunk()), word(bytes.last_chunk())),
    };
    let mixed = (u64::from(first) << 32 | u64::from(last)) ^ (bytes.len() as u64) << 24;
    (mixed.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 57) as usize
}

/// The same value with one value for each key: the last. The parser's own look-up finds the first.
pub(super) fn last_wins(value: &Json) -> Json {
    match value.as_object() {
        Some(members) => object(members.iter().map(|(key, child)| (key, last_wins(child)))),
        None if value.is_array() => Json::from(elements(value).iter().map(last_wins).collect::<Vec<_>>()),
        None => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_keys_are_found_among_few_and_many() {
        for count in [0, 1, 2, 3, 17, 63, 64, 65, 200] {
            let keys: Vec<String> = (0..count).map(|n| "k".repeat(n % 9) + &n.to_string()).collect();
            let mut distinct: Vec<&str> = keys.iter().map(String::as_str).collect();
            assert!(!is_repeated(&mut distinct.clone()), "{count}");
            if let Some(first) = keys.first() {
                distinct.push(first);
                assert!(is_repeated(&mut distinct), "{count}");
            }
        }
        assert!(is_repeated(&mut ["", ""]) && !is_repeated(&mut ["", "a", "b", "ab", "ba"]));
    }
}
