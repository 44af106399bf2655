//! `pick: expression` binds a value; `missing` says what a null means.
//!
//! ```yaml
//! photo:
//!   from: photos
//!   pick: find(list(photos, 'items'), 'id', event.photo_id)
//!   missing: {transient: the photo is not in the answer yet}
//! ```
//! Without `missing` a null is not an error: the document goes on, not produced.

use std::sync::Arc;

use connectors::Category;
use sonic_rs::JsonValueTrait;

use super::{Apply, Document, Failure, Verdict};
use crate::expr::{Env, Expr};
use crate::plan::{Leave, Place};

/// A built `pick`.
pub struct Pick {
    /// The name it binds.
    pub name: Arc<str>,
    /// The value.
    pub value: Expr,
    /// What a null means.
    pub missing: Option<Leave>,
    /// Where it is declared.
    pub place: Place,
}

impl Apply for Pick {
    fn apply(&mut self, document: Document, env: &Env) -> Verdict {
        match self.value.eval(&document.scope(env)) {
            Err(e) => Verdict::Failed(Failure::new(Category::Permanent, e.to_string(), &self.name, &self.place)),
            Ok(value) if value.is_null() => match &self.missing {
                Some(leave) => Verdict::leave(leave, None, &document.meta, &self.name, &self.place),
                None => Verdict::On(document.pass(&self.name)),
            },
            Ok(value) => Verdict::On(document.bind(&self.name, value)),
        }
    }
}
