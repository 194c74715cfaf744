//! The engine: one tick applies a cut, brings every open view to the new epoch and publishes it.
//!
//! It has no thread, no clock and no socket: time and cuts come from outside. All views are of one epoch,
//! and what a reader holds never changes under it.

use std::sync::{Arc, RwLock};

use hashbrown::{HashMap, HashSet};
use rayon::prelude::*;

use crate::checkpoint::{self, Loaded};
use crate::clock::Timestamp;
use crate::datum::{Datum, NULL};
use crate::delta::Changes;
use crate::dictionary::{Code, Dictionaries, Dictionary};
use crate::error::{Error, Result};
use crate::ingest::quarantine::Quarantine;
use crate::ingest::source::Cut;
use crate::plan::bind::{bind, kind_of};
use crate::plan::catalog::{Catalog, Parameters};
use crate::plan::grouped::GroupedView;
use crate::plan::rows::{RowsPlan, RowsView};
use crate::plan::view_exec::{KeptBy, ViewRows};
use crate::schema::{Schema, Table, TableId};
use crate::table::partition::Row;
use crate::table::snapshot::{Freshness, Snapshot};
use crate::table::{Day, Delta, Reach, TableBytes, Tables};
use crate::view::as_table;
use crate::view::broadcast::BaseChanges;
use crate::view::cells::overflow;
use crate::view::cost::{Stopwatch, TickTimes, Touch, view_passed};
use crate::view::explain::{OpenGroups, OpenRows, Standing, explain};
use crate::view::groups::Groups;
use crate::view::labels::Labels;
use crate::view::live::{Live, LiveResult, Reply, World};
use crate::view::maintained::{Maintained, order_fields};
use crate::view::planning::{Planned, Planning};
use crate::view::result::{Cell, Quality, ViewResult};
use crate::view::rows::RowView;
use crate::view::shared::{Fields, Moved, ShapeKey, Shared};
use crate::view::spec::{Kind, ViewSpec};
use crate::view::tree::Tree;

/// Views from which on they are shared out among the cores: less work than handing it over would cost.
const VIEWS_SHARED_MIN: usize = 4;

/// What it costs to net a base row, in rows of net positions that are read: a microsecond to 30 nanoseconds.
const BASE_ROW_COST: usize = 32;

/// An open view's number; never used again for another.
pub type ViewId = u64;

pub struct Engine {
    schema: Arc<Schema>,
    dictionaries: Arc<RwLock<Dictionaries>>,
    catalog: Arc<Catalog>,
    tables: Tables,
    snapshot: Arc<Snapshot>,
    quarantine: Quarantine,
    spent: Vec<Changes>,
    /// What all views stand on.
    shared: Shared,
    labels: Arc<Labels>,
    views: HashMap<ViewId, Open>,
    views_opened: u64,
    /// Views of SQL that users write.
    live: Live,
    stopwatch: Stopwatch,
    /// What the last tick that made an epoch took.
    times: TickTimes,
    /// No price that is fresh now becomes stale before.
    stale_at: Timestamp,
    /// The codes of the price types that age as quotes.
    quotes: [Datum; 2],
}

/// A view with what it shows.
struct Open {
    view: View,
    version: u64,
}

enum View {
    Grouped(Box<Grouped>),
    Rows(Box<RowView>),
}

struct Grouped {
    shape: ShapeKey,
    fields: Fields,
    maintained: Maintained,
    tree: Tree,
    state: State,
}

/// Whether a grouped view shows the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Not all net positions are read yet.
    Opening,
    Whole,
    /// The last tick could not compute it.
    Broken,
}

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
        let shared = Shared::new(&schema, &catalog, &dictionaries);
        let quotes = {
            let mut dictionaries = dictionaries.write().expect("nobody reads yet");
            ["LAST", "MID"].map(|name| dictionaries.names.intern(name).into())
        };
        Engine {
            catalog,
            shared: shared.expect("sql/ has a form for ticks"),
            labels: Arc::default(),
            schema,
            dictionaries,
            tables,
            snapshot,
            quarantine: Quarantine::default(),
            spent: Vec::new(),
            views: HashMap::new(),
            views_opened: 0,
            live: Live::default(),
            stopwatch: Stopwatch::default(),
            times: TickTimes::default(),
            stale_at: Timestamp::MAX,
            quotes,
        }
    }

    /// An engine at the epoch of a checkpoint, as the engine was that wrote it; its views are to be opened.
    ///
    /// Cost: the net positions of all rows.
    ///
    /// # Errors
    /// `Data` where a sum over these rows leaves 128 bits, `Invalid` where the engine that wrote it knew other
    /// names from the beginning.
    pub fn restored(loaded: Loaded) -> Result<Engine> {
        let mut engine = Engine::new();
        let Loaded { manifest, dictionaries, tables, aside } = loaded;
        {
            // What is compiled already has codes of names.
            let mut known = engine.dictionaries.write().expect("nobody reads yet");
            let codes = 0..known.names.len() as Code;
            if dictionaries.names.len() < known.names.len()
                || codes.into_iter().any(|code| known.names.text(code) != dictionaries.names.text(code))
            {
                let message = "the checkpoint's names are of another build of the engine: start the build that wrote \
                               it, or remove the directory to load everything anew";
                return Err(Error::invalid("CHECKPOINT", message));
            }
            *known = dictionaries;
        }
        engine.tables = tables;
        engine.quarantine = Quarantine::restored(aside);
        engine.publish(manifest.epoch, manifest.as_of);
        engine.labels = Arc::new(Labels::of(&engine.snapshot));
        // All is other than it was before there were rows, as at a switch of the business date.
        let delta = Delta { day_before: Some(None), ..Delta::default() };
        let tables = vec![Reach::Whole; engine.schema.tables.len()];
        let price = engine.schema.table("base.price").id;
        let prices = 0..engine.snapshot.table(price).len() as Row;
        engine.stale_at = Freshening::of(&engine.snapshot, engine.quotes).first(prices);
        engine.maintain(&delta, &BaseChanges { whole: true, tables })?;
        Ok(engine)
    }

    /// What a checkpoint of the last epoch is made of.
    ///
    /// Cost: the rows that wait for their business date; the tables are shared until they change.
    pub fn state(&self) -> checkpoint::State {
        let dictionaries = self.dictionaries.read().expect("no writer panicked");
        checkpoint::State {
            snapshot: Arc::clone(&self.snapshot),
            names: dictionaries.names.len(),
            keys: dictionaries.keys.iter().map(Dictionary::len).collect(),
            held: self.tables.waiting(),
            set_aside: self.quarantine.counts().to_vec(),
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
        let began = self.stopwatch.read();
        let set_aside = !cut.set_aside.is_empty();
        self.quarantine.add(cut.set_aside);
        // Where nobody else reads the last epoch, rows are changed in place.
        if let Some(snapshot) = Arc::get_mut(&mut self.snapshot) {
            snapshot.tables.clear();
        }
        let delta = self.tables.apply(&cut.changes);
        self.spent = cut.changes;
        let changed = delta.day_before.is_some() || delta.tables.iter().any(|table| !table.is_empty());
        if !changed && !set_aside && now < self.stale_at {
            if let Some(snapshot) = Arc::get_mut(&mut self.snapshot) {
                snapshot.tables = self.tables.publish();
            }
            self.tables.recycle(delta);
            return Ok(false);
        }
        self.publish(self.snapshot.epoch + 1, now);
        let changes = self.base_changes(&delta);
        let labelled = ["base.account", "base.instrument"].map(|name| self.schema.table(name).id);
        if labelled.iter().any(|&table| changes.tables[table] != Reach::None) {
            self.labels = Arc::new(Labels::of(&self.snapshot));
        }
        self.times = TickTimes { tables: self.stopwatch.since(began), ..TickTimes::default() };
        let maintained = self.maintain(&delta, &changes);
        self.tables.recycle(delta);
        maintained.map(|()| true)
    }

    /// Makes the tables as they stand the snapshot of an epoch.
    fn publish(&mut self, epoch: u64, as_of: Timestamp) {
        self.snapshot = Arc::new(Snapshot {
            epoch,
            as_of,
            day: self.tables.day(),
            tables: self.tables.publish(),
            accounts: Arc::clone(self.tables.accounts.codes()),
            instruments: Arc::clone(self.tables.instruments.codes()),
            currencies: Arc::clone(self.tables.currencies.codes()),
            quarantine: Arc::clone(self.quarantine.records()),
            ..Snapshot::clone(&self.snapshot)
        });
    }

    /// The records of the last cut, which are in the tables: their source may write over them.
    pub fn take_spent(&mut self) -> Vec<Changes> {
        std::mem::take(&mut self.spent)
    }

    /// What the small relations have to look at again.
    fn base_changes(&mut self, delta: &Delta) -> BaseChanges {
        let reach = |table: TableId| match self.schema.tables[table].partition {
            Some(_) => Reach::None,
            None => self.tables.reach(&delta.tables[table]),
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

    /// Brings every view, and what they stand on, to the snapshot.
    fn maintain(&mut self, delta: &Delta, changes: &BaseChanges) -> Result<()> {
        let Engine { shared, views, tables, snapshot, labels, live, times, stopwatch, .. } = self;
        let grouped = |open: &Open, is: &dyn Fn(&Grouped) -> bool| match &open.view {
            View::Grouped(view) => is(view),
            View::Rows(_) => false,
        };
        let read = |fields: &Fields| views.values().any(|open| grouped(open, &|view| view.fields == *fields));
        let moved = shared.follow(delta, changes, &read, tables, snapshot);
        let (shared, tables, snapshot, labels) = (&*shared, &*tables, &*snapshot, &*labels);
        let touch = shared.touch;
        (times.relations, times.positions, times.shapes) = (touch.relations, touch.positions, touch.shapes);
        let began = stopwatch.read();
        let moved = match moved {
            Ok(moved) => moved,
            Err(error) => {
                // Live views miss no delta, whatever becomes of the others.
                live.follow(delta, &World { shared, tables, snapshot });
                return Err(error);
            }
        };
        let update = |open: &mut Open| {
            let (changed, done) = match &mut open.view {
                View::Grouped(view) => view.update(&moved, shared, tables, labels),
                View::Rows(view) => {
                    let lookups = shared.lookups(&view.spec().currency);
                    (true, view.update(delta, lookups, snapshot))
                }
            };
            open.version += u64::from(changed);
            done
        };
        // No view sees another, so that many are shared out among the cores.
        let mut views: Vec<(&ViewId, &mut Open)> = views.iter_mut().collect();
        views.sort_unstable_by_key(|(view, _)| **view);
        let done: Vec<Result<()>> = match views.len() < VIEWS_SHARED_MIN {
            true => views.into_iter().map(|(_, open)| update(open)).collect(),
            false => views.into_par_iter().map(|(_, open)| update(open)).collect(),
        };
        times.views = stopwatch.since(began);
        let began = stopwatch.read();
        live.follow(delta, &World { shared, tables, snapshot });
        times.sql = stopwatch.since(began);
        done.into_iter().collect()
    }

    /// Executes a statement about live views: `CREATE LIVE VIEW name AS SELECT …`, `DROP LIVE VIEW name`,
    /// `SHOW LIVE VIEWS`, `EXPLAIN VIEW name`, `SET strategy = …`.
    ///
    /// # Errors
    /// `Invalid` for what does not parse or names what there is not, `Unsupported` for a strategy that a SELECT
    /// does not allow, `Overloaded` beyond a bound.
    pub fn execute_live(&mut self, statement: &str) -> Result<Reply> {
        if let Some(name) = self.live.shipped_asked(statement) {
            return self.explain(&name).map(Reply::Explained);
        }
        let Engine { shared, catalog, tables, snapshot, live, .. } = self;
        let reply = live.execute(statement, catalog, shared, tables, snapshot);
        self.release();
        reply
    }

    /// A live view at the last epoch.
    ///
    /// # Errors
    /// `Invalid` where there is none of this name.
    pub fn live_view(&self, name: &str) -> Result<&LiveResult> {
        self.live.result(name)
    }

    /// Lends a clock that counts nanoseconds, for [`Self::tick_times`] and the times of `EXPLAIN VIEW`.
    pub fn set_stopwatch(&mut self, stopwatch: fn() -> u64) {
        self.live.set_stopwatch(stopwatch);
        self.stopwatch = Stopwatch::new(stopwatch);
        self.shared.stopwatch = self.stopwatch;
    }

    /// What the last tick that made an epoch took, stage by stage; nothing without a stopwatch.
    pub fn tick_times(&self) -> &TickTimes {
        &self.times
    }

    /// About the bytes that the last tick that made an epoch passed over, for shipped views by groups and what
    /// they stand on: see [`crate::view::cost`] for what counts.
    ///
    /// Cost: O(pairs · views), and the cells that a price reached.
    pub fn bytes_touched(&self) -> usize {
        let of_views = self.grouped_views().into_iter().map(|(_, view)| {
            let (shape, base) = self.shared.of(&view.shape, &view.fields, &self.tables);
            view_passed(&view.maintained, shape, base, view.tree.groups().width())
        });
        self.shared.passed() + of_views.sum::<usize>()
    }

    /// The open views by groups, in the order in which they were opened.
    fn grouped_views(&self) -> Vec<(ViewId, &Grouped)> {
        let mut views: Vec<(ViewId, &Grouped)> = self
            .views
            .iter()
            .filter_map(|(&view, open)| match &open.view {
                View::Grouped(grouped) => Some((view, grouped.as_ref())),
                View::Rows(_) => None,
            })
            .collect();
        views.sort_unstable_by_key(|(view, _)| *view);
        views
    }

    /// How a shipped view is compiled, and each open one of its name.
    fn explain(&self, name: &str) -> Result<String> {
        let groups = self.grouped_views();
        let groups: Vec<OpenGroups> = groups
            .into_iter()
            .map(|(number, view)| OpenGroups {
                number,
                key: &view.shape,
                fields: &view.fields,
                tree: &view.tree,
                maintained: &view.maintained,
                is_broken: view.state == State::Broken,
            })
            .collect();
        let mut rows: Vec<OpenRows> = self
            .views
            .iter()
            .filter_map(|(&number, open)| match &open.view {
                View::Rows(view) => Some(OpenRows { number, view }),
                View::Grouped(_) => None,
            })
            .collect();
        rows.sort_unstable_by_key(|open| open.number);
        let Engine { shared, catalog, tables, snapshot, live, times, .. } = self;
        let standing = Standing { shared, tables, snapshot, groups: &groups, rows: &rows, times };
        explain(name, catalog, live.currency(), standing)
    }

    /// What SQL can read of the views at the last epoch: every live view as `views.name`, and the deepest groups
    /// of every open view by groups as `views.v` with its number, unless a live view has that name.
    ///
    /// A view that shows nothing at this epoch is a table that says why when it is read; one that is opening
    /// is none yet. Rows of the views by rows are those of the base tables. [`crate::console`] takes the tables
    /// together with the snapshot of the same epoch.
    /// Cost: a copy of all rows of all these views.
    pub fn views_as_tables(&self) -> Vec<Arc<ViewRows>> {
        let epoch = self.snapshot.epoch;
        let mut tables: Vec<Arc<ViewRows>> = self.live.tables(epoch).map(Arc::new).collect();
        for (number, view) in
            self.grouped_views().into_iter().filter(|(_, view)| view.state != State::Opening)
        {
            let name = format!("views.v{number}");
            if tables.iter().any(|table| table.name() == name) {
                continue;
            }
            let (shape, _) = self.shared.of(&view.shape, &view.fields, &self.tables);
            let schema = as_table::schema(&view.tree, &shape.view);
            let rows = match view.state {
                State::Broken => Err(overflow()),
                _ => as_table::rows(&view.tree, &shape.view, &self.snapshot),
            };
            let is_read = |part: usize| {
                view.maintained.stages().iter().any(|stage| stage.part == part && stage.is_read())
            };
            let kept_by = KeptBy {
                strategy: "factored".to_owned(),
                sums: shape
                    .parts()
                    .enumerate()
                    .filter(|(at, _)| is_read(*at))
                    .map(|(_, p)| p.of.kept.len())
                    .sum(),
                stages: view.maintained.stages().iter().filter(|stage| stage.is_read()).count(),
            };
            tables.push(Arc::new(ViewRows::new(name, epoch, schema, rows, kept_by)));
        }
        tables
    }

    /// Opens a view and computes its first result.
    ///
    /// # Errors
    /// `Invalid` with a reject code of the protocol for what the specification names and there is not.
    pub fn open(&mut self, spec: &ViewSpec) -> Result<ViewId> {
        let view = self.begin(spec)?;
        match self.complete(view, usize::MAX) {
            Ok(_) => Ok(view),
            Err(error) => {
                self.close(view);
                Err(error)
            }
        }
    }

    /// Reads on for a view that is opening: about so many rows. Returns whether it is open.
    fn complete(&mut self, view: ViewId, rows_max: usize) -> Result<bool> {
        let Engine { shared, views, tables, snapshot, labels, .. } = self;
        let open = views.get_mut(&view).expect("an open view");
        let View::Grouped(grouped) = &mut open.view else { return Ok(true) };
        if grouped.state != State::Opening {
            return Ok(true);
        }
        let net_anew = shared.read_on(&grouped.fields, rows_max.div_ceil(BASE_ROW_COST), tables, snapshot);
        if !shared.is_read(&grouped.fields) {
            return Ok(false);
        }
        let (shape, base) = shared.of(&grouped.shape, &grouped.fields, tables);
        let groups = grouped.tree.groups_mut();
        if net_anew {
            grouped.maintained.begin(shape, base, groups);
            if rows_max < usize::MAX {
                return Ok(false);
            }
        }
        grouped.maintained.advance(shape, base, groups, rows_max)?;
        if !grouped.maintained.is_read(base) {
            return Ok(false);
        }
        if base.arrangement.overflowed {
            return Err(overflow());
        }
        grouped.maintained.complete(shape, base, groups)?;
        grouped.state = State::Whole;
        grouped.tree.settle(labels);
        open.version += 1;
        Ok(true)
    }

    /// Reads on for the views that are opening, about so many rows of net positions, between two ticks.
    ///
    /// Returns whether one of them is open now.
    ///
    /// # Errors
    /// As [`Self::tick`].
    pub fn advance(&mut self, rows_max: usize) -> Result<bool> {
        let Some(view) = self.opening().min() else { return Ok(false) };
        let done = self.complete(view, rows_max);
        if done.is_err()
            && let Some(Open { view: View::Grouped(grouped), version }) = self.views.get_mut(&view)
        {
            grouped.break_off();
            *version += 1;
        }
        done
    }

    /// The views that do not show anything yet.
    fn opening(&self) -> impl Iterator<Item = ViewId> {
        let is_opening = |view: &View| matches!(view, View::Grouped(view) if view.state == State::Opening);
        self.views.iter().filter(move |(_, open)| is_opening(&open.view)).map(|(&view, _)| view)
    }

    /// Whether [`Self::advance`] has something to do.
    pub fn is_opening(&self) -> bool {
        self.opening().next().is_some()
    }

    /// Whether a view shows its result; one that [`Self::begin`] returned may not yet.
    ///
    /// # Panics
    /// Where there is no such view.
    pub fn is_open(&self, view: ViewId) -> bool {
        match &self.views[&view].view {
            View::Grouped(view) => view.state != State::Opening,
            View::Rows(_) => true,
        }
    }

    /// What is to be compiled before a view can be opened, if anything: whoever has a thread to spare runs it
    /// there and [`admits`](Self::admit) what comes of it, else opening the view does so.
    pub fn planning(&self, spec: &ViewSpec) -> Option<Planning> {
        bind(spec, &self.catalog, &self.snapshot).ok()?;
        match kind_of(&spec.view) {
            Kind::Grouped => {
                let key = (spec.view.clone(), parameters(spec));
                self.shared.planning(&key, &self.catalog, &self.dictionaries)
            }
            Kind::Rows => None,
        }
    }

    /// Keeps what was compiled for the view that is opened next.
    pub fn admit(&mut self, planned: Planned) {
        self.shared.admit(planned);
    }

    /// Opens a view that is computed beside the ticks: by [`Self::advance`], until [`Self::is_open`].
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn begin(&mut self, spec: &ViewSpec) -> Result<ViewId> {
        let shown = bind(spec, &self.catalog, &self.snapshot)?;
        let parameters = parameters(spec);
        let view = match kind_of(&spec.view) {
            Kind::Grouped => {
                self.open_grouped(spec, parameters, shown).map(|view| View::Grouped(Box::new(view)))
            }
            Kind::Rows => self.open_rows(spec, parameters, shown).map(|view| View::Rows(Box::new(view))),
        };
        let view = match view {
            Ok(view) => view,
            Err(error) => {
                self.release();
                return Err(error);
            }
        };
        self.views_opened += 1;
        self.views.insert(self.views_opened, Open { view, version: 0 });
        Ok(self.views_opened)
    }

    fn open_grouped(
        &mut self,
        spec: &ViewSpec,
        parameters: Parameters,
        shown: Vec<usize>,
    ) -> Result<Grouped> {
        let Engine { shared, catalog, tables, snapshot, dictionaries, .. } = self;
        let key = (spec.view.clone(), parameters);
        let fields = order_fields(spec, &shared.legs.columns);
        shared.need(&key, &fields, catalog, tables, snapshot)?;
        let (shape, base) = shared.of(&key, &fields, tables);
        let mut maintained = Maintained::new(spec, &shown, shape, base, snapshot);
        maintained.stopwatch = shared.stopwatch;
        let groups = Groups::new(spec.group_by.len(), shape.columns.len());
        let columns = shape.columns.clone();
        let mut tree = Tree::new(spec.clone(), columns, shown.clone(), groups, Arc::clone(dictionaries));
        maintained.begin(shape, base, tree.groups_mut());
        Ok(Grouped { shape: key, fields, maintained, tree, state: State::Opening })
    }

    fn open_rows(&mut self, spec: &ViewSpec, parameters: Parameters, shown: Vec<usize>) -> Result<RowView> {
        let Engine { shared, schema, catalog, tables, snapshot, dictionaries, .. } = self;
        let view = RowsView::new(catalog, &spec.view, &parameters);
        let plan = {
            let mut dictionaries = dictionaries.write().expect("no reader panicked");
            RowsPlan::new(schema, catalog, &view, &parameters, &mut dictionaries)?
        };
        shared.need_lookups(&spec.currency, &RowView::wants(&plan), catalog, tables, snapshot)?;
        RowView::new(spec, plan, shown, shared.lookups(&spec.currency), tables, snapshot)
    }

    /// Lets a view go.
    pub fn close(&mut self, view: ViewId) {
        self.views.remove(&view);
        self.release();
    }

    /// Lets go of what no view reads any more.
    fn release(&mut self) {
        let Engine { shared, views, live, .. } = self;
        let any = |is: &dyn Fn(&View) -> bool| views.values().any(|open| is(&open.view));
        let grouped =
            |is: &dyn Fn(&Grouped) -> bool| any(&|view| matches!(view, View::Grouped(view) if is(view)));
        let currency = |known: &str| {
            live.reads(known)
                || any(&|view| match view {
                    View::Grouped(view) => view.shape.1.currency == known,
                    View::Rows(view) => view.spec().currency == known,
                })
        };
        shared.release(
            &|key| grouped(&|view| view.shape == *key),
            &|fields| grouped(&|view| view.fields == *fields),
            &currency,
        );
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
        match &self.views[&view].view {
            View::Grouped(view) => &view.tree,
            View::Rows(view) => view.as_ref(),
        }
    }

    /// Whether a view is kept by groups or by rows.
    ///
    /// # Panics
    /// Where the view is not open.
    pub fn kind(&self, view: ViewId) -> Kind {
        match self.views[&view].view {
            View::Grouped(_) => Kind::Grouped,
            View::Rows(_) => Kind::Rows,
        }
    }

    pub fn views(&self) -> usize {
        self.views.len()
    }

    /// The measures of a grouped view as the catalogue tells them.
    pub fn grouped_view(&self, name: &str) -> GroupedView {
        GroupedView::new(&self.catalog, name)
    }

    /// The portfolios that legs are in, or were.
    pub fn portfolios(&self) -> HashSet<Code> {
        self.shared.portfolios()
    }

    pub fn day(&self) -> Day {
        self.snapshot.day
    }

    /// What the rows take.
    ///
    /// Cost: a visit to each column of each chunk of 1,024 rows, some milliseconds for a million.
    pub fn memory(&self) -> Memory {
        let table = |table: &Table| {
            let TableBytes { columns, index } = self.tables.table_bytes(table.id);
            let rows = self.tables.len(table.id);
            TableMemory { table: table.name.clone(), rows, bytes: columns + index }
        };
        let dictionaries = self.dictionaries.read().expect("no writer panicked");
        let texts = dictionaries.keys.iter().chain([&dictionaries.names]);
        let (positions, positions_bytes) = self.shared.positions();
        Memory {
            tables: self.schema.tables.iter().map(table).collect(),
            positions,
            positions_bytes,
            dictionaries_bytes: texts.map(Dictionary::bytes).sum(),
        }
    }
}

/// Bytes as the engine accounts for them: of rows, their indexes, the net positions they add up to, and
/// texts. What views keep besides is small and not among them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Memory {
    pub tables: Vec<TableMemory>,
    /// Rows of net positions.
    pub positions: usize,
    pub positions_bytes: usize,
    pub dictionaries_bytes: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableMemory {
    pub table: String,
    pub rows: usize,
    pub bytes: usize,
}

impl Memory {
    pub fn bytes(&self) -> usize {
        let tables: usize = self.tables.iter().map(|table| table.bytes).sum();
        tables + self.positions_bytes + self.dictionaries_bytes
    }
}

/// What a view's SQL is compiled for.
fn parameters(spec: &ViewSpec) -> Parameters {
    Parameters { currency: spec.currency.clone(), exclude_cash: spec.exclude_cash }
}

impl Grouped {
    /// Brings the view to the epoch of what it stands on; returns whether what it shows may have changed.
    fn update(
        &mut self,
        moved: &Moved,
        shared: &Shared,
        tables: &Tables,
        labels: &Arc<Labels>,
    ) -> (bool, Result<()>) {
        let (shape, base) = shared.of(&self.shape, &self.fields, tables);
        let stopwatch = shared.stopwatch;
        let began = stopwatch.read();
        (self.maintained.touch, self.maintained.stopwatch) = (Touch::default(), stopwatch);
        let groups = self.tree.groups_mut();
        if self.state == State::Opening {
            // A sum that leaves 128 bits is told when the view is complete.
            let restart = moved.anew || moved.forgotten.contains(&self.shape);
            if restart || self.maintained.update(shape, base, groups, moved.regroup).is_err() {
                self.maintained.begin(shape, base, groups);
            }
            return (false, Ok(()));
        }
        let rebuild = moved.anew || self.state == State::Broken || moved.forgotten.contains(&self.shape);
        let done = match base.arrangement.overflowed {
            true => Err(overflow()),
            false if rebuild => self.maintained.rebuild(shape, base, groups),
            false => self.maintained.update(shape, base, groups, moved.regroup),
        };
        match done {
            Ok(()) => self.state = State::Whole,
            Err(_) => self.break_off(),
        }
        let touch = &mut self.maintained.touch;
        touch.sums = stopwatch.since(began).less(touch.cells);
        let began = stopwatch.read();
        let changed = self.tree.settle(labels);
        touch.order = stopwatch.since(began);
        (changed, done)
    }
}

impl Grouped {
    /// Its numbers are of no epoch: it shows none, and is computed anew at the next tick.
    fn break_off(&mut self) {
        self.state = State::Broken;
        let groups = self.tree.groups_mut();
        groups.hide_all();
        let missing = Cell { value: NULL, quality: Quality::Missing };
        groups.set_cells(0, 0, &vec![missing; groups.width()]);
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
