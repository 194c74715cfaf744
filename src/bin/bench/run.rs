//! Runs a case: loads its data, times its iterations, holds its answers against recomputation.
//!
//! Timed is what a client waits for: from a decoded cut, through the engine and the comparison with what
//! each client holds, to the text of every patch. Making the cut is not timed, nor is the client model that
//! the patches are applied to. Half way and at the end every view and its model are held against
//! recomputation; a case whose answer is wrong has no numbers.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tickview::diff::{Patch, Snapshot, Subscription, ViewModel, Window};
use tickview::ingest::decode::{Decoder, Record};
use tickview::schedule::{Engine, ViewId};
use tickview::serve::protocol::{AsOf, Head, ServerMessage, patch_body, snapshot_body};
use tickview::view::recompute::{Oracle, Recomputed};
use tickview::view::spec::ViewSpec;

use crate::baseline::{Baseline, Touched};
use crate::case::{Case, Change, Options, Work, only};
use crate::check::{added_up, difference, displayed};
use crate::report::{Report, Times, peak_mb, tenths};
use crate::world::World;

/// Iterations before the first that counts: caches warm up, buffers grow.
const WARM_UP: usize = 20;
/// Order events of one iteration of [`Work::Ingest`].
const EVENTS: usize = 1_000;

/// Runs a case and says what it measured.
///
/// # Errors
/// Where a view, a client model or the baseline does not show what recomputation says.
pub fn run(case: &Case, options: &Options) -> Result<Report> {
    let started = Instant::now();
    let mut bench = Bench::new(*case, *options)?;
    eprintln!("{}: {}; loaded in {:.1} s", case.name, case.about, started.elapsed().as_secs_f64());

    let iterations = case.iterations(options);
    let mut times = Times::default();
    for _ in 0..WARM_UP.min(iterations) {
        bench.iterate()?;
    }
    for _ in 0..iterations / 2 {
        times.add(bench.iterate()?);
    }
    // Before anything is recomputed, which takes far more memory than the engine.
    let rss_mb = peak_mb()?;
    let mut oracle = Oracle::new(bench.engine.schema(), 1);
    bench.check(&mut oracle)?;
    for _ in iterations / 2..iterations {
        times.add(bench.iterate()?);
    }
    bench.check(&mut oracle)?;
    drop(oracle);

    let p50_us = times.percentile_us(50);
    let baseline_p50_us = match case.work {
        Work::Tick(change) if case.baseline_runs(options) > 0 => {
            let times = bench.baseline(change)?;
            eprintln!("{}: {iterations} iterations, {} runs of the baseline", case.name, times.len());
            Some(times.percentile_us(50))
        }
        _ => {
            eprintln!("{}: {iterations} iterations, no baseline", case.name);
            None
        }
    };
    let size = case.size(options);
    Ok(Report {
        case: case.name.to_owned(),
        accounts: size.accounts,
        p50_us,
        p99_us: times.percentile_us(99),
        max_us: times.percentile_us(100),
        baseline_p50_us,
        ratio: baseline_p50_us.map(|baseline| tenths(baseline / p50_us)),
        rss_mb,
        instruments: size.instruments,
        holdings: bench.rows("base.sod_holding"),
        orders: bench.rows("base.order_events"),
        views: bench.views.len(),
    })
}

/// A view with a client of it.
struct View {
    id: ViewId,
    spec: ViewSpec,
    accounts: Range<usize>,
    subscription: Subscription,
    model: ViewModel,
    /// Number of the last frame sent.
    seq: u64,
}

struct Bench {
    case: Case,
    options: Options,
    engine: Engine,
    world: World,
    decoder: Decoder,
    views: Vec<View>,
    /// The frames of the last iteration.
    frames: Vec<String>,
    /// How many iterations there were.
    done: usize,
}

impl Bench {
    fn new(case: Case, options: Options) -> Result<Bench> {
        let size = case.size(&options);
        let mut engine = Engine::new();
        let mut world = World::new(options.seed, size, engine.schema(), engine.dictionaries());
        let cut = world.market();
        engine.tick(world.now(), cut)?;
        for account in 0..size.accounts {
            let cut = world.account_rows(account);
            engine.tick(world.now(), cut)?;
        }
        let decoder = Decoder::new(engine.schema(), Arc::clone(engine.dictionaries()))?;
        let mut bench =
            Bench { case, options, engine, world, decoder, views: Vec::new(), frames: Vec::new(), done: 0 };
        for (table, rows) in [("base.sod_holding", size.holdings), ("base.order_events", size.orders)] {
            ensure!(bench.rows(table) == rows * size.accounts, "{table} has {} rows", bench.rows(table));
        }
        let count = case.views(&options);
        for number in 0..count {
            let each = size.accounts / count;
            let view = bench.open(number * each..(number + 1) * each)?;
            bench.views.push(view);
        }
        Ok(bench)
    }

    fn rows(&self, table: &str) -> usize {
        self.engine.tables().len(self.engine.schema().table(table).id)
    }

    fn open(&mut self, accounts: Range<usize>) -> Result<View> {
        let spec = self.case.spec(accounts.clone(), self.case.size(&self.options).accounts);
        let id = self.engine.open(&spec)?;
        let mut subscription = Subscription::new(Window::ALL);
        let model = ViewModel::new(subscription.snapshot(self.engine.view(id)));
        Ok(View { id, spec, accounts, subscription, model, seq: 1 })
    }

    fn iterate(&mut self) -> Result<Duration> {
        self.frames.clear();
        self.done += 1;
        match self.case.work {
            Work::Tick(change) => Ok(self.tick(change)?.0),
            Work::Open { accounts } => self.open_anew(accounts),
            Work::Ingest => self.ingest(),
        }
    }

    /// One change, from the decoded cut to the text of every patch; then the clients apply them.
    ///
    /// Returns how long it took, and what the baseline has to compute anew.
    fn tick(&mut self, change: Change) -> Result<(Duration, Touched)> {
        let now = self.world.step();
        let (cut, touched) = match change {
            Change::Prices => (self.world.all_prices(), Touched::Prices),
            Change::Price => (self.world.one_price(), Touched::Prices),
            Change::Fill => {
                let (cut, account) = self.world.one_fill();
                (cut, Touched::Account(account))
            }
        };
        let mut patches: Vec<Option<Patch>> = Vec::with_capacity(self.views.len());

        let started = Instant::now();
        let moved = self.engine.tick(now, cut)?;
        let as_of = self.as_of();
        for view in &mut self.views {
            let result = self.engine.view(view.id);
            let patch = view.subscription.patch(result);
            if let Some(patch) = &patch {
                view.seq += 1;
                let mut body = String::new();
                let dictionaries = self.engine.dictionaries().read().expect("no writer panicked");
                patch_body(patch, as_of, result.columns(), &dictionaries, &mut body);
                let mut frame = Head { view_id: "v1", view_version: 1, seq: view.seq }.patch();
                frame.push_str(&body);
                self.frames.push(frame);
            }
            patches.push(patch);
        }
        let time = started.elapsed();

        ensure!(moved, "a change of {change:?} made no new epoch");
        for (view, patch) in self.views.iter_mut().zip(&patches) {
            match patch {
                Some(patch) => view.model.apply(patch).context("a patch that fits no client")?,
                None => ensure!(change != Change::Prices, "all prices changed and a view did not"),
            }
        }
        Ok((time, touched))
    }

    /// Opens a view in place of the one before.
    fn open_anew(&mut self, count: usize) -> Result<Duration> {
        for view in self.views.drain(..) {
            self.engine.close(view.id);
        }
        let all = self.case.size(&self.options).accounts;
        let count = count.min(all);
        let from = self.done * count % (all - count + 1);
        let spec = self.case.spec(from..from + count, all);

        let started = Instant::now();
        let id = self.engine.open(&spec)?;
        let result = self.engine.view(id);
        let mut subscription = Subscription::new(Window::ALL);
        subscription.load(result);
        let mut body = String::new();
        {
            let dictionaries = self.engine.dictionaries().read().expect("no writer panicked");
            snapshot_body(&subscription, self.as_of(), result.columns(), &dictionaries, &mut body);
        }
        let mut frame = Head { view_id: "v1", view_version: 1, seq: 1 }.snapshot();
        frame.push_str(&body);
        let time = started.elapsed();

        self.frames.push(frame);
        let model = ViewModel::new(subscription.held());
        self.views.push(View { id, spec, accounts: from..from + count, subscription, model, seq: 1 });
        Ok(time)
    }

    /// Decodes and applies order events.
    fn ingest(&mut self) -> Result<Duration> {
        let now = self.world.step();
        let events = self.world.order_events(EVENTS);
        let table = self.engine.schema().table("base.order_events").id;
        let before = self.rows("base.order_events");

        let started = Instant::now();
        let records = events.iter().enumerate().map(|(position, (key, value))| Record {
            table,
            position,
            key: Some(key.as_bytes()),
            value: Some(value.as_bytes()),
        });
        let good = self.decoder.decode(records);
        self.engine.tick(now, self.decoder.take())?;
        let time = started.elapsed();

        let come = self.rows("base.order_events") - before;
        ensure!(good == EVENTS && come == EVENTS / 2, "of {EVENTS} events {good} were good, {come} new");
        Ok(time)
    }

    fn as_of(&self) -> AsOf {
        let snapshot = self.engine.snapshot();
        AsOf { epoch: snapshot.epoch, time: snapshot.as_of }
    }

    fn shown(&self, view: &View) -> Snapshot {
        let mut shown = Subscription::new(Window::ALL).snapshot(self.engine.view(view.id));
        unlabelled(&mut shown);
        shown
    }

    /// Holds every view and what its client has against recomputation, and reads the frames back.
    fn check(&mut self, oracle: &mut Oracle) -> Result<()> {
        for frame in &self.frames {
            match (ServerMessage::parse(frame)?, self.case.work) {
                (ServerMessage::Patch(_), Work::Tick(_)) => {}
                (ServerMessage::Snapshot(_), Work::Open { .. }) => {}
                (other, work) => bail!("{work:?} wrote {other:?}"),
            }
        }
        if self.case.work == Work::Ingest {
            // The rows are right where a view over them is; it is gone again before the next event.
            let view = self.open(0..self.case.size(&self.options).accounts)?;
            self.check_view(&view, oracle)?;
            self.engine.close(view.id);
        }
        self.views.iter().try_for_each(|view| self.check_view(view, oracle))
    }

    fn check_view(&self, view: &View, oracle: &mut Oracle) -> Result<()> {
        let expected = displayed(self.recompute(view, oracle)?, &view.spec, self.engine.dictionaries());
        self.hold("the view", view, &self.shown(view), &expected)?;
        let mut model = view.model.held().clone();
        unlabelled(&mut model);
        self.hold("the client's model", view, &model, &expected)
    }

    fn recompute(&self, view: &View, oracle: &mut Oracle) -> Result<Recomputed> {
        let snapshot = self.engine.snapshot();
        let at_once = self.case.recomputed_at_once(&self.options);
        if view.accounts.len() <= at_once {
            return Ok(oracle.recompute(snapshot, &view.spec)?);
        }
        let parts = view.accounts.clone().step_by(at_once).map(|from| {
            let accounts = only(from..(from + at_once).min(view.accounts.end));
            Ok(oracle.recompute(snapshot, &ViewSpec { accounts, ..view.spec.clone() })?)
        });
        added_up(parts, &self.engine.grouped_view(&view.spec.view))
    }

    fn hold(&self, what: &str, view: &View, shown: &Snapshot, expected: &Snapshot) -> Result<()> {
        let columns = self.engine.view(view.id).columns();
        match difference(shown, expected, columns) {
            None => Ok(()),
            Some(difference) => bail!("epoch {}, {what}: {difference}", self.engine.snapshot().epoch),
        }
    }

    /// Times cached plans over the rows, one run a change, and holds the views against their answers.
    fn baseline(&mut self, change: Change) -> Result<Times> {
        let specs: Vec<ViewSpec> = self.views.iter().map(|view| view.spec.clone()).collect();
        let mut baseline = Baseline::new(self.engine.snapshot(), &specs)?;
        if self.options.explain {
            eprintln!("{}", baseline.explain());
        }
        let mut times = Times::default();
        // The first run warms up and counts for nothing.
        for run in 0..=self.case.baseline_runs(&self.options) {
            let (_, touched) = self.tick(change)?;
            let snapshot = Arc::clone(self.engine.snapshot());
            baseline.prepare(&snapshot, &touched)?;
            let started = Instant::now();
            let answers = baseline.run(&snapshot, &touched)?;
            if run > 0 {
                times.add(started.elapsed());
            }
            for (view, answer) in self.views.iter().zip(&answers) {
                let result = baseline.recomputed(&snapshot, answer)?;
                let expected = displayed(result, &view.spec, self.engine.dictionaries());
                self.hold("the view against the baseline", view, &self.shown(view), &expected)?;
            }
        }
        Ok(times)
    }
}

/// Labels are of the display: a recomputation has none.
fn unlabelled(snapshot: &mut Snapshot) {
    snapshot.rows.iter_mut().for_each(|row| row.heading.label = None);
}
