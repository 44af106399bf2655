//! `filter: expression` lets pass what is true; `else` says how the others leave.
//!
//! ```yaml
//! paid:
//!   filter: event.amount
//!   else: {skip: nothing to pay}     # or transient, permanent; warn is skip with a warning in the log
//! ```

use std::sync::Arc;

use connectors::Category;

use super::{Apply, Document, Failure, Verdict};
use crate::expr::{Env, Expr, Json};
use crate::plan::{Leave, Place};

/// A built `filter`.
pub struct Filter {
    /// The name it binds (to true).
    pub name: Arc<str>,
    /// The condition.
    pub keep: Expr,
    /// How the others leave.
    pub otherwise: Leave,
    /// Where it is declared.
    pub place: Place,
}

impl Apply for Filter {
    fn apply(&mut self, document: Document, env: &Env) -> Verdict {
        match self.keep.test(&document.scope(env)) {
            Err(e) => Verdict::Failed(Failure::new(Category::Permanent, e.to_string(), &self.name, &self.place)),
            Ok(true) => Verdict::On(document.bind(&self.name, Json::from(true))),
            Ok(false) => Verdict::leave(&self.otherwise, None, &document.meta, &self.name, &self.place),
        }
    }
}
