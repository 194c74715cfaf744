//! The engine: one tick applies a cut, brings every open view to the new epoch and publishes it.
//!
//! It has no thread, no clock and no socket: time and cuts come from outside. All views are of one epoch,
//! and what a reader holds never changes under it.

use std::sync::{Arc, RwLock};

use hashbrown::{HashMap, HashSet};

use crate::clock::Timestamp;
use crate::datum::{Datum, NULL};
use crate::dictionary::{Code, Dictionaries};
use crate::error::{Error, Result};
use crate::ingest::quarantine::Quarantine;
use crate::ingest::source::Cut;
use crate::plan::bind::{bind, known_view};
use crate::plan::catalog::Catalog;
use crate::plan::grouped::GroupedView;
use crate::schema::Schema;
use crate::table::partition::Row;
use crate::table::snapshot::{Freshness, Snapshot};
use crate::table::{Day, Delta, Tables};
use crate::view::broadcast::{Broadcast, Broadcasts};
use crate::view::legs::{LegSet, Legs, READ_OF_INSTRUMENT};
use crate::view::maintained::Maintained;
use crate::view::result::ViewResult;
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
    views: HashMap<ViewId, Open>,
    views_opened: u64,
    /// The first time at which a price that is fresh now becomes stale.
    stale_at: Timestamp,
}

/// A view with what it shows.
struct Open {
    maintained: Maintained,
    tree: Tree,
    /// The last tick could not compute it.
    broken: bool,
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
        let broadcasts = Broadcasts::new(&schema, &catalog, LEGS_CURRENCY, &dictionaries);
        let broadcasts = broadcasts.expect("sql/valuation.sql has a form for ticks");
        Engine {
            catalog,
            legs: legs.expect("sql/legs.sql has a form for ticks"),
            broadcasts: HashMap::from_iter([(LEGS_CURRENCY.to_owned(), broadcasts)]),
            schema,
            dictionaries,
            tables,
            snapshot,
            quarantine: Quarantine::default(),
            views: HashMap::new(),
            views_opened: 0,
            stale_at: Timestamp::MAX,
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
        self.stale_at = stale_at(&self.snapshot);
        self.maintain(&delta)?;
        Ok(true)
    }

    /// Brings every view to the snapshot.
    fn maintain(&mut self, delta: &Delta) -> Result<()> {
        let Engine { views, broadcasts, legs, tables, snapshot, .. } = self;
        let mut changed = HashMap::new();
        for (currency, relations) in broadcasts.iter_mut() {
            let rows = relations.update(tables, snapshot);
            let reached = relations
                .all
                .iter()
                .zip(rows)
                .filter(|(relation, _)| relation.name != "fx" && relation.name != "account");
            let instruments: HashSet<u32> = reached.flat_map(|(_, rows)| rows).collect();
            changed.insert(currency.clone(), instruments);
        }
        let base = &broadcasts[LEGS_CURRENCY];
        let (instrument, account) = (base.get("instrument"), base.get("account"));
        let legs_changed = delta.day_before.is_some()
            || READ_OF_INSTRUMENT.iter().any(|name| instrument.changed[instrument.column(name)]);
        let mut set = LegSet::default();
        if !legs_changed {
            for (table, rows) in delta.tables.iter().enumerate() {
                legs.evaluate(table, &rows.gone, -1, base, tables, snapshot, &mut set);
                legs.evaluate(table, &rows.come, 1, base, tables, snapshot, &mut set);
            }
        }
        let mut failed = None;
        for view in views.values_mut() {
            let relations = &broadcasts[&view.tree.spec().currency];
            let moved = || {
                let of = |relation: &Broadcast| relation.changed.clone();
                let (instrument, account) = (of(instrument), of(account));
                view.maintained.moved_by(
                    &|column| instrument[column],
                    &|column| account[column],
                    !set.is_empty(),
                )
            };
            let done = if legs_changed || view.broken || moved() {
                view.maintained.rebuild(legs, relations, tables, snapshot)
            } else {
                let instruments = &changed[&view.tree.spec().currency];
                view.maintained.update(&set, instruments, relations, tables, snapshot)
            };
            view.broken = done.is_err();
            let labels = labels(snapshot, view.tree.spec());
            match done {
                Ok(()) => view.tree.show(view.maintained.levels(), labels),
                Err(error) => {
                    // Its numbers are of no epoch: it shows none, and is computed anew at the next tick.
                    view.tree.show(vec![vec![view.maintained.missing()]], labels);
                    failed.get_or_insert(error);
                }
            }
        }
        failed.map_or(Ok(()), Err)
    }

    /// Opens a view and computes its first result.
    ///
    /// # Errors
    /// `Invalid` with a reject code of the protocol for what the specification names and there is not.
    pub fn open(&mut self, spec: &ViewSpec) -> Result<ViewId> {
        known_view(&spec.view)?;
        if spec.portfolios.is_some() && spec.view != "pid_carve_out" {
            let message = format!("{} has no choice of portfolios; pid_carve_out has", spec.view);
            return Err(Error::invalid("BAD_SPEC", message));
        }
        if !crate::table::is_currency_code(&spec.currency) {
            let message =
                format!("currency is {:?}; it must be three letters A-Z, such as USD", spec.currency);
            return Err(Error::invalid("BAD_SPEC", message));
        }
        let view = GroupedView::new(&self.catalog, &spec.view);
        let shown = {
            let dictionaries = self.dictionaries.read().expect("no writer panicked");
            bind(spec, &view, &self.tables.accounts, &dictionaries)?
        };
        if !self.broadcasts.contains_key(&spec.currency) {
            let mut relations =
                Broadcasts::new(&self.schema, &self.catalog, &spec.currency, &self.dictionaries)?;
            relations.update(&self.tables, &self.snapshot);
            self.broadcasts.insert(spec.currency.clone(), relations);
        }
        let relations = &self.broadcasts[&spec.currency];
        let maintained =
            Maintained::new(spec, &self.catalog, &self.legs, relations, &self.tables, &self.snapshot)?;
        let columns = maintained.columns().to_vec();
        let mut tree = Tree::new(spec.clone(), columns, shown, Arc::clone(&self.dictionaries));
        tree.show(maintained.levels(), labels(&self.snapshot, spec));
        self.views_opened += 1;
        self.views.insert(self.views_opened, Open { maintained, tree, broken: false });
        Ok(self.views_opened)
    }

    /// Lets a view go.
    pub fn close(&mut self, view: ViewId) {
        self.views.remove(&view);
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

/// The names of the accounts and instruments that a view's groups are keyed by.
fn labels(snapshot: &Snapshot, spec: &ViewSpec) -> Vec<HashMap<Datum, Code>> {
    let names = |table: &str, key: &str, name: &str| {
        let table = snapshot.schema.table(table);
        let (key, name) = (table.column(key), table.column(name));
        let rows = snapshot.table(table.id).partition(0);
        let row = |row: Row| rows.map(|rows| (rows.get(row, key), rows.get(row, name) as Code));
        (0..snapshot.table(table.id).len() as Row).filter_map(row).collect()
    };
    let level = |field: &String| match field.as_str() {
        "account_id" => names("base.account", "account_id", "account_name"),
        "instrument_id" => names("base.instrument", "instrument_id", "name"),
        _ => HashMap::new(),
    };
    spec.group_by.iter().map(level).collect()
}

/// The first time after the snapshot's at which a fresh price becomes stale.
fn stale_at(snapshot: &Snapshot) -> Timestamp {
    let table = snapshot.schema.table("base.price");
    let (time, price_type) = (table.column("price_time"), table.column("price_type"));
    let quotes: Vec<Datum> = {
        let dictionaries = snapshot.dictionaries.read().expect("no writer panicked");
        ["LAST", "MID"].iter().filter_map(|name| dictionaries.names.find(name)).map(Datum::from).collect()
    };
    let rows = snapshot.table(table.id).partition(0);
    let mut first = Timestamp::MAX;
    for row in 0..snapshot.table(table.id).len() as Row {
        let Some(rows) = rows else { break };
        let quote = quotes.contains(&rows.get(row, price_type));
        let age = if quote { snapshot.freshness.quote_us_max } else { snapshot.freshness.evaluation_us_max };
        let at = rows.get(row, time);
        // A price is stale once it is older than its limit: a microsecond after it.
        if at != NULL && at as Timestamp + age >= snapshot.as_of {
            first = first.min(at as Timestamp + age + 1);
        }
    }
    first
}
