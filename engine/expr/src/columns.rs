//! A row straight into columns: the values of a table's columns, from one scope into the builders of a batch.
//!
//! Values that are plain paths are found together ([`Paths`]), others are evaluated. Texts are copied once, from the message
//! into the column.
//!
//! ```
//! use connectors::builder::Builder;
//! use connectors::table::{Column, ColumnType};
//! use expr::{Bindings, Env, Expr, Scope, columns::Columns, json};
//!
//! let column = |name: &str, nullable| Column { name: name.into(), kind: ColumnType::String, nullable, about: None };
//! let table = [column("id", false), column("city", true)];
//! let value = |text| Expr::parse(text).unwrap();
//! let columns = Columns::new(&table, &[0], &[(0, value("order.id")), (1, value("upper(order.to.city)"))]);
//! let mut builder = Builder::new(&table, 1);
//!
//! let mut bindings = Bindings::default();
//! bindings.set("order".into(), json::parse(br#"{"id": 7, "to": {"city": "Oslo"}}"#).unwrap());
//! let env = Env::at(0);
//! let key = columns.append(&Scope { bindings: &bindings, root: None, env: &env }, &mut builder, true).unwrap();
//! assert_eq!(key.as_deref(), Some("7"));
//! assert_eq!(builder.finish(1).unwrap().num_rows(), 1);
//! ```

use std::sync::Arc;

use connectors::builder::Builder;
use connectors::table::{Cell, Column, ColumnType};

use crate::paths::Paths;
use crate::value::{NULL, Value};
use crate::{EvalError, Expr, Scope};

/// The value of a column that nothing writes.
const NOTHING: &Value<'static> = &NULL;

/// How the rows of one table come about.
#[derive(Debug)]
pub struct Columns {
    columns: Vec<Target>,
    computed: Vec<(usize, Expr)>,
    paths: Paths,
}

#[derive(Debug)]
struct Target {
    kind: ColumnType,
    /// Whether null is refused.
    required: bool,
    /// Whether it is the first column of the key.
    is_first_key: bool,
    source: Source,
}

#[derive(Clone, Copy, Debug)]
enum Source {
    /// Nothing writes it.
    Nothing,
    /// A plain path: its slot.
    Slot(usize),
    /// An expression: its place among the computed ones.
    Computed(usize),
}

/// Why a row cannot be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The expression of the column at this index has no value.
    Eval(usize, EvalError),
    /// The column at this index is null and must not be.
    Null(usize),
}

impl Columns {
    /// For a table of `columns`, with the indexes of its key, whose values are `values`: the index of a column and its
    /// expression.
    pub fn new(columns: &[Column], key: &[usize], values: &[(usize, Expr)]) -> Self {
        let target = |(index, column): (usize, &Column)| Target {
            kind: column.kind,
            required: !column.nullable || key.contains(&index),
            is_first_key: key.first() == Some(&index),
            source: Source::Nothing,
        };
        let mut columns: Vec<Target> = columns.iter().enumerate().map(target).collect();
        let (mut computed, mut paths) = (Vec::new(), Paths::default());
        for (index, value) in values {
            let Some(target) = columns.get_mut(*index) else { continue };
            target.source = match value.is_plain_path() {
                Some(path) => Source::Slot(paths.add(path)),
                None => {
                    computed.push((*index, value.clone()));
                    Source::Computed(computed.len() - 1)
                }
            };
        }
        Columns { columns, computed, paths }
    }

    /// The indexes of the columns whose values are plain paths: those are found together, in one walk of each binding.
    pub fn walked(&self) -> impl Iterator<Item = usize> {
        let targets = self.columns.iter().enumerate();
        targets.filter(|(_, target)| matches!(target.source, Source::Slot(_))).map(|(index, _)| index)
    }

    /// The indexes of the columns whose values are computed, each by its expression.
    pub fn computed(&self) -> impl Iterator<Item = usize> {
        self.computed.iter().map(|(index, _)| *index)
    }

    /// Appends the row of `scope` to `builder`, whose columns are the table's. Returns the text of the key's first column, if it
    /// is asked for. A row that is refused leaves nothing behind.
    pub fn append(
        &self,
        scope: &Scope<'_>,
        builder: &mut Builder,
        with_key: bool,
    ) -> Result<Option<Arc<str>>, Refused> {
        let slots = self.paths.find(scope);
        let computed =
            self.computed.iter().map(|(index, expr)| expr.compute(scope).map_err(|e| Refused::Eval(*index, e)));
        let computed: Vec<Value<'_>> = computed.collect::<Result<_, _>>()?;
        let value = |source: Source| match source {
            Source::Nothing => NOTHING,
            Source::Slot(slot) => slots.get(slot).unwrap_or(NOTHING),
            Source::Computed(at) => computed.get(at).unwrap_or(NOTHING),
        };
        // Nothing is appended before the whole row is known to fit.
        let mut key = None;
        for (index, target) in self.columns.iter().enumerate().filter(|(_, target)| target.required) {
            let value = value(target.source);
            if is_null_in(target.kind, value) {
                return Err(Refused::Null(index));
            }
            if target.is_first_key
                && with_key
                && let Ok(Cell::Text(text)) = value.cell(target.kind)
            {
                key = Some(text);
            }
        }
        for (index, target) in self.columns.iter().enumerate() {
            put(builder, index, target.kind, value(target.source));
        }
        Ok(key)
    }
}

/// Whether `value` is null in a column of type `kind`.
fn is_null_in(kind: ColumnType, value: &Value<'_>) -> bool {
    if matches!(kind, ColumnType::Id | ColumnType::String | ColumnType::Text)
        && let Some(text) = value.as_str()
    {
        return kind != ColumnType::Text && text.trim().is_empty();
    }
    value.cell(kind).unwrap_or(Cell::Null).is_null()
}

/// Puts `value` into the column at `index`. What does not fit the type is null, as the rules of the types have it.
#[inline]
fn put(builder: &mut Builder, index: usize, kind: ColumnType, value: &Value<'_>) {
    if matches!(kind, ColumnType::Id | ColumnType::String | ColumnType::Text)
        && let Some(text) = value.as_str()
    {
        if kind == ColumnType::Text {
            return builder.text(index, &text);
        }
        let text = text.trim();
        return if text.is_empty() { builder.null(index) } else { builder.text(index, text) };
    }
    if value.is_null() {
        return builder.null(index);
    }
    let cell = value.cell(kind).unwrap_or(Cell::Null);
    if builder.cell(index, &cell).is_err() {
        builder.null(index);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Bindings, Env, coerce, json};

    const KINDS: [ColumnType; 11] = ColumnType::ALL;

    fn table(required: usize) -> Vec<Column> {
        let column = |(i, kind): (usize, &ColumnType)| Column {
            name: format!("c{i}"),
            kind: *kind,
            nullable: i != required,
            about: None,
        };
        KINDS.iter().enumerate().map(column).collect()
    }

    proptest! {
        // Whatever the message says, the batch holds the cells that the rules of the types give.
        #[test]
        fn columns_are_what_cells_are(texts in prop::collection::vec(
            prop::sample::select(vec![
                "null", "true", "0", "-7", "4895140.0", "1e3", "\"\"", "\"  \"", "\" 12 \"", "\"2026-01-10T23:30:00Z\"",
                "\"2026-01-10\"", "[1]", "{\"b\":1.50,\"a\":null}", "3000000000", "\"é\"",
            ]),
            11,
        ), plain in any::<bool>(), required in 0usize..12) {
            let members: Vec<String> = texts.iter().enumerate().map(|(i, t)| format!("\"f{i}\":{t}")).collect();
            let mut bindings = Bindings::default();
            bindings.set("m".into(), json::parse(format!("{{{}}}", members.join(",")).as_bytes()).unwrap());
            let env = Env::at(0);
            let scope = Scope { bindings: &bindings, root: None, env: &env };
            let path = |i: usize| if plain { format!("m.f{i}") } else { format!("m.f{i} || m.f{i}") };
            let values: Vec<(usize, Expr)> = (0..11).map(|i| (i, Expr::parse(&path(i)).unwrap())).collect();
            let table = table(required);
            let columns = Columns::new(&table, &[], &values);
            let cell = |i: usize| coerce(KINDS[i], &values[i].1.eval(&scope).unwrap()).unwrap_or(Cell::Null);
            let mut builder = Builder::new(&table, 1);
            let appended = columns.append(&scope, &mut builder, true);
            if required < 11 && cell(required).is_null() {
                prop_assert_eq!(appended, Err(Refused::Null(required)));
                prop_assert_eq!(builder.finish(0).unwrap().num_rows(), 0);
            } else {
                prop_assert_eq!(appended, Ok(None));
                let rows = connectors::rows::of_batch(&builder.finish(1).unwrap()).unwrap();
                let expected: Vec<Option<Cell>> = (0..11).map(|i| Some(cell(i))).collect();
                prop_assert_eq!(&rows, &[expected]);
            }
        }
    }
}
