//! The declared fields of a message, each in the form it was found or computed in.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use super::Json;
use super::json;
use super::tape::Tape;
use super::value::{NULL, Value};

/// An object of declared fields; JSON is made of it when somebody asks for the whole.
#[derive(Debug)]
pub struct Record {
    tape: Arc<Tape>,
    names: Arc<[Arc<str>]>,
    /// As many as there are fields yet.
    slots: Vec<Slot>,
    whole: OnceLock<Json>,
}

/// What a field is.
#[derive(Debug)]
enum Slot {
    Null,
    True,
    False,
    Int(i64),
    /// A part of the message.
    Part(usize),
    Json(Json),
    Text(Box<str>),
    Instant(i64),
    Date(i64),
}

impl Record {
    /// Of a message, with fields of these names; none yet.
    pub(crate) fn new(tape: Arc<Tape>, names: Arc<[Arc<str>]>) -> Self {
        let slots = Vec::with_capacity(names.len());
        Record { tape, names, slots, whole: OnceLock::new() }
    }

    /// The value for the next field as it is kept. It may be borrowed from this record.
    pub(crate) fn keep(&self, value: Value<'_>) -> Kept {
        Kept(match value {
            Value::Part(part) if part.is_on(&self.tape) => Slot::Part(part.number()),
            Value::Text(text) => Slot::Text(text.into()),
            Value::True => Slot::True,
            Value::False => Slot::False,
            Value::Int(value) => Slot::Int(value),
            Value::Instant(micros) => Slot::Instant(micros),
            Value::Date(days) => Slot::Date(days),
            other if other.is_null() => Slot::Null,
            other => Slot::Json(other.into_json().into_owned()),
        })
    }

    /// Adds the next field.
    pub(crate) fn push(&mut self, kept: Kept) {
        // An expression may have asked for the whole before.
        self.whole.take();
        self.slots.push(kept.0);
    }

    /// Whether it has no fields.
    pub(crate) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Its fields.
    pub(crate) fn members(&self) -> impl Iterator<Item = (&str, Value<'_>)> {
        self.names.iter().zip(&self.slots).map(|(name, slot)| (&**name, self.value(slot)))
    }

    /// The field `name`; null if there is none.
    pub(crate) fn get(&self, name: &str) -> Value<'_> {
        let found = self.names.iter().zip(&self.slots).find(|(known, _)| &***known == name);
        found.map_or(NULL, |(_, slot)| self.value(slot))
    }

    fn value<'r>(&'r self, slot: &'r Slot) -> Value<'r> {
        match slot {
            Slot::Null => NULL,
            Slot::True => Value::True,
            Slot::False => Value::False,
            Slot::Int(value) => Value::Int(*value),
            Slot::Part(number) => Value::Part(self.tape.part(*number)),
            Slot::Json(value) => Value::from(value),
            Slot::Text(text) => Value::Text(Cow::Borrowed(text)),
            Slot::Instant(micros) => Value::Instant(*micros),
            Slot::Date(days) => Value::Date(*days),
        }
    }

    /// The whole of it.
    pub(crate) fn json(&self) -> &Json {
        self.whole
            .get_or_init(|| json::object(self.members().map(|(name, value)| (name, value.into_json().into_owned()))))
    }
}

/// A value as a record keeps it.
pub(crate) struct Kept(Slot);
