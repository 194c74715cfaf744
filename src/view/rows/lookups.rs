//! What rows look up, as readers may hold it: columns by instrument, shared until they change.

use std::sync::Arc;

use crate::datum::{Datum, NULL};
use crate::dictionary::Code;
use crate::plan::relation::{Lookup, Relation};
use crate::plan::scalar::{Lane, Program, Scalar, Values};
use crate::plan::scan::day_row;
use crate::table::snapshot::Snapshot;
use crate::table::{Domain, Tables};
use crate::view::broadcast::{Broadcasts, NOWHERE};

/// The relation of one row: the business date and the age limits of prices.
pub const DAY: &str = "system.day";

/// A column of a relation that is looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Looked {
    pub relation: String,
    pub column: usize,
}

#[derive(Debug, Clone)]
struct Shelf {
    of: Looked,
    values: Arc<Values>,
    /// The last refresh changed a value that was there before.
    changed: bool,
}

/// The columns that the row-level views of one reporting currency look up, at one epoch. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Lookups {
    instruments: Arc<Domain>,
    day: [Datum; 3],
    shelves: Vec<Shelf>,
}

impl Lookups {
    /// Adds columns, which have their values from the next refresh on.
    pub fn want(&mut self, columns: &[Looked]) {
        for of in columns {
            if !self.shelves.iter().any(|shelf| shelf.of == *of) {
                self.shelves.push(Shelf { of: of.clone(), values: Arc::default(), changed: false });
            }
        }
    }

    /// Takes the values of an epoch.
    ///
    /// Cost: a comparison of each column, and a copy of those that changed.
    pub fn refresh(&mut self, broadcasts: &Broadcasts, tables: &Tables, snapshot: &Snapshot) {
        self.day = day_row(snapshot);
        if self.instruments.len() != tables.instruments.len() {
            self.instruments = Arc::new(tables.instruments.clone());
        }
        for shelf in &mut self.shelves {
            let values = &broadcasts.get(&shelf.of.relation).columns[shelf.of.column];
            let known = shelf.values.len().min(values.len());
            shelf.changed = !shelf.values.lane().agrees(values.lane(), known);
            if shelf.changed || shelf.values.len() != values.len() {
                shelf.values = Arc::new(values.clone());
            }
        }
    }

    pub fn changed(&self, of: &Looked) -> bool {
        self.shelves.iter().any(|shelf| shelf.of == *of && shelf.changed)
    }

    pub fn instruments(&self) -> &Domain {
        &self.instruments
    }

    /// The inputs of a relation over `rows` rows of its source; those not used are left empty.
    pub fn inputs(
        &self,
        relation: &Relation,
        used: &[bool],
        rows: usize,
        source: &dyn Fn(usize) -> Values,
    ) -> Vec<Values> {
        let mut found: Vec<Option<Vec<u32>>> = vec![None; relation.lookups.len()];
        let mut inputs: Vec<Values> = Vec::with_capacity(relation.inputs.len());
        for (at, input) in relation.inputs.iter().enumerate() {
            let column = match input.lookup {
                _ if !used[at] => Values::default(),
                None => source(input.column),
                Some(lookup) if relation.lookups[lookup].relation == DAY => {
                    std::iter::repeat_n(self.day[input.column], rows).collect()
                }
                Some(at) => {
                    let lookup = &relation.lookups[at];
                    // Inputs of a look-up stand after those its key is made of.
                    let numbers = found[at].get_or_insert_with(|| self.find(lookup, &inputs, rows));
                    let mut column = Values::default();
                    let values = self.values(&lookup.relation, input.column);
                    column.gather(values.lane(), numbers.iter().copied());
                    column
                }
            };
            inputs.push(column);
        }
        inputs
    }

    /// The number of the instrument that each row looks up, or one beyond them all.
    fn find(&self, lookup: &Lookup, inputs: &[Values], rows: usize) -> Vec<u32> {
        let [(_, key)] = lookup.keys.as_slice() else {
            panic!("{} is looked up by the instrument alone", lookup.relation);
        };
        let inputs: Vec<Lane> = inputs.iter().map(Values::lane).collect();
        let codes = Program::new([key]).evaluate(&inputs, rows).remove(0);
        let number = |row: usize| {
            let code = codes.get(row);
            let known = if code == NULL { None } else { self.instruments.find(code as Code) };
            known.unwrap_or(NOWHERE)
        };
        (0..rows).map(number).collect()
    }

    fn values(&self, relation: &str, column: usize) -> &Values {
        let shelf =
            self.shelves.iter().find(|shelf| shelf.of.column == column && shelf.of.relation == relation);
        &shelf.expect("a column is wanted before it is read").values
    }
}

/// Which inputs of a relation its scalars read, keys of their look-ups among them.
pub fn used<'a>(relation: &Relation, scalars: impl Iterator<Item = &'a Scalar>) -> Vec<bool> {
    let mut used = vec![false; relation.inputs.len()];
    scalars.for_each(|scalar| scalar.columns(&mut |input| used[input] = true));
    // A look-up's key may be made of what an earlier one found.
    for (at, lookup) in relation.lookups.iter().enumerate().rev() {
        if (0..used.len()).any(|input| used[input] && relation.inputs[input].lookup == Some(at)) {
            lookup.keys.iter().for_each(|(_, key)| key.columns(&mut |input| used[input] = true));
        }
    }
    used
}

/// The columns that the used inputs of a relation look up, but those of the day.
pub fn looked_up<'a>(relation: &'a Relation, used: &'a [bool]) -> impl Iterator<Item = Looked> + 'a {
    let inputs = relation.inputs.iter().zip(used).filter(|(_, used)| **used);
    inputs.filter_map(|(input, _)| {
        let relation = &relation.lookups[input.lookup?].relation;
        (relation != DAY).then(|| Looked { relation: relation.clone(), column: input.column })
    })
}
