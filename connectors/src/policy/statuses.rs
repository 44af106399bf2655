//! What HTTP statuses mean: a table, and what a connection says differently.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use crate::Category;

/// Rows of a table: the first that fits decides.
pub type Rows = &'static [(RangeInclusive<u16>, Category)];

/// The meaning of statuses for one connection.
///
/// ```
/// use connectors::Category;
/// use connectors::policy::Statuses;
///
/// let table = &[(401..=401, Category::Auth), (400..=499, Category::Permanent)];
/// let statuses = Statuses::new(table, Category::Transient, &[(404, Category::Transient), (5, Category::Unknown)].into());
/// let found = [401, 403, 404, 502, 302].map(|status| statuses.category(status).as_str());
/// assert_eq!(found, ["auth", "permanent", "transient", "unknown", "transient"]);
/// ```
#[derive(Clone, Debug)]
pub struct Statuses {
    rows: Rows,
    rest: Category,
    differ: BTreeMap<u16, Category>,
}

impl Statuses {
    /// The table of `rows`, in which everything else is `rest`. What `differ` says wins: by status, or by class (`5` for every 5xx).
    pub fn new(rows: Rows, rest: Category, differ: &BTreeMap<u16, Category>) -> Self {
        Statuses { rows, rest, differ: differ.clone() }
    }

    /// What `status` means, which is no success.
    pub fn category(&self, status: u16) -> Category {
        let said = self.differ.get(&status).or_else(|| self.differ.get(&(status / 100)));
        let by_table = || self.rows.iter().find(|(row, _)| row.contains(&status)).map(|(_, category)| *category);
        said.copied().or_else(by_table).unwrap_or(self.rest)
    }
}
