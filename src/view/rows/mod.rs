//! A row-level view kept by deltas: which rows it has and in which order, never what stands in them.
//!
//! It holds the snapshot and the looked-up columns of its epoch, and evaluates cells for the rows a reader
//! asks for. So millions of rows cost about 30 bytes each, and a tick that changes every price costs the
//! windows and the totals. It refuses group-by fields; a carve-out of portfolios is a grouped view's.
//!
//! A changed row is found by what its partition shares with the epoch before: only chunks that were copied
//! are looked through. An order or a filter by something that prices change is made anew at each such tick,
//! from all selected rows: O(rows · log rows); every other order is kept a row at a time.

pub mod lookups;
mod page;
mod read;
mod sequence;
mod slots;
mod sort;
mod total;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hashbrown::HashSet;

use self::lookups::{Looked, Lookups};
use self::page::Page;
use self::read::{BATCH_ROWS, Read, Reading};
use self::sequence::Sequence;
use self::slots::{Place, Slots};
use self::sort::{Order, passes};
use self::total::Sums;
use super::result::{Cell, Column, Form, Heading, Quality, RowId, ViewResult};
use super::spec::{Filter, Selection, ViewSpec};
use crate::datum::{Datum, NULL};
use crate::dictionary::{Code, Dictionaries};
use crate::error::Result;
use crate::plan::rows::RowsPlan;
use crate::plan::scalar::Values;
use crate::table::chunk::CHUNK_ROWS;
use crate::table::partition::{Row, Rows};
use crate::table::snapshot::{Snapshot, TableSnapshot};
use crate::table::{Delta, PartitionId, RowSet, Tables};

pub struct RowView {
    plan: RowsPlan,
    spec: ViewSpec,
    /// The chosen accounts; `None` is all of them.
    accounts: Option<BTreeSet<PartitionId>>,
    /// The measures shown.
    shown: Vec<usize>,
    columns: Vec<Column>,
    /// The measures that filters are on, in the order of the specification.
    filters: Vec<usize>,
    order: Order,
    /// What decides whether and where a row is shown, and what it adds to the totals.
    membership: Reading,
    window: Reading,
    /// Looked-up columns that `membership` depends on: rows come, go or move where one changes.
    depends_on: Vec<Looked>,
    snapshot: Arc<Snapshot>,
    lookups: Lookups,
    slots: Slots,
    /// By row number, the values it is sorted by.
    sort_values: Vec<Datum>,
    sequence: Sequence,
    sums: Sums,
    total: Vec<Cell>,
    /// The last update could not compute the totals.
    broken: bool,
    touch: RowsTouch,
    /// Readers share a view, and reading fills the page.
    page: Mutex<Page>,
}

/// What the last update of a row-level view did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RowsTouch {
    /// All rows were found and ordered anew.
    pub anew: bool,
    /// Base rows of its accounts that went or came.
    pub base_rows: usize,
}

/// Rows to be shown, before they are numbered.
#[derive(Default)]
struct Found {
    places: Vec<Place>,
    keys: Vec<Code>,
    sort_values: Vec<Datum>,
}

impl RowView {
    /// The columns of broadcast relations that a view looks up.
    pub fn wants(plan: &RowsPlan) -> Vec<Looked> {
        Reading::new(plan, (0..plan.measures.len()).collect(), &plan.summed).looked_up(plan)
    }

    /// Opens a view at a snapshot. `shown` are the measures to show, `lookups` those of the same epoch.
    ///
    /// Cost: O(rows · log rows); 0.3 s a million rows, 0.5 s where they are sorted otherwise than by key.
    ///
    /// # Errors
    /// As [`Self::update`].
    pub fn new(
        spec: &ViewSpec,
        plan: RowsPlan,
        shown: Vec<usize>,
        lookups: &Lookups,
        tables: &Tables,
        snapshot: &Arc<Snapshot>,
    ) -> Result<RowView> {
        let place = |name: &str| {
            let found = plan.measures.iter().position(|measure| measure.column.name == name);
            found.expect("the specification is bound to the view's columns")
        };
        let filters: Vec<usize> = spec.filter.iter().map(|filter| place(&filter.column)).collect();
        let sort = spec.sort.iter().map(|key| (place(&key.column), key.descending));
        let order = Order::new(sort.collect(), &plan);
        let mut side = plan.summed.clone();
        side.push(plan.instrument);
        let measures = filters.iter().copied().chain(order.measures()).collect();
        let membership = Reading::new(&plan, measures, &side);
        let mut view = RowView {
            accounts: chosen(&spec.accounts, tables, snapshot),
            columns: shown.iter().map(|&at| plan.measures[at].column.clone()).collect(),
            window: Reading::new(&plan, shown.clone(), &[]),
            depends_on: membership.looked_up(&plan),
            slots: Slots::new(plan.key.len()),
            total: vec![Cell::EMPTY; plan.measures.len()],
            spec: spec.clone(),
            snapshot: Arc::clone(snapshot),
            lookups: lookups.clone(),
            sort_values: Vec::new(),
            sequence: Sequence::default(),
            sums: Sums::default(),
            broken: false,
            touch: RowsTouch { anew: true, base_rows: 0 },
            page: Mutex::default(),
            plan,
            shown,
            filters,
            order,
            membership,
        };
        view.rebuild();
        view.take_total()?;
        Ok(view)
    }

    pub fn spec(&self) -> &ViewSpec {
        &self.spec
    }

    pub fn touch(&self) -> RowsTouch {
        self.touch
    }

    /// How many rows a reader asked for since the last epoch.
    pub fn window(&self) -> usize {
        self.page().asked()
    }

    /// Bytes of the rows' numbers, places and order and of the totals by instrument; their cells are none of
    /// it, nor the columns looked up, which views of one currency share.
    pub fn bytes(&self) -> usize {
        self.slots.bytes()
            + self.sequence.bytes()
            + self.sums.bytes()
            + self.sort_values.capacity() * size_of::<Datum>()
    }

    /// Brings the view from the epoch it is at to the next, of which `delta` tells the changed rows.
    ///
    /// Cost: the changed rows, the chunks they are in, and the instruments held; where the business date or
    /// something that rows are ordered or hidden by changed, as [`Self::new`].
    ///
    /// # Errors
    /// `Data` where a total has more digits than a value can have; rows are shown all the same.
    pub fn update(&mut self, delta: &Delta, lookups: &Lookups, snapshot: &Arc<Snapshot>) -> Result<()> {
        self.page().clear();
        self.lookups = lookups.clone();
        let before = std::mem::replace(&mut self.snapshot, Arc::clone(snapshot));
        let rows = &delta.tables[self.plan.table];
        let most = rows.gone.len() + rows.come.len() > BATCH_ROWS + self.sequence.len();
        self.touch = RowsTouch::default();
        let moved = self.depends_on.iter().any(|column| self.lookups.changed(column));
        if delta.day_before.is_some() || self.broken || moved || most {
            self.rebuild();
        } else if !rows.is_empty() {
            self.apply(&rows.gone, &rows.come, &before);
        }
        self.take_total()
    }

    fn take_total(&mut self) -> Result<()> {
        let total = self.sums.total(&self.plan, &self.lookups);
        self.broken = total.is_err();
        match total {
            Ok(total) => self.total = total,
            Err(error) => {
                self.total.fill(Cell { value: NULL, quality: Quality::Missing });
                return Err(error);
            }
        }
        Ok(())
    }

    fn selects(&self, partition: PartitionId) -> bool {
        self.accounts.as_ref().is_none_or(|accounts| accounts.contains(&partition))
    }

    /// Finds and orders all rows anew; those that were there keep their numbers.
    fn rebuild(&mut self) {
        self.touch.anew = true;
        let snapshot = Arc::clone(&self.snapshot);
        let dictionaries = snapshot.dictionaries.read().expect("no writer panicked");
        let table = snapshot.table(self.plan.table);
        let mut found = Found::default();
        self.sums.clear();
        let mut batch: Vec<Place> = Vec::with_capacity(BATCH_ROWS);
        let partitions = table.partitions().filter(|(partition, _)| self.selects(*partition));
        let partitions: Vec<_> = partitions.map(|(partition, rows)| (partition, rows.len())).collect();
        for (partition, rows) in partitions {
            for row in 0..rows as Row {
                batch.push((partition, row));
                if batch.len() == BATCH_ROWS {
                    self.find(&batch, table, &dictionaries, &mut found);
                    batch.clear();
                }
            }
        }
        self.find(&batch, table, &dictionaries, &mut found);
        let (slots, numbers) = Slots::renumbered(&self.slots, &found.places, &found.keys);
        let sorted = self.order.sorted(&found.keys, &found.sort_values, &dictionaries);
        let width = self.order.width();
        self.sort_values = vec![NULL; numbers.iter().max().map_or(0, |&most| most as usize + 1) * width];
        for (at, &number) in numbers.iter().enumerate() {
            self.sort_values[number as usize * width..][..width]
                .copy_from_slice(&found.sort_values[at * width..][..width]);
        }
        self.slots = slots;
        self.sequence = Sequence::new(&sorted.iter().map(|&at| numbers[at as usize]).collect::<Vec<_>>());
    }

    /// Adds up a batch of base rows and finds those to show.
    fn find(
        &mut self,
        batch: &[Place],
        table: &TableSnapshot,
        dictionaries: &Dictionaries,
        found: &mut Found,
    ) {
        let rows = stored(batch, table);
        let read =
            self.membership.read(&self.plan, rows.len(), &|column| gather(&rows, column), &self.lookups);
        self.sums.add(&self.plan, &read, 1, &self.lookups);
        for (at, &(row, number)) in rows.iter().enumerate() {
            if self.shows(&read, at, dictionaries) {
                found.places.push(batch[at]);
                found.keys.extend(self.plan.key.iter().map(|&(column, _)| row.get(number, column) as Code));
                found.sort_values.extend(self.order_values(&read, at));
            }
        }
    }

    fn shows(&self, read: &Read, row: usize, dictionaries: &Dictionaries) -> bool {
        let filter = |(at, filter): (usize, &Filter)| {
            let form = self.plan.measures[self.filters[at]].column.form;
            passes(read.cells[at][row].value, form, filter, dictionaries)
        };
        read.kept[row] && self.spec.filter.iter().enumerate().all(filter)
    }

    fn order_values<'a>(&self, read: &'a Read, row: usize) -> impl Iterator<Item = Datum> + 'a {
        read.cells[self.filters.len()..].iter().map(move |cells| cells[row].value)
    }

    /// Takes a tick's rows in: sums by what went and came, places by where rows are stored now.
    fn apply(&mut self, gone: &RowSet, come: &RowSet, before: &Snapshot) {
        let snapshot = Arc::clone(&self.snapshot);
        let schema = &snapshot.schema.tables[self.plan.table];
        let dictionaries = snapshot.dictionaries.read().expect("no writer panicked");
        let width = schema.columns.len();
        let (mut touched, mut partitions) = (HashSet::new(), BTreeSet::new());
        let mut suspects: BTreeSet<u32> = BTreeSet::new();
        for (set, weight) in [(gone, -1), (come, 1)] {
            let mut data: Vec<Datum> = Vec::new();
            for (row, &partition) in set.data.chunks_exact(width).zip(&set.partitions) {
                if self.selects(partition) {
                    data.extend_from_slice(row);
                    partitions.insert(partition);
                    touched.insert(schema.key.iter().map(|&column| row[column]).collect::<Vec<_>>());
                }
            }
            self.touch.base_rows += data.len() / width;
            let column = |column: usize| data.iter().skip(column).step_by(width).copied().collect();
            let read = self.membership.read(&self.plan, data.len() / width, &column, &self.lookups);
            self.sums.add(&self.plan, &read, weight, &self.lookups);
            if weight < 0 {
                let rows = data.chunks_exact(width).zip(&read.kept).filter(|(_, kept)| **kept);
                let keys = rows.map(|(row, _)| {
                    self.plan.key.iter().map(|&(column, _)| row[column] as Code).collect::<Vec<_>>()
                });
                suspects.extend(keys.filter_map(|key| self.slots.find(&key)));
            }
        }
        let (now, then) = (snapshot.table(self.plan.table), before.table(self.plan.table));
        let mut candidates: Vec<Place> = Vec::new();
        let mut key = Vec::with_capacity(schema.key.len());
        for &partition in &partitions {
            let Some(rows) = now.partition(partition as usize) else { continue };
            let old = then.partition(partition as usize);
            for row in copied(old.map(Arc::as_ref), rows) {
                key.clear();
                key.extend(schema.key.iter().map(|&column| rows.get(row, column)));
                let stood = |old: &Arc<Rows>| {
                    (row as usize) < old.len()
                        && schema.key.iter().zip(&key).all(|(&column, &datum)| old.get(row, column) == datum)
                };
                if !old.is_some_and(stood) || touched.contains(&key) {
                    candidates.push((partition, row));
                }
            }
        }
        let rows = stored(&candidates, now);
        let read =
            self.membership.read(&self.plan, rows.len(), &|column| gather(&rows, column), &self.lookups);
        for (at, &(row, number)) in rows.iter().enumerate() {
            if self.shows(&read, at, &dictionaries) {
                let key = self.plan.key.iter().map(|&(column, _)| row.get(number, column) as Code);
                let key: Vec<Code> = key.collect();
                let sort_values: Vec<Datum> = self.order_values(&read, at).collect();
                let number = self.put(&key, candidates[at], &sort_values, &dictionaries);
                suspects.remove(&number);
            }
        }
        for number in suspects {
            self.take_out(number, &dictionaries);
            self.slots.remove(number);
        }
    }

    /// Shows a row, new or not, where it belongs.
    fn put(&mut self, key: &[Code], place: Place, values: &[Datum], dictionaries: &Dictionaries) -> u32 {
        let width = self.order.width();
        let number = match self.slots.find(key) {
            Some(number) => {
                self.slots.move_to(number, place);
                if self.sort_values[number as usize * width..][..width] == *values {
                    return number;
                }
                self.take_out(number, dictionaries);
                number
            }
            None => self.slots.add(place, key),
        };
        let start = number as usize * width;
        if self.sort_values.len() < start + width {
            self.sort_values.resize(start + width, NULL);
        }
        self.sort_values[start..start + width].copy_from_slice(values);
        let RowView { sequence, slots, sort_values, order, .. } = self;
        sequence.insert(number, &|other| order.compare(slots, sort_values, other, number, dictionaries));
        number
    }

    fn take_out(&mut self, number: u32, dictionaries: &Dictionaries) {
        let RowView { sequence, slots, sort_values, order, .. } = self;
        sequence.remove(number, &|other| order.compare(slots, sort_values, other, number, dictionaries));
    }

    fn page(&self) -> MutexGuard<'_, Page> {
        // A reader that panicked left a page that the next one fills anew.
        self.page.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn evaluate(&self, numbers: &[u32], into: &mut Vec<Cell>) {
        let places: Vec<Place> = numbers.iter().map(|&number| self.slots.place(number)).collect();
        let rows = stored(&places, self.snapshot.table(self.plan.table));
        let read = self.window.read(&self.plan, rows.len(), &|column| gather(&rows, column), &self.lookups);
        for row in 0..rows.len() {
            into.extend(read.cells.iter().map(|cells| cells[row]));
        }
    }

    fn key_text<'a>(&self, at: usize, code: Code, dictionaries: &'a Dictionaries) -> &'a str {
        text(self.plan.key[at].1, code, dictionaries)
    }
}

fn chosen(accounts: &Selection, tables: &Tables, snapshot: &Snapshot) -> Option<BTreeSet<PartitionId>> {
    let Selection::Only(names) = accounts else { return None };
    let dictionaries = snapshot.dictionaries.read().expect("no writer panicked");
    let number = |name: &String| tables.accounts.find(dictionaries.names.find(name)?);
    Some(names.iter().filter_map(number).collect())
}

/// The stored rows at some places.
fn stored<'a>(places: &[Place], table: &'a TableSnapshot) -> Vec<(&'a Rows, Row)> {
    let row = |&(partition, row): &Place| {
        let rows: &Rows = table.partition(partition as usize).expect("a row's partition is there");
        (rows, row)
    };
    places.iter().map(row).collect()
}

fn gather(rows: &[(&Rows, Row)], column: usize) -> Values {
    rows.iter().map(|&(rows, row)| rows.get(row, column)).collect()
}

/// The rows in chunks that are not those of the epoch before.
fn copied<'a>(before: Option<&'a Rows>, now: &'a Rows) -> impl Iterator<Item = Row> + 'a {
    let old = before.map_or(&[][..], Rows::chunks);
    let same = |at: usize| old.get(at).is_some_and(|chunk| triomphe::Arc::ptr_eq(chunk, &now.chunks()[at]));
    let chunks = (0..now.chunks().len()).filter(move |&at| !same(at));
    chunks.flat_map(|at| at * CHUNK_ROWS..((at + 1) * CHUNK_ROWS).min(now.len())).map(|row| row as Row)
}

/// The text of a code.
fn text(form: Form, code: Code, dictionaries: &Dictionaries) -> &str {
    match form {
        Form::Id { table } => dictionaries.keys(table).text(code),
        _ => dictionaries.names.text(code),
    }
}

impl ViewResult for RowView {
    fn columns(&self) -> &[Column] {
        &self.columns
    }

    fn size(&self) -> usize {
        self.sequence.len()
    }

    fn rows(&self, from: usize, to: usize, into: &mut Vec<RowId>) {
        into.extend(self.sequence.range(from, to).map(|number| RowId(number.into())));
        self.page().ask(self.sequence.range(from, to));
    }

    fn heading(&self, row: RowId) -> Heading {
        let dictionaries = self.snapshot.dictionaries.read().expect("no writer panicked");
        let key = self.slots.key(row.0 as u32).iter().enumerate();
        Heading {
            key: key.map(|(at, &code)| Some(self.key_text(at, code, &dictionaries).to_owned())).collect(),
            label: None,
            depth: 1,
            expandable: false,
        }
    }

    fn has_heading(&self, row: RowId, heading: &Heading) -> bool {
        let dictionaries = self.snapshot.dictionaries.read().expect("no writer panicked");
        let key = self.slots.key(row.0 as u32);
        key.len() == heading.key.len()
            && key
                .iter()
                .zip(&heading.key)
                .enumerate()
                .all(|(at, (&code, known))| known.as_deref() == Some(self.key_text(at, code, &dictionaries)))
    }

    fn cells(&self, row: RowId, into: &mut Vec<Cell>) {
        let evaluate = |numbers: &[u32], cells: &mut Vec<Cell>| self.evaluate(numbers, cells);
        self.page().read(row.0 as u32, self.columns.len(), evaluate, into);
    }

    fn total(&self, into: &mut Vec<Cell>) {
        into.extend(self.shown.iter().map(|&at| self.total[at]));
    }
}
