//! What names mean while an expression is evaluated.

use std::fmt;
use std::sync::Arc;

use sonic_rs::JsonValueTrait;

use super::Json;
use super::record::Record;
use super::tape::{Part, Tape};
use super::value::{NULL, Value};

/// What names mean while an expression is evaluated: first the bindings, then, if there is a root, its keys.
#[derive(Clone, Copy)]
pub struct Scope<'a> {
    /// The document's bindings.
    pub bindings: &'a Bindings,
    /// The value whose keys are in sight, below the bindings.
    pub root: Option<Root<'a>>,
    /// What is outside the document.
    pub env: &'a Env,
}

/// What stands at the root of a scope.
#[derive(Clone, Copy)]
pub enum Root<'a> {
    /// A value.
    Json(&'a Json),
    /// A message as it came.
    Part(Part<'a>),
    /// The same, and above it the fields that it has already, under a name.
    Fields(Part<'a>, &'a str, &'a Record),
}

impl<'a> From<&'a Json> for Root<'a> {
    fn from(value: &'a Json) -> Self {
        Root::Json(value)
    }
}

impl<'a> Root<'a> {
    /// The whole.
    pub(crate) fn value(self) -> Value<'a> {
        match self {
            Root::Json(value) => Value::from(value),
            Root::Part(part) | Root::Fields(part, ..) => Value::Part(part),
        }
    }

    fn member(self, name: &str) -> Value<'a> {
        match self {
            Root::Json(value) => value.get(name).into(),
            Root::Fields(_, known, record) if known == name => Value::Record(record),
            Root::Part(part) | Root::Fields(part, ..) => part.get(name).map_or(NULL, Value::Part),
        }
    }
}

impl<'a> Scope<'a> {
    /// What a name at the root means; null if nothing.
    pub(crate) fn get(&self, name: &str) -> Value<'a> {
        match self.bindings.bound(name) {
            Some(bound) => bound.value(),
            None => self.root.map_or(NULL, |root| root.member(name)),
        }
    }
}

/// Values by name, in the order in which they were bound; cheap to clone.
#[derive(Clone, Default, Debug)]
pub struct Bindings(Arc<Vec<(Arc<str>, Bound)>>);

/// What a name is bound to.
#[derive(Clone, Debug)]
enum Bound {
    Json(Json),
    /// A message as it came.
    Tape(Arc<Tape>),
    /// The fields of one.
    Record(Arc<Record>),
}

impl Bound {
    fn json(&self) -> &Json {
        match self {
            Bound::Json(value) => value,
            Bound::Tape(tape) => tape.json(),
            Bound::Record(record) => record.json(),
        }
    }

    fn value(&self) -> Value<'_> {
        match self {
            Bound::Json(value) => Value::from(value),
            Bound::Tape(tape) => Value::Part(tape.root()),
            Bound::Record(record) => Value::Record(record),
        }
    }
}

impl Bindings {
    /// With room for `count` names.
    pub(crate) fn with_capacity(count: usize) -> Self {
        Bindings(Arc::new(Vec::with_capacity(count)))
    }

    fn bound(&self, name: &str) -> Option<&Bound> {
        self.0.iter().find(|(bound, _)| &**bound == name).map(|(_, value)| value)
    }

    /// The value bound to `name`.
    pub fn get(&self, name: &str) -> Option<&Json> {
        self.bound(name).map(Bound::json)
    }

    /// Binds `value` to `name`, instead of what was bound to it.
    pub fn set(&mut self, name: Arc<str>, value: Json) {
        self.bind(name, Bound::Json(value));
    }

    /// The same with a message as it came.
    pub(crate) fn set_tape(&mut self, name: Arc<str>, tape: Arc<Tape>) {
        self.bind(name, Bound::Tape(tape));
    }

    /// The same with the fields of a message.
    pub(crate) fn set_record(&mut self, name: Arc<str>, record: Record) {
        self.bind(name, Bound::Record(Arc::new(record)));
    }

    fn bind(&mut self, name: Arc<str>, value: Bound) {
        let bindings = Arc::make_mut(&mut self.0);
        match bindings.iter_mut().find(|(bound, _)| *bound == name) {
            Some((_, old)) => *old = value,
            None => bindings.push((name, value)),
        }
    }

    /// The names and values.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Arc<str>, &Json)> {
        self.0.iter().map(|(name, value)| (name, value.json()))
    }

    /// Whether nothing is bound.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Says whether a row of a key is in a table.
pub type Present = Arc<dyn Fn(&str, &Json) -> bool + Send + Sync>;

/// Says why a connection would not ask a url; nothing if it would.
pub type Refused = Arc<dyn Fn(&str, &str) -> Option<String> + Send + Sync>;

/// What an expression can see besides the document.
#[derive(Clone)]
pub struct Env {
    /// The present instant, in microseconds since 1970-01-01 UTC.
    pub now: i64,
    /// What `present(table, key)` asks; without it the call is an error.
    pub present: Option<Present>,
    /// What `refused(connection, url)` asks; without it the call is an error.
    pub refused: Option<Refused>,
}

impl Env {
    /// Nothing but the time, in microseconds since 1970-01-01 UTC.
    pub fn at(now: i64) -> Self {
        Env { now, present: None, refused: None }
    }
}

impl fmt::Debug for Env {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (present, refused) = (self.present.is_some(), self.refused.is_some());
        f.debug_struct("Env").field("now", &self.now).field("present", &present).field("refused", &refused).finish()
    }
}
