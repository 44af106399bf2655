//! Views: `aggregate` stages, kept up to date by differential.
//!
//! Each document is one update of its group, with its count and sums as the difference; `count_total` keeps the total of each
//! group and says what changed. What is shown is as of the newest epoch that passed the stage; documents go on unchanged.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use differential_dataflow::AsCollection;
use differential_dataflow::difference::{IsZero, Semigroup};
use differential_dataflow::operators::CountTotal;
use indexmap::IndexMap;
use sonic_rs::JsonValueTrait;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::generic::Operator;

use super::operators::Surroundings;
use super::{Builder, Epoch, Stream};
use crate::expr::Expr;
use crate::stage::Document;

/// The count and the sums of one group.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct Totals {
    /// How many documents.
    pub count: i64,
    /// The sums, in the order of their declaration, fractions cut.
    pub sums: Vec<i64>,
}

impl IsZero for Totals {
    fn is_zero(&self) -> bool {
        self.count == 0 && self.sums.iter().all(|s| *s == 0)
    }
}

impl Semigroup for Totals {
    fn plus_equals(&mut self, rhs: &Self) {
        self.count = self.count.saturating_add(rhs.count);
        self.sums.resize(self.sums.len().max(rhs.sums.len()), 0);
        for (mine, theirs) in self.sums.iter_mut().zip(&rhs.sums) {
            *mine = mine.saturating_add(*theirs);
        }
    }
}

/// A view that others read while the flow runs: totals by group.
#[derive(Clone, Debug, Default)]
pub struct View(Arc<Mutex<BTreeMap<Vec<String>, Totals>>>);

impl View {
    /// What it shows now.
    pub fn snapshot(&self) -> BTreeMap<Vec<String>, Totals> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn update(&self, group: &[String], totals: &Totals, diff: isize) {
        let mut view = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if diff > 0 {
            view.insert(group.to_vec(), totals.clone());
        } else if view.get(group) == Some(totals) {
            view.remove(group);
        }
    }
}

/// Feeds `view` from `documents`.
pub(crate) fn aggregate(
    documents: Stream<'_, Document>,
    by: &IndexMap<Arc<str>, Expr>,
    sum: &IndexMap<Arc<str>, Expr>,
    surroundings: Surroundings,
    view: View,
) {
    let (by, sum): (Vec<Expr>, Vec<Expr>) = (by.values().cloned().collect(), sum.values().cloned().collect());
    let updates = documents.unary::<Builder<(Vec<String>, Epoch, Totals)>, _, _, _>(Pipeline, "Group", |_, _| {
        move |input, output| {
            let env = surroundings.env();
            input.for_each(|time, data| {
                let Some(capability) = time.retain_least(0) else { return };
                let epoch = *capability.time();
                let mut session = output.session(&capability);
                for document in data.drain(..) {
                    let scope = document.scope(&env);
                    let text =
                        |e: &Expr| e.eval(&scope).map_or_else(|_| String::new(), |v| crate::stage::dedup::key_text(&v));
                    let number = |e: &Expr| e.eval(&scope).ok().and_then(|v| v.as_f64()).unwrap_or(0.0) as i64;
                    let totals = Totals { count: 1, sums: sum.iter().map(number).collect() };
                    session.give((by.iter().map(text).collect(), epoch, totals));
                }
            });
        }
    });
    updates.as_collection().count_total().inspect(move |((group, totals), _, diff)| view.update(group, totals, *diff));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_add_up_and_a_retraction_of_the_old_total_does_not_remove_the_new_one() {
        let mut totals = Totals { count: 1, sums: vec![2] };
        totals.plus_equals(&Totals { count: 1, sums: vec![3] });
        assert_eq!(totals, Totals { count: 2, sums: vec![5] });
        let view = View::default();
        let group = vec!["a".to_owned()];
        view.update(&group, &totals, 1);
        view.update(&group, &Totals { count: 1, sums: vec![2] }, -1);
        assert_eq!(view.snapshot().get(&group), Some(&totals));
    }
}
