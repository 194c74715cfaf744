//! The engine with a source, as the server drives it.

use std::collections::BTreeMap;
use std::sync::{Arc, RwLock};

use chrono::{DateTime, NaiveDate, TimeDelta};
use hashbrown::HashMap;

use super::keeper::Keeper;
use super::topics::Topics;
use super::views::{Gauges, StaleSource, Tick, Ticking, ViewHandle, Views};
use crate::catalog::{self, Catalog, Kind, Rollover, Status};
use crate::clock::{self, Timestamp};
use crate::datum::{Datum, NULL};
use crate::dictionary::{Code, Dictionaries};
use crate::error::Result;
use crate::ingest::source::{Progress, Source, TopicOffset};
use crate::limits::{CUT_RECORDS_MAX, OPENING_ROWS};
use crate::plan::bind::{GROUP_FIELDS, VIEWS, default_group_by, doc, row_doc, row_title, title};
use crate::schedule::Engine;
use crate::table::partition::Row;
use crate::table::snapshot::Snapshot;
use crate::view::planning::{Planned, Planning};
use crate::view::result::{Column, Form, ViewResult};
use crate::view::spec::{Basis, ViewSpec};

pub struct Live {
    engine: Engine,
    source: Box<dyn Source>,
    ready: bool,
    progress: Vec<Progress>,
    /// The source's own time, where its records bring it.
    record_time: Option<Timestamp>,
    topics: Topics,
    /// Where the source stands at this epoch, by topic and partition.
    offsets: BTreeMap<(String, i32), i64>,
    keeper: Option<Keeper>,
    measures: Vec<(String, Vec<catalog::Measure>)>,
}

impl Live {
    /// # Errors
    /// `Internal` where a shipped view does not compute.
    pub fn new(mut engine: Engine, source: Box<dyn Source>) -> Result<Live> {
        let mut measures = Vec::new();
        for (name, _, kind) in VIEWS {
            measures.push((name.to_owned(), view_measures(&mut engine, name, kind)?));
        }
        engine.set_stopwatch(clock::stopwatch);
        let topics = Topics::new(engine.schema());
        Ok(Live {
            engine,
            source,
            ready: false,
            progress: Vec::new(),
            record_time: None,
            topics,
            offsets: BTreeMap::new(),
            keeper: None,
            measures,
        })
    }

    /// Keeps checkpoints from now on. `offsets` say where the source stands already.
    pub fn keep(&mut self, keeper: Keeper, offsets: &[TopicOffset]) {
        self.keeper = Some(keeper);
        self.stand(offsets);
    }

    fn stand(&mut self, offsets: &[TopicOffset]) {
        let place = |at: &TopicOffset| ((at.topic.clone(), at.partition), at.offset);
        self.offsets.extend(offsets.iter().map(place));
    }

    /// Has a checkpoint written where one is due: of what is complete, not of half a load.
    fn look_after_checkpoints(&mut self, now: Timestamp) {
        let Live { engine, keeper: Some(keeper), offsets, ready: true, .. } = self else { return };
        let offset = |((topic, partition), offset): (&(String, i32), &i64)| TopicOffset {
            topic: topic.clone(),
            partition: *partition,
            offset: *offset,
        };
        keeper.look(now, engine.snapshot().epoch, || (engine.state(), offsets.iter().map(offset).collect()));
    }
}

/// A view's measures, told by the view over no rows.
fn view_measures(engine: &mut Engine, name: &str, kind: Kind) -> Result<Vec<catalog::Measure>> {
    let view = engine.open(&ViewSpec::new(name))?;
    let columns = engine.view(view).columns().to_vec();
    engine.close(view);
    let measure = |column: &Column, title: String, basis: Option<Basis>, doc: String| catalog::Measure {
        name: column.name.clone(),
        title,
        unit: column.unit,
        basis,
        scale: match column.form {
            Form::Decimal { scale } => scale,
            _ => 0,
        },
        doc,
    };
    Ok(match kind {
        Kind::Grouped => {
            let declared = engine.grouped_view(name).measures;
            let both = columns.iter().zip(&declared);
            both.map(|(column, declared)| {
                let doc = doc(&column.name, &declared.kind);
                measure(column, title(&column.name), declared.basis, doc)
            })
            .collect()
        }
        Kind::Rows => {
            let of_row =
                |column: &Column| measure(column, row_title(&column.name), None, row_doc(&column.name));
            columns.iter().map(of_row).collect()
        }
    })
}

impl Views for Live {
    fn open(&mut self, spec: &ViewSpec) -> Result<ViewHandle> {
        let view = self.engine.begin(spec)?;
        Ok(ViewHandle(view))
    }

    fn planning(&self, spec: &ViewSpec) -> Option<Planning> {
        self.engine.planning(spec)
    }

    fn admit(&mut self, planned: Planned) {
        self.engine.admit(planned);
    }

    fn is_open(&self, view: ViewHandle) -> bool {
        self.engine.is_open(view.0)
    }

    fn close(&mut self, view: ViewHandle) {
        self.engine.close(view.0);
    }

    fn result(&self, view: ViewHandle) -> &dyn ViewResult {
        self.engine.view(view.0)
    }

    fn version(&self, view: ViewHandle) -> u64 {
        self.engine.version(view.0)
    }

    fn strategy(&self, view: ViewHandle) -> String {
        match self.engine.kind(view.0) {
            Kind::Grouped => "factored",
            Kind::Rows => "rows",
        }
        .to_owned()
    }

    fn epoch(&self) -> u64 {
        self.engine.snapshot().epoch
    }

    fn as_of(&self) -> Timestamp {
        self.engine.snapshot().as_of
    }

    fn ready(&self) -> bool {
        self.ready
    }

    fn dictionaries(&self) -> &Arc<RwLock<Dictionaries>> {
        self.engine.dictionaries()
    }

    fn snapshot(&self) -> Option<Arc<Snapshot>> {
        self.ready.then(|| Arc::clone(self.engine.snapshot()))
    }

    fn status(&self) -> Status {
        let rollover = self.engine.tables().rollover().filter(|_| self.ready);
        Status {
            business_date: self.engine.day().map(date),
            rollover: rollover.map(|(to, arrived, expected)| Rollover { to: date(to), arrived, expected }),
            epoch: self.engine.snapshot().epoch,
            ready: self.ready,
        }
    }

    fn catalog(&self) -> Catalog {
        let snapshot = self.engine.snapshot();
        let dictionaries = snapshot.dictionaries.read().expect("no writer panicked");
        let text = |datum: Datum| (datum != NULL).then(|| dictionaries.names.text(datum as Code).to_owned());
        let table = snapshot.schema.table("base.account");
        let column = |name: &str| table.column(name);
        let declared: HashMap<Datum, Row> = (0..snapshot.table(table.id).len() as Row)
            .filter_map(|row| Some((snapshot.table(table.id).partition(0)?.get(row, table.key[0]), row)))
            .collect();
        let account = |&code: &Code| {
            let row = declared.get(&Datum::from(code));
            let field = |name: &str| {
                let rows = snapshot.table(table.id).partition(0)?;
                text(rows.get(*row?, column(name)))
            };
            catalog::Account {
                id: dictionaries.names.text(code).to_owned(),
                name: field("account_name"),
                strategy: field("strategy"),
                region: field("region"),
                base_currency: field("base_currency"),
            }
        };
        let mut accounts: Vec<_> = snapshot.accounts.iter().map(account).collect();
        accounts.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        let mut currencies: Vec<_> =
            snapshot.currencies.iter().map(|&code| dictionaries.names.text(code).to_owned()).collect();
        currencies.sort_unstable();
        let mut portfolios: Vec<_> =
            self.engine.portfolios().into_iter().filter_map(|code| text(code.into())).collect();
        portfolios.sort_unstable();
        let fields = |kind: Kind, fields: &[&str]| match kind {
            Kind::Grouped => fields.iter().map(|&field| field.to_owned()).collect(),
            Kind::Rows => Vec::new(),
        };
        let view = |(name, shown, kind): &(&str, &str, Kind)| catalog::View {
            name: (*name).to_owned(),
            title: (*shown).to_owned(),
            kind: *kind,
            group_by: fields(*kind, &GROUP_FIELDS),
            default_group_by: fields(*kind, default_group_by(name)),
            exposures: *kind == Kind::Grouped,
            portfolios: *name == "pid_carve_out",
            measures: self
                .measures
                .iter()
                .find(|(known, _)| known == name)
                .map_or(Vec::new(), |(_, m)| m.clone()),
        };
        let views = VIEWS.iter().map(view).collect();
        Catalog { status: self.status(), accounts, portfolios, currencies, views }
    }

    fn progress(&self) -> Vec<Progress> {
        self.progress.clone()
    }

    /// As of when the source was last asked.
    fn stale(&self, _: Timestamp) -> Vec<StaleSource> {
        self.topics.silent()
    }
}

impl Ticking for Live {
    fn tick(&mut self, now: Timestamp) -> Result<Tick> {
        let start = clock::now();
        self.topics.ask(now);
        let mut cut = self.source.cut(now, CUT_RECORDS_MAX)?;
        let taken = clock::now();
        self.topics.hear(&cut, self.ready);
        self.record_time = cut.record_time_max.or(self.record_time);
        self.progress.clone_from(&cut.progress);
        let (caught_up, more) = (cut.caught_up, cut.more);
        let offsets = std::mem::take(&mut cut.offsets);
        let changed = self.engine.tick(self.record_time.unwrap_or(now), cut);
        // The tables have the cut, whatever becomes of a view.
        self.stand(&offsets);
        let changed = changed?;
        self.source.reuse(self.engine.take_spent());
        let became_ready = caught_up && !self.ready;
        self.ready |= caught_up;
        self.look_after_checkpoints(now);
        let us = |from: Timestamp, to: Timestamp| (to - from).max(0) as u64;
        let stages_us = vec![("cut", us(start, taken)), ("evaluate", us(taken, clock::now()))];
        let parts_ns = if changed { self.engine.tick_times().stages().collect() } else { Vec::new() };
        Ok(Tick { changed: changed || became_ready, more, stages_us, parts_ns })
    }

    fn is_opening(&self) -> bool {
        self.engine.is_opening()
    }

    fn advance(&mut self) -> Result<bool> {
        self.engine.advance(OPENING_ROWS)
    }

    fn gauges(&self, _: Timestamp) -> Gauges {
        let rows = self
            .engine
            .schema()
            .tables
            .iter()
            .map(|table| (table.name.clone(), self.engine.tables().len(table.id) as u64));
        Gauges {
            rows: rows.collect(),
            source_lag_us: self.topics.lag_us(),
            quarantined: self.engine.quarantine().counts().to_vec(),
            views: self.engine.views(),
        }
    }
}

/// Days since 1970 as ISO 8601.
fn date(days: i32) -> String {
    let epoch: NaiveDate = DateTime::UNIX_EPOCH.date_naive();
    (epoch + TimeDelta::days(days.into())).to_string()
}
