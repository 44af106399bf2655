//! `each: expression` makes one document of each element of a list; an element and what was bound above are both in sight.
//!
//! ```yaml
//! item:
//!   from: order
//!   each: order.items
//! ```
//! Null elements are left out; what is not a list has no elements. A message whose list is empty is done.

use std::sync::Arc;

use connectors::Category;
use sonic_rs::{JsonContainerTrait, JsonValueTrait};

use super::{Apply, Document, Failure, Verdict};
use crate::expr::{Env, Expr, Json};
use crate::plan::Place;

/// A built `each`.
pub struct Each {
    /// The name it binds.
    pub name: Arc<str>,
    /// The list.
    pub list: Expr,
    /// Where it is declared.
    pub place: Place,
}

impl Apply for Each {
    fn apply(&mut self, document: Document, env: &Env) -> Verdict {
        match self.list.eval(&document.scope(env)) {
            Err(e) => Verdict::Failed(Failure::new(Category::Permanent, e.to_string(), &self.name, &self.place)),
            Ok(list) => {
                let elements = list.as_array().map(|a| a.iter()).into_iter().flatten().filter(|e| !e.is_null());
                let one = |(place, element): (u64, &Json)| {
                    let mut one = document.clone().bind(&self.name, element.clone());
                    // A list within a list: the outer place counts first.
                    one.element = document.element.wrapping_mul(1 << 20).wrapping_add(place);
                    one
                };
                Verdict::Many((1..).zip(elements).map(one).collect())
            }
        }
    }
}
