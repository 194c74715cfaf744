//! The groups of a view as a client sees them: a tree, sorted, filtered and expanded, in display order.
//!
//! Depth first, parents before children. A row's id is that of its path and stays while the view is open,
//! so that a comparison of two epochs goes by id and not by text.

use std::cmp::Ordering;
use std::sync::{Arc, RwLock};

use hashbrown::HashMap;

use super::recompute::Group;
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
    levels: Vec<Vec<Group>>,
    ids: HashMap<Vec<Datum>, u64>,
    /// Level and place of each row, by id.
    places: Vec<Option<(u32, u32)>>,
    order: Vec<RowId>,
    /// Names to show for the groups of a level, by the code of their key.
    labels: Vec<HashMap<Datum, Code>>,
}

impl Tree {
    pub fn new(
        spec: ViewSpec,
        measures: Vec<Column>,
        shown: Vec<usize>,
        dictionaries: Arc<RwLock<Dictionaries>>,
    ) -> Tree {
        let columns = shown.iter().map(|&at| measures[at].clone()).collect();
        Tree {
            dictionaries,
            measures,
            shown,
            columns,
            spec,
            levels: Vec::new(),
            ids: HashMap::new(),
            places: Vec::new(),
            order: Vec::new(),
            labels: Vec::new(),
        }
    }

    pub fn spec(&self) -> &ViewSpec {
        &self.spec
    }

    /// Takes the groups of a new epoch, the ungrouped total first, and puts them in order.
    ///
    /// Cost: O(groups · log siblings).
    pub fn show(&mut self, levels: Vec<Vec<Group>>, labels: Vec<HashMap<Datum, Code>>) {
        self.levels = levels;
        self.labels = labels;
        self.places.iter_mut().for_each(|place| *place = None);
        let mut children: HashMap<&[Datum], Vec<(u32, u32)>> = HashMap::new();
        for (level, groups) in self.levels.iter().enumerate().skip(1) {
            for (at, group) in groups.iter().enumerate() {
                let id = match self.ids.get(&group.key) {
                    Some(&id) => id,
                    None => {
                        let id = self.places.len() as u64;
                        self.ids.insert(group.key.clone(), id);
                        self.places.push(None);
                        id
                    }
                };
                let place = (level as u32, at as u32);
                self.places[id as usize] = Some(place);
                children.entry(&group.key[..level - 1]).or_default().push(place);
            }
        }
        let mut order = Vec::new();
        {
            let dictionaries = self.dictionaries.read().expect("no writer panicked");
            let walk = Walk { tree: self, dictionaries: &dictionaries, children };
            walk.descend(&[], &mut order);
        }
        self.order = order;
    }

    fn group(&self, (level, at): (u32, u32)) -> &Group {
        &self.levels[level as usize][at as usize]
    }

    fn place(&self, row: RowId) -> (u32, u32) {
        self.places[row.0 as usize].expect("the row is in the result")
    }
}

struct Walk<'a> {
    tree: &'a Tree,
    dictionaries: &'a Dictionaries,
    children: HashMap<&'a [Datum], Vec<(u32, u32)>>,
}

impl Walk<'_> {
    fn descend(&self, parent: &[Datum], order: &mut Vec<RowId>) {
        let Some(children) = self.children.get(parent) else { return };
        let mut children: Vec<_> = children.iter().copied().filter(|&place| self.passes(place)).collect();
        children.sort_by(|&a, &b| self.compare(a, b));
        for place in children {
            let key = &self.tree.group(place).key;
            order.push(RowId(self.tree.ids[key]));
            if self.open(key) {
                self.descend(key, order);
            }
        }
    }

    fn open(&self, key: &[Datum]) -> bool {
        match &self.tree.spec.expanded {
            Expanded::None => false,
            Expanded::Level(level) => key.len() < *level,
            Expanded::All => true,
            Expanded::Keys(keys) => keys.iter().any(|path| {
                path.len() == key.len()
                    && path.iter().zip(key).all(|(name, &datum)| name.as_deref() == self.text(datum))
            }),
        }
    }

    fn text(&self, datum: Datum) -> Option<&str> {
        (datum != NULL).then(|| self.dictionaries.names.text(datum as Code))
    }

    fn compare(&self, a: (u32, u32), b: (u32, u32)) -> Ordering {
        let (a, b) = (self.tree.group(a), self.tree.group(b));
        let level = a.key.len() - 1;
        for key in &self.tree.spec.sort {
            let ordering = if self.tree.spec.group_by[level] == key.column {
                self.compare_keys(a.key[level], b.key[level], key.descending)
            } else if let Some(column) = self.measure(&key.column) {
                null_last(a.cells[column].value, b.cells[column].value, key.descending, |a, b| a.cmp(&b))
            } else {
                Ordering::Equal
            };
            if ordering != Ordering::Equal {
                return ordering;
            }
        }
        self.compare_keys(a.key[level], b.key[level], false)
    }

    fn compare_keys(&self, a: Datum, b: Datum, descending: bool) -> Ordering {
        null_last(a, b, descending, |a, b| self.text(a).cmp(&self.text(b)))
    }

    fn measure(&self, name: &str) -> Option<usize> {
        self.tree.measures.iter().position(|column| column.name == name)
    }

    fn passes(&self, place: (u32, u32)) -> bool {
        let group = self.tree.group(place);
        self.tree.spec.filter.iter().all(|filter| {
            if let Some(level) = self.tree.spec.group_by.iter().position(|field| *field == filter.column) {
                // A filter on a field hides groups of its own level, and what is below them.
                return group.key.len() != level + 1 || text_passes(self.text(group.key[level]), filter);
            }
            self.measure(&filter.column).is_none_or(|column| {
                number_passes(group.cells[column].value, self.tree.measures[column].form, filter)
            })
        })
    }
}

/// Orders values with "no value" after all others, whichever way the others go.
fn null_last(a: Datum, b: Datum, descending: bool, compare: impl Fn(Datum, Datum) -> Ordering) -> Ordering {
    match (a == NULL, b == NULL) {
        (false, false) if descending => compare(b, a),
        (false, false) => compare(a, b),
        (a, b) => a.cmp(&b),
    }
}

fn text_passes(text: Option<&str>, filter: &Filter) -> bool {
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

fn number_passes(value: Datum, form: Form, filter: &Filter) -> bool {
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
        let place = self.place(row);
        let key = &self.group(place).key;
        let dictionaries = self.dictionaries.read().expect("no writer panicked");
        let text =
            |&datum: &Datum| (datum != NULL).then(|| dictionaries.names.text(datum as Code).to_owned());
        let level = key.len() - 1;
        let label = self.labels.get(level).and_then(|labels| labels.get(&key[level]));
        Heading {
            key: key.iter().map(text).collect(),
            label: label.map(|&code| dictionaries.names.text(code).to_owned()),
            depth: key.len(),
            expandable: key.len() < self.spec.group_by.len(),
        }
    }

    fn cells(&self, row: RowId, into: &mut Vec<Cell>) {
        let group = self.group(self.place(row));
        into.extend(self.shown.iter().map(|&at| group.cells[at]));
    }

    fn total(&self, into: &mut Vec<Cell>) {
        let total = &self.levels[0][0];
        into.extend(self.shown.iter().map(|&at| total.cells[at]));
    }
}
