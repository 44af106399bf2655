//! Evaluation of a parsed expression.
//!
//! Values are borrowed from the scope as long as they are parts of it ([`Cow::Borrowed`]); what a literal, a function or a
//! projection makes is owned. The recursion is as deep as the expression, never as deep as the data.

use std::borrow::Cow;

use sonic_rs::{JsonContainerTrait, JsonValueTrait};

use super::functions::Fault;
use super::parse::{By, Comparator, Node};
use super::{Json, Scope, json};

type Value<'c> = Cow<'c, Json>;

/// What the current node (`@`) is: everything in scope, or a value that a part of the expression led to.
#[derive(Clone, Copy)]
enum Current<'c> {
    Scope,
    Value(&'c Json),
}

/// A fault and the place in the expression where it is.
pub(super) struct Located {
    offset: usize,
    fault: Fault,
}

impl Located {
    pub(super) fn in_expression(self, text: &str) -> super::EvalError {
        super::EvalError { message: self.fault.0, offset: self.offset, expression: text.to_owned() }
    }
}

/// The value of `node` at the root of `scope`.
pub(super) fn evaluate<'c>(node: &'c Node, scope: &'c Scope<'_>) -> Result<Value<'c>, Located> {
    Interpreter { scope }.eval(node, Current::Scope)
}

struct Interpreter<'c> {
    scope: &'c Scope<'c>,
}

fn null<'c>() -> Value<'c> {
    Cow::Borrowed(&json::NULL)
}

fn boolean<'c>(value: bool) -> Value<'c> {
    Cow::Owned(Json::new_bool(value))
}

fn list<'c>(values: Vec<Json>) -> Value<'c> {
    Cow::Owned(Json::from(values))
}

impl<'c> Interpreter<'c> {
    fn eval(&self, node: &'c Node, current: Current<'c>) -> Result<Value<'c>, Located> {
        Ok(match node {
            Node::Identity => match current {
                Current::Value(value) => Cow::Borrowed(value),
                Current::Scope => self.everything(),
            },
            Node::Field(name) => Cow::Borrowed(match current {
                Current::Value(value) => value.get(name.as_str()).unwrap_or(&json::NULL),
                Current::Scope => self.scope.get(name),
            }),
            Node::Literal(value) => Cow::Borrowed(value),
            Node::Index(at) => {
                let Some(value) = self.here(current) else { return Ok(null()) };
                Cow::Borrowed(index(json::elements(value), *at).unwrap_or(&json::NULL))
            }
            Node::Slice { start, stop, step } => {
                let Some(array) = self.here(current).and_then(|value| value.as_array()) else { return Ok(null()) };
                list(slice(array.as_slice(), *start, *stop, *step))
            }
            Node::Then(left, right) => self.then(self.eval(left, current)?, right)?,
            Node::Or(left, right) => {
                let left = self.eval(left, current)?;
                if json::is_true(&left) { left } else { self.eval(right, current)? }
            }
            Node::And(left, right) => {
                let left = self.eval(left, current)?;
                if json::is_true(&left) { self.eval(right, current)? } else { left }
            }
            Node::Not(node) => boolean(!json::is_true(&*self.eval(node, current)?)),
            Node::Condition(condition, then) => {
                if json::is_true(&*self.eval(condition, current)?) {
                    self.eval(then, current)?
                } else {
                    null()
                }
            }
            Node::If(condition, then, otherwise) => {
                let branch = if json::is_true(&*self.eval(condition, current)?) { then } else { otherwise };
                self.eval(branch, current)?
            }
            Node::Coalesce(nodes) => {
                for node in nodes {
                    let value = self.eval(node, current)?;
                    if !value.is_null() {
                        return Ok(value);
                    }
                }
                null()
            }
            Node::Compare(comparator, left, right) => {
                let (left, right) = (self.eval(left, current)?, self.eval(right, current)?);
                compare(*comparator, &left, &right).map_or_else(null, boolean)
            }
            Node::Project(left, right) => {
                let left = self.eval(left, current)?;
                let Some(array) = left.as_array() else { return Ok(null()) };
                list(self.each(array.as_slice(), right)?.into_iter().filter(|value| !value.is_null()).collect())
            }
            Node::Flatten(node) => {
                let value = self.eval(node, current)?;
                let Some(array) = value.as_array() else { return Ok(null()) };
                let mut flat = Vec::with_capacity(array.len());
                for element in array.as_slice() {
                    match element.as_array() {
                        Some(inner) => flat.extend(inner.as_slice().iter().cloned()),
                        None => flat.push(element.clone()),
                    }
                }
                list(flat)
            }
            Node::Values(node) => {
                let value = self.eval(node, current)?;
                if !value.is_object() {
                    return Ok(null());
                }
                list(json::entries(&value).into_iter().map(|(_, value)| value.clone()).collect())
            }
            Node::MultiList(nodes) => {
                if self.is_null(current) {
                    return Ok(null());
                }
                let values = nodes.iter().map(|node| self.eval(node, current).map(Cow::into_owned));
                list(values.collect::<Result<_, _>>()?)
            }
            Node::MultiHash(pairs) => {
                if self.is_null(current) {
                    return Ok(null());
                }
                let pairs = pairs.iter().map(|(key, node)| Ok((key.as_str(), self.eval(node, current)?.into_owned())));
                Cow::Owned(json::object(pairs.collect::<Result<Vec<_>, _>>()?))
            }
            Node::Call { run, arguments, offset } => {
                let located = |fault| Located { offset: *offset, fault };
                // The common counts of arguments need no allocation.
                Cow::Owned(
                    match arguments.as_slice() {
                        [] => run(&[], self.scope.env),
                        [a] => run(&[self.eval(a, current)?], self.scope.env),
                        [a, b] => run(&[self.eval(a, current)?, self.eval(b, current)?], self.scope.env),
                        many => {
                            let values = many.iter().map(|node| self.eval(node, current));
                            run(&values.collect::<Result<Vec<_>, _>>()?, self.scope.env)
                        }
                    }
                    .map_err(located)?,
                )
            }
            Node::By { by, name, list: over, key, offset } => {
                let value = self.eval(over, current)?;
                let located = |fault| Located { offset: *offset, fault };
                let Some(array) = value.as_array() else {
                    let message = format!("`{name}` wants an array, not {}", json::type_name(&value));
                    return Err(located(Fault(message)));
                };
                let keys = self.each(array.as_slice(), key)?;
                let array = array.as_slice();
                match by {
                    By::Map => list(keys),
                    By::Sort => {
                        let mut order = sortable(name, &keys).map_err(located)?;
                        order.sort_by(|a, b| order_of(a.1, b.1));
                        list(order.into_iter().filter_map(|(at, _)| array.get(at).cloned()).collect())
                    }
                    By::Min | By::Max => {
                        let order = sortable(name, &keys).map_err(located)?;
                        let best = order.into_iter().reduce(|best, next| {
                            let order = order_of(next.1, best.1);
                            if if matches!(by, By::Min) { order.is_lt() } else { order.is_gt() } { next } else { best }
                        });
                        Cow::Owned(best.and_then(|(at, _)| array.get(at).cloned()).unwrap_or_default())
                    }
                }
            }
        })
    }

    /// The value of `node` where `current` is the current node.
    fn then(&self, current: Value<'c>, node: &'c Node) -> Result<Value<'c>, Located> {
        match current {
            Cow::Borrowed(value) => self.eval(node, Current::Value(value)),
            Cow::Owned(value) => Interpreter { scope: self.scope }.detached(node, &value).map(Cow::Owned),
        }
    }

    fn detached(&self, node: &Node, value: &Json) -> Result<Json, Located> {
        Interpreter { scope: self.scope }.eval(node, Current::Value(value)).map(Cow::into_owned)
    }

    /// The value of `node` for each of `values`.
    fn each(&self, values: &[Json], node: &Node) -> Result<Vec<Json>, Located> {
        values.iter().map(|value| self.detached(node, value)).collect()
    }

    /// The current value, or the root where the current node is the scope and nothing is bound beside it.
    fn here(&self, current: Current<'c>) -> Option<&'c Json> {
        match current {
            Current::Value(value) => Some(value),
            Current::Scope => self.scope.root,
        }
    }

    fn is_null(&self, current: Current<'c>) -> bool {
        match current {
            Current::Value(value) => value.is_null(),
            Current::Scope => {
                self.scope.bindings.iter().len() == 0 && self.scope.root.is_none_or(|root| root.is_null())
            }
        }
    }

    /// `@` at the root: the root itself, or an object of all that is bound.
    fn everything(&self) -> Value<'c> {
        if self.scope.bindings.iter().len() == 0 {
            return self.scope.root.map_or_else(null, Cow::Borrowed);
        }
        let root = self.scope.root.map(json::entries).unwrap_or_default();
        let root = root.into_iter().map(|(key, value)| (key, value.clone()));
        let bound = self.scope.bindings.iter().map(|(name, value)| (&**name, value.clone()));
        Cow::Owned(json::object(root.chain(bound)))
    }
}

fn index(array: &[Json], at: i32) -> Option<&Json> {
    let distance = usize::try_from(at.unsigned_abs()).ok()?;
    array.get(if at < 0 { array.len().checked_sub(distance)? } else { distance })
}

fn slice(array: &[Json], start: Option<i32>, stop: Option<i32>, step: i32) -> Vec<Json> {
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

/// The result of a comparison; nothing where an order is asked of what are not numbers.
fn compare(comparator: Comparator, left: &Json, right: &Json) -> Option<bool> {
    Some(match comparator {
        Comparator::Equal => json::equal(left, right),
        Comparator::NotEqual => !json::equal(left, right),
        order => {
            let found = json::compare_numbers(left, right)?;
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
