//! The engine: one tick applies a cut, brings every open view to the new epoch and publishes it.
//!
//! It has no thread, no clock and no socket: time and cuts come from outside. All views are of one epoch,
//! and what a reader holds never changes under it.

use std::sync::{Arc, RwLock};

use hashbrown::{HashMap, HashSet};

use crate::clock::Timestamp;
use crate::datum::{Datum, NULL};
use crate::dictionary::{Code, Dictionaries};
use crate::error::Result;
use crate::ingest::quarantine::Quarantine;
use crate::ingest::source::Cut;
use crate::plan::bind::bind;
use crate::plan::catalog::{Catalog, Parameters};
use crate::plan::grouped::GroupedView;
use crate::schema::{Schema, TableId};
use crate::table::partition::Row;
use crate::table::snapshot::{Freshness, Snapshot};
use crate::table::{Day, Delta, PartitionId, Reach, RowSet, Tables};
use crate::view::arrangement::Arrangement;
use crate::view::broadcast::{BaseChanges, Broadcasts};
use crate::view::groups::Groups;
use crate::view::labels::Labels;
use crate::view::legs::{Legs, World};
use crate::view::maintained::{Base, Maintained, order_fields};
use crate::view::pair::Pairs;
use crate::view::result::{Cell, Quality, ViewResult};
use crate::view::shape::Shape;
use crate::view::spec::ViewSpec;
use crate::view::tree::Tree;

/// An open view's number; never used again for another.
pub type ViewId = u64;

pub struct Engine {
    schema: Arc<Schema>,
    dictionaries: Arc<RwLock<Dictionaries>>,
    catalog: Arc<Catalog>,
    tables: Tables,
    snapshot: Arc<Snapshot>,
    quarantine: Quarantine,
    legs: Legs,
    /// The small relations, once for each reporting currency in use.
    broadcasts: HashMap<String, Broadcasts>,
    pairs: Pairs,
    /// Net positions, by the fields of orders that tell them apart: none for those that are always kept.
    arrangements: HashMap<Vec<usize>, Arrangement>,
    shapes: HashMap<ShapeKey, Shape>,
    labels: Arc<Labels>,
    views: HashMap<ViewId, Open>,
    views_opened: u64,
    /// No price that is fresh now becomes stale before.
    stale_at: Timestamp,
    /// The codes of the price types that age as quotes.
    quotes: [Datum; 2],
}

/// The view's name and the parameters of its SQL.
type ShapeKey = (String, Parameters);

/// A view with what it shows.
struct Open {
    shape: ShapeKey,
    arrangement: Vec<usize>,
    maintained: Maintained,
    tree: Tree,
    /// The last tick could not compute it.
    broken: bool,
    version: u64,
}

/// Legs read no price, so any currency's relations serve them.
const LEGS_CURRENCY: &str = "USD";

impl Default for Engine {
    fn default() -> Self {
        Engine::new()
    }
}

impl Engine {
    /// An engine for the base tables of `sql/schema.sql`, without rows.
    pub fn new() -> Engine {
        let schema = Arc::new(Schema::base());
        let dictionaries = Arc::new(RwLock::new(Dictionaries::new(&schema)));
        let mut tables = Tables::new(Arc::clone(&schema));
        let snapshot = Arc::new(Snapshot {
            schema: Arc::clone(&schema),
            dictionaries: Arc::clone(&dictionaries),
            epoch: 0,
            as_of: 0,
            day: None,
            freshness: Freshness::default(),
            tables: tables.publish(),
            accounts: Arc::default(),
            instruments: Arc::default(),
            currencies: Arc::default(),
            quarantine: Arc::default(),
        });
        let catalog = Arc::new(Catalog::new(Arc::clone(&schema)));
        let legs = Legs::new(&schema, &catalog, &mut dictionaries.write().expect("nobody reads yet"));
        let legs = legs.expect("sql/legs.sql has a form for ticks");
        let broadcasts = Broadcasts::new(&schema, &catalog, LEGS_CURRENCY, &dictionaries);
        let broadcasts = broadcasts.expect("sql/valuation.sql has a form for ticks");
        let quotes = {
            let mut dictionaries = dictionaries.write().expect("nobody reads yet");
            ["LAST", "MID"].map(|name| dictionaries.names.intern(name).into())
        };
        Engine {
            catalog,
            broadcasts: HashMap::from_iter([(LEGS_CURRENCY.to_owned(), broadcasts)]),
            pairs: Pairs::default(),
            arrangements: HashMap::from_iter([(Vec::new(), Arrangement::new(&legs.columns, &[]))]),
            shapes: HashMap::new(),
            labels: Arc::default(),
            legs,
            schema,
            dictionaries,
            tables,
            snapshot,
            quarantine: Quarantine::default(),
            views: HashMap::new(),
            views_opened: 0,
            stale_at: Timestamp::MAX,
            quotes,
        }
    }

    pub fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    pub fn dictionaries(&self) -> &Arc<RwLock<Dictionaries>> {
        &self.dictionaries
    }

    /// The state of the last tick.
    pub fn snapshot(&self) -> &Arc<Snapshot> {
        &self.snapshot
    }

    pub fn tables(&self) -> &Tables {
        &self.tables
    }

    pub fn quarantine(&self) -> &Quarantine {
        &self.quarantine
    }

    /// Applies a cut at the time `now`, in microseconds since 1970, and brings every view to the new epoch.
    ///
    /// Returns whether there is a new epoch: there is none where the cut changes nothing and no price
    /// becomes stale.
    ///
    /// # Errors
    /// `Internal` where a view cannot be computed; the tables have the cut all the same.
    pub fn tick(&mut self, now: Timestamp, cut: Cut) -> Result<bool> {
        let set_aside = !cut.set_aside.is_empty();
        self.quarantine.add(cut.set_aside);
        let delta = self.tables.apply(&cut.changes);
        let changed = delta.day_before.is_some() || delta.tables.iter().any(|table| !table.is_empty());
        if !changed && !set_aside && now < self.stale_at {
            return Ok(false);
        }
        self.snapshot = Arc::new(Snapshot {
            epoch: self.snapshot.epoch + 1,
            as_of: now,
            day: self.tables.day(),
            tables: self.tables.publish(),
            accounts: Arc::clone(self.tables.accounts.codes()),
            instruments: Arc::clone(self.tables.instruments.codes()),
            currencies: Arc::clone(self.tables.currencies.codes()),
            quarantine: Arc::clone(self.quarantine.records()),
            ..Snapshot::clone(&self.snapshot)
        });
        let changes = self.base_changes(&delta);
        let labelled = ["base.account", "base.instrument"].map(|name| self.schema.table(name).id);
        if labelled.iter().any(|&table| changes.tables[table] != Reach::None) {
            self.labels = Arc::new(Labels::of(&self.snapshot));
        }
        self.maintain(&delta, &changes)?;
        Ok(true)
    }

    /// What the small relations have to look at again.
    fn base_changes(&mut self, delta: &Delta) -> BaseChanges {
        let reach = |table: TableId| match self.schema.tables[table].partition {
            Some(_) => Reach::None,
            None => self.tables.reach(table, &delta.tables[table]),
        };
        let tables: Vec<Reach> = (0..self.schema.tables.len()).map(reach).collect();
        let price = self.schema.table("base.price").id;
        let stale = self.snapshot.as_of >= self.stale_at;
        match &tables[price] {
            Reach::Rows { rows, .. } if !stale => {
                let first = Freshening::of(&self.snapshot, self.quotes).first(rows.iter().copied());
                self.stale_at = self.stale_at.min(first);
            }
            Reach::None if !stale => {}
            _ => {
                let all = 0..self.snapshot.table(price).len() as Row;
                self.stale_at = Freshening::of(&self.snapshot, self.quotes).first(all);
            }
        }
        BaseChanges { whole: stale || delta.day_before.is_some(), tables }
    }

    /// Brings the net positions and every view to the snapshot.
    fn maintain(&mut self, delta: &Delta, changes: &BaseChanges) -> Result<()> {
        let anew = delta.day_before.is_some() || self.arrangements.values().any(|a| a.overflowed);
        if anew {
            // Day quantities count today only, so every leg may be another one.
            self.update_broadcasts(changes);
            let fields: Vec<Vec<usize>> = self.arrangements.keys().cloned().collect();
            fields.iter().for_each(|fields| self.arrange(fields));
        } else {
            self.move_legs(delta, changes);
        }
        let regroup = !anew && self.touch_regrouped();
        let mut forgotten: HashSet<ShapeKey> = HashSet::new();
        for (key, shape) in &mut self.shapes {
            let relations = &self.broadcasts[&key.1.currency];
            if shape.follow(&self.pairs, relations, &self.tables).is_err() {
                shape.forget();
                shape.follow(&self.pairs, relations, &self.tables)?;
                forgotten.insert(key.clone());
            }
        }
        let mut failed = None;
        for view in self.views.values_mut() {
            let shape = &self.shapes[&view.shape];
            let base = Base {
                legs: &self.legs.columns,
                pairs: &self.pairs,
                arrangement: &self.arrangements[&view.arrangement],
                broadcasts: &self.broadcasts[&view.shape.1.currency],
                tables: &self.tables,
            };
            let rebuild = anew || view.broken || forgotten.contains(&view.shape);
            let groups = view.tree.groups_mut();
            let done = match base.arrangement.overflowed {
                true => Err(crate::view::cells::overflow()),
                false if rebuild => view.maintained.rebuild(shape, base, groups),
                false => view.maintained.update(shape, base, groups, regroup),
            };
            view.broken = done.is_err();
            if let Err(error) = done {
                // Its numbers are of no epoch: it shows none, and is computed anew at the next tick.
                groups.hide_all();
                let missing = Cell { value: NULL, quality: Quality::Missing };
                groups.set_cells(0, 0, &vec![missing; groups.width()]);
                failed.get_or_insert(error);
            }
            if view.tree.settle(&self.labels) {
                view.version += 1;
            }
        }
        failed.map_or(Ok(()), Err)
    }

    fn update_broadcasts(&mut self, changes: &BaseChanges) {
        for relations in self.broadcasts.values_mut() {
            relations.update(changes, &self.tables, &self.snapshot);
        }
    }

    /// Brings the small relations and the net positions to the snapshot.
    ///
    /// Legs read what instruments declare, so those of rows that went are taken back as they were read
    /// before, those of rows that came are added as they are read now, and those of rows that read an
    /// instrument that changed are both.
    fn move_legs(&mut self, delta: &Delta, changes: &BaseChanges) {
        let instrument = self.schema.table("base.instrument");
        let id = instrument.column("instrument_id");
        let declared = &delta.tables[instrument.id];
        let mut declared: Vec<Code> = [&declared.gone, &declared.come]
            .iter()
            .flat_map(|rows| rows.data.chunks_exact(instrument.columns.len()))
            .map(|row| row[id] as Code)
            .collect();
        declared.sort_unstable();
        declared.dedup();
        let reread: Vec<(TableId, RowSet, RowSet)> = if declared.is_empty() {
            Vec::new()
        } else {
            (0..self.schema.tables.len()).filter_map(|table| self.reread(table, &declared, delta)).collect()
        };
        for (table, rows) in delta.tables.iter().enumerate() {
            self.add_legs(table, &rows.gone, -1);
        }
        for (table, reading, come) in &reread {
            self.add_legs(*table, reading, -1);
            self.add_legs(*table, come, 1);
        }
        self.update_broadcasts(changes);
        for (table, rows) in delta.tables.iter().enumerate() {
            self.add_legs(table, &rows.come, 1);
        }
        for (table, reading, come) in &reread {
            self.add_legs(*table, reading, 1);
            self.add_legs(*table, come, -1);
        }
    }

    /// The rows of a table whose legs read one of these instruments, and those of them that came just now.
    fn reread(&self, table: TableId, declared: &[Code], delta: &Delta) -> Option<(TableId, RowSet, RowSet)> {
        let column = self.legs.reads_instrument(table)?;
        let reading = self.legs.reading(table, declared, &self.tables);
        let width = self.schema.tables[table].columns.len();
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

    fn add_legs(&mut self, table: TableId, rows: &RowSet, weight: Datum) {
        let Engine { legs, broadcasts, tables, snapshot, arrangements, pairs, .. } = self;
        let world = World { broadcasts: &broadcasts[LEGS_CURRENCY], tables, snapshot };
        legs.evaluate(table, rows, world, &mut |batch| {
            for arrangement in arrangements.values_mut() {
                arrangement.add(batch, weight, &legs.columns, pairs, &tables.instruments);
            }
        });
    }

    /// Computes net positions from all rows.
    fn arrange(&mut self, fields: &[usize]) {
        let Engine { legs, broadcasts, tables, snapshot, arrangements, pairs, .. } = self;
        let arrangement = arrangements
            .entry(fields.to_vec())
            .or_insert_with(|| Arrangement::new(&legs.columns, fields));
        arrangement.clear();
        let world = World { broadcasts: &broadcasts[LEGS_CURRENCY], tables, snapshot };
        legs.each(world, &mut |batch| {
            arrangement.add(batch, 1, &legs.columns, pairs, &tables.instruments);
            arrangement.commit_unread();
        });
    }

    /// Commits the net positions, with all rows whose groups may be others now among the touched.
    ///
    /// Returns whether there are any of these.
    fn touch_regrouped(&mut self) -> bool {
        let base = &self.broadcasts[LEGS_CURRENCY];
        let mut regroup = false;
        for (fields, arrangement) in &mut self.arrangements {
            if !self.views.values().any(|view| view.arrangement == *fields) {
                arrangement.commit_unread();
                continue;
            }
            for number in base.get("instrument").regroups() {
                regroup = true;
                for &pair in self.pairs.grouped_by(number) {
                    (0..arrangement.accounts()).for_each(|account| arrangement.touch(account, pair));
                }
            }
            for account in base.get("account").regroups() {
                regroup = true;
                arrangement.touch_account(account as PartitionId);
            }
            arrangement.commit();
        }
        regroup
    }

    /// Opens a view and computes its first result.
    ///
    /// # Errors
    /// `Invalid` with a reject code of the protocol for what the specification names and there is not.
    pub fn open(&mut self, spec: &ViewSpec) -> Result<ViewId> {
        let shown = bind(spec, &self.catalog, &self.snapshot)?;
        let everything = BaseChanges { whole: true, tables: vec![Reach::Whole; self.schema.tables.len()] };
        if !self.broadcasts.contains_key(&spec.currency) {
            let mut relations =
                Broadcasts::new(&self.schema, &self.catalog, &spec.currency, &self.dictionaries)?;
            relations.update(&everything, &self.tables, &self.snapshot);
            self.broadcasts.insert(spec.currency.clone(), relations);
        }
        let fields = order_fields(spec, &self.legs.columns);
        if !self.arrangements.contains_key(&fields) {
            self.arrange(&fields);
        }
        let parameters = Parameters { currency: spec.currency.clone(), exclude_cash: spec.exclude_cash };
        let key = (spec.view.clone(), parameters);
        let Engine { legs, broadcasts, pairs, arrangements, tables, catalog, dictionaries, .. } = self;
        let relations = &broadcasts[&spec.currency];
        if !self.shapes.contains_key(&key) {
            let shape = Shape::new(&key.0, &key.1, catalog, &legs.columns, relations, dictionaries)?;
            self.shapes.insert(key.clone(), shape);
        }
        let shape = self.shapes.get_mut(&key).expect("it was just made");
        shape.follow_new(pairs, relations, tables);
        let base = Base {
            legs: &legs.columns,
            pairs,
            arrangement: &arrangements[&fields],
            broadcasts: relations,
            tables,
        };
        let mut maintained = Maintained::new(spec, shape, base, &self.snapshot);
        let groups = Groups::new(spec.group_by.len(), shape.columns.len());
        let mut tree = Tree::new(spec.clone(), shape.columns.clone(), shown, groups, Arc::clone(dictionaries));
        let built = maintained.rebuild(shape, base, tree.groups_mut());
        if let Err(error) = built {
            self.release();
            return Err(error);
        }
        tree.settle(&self.labels);
        self.views_opened += 1;
        let open = Open { shape: key, arrangement: fields, maintained, tree, broken: false, version: 0 };
        self.views.insert(self.views_opened, open);
        Ok(self.views_opened)
    }

    /// Lets a view go.
    pub fn close(&mut self, view: ViewId) {
        self.views.remove(&view);
        self.release();
    }

    /// Lets go of what no view reads any more.
    fn release(&mut self) {
        let Engine { views, shapes, arrangements, broadcasts, .. } = self;
        shapes.retain(|key, _| views.values().any(|view| view.shape == *key));
        arrangements
            .retain(|fields, _| fields.is_empty() || views.values().any(|view| view.arrangement == *fields));
        broadcasts.retain(|currency, _| {
            currency == LEGS_CURRENCY || views.values().any(|view| view.shape.1.currency == *currency)
        });
    }

    /// A number that is another one whenever the view's result is.
    ///
    /// # Panics
    /// Where the view is not open.
    pub fn version(&self, view: ViewId) -> u64 {
        self.views[&view].version
    }

    /// A view at the last epoch.
    ///
    /// # Panics
    /// Where the view is not open.
    pub fn view(&self, view: ViewId) -> &dyn ViewResult {
        &self.views[&view].tree
    }

    pub fn views(&self) -> usize {
        self.views.len()
    }

    /// The measures of a grouped view as the catalogue tells them.
    pub fn grouped_view(&self, name: &str) -> GroupedView {
        GroupedView::new(&self.catalog, name)
    }

    pub fn day(&self) -> Day {
        self.snapshot.day
    }
}

/// When fresh prices become stale.
struct Freshening<'a> {
    snapshot: &'a Snapshot,
    table: TableId,
    time: usize,
    price_type: usize,
    /// The codes of the price types that age as quotes.
    quotes: [Datum; 2],
}

impl<'a> Freshening<'a> {
    fn of(snapshot: &'a Snapshot, quotes: [Datum; 2]) -> Freshening<'a> {
        let table = snapshot.schema.table("base.price");
        Freshening {
            snapshot,
            table: table.id,
            time: table.column("price_time"),
            price_type: table.column("price_type"),
            quotes,
        }
    }

    /// The first time after the snapshot's at which a fresh price among these rows becomes stale.
    fn first(&self, rows: impl Iterator<Item = Row>) -> Timestamp {
        let Freshness { quote_us_max, evaluation_us_max } = self.snapshot.freshness;
        let mut first = Timestamp::MAX;
        let Some(prices) = self.snapshot.table(self.table).partition(0) else { return first };
        for row in rows {
            let quote = self.quotes.contains(&prices.get(row, self.price_type));
            let age = if quote { quote_us_max } else { evaluation_us_max };
            let at = prices.get(row, self.time);
            // A price is stale once it is older than its limit: a microsecond after it.
            if at != NULL && at as Timestamp + age >= self.snapshot.as_of {
                first = first.min(at as Timestamp + age + 1);
            }
        }
        first
    }
}
