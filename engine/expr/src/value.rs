//! What an expression comes to while it is evaluated.
//!
//! A value is borrowed from the scope as long as it is a part of it: of a message as it came, of its fields, of a JSON tree.
//! What is computed stays in the form it was computed in (a text, a list, an instant) until somebody asks for JSON. A column
//! asks for a text or an instant, so the way from a message to a column makes no JSON at all.

use std::borrow::Cow;

use connectors::table::{Cell, ColumnType};
use sonic_rs::{JsonContainerTrait, JsonType, JsonValueTrait};

use super::record::Record;
use super::tape::Part;
use super::time::{DAY, format_date, format_timestamp, in_range, parse_date, parse_timestamp};
use super::{Json, Mismatch, coerce, json};

/// A value. Cloning one that is borrowed copies nothing.
///
/// No variant has a field of less than eight bytes: with such a one in the word of the tag every move of a value is several small
/// copies, which the processor cannot read back as one, and moves are most of what an evaluation does.
#[derive(Clone, Debug)]
pub(crate) enum Value<'v> {
    Null,
    True,
    False,
    Int(i64),
    Json(Cow<'v, Json>),
    /// Of a message as it came.
    Part(Part<'v>),
    /// The fields of a message: an object.
    Record(&'v Record),
    Text(Cow<'v, str>),
    List(Vec<Value<'v>>),
    /// The canonical text of an instant whose text can be read again.
    Instant(i64),
    /// The text of a date.
    Date(i64),
}

/// Null.
pub(crate) const NULL: Value<'static> = Value::Null;

impl From<Json> for Value<'_> {
    fn from(value: Json) -> Self {
        Value::Json(Cow::Owned(value))
    }
}

impl<'v> From<&'v Json> for Value<'v> {
    fn from(value: &'v Json) -> Self {
        Value::Json(Cow::Borrowed(value))
    }
}

impl<'v, T: Into<Value<'v>>> From<Option<T>> for Value<'v> {
    fn from(value: Option<T>) -> Self {
        value.map_or(NULL, Into::into)
    }
}

impl From<bool> for Value<'_> {
    fn from(value: bool) -> Self {
        if value { Value::True } else { Value::False }
    }
}

impl From<String> for Value<'_> {
    fn from(value: String) -> Self {
        Value::Text(Cow::Owned(value))
    }
}

impl<'v> From<Cow<'v, str>> for Value<'v> {
    fn from(value: Cow<'v, str>) -> Self {
        Value::Text(value)
    }
}

impl<'v> From<&'v str> for Value<'v> {
    fn from(value: &'v str) -> Self {
        Value::Text(Cow::Borrowed(value))
    }
}

impl<'v> Value<'v> {
    /// The canonical text of the instant `micros`.
    pub(crate) fn instant(micros: i64) -> Self {
        if in_range(micros) { Value::Instant(micros) } else { Value::from(format_timestamp(micros)) }
    }

    /// Its type.
    #[inline]
    pub(crate) fn kind(&self) -> JsonType {
        match self {
            Value::Null => JsonType::Null,
            Value::True | Value::False => JsonType::Boolean,
            Value::Int(_) => JsonType::Number,
            Value::Json(value) => value.get_type(),
            Value::Part(part) => part.kind(),
            Value::Record(_) => JsonType::Object,
            Value::Text(_) | Value::Instant(_) | Value::Date(_) => JsonType::String,
            Value::List(_) => JsonType::Array,
        }
    }

    #[inline]
    pub(crate) fn is_null(&self) -> bool {
        self.kind() == JsonType::Null
    }

    /// What [`json::is_true`] says.
    pub(crate) fn is_true(&self) -> bool {
        match self {
            Value::Null | Value::False => false,
            Value::True | Value::Int(_) => true,
            Value::Json(value) => json::is_true(value),
            Value::Part(part) => match part.kind() {
                JsonType::Null => false,
                JsonType::Boolean => part.is_truth(),
                JsonType::Number => true,
                JsonType::String => part.as_str().is_some_and(|text| !text.is_empty()),
                JsonType::Array | JsonType::Object => !part.is_hollow(),
            },
            Value::Record(record) => !record.is_empty(),
            Value::Text(text) => !text.is_empty(),
            Value::List(list) => !list.is_empty(),
            Value::Instant(_) | Value::Date(_) => true,
        }
    }

    /// The text, if it is one.
    #[inline]
    pub(crate) fn as_str(&self) -> Option<Cow<'_, str>> {
        match self {
            Value::Json(value) => value.as_str().map(Cow::Borrowed),
            Value::Part(part) => part.as_str().map(Cow::Borrowed),
            Value::Text(text) => Some(Cow::Borrowed(text)),
            Value::Instant(micros) => Some(Cow::Owned(format_timestamp(*micros))),
            Value::Date(days) => Some(Cow::Owned(date_text(*days))),
            _ => None,
        }
    }

    /// The text, if it is one, borrowed from what this value is borrowed from.
    #[inline]
    pub(crate) fn into_str(self) -> Option<Cow<'v, str>> {
        match self {
            Value::Json(Cow::Borrowed(value)) => value.as_str().map(Cow::Borrowed),
            Value::Json(Cow::Owned(value)) => value.as_str().map(|text| Cow::Owned(text.to_owned())),
            Value::Part(part) => part.as_str().map(Cow::Borrowed),
            Value::Text(text) => Some(text),
            Value::Instant(_) | Value::Date(_) => self.as_str().map(|text| Cow::Owned(text.into_owned())),
            _ => None,
        }
    }

    /// As JSON.
    pub(crate) fn into_json(self) -> Cow<'v, Json> {
        match self {
            Value::Null => Cow::Borrowed(&json::NULL),
            Value::True => Cow::Owned(Json::new_bool(true)),
            Value::False => Cow::Owned(Json::new_bool(false)),
            Value::Int(value) => Cow::Owned(json::integer(value)),
            Value::Json(value) => value,
            Value::Part(part) => Cow::Owned(part.to_json()),
            Value::Record(record) => Cow::Borrowed(record.json()),
            Value::Text(text) => Cow::Owned(json::text(&text)),
            Value::List(list) => {
                Cow::Owned(Json::from(list.into_iter().map(|v| v.into_json().into_owned()).collect::<Vec<_>>()))
            }
            Value::Instant(micros) => Cow::Owned(json::text(&format_timestamp(micros))),
            Value::Date(days) => Cow::Owned(json::text(&date_text(days))),
        }
    }

    /// The canonical text.
    pub(crate) fn into_json_text(self) -> Cow<'v, str> {
        match self {
            Value::Part(part) => part.canonical().map_or_else(|| Cow::Owned(part.to_text()), Cow::Borrowed),
            other => Cow::Owned(json::to_text(&other.into_json())),
        }
    }

    /// The member `name`; null if there is none.
    pub(crate) fn into_member(self, name: &str) -> Value<'v> {
        match self {
            Value::Json(Cow::Borrowed(value)) => value.get(name).into(),
            Value::Json(Cow::Owned(value)) => value.get(name).cloned().into(),
            Value::Part(part) => part.get(name).map(Value::Part).unwrap_or(NULL),
            Value::Record(record) => record.get(name),
            _ => NULL,
        }
    }

    /// The elements of a list; nothing for everything else.
    pub(crate) fn into_elements(self) -> Option<Vec<Value<'v>>> {
        match self {
            Value::Json(Cow::Borrowed(value)) => Some(value.as_array()?.iter().map(Value::from).collect()),
            Value::Json(Cow::Owned(value)) => Some(value.as_array()?.iter().cloned().map(Value::from).collect()),
            Value::Part(part) if part.kind() == JsonType::Array => Some(part.elements().map(Value::Part).collect()),
            Value::List(list) => Some(list),
            _ => None,
        }
    }

    /// The element at `at`, from the end if it is negative; null if there is none, and for what is no list.
    pub(crate) fn into_element(self, at: i32) -> Value<'v> {
        let Ok(distance) = usize::try_from(at.unsigned_abs()) else { return NULL };
        let place = |length: usize| if at < 0 { length.checked_sub(distance) } else { Some(distance) };
        match self {
            Value::Json(Cow::Borrowed(value)) => {
                let elements = json::elements(value);
                place(elements.len()).and_then(|at| elements.get(at)).into()
            }
            other => {
                let mut elements = other.into_elements().unwrap_or_default();
                match place(elements.len()) {
                    Some(at) if at < elements.len() => elements.swap_remove(at),
                    _ => NULL,
                }
            }
        }
    }

    /// The values of an object, in the order of their keys; nothing for everything else.
    pub(crate) fn into_members(self) -> Option<Vec<Value<'v>>> {
        match self {
            Value::Part(part) if part.kind() == JsonType::Object => {
                Some(part.sorted().into_iter().map(|(_, value)| Value::Part(value)).collect())
            }
            Value::Record(record) => Value::from(record.json()).into_members(),
            Value::Json(Cow::Borrowed(value)) if value.is_object() => {
                Some(json::entries(value).into_iter().map(|(_, value)| Value::from(value)).collect())
            }
            Value::Json(Cow::Owned(value)) if value.is_object() => {
                Some(json::entries(&value).into_iter().map(|(_, value)| Value::from(value.clone())).collect())
            }
            _ => None,
        }
    }

    /// The integer that a number is, where that is seen at once.
    fn plain_integer(&self) -> Option<i64> {
        match self {
            // `-0` is no integer for the parser.
            Value::Part(part) => part.as_number().filter(|text| *text != "-0")?.parse().ok(),
            Value::Json(value) => value.as_i64(),
            Value::Int(value) => Some(*value),
            _ => None,
        }
    }

    /// The instant that it is, or that its text names.
    pub(crate) fn as_instant(&self) -> Option<i64> {
        match self {
            Value::Instant(micros) => Some(*micros),
            Value::Date(days) => Some(days * DAY),
            text => parse_timestamp(&text.as_str()?),
        }
    }

    /// What [`json::equal`] says.
    pub(crate) fn equals(&self, other: &Value<'_>) -> bool {
        let kind = self.kind();
        if kind != other.kind() {
            return false;
        }
        match kind {
            JsonType::Null => true,
            JsonType::Boolean => self.is_true() == other.is_true(),
            JsonType::String => self.as_str() == other.as_str(),
            JsonType::Number => match (self.plain_integer(), other.plain_integer()) {
                (Some(a), Some(b)) => a == b,
                _ => json::equal(&self.clone().into_json(), &other.clone().into_json()),
            },
            _ => json::equal(&self.clone().into_json(), &other.clone().into_json()),
        }
    }

    /// The cell that [`coerce`] makes of it.
    pub(crate) fn cell(&self, kind: ColumnType) -> Result<Cell, Mismatch> {
        let instant = match self {
            Value::Instant(micros) => *micros,
            Value::Date(days) => *days * DAY,
            Value::Part(part) if matches!(kind, ColumnType::Int64 | ColumnType::Int32) => {
                return match part.as_number().and_then(|text| text.parse::<i64>().ok()) {
                    Some(value) if kind == ColumnType::Int64 || i32::try_from(value).is_ok() => Ok(Cell::Int(value)),
                    _ => coerce(kind, &self.clone().into_json()),
                };
            }
            _ => match (kind, self.as_str()) {
                (ColumnType::Timestamp, Some(text)) => match parse_timestamp(&text) {
                    Some(micros) => return Ok(Cell::Timestamp(micros)),
                    None => return coerce(kind, &self.clone().into_json()),
                },
                (ColumnType::Date, Some(text)) => match parse_date(&text) {
                    Some(days) => return Ok(Cell::Date(days)),
                    None => return coerce(kind, &self.clone().into_json()),
                },
                _ => return coerce(kind, &self.clone().into_json()),
            },
        };
        match kind {
            ColumnType::Timestamp => Ok(Cell::Timestamp(instant)),
            ColumnType::Date if matches!(self, Value::Date(_)) || in_range(instant) => {
                i32::try_from(instant.div_euclid(DAY))
                    .map(Cell::Date)
                    .or_else(|_| coerce(kind, &self.clone().into_json()))
            }
            _ => coerce(kind, &self.clone().into_json()),
        }
    }

    /// The same value as a column of type `kind` gives it back, as [`cell_to_json`](super::cell_to_json) has it.
    pub(crate) fn converted(self, kind: ColumnType) -> Result<Value<'v>, Mismatch> {
        match kind {
            ColumnType::Id | ColumnType::String | ColumnType::Text => self.into_column_text(kind),
            ColumnType::Timestamp | ColumnType::Date => Ok(match self.cell(kind)? {
                Cell::Timestamp(micros) => Value::instant(micros),
                Cell::Date(days) if in_range(i64::from(days) * DAY) => Value::Date(days.into()),
                cell => Value::from(super::cell_to_json(&cell, kind)),
            }),
            _ => self.cell(kind).map(|cell| match cell {
                Cell::Null => Value::Null,
                Cell::Bool(value) => Value::from(value),
                Cell::Int(value) => Value::Int(value),
                cell => Value::from(super::cell_to_json(&cell, kind)),
            }),
        }
    }

    /// The same for the types that are texts.
    fn into_column_text(self, kind: ColumnType) -> Result<Value<'v>, Mismatch> {
        // A number that is written as its text is.
        if let Some(number) = match &self {
            Value::Part(part) => part.as_number().filter(|text| is_plain(text, kind)),
            _ => None,
        } {
            return Ok(Value::Text(Cow::Borrowed(number)));
        }
        if let Value::Int(value) = &self {
            return Ok(Value::from(value.to_string()));
        }
        if self.kind() != JsonType::String {
            return coerce(kind, &self.into_json()).map(|cell| Value::from(super::cell_to_json(&cell, kind)));
        }
        if kind == ColumnType::Text {
            return Ok(self);
        }
        let text = self.as_str().unwrap_or_default();
        let trimmed = text.trim();
        let trimmed = (trimmed.is_empty() || trimmed.len() < text.len()).then(|| trimmed.to_owned());
        drop(text);
        Ok(match trimmed {
            None => self,
            Some(blank) if blank.is_empty() => NULL,
            Some(trimmed) => Value::from(trimmed),
        })
    }
}

/// The text of a date, which is in range.
fn date_text(days: i64) -> String {
    i32::try_from(days).map(format_date).unwrap_or_default()
}

/// Whether the text of a number is what a column of the type holds.
fn is_plain(number: &str, kind: ColumnType) -> bool {
    match kind {
        ColumnType::Id => super::number::is_integer(number) && number != "-0",
        _ => !number.contains(['e', 'E']),
    }
}
