//! The first thing that happens to a message: its text becomes JSON, its declared fields become one object.
//!
//! A message that [`Tape`] reads stays the text that it is: a field is a place in it, or what was computed, see [`Record`].
//! Every other message becomes a tree, and its fields an object in the order of their declaration; both ways mean the same.

use std::sync::Arc;

use connectors::table::ColumnType;
use sonic_rs::{JsonValueTrait, Object};

use super::json::{self, JsonError};
use super::record::Record;
use super::tape::Tape;
use super::value::{NULL, Value};
use super::{Bindings, Env, EvalError, Expr, Json, Mismatch, Root, Scope, cell_to_json, coerce};

/// A declared field.
#[derive(Clone, Debug)]
pub struct Field {
    /// Its name.
    pub name: Arc<str>,
    /// What it is computed from; the message's own key of the same name without.
    pub expr: Option<Expr>,
    /// Its type; none keeps the value as it is.
    pub kind: Option<ColumnType>,
    /// Whether a message without it is refused.
    pub required: bool,
}

/// Fields, ready to be read.
#[derive(Clone, Debug)]
pub struct Fields {
    fields: Vec<Field>,
    names: Arc<[Arc<str>]>,
    /// What the object of all fields is bound to, and what the message.
    event: Arc<str>,
    raw: Arc<str>,
    /// Whether a field asks for the whole scope, which a tape does not have.
    whole: bool,
}

/// Why a message has no fields.
#[derive(Clone, Debug, PartialEq)]
pub enum Unread {
    /// It is no JSON.
    NotJson(JsonError),
    /// It is no object.
    NotAnObject,
    /// The expression of the field at this index has no value.
    Eval(usize, EvalError),
    /// The value of the field at this index does not fit its type.
    Mismatch(usize, Mismatch),
    /// The field at this index is required and null.
    Missing(usize),
}

impl Fields {
    /// These fields, bound to `event`; the message is bound to `raw`.
    pub fn new(fields: Vec<Field>, event: Arc<str>, raw: Arc<str>) -> Self {
        let names = fields.iter().map(|field| field.name.clone()).collect();
        let whole = fields.iter().filter_map(|field| field.expr.as_ref()).any(|e| e.paths().iter().any(Vec::is_empty));
        Fields { fields, names, event, raw, whole }
    }

    /// The name of the field at this index.
    pub fn name(&self, index: usize) -> &str {
        self.names.get(index).map_or("", |name| name)
    }

    /// Reads `payload` and binds its fields, `beside` them another value, and the message too, if it is to be kept.
    pub fn read(
        &self,
        payload: &[u8],
        beside: Option<(Arc<str>, Json)>,
        keep: bool,
        env: &Env,
    ) -> Result<Bindings, Unread> {
        let mut bound = Bindings::with_capacity(4);
        if let Some((name, value)) = beside {
            bound.set(name, value);
        }
        let tape = if self.whole { None } else { std::str::from_utf8(payload).ok().and_then(Tape::read) };
        match tape {
            Some(tape) => self.of_tape(tape, bound, keep, env),
            None => self.of_tree(json::parse(payload).map_err(Unread::NotJson)?, bound, keep, env),
        }
    }

    /// The same on either way, for comparison: of a tape, if the message is read as one, and of a tree.
    #[cfg(test)]
    pub(crate) fn both_ways(
        &self,
        payload: &[u8],
        env: &Env,
    ) -> (Option<Result<Bindings, Unread>>, Result<Bindings, Unread>) {
        let tape = std::str::from_utf8(payload).ok().and_then(Tape::read);
        let tree = json::parse(payload).map_err(Unread::NotJson);
        (
            tape.map(|tape| self.of_tape(tape, Bindings::default(), true, env)),
            tree.and_then(|tree| self.of_tree(tree, Bindings::default(), true, env)),
        )
    }

    /// The fields of a message as it came.
    fn of_tape(&self, tape: Tape, mut bindings: Bindings, keep: bool, env: &Env) -> Result<Bindings, Unread> {
        if tape.root().kind() != sonic_rs::JsonType::Object {
            return Err(Unread::NotAnObject);
        }
        let tape = Arc::new(tape);
        let mut event = Record::new(tape.clone(), self.names.clone());
        for (index, field) in self.fields.iter().enumerate() {
            let scope;
            let value = match &field.expr {
                None => tape.root().get(&field.name).map_or(NULL, Value::Part),
                Some(expr) => {
                    let root = Root::Fields(tape.root(), &self.event, &event);
                    scope = Scope { bindings: &bindings, root: Some(root), env };
                    expr.compute(&scope).map_err(|e| Unread::Eval(index, e))?
                }
            };
            let value = match field.kind {
                None => value,
                Some(kind) => value.converted(kind).map_err(|e| Unread::Mismatch(index, e))?,
            };
            if field.required && value.is_null() {
                return Err(Unread::Missing(index));
            }
            let kept = event.keep(value);
            event.push(kept);
        }
        bindings.set_record(self.event.clone(), event);
        if keep {
            bindings.set_tape(self.raw.clone(), tape);
        }
        Ok(bindings)
    }

    /// The fields of a message that is a tree.
    fn of_tree(&self, raw: Json, mut bindings: Bindings, keep: bool, env: &Env) -> Result<Bindings, Unread> {
        if !raw.is_object() {
            return Err(Unread::NotAnObject);
        }
        let mut event = Object::with_capacity(self.fields.len());
        // Later fields may be computed from earlier ones; few declarations need that, so `event` is bound only for those.
        for (index, field) in self.fields.iter().enumerate() {
            let value = match &field.expr {
                None => raw.get(&*field.name).cloned().unwrap_or_default(),
                Some(expr) => {
                    if expr.paths().iter().any(|p| p.first().is_some_and(|root| **root == *self.event)) {
                        bindings.set(self.event.clone(), event.clone().into_value());
                    }
                    let scope = Scope { bindings: &bindings, root: Some((&raw).into()), env };
                    expr.eval(&scope).map_err(|e| Unread::Eval(index, e))?
                }
            };
            let value = match field.kind {
                None => value,
                Some(kind) => {
                    let cell = coerce(kind, &value).map_err(|e| Unread::Mismatch(index, e))?;
                    cell_to_json(&cell, kind)
                }
            };
            if field.required && value.is_null() {
                return Err(Unread::Missing(index));
            }
            event.insert(&*field.name, value);
        }
        bindings.set(self.event.clone(), event.into_value());
        if keep {
            bindings.set(self.raw.clone(), raw);
        }
        Ok(bindings)
    }
}
