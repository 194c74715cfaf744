//! Row-level views: their law and their rules, R of `tests/SPEC.md`.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;

use rand::RngExt;
use tickview::clock::SECOND_US;
use tickview::datum::{NULL, format_decimal};
use tickview::diff::{Snapshot, Subscription, ViewModel, Window};
use tickview::error::Kind;
use tickview::ingest::market::{Market, MarketConfig};
use tickview::ingest::source::Source;
use tickview::schedule::{Engine, ViewId};
use tickview::view::recompute::Oracle;
use tickview::view::result::{Cell, Column, Form, Quality, RowId};
use tickview::view::spec::{Comparison, Filter, Selection, SortKey, ViewSpec};

use crate::desk::{Desk, NOW};
use crate::history::{History, histories};

/// A value as the oracle and the view can be compared by.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Value {
    None,
    Text(String),
    Number(i128),
}

type Shown = (Value, Quality);

/// All rows as text and numbers, and the total.
#[derive(Debug, PartialEq, Eq)]
struct List {
    rows: Vec<(Vec<String>, Vec<Shown>)>,
    total: Vec<Shown>,
}

fn is_text(column: &Column) -> bool {
    matches!(column.form, Form::Name | Form::Id { .. })
}

fn maintained(engine: &Engine, view: ViewId) -> List {
    let result = engine.view(view);
    let columns = result.columns().to_vec();
    let snapshot = Subscription::new(Window::ALL).snapshot(result);
    let dictionaries = engine.dictionaries().read().unwrap();
    let value = |(column, cell): (&Column, &Cell)| {
        let value = match column.form {
            _ if cell.value == NULL => Value::None,
            Form::Name => Value::Text(dictionaries.names.text(cell.value as u32).to_owned()),
            Form::Id { table } => Value::Text(dictionaries.keys(table).text(cell.value as u32).to_owned()),
            _ => Value::Number(cell.value),
        };
        (value, cell.quality)
    };
    let shown = |cells: &[Cell]| columns.iter().zip(cells).map(value).collect::<Vec<_>>();
    let rows = snapshot.rows.iter().map(|row| {
        assert_eq!((row.heading.depth, row.heading.expandable, &row.heading.label), (1, false, &None));
        (row.heading.key.iter().map(|part| part.clone().unwrap()).collect(), shown(&row.cells))
    });
    List { rows: rows.collect(), total: shown(&snapshot.total) }
}

/// The columns of a list, all of them.
fn columns_of(engine: &mut Engine, spec: &ViewSpec) -> Vec<Column> {
    let whole = engine.open(&ViewSpec::new(spec.view.clone())).unwrap();
    let columns = engine.view(whole).columns().to_vec();
    engine.close(whole);
    columns
}

/// The same from nothing: DataFusion's rows, sorted and filtered here. `columns` is what each column is.
fn recomputed(oracle: &mut Oracle, engine: &Engine, spec: &ViewSpec, columns: &[Column]) -> List {
    let result = oracle.recompute_rows(engine.snapshot(), spec).unwrap();
    assert_eq!(result.columns, columns.iter().map(|column| column.name.clone()).collect::<Vec<_>>());
    let dictionaries = engine.dictionaries().read().unwrap();
    let shown = |cells: &[Cell]| -> Vec<Shown> {
        let value = |(column, cell): (&Column, &Cell)| match cell.value {
            NULL => Value::None,
            code if is_text(column) => Value::Text(dictionaries.names.text(code as u32).to_owned()),
            number => Value::Number(number),
        };
        columns.iter().zip(cells).map(|pair| (value(pair), pair.1.quality)).collect()
    };
    let keys = if spec.view == "orders" { 1 } else { 3 };
    let place = |name: &String| columns.iter().position(|column| column.name == *name).unwrap();
    let mut rows: Vec<Vec<Shown>> = result.rows.iter().map(|cells| shown(cells)).collect();
    rows.retain(|row| {
        spec.filter.iter().all(|filter| {
            let at = place(&filter.column);
            lets_through(&row[at].0, &columns[at], filter)
        })
    });
    let mut order: Vec<(usize, bool)> =
        spec.sort.iter().map(|key| (place(&key.column), key.descending)).collect();
    order.extend((0..keys).map(|at| (at, false)));
    rows.sort_by(|a, b| {
        let by = order.iter().map(|&(at, descending)| compare(&a[at].0, &b[at].0, descending));
        by.fold(Ordering::Equal, Ordering::then)
    });
    let names: Vec<String> = columns.iter().map(|column| column.name.clone()).collect();
    let chosen: Vec<usize> = spec.columns.as_ref().unwrap_or(&names).iter().map(place).collect();
    let pick = |row: &Vec<Shown>| chosen.iter().map(|&at| row[at].clone()).collect::<Vec<_>>();
    let text = |value: &Value| match value {
        Value::Text(text) => text.clone(),
        other => panic!("a key is text, not {other:?}"),
    };
    List {
        rows: rows
            .iter()
            .map(|row| (row[..keys].iter().map(|(value, _)| text(value)).collect(), pick(row)))
            .collect(),
        total: pick(&shown(&result.total)),
    }
}

fn compare(a: &Value, b: &Value, descending: bool) -> Ordering {
    let ordering = match (a, b) {
        (Value::None, Value::None) => return Ordering::Equal,
        (Value::None, _) => return Ordering::Greater,
        (_, Value::None) => return Ordering::Less,
        (Value::Text(a), Value::Text(b)) => a.as_bytes().cmp(b.as_bytes()),
        (Value::Number(a), Value::Number(b)) => a.cmp(b),
        _ => panic!("a column has one type"),
    };
    if descending { ordering.reverse() } else { ordering }
}

fn lets_through(value: &Value, column: &Column, filter: &Filter) -> bool {
    let wanted = filter.value.as_ref().map_or(Value::None, |text| match column.form {
        _ if is_text(column) => Value::Text(text.clone()),
        Form::Decimal { scale } => Value::Number(tickview::datum::parse_decimal(text, 38, scale).unwrap()),
        _ => panic!("these tests filter no times"),
    });
    let known = *value != Value::None && wanted != Value::None;
    match filter.comparison {
        Comparison::Equal => *value == wanted,
        Comparison::NotEqual => *value != wanted,
        Comparison::Less => known && compare(value, &wanted, false).is_lt(),
        Comparison::LessOrEqual => known && compare(value, &wanted, false).is_le(),
        Comparison::Greater => known && compare(value, &wanted, false).is_gt(),
        Comparison::GreaterOrEqual => known && compare(value, &wanted, false).is_ge(),
        Comparison::Contains => match (value, wanted) {
            (Value::Text(text), Value::Text(part)) => text.to_lowercase().contains(&part.to_lowercase()),
            _ => false,
        },
    }
}

#[track_caller]
fn check(engine: &mut Engine, view: ViewId, oracle: &mut Oracle, spec: &ViewSpec) {
    let columns = columns_of(engine, spec);
    check_of(engine, view, oracle, spec, &columns);
}

/// The same where the columns are known.
#[track_caller]
fn check_of(engine: &Engine, view: ViewId, oracle: &mut Oracle, spec: &ViewSpec, columns: &[Column]) {
    let is = maintained(engine, view);
    let should = recomputed(oracle, engine, spec, columns);
    let epoch = engine.snapshot().epoch;
    assert_eq!(is.total, should.total, "epoch {epoch}, total of {spec:?}");
    let keys = |list: &List| list.rows.iter().map(|(key, _)| key.clone()).collect::<Vec<_>>();
    assert_eq!(keys(&is), keys(&should), "epoch {epoch}, rows of {spec:?}");
    for (is, should) in is.rows.iter().zip(&should.rows) {
        assert_eq!(is, should, "epoch {epoch}, {spec:?}");
    }
}

/// What clients hold of a view, and the numbers of its rows.
struct Client {
    windows: Vec<(Subscription, ViewModel, Window)>,
    ids: HashMap<Vec<Option<String>>, RowId>,
}

impl Client {
    fn new(engine: &Engine, view: ViewId) -> Client {
        let window = |window: Window| {
            let mut subscription = Subscription::new(window);
            let model = ViewModel::new(subscription.snapshot(engine.view(view)));
            (subscription, model, window)
        };
        let windows = [Window::ALL, Window { from: 3, to: 9 }, Window { from: 0, to: 2 }];
        Client { windows: windows.map(window).into(), ids: HashMap::new() }
    }

    /// Previous + patch = next, in every window; a row that stays has its number.
    fn follow(&mut self, engine: &Engine, view: ViewId) {
        let result = engine.view(view);
        for (subscription, model, window) in &mut self.windows {
            if let Some(patch) = subscription.patch(result) {
                model.apply(&patch).unwrap();
            }
            assert_eq!(model.held(), &whole(engine, view, *window), "previous + patch = next");
        }
        let mut rows = Vec::new();
        result.rows(0, usize::MAX, &mut rows);
        let now: HashMap<_, _> = rows.iter().map(|&row| (result.heading(row).key, row)).collect();
        assert_eq!(now.len(), rows.len(), "a key names one row");
        for (key, row) in &now {
            assert_eq!(self.ids.get(key).unwrap_or(row), row, "{key:?} keeps its number");
        }
        self.ids = now;
    }
}

fn whole(engine: &Engine, view: ViewId, window: Window) -> Snapshot {
    Subscription::new(window).snapshot(engine.view(view))
}

fn sorted_by(spec: ViewSpec, keys: &[(&str, bool)]) -> ViewSpec {
    let key = |&(column, descending): &(&str, bool)| SortKey { column: column.to_owned(), descending };
    ViewSpec { sort: keys.iter().map(key).collect(), ..spec }
}

fn filtered(spec: ViewSpec, column: &str, comparison: Comparison, value: Option<&str>) -> ViewSpec {
    let filter = Filter { column: column.to_owned(), comparison, value: value.map(str::to_owned) };
    ViewSpec { filter: vec![filter], ..spec }
}

fn of(view: &str, accounts: &[&str]) -> ViewSpec {
    let names = accounts.iter().map(|&name| name.to_owned()).collect();
    ViewSpec { accounts: Selection::Only(names), ..ViewSpec::new(view) }
}

#[test]
fn r1_rows_of_the_market_are_their_recomputation() {
    let mut engine = Engine::new();
    let start = 1_767_623_400_000_000;
    let config = MarketConfig {
        accounts: 4,
        holdings_per_account: 400,
        orders_per_account: 700,
        instruments: 60,
        prices_per_second: 20,
        orders_per_second: 200,
        fx_per_second: 1,
        day_length_s: 20,
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
    let euro = ViewSpec {
        currency: "EUR".to_owned(),
        exclude_cash: true,
        ..sorted_by(ViewSpec::new("holdings"), &[("sector", false), ("mv", true)])
    };
    let specs = [
        ViewSpec::new("holdings"),
        ViewSpec::new("orders"),
        euro,
        of("holdings", &["A00003", "A00001"]),
        sorted_by(of("orders", &["A00000", "A00002"]), &[("status", true), ("order_qty", false)]),
        filtered(ViewSpec::new("orders"), "filled_mv", Comparison::Greater, Some("1000")),
        filtered(
            sorted_by(ViewSpec::new("orders"), &[("symbol", true)]),
            "side",
            Comparison::Equal,
            Some("SELL"),
        ),
    ];
    let mut oracle = Oracle::new(engine.schema(), 1);
    let views: Vec<ViewId> = specs.iter().map(|spec| engine.open(spec).unwrap()).collect();
    assert!(engine.view(views[1]).size() > 1_024, "orders beyond what one block of the order has");
    let mut clients: Vec<Client> = views.iter().map(|&view| Client::new(&engine, view)).collect();
    let days: Vec<_> = (0..16)
        .map(|tick| {
            for ((&view, spec), client) in views.iter().zip(&specs).zip(&mut clients) {
                check(&mut engine, view, &mut oracle, spec);
                client.follow(&engine, view);
            }
            let now = start + (tick + 1) * 2_500_000;
            let cut = market.cut(now, 100_000).unwrap();
            engine.tick(now, cut).unwrap();
            engine.day()
        })
        .collect();
    assert!(days[0] < days[15], "the business date moved");
}

impl History {
    fn rows_spec(&mut self, desk: &mut Desk) -> ViewSpec {
        let view = self.one_of(&["holdings", "orders"]);
        let mut spec = ViewSpec::new(view);
        let whole = desk.open(&spec);
        let columns = desk.engine.view(whole).columns().to_vec();
        desk.engine.close(whole);
        spec.currency = self.one_of(&["USD", "EUR", "GBP"]).to_owned();
        spec.exclude_cash = self.chance(25);
        for _ in 0..self.random.random_range(0..3) {
            let column = columns[self.random.random_range(0..columns.len())].name.clone();
            spec.sort.push(SortKey { column, descending: self.chance(50) });
        }
        if self.chance(50) {
            let (column, comparison, value) = match self.random.random_range(0..6) {
                0 => ("sector", Comparison::NotEqual, Some("Energy")),
                1 => ("instrument_id", Comparison::Contains, Some("a")),
                2 => ("portfolio_id", Comparison::Equal, Some("P1")),
                3 => ("unit_price", Comparison::Equal, None),
                _ if view == "orders" => ("open_mv", Comparison::LessOrEqual, Some("0")),
                _ => ("mv", Comparison::Greater, Some("100.5")),
            };
            spec = filtered(spec, column, comparison, value);
        }
        if self.chance(20) {
            let chosen = columns.iter().rev().step_by(2).map(|column| column.name.clone());
            spec.columns = Some(chosen.collect());
        }
        if self.chance(40) {
            spec.accounts = self.some_accounts(&desk.engine);
        }
        spec
    }
}

fn run(seed: u64, ticks: i64, oracle: &mut Oracle) {
    let mut history = History::new(seed);
    let mut desk = Desk::new();
    let start = 1_767_600_000_000_000;
    let first = history.records(60);
    desk.tick(start, &first);
    let specs = [0; 3].map(|_| history.rows_spec(&mut desk));
    let views = specs.each_ref().map(|spec| desk.engine.open(spec).unwrap());
    let columns = specs.each_ref().map(|spec| columns_of(&mut desk.engine, spec));
    let mut clients = views.map(|view| Client::new(&desk.engine, view));
    for tick in 1..=ticks {
        let records = history.records(12);
        desk.tick(start + tick * 240_000_000, &records);
        for ((&view, spec), (client, columns)) in
            views.iter().zip(&specs).zip(clients.iter_mut().zip(&columns))
        {
            check_of(&desk.engine, view, oracle, spec, columns);
            client.follow(&desk.engine, view);
        }
    }
}

#[test]
fn r2_random_histories_of_rows_are_their_recomputation() {
    let mut oracle = Oracle::new(Desk::new().engine.schema(), 1);
    (1_000..1_000 + histories()).for_each(|seed| run(seed, 20, &mut oracle));
}

/// The rows of a view as text, its key and the columns named, the total last.
fn read(desk: &Desk, view: ViewId) -> Vec<String> {
    let list = maintained(&desk.engine, view);
    let columns = desk.engine.view(view).columns();
    let text = |(column, (value, quality)): (&Column, &Shown)| {
        let text = match (value, column.form) {
            (Value::None, _) => "-".to_owned(),
            (Value::Text(text), _) => text.clone(),
            (Value::Number(number), Form::Decimal { scale }) => format_decimal(*number, scale),
            (Value::Number(number), _) => format!("{}s", (*number as i64 - NOW) / SECOND_US),
        };
        if *quality == Quality::Ok { text } else { format!("{text}({quality})") }
    };
    let line = |head: &str, cells: &[Shown]| {
        let cells: Vec<_> = columns.iter().zip(cells).map(text).collect();
        format!("{head} {}", cells.join(" "))
    };
    let mut lines: Vec<_> = list.rows.iter().map(|(key, cells)| line(&key.join("/"), cells)).collect();
    lines.push(line("all", &list.total));
    lines
}

fn showing(spec: ViewSpec, columns: &str) -> ViewSpec {
    ViewSpec { columns: Some(columns.split(' ').map(str::to_owned).collect()), ..spec }
}

#[track_caller]
fn shows(desk: &mut Desk, spec: &ViewSpec, expected: &[&str]) {
    let view = desk.open(spec);
    assert_eq!(read(desk, view), expected);
    desk.engine.close(view);
}

#[test]
fn r3_missing_price_is_missing_and_heals() {
    let mut desk = Desk::of(
        "instrument ACME EQUITY USD
         instrument GONE EQUITY EUR
         price ACME 100 USD
         holding A1 ACME 5
         holding A1 GONE 7
         holding A1 FLAT 0
         holding A1 USD 50",
    );
    let spec = showing(ViewSpec::new("holdings"), "quantity unit_price mv price_time");
    let view = desk.open(&spec);
    let before = [
        "A1/ACME/ 5 100 500 0s",
        "A1/FLAT/ 0 - 0 -",
        "A1/GONE/ 7 - -(MISSING) -",
        "A1/USD/ 50 1 50 -",
        "all - - 550(PARTIAL:1) -",
    ];
    assert_eq!(read(&desk, view), before);
    // A price without its rate is no price.
    desk.feed("price GONE 10 EUR");
    assert_eq!(read(&desk, view)[2], "A1/GONE/ 7 - -(MISSING) 0s");
    desk.feed("fx EUR USD 1.5");
    assert_eq!(read(&desk, view)[2], "A1/GONE/ 7 15 105 0s");
    assert_eq!(read(&desk, view)[4], "all - - 655 -");
    // Old prices say so, in the row and the total, with no record.
    desk.tick(NOW + 900 * SECOND_US + 1, "price GONE 10 EUR version=2 priceTime=2026-03-02T09:05:00Z");
    let stale = [
        "A1/ACME/ 5 100 500(STALE) 0s",
        "A1/FLAT/ 0 - 0 -",
        "A1/GONE/ 7 15 105 300s",
        "A1/USD/ 50 1 50 -",
        "all - - 655(STALE) -",
    ];
    assert_eq!(read(&desk, view), stale);
    desk.feed("delete price ACME 0 USD\ndelete price GONE 0 EUR\nholding A1 USD 0 version=2");
    assert_eq!(read(&desk, view)[4], "all - - -(MISSING) -");
}

#[test]
fn r4_market_values_of_orders_have_the_sign_of_their_side() {
    let mut desk = Desk::of(
        "instrument ACME EQUITY USD
         instrument FUT1 FUTURE USD contractMultiplier=50
         price ACME 10 USD
         price FUT1 4000 USD
         date 2026-03-02 0
         order O1 A1 ACME BUY 100 40 30 PARTIALLY_FILLED dayAvgPx=9
         order O2 A1 ACME SELL_SHORT 100 40 30 PARTIALLY_FILLED dayAvgPx=9
         order O3 A1 ACME REDEEM 100 40 30 CANCELLED dayAvgPx=9
         order O4 A1 FUT1 BUY 2 1 1 PARTIALLY_FILLED dayAvgPx=3990
         order O5 A1 NONE SELL 5 0 0 NEW
         order O6 A1 ACME BUY 10 12 12 NEW dayAvgPx=9",
    );
    let columns = "order_qty cum_qty day_filled remaining day_avg_px filled_mv open_mv";
    let rows = [
        "O1 100 40 30 60 9 300 600",
        "O2 100 40 30 60 9 -300 -600",
        "O3 100 40 30 0 9 -300 0",
        "O4 2 1 1 1 3990 0 0",
        "O5 5 0 0 5 - 0 -(MISSING)",
        // An overfill counts its true fills and leaves nothing open.
        "O6 10 12 12 0 9 120 0",
        "all - - - - - -180 0(PARTIAL:1)",
    ];
    shows(&mut desk, &showing(ViewSpec::new("orders"), columns), &rows);
}

#[test]
fn r5_order_of_an_earlier_day_has_no_fills_of_today() {
    let mut desk = Desk::of(
        "instrument ACME EQUITY USD
         price ACME 10 USD
         holding A1 ACME 1
         order GTC A1 ACME BUY 100 40 30 PARTIALLY_FILLED dayAvgPx=9
         order DONE A1 ACME BUY 5 5 5 FILLED dayAvgPx=9",
    );
    let spec = showing(ViewSpec::new("orders"), "cum_qty day_filled remaining day_avg_px filled_mv open_mv");
    let view = desk.open(&spec);
    let today = ["DONE 5 5 0 9 50 0", "GTC 40 30 60 9 300 600", "all - - - - 350 600"];
    assert_eq!(read(&desk, view), today);
    desk.feed("holding A1 ACME 6 businessDate=2026-03-03");
    assert_eq!(read(&desk, view), ["GTC 40 0 60 - 0 600", "all - - - - 0 600"]);
    // Carried into the new day it has that day's fills; dead on an earlier day it is no row.
    desk.feed(
        "order GTC A1 ACME BUY 100 50 10 PARTIALLY_FILLED dayAvgPx=8 businessDate=2026-03-03 version=2",
    );
    assert_eq!(read(&desk, view)[0], "GTC 50 10 50 8 100 500");
    desk.feed("order DONE A1 ACME BUY 5 5 5 CANCELLED dayAvgPx=9 version=2");
    assert_eq!(read(&desk, view).len(), 2);
}

#[test]
fn r6_business_date_switches_all_rows_at_once() {
    let mut desk = Desk::of(
        "price ACME 10 USD
         instrument ACME EQUITY USD
         date 2026-03-02 2
         holding A1 ACME 1
         holding A2 ACME 2",
    );
    let spec = showing(ViewSpec::new("holdings"), "quantity mv");
    let view = desk.open(&spec);
    let old = ["A1/ACME/ 1 10", "A2/ACME/ 2 20", "all - 30"];
    assert_eq!(read(&desk, view), old);
    let mut client = Client::new(&desk.engine, view);
    client.follow(&desk.engine, view);
    desk.feed("date 2026-03-03 2 version=2\nholding A2 ACME 20 businessDate=2026-03-03");
    assert_eq!(read(&desk, view), old);
    // What goes of the next day takes nothing of this one.
    desk.feed("delete holding A2 ACME 0 businessDate=2026-03-03");
    assert_eq!(read(&desk, view), old);
    desk.feed("holding A2 ACME 20 businessDate=2026-03-03\nholding A0 NEW 7 businessDate=2026-03-03");
    assert_eq!(read(&desk, view), ["A0/NEW/ 7 -(MISSING)", "A2/ACME/ 20 200", "all - 200(PARTIAL:1)"]);
    // The holding that both days have is the same row.
    client.follow(&desk.engine, view);
}

#[test]
fn r7_tombstones_take_rows_and_rows_keep_their_numbers() {
    let lines: Vec<String> =
        (0..3_000).map(|at| format!("order O{at:04} A{} ACME BUY {} 0 0 NEW", at % 2, at + 1)).collect();
    let mut desk = Desk::of(&format!("date 2026-03-02 0\n{}", lines.join("\n")));
    let specs = [
        ViewSpec::new("orders"),
        of("orders", &["A1"]),
        sorted_by(ViewSpec::new("orders"), &[("order_qty", true)]),
    ];
    let mut oracle = Oracle::new(desk.engine.schema(), 1);
    let views = specs.each_ref().map(|spec| desk.open(spec));
    let mut clients = views.map(|view| Client::new(&desk.engine, view));
    let mut follow = |desk: &mut Desk| {
        for ((&view, spec), client) in views.iter().zip(&specs).zip(&mut clients) {
            check(&mut desk.engine, view, &mut oracle, spec);
            client.follow(&desk.engine, view);
        }
        desk.engine.view(views[0]).size()
    };
    assert_eq!(follow(&mut desk), 3_000);
    // The first, one in the middle, whole runs, and new ones between.
    desk.feed("delete order O0000 A0 ACME BUY 1 0 0 NEW");
    assert_eq!(follow(&mut desk), 2_999);
    let gone: Vec<String> =
        (900..2_100).map(|at| format!("delete order O{at:04} A{} ACME BUY 1 0 0 NEW", at % 2)).collect();
    desk.feed(&gone.join("\n"));
    assert_eq!(follow(&mut desk), 1_799);
    let come: Vec<String> =
        (0..1_500).map(|at| format!("order O0500-{at:04} A1 ACME SELL {} 0 0 NEW", at % 700)).collect();
    desk.feed(&come.join("\n"));
    assert_eq!(follow(&mut desk), 3_299);
    // Gone and come back in one tick, another quantity, another account, dead and alive again.
    desk.feed(
        "delete order O0001 A1 ACME BUY 1 0 0 NEW
         order O0001 A1 ACME BUY 5000 0 0 NEW
         order O0002 A0 ACME BUY 4000 0 0 NEW version=2
         order O0003 A0 ACME BUY 4 0 0 NEW version=2
         order O0004 A1 ACME BUY 5 0 0 NEW version=2",
    );
    assert_eq!(follow(&mut desk), 3_299);
    desk.feed("delete order O0003 A0 ACME BUY 4 0 0 NEW\ndelete order O2999 A1 ACME BUY 4 0 0 NEW");
    assert_eq!(follow(&mut desk), 3_297);
}

#[test]
fn r8_a_window_far_down_is_that_part_of_the_whole() {
    let lines: Vec<String> =
        (0..5_000).map(|at| format!("holding A{:02} I{:04} {at}", at % 37, at * 7919 % 5_000)).collect();
    let mut desk = Desk::of(&lines.join("\n"));
    desk.feed("instrument I0007 EQUITY USD\nprice I0007 2 USD");
    let view = desk.open(&ViewSpec::new("holdings"));
    let all = whole(&desk.engine, view, Window::ALL);
    assert_eq!((all.size, all.rows.len()), (5_000, 5_000));
    for (from, to) in [(0, 1), (4_321, 4_399), (1_000, 3_500), (4_990, 5_100), (6_000, 6_010)] {
        let part = whole(&desk.engine, view, Window { from, to });
        assert_eq!(part.rows, all.rows[from.min(5_000)..to.min(5_000)], "{from}..{to}");
        assert_eq!((part.size, part.from, &part.total), (5_000, from, &all.total));
    }
    // Cells of rows that nobody asked for last are those rows' all the same.
    let result = desk.engine.view(view);
    let (mut rows, mut other, mut cells) = (Vec::new(), Vec::new(), Vec::new());
    result.rows(0, 5_000, &mut rows);
    result.rows(10, 20, &mut other);
    for at in [4_999, 15, 3, 2_500, 10] {
        cells.clear();
        result.cells(rows[at], &mut cells);
        assert_eq!(cells, all.rows[at].cells);
    }
}

#[test]
fn r9_totals_are_of_all_rows_a_filter_hides_or_not() {
    let mut desk = Desk::of(
        "instrument ACME EQUITY USD
         price ACME 10 USD
         holding A1 ACME 3
         holding A1 ACME -1 portfolioId=P1
         holding A2 NONE 4
         holding A2 USD 100",
    );
    let spec = showing(ViewSpec::new("holdings"), "mv");
    let hidden = filtered(spec.clone(), "mv", Comparison::Greater, Some("50"));
    shows(&mut desk, &hidden, &["A2/USD/ 100", "all 120(PARTIAL:1)"]);
    let cashless = ViewSpec { exclude_cash: true, ..spec.clone() };
    let rows = ["A1/ACME/ 30", "A1/ACME/P1 -10", "A2/NONE/ -(MISSING)", "all 20(PARTIAL:1)"];
    shows(&mut desk, &cashless, &rows);
    shows(
        &mut desk,
        &showing(of("holdings", &["A2"]), "mv"),
        &["A2/NONE/ -(MISSING)", "A2/USD/ 100", "all 100(PARTIAL:1)"],
    );
    shows(&mut desk, &showing(of("holdings", &[]), "mv"), &["all 0"]);
}

#[test]
fn r10_rows_stand_as_sorted_no_value_last() {
    let mut desk = Desk::of(
        "instrument B EQUITY USD sector=Tech symbol=bb
         instrument C EQUITY USD sector=Energy symbol=Ä
         instrument D EQUITY USD symbol=Z
         price B 10 USD
         price C 20 USD
         holding A1 B 1
         holding A1 C 1
         holding A1 D 1
         holding A2 B 5",
    );
    let spec = showing(ViewSpec::new("holdings"), "mv");
    let first = |desk: &Desk, view: ViewId| -> Vec<String> {
        let rows = read(desk, view);
        rows[..rows.len() - 1].iter().map(|row| row.split(' ').next().unwrap().to_owned()).collect()
    };
    let by_sector = desk.open(&sorted_by(spec.clone(), &[("sector", true), ("quantity", true)]));
    assert_eq!(first(&desk, by_sector), ["A2/B/", "A1/B/", "A1/C/", "A1/D/"]);
    let by_symbol = desk.open(&sorted_by(spec.clone(), &[("symbol", false)]));
    assert_eq!(first(&desk, by_symbol), ["A1/D/", "A1/B/", "A2/B/", "A1/C/"]);
    let by_value = desk.open(&sorted_by(spec.clone(), &[("mv", true)]));
    assert_eq!(first(&desk, by_value), ["A2/B/", "A1/C/", "A1/B/", "A1/D/"]);
    // A price moves rows that no record names.
    desk.feed("price C 90 USD version=2\nprice D 30 USD");
    assert_eq!(first(&desk, by_value), ["A1/C/", "A2/B/", "A1/D/", "A1/B/"]);
    desk.feed("instrument D EQUITY USD sector=Zinc symbol=aa version=2");
    assert_eq!(first(&desk, by_sector), ["A1/D/", "A2/B/", "A1/B/", "A1/C/"]);
    assert_eq!(first(&desk, by_symbol), ["A1/D/", "A1/B/", "A2/B/", "A1/C/"]);
    let found = filtered(spec.clone(), "symbol", Comparison::Contains, Some("B"));
    shows(&mut desk, &found, &["A1/B/ 10", "A2/B/ 50", "all 180"]);
    let late = filtered(spec, "price_time", Comparison::Greater, Some("2026-03-02T09:00:00Z"));
    shows(&mut desk, &late, &["all 180"]);
    desk.feed("price B 10 USD version=2 priceTime=2026-03-02T09:00:01Z");
    shows(&mut desk, &late, &["A1/B/ 10", "A2/B/ 50", "all 180"]);
}

#[test]
fn r11_what_a_list_has_not_is_refused() {
    let mut desk = Desk::of("holding A1 ACME 1");
    let refused = |desk: &mut Desk, spec: ViewSpec| {
        let error = desk.engine.open(&spec).unwrap_err();
        assert_eq!(error.kind, Kind::Invalid);
        (error.code, error.message)
    };
    let grouped = ViewSpec { group_by: vec!["sector".to_owned()], ..ViewSpec::new("holdings") };
    let (code, message) = refused(&mut desk, grouped);
    assert_eq!(code, "BAD_SPEC");
    assert!(message.contains("groupBy"), "{message}");
    let carved = ViewSpec { portfolios: Some(vec![]), ..ViewSpec::new("orders") };
    assert_eq!(refused(&mut desk, carved).0, "BAD_SPEC");
    for spec in [
        showing(ViewSpec::new("holdings"), "mv_sod"),
        sorted_by(ViewSpec::new("holdings"), &[("order_id", true)]),
        filtered(ViewSpec::new("orders"), "mv", Comparison::Equal, None),
    ] {
        let (code, message) = refused(&mut desk, spec);
        assert_eq!(code, "UNKNOWN_FIELD");
        assert!(message.contains("instrument_id"), "{message} names the columns there are");
    }
    assert_eq!(refused(&mut desk, of("holdings", &["NOBODY"])).0, "UNKNOWN_ACCOUNT");
    assert_eq!(desk.engine.views(), 0);
}

#[test]
fn r12_a_declaration_reaches_rows_that_stand() {
    let mut desk =
        Desk::of("holding A1 ACME 1\norder O1 A1 ACME BUY 5 0 0 NEW\norder O2 A1 SEK BUY 5 0 0 NEW");
    let texts = "symbol asset_class sector currency mv";
    let holdings = desk.open(&showing(ViewSpec::new("holdings"), texts));
    let orders = desk.open(&showing(ViewSpec::new("orders"), "order_id symbol open_mv"));
    assert_eq!(read(&desk, holdings), ["A1/ACME/ - - - - -(MISSING)", "all - - - - -(MISSING)"]);
    // Three letters that nothing declares are cash, and an order on cash counts nowhere.
    assert_eq!(read(&desk, orders), ["O1 O1 - -(MISSING)", "all - - -(MISSING)"]);
    desk.feed(
        "instrument ACME EQUITY USD sector=Tech symbol=AC\nprice ACME 3 USD\ninstrument SEK EQUITY USD",
    );
    assert_eq!(read(&desk, holdings), ["A1/ACME/ AC EQUITY Tech USD 3", "all - - - - 3"]);
    assert_eq!(read(&desk, orders), ["O1 O1 AC 15", "O2 O2 SEK -(MISSING)", "all - - 15(PARTIAL:1)"]);
    desk.feed("delete instrument SEK EQUITY USD");
    assert_eq!(read(&desk, orders), ["O1 O1 AC 15", "all - - 15"]);
}

#[test]
fn r13_a_total_that_is_too_large_is_an_error_of_its_view_alone() {
    let mut desk = Desk::of("instrument ACME EQUITY USD\nprice ACME 1 USD\nholding A1 ACME 2");
    let view = desk.open(&showing(ViewSpec::new("holdings"), "mv"));
    let orders = desk.open(&showing(ViewSpec::new("orders"), "open_mv"));
    let most = "9999999999";
    let large = format!(
        "instrument ACME EQUITY USD contractMultiplier={most} version=2
         price ACME {most} USD version=2
         holding A1 ACME 900000000000 version=2
         order O1 A1 NONE BUY 1 0 0 NEW"
    );
    let error = desk.try_tick(NOW, &large).unwrap_err();
    assert_eq!(error.kind, Kind::Data);
    assert!(error.message.contains("mv"), "{error}");
    assert_eq!(read(&desk, view)[1], "all -(MISSING)");
    assert_eq!(read(&desk, orders)[0], "O1 -(MISSING)");
    desk.feed("price ACME 1 USD version=3\ninstrument ACME EQUITY USD version=3");
    assert_eq!(read(&desk, view), ["A1/ACME/ 900000000000", "all 900000000000"]);
}
