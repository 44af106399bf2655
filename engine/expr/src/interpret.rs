//! Evaluation of a parsed expression.
//!
//! Values are borrowed from the scope as long as they are parts of it, see [`Value`]; what a function or a projection makes is
//! owned. The recursion is as deep as the expression, never as deep as the data.

use std::borrow::Cow;

use sonic_rs::{JsonType, JsonValueTrait};

use super::functions::{Fault, Run};
use super::parse::{By, Comparator, Node};
use super::value::{NULL, Value};
use super::{Json, Scope, json};

/// What the current node (`@`) is: everything in scope, or a value that a part of the expression led to.
enum Current<'c> {
    Scope,
    Value(Value<'c>),
}

/// A fault and the place in the expression where it is; boxed, because every value passes where a fault could.
pub(super) struct Located(Box<(usize, Fault)>);

impl Located {
    #[cold]
    fn at(offset: usize, fault: Fault) -> Located {
        Located(Box::new((offset, fault)))
    }

    pub(super) fn in_expression(self, text: &str) -> super::EvalError {
        let (offset, fault) = *self.0;
        super::EvalError { message: fault.0, offset, expression: text.to_owned() }
    }
}

/// Whether the value of `node` at the root of `scope` is true.
pub(super) fn holds(node: &Node, scope: &Scope<'_>) -> Result<bool, Located> {
    Interpreter { scope }.truth(node, &Current::Scope)
}

/// The value of `node` at the root of `scope`.
pub(super) fn evaluate<'c>(node: &'c Node, scope: &'c Scope<'_>) -> Result<Value<'c>, Located> {
    Interpreter { scope }.eval(node, &Current::Scope)
}

struct Interpreter<'c> {
    scope: &'c Scope<'c>,
}

impl<'c> Interpreter<'c> {
    fn eval(&self, node: &'c Node, current: &Current<'c>) -> Result<Value<'c>, Located> {
        Ok(match node {
            Node::Identity => match current {
                Current::Value(value) => value.clone(),
                Current::Scope => self.everything(),
            },
            Node::Field(name) => match current {
                Current::Value(value) => value.clone().into_member(name),
                Current::Scope => self.scope.get(name),
            },
            Node::Text(text) => Value::from(text.as_str()),
            Node::Literal(value) => Value::from(value),
            Node::Index(at) => self.here(current).map_or(NULL, |value| value.into_element(*at)),
            Node::Then(left, right) => {
                let value = self.eval(left, current)?;
                // What is led through needs no current node.
                match &**right {
                    Node::Field(name) => value.into_member(name),
                    Node::Index(at) => value.into_element(*at),
                    right => self.eval(right, &Current::Value(value))?,
                }
            }
            Node::Or(left, right) => {
                let left = self.eval(left, current)?;
                if left.is_true() { left } else { self.eval(right, current)? }
            }
            Node::And(left, right) => {
                let left = self.eval(left, current)?;
                if left.is_true() { self.eval(right, current)? } else { left }
            }
            Node::Not(node) => Value::from(!self.truth(node, current)?),
            Node::Condition(condition, then) => {
                if self.truth(condition, current)? {
                    self.eval(then, current)?
                } else {
                    NULL
                }
            }
            Node::If(condition, then, otherwise) => {
                let branch = if self.truth(condition, current)? { then } else { otherwise };
                self.eval(branch, current)?
            }
            Node::Coalesce(nodes) => {
                for node in nodes {
                    let value = self.eval(node, current)?;
                    if !value.is_null() {
                        return Ok(value);
                    }
                }
                NULL
            }
            Node::Compare(comparator, left, right) => {
                let (left, right) = (self.eval(left, current)?, self.eval(right, current)?);
                compare(*comparator, left, right).map_or(NULL, Value::from)
            }
            Node::Call { run, arguments, offset } => self.call(*run, arguments, *offset, current)?,
            lists => self.lists(lists, current)?,
        })
    }

    /// Whether the value of `node` is true.
    fn truth(&self, node: &'c Node, current: &Current<'c>) -> Result<bool, Located> {
        Ok(match node {
            Node::And(left, right) => self.truth(left, current)? && self.truth(right, current)?,
            Node::Or(left, right) => self.truth(left, current)? || self.truth(right, current)?,
            Node::Not(node) => !self.truth(node, current)?,
            Node::Compare(comparator, left, right) => {
                compare(*comparator, self.eval(left, current)?, self.eval(right, current)?) == Some(true)
            }
            node => self.eval(node, current)?.is_true(),
        })
    }

    /// The same of what makes lists and objects; apart, so that the way of all others is short.
    #[inline(never)]
    fn lists(&self, node: &'c Node, current: &Current<'c>) -> Result<Value<'c>, Located> {
        Ok(match node {
            Node::Slice { start, stop, step } => {
                let Some(elements) = self.here(current).and_then(Value::into_elements) else { return Ok(NULL) };
                Value::List(slice(&elements, *start, *stop, *step))
            }
            Node::Project(left, right) => {
                let Some(elements) = self.eval(left, current)?.into_elements() else { return Ok(NULL) };
                let mut values = self.each(elements, right)?;
                values.retain(|value| !value.is_null());
                Value::List(values)
            }
            Node::Flatten(node) => {
                let Some(elements) = self.eval(node, current)?.into_elements() else { return Ok(NULL) };
                let mut flat = Vec::with_capacity(elements.len());
                for element in elements {
                    if element.kind() == JsonType::Array {
                        flat.extend(element.into_elements().unwrap_or_default());
                    } else {
                        flat.push(element);
                    }
                }
                Value::List(flat)
            }
            Node::Values(node) => self.eval(node, current)?.into_members().map_or(NULL, Value::List),
            Node::MultiList(nodes) => {
                if self.is_null(current) {
                    return Ok(NULL);
                }
                Value::List(nodes.iter().map(|node| self.eval(node, current)).collect::<Result<_, _>>()?)
            }
            Node::MultiHash(pairs) => {
                if self.is_null(current) {
                    return Ok(NULL);
                }
                let pairs = pairs
                    .iter()
                    .map(|(key, node)| Ok((key.as_str(), self.eval(node, current)?.into_json().into_owned())));
                Value::from(json::object(pairs.collect::<Result<Vec<_>, _>>()?))
            }
            Node::By { by, name, list: over, key, offset } => {
                let value = self.eval(over, current)?;
                let located = |fault| Located::at(*offset, fault);
                let kind = json::kind_name(value.kind());
                let Some(elements) = value.into_elements() else {
                    return Err(located(Fault(format!("`{name}` wants an array, not {kind}"))));
                };
                if matches!(by, By::Map) {
                    return Ok(Value::List(self.each(elements, key)?));
                }
                let keys = self.each(elements.clone(), key)?;
                let keys: Vec<Json> = keys.into_iter().map(|key| key.into_json().into_owned()).collect();
                let mut order = sortable(name, &keys).map_err(located)?;
                if matches!(by, By::Sort) {
                    order.sort_by(|a, b| order_of(a.1, b.1));
                    return Ok(Value::List(
                        order.into_iter().filter_map(|(at, _)| elements.get(at).cloned()).collect(),
                    ));
                }
                let best = order.into_iter().reduce(|best, next| {
                    let order = order_of(next.1, best.1);
                    if if matches!(by, By::Min) { order.is_lt() } else { order.is_gt() } { next } else { best }
                });
                best.and_then(|(at, _)| elements.get(at).cloned()).unwrap_or(NULL)
            }
            _ => NULL,
        })
    }

    #[inline(always)]
    fn call(
        &self,
        run: Run,
        arguments: &'c [Node],
        offset: usize,
        current: &Current<'c>,
    ) -> Result<Value<'c>, Located> {
        let located = |fault| Located::at(offset, fault);
        // The common counts of arguments need no allocation.
        match (run, arguments) {
            (Run::Values(run), []) => run(&mut [], self.scope.env),
            (Run::Values(run), [a]) => run(&mut [self.eval(a, current)?], self.scope.env),
            (Run::Values(run), [a, b]) => run(&mut [self.eval(a, current)?, self.eval(b, current)?], self.scope.env),
            (Run::Values(run), many) => {
                let values = many.iter().map(|node| self.eval(node, current));
                run(&mut values.collect::<Result<Vec<_>, _>>()?, self.scope.env)
            }
            (Run::Json(run), arguments) => {
                let values = arguments.iter().map(|node| self.eval(node, current).map(Value::into_json));
                run(&values.collect::<Result<Vec<Cow<'c, Json>>, _>>()?, self.scope.env).map(Value::from)
            }
        }
        .map_err(located)
    }

    /// The value of `node` for each of `elements`.
    fn each(&self, elements: Vec<Value<'c>>, node: &'c Node) -> Result<Vec<Value<'c>>, Located> {
        elements.into_iter().map(|element| self.eval(node, &Current::Value(element))).collect()
    }

    /// The current value, or the root where the current node is the scope.
    fn here(&self, current: &Current<'c>) -> Option<Value<'c>> {
        match current {
            Current::Value(value) => Some(value.clone()),
            Current::Scope => self.scope.root.map(|root| root.value()),
        }
    }

    fn is_null(&self, current: &Current<'c>) -> bool {
        match current {
            Current::Value(value) => value.is_null(),
            Current::Scope => {
                self.scope.bindings.is_empty() && self.scope.root.is_none_or(|root| root.value().is_null())
            }
        }
    }

    /// `@` at the root: the root itself, or an object of all that is bound.
    fn everything(&self) -> Value<'c> {
        let root = self.scope.root.map(|root| root.value());
        if self.scope.bindings.is_empty() {
            return root.unwrap_or(NULL);
        }
        let root = root.map(Value::into_json);
        let root = root.as_deref().map(json::entries).unwrap_or_default();
        let root = root.into_iter().map(|(key, value)| (key, value.clone()));
        let bound = self.scope.bindings.iter().map(|(name, value)| (&**name, value.clone()));
        Value::from(json::object(root.chain(bound)))
    }
}

fn slice<T: Clone>(array: &[T], start: Option<i32>, stop: Option<i32>, step: i32) -> Vec<T> {
    let (len, step) = (array.len() as i64, i64::from(step));
    let clamp = |at: i32| {
        let at = i64::from(at) + if at < 0 { len } else { 0 };
        if step > 0 { at.clamp(0, len) } else { at.clamp(-1, len - 1) }
    };
    let mut at = start.map_or(if step > 0 { 0 } else { len - 1 }, clamp);
    let stop = stop.map_or(if step > 0 { len } else { -1 }, clamp);
    let mut taken = Vec::new();
    while if step > 0 { at < stop } else { at > stop } {
        taken.extend(usize::try_from(at).ok().and_then(|at| array.get(at)).cloned());
        at += step;
    }
    taken
}

/// The result of a comparison; nothing where an order is asked of what are neither two numbers nor two instants.
fn compare(comparator: Comparator, left: Value<'_>, right: Value<'_>) -> Option<bool> {
    Some(match comparator {
        Comparator::Equal => left.equals(&right),
        Comparator::NotEqual => !left.equals(&right),
        order => {
            let found = match (left.kind(), right.kind()) {
                (JsonType::String, JsonType::String) => left.as_instant()?.cmp(&right.as_instant()?),
                _ => json::compare_numbers(&left.into_json(), &right.into_json())?,
            };
            match order {
                Comparator::Less => found.is_lt(),
                Comparator::LessOrEqual => found.is_le(),
                Comparator::Greater => found.is_gt(),
                _ => found.is_ge(),
            }
        }
    })
}

/// The positions and keys to sort by, if all keys are numbers or all are texts.
fn sortable<'k>(name: &str, keys: &'k [Json]) -> Result<Vec<(usize, &'k Json)>, Fault> {
    if keys.iter().all(|key| key.is_number()) || keys.iter().all(|key| key.is_str()) {
        return Ok(keys.iter().enumerate().collect());
    }
    Err(Fault(format!(
        "`{name}` wants an expression that is a number for every element, or a string for every element"
    )))
}

/// The order of two numbers or two texts.
pub(super) fn order_of(a: &Json, b: &Json) -> std::cmp::Ordering {
    match (a.as_str(), b.as_str()) {
        (Some(a), Some(b)) => a.cmp(b),
        _ => json::compare_numbers(a, b).unwrap_or(std::cmp::Ordering::Equal),
    }
}
