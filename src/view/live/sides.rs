//! What rows of live views look up: rows of relations that are the same for every account, by key.
//!
//! A key that is looked up gets a number for good, whether its row is there or not, so that a row that
//! appears later is a change like any other. Rows stay as they were until [`Sides::apply`]: what is taken
//! back reads what it was added by.
//! Cost of a tick: the rows of these relations that changed; 16 bytes a value of rows that are looked up.

use hashbrown::HashMap;

use super::{Columns, World, evaluate};
use crate::datum::{Datum, NULL};
use crate::dictionary::Code;
use crate::plan::live::unique_key;
use crate::plan::relation::Lookup;
use crate::plan::scalar::Scalar;
use crate::plan::scan::day_row;
use crate::schema::TableId;
use crate::table::Delta;

/// A relation's place among the sides.
pub(super) type SideId = usize;

/// The number of a key that has a null and so finds nothing.
pub(super) const NOWHERE: u32 = u32::MAX;

#[derive(Debug, Clone, Copy)]
enum Read {
    Day,
    Table(TableId),
    /// One of the shipped relations.
    Shipped(&'static str),
}

struct Side {
    name: String,
    currency: String,
    read: Read,
    /// The key's columns, in their order.
    key: Vec<usize>,
    width: usize,
    numbers: HashMap<Box<[Datum]>, u32>,
    /// By number.
    keys: Vec<Box<[Datum]>>,
    /// Row after row; a row that is not there is all null.
    data: Vec<Datum>,
    /// Rows that are others at the epoch that comes, and which of their columns.
    pending: Vec<(u32, Vec<Datum>)>,
    changed: Vec<(u32, Vec<bool>)>,
}

#[derive(Default)]
pub(super) struct Sides {
    all: Vec<Side>,
}

const SHIPPED: [&str; 6] = ["fx", "fx_between", "instrument", "account", "quote", "unit"];

impl Sides {
    /// The side of a relation, which is new the first time it is asked for.
    pub fn of(&mut self, relation: &str, currency: &str, world: &World) -> SideId {
        // Base tables are the same in every currency.
        let shipped = SHIPPED.iter().find(|name| **name == relation);
        let currency = if shipped.is_some() { currency } else { "" };
        if let Some(at) = self.all.iter().position(|side| side.name == relation && side.currency == currency)
        {
            return at;
        }
        let schema = world.tables.schema();
        let (read, width) = match shipped {
            Some(name) => (Read::Shipped(name), world.relations(currency).get(name).columns.len()),
            None if relation == "system.day" => (Read::Day, 3),
            None => {
                let table = schema.table(relation);
                (Read::Table(table.id), table.columns.len())
            }
        };
        let mut key = unique_key(schema, relation).expect("what is looked up has a key");
        key.sort_unstable();
        self.all.push(Side {
            name: relation.to_owned(),
            currency: currency.to_owned(),
            read,
            key,
            width,
            numbers: HashMap::new(),
            keys: Vec::new(),
            data: Vec::new(),
            pending: Vec::new(),
            changed: Vec::new(),
        });
        self.all.len() - 1
    }

    /// Lets go of what no view reads: its rows are found again when they are asked for.
    pub fn clear(&mut self) {
        self.all.clear();
    }

    /// Finds which rows are others at the new epoch, without changing any.
    pub fn prepare(&mut self, delta: &Delta, world: &World) {
        for side in &mut self.all {
            side.prepare(delta, world);
        }
    }

    /// Brings all rows to the new epoch.
    pub fn apply(&mut self) {
        for side in &mut self.all {
            for (number, row) in side.pending.drain(..) {
                let at = number as usize * side.width;
                side.data[at..at + side.width].copy_from_slice(&row);
            }
        }
    }

    /// The rows of a side that the tick changed in one of these columns.
    pub fn changed<'a>(&'a self, side: SideId, columns: &'a [bool]) -> impl Iterator<Item = u32> + 'a {
        let touches = move |changed: &[bool]| changed.iter().zip(columns).any(|(a, b)| *a && *b);
        self.all[side].changed.iter().filter(move |(_, changed)| touches(changed)).map(|(number, _)| *number)
    }

    /// The key of a number.
    pub fn key(&self, side: SideId, number: u32) -> &[Datum] {
        &self.all[side].keys[number as usize]
    }

    pub fn value(&self, side: SideId, number: u32, column: usize) -> Datum {
        match number {
            NOWHERE => NULL,
            number => self.all[side].data[number as usize * self.all[side].width + column],
        }
    }

    pub fn width(&self, side: SideId) -> usize {
        self.all[side].width
    }

    /// The numbers that a look-up finds for some rows.
    pub fn find(
        &mut self,
        side: SideId,
        lookup: &Lookup,
        columns: &[Vec<Datum>],
        rows: usize,
        world: &World,
    ) -> Vec<u32> {
        let mut keys: Vec<(usize, &Scalar)> =
            lookup.keys.iter().map(|(key, scalar)| (*key, scalar)).collect();
        keys.sort_by_key(|(key, _)| *key);
        // Nearly every key is a column, so that there is next to nothing to compile.
        let lanes = evaluate(&Columns::new(keys.iter().map(|(_, scalar)| *scalar)), columns, rows);
        let mut key = Vec::with_capacity(lanes.len());
        let side = &mut self.all[side];
        let number = |row: usize| {
            key.clear();
            key.extend(lanes.iter().map(|lane| lane.get(row)));
            side.number(&key, world)
        };
        (0..rows).map(number).collect()
    }

    pub fn bytes(&self) -> usize {
        let of = |side: &Side| side.data.capacity() * 16 + side.numbers.len() * (32 * side.key.len() + 40);
        self.all.iter().map(of).sum()
    }
}

impl Side {
    fn number(&mut self, key: &[Datum], world: &World) -> u32 {
        if let Some(&number) = self.numbers.get(key) {
            return number;
        }
        if key.contains(&NULL) {
            return NOWHERE;
        }
        let number = self.numbers.len() as u32;
        self.numbers.insert(key.into(), number);
        self.keys.push(key.into());
        let row = self.read(key, world);
        self.data.extend_from_slice(&row);
        number
    }

    /// A row as it is at the epoch of the world.
    fn read(&self, key: &[Datum], world: &World) -> Vec<Datum> {
        match self.read {
            Read::Day => day_row(world.snapshot).to_vec(),
            Read::Table(table) => {
                let mut row = Vec::with_capacity(self.width);
                match world.tables.find(table, key.iter().copied()) {
                    Some(at) => {
                        world.tables.partition(table, 0).expect("it holds the row").read(at, &mut row)
                    }
                    None => row.resize(self.width, NULL),
                }
                row
            }
            Read::Shipped(name) => {
                let relation = world.relations(&self.currency).get(name);
                let codes: Vec<Code> = key.iter().map(|&datum| datum as Code).collect();
                let at = relation.row(&codes, world.tables).map_or(usize::MAX, |row| row as usize);
                relation
                    .columns
                    .iter()
                    .map(|column| if at < column.len() { column.get(at) } else { NULL })
                    .collect()
            }
        }
    }

    fn prepare(&mut self, delta: &Delta, world: &World) {
        self.pending.clear();
        self.changed.clear();
        let mut keys: Vec<Vec<Datum>> = Vec::new();
        match self.read {
            Read::Day => keys.push(Vec::new()),
            Read::Table(table) => {
                let rows = &delta.tables[table];
                for row in
                    rows.gone.data.chunks_exact(self.width).chain(rows.come.data.chunks_exact(self.width))
                {
                    keys.push(self.key.iter().map(|&column| row[column]).collect());
                }
            }
            Read::Shipped(name) => {
                let relation = world.relations(&self.currency).get(name);
                for &row in &relation.changed_rows {
                    keys.push(
                        self.key.iter().map(|&column| relation.columns[column].get(row as usize)).collect(),
                    );
                }
            }
        }
        keys.sort_unstable();
        keys.dedup();
        for key in keys {
            let Some(&number) = self.numbers.get(key.as_slice()) else { continue };
            let row = self.read(&key, world);
            let held = &self.data[number as usize * self.width..][..self.width];
            let changed: Vec<bool> = held.iter().zip(&row).map(|(held, row)| held != row).collect();
            if changed.contains(&true) {
                self.pending.push((number, row));
                self.changed.push((number, changed));
            }
        }
    }
}
