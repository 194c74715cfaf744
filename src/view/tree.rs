//! The groups of a view as a client sees them: a tree, sorted, filtered and expanded, in display order.
//!
//! Depth first, parents before children. A row's id is its group's level and number and stays while the
//! view is open, so that a comparison of two epochs goes by id and not by text.

use std::cmp::Ordering;
use std::sync::{Arc, RwLock};

use super::groups::{GroupId, Groups};
use super::labels::Labels;
use super::recompute::Recomputed;
use super::result::{Cell, Column, Form, Heading, RowId, ViewResult};
use super::spec::{Comparison, Expanded, Filter, ViewSpec};
use crate::datum::{Datum, NULL, parse_decimal};
use crate::dictionary::{Code, Dictionaries};

pub struct Tree {
    dictionaries: Arc<RwLock<Dictionaries>>,
    /// All of the view's measures: sorting and filtering may name what is not shown.
    measures: Vec<Column>,
    /// The measures shown, as places in `measures`.
    shown: Vec<usize>,
    columns: Vec<Column>,
    spec: ViewSpec,
    groups: Groups,
    order: Vec<RowId>,
    labels: Arc<Labels>,
}

impl Tree {
    pub fn new(
        spec: ViewSpec,
        measures: Vec<Column>,
        shown: Vec<usize>,
        groups: Groups,
        dictionaries: Arc<RwLock<Dictionaries>>,
    ) -> Tree {
        let columns = shown.iter().map(|&at| measures[at].clone()).collect();
        let labels = Arc::default();
        Tree { dictionaries, measures, shown, columns, spec, groups, order: Vec::new(), labels }
    }

    /// A result computed whole, the ungrouped total first.
    pub fn of(
        spec: ViewSpec,
        result: Recomputed,
        shown: Vec<usize>,
        labels: &Arc<Labels>,
        dictionaries: Arc<RwLock<Dictionaries>>,
    ) -> Tree {
        let groups = Groups::of(result.levels, result.columns.len());
        let mut tree = Tree::new(spec, result.columns, shown, groups, dictionaries);
        tree.settle(labels);
        tree
    }

    pub fn spec(&self) -> &ViewSpec {
        &self.spec
    }

    pub fn groups(&self) -> &Groups {
        &self.groups
    }

    /// The measures shown, as places among all of the view's.
    pub fn shown(&self) -> &[usize] {
        &self.shown
    }

    pub fn bytes(&self) -> usize {
        self.groups.bytes() + self.order.capacity() * size_of::<RowId>()
    }

    /// The groups, for who computes them; [`Self::settle`] follows.
    pub fn groups_mut(&mut self) -> &mut Groups {
        &mut self.groups
    }

    /// Puts the groups of a new epoch in order; returns whether anything shown may be another than before.
    ///
    /// Cost: nothing where no group appeared or vanished and none is sorted or filtered by what changed,
    /// else O(groups · log siblings).
    pub fn settle(&mut self, labels: &Arc<Labels>) -> bool {
        let changes = self.groups.take_changes();
        let relabelled = !Arc::ptr_eq(&self.labels, labels);
        self.labels = Arc::clone(labels);
        let measured = |name: &String| !self.spec.group_by.contains(name);
        let by_cells = self.spec.sort.iter().any(|key| measured(&key.column))
            || self.spec.filter.iter().any(|filter| measured(&filter.column));
        if changes.shown || changes.cells && by_cells {
            self.arrange();
        }
        changes.shown || changes.cells || relabelled
    }

    fn arrange(&mut self) {
        let mut order = std::mem::take(&mut self.order);
        order.clear();
        let levels = &self.groups.levels;
        // By level and parent: the groups shown.
        let mut children: Vec<Vec<Vec<GroupId>>> = Vec::with_capacity(levels.len());
        for pair in levels.windows(2) {
            let mut of = vec![Vec::new(); pair[0].len()];
            for group in (0..pair[1].len() as GroupId).filter(|&group| pair[1].is_shown(group)) {
                of[pair[1].parent(group) as usize].push(group);
            }
            children.push(of);
        }
        {
            let dictionaries = self.dictionaries.read().expect("no writer panicked");
            let walk = Walk { tree: self, dictionaries: &dictionaries, children };
            walk.descend(0, 0, &mut order);
        }
        self.order = order;
    }

    /// The cells of a row, one a measure.
    fn cells_of(&self, row: RowId) -> &[Cell] {
        let (level, group) = place(row);
        self.groups.cells(level, group)
    }

    fn label(&self, level: usize, code: Datum) -> Option<Code> {
        let names = match self.spec.group_by[level - 1].as_str() {
            "account_id" => &self.labels.accounts,
            "instrument_id" => &self.labels.instruments,
            _ => return None,
        };
        if code == NULL { None } else { names.get(&(code as Code)).copied() }
    }
}

fn row_id(level: usize, group: GroupId) -> RowId {
    RowId((level as u64) << 32 | u64::from(group))
}

fn place(row: RowId) -> (usize, GroupId) {
    ((row.0 >> 32) as usize, row.0 as GroupId)
}

struct Walk<'a> {
    tree: &'a Tree,
    dictionaries: &'a Dictionaries,
    children: Vec<Vec<Vec<GroupId>>>,
}

impl Walk<'_> {
    fn descend(&self, level: usize, parent: GroupId, order: &mut Vec<RowId>) {
        let Some(children) = self.children.get(level) else { return };
        let level = level + 1;
        let children = children[parent as usize].iter().copied();
        let mut children: Vec<_> = children.filter(|&group| self.passes(level, group)).collect();
        children.sort_by(|&a, &b| self.compare(level, a, b));
        for group in children {
            order.push(row_id(level, group));
            if self.is_open(level, group) {
                self.descend(level, group, order);
            }
        }
    }

    fn is_open(&self, level: usize, group: GroupId) -> bool {
        match &self.tree.spec.expanded {
            Expanded::None => false,
            Expanded::Level(shown) => level < *shown,
            Expanded::All => true,
            Expanded::Keys(keys) => {
                let mut key = Vec::with_capacity(level);
                self.tree.groups.path(level, group, &mut key);
                let same = |(name, &datum): (&Option<String>, &Datum)| name.as_deref() == self.text(datum);
                keys.iter().any(|path| path.len() == key.len() && path.iter().zip(&key).all(same))
            }
        }
    }

    fn text(&self, datum: Datum) -> Option<&str> {
        (datum != NULL).then(|| self.dictionaries.names.text(datum as Code))
    }

    fn compare(&self, level: usize, a: GroupId, b: GroupId) -> Ordering {
        let groups = &self.tree.groups;
        let [key_a, key_b] = [a, b].map(|group| groups.levels[level].key(group));
        for key in &self.tree.spec.sort {
            let ordering = if self.tree.spec.group_by[level - 1] == key.column {
                self.compare_keys(key_a, key_b, key.descending)
            } else if let Some(column) = self.measure(&key.column) {
                let [a, b] = [a, b].map(|group| groups.cells(level, group)[column].value);
                null_last(a, b, key.descending, |a, b| a.cmp(&b))
            } else {
                Ordering::Equal
            };
            if ordering != Ordering::Equal {
                return ordering;
            }
        }
        self.compare_keys(key_a, key_b, false)
    }

    fn compare_keys(&self, a: Datum, b: Datum, descending: bool) -> Ordering {
        null_last(a, b, descending, |a, b| self.text(a).cmp(&self.text(b)))
    }

    fn measure(&self, name: &str) -> Option<usize> {
        self.tree.measures.iter().position(|column| column.name == name)
    }

    fn passes(&self, level: usize, group: GroupId) -> bool {
        let groups = &self.tree.groups;
        self.tree.spec.filter.iter().all(|filter| {
            if let Some(field) = self.tree.spec.group_by.iter().position(|field| *field == filter.column) {
                // A filter on a field hides groups of its own level, and what is below them.
                let key = || groups.levels[level].key(group);
                return level != field + 1 || text_passes(self.text(key()), filter);
            }
            self.measure(&filter.column).is_none_or(|column| {
                number_passes(
                    groups.cells(level, group)[column].value,
                    self.tree.measures[column].form,
                    filter,
                )
            })
        })
    }
}

/// Orders values with "no value" after all others, whichever way the others go.
pub(super) fn null_last(
    a: Datum,
    b: Datum,
    descending: bool,
    compare: impl Fn(Datum, Datum) -> Ordering,
) -> Ordering {
    match (a == NULL, b == NULL) {
        (false, false) if descending => compare(b, a),
        (false, false) => compare(a, b),
        (a, b) => a.cmp(&b),
    }
}

pub(super) fn text_passes(text: Option<&str>, filter: &Filter) -> bool {
    let wanted = filter.value.as_deref();
    match filter.comparison {
        Comparison::Equal => text == wanted,
        Comparison::NotEqual => text != wanted,
        Comparison::Contains => match (text, wanted) {
            (Some(text), Some(wanted)) => text.to_lowercase().contains(&wanted.to_lowercase()),
            _ => false,
        },
        comparison => match (text, wanted) {
            (Some(text), Some(wanted)) => ordered(comparison, text.cmp(wanted)),
            _ => false,
        },
    }
}

pub(super) fn number_passes(value: Datum, form: Form, filter: &Filter) -> bool {
    let scale = match form {
        Form::Decimal { scale } => scale,
        _ => 0,
    };
    let wanted = match &filter.value {
        None => NULL,
        // What is no number equals nothing and is before and after nothing.
        Some(text) => match parse_decimal(text, crate::datum::DIGITS_MAX, scale) {
            Ok(value) => value,
            Err(_) => return filter.comparison == Comparison::NotEqual,
        },
    };
    match filter.comparison {
        Comparison::Equal => value == wanted,
        Comparison::NotEqual => value != wanted,
        Comparison::Contains => false,
        comparison => value != NULL && wanted != NULL && ordered(comparison, value.cmp(&wanted)),
    }
}

fn ordered(comparison: Comparison, ordering: Ordering) -> bool {
    match comparison {
        Comparison::Less => ordering.is_lt(),
        Comparison::LessOrEqual => ordering.is_le(),
        Comparison::Greater => ordering.is_gt(),
        Comparison::GreaterOrEqual => ordering.is_ge(),
        Comparison::Equal | Comparison::NotEqual | Comparison::Contains => false,
    }
}

impl ViewResult for Tree {
    fn columns(&self) -> &[Column] {
        &self.columns
    }

    fn size(&self) -> usize {
        self.order.len()
    }

    fn rows(&self, from: usize, to: usize, into: &mut Vec<RowId>) {
        let to = to.min(self.order.len());
        into.extend_from_slice(&self.order[from.min(to)..to]);
    }

    fn heading(&self, row: RowId) -> Heading {
        let (level, group) = place(row);
        let mut key = Vec::with_capacity(level);
        self.groups.path(level, group, &mut key);
        let dictionaries = self.dictionaries.read().expect("no writer panicked");
        let text =
            |&datum: &Datum| (datum != NULL).then(|| dictionaries.names.text(datum as Code).to_owned());
        let label = self.label(level, key[level - 1]);
        Heading {
            key: key.iter().map(text).collect(),
            label: label.map(|code| dictionaries.names.text(code).to_owned()),
            depth: level,
            expandable: level < self.spec.group_by.len(),
        }
    }

    fn has_heading(&self, row: RowId, heading: &Heading) -> bool {
        // A group's path never changes; only the name it is shown by may.
        let (level, group) = place(row);
        match (self.label(level, self.groups.levels[level].key(group)), &heading.label) {
            (None, None) => true,
            (Some(code), Some(label)) => {
                self.dictionaries.read().expect("no writer panicked").names.text(code) == label
            }
            _ => false,
        }
    }

    fn cells(&self, row: RowId, into: &mut Vec<Cell>) {
        let cells = self.cells_of(row);
        into.extend(self.shown.iter().map(|&at| cells[at]));
    }

    fn total(&self, into: &mut Vec<Cell>) {
        let total = self.groups.cells(0, 0);
        into.extend(self.shown.iter().map(|&at| total[at]));
    }
}
