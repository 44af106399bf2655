//! Draws: pseudo-random values as a pure function of a seed and of what they are for.
//!
//! A draw has no state. `draw.with("city").with(7)` is always the same draw, in every run and on every machine, so that
//! whatever is derived from it can be derived again: by a restarted run, by a test, by the expectation. It is not meant to
//! be unpredictable, only well mixed.

use std::hash::Hasher;

/// A point in the space of draws.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Draw(u64);

/// What a draw can be narrowed by.
pub(super) trait Salt {
    /// Its 64 bits.
    fn bits(&self) -> u64;
}

impl Salt for u64 {
    fn bits(&self) -> u64 {
        *self
    }
}

impl Salt for &str {
    fn bits(&self) -> u64 {
        let mut hash = Fnv(0xcbf2_9ce4_8422_2325);
        hash.write(self.as_bytes());
        hash.finish()
    }
}

/// The 64-bit Fowler-Noll-Vo hash (1a), which is the same everywhere; std's default hasher promises nothing across versions.
struct Fnv(u64);

impl Hasher for Fnv {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
}

/// The finaliser of SplitMix64.
fn mix(mut z: u64) -> u64 {
    z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Draw {
    /// The root of all draws of a seed.
    pub(super) fn of(seed: u64) -> Draw {
        Draw(mix(seed))
    }

    /// The draw for one purpose below this one.
    pub(super) fn with(self, salt: impl Salt) -> Draw {
        Draw(mix(self.0.rotate_left(23) ^ salt.bits()))
    }

    /// 64 bits.
    pub(super) fn bits(self) -> u64 {
        mix(self.0)
    }

    /// A number in `0..1`.
    pub(super) fn unit(self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A number in `0..n`; 0 when `n` is 0.
    pub(super) fn below(self, n: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(n)) >> 64) as u64
    }

    /// A number in `low..=high`.
    pub(super) fn between(self, low: i64, high: i64) -> i64 {
        let width = high.wrapping_sub(low).max(0) as u64;
        low.wrapping_add(self.below(width.saturating_add(1)) as i64)
    }

    /// True at `rate` (0 never, 1 always).
    pub(super) fn chance(self, rate: f64) -> bool {
        self.unit() < rate
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_values_never_change() {
        // Seeds of old runs must give the same events in new builds: these numbers are part of the contract.
        assert_eq!(Draw::of(1).with("a").with(2).bits(), Draw::of(1).with("a").with(2).bits());
        assert_ne!(Draw::of(1).with("a").bits(), Draw::of(2).with("a").bits());
        assert_eq!("".bits(), 0xcbf2_9ce4_8422_2325);
        assert_eq!("a".bits(), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(mix(0), 0xe220_a839_7b1d_cdaf);
    }

    #[test]
    fn draws_fall_evenly_and_in_range() {
        let mut sums = [0_u32; 10];
        for i in 0..20_000 {
            let draw = Draw::of(7).with("even").with(i);
            sums[usize::try_from(draw.below(10)).unwrap()] += 1;
            assert!((-3..=4).contains(&draw.between(-3, 4)));
            assert!((0.0..1.0).contains(&draw.unit()));
        }
        assert!(sums.iter().all(|n| (1_800..2_200).contains(n)), "{sums:?}");
        assert_eq!(Draw::of(7).below(0), 0);
        assert_eq!(Draw::of(7).between(5, 5), 5);
        assert!(!Draw::of(7).chance(0.0));
        assert!(Draw::of(7).chance(1.0));
    }
}
