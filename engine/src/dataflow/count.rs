//! Counters that are written on hot paths: relaxed atomics, read by whoever shows them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use connectors::Category;

/// A count for each category of failure.
#[derive(Debug, Default)]
pub struct ByCategory([AtomicU64; Category::ALL.len()]);

impl ByCategory {
    /// Counts one.
    pub fn add(&self, category: Category) {
        if let Some(count) = self.0.get(category as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Each category with its count.
    pub fn each(&self) -> impl Iterator<Item = (Category, u64)> {
        Category::ALL.into_iter().zip(&self.0).map(|(category, count)| (category, count.load(Ordering::Relaxed)))
    }

    /// All of them.
    pub fn total(&self) -> u64 {
        self.each().map(|(_, count)| count).sum()
    }
}

/// The upper bounds of a [`Durations`], in milliseconds; what is longer is counted beyond the last.
pub const BOUNDS: [u64; 12] = [5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 60_000];

/// How long something took, as a histogram.
#[derive(Debug, Default)]
pub struct Durations {
    counts: [AtomicU64; BOUNDS.len() + 1],
    micros: AtomicU64,
}

impl Durations {
    /// Counts one that took `took`.
    pub fn add(&self, took: Duration) {
        let bucket = BOUNDS.iter().position(|bound| took <= Duration::from_millis(*bound)).unwrap_or(BOUNDS.len());
        if let Some(count) = self.counts.get(bucket) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.micros.fetch_add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// For each bound, and beyond the last, how many were within it and not within the one before.
    pub fn counts(&self) -> [u64; BOUNDS.len() + 1] {
        std::array::from_fn(|at| self.counts.get(at).map_or(0, |count| count.load(Ordering::Relaxed)))
    }

    /// The sum of all, in seconds.
    pub fn seconds(&self) -> f64 {
        self.micros.load(Ordering::Relaxed) as f64 / 1e6
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_where_they_belong() {
        let failures = ByCategory::default();
        for category in [Category::Auth, Category::Permanent, Category::Auth] {
            failures.add(category);
        }
        let counted: Vec<_> = failures.each().filter(|(_, count)| *count > 0).collect();
        assert_eq!((counted, failures.total()), (vec![(Category::Auth, 2), (Category::Permanent, 1)], 3));

        let commits = Durations::default();
        for millis in [5, 6, 60_000, 60_001] {
            commits.add(Duration::from_millis(millis));
        }
        let counts = commits.counts();
        assert_eq!((counts[0], counts[1], counts[11], counts[12]), (1, 1, 1, 1), "{counts:?}");
        assert!((commits.seconds() - 120.012).abs() < 1e-9);
    }
}
