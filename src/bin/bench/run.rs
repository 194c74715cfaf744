//! Runs cases: loads their data, times their iterations, holds their answers against recomputation.
//!
//! Timed is what a client waits for: from a decoded cut, through the engine and the comparison with what
//! each client holds, to the text of every patch. Making the cut is not timed, nor is the client model that
//! the patches are applied to. At the end, and half way where that takes no minutes, every view and its model
//! are held against recomputation; a case whose answer is wrong has no numbers.

use std::ops::Range;
use std::sync::Arc;
use std::thread::ScopedJoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tickview::diff::{Patch, Snapshot, Subscription, ViewModel, Window};
use tickview::ingest::decode::{Decoder, Record};
use tickview::schedule::ViewId;
use tickview::serve::protocol::{AsOf, Head, ServerMessage, patch_body, snapshot_body};
use tickview::view::recompute::{Oracle, Recomputed};
use tickview::view::spec::ViewSpec;

use crate::baseline::{Baseline, Touched};
use crate::case::{Case, Change, Options, Work, only};
use crate::check::{added_up, difference, displayed};
use crate::data::Data;
use crate::machine::{forget_peak, peak_mb};
use crate::report::{Report, Times, tenths};
use crate::served;

/// Iterations before the first that counts: caches warm up, buffers grow.
const WARM_UP: usize = 20;
/// Blocks of accounts that are recomputed at a time; a view in blocks has at least as many.
const CHECKS_AT_ONCE: usize = 2;
/// Order events of one iteration of [`Work::Ingest`].
const EVENTS: usize = 1_000;

/// Runs cases that are of the same rows, one after another on one load, and hands out what each measured.
///
/// Returns whether every one of them has its answer; what is wrong with one that has not is told on stderr.
///
/// # Errors
/// Where the rows cannot be loaded, or are not the same for all cases.
pub fn run(cases: &[&Case], options: &Options, take: &mut dyn FnMut(Report)) -> Result<bool> {
    let size = cases.first().context("there is a case to run")?.size(options);
    ensure!(cases.iter().all(|case| case.size(options) == size), "cases of different rows share no load");
    let started = Instant::now();
    let mut data = Some(Data::load(options.seed, size)?);
    eprintln!("{} accounts loaded in {:.1} s", size.accounts, started.elapsed().as_secs_f64());
    let mut right = true;
    for case in cases {
        eprintln!("{}: {}", case.name, case.about);
        forget_peak();
        let loaded = data.as_mut().context("a server took the rows; give each such case a run of its own")?;
        let report = match case.work {
            Work::Load => load(case, options, loaded),
            Work::EndToEnd | Work::FanOut { .. } => {
                served::run(case, options, data.take().expect("it was just there"))
            }
            Work::Tick(_) | Work::Open { .. } | Work::Ingest => Bench::new(**case, *options, loaded)?.run(),
        };
        match report {
            Ok(report) => take(report),
            Err(error) => {
                eprintln!("bench: case {}: {error:#}", case.name);
                right = false;
            }
        }
    }
    Ok(right)
}

fn load(case: &Case, options: &Options, data: &mut Data) -> Result<Report> {
    let rss_mb = peak_mb()?;
    let load = data.report()?;
    let report = Report {
        load: Some(load),
        checked: "every row counted, every column with values".to_owned(),
        ..measured(case, options, data, &data.times, rss_mb)
    };
    Ok(report)
}

/// What a case measured, without what only some cases have.
pub fn measured(case: &Case, options: &Options, data: &Data, times: &Times, rss_mb: f64) -> Report {
    Report {
        case: case.name.to_owned(),
        accounts: data.size.accounts,
        p50_us: times.percentile_us(50),
        p99_us: times.percentile_us(99),
        max_us: times.percentile_us(100),
        baseline_p50_us: None,
        ratio: None,
        rss_mb,
        instruments: data.size.instruments,
        holdings: data.rows("base.sod_holding"),
        orders: data.rows("base.order_events"),
        views: case.views(options),
        clients: case.clients(options),
        iterations: times.len(),
        events_per_s: None,
        bytes_touched: None,
        checked: String::new(),
        load: None,
    }
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

struct Bench<'a> {
    case: Case,
    options: Options,
    data: &'a mut Data,
    decoder: Decoder,
    views: Vec<View>,
    /// The frames of the last iteration.
    frames: Vec<String>,
    /// How many iterations there were.
    done: usize,
}

impl<'a> Bench<'a> {
    fn new(case: Case, options: Options, data: &'a mut Data) -> Result<Bench<'a>> {
        let decoder = Decoder::new(data.engine.schema(), Arc::clone(data.engine.dictionaries()))?;
        let mut bench =
            Bench { case, options, data, decoder, views: Vec::new(), frames: Vec::new(), done: 0 };
        let count = case.views(&options);
        for number in 0..count {
            let each = bench.data.size.accounts / count;
            let view = bench.open(number * each..(number + 1) * each)?;
            bench.views.push(view);
        }
        Ok(bench)
    }

    fn run(mut self) -> Result<Report> {
        let iterations = self.case.iterations(&self.options);
        let mut times = Times::default();
        for _ in 0..WARM_UP.min(iterations) {
            self.iterate()?;
        }
        for _ in 0..iterations / 2 {
            times.add(self.iterate()?);
        }
        // Before anything is recomputed, which takes far more memory than a view.
        let rss_mb = peak_mb()?;
        let mut oracle = Oracle::new(self.data.engine.schema(), 1);
        if self.case.is_checked_twice(self.data.size.accounts) {
            self.check(&mut oracle)?;
        }
        for _ in iterations / 2..iterations {
            times.add(self.iterate()?);
        }
        let touches = matches!(self.case.work, Work::Tick(_));
        let bytes_touched = touches.then(|| self.data.engine.bytes_touched() as u64);
        let started = Instant::now();
        self.check(&mut oracle)?;
        drop(oracle);
        eprintln!(
            "{}: checked in {:.1} s, at most {} MB resident meanwhile",
            self.case.name,
            started.elapsed().as_secs_f64(),
            peak_mb()?
        );

        let mut report = measured(&self.case, &self.options, self.data, &times, rss_mb);
        report.views = self.views.len();
        report.checked = self.checked();
        report.bytes_touched = bytes_touched;
        if self.case.work == Work::Ingest {
            report.events_per_s = Some((EVENTS as f64 / (report.p50_us / 1e6)).round());
        }
        if let Work::Tick(change) = self.case.work
            && self.case.baseline_runs(&self.options) > 0
        {
            let p50_us = self.baseline(change)?.percentile_us(50);
            report.baseline_p50_us = Some(p50_us);
            report.ratio = Some(tenths(p50_us / report.p50_us));
        }
        Ok(report)
    }

    /// What of the answers is recomputed, in words.
    fn checked(&self) -> String {
        let accounts = match self.case.work {
            Work::Open { accounts } => accounts.min(self.data.size.accounts),
            _ => self.data.size.accounts,
        };
        let of_a_view = self.views.first().map_or(accounts, |view| view.accounts.len());
        let at_once = self.case.recomputed_at_once(&self.options);
        match of_a_view > at_once {
            true => format!("all {accounts} accounts in blocks of {at_once}"),
            false if self.views.len() > 1 => format!("all {} views", self.views.len()),
            false => "all".to_owned(),
        }
    }

    fn open(&mut self, accounts: Range<usize>) -> Result<View> {
        let spec = self.case.spec(accounts.clone(), self.data.size.accounts);
        let id = self.data.engine.open(&spec)?;
        let mut subscription = Subscription::new(Window::ALL);
        let model = ViewModel::new(subscription.snapshot(self.data.engine.view(id)));
        Ok(View { id, spec, accounts, subscription, model, seq: 1 })
    }

    fn iterate(&mut self) -> Result<Duration> {
        self.frames.clear();
        self.done += 1;
        match self.case.work {
            Work::Tick(change) => Ok(self.tick(change)?.0),
            Work::Open { accounts } => self.open_anew(accounts),
            Work::Ingest => self.ingest(),
            work => bail!("{work:?} is not run tick by tick"),
        }
    }

    /// One change, from the decoded cut to the text of every patch; then the clients apply them.
    ///
    /// Returns how long it took, and what the baseline has to compute anew.
    fn tick(&mut self, change: Change) -> Result<(Duration, Touched)> {
        let now = self.data.world.step();
        let (cut, touched) = match change {
            Change::Prices => (self.data.world.all_prices(), Touched::Prices),
            Change::Price => (self.data.world.one_price(), Touched::Prices),
            Change::Fill => {
                let (cut, account) = self.data.world.one_fill();
                (cut, Touched::Account(account))
            }
        };
        let mut patches: Vec<Option<Patch>> = Vec::with_capacity(self.views.len());

        let started = Instant::now();
        let moved = self.data.engine.tick(now, cut)?;
        let as_of = self.as_of();
        for view in &mut self.views {
            let result = self.data.engine.view(view.id);
            let patch = view.subscription.patch(result);
            if let Some(patch) = &patch {
                view.seq += 1;
                let mut body = String::new();
                let dictionaries = self.data.engine.dictionaries().read().expect("no writer panicked");
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
            self.data.engine.close(view.id);
        }
        let all = self.data.size.accounts;
        let count = count.min(all);
        let from = self.done * count % (all - count + 1);
        let spec = self.case.spec(from..from + count, all);

        let started = Instant::now();
        let id = self.data.engine.open(&spec)?;
        let result = self.data.engine.view(id);
        let mut subscription = Subscription::new(Window::ALL);
        subscription.load(result);
        let mut body = String::new();
        {
            let dictionaries = self.data.engine.dictionaries().read().expect("no writer panicked");
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
        let now = self.data.world.step();
        let events = self.data.world.order_events(EVENTS);
        let table = self.data.engine.schema().table("base.order_events").id;
        let before = self.data.rows("base.order_events");

        let started = Instant::now();
        let records = events.iter().enumerate().map(|(position, (key, value))| Record {
            table,
            position,
            key: Some(key.as_bytes()),
            value: Some(value.as_bytes()),
        });
        let good = self.decoder.decode(records);
        self.data.engine.tick(now, self.decoder.take())?;
        self.decoder.reuse(self.data.engine.take_spent());
        let time = started.elapsed();

        let come = self.data.rows("base.order_events") - before;
        ensure!(good == EVENTS && come == EVENTS / 2, "of {EVENTS} events {good} were good, {come} new");
        Ok(time)
    }

    fn as_of(&self) -> AsOf {
        let snapshot = self.data.engine.snapshot();
        AsOf { epoch: snapshot.epoch, time: snapshot.as_of }
    }

    fn shown(&self, view: &View) -> Snapshot {
        let mut shown = Subscription::new(Window::ALL).snapshot(self.data.engine.view(view.id));
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
            let view = self.open(0..self.data.size.accounts)?;
            self.check_view(&view, oracle)?;
            self.data.engine.close(view.id);
        }
        self.views.iter().try_for_each(|view| self.check_view(view, oracle))
    }

    fn check_view(&self, view: &View, oracle: &mut Oracle) -> Result<()> {
        let expected = displayed(self.recompute(view, oracle)?, &view.spec, self.data.engine.dictionaries());
        self.hold("the view", view, &self.shown(view), &expected)?;
        let mut model = view.model.held().clone();
        unlabelled(&mut model);
        self.hold("the client's model", view, &model, &expected)
    }

    fn recompute(&self, view: &View, oracle: &mut Oracle) -> Result<Recomputed> {
        let snapshot = self.data.engine.snapshot();
        let at_once = self.case.recomputed_at_once(&self.options);
        if view.accounts.len() <= at_once {
            return Ok(oracle.recompute(snapshot, &view.spec)?);
        }
        let blocks: Vec<Range<usize>> = view
            .accounts
            .clone()
            .step_by(at_once)
            .map(|from| from..(from + at_once).min(view.accounts.end))
            .collect();
        let grouped = self.data.engine.grouped_view(&view.spec.view);
        let (schema, spec) = (self.data.engine.schema(), &view.spec);
        // Every other block on a thread of its own: it takes minutes where there are many.
        let added = |first: usize| {
            let mut oracle = Oracle::new(schema, 1);
            let parts = blocks.iter().skip(first).step_by(CHECKS_AT_ONCE).map(|accounts| {
                let spec = ViewSpec { accounts: only(accounts.clone()), ..spec.clone() };
                Ok(oracle.recompute(snapshot, &spec)?)
            });
            added_up(parts, &grouped)
        };
        let added = &added;
        let halves = std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..CHECKS_AT_ONCE).map(|first| scope.spawn(move || added(first))).collect();
            let join = |thread: ScopedJoinHandle<_>| thread.join().expect("recomputation does not panic");
            threads.into_iter().map(join).collect::<Vec<_>>()
        });
        added_up(halves, &grouped)
    }

    fn hold(&self, what: &str, view: &View, shown: &Snapshot, expected: &Snapshot) -> Result<()> {
        let columns = self.data.engine.view(view.id).columns();
        match difference(shown, expected, columns) {
            None => Ok(()),
            Some(difference) => bail!("epoch {}, {what}: {difference}", self.data.engine.snapshot().epoch),
        }
    }

    /// Times cached plans over the rows, one run a change, and holds the views against their answers.
    fn baseline(&mut self, change: Change) -> Result<Times> {
        let specs: Vec<ViewSpec> = self.views.iter().map(|view| view.spec.clone()).collect();
        let mut baseline = Baseline::new(self.data.engine.snapshot(), &specs)?;
        if self.options.explain {
            eprintln!("{}", baseline.explain());
        }
        let mut times = Times::default();
        // The first run warms up and counts for nothing.
        for run in 0..=self.case.baseline_runs(&self.options) {
            let (_, touched) = self.tick(change)?;
            let snapshot = Arc::clone(self.data.engine.snapshot());
            baseline.prepare(&snapshot, &touched)?;
            let started = Instant::now();
            let answers = baseline.run(&snapshot, &touched)?;
            if run > 0 {
                times.add(started.elapsed());
            }
            for (view, answer) in self.views.iter().zip(&answers) {
                let result = baseline.recomputed(&snapshot, answer)?;
                let expected = displayed(result, &view.spec, self.data.engine.dictionaries());
                self.hold("the view against the baseline", view, &self.shown(view), &expected)?;
            }
        }
        Ok(times)
    }
}

impl Drop for Bench<'_> {
    /// The next case opens its own.
    fn drop(&mut self) {
        for view in self.views.drain(..) {
            self.data.engine.close(view.id);
        }
    }
}

/// Labels are of the display: a recomputation has none.
fn unlabelled(snapshot: &mut Snapshot) {
    snapshot.rows.iter_mut().for_each(|row| row.heading.label = None);
}
