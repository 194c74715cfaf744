//! The law: at every epoch a maintained view is its recomputation, bit for bit.

use std::sync::Arc;

use tickview::diff::{Snapshot, Subscription, Window};
use tickview::ingest::market::{Market, MarketConfig};
use tickview::ingest::source::Source;
use tickview::schedule::Engine;
use tickview::view::recompute::{Oracle, Recomputed};
use tickview::view::spec::{Expanded, Selection, ViewSpec};
use tickview::view::tree::Tree;

/// A view of an engine, whole.
pub fn shown(engine: &Engine, view: u64) -> Snapshot {
    Subscription::new(Window::ALL).snapshot(engine.view(view))
}

/// The same view from what recomputation makes of it.
fn displayed(result: Recomputed, engine: &Engine, view: u64, spec: &ViewSpec) -> Snapshot {
    let place = |name: &String| result.columns.iter().position(|column| column.name == *name).unwrap();
    let shown = engine.view(view).columns().iter().map(|column| place(&column.name)).collect();
    let dictionaries = Arc::clone(engine.dictionaries());
    let tree = Tree::of(spec.clone(), result, shown, &Arc::default(), dictionaries);
    Subscription::new(Window::ALL).snapshot(&tree)
}

/// Holds views against their recomputation at the epoch that stands: values, qualities and keys; labels are
/// of the display.
pub fn check(engine: &Engine, views: &[(u64, &ViewSpec)], oracle: &mut Oracle) {
    let specs: Vec<&ViewSpec> = views.iter().map(|(_, spec)| *spec).collect();
    let results = oracle.recompute_all(engine.snapshot(), &specs).unwrap();
    for (&(view, spec), result) in views.iter().zip(results) {
        let expected = displayed(result, engine, view, spec);
        same(engine, view, spec, &expected);
    }
}

/// Says where a view is not what is expected.
fn same(engine: &Engine, view: u64, spec: &ViewSpec, expected: &Snapshot) {
    let mut maintained = shown(engine, view);
    maintained.rows.iter_mut().for_each(|row| row.heading.label = None);
    let epoch = engine.snapshot().epoch;
    let names: Vec<String> = engine.view(view).columns().iter().map(|column| column.name.clone()).collect();
    for (at, (is, should)) in maintained.total.iter().zip(&expected.total).enumerate() {
        assert_eq!(is, should, "epoch {epoch}, total of {}, {spec:?}", names[at]);
    }
    let keys =
        |snapshot: &Snapshot| snapshot.rows.iter().map(|row| row.heading.key.clone()).collect::<Vec<_>>();
    assert_eq!(keys(&maintained), keys(expected), "epoch {epoch}, groups of {spec:?}");
    for (is, should) in maintained.rows.iter().zip(&expected.rows) {
        for (at, (is_cell, should_cell)) in is.cells.iter().zip(&should.cells).enumerate() {
            assert_eq!(is_cell, should_cell, "epoch {epoch}, {:?}, {}, {spec:?}", is.heading.key, names[at]);
        }
    }
    assert_eq!(&maintained, expected);
}

pub fn spec(group_by: &[&str]) -> ViewSpec {
    let mut spec = ViewSpec::new("account_overview");
    spec.group_by = group_by.iter().map(|&field| field.to_owned()).collect();
    spec.expanded = Expanded::All;
    spec
}

#[test]
fn v1_the_market_is_its_recomputation() {
    let mut engine = Engine::new();
    let start = 1_767_623_400_000_000;
    let config = MarketConfig {
        accounts: 4,
        holdings_per_account: 25,
        orders_per_account: 40,
        instruments: 40,
        prices_per_second: 20,
        orders_per_second: 20,
        fx_per_second: 1,
        day_length_s: 60,
        start,
        ..MarketConfig::default()
    };
    let mut market = Market::new(config, engine.schema(), Arc::clone(engine.dictionaries()));
    loop {
        let cut = market.cut(start, 10_000).unwrap();
        let ready = cut.caught_up;
        engine.tick(start, cut).unwrap();
        if ready {
            break;
        }
    }
    let mut two = spec(&["account_id", "sector"]);
    two.accounts = Selection::Only(vec!["A00000".to_owned(), "A00002".to_owned()]);
    let mut euro = spec(&["country_of_risk", "instrument_id"]);
    euro.currency = "EUR".to_owned();
    euro.exclude_cash = true;
    let mut carved = spec(&["portfolio_id"]);
    carved.view = "pid_carve_out".to_owned();
    carved.portfolios = Some(vec![String::new(), "CORE".to_owned()]);
    let cash = |group_by: &[&str]| ViewSpec { view: "cash_only".to_owned(), ..spec(group_by) };
    let specs = [
        spec(&[]),
        spec(&["sector"]),
        two,
        euro,
        carved,
        spec(&["long_short", "currency"]),
        spec(&["side", "status"]),
        spec(&["strategy", "asset_class"]),
        cash(&["account_id", "currency"]),
        cash(&["currency", "portfolio_id", "account_id"]),
        cash(&["long_short", "side"]),
    ];
    let mut oracle = Oracle::new(engine.schema(), 1);
    let views: Vec<u64> = specs.iter().map(|spec| engine.open(spec).unwrap()).collect();
    for tick in 0..60 {
        let all: Vec<_> = views.iter().copied().zip(&specs).collect();
        check(&engine, &all, &mut oracle);
        let now = start + (tick + 1) * 2_500_000;
        let cut = market.cut(now, 100_000).unwrap();
        engine.tick(now, cut).unwrap();
    }
}

/// Views that are opened while the market goes on: at every epoch some read on, none is ahead of the others.
#[test]
fn v3_a_view_opened_beside_the_ticks_is_its_recomputation() {
    let mut engine = Engine::new();
    let start = 1_767_623_400_000_000;
    let config = MarketConfig {
        accounts: 6,
        holdings_per_account: 25,
        orders_per_account: 40,
        instruments: 40,
        prices_per_second: 60,
        orders_per_second: 60,
        fx_per_second: 1,
        day_length_s: 60,
        start,
        ..MarketConfig::default()
    };
    let mut market = Market::new(config, engine.schema(), Arc::clone(engine.dictionaries()));
    while !{
        let cut = market.cut(start, 10_000).unwrap();
        let ready = cut.caught_up;
        engine.tick(start, cut).unwrap();
        ready
    } {}
    let mut short = spec(&["sector", "account_id"]);
    short.columns = Some(["mv_current", "weight_current", "price_time_min"].map(str::to_owned).to_vec());
    let specs = [
        spec(&["sector"]),
        spec(&["account_id"]),
        short,
        spec(&["region", "account_id", "currency"]),
        spec(&["long_short"]),
        spec(&["sector", "long_short"]),
        spec(&["account_id", "side"]),
        spec(&["long_short", "status", "venue"]),
        ViewSpec { view: "cash_only".to_owned(), ..spec(&["account_id", "currency"]) },
    ];
    let mut oracle = Oracle::new(engine.schema(), 1);
    let mut opened = 0;
    let mut views: Vec<u64> = Vec::new();
    for tick in 0..80 {
        if tick % 40 == 0 {
            views.drain(..).for_each(|view| engine.close(view));
            views.extend(specs.iter().map(|spec| engine.begin(spec).unwrap()));
        }
        let now = start + (tick + 1) * 2_500_000;
        let cut = market.cut(now, 100_000).unwrap();
        engine.tick(now, cut).unwrap();
        for _ in 0..4 {
            opened += usize::from(engine.advance(2_000).unwrap());
        }
        let all: Vec<_> = views.iter().copied().zip(&specs).collect();
        let open: Vec<_> = all.into_iter().filter(|(view, _)| engine.is_open(*view)).collect();
        check(&engine, &open, &mut oracle);
    }
    assert_eq!(opened, 2 * specs.len(), "every view opened, each time");
}

/// Its orders were there before it and change only by it: they have no cash legs until then.
#[test]
fn v1_an_instrument_that_is_declared_and_changed_in_one_tick_is_its_recomputation() {
    let mut desk = crate::desk::Desk::of("account A1 USD\ndate 2026-03-02 0\nprice LATE 12 USD");
    desk.feed("order O1 A1 LATE BUY 100 20 20 NEW dayAvgPx=10 limitPrice=10");
    let declared = |sector: &str, version: i64| {
        format!("instrument LATE EQUITY USD symbol=L name=L sector={sector} version={version}")
    };
    desk.feed(&[declared("Energy", 1), declared("Tech", 2)].join("\n"));
    let specs = [spec(&["account_id"]), ViewSpec { view: "cash_only".to_owned(), ..spec(&["account_id"]) }];
    let views: Vec<_> = specs.iter().map(|spec| (desk.engine.open(spec).unwrap(), spec)).collect();
    let mut oracle = Oracle::new(desk.engine.schema(), 1);
    check(&desk.engine, &views, &mut oracle);
    assert_eq!(shown(&desk.engine, views[1].0).rows.len(), 1, "the fill moved cash");
}
