//! The engine: one tick applies a cut, brings every open view to the new epoch and publishes it.
//!
//! It has no thread, no clock and no socket: time and cuts come from outside. All views are of one epoch,
//! and what a reader holds never changes under it.

use std::sync::{Arc, RwLock};

use hashbrown::HashMap;

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
use crate::table::{Day, Tables};
use crate::view::recompute::Oracle;
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
    oracle: Oracle,
    views: HashMap<ViewId, Tree>,
    views_opened: u64,
    /// The first time at which a price that is fresh now becomes stale.
    stale_at: Timestamp,
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
        Engine {
            catalog: Arc::new(Catalog::new(Arc::clone(&schema))),
            oracle: Oracle::new(&schema, 1),
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
        let Engine { views, oracle, snapshot, .. } = self;
        for view in views.values_mut() {
            evaluate(oracle, snapshot, view)?;
        }
        Ok(true)
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
            let message = format!("currency is {:?}; it must be three letters A-Z, such as USD", spec.currency);
            return Err(Error::invalid("BAD_SPEC", message));
        }
        let view = GroupedView::new(&self.catalog, &spec.view);
        let shown = {
            let dictionaries = self.dictionaries.read().expect("no writer panicked");
            bind(spec, &view, &self.tables.accounts, &dictionaries)?
        };
        let recomputed = self.oracle.recompute(&self.snapshot, spec)?;
        let mut tree = Tree::new(spec.clone(), recomputed.columns, shown, Arc::clone(&self.dictionaries));
        tree.show(recomputed.levels, labels(&self.snapshot, spec));
        self.views_opened += 1;
        self.views.insert(self.views_opened, tree);
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
        &self.views[&view]
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

fn evaluate(oracle: &mut Oracle, snapshot: &Arc<Snapshot>, view: &mut Tree) -> Result<()> {
    let recomputed = oracle.recompute(snapshot, view.spec())?;
    let labels = labels(snapshot, view.spec());
    view.show(recomputed.levels, labels);
    Ok(())
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
