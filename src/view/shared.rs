//! What all views stand on, brought to each epoch once: the small relations of every reporting currency in
//! use, the net positions, and what views of one shape look up.
//!
//! It is made when a view first needs it and let go with the last one that does; the relations of legs and
//! the net positions by pair and portfolio are always there.

use std::sync::{Arc, RwLock};

use hashbrown::{HashMap, HashSet};

use super::arrangement::{Arrangement, Coordinate};
use super::broadcast::{BaseChanges, Broadcasts};
use super::cost::{SharedTouch, Stopwatch, positions_passed};
use super::legs::{LegBatch, Legs, Place, World};
use super::maintained::Base;
use super::pair::Pairs;
use super::planning::{Planned, Planning};
use super::rows::lookups::{Looked, Lookups};
use super::shape::Shape;
use crate::datum::Datum;
use crate::dictionary::{Code, Dictionaries};
use crate::error::Result;
use crate::limits::SHAPES_IDLE_MAX;
use crate::plan::catalog::{Catalog, Parameters};
use crate::schema::{Schema, TableId};
use crate::table::snapshot::Snapshot;
use crate::table::{Delta, PartitionId, Reach, RowSet, Tables};

/// The view's name and the parameters of its SQL.
pub type ShapeKey = (String, Parameters);

/// The fields of orders that tell net positions apart, as columns of legs.
pub type Fields = Vec<usize>;

/// Legs that wait for the end of the tick in net positions that no view reads: two megabytes.
const LEGS_WAITING_MAX: usize = 8_192;

/// Legs read no price, so any currency's relations serve them.
const LEGS_CURRENCY: &str = "USD";

pub struct Shared {
    pub legs: Legs,
    broadcasts: HashMap<String, Broadcasts>,
    pairs: Pairs,
    arrangements: HashMap<Fields, Arrangement>,
    shapes: HashMap<ShapeKey, Shape>,
    /// Compiled views that nobody has open, without values, the one that was closed last at the end.
    idle: Vec<(ShapeKey, Shape)>,
    /// Relations of a currency that no view needs yet, without rows: they were compiled with a shape.
    planned: HashMap<String, Broadcasts>,
    /// What row-level views look up, by reporting currency.
    lookups: HashMap<String, Lookups>,
    /// What the last tick touched, and the clock that times it.
    pub touch: SharedTouch,
    pub stopwatch: Stopwatch,
}

/// What one epoch asks of the views.
pub struct Moved {
    /// Every leg may be another one.
    pub anew: bool,
    /// Groups of what was touched may be others than before.
    pub regroup: bool,
    /// Shapes whose values were computed anew instead of by their differences.
    pub forgotten: HashSet<ShapeKey>,
}

impl Shared {
    /// # Errors
    /// `Unsupported` where the shipped SQL has no form for ticks.
    pub fn new(schema: &Schema, catalog: &Catalog, dictionaries: &RwLock<Dictionaries>) -> Result<Shared> {
        let legs = Legs::new(schema, catalog, &mut dictionaries.write().expect("nobody reads yet"))?;
        let broadcasts = Broadcasts::new(schema, catalog, LEGS_CURRENCY, dictionaries)?;
        Ok(Shared {
            broadcasts: HashMap::from_iter([(LEGS_CURRENCY.to_owned(), broadcasts)]),
            pairs: Pairs::default(),
            arrangements: HashMap::from_iter([(Fields::new(), {
                let mut arrangement = Arrangement::new(&legs.columns, &[]);
                // There is no row yet.
                arrangement.read_until = Place::END;
                arrangement
            })]),
            shapes: HashMap::new(),
            idle: Vec::new(),
            planned: HashMap::new(),
            lookups: HashMap::new(),
            touch: SharedTouch::default(),
            stopwatch: Stopwatch::default(),
            legs,
        })
    }

    /// Brings everything to the snapshot. `read` says which net positions a view reads.
    ///
    /// # Errors
    /// `Data` where a difference of prices leaves 128 bits even from nothing.
    pub fn follow(
        &mut self,
        delta: &Delta,
        changes: &BaseChanges,
        read: &dyn Fn(&Fields) -> bool,
        tables: &Tables,
        snapshot: &Snapshot,
    ) -> Result<Moved> {
        self.touch = SharedTouch::default();
        let began = self.stopwatch.read();
        let anew = delta.day_before.is_some() || self.arrangements.values().any(|known| known.overflowed);
        if anew {
            // Day quantities count today only, so every leg may be another one.
            self.update_broadcasts(changes, tables, snapshot);
            let fields: Vec<Fields> = self.arrangements.keys().cloned().collect();
            fields.iter().for_each(|fields| self.arrange(fields, tables, snapshot));
        } else {
            self.move_legs(delta, changes, read, tables, snapshot);
        }
        let regroup = !anew && self.commit(read);
        self.touch.positions = self.stopwatch.since(began).less(self.touch.relations);
        self.broadcasts.values().for_each(|relations| self.touch.count(relations));
        let began = self.stopwatch.read();
        let mut forgotten = HashSet::new();
        for (key, shape) in &mut self.shapes {
            let relations = &self.broadcasts[&key.1.currency];
            if shape.follow(&self.pairs, relations).is_err() {
                shape.forget();
                shape.follow(&self.pairs, relations)?;
                forgotten.insert(key.clone());
            }
        }
        for (currency, lookups) in &mut self.lookups {
            lookups.refresh(&self.broadcasts[currency], tables, snapshot);
        }
        self.touch.shapes = self.stopwatch.since(began);
        Ok(Moved { anew, regroup, forgotten })
    }

    /// The shape of a view and what it reads.
    ///
    /// # Panics
    /// Where a view did not ask for them.
    pub fn of<'a>(&'a self, key: &ShapeKey, fields: &Fields, tables: &'a Tables) -> (&'a Shape, Base<'a>) {
        let base = Base {
            legs: &self.legs.columns,
            pairs: &self.pairs,
            arrangement: &self.arrangements[fields],
            broadcasts: &self.broadcasts[&key.1.currency],
            tables,
        };
        (&self.shapes[key], base)
    }

    /// The portfolios of all net positions there were.
    ///
    /// Cost: O(coordinates), which are few where accounts share the names of their sleeves.
    pub fn portfolios(&self) -> HashSet<Code> {
        let coordinates = &self.arrangements[&Fields::new()].coordinates;
        (0..coordinates.len() as Coordinate).map(|at| coordinates.codes(at)[0]).collect()
    }

    /// The names of the leg columns that net positions of these fields are told apart by, beside account and
    /// instruments.
    pub fn told_by(&self, fields: &Fields) -> Vec<&str> {
        let columns = &self.arrangements[fields].coordinates.columns;
        columns.iter().map(|&column| self.legs.columns.name(column)).collect()
    }

    /// All net positions, each with what it is told by; those that are always there first.
    pub fn arrangements(&self) -> impl Iterator<Item = (Vec<&str>, &Arrangement)> {
        let mut all: Vec<(&Fields, &Arrangement)> = self.arrangements.iter().collect();
        all.sort_unstable_by_key(|(fields, _)| *fields);
        all.into_iter().map(|(fields, arrangement)| (self.told_by(fields), arrangement))
    }

    /// About the bytes that the last tick passed over for all views: see [`super::cost`].
    pub fn passed(&self) -> usize {
        let positions: usize = self.arrangements.values().map(positions_passed).sum();
        let shapes: usize = self.shapes.values().map(|shape| shape.moved().bytes).sum();
        self.touch.relation_bytes + positions + shapes
    }

    /// Rows of all net positions, and their bytes.
    pub fn positions(&self) -> (usize, usize) {
        let all = self.arrangements.values();
        all.fold((0, 0), |(rows, bytes), known| (rows + known.len(), bytes + known.bytes()))
    }

    pub fn lookups(&self, currency: &str) -> &Lookups {
        &self.lookups[currency]
    }

    /// What is to be compiled before a view of a shape can be opened, if anything.
    pub fn planning(
        &self,
        key: &ShapeKey,
        catalog: &Arc<Catalog>,
        dictionaries: &Arc<RwLock<Dictionaries>>,
    ) -> Option<Planning> {
        let is_known = self.shapes.contains_key(key) || self.idle.iter().any(|(idle, _)| idle == key);
        (!is_known).then(|| Planning {
            key: key.clone(),
            catalog: Arc::clone(catalog),
            legs: self.legs.columns.clone(),
            dictionaries: Arc::clone(dictionaries),
        })
    }

    /// Keeps what was compiled, for the view that is opened next.
    pub fn admit(&mut self, Planned { key, shape, relations }: Planned) {
        let is_known = self.shapes.contains_key(&key) || self.idle.iter().any(|(idle, _)| *idle == key);
        if is_known {
            return;
        }
        if !self.broadcasts.contains_key(&key.1.currency) {
            self.planned.clear();
            self.planned.insert(key.1.currency.clone(), relations);
        }
        self.idle.push((key, shape));
        self.idle.drain(..self.idle.len().saturating_sub(SHAPES_IDLE_MAX));
    }

    /// Makes what a grouped view reads, as of the snapshot.
    ///
    /// Cost: planning, where its shape is new; a pass over all rows, where its fields of orders are.
    ///
    /// # Errors
    /// `Unsupported` where the SQL has no incremental form.
    pub fn need(
        &mut self,
        key: &ShapeKey,
        fields: &Fields,
        catalog: &Catalog,
        tables: &Tables,
        snapshot: &Snapshot,
    ) -> Result<()> {
        self.need_currency(&key.1.currency, catalog, tables, snapshot)?;
        let columns = &self.legs.columns;
        self.arrangements.entry(fields.clone()).or_insert_with(|| Arrangement::new(columns, fields));
        let relations = self.broadcasts.get_mut(&key.1.currency).expect("it was just made");
        if !self.shapes.contains_key(key) {
            let shape = match self.idle.iter().position(|(idle, _)| idle == key) {
                Some(at) => self.idle.remove(at).1,
                None => {
                    let columns = &self.legs.columns;
                    Shape::new(&key.0, &key.1, catalog, columns, relations, &snapshot.dictionaries)?
                }
            };
            shape.relations().for_each(|relation| relations.need(relation, tables, snapshot));
            self.shapes.insert(key.clone(), shape);
        }
        let shape = self.shapes.get_mut(key).expect("it was just made");
        shape.follow_new(&self.pairs, relations);
        Ok(())
    }

    /// Makes what a row-level view looks up, as of the snapshot.
    ///
    /// # Errors
    /// As [`Self::need`].
    pub fn need_lookups(
        &mut self,
        currency: &str,
        wanted: &[Looked],
        catalog: &Catalog,
        tables: &Tables,
        snapshot: &Snapshot,
    ) -> Result<()> {
        self.need_currency(currency, catalog, tables, snapshot)?;
        let lookups = self.lookups.entry(currency.to_owned()).or_default();
        lookups.want(wanted);
        lookups.refresh(&self.broadcasts[currency], tables, snapshot);
        Ok(())
    }

    /// Keeps all small relations of a currency, as of the snapshot.
    ///
    /// # Errors
    /// As [`Self::need`].
    pub fn need_relations(
        &mut self,
        currency: &str,
        catalog: &Catalog,
        tables: &Tables,
        snapshot: &Snapshot,
    ) -> Result<()> {
        self.need_currency(currency, catalog, tables, snapshot)?;
        let relations = self.broadcasts.get_mut(currency).expect("it was just made");
        (0..relations.all.len()).for_each(|relation| relations.need(relation, tables, snapshot));
        Ok(())
    }

    /// The small relations of a currency that is kept.
    pub fn relations(&self, currency: &str) -> &Broadcasts {
        &self.broadcasts[currency]
    }

    fn need_currency(
        &mut self,
        currency: &str,
        catalog: &Catalog,
        tables: &Tables,
        snapshot: &Snapshot,
    ) -> Result<()> {
        if !self.broadcasts.contains_key(currency) {
            let schema = &snapshot.schema;
            let mut relations = match self.planned.remove(currency) {
                Some(relations) => relations,
                None => Broadcasts::new(schema, catalog, currency, &snapshot.dictionaries)?,
            };
            let all = BaseChanges { whole: true, tables: vec![Reach::Whole; schema.tables.len()] };
            relations.update(&all, tables, snapshot);
            self.broadcasts.insert(currency.to_owned(), relations);
        }
        Ok(())
    }

    /// Lets go of what no view reads any more; compiled views are kept for a while.
    pub fn release(
        &mut self,
        shape: &dyn Fn(&ShapeKey) -> bool,
        read: &dyn Fn(&Fields) -> bool,
        currency: &dyn Fn(&str) -> bool,
    ) {
        for (key, mut closed) in self.shapes.extract_if(|key, _| !shape(key)) {
            closed.forget();
            self.idle.push((key, closed));
        }
        self.idle.drain(..self.idle.len().saturating_sub(SHAPES_IDLE_MAX));
        self.arrangements.retain(|fields, _| fields.is_empty() || read(fields));
        self.lookups.retain(|known, _| currency(known));
        self.broadcasts.retain(|known, _| known == LEGS_CURRENCY || currency(known));
    }

    fn update_broadcasts(&mut self, changes: &BaseChanges, tables: &Tables, snapshot: &Snapshot) {
        let began = self.stopwatch.read();
        for relations in self.broadcasts.values_mut() {
            relations.update(changes, tables, snapshot);
        }
        self.touch.relations.add(self.stopwatch.since(began));
    }

    /// Brings the small relations to the snapshot, and hands the net positions the legs that changed.
    ///
    /// Legs read what instruments declare, so those of rows that went are taken back as they were read
    /// before, those of rows that came are added as they are read now, and those of rows that read an
    /// instrument that changed are both.
    fn move_legs(
        &mut self,
        delta: &Delta,
        changes: &BaseChanges,
        read: &dyn Fn(&Fields) -> bool,
        tables: &Tables,
        snapshot: &Snapshot,
    ) {
        let mut declared = self.declared(delta, snapshot);
        // An instrument that is named for the first time reads otherwise before and after, too: a row that came
        // and went within the tick is taken back as it was added.
        let known = self.broadcasts[LEGS_CURRENCY].get("instrument").columns[0].len();
        let fresh = &tables.instruments.codes()[known..];
        if !fresh.is_empty() && delta.tables.iter().any(|rows| !rows.gone.is_empty()) {
            declared.extend_from_slice(fresh);
        }
        declared.sort_unstable();
        declared.dedup();
        let reread: Vec<(TableId, RowSet, RowSet)> = if declared.is_empty() {
            Vec::new()
        } else {
            let all = 0..snapshot.schema.tables.len();
            all.filter_map(|table| self.reread(table, &declared, delta, tables)).collect()
        };
        for (table, rows) in delta.tables.iter().enumerate() {
            self.add_legs(table, &rows.gone, -1, read, tables, snapshot);
        }
        for (table, reading, come) in &reread {
            self.add_legs(*table, reading, -1, read, tables, snapshot);
            self.add_legs(*table, come, 1, read, tables, snapshot);
        }
        self.update_broadcasts(changes, tables, snapshot);
        for (table, rows) in delta.tables.iter().enumerate() {
            self.add_legs(table, &rows.come, 1, read, tables, snapshot);
        }
        for (table, reading, come) in &reread {
            self.add_legs(*table, reading, 1, read, tables, snapshot);
            self.add_legs(*table, come, -1, read, tables, snapshot);
        }
    }

    /// The instruments that were declared in a way that legs read otherwise: most declarations change a sector
    /// or a name, which legs do not read.
    fn declared(&self, delta: &Delta, snapshot: &Snapshot) -> Vec<Code> {
        let instrument = snapshot.schema.table("base.instrument");
        let id = instrument.column("instrument_id");
        let relation = self.broadcasts[LEGS_CURRENCY].get("instrument");
        let read = relation.reads_of(&self.legs.instrument_columns(), &instrument.name);
        let changes = &delta.tables[instrument.id];
        let rows = |rows: &'_ RowSet| -> Vec<Vec<Datum>> {
            rows.data.chunks_exact(instrument.columns.len()).map(<[Datum]>::to_vec).collect()
        };
        // What each was before the tick and what it is after it, and how much more often it came than it went:
        // one that came in the tick and changed in it went, too, but was not there before.
        let mut ends: HashMap<Code, ([Option<Vec<Datum>>; 2], isize)> = HashMap::new();
        for row in rows(&changes.gone) {
            let (ends, came) = ends.entry(row[id] as Code).or_default();
            ends[0].get_or_insert(row);
            *came -= 1;
        }
        for row in rows(&changes.come) {
            let (ends, came) = ends.entry(row[id] as Code).or_default();
            ends[1] = Some(row);
            *came += 1;
        }
        let is_other = |ends: &([Option<Vec<Datum>>; 2], isize)| match ends {
            // A tombstone among them tells nothing of what stands at the end.
            ([Some(before), Some(after)], 0) if !changes.deleted => {
                read.iter().any(|&column| before[column] != after[column])
            }
            _ => true,
        };
        ends.iter().filter(|(_, ends)| is_other(ends)).map(|(&code, _)| code).collect()
    }

    /// The rows of a table whose legs read one of these instruments, and those of them that came just now.
    fn reread(
        &self,
        table: TableId,
        declared: &[Code],
        delta: &Delta,
        tables: &Tables,
    ) -> Option<(TableId, RowSet, RowSet)> {
        let column = self.legs.reads_instrument(table)?;
        let reading = self.legs.reading(table, declared, tables);
        let width = tables.schema().tables[table].columns.len();
        let come = &delta.tables[table].come;
        let mut again = RowSet::default();
        for (row, &partition) in come.data.chunks_exact(width).zip(&come.partitions) {
            if declared.contains(&(row[column] as Code)) {
                again.data.extend_from_slice(row);
                again.partitions.push(partition);
            }
        }
        Some((table, reading, again))
    }

    fn add_legs(
        &mut self,
        table: TableId,
        rows: &RowSet,
        weight: Datum,
        read: &dyn Fn(&Fields) -> bool,
        tables: &Tables,
        snapshot: &Snapshot,
    ) {
        let Shared { legs, broadcasts, arrangements, pairs, .. } = self;
        let world = World { broadcasts: &broadcasts[LEGS_CURRENCY], tables, snapshot };
        let mut read_rows = Vec::new();
        legs.evaluate(table, rows, world, &mut |batch| {
            for (fields, arrangement) in &mut *arrangements {
                if arrangement.is_whole() {
                    arrangement.add(batch, weight, pairs, &tables.instruments);
                } else {
                    // Rows that are not read yet will be as they are then.
                    let is_read = |&&row: &&usize| {
                        Place { table, account: batch.partitions[row] } < arrangement.read_until
                    };
                    read_rows.clear();
                    read_rows.extend(batch.rows.iter().filter(is_read));
                    let batch = LegBatch { rows: &read_rows, ..*batch };
                    arrangement.add(&batch, weight, pairs, &tables.instruments);
                }
                // Of a load's many legs few wait at a time.
                if arrangement.waiting() >= LEGS_WAITING_MAX && !read(fields) {
                    arrangement.commit_unread();
                }
            }
        });
    }

    /// Computes net positions from all rows, or forgets what was read of them so far.
    fn arrange(&mut self, fields: &Fields, tables: &Tables, snapshot: &Snapshot) {
        let arrangement = self.arrangements.get_mut(fields).expect("net positions that are kept");
        let was_whole = arrangement.is_whole();
        arrangement.clear();
        if was_whole {
            self.read_on(fields, usize::MAX, tables, snapshot);
        }
    }

    /// Reads about so many base rows more for net positions that a view waits for, where they are not whole.
    ///
    /// Returns whether it read any.
    pub fn read_on(
        &mut self,
        fields: &Fields,
        rows_max: usize,
        tables: &Tables,
        snapshot: &Snapshot,
    ) -> bool {
        let Shared { legs, broadcasts, arrangements, pairs, .. } = self;
        let arrangement = arrangements.get_mut(fields).expect("net positions that are kept");
        if arrangement.is_whole() {
            return false;
        }
        let world = World { broadcasts: &broadcasts[LEGS_CURRENCY], tables, snapshot };
        arrangement.read_until = legs.read(arrangement.read_until, rows_max, world, &mut |batch| {
            arrangement.add(batch, 1, pairs, &tables.instruments);
            arrangement.commit_unread();
        });
        true
    }

    /// Whether all rows are in some net positions.
    pub fn is_read(&self, fields: &Fields) -> bool {
        self.arrangements[fields].is_whole()
    }

    /// Commits the net positions, with all rows whose groups may be others now among the touched.
    ///
    /// Returns whether there are any of these.
    fn commit(&mut self, read: &dyn Fn(&Fields) -> bool) -> bool {
        let base = &self.broadcasts[LEGS_CURRENCY];
        let mut regroup = false;
        for (fields, arrangement) in &mut self.arrangements {
            if !read(fields) || !arrangement.is_whole() {
                arrangement.commit_unread();
                continue;
            }
            for number in base.get("instrument").regroups() {
                regroup = true;
                self.pairs.grouped_by(number).iter().for_each(|&pair| arrangement.touch_pair(pair));
            }
            for account in base.get("account").regroups() {
                regroup = true;
                arrangement.touch_account(account as PartitionId);
            }
            arrangement.commit();
        }
        regroup
    }
}
