//! `route` binds labels by a value. Every label of the stage is bound, to true or false; a value that no case names is dead
//! or skipped, as `else` says, so no message falls between the cases.
//!
//! ```yaml
//! kind:
//!   route:
//!     by: event.type
//!     cases: {CREATED: [order], SHIPPED: [order, parcel]}
//!     else: dead
//! ```

use std::sync::Arc;

use connectors::Category;
use hashbrown::HashMap;
use sonic_rs::JsonValueTrait;

use super::{Apply, Document, Failure, Verdict};
use crate::expr::{Env, Expr, Json};
use crate::plan::{Leave, Place};

/// A built `route`.
pub struct Route {
    name: Arc<str>,
    by: Expr,
    cases: HashMap<String, Json>,
    otherwise: Leave,
    place: Place,
}

impl Route {
    /// Builds the labels of each case once.
    pub fn new<'a>(
        name: Arc<str>,
        by: Expr,
        cases: impl Iterator<Item = (&'a String, &'a Vec<Arc<str>>)>,
        labels: &[Arc<str>],
        otherwise: Leave,
        place: Place,
    ) -> Self {
        let cases = cases
            .map(|(value, set)| {
                let mut object = sonic_rs::Object::new();
                for label in labels {
                    object.insert(&**label, Json::from(set.contains(label)));
                }
                (value.clone(), object.into_value())
            })
            .collect();
        Route { name, by, cases, otherwise, place }
    }
}

impl Route {
    /// The case of `value`, and its labels.
    fn case(&self, value: &Json) -> Option<(&String, &Json)> {
        match value.as_str() {
            Some(text) => self.cases.get_key_value(text),
            None => self.cases.get_key_value(&value.to_string()),
        }
    }
}

impl Apply for Route {
    fn apply(&mut self, document: Document, env: &Env) -> Verdict {
        let value = match self.by.eval(&document.scope(env)) {
            Ok(value) => value,
            Err(e) => {
                return Verdict::Failed(Failure::new(Category::Permanent, e.to_string(), &self.name, &self.place));
            }
        };
        match self.case(&value) {
            Some((_, labels)) => Verdict::On(document.bind(&self.name, labels.clone())),
            None => Verdict::leave(&self.otherwise, Some(value.to_string()), &document.meta, &self.name, &self.place),
        }
    }

    fn branch(&self, document: &Document, env: &Env) -> Option<String> {
        let value = self.by.eval(&document.scope(env)).ok()?;
        self.case(&value).map(|(case, _)| case.clone())
    }
}
