//! Patches: what a row block says of one key, as a semigroup that differential consolidates.
//!
//! A patch holds some columns of a row. Each cell carries the stamp of its column group: the declared version, then the
//! place of the message in its origin topic. Adding two patches keeps, column by column, the cell with the greater stamp:
//! the last writer wins, whatever the order of addition. Columns of the `keep` list keep the smallest value that is not
//! null. Tables of mode `insert` have no patches: their rows are whole, see [`chunk`](super::chunk).

use std::sync::Arc;

use connectors::table::{Cell, Row, TableSpec};
use differential_dataflow::difference::{IsZero, Semigroup};

use super::wire::Key;
use crate::stage::Origin;

/// Decides which of two cells of one column stays: the greater.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Stamp {
    /// The declared version of the column group, if the row carries one.
    pub version: Option<Cell>,
    /// Where the message was first read.
    pub origin: Origin,
    /// The place of the block in the topology: the later block of one message wins.
    pub block: u32,
    /// The place of the document among those of its message: the later element of one list wins, with all that it says.
    pub element: u64,
}

/// How a column behaves when patches are added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
enum Rule {
    Last,
    Keep,
}

/// Some columns of one row. A semigroup: addition is associative, commutative and idempotent.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Patch {
    cells: Vec<Option<(Arc<Stamp>, Cell)>>,
    rules: Rules,
}

/// Shared by all patches of a table, so that a patch stays small. Compares as equal: it is not data.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
struct Rules(Arc<Vec<Rule>>);

impl PartialEq for Rules {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}
impl Eq for Rules {}
impl PartialOrd for Rules {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Rules {
    fn cmp(&self, _: &Self) -> std::cmp::Ordering {
        std::cmp::Ordering::Equal
    }
}

/// Makes patches of one table out of rows.
#[derive(Clone, Debug)]
pub struct Patcher {
    spec: Arc<TableSpec>,
    rules: Rules,
    /// For each column the group it belongs to.
    groups: Vec<Option<usize>>,
}

impl Patcher {
    /// For rows of `spec`.
    pub fn new(spec: Arc<TableSpec>) -> Self {
        let mut groups = vec![None; spec.columns.len()];
        for (index, group) in spec.groups.iter().enumerate() {
            for &column in &group.columns {
                groups[column] = Some(index);
            }
        }
        let rule = |column: usize| if spec.keep.contains(&column) { Rule::Keep } else { Rule::Last };
        let rules = Rules(Arc::new((0..spec.columns.len()).map(rule).collect()));
        Patcher { spec, rules, groups }
    }

    /// The table's description.
    pub fn spec(&self) -> &Arc<TableSpec> {
        &self.spec
    }

    /// The key and the patch of `row`, written by `block` for the document `element` of the message from `origin`. An absent or null cell of the key
    /// is an error that names the column.
    pub fn patch(&self, row: Row, origin: &Origin, block: u32, element: u64) -> Result<(Key, Patch), String> {
        let mut key = Vec::with_capacity(self.spec.key.len());
        for &column in &self.spec.key {
            match row.get(column) {
                Some(Some(cell)) if !cell.is_null() => key.push(cell.clone()),
                _ => return Err(format!("column `{}` of the key is null", self.spec.columns[column].name)),
            }
        }
        // A stamp for each group that the row carries a column of, and one for the columns of no group.
        let plain = self.spec.groups.len();
        let mut stamps: Vec<Option<Arc<Stamp>>> = vec![None; plain + 1];
        let version = |group: usize| {
            let column = self.spec.groups.get(group)?.version?;
            row.get(column).cloned().flatten().filter(|c| !c.is_null())
        };
        let of = |column: usize| self.groups.get(column).copied().flatten().unwrap_or(plain);
        let stamp = |group| Arc::new(Stamp { version: version(group), origin: origin.clone(), block, element });
        for group in row.iter().enumerate().filter(|(_, cell)| cell.is_some()).map(|(column, _)| of(column)) {
            stamps[group].get_or_insert_with(|| stamp(group));
        }
        let cells = row.into_iter().enumerate();
        let cells = cells.map(|(column, cell)| stamps[of(column)].clone().zip(cell)).collect();
        Ok((key, Patch { cells, rules: self.rules.clone() }))
    }
}

impl Patch {
    /// The row that a consolidated patch stands for.
    pub fn row(self) -> Row {
        self.cells.into_iter().map(|cell| cell.map(|(_, cell)| cell)).collect()
    }

    /// About how much memory it holds.
    pub fn size(&self) -> usize {
        let cell = |c: &Option<(Arc<Stamp>, Cell)>| 32 + c.as_ref().map_or(0, |(_, cell)| cell.size());
        256 + self.cells.iter().map(cell).sum::<usize>()
    }
}

impl IsZero for Patch {
    fn is_zero(&self) -> bool {
        false
    }
}

impl Semigroup for Patch {
    fn plus_equals(&mut self, rhs: &Self) {
        for (column, (mine, theirs)) in self.cells.iter_mut().zip(&rhs.cells).enumerate() {
            let Some(theirs) = theirs else { continue };
            let Some(held) = mine else {
                *mine = Some(theirs.clone());
                continue;
            };
            let replace = match self.rules.0.get(column) {
                Some(Rule::Keep) => keeps(theirs, held),
                _ => (&theirs.0, &theirs.1) > (&held.0, &held.1),
            };
            if replace {
                *held = theirs.clone();
            }
        }
    }
}

/// The smallest value that is not null; among equals the smaller stamp, so that addition stays commutative.
fn keeps(theirs: &(Arc<Stamp>, Cell), held: &(Arc<Stamp>, Cell)) -> bool {
    (theirs.1.is_null(), &theirs.1, &theirs.0) < (held.1.is_null(), &held.1, &held.0)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use connectors::table::{Column, ColumnType, Group, Mode};
    use proptest::prelude::*;

    use super::*;

    fn spec() -> Arc<TableSpec> {
        let column =
            |name: &str, nullable| Column { name: name.into(), kind: ColumnType::Int64, nullable, about: None };
        Arc::new(TableSpec {
            name: "t".into(),
            columns: vec![
                column("id", false),
                column("version", true),
                column("a", true),
                column("b", true),
                column("kept", true),
            ],
            key: vec![0],
            partition: vec![],
            mode: Mode::Merge,
            keep: vec![4],
            groups: vec![
                Group { name: "g".into(), version: Some(1), columns: vec![1, 2] },
                Group { name: "h".into(), version: None, columns: vec![3] },
            ],
        })
    }

    fn patch(patcher: &Patcher, offset: i64, cells: [Option<i64>; 4]) -> Patch {
        let cell = |v: Option<i64>| v.map(|v| if v == 0 { Cell::Null } else { Cell::Int(v) });
        let mut row = vec![Some(Cell::Int(1))];
        row.extend(cells.map(cell));
        let origin = Origin { topic: "t".into(), partition: 0, offset };
        patcher.patch(row, &origin, 0, 0).unwrap().1
    }

    fn plus(a: &Patch, b: &Patch) -> Patch {
        let mut sum = a.clone();
        sum.plus_equals(b);
        sum
    }

    #[test]
    fn an_older_version_fills_what_is_absent_and_overwrites_nothing() {
        let patcher = Patcher::new(spec());
        let newer = patch(&patcher, 1, [Some(9), Some(90), None, Some(5)]);
        let older = patch(&patcher, 2, [Some(3), Some(30), Some(31), Some(4)]);
        let row = plus(&newer, &older).row();
        let int = |v| Some(Cell::Int(v));
        assert_eq!(row, vec![int(1), int(9), int(90), int(31), int(4)]);
    }

    #[test]
    fn of_two_elements_of_a_list_the_later_wins_whole() {
        let patcher = Patcher::new(spec());
        let of = |element, a, b| {
            let row = vec![Some(Cell::Int(1)), None, Some(Cell::Int(a)), Some(Cell::Int(b)), None];
            patcher.patch(row, &Origin::default(), 0, element).unwrap().1
        };
        let row = plus(&of(2, 1, 9), &of(1, 9, 1)).row();
        assert_eq!(row, plus(&of(1, 9, 1), &of(2, 1, 9)).row());
        assert_eq!(row, vec![Some(Cell::Int(1)), None, Some(Cell::Int(1)), Some(Cell::Int(9)), None]);
    }

    #[test]
    fn a_null_in_the_key_is_named() {
        let patcher = Patcher::new(spec());
        let row = vec![Some(Cell::Null), None, None, None, None];
        let error = patcher.patch(row, &Origin::default(), 0, 0).unwrap_err();
        assert!(error.contains("`id`"), "{error}");
    }

    fn any_patch(patcher: Patcher) -> impl Strategy<Value = Patch> {
        (0i64..4, prop::array::uniform4(prop::option::of(0i64..3))).prop_map(move |(o, c)| patch(&patcher, o, c))
    }

    proptest! {
        #[test]
        fn addition_is_a_semilattice(
            (a, b, c) in Just(Patcher::new(spec()))
                .prop_flat_map(|p| (any_patch(p.clone()), any_patch(p.clone()), any_patch(p))),
        ) {
            prop_assert_eq!(plus(&a, &b), plus(&b, &a));
            prop_assert_eq!(plus(&a, &plus(&b, &c)), plus(&plus(&a, &b), &c));
            prop_assert_eq!(plus(&a, &a), a);
        }
    }
}
