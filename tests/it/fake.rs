//! A view and an engine made by hand: rows, cells and total are what the test says.

use std::collections::BTreeMap;
use std::sync::{Arc, RwLock};

use tickview::catalog::{Catalog, Status};
use tickview::clock::Timestamp;
use tickview::dictionary::Dictionaries;
use tickview::error::{Error, Result};
use tickview::ingest::source::{self, Progress};
use tickview::schema::Schema;
use tickview::serve::views::{Gauges, StaleSource, Tick, Ticking, ViewHandle, Views};
use tickview::view::result::{Cell, Column, Form, Heading, RowId, Unit, ViewResult};
use tickview::view::spec::{Selection, ViewSpec};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FakeRow {
    pub id: u64,
    pub heading: Heading,
    pub cells: Vec<Cell>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FakeResult {
    pub columns: Vec<Column>,
    pub rows: Vec<FakeRow>,
    pub total: Vec<Cell>,
}

impl FakeResult {
    /// A view without rows whose columns are decimals of scale 2.
    pub fn new(columns: usize) -> FakeResult {
        let column =
            |n| Column { name: format!("c{n}"), form: Form::Decimal { scale: 2 }, unit: Unit::Money };
        FakeResult {
            columns: (0..columns).map(column).collect(),
            rows: Vec::new(),
            total: vec![Cell::EMPTY; columns],
        }
    }

    /// Adds a row `key`, its values in hundredths.
    pub fn with(mut self, key: &str, values: &[i128]) -> FakeResult {
        let heading = Heading { key: vec![Some(key.to_owned())], label: None, depth: 1, expandable: false };
        let id = self.rows.len() as u64;
        self.rows.push(FakeRow { id, heading, cells: values.iter().map(|&v| Cell::new(v)).collect() });
        self
    }

    fn row(&self, id: RowId) -> &FakeRow {
        self.rows.iter().find(|row| row.id == id.0).expect("the row is in the result")
    }
}

impl ViewResult for FakeResult {
    fn columns(&self) -> &[Column] {
        &self.columns
    }

    fn size(&self) -> usize {
        self.rows.len()
    }

    fn rows(&self, from: usize, to: usize, into: &mut Vec<RowId>) {
        let to = to.min(self.rows.len());
        into.extend(self.rows[from.min(to)..to].iter().map(|row| RowId(row.id)));
    }

    fn heading(&self, row: RowId) -> Heading {
        self.row(row).heading.clone()
    }

    fn cells(&self, row: RowId, into: &mut Vec<Cell>) {
        into.extend_from_slice(&self.row(row).cells);
    }

    fn total(&self, into: &mut Vec<Cell>) {
        into.extend_from_slice(&self.total);
    }
}

/// An engine with one view, `fake`, that every specification shows the same way.
pub struct FakeEngine {
    pub result: FakeResult,
    pub ready: bool,
    pub stale: Vec<StaleSource>,
    /// Makes the next result of a view that asks for its cells fail.
    pub broken: bool,
    epoch: u64,
    made: u64,
    open: BTreeMap<u64, ViewSpec>,
    dictionaries: Arc<RwLock<Dictionaries>>,
    /// What a tick does, given its number; without it ticks find nothing.
    pub on_tick: Option<fn(&mut FakeResult, u64)>,
}

impl FakeEngine {
    pub fn new(result: FakeResult) -> FakeEngine {
        FakeEngine {
            result,
            ready: true,
            stale: Vec::new(),
            broken: false,
            epoch: 1,
            made: 0,
            open: BTreeMap::new(),
            dictionaries: Arc::new(RwLock::new(Dictionaries::new(&Schema::base()))),
            on_tick: None,
        }
    }

    pub fn commit(&mut self, change: impl FnOnce(&mut FakeResult)) {
        change(&mut self.result);
        self.epoch += 1;
    }

    /// The specifications of the views that are open.
    pub fn open_specs(&self) -> Vec<&ViewSpec> {
        self.open.values().collect()
    }
}

impl Views for FakeEngine {
    fn open(&mut self, spec: &ViewSpec) -> Result<ViewHandle> {
        assert!(self.ready, "nothing is opened before the engine is ready");
        if spec.view != "fake" {
            return Err(Error::invalid("UNKNOWN_VIEW", format!("no view {:?}", spec.view)));
        }
        if let Some(field) = spec.group_by.iter().find(|field| *field != "sector") {
            return Err(Error::invalid("UNKNOWN_FIELD", format!("no group field {field:?}")));
        }
        if let Selection::Only(accounts) = &spec.accounts
            && let Some(account) = accounts.iter().find(|account| *account != "A1")
        {
            return Err(Error::invalid("UNKNOWN_ACCOUNT", format!("no account {account:?}")));
        }
        self.made += 1;
        self.open.insert(self.made, spec.clone());
        Ok(ViewHandle(self.made))
    }

    fn close(&mut self, view: ViewHandle) {
        self.open.remove(&view.0).expect("only an open view is closed");
    }

    fn result(&self, view: ViewHandle) -> &dyn ViewResult {
        assert!(self.open.contains_key(&view.0), "only an open view has a result");
        if self.broken { &Broken } else { &self.result }
    }

    fn version(&self, view: ViewHandle) -> u64 {
        assert!(self.open.contains_key(&view.0), "only an open view has a version");
        self.epoch
    }

    fn strategy(&self, _: ViewHandle) -> String {
        "fake".to_owned()
    }

    fn epoch(&self) -> u64 {
        self.epoch
    }

    fn as_of(&self) -> Timestamp {
        self.epoch as i64 * 1_000_000
    }

    fn ready(&self) -> bool {
        self.ready
    }

    fn dictionaries(&self) -> &Arc<RwLock<Dictionaries>> {
        &self.dictionaries
    }

    fn status(&self) -> Status {
        Status { business_date: None, rollover: None, epoch: self.epoch, ready: self.ready }
    }

    fn catalog(&self) -> Catalog {
        Catalog { status: self.status(), ..Catalog::default() }
    }

    fn progress(&self) -> Vec<Progress> {
        vec![Progress { topic: "base.price".to_owned(), done: 3, total: 7, unit: source::Unit::Rows }]
    }

    fn stale(&self, _: Timestamp) -> Vec<StaleSource> {
        self.stale.clone()
    }
}

impl Ticking for FakeEngine {
    fn tick(&mut self, _: Timestamp) -> Result<Tick> {
        let Some(on_tick) = self.on_tick else { return Ok(Tick::default()) };
        on_tick(&mut self.result, self.epoch);
        self.epoch += 1;
        Ok(Tick { changed: true, more: false, stages_us: vec![("apply", 1)], ..Tick::default() })
    }

    fn gauges(&self, _: Timestamp) -> Gauges {
        Gauges { rows: vec![("base.price".to_owned(), 5)], ..Gauges::default() }
    }
}

/// A result that breaks its own invariant.
struct Broken;

impl ViewResult for Broken {
    fn columns(&self) -> &[Column] {
        &[]
    }

    fn size(&self) -> usize {
        panic!("planted")
    }

    fn rows(&self, _: usize, _: usize, _: &mut Vec<RowId>) {}

    fn heading(&self, _: RowId) -> Heading {
        unreachable!("it has no rows")
    }

    fn cells(&self, _: RowId, _: &mut Vec<Cell>) {}

    fn total(&self, _: &mut Vec<Cell>) {}
}
