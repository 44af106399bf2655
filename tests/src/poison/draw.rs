//! Malformed bytes without end: each is drawn from the corpus by its number, so a failure names what to look at.

use std::hash::{DefaultHasher, Hash, Hasher};

/// What the bytes are made from, one a line.
const CORPUS: &str = include_str!("corpus.txt");

/// What is put into the middle of things.
const MORSELS: [&[u8]; 14] = [
    b"\0",
    b"\xff\xfe",
    b"\xc3\x28",
    b"\xed\xa0\x80",
    b"\xef\xbb\xbf",
    b"\"",
    b"\\",
    b"\\u12",
    b"{",
    b"]",
    b",",
    b":",
    b"1e999999",
    b"-9223372036854775809",
];

/// A sequence of numbers.
pub struct Draw(u64);

impl Draw {
    /// The sequence of the `number`th case of `family`.
    pub fn new(family: &str, number: usize) -> Self {
        let mut hasher = DefaultHasher::new();
        (family, number).hash(&mut hasher);
        Draw(hasher.finish() | 1)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 11).unwrap() % end.max(1)
    }

    /// One of `choices`.
    pub fn of<'a, T: ?Sized>(&mut self, choices: &[&'a T]) -> &'a T {
        choices[self.below(choices.len())]
    }

    /// Malformed bytes. Some happen to be good: nobody can tell before they are read.
    pub fn bytes(&mut self) -> Vec<u8> {
        let lines: Vec<&str> = CORPUS.lines().collect();
        let mut bytes = self.of(&lines).as_bytes().to_vec();
        for _ in 0..self.below(4) {
            let at = self.below(bytes.len() + 1);
            match self.below(8) {
                0 => bytes.truncate(at),
                1 => drop(bytes.drain(..at)),
                2 => bytes.splice(at..at, self.of(&MORSELS).iter().copied()).for_each(drop),
                3 => {
                    if let Some(byte) = bytes.get_mut(at) {
                        *byte ^= 1 << self.below(8);
                    }
                }
                4 => {
                    let other = self.of(&lines).as_bytes();
                    let from = self.below(other.len());
                    bytes.truncate(at);
                    bytes.extend_from_slice(&other[from..]);
                }
                5 => {
                    let again = bytes[at..].to_vec();
                    bytes.extend(again);
                }
                // Deeper than anybody reads.
                6 => {
                    let deep = self.below(3000);
                    bytes.splice(at..at, [b"[".repeat(deep), b"{\"a\":".repeat(deep / 2)].concat()).for_each(drop);
                }
                _ => {
                    let long = self.below(20_000);
                    bytes.splice(at..at, vec![b'a' + (long % 26) as u8; long]).for_each(drop);
                }
            }
        }
        bytes
    }
}

#[test]
fn the_same_number_is_the_same_bytes_and_numbers_differ() {
    let bytes = |number| Draw::new("a", number).bytes();
    assert_eq!(bytes(5), bytes(5));
    let all: std::collections::BTreeSet<Vec<u8>> = (0..1000).map(bytes).collect();
    assert!(all.len() > 600, "{} of a thousand", all.len());
    let broken = (0..1000).filter(|n| serde_json::from_slice::<serde_json::Value>(&bytes(*n)).is_err()).count();
    assert!((300..950).contains(&broken), "{broken} of a thousand are no JSON");
}
