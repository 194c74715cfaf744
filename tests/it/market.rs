//! The embedded market: reproducible, valid by the schema, and complete in the cases it must show.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, RwLock};

use sqlparser::ast::{BinaryOperator, Expr, Value};
use tickview::clock::{DAY_US, SECOND_US, Timestamp};
use tickview::datum::{Datum, NULL, divide_half_even, power_of_ten};
use tickview::delta::{Changes, Op};
use tickview::dictionary::Dictionaries;
use tickview::ingest::market::{Market, MarketConfig};
use tickview::ingest::source::{Cut, Source};
use tickview::schedule::Engine;
use tickview::schema::{Schema, Table, Type};

const MINUTE_US: i64 = 60 * SECOND_US;

/// Small, but busy enough that a few minutes show every case.
fn small() -> MarketConfig {
    MarketConfig {
        accounts: 12,
        holdings_per_account: 40,
        orders_per_account: 60,
        instruments: 150,
        prices_per_second: 40,
        orders_per_second: 40,
        movements_per_second: 2,
        fx_per_second: 5,
        day_length_s: 0,
        ..MarketConfig::default()
    }
}

struct Desk {
    market: Market,
    schema: Schema,
    dictionaries: Arc<RwLock<Dictionaries>>,
    start: Timestamp,
}

impl Desk {
    fn new(config: MarketConfig) -> Desk {
        let schema = Schema::base();
        let dictionaries = Arc::new(RwLock::new(Dictionaries::new(&schema)));
        let start = config.start;
        Desk { market: Market::new(config, &schema, dictionaries.clone()), schema, dictionaries, start }
    }

    fn cut(&mut self, after_us: i64, records_max: usize) -> Cut {
        self.market.cut(self.start + after_us, records_max).unwrap()
    }

    /// Everything up to `until_us` after the opening, in cuts every `step_us` of at most `records_max`.
    fn history(&mut self, until_us: i64, step_us: i64, records_max: usize) -> Vec<Changes> {
        let mut all = Vec::new();
        let mut now = 0;
        loop {
            let cut = self.cut(now, records_max);
            let waiting = cut.more;
            all.extend(cut.changes);
            match (waiting, now == until_us) {
                (true, _) => {}
                (false, true) => return all,
                (false, false) => now = (now + step_us).min(until_us),
            }
        }
    }

    /// A cell as text, where its column holds a code.
    fn text(&self, table: &Table, column: usize, datum: Datum) -> String {
        let dictionaries = self.dictionaries.read().unwrap();
        let dictionary = match table.columns[column].data_type {
            Type::Text => &dictionaries.names,
            Type::Id => dictionaries.keys(table.id),
            _ => panic!("{}.{} holds no text", table.name, table.columns[column].name),
        };
        dictionary.text(u32::try_from(datum).unwrap()).to_owned()
    }

    /// The texts of a column over a history.
    fn texts(&self, history: &[Changes], table: &str, column: &str) -> BTreeSet<String> {
        let table = self.schema.table(table);
        let column = table.column(column);
        rows(history, table)
            .filter(|(op, row)| *op == Op::Upsert && row[column] != NULL)
            .map(|(_, row)| self.text(table, column, row[column]))
            .collect()
    }
}

fn rows<'a>(history: &'a [Changes], table: &Table) -> impl Iterator<Item = (Op, &'a [Datum])> {
    let id = table.id;
    history.iter().filter(move |changes| changes.table == id).flat_map(Changes::iter)
}

/// The records of each table, one after the other.
fn by_table(schema: &Schema, history: &[Changes]) -> Vec<Vec<(Op, Vec<Datum>)>> {
    schema
        .tables
        .iter()
        .map(|table| rows(history, table).map(|(op, row)| (op, row.to_vec())).collect())
        .collect()
}

#[test]
fn markets_made_alike_and_cut_alike_give_the_same_cuts() {
    let (mut one, mut other) = (Desk::new(small()), Desk::new(small()));
    for n in 0..400 {
        let (a, b) = (one.cut(n * 100_000, 500), other.cut(n * 100_000, 500));
        assert_eq!((&a.changes, a.caught_up, a.more), (&b.changes, b.caught_up, b.more));
        assert_eq!(a.progress, b.progress);
    }
    let mut third = Desk::new(MarketConfig { seed: 2, ..small() });
    assert_ne!(one.history(MINUTE_US, MINUTE_US, 1_000_000), third.history(MINUTE_US, MINUTE_US, 1_000_000));
}

#[test]
fn where_cuts_fall_does_not_change_the_history() {
    let config = MarketConfig { day_length_s: 100, ..small() };
    let whole = Desk::new(config.clone()).history(240 * SECOND_US, 240 * SECOND_US, usize::MAX);
    let schema = Schema::base();
    for (step_us, records_max) in [(73_000, 97), (2_000_000, 1_000), (60_000_000, 13)] {
        let pieces = Desk::new(config.clone()).history(240 * SECOND_US, step_us, records_max);
        assert!(
            by_table(&schema, &whole) == by_table(&schema, &pieces),
            "cuts of {step_us} µs, {records_max} records"
        );
    }
}

#[test]
fn the_load_keeps_to_its_batches_and_ends_as_announced() {
    let mut desk = Desk::new(small());
    let mut records: BTreeMap<String, u64> = BTreeMap::new();
    loop {
        let cut = desk.cut(0, 100);
        assert!(cut.changes.iter().map(Changes::len).sum::<usize>() <= 100);
        for changes in &cut.changes {
            *records.entry(desk.schema.tables[changes.table].topic.clone()).or_default() +=
                changes.len() as u64;
        }
        let done = cut.progress.iter().all(|progress| progress.done == progress.total);
        assert_eq!(cut.caught_up, done);
        if done {
            for progress in &cut.progress {
                assert_eq!(records[&progress.topic], progress.total, "{}", progress.topic);
            }
            break;
        }
    }
    assert!(desk.cut(SECOND_US, 100).caught_up);
}

/// Whether a row satisfies a check, for the forms of checks that `sql/schema.sql` has.
fn holds(desk: &Desk, table: &Table, row: &[Datum], check: &Expr) -> bool {
    let column = |expr: &Expr| table.column(&expr.to_string());
    match check {
        Expr::InList { expr, list, negated: false } => {
            let at = column(expr);
            let text = format!("'{}'", desk.text(table, at, row[at]));
            list.iter().any(|item| item.to_string() == text)
        }
        Expr::BinaryOp { left, op: BinaryOperator::Or, right } => {
            holds(desk, table, row, left) || holds(desk, table, row, right)
        }
        Expr::BinaryOp { left, op, right } => {
            let at = column(left);
            let Expr::Value(value) = &**right else { panic!("{check}") };
            match (&value.value, op) {
                (Value::Number(zero, _), BinaryOperator::Eq) if zero == "0" => row[at] == 0,
                (Value::Number(zero, _), BinaryOperator::Gt) if zero == "0" => row[at] > 0,
                (Value::SingleQuotedString(text), BinaryOperator::Eq) => {
                    desk.text(table, at, row[at]) == *text
                }
                _ => panic!("{check}"),
            }
        }
        Expr::IsNotNull(expr) => row[column(expr)] != NULL,
        _ => panic!("{check} is a form of check this test does not know"),
    }
}

#[test]
fn every_row_is_valid_by_the_schema() {
    let mut desk = Desk::new(MarketConfig { day_length_s: 60, ..small() });
    let history = desk.history(200 * SECOND_US, SECOND_US, 10_000);
    let instrument = desk.schema.table("base.instrument");
    let cash: BTreeSet<Datum> = rows(&history, instrument)
        .filter(|(_, row)| desk.text(instrument, 3, row[3]) == "CASH")
        .map(|(_, row)| row[0])
        .collect();
    assert!(cash.len() >= 6);
    for table in &desk.schema.tables {
        let mut seen = 0;
        for (op, row) in rows(&history, table) {
            seen += 1;
            if op == Op::Delete {
                assert!(table.key.iter().all(|&column| row[column] != NULL));
                continue;
            }
            for (column, &datum) in table.columns.iter().zip(row) {
                let name = format!("{}.{} of {row:?}", table.name, column.name);
                if datum == NULL {
                    assert!(column.nullable, "{name} is null");
                    continue;
                }
                match column.data_type {
                    Type::Decimal { precision, .. } => {
                        assert!(datum.abs() < power_of_ten(precision), "{name}")
                    }
                    Type::Boolean => assert!(datum == 0 || datum == 1, "{name}"),
                    Type::Timestamp => {
                        assert!((datum - Datum::from(desk.start)).abs() < 20 * Datum::from(DAY_US), "{name}")
                    }
                    Type::Text | Type::Id => {
                        desk.text(table, table.column(&column.name), datum);
                    }
                    Type::Date | Type::Integer => {}
                }
            }
            for check in &table.checks {
                assert!(holds(&desk, table, row, check), "{} has {row:?}, against {check}", table.name);
            }
            if table.name == "base.order_events" {
                assert!(!cash.contains(&row[3]), "no order is on cash");
                let [order_qty, cum, day_cum] = [row[6], row[7], row[8]];
                assert!(order_qty > 0 && cum >= day_cum && day_cum >= 0, "{row:?}");
                assert!(row[9] == NULL || (day_cum != 0 && row[9] > 0), "{row:?}");
                assert!(row[12] == NULL || row[12] > 0, "{row:?}");
            }
            if table.name == "base.price" {
                assert!(row[1] > 0, "{row:?}");
            }
        }
        assert!(seen > 0, "{} has no record", table.name);
    }
}

#[test]
fn every_case_of_the_domain_occurs_within_minutes() {
    let mut desk = Desk::new(small());
    let history = desk.history(8 * MINUTE_US, MINUTE_US, 100_000);
    for (table, column) in [
        ("base.order_events", "status"),
        ("base.order_events", "side"),
        ("base.instrument", "asset_class"),
        ("base.price", "price_type"),
        ("base.fx_rate", "rate_type"),
        ("base.cash_movement", "movement_type"),
    ] {
        let texts = desk.texts(&history, table, column);
        let wanted: BTreeSet<String> = match column {
            "price_type" => ["LAST", "MID", "CLOSE", "EVALUATED"].map(String::from).into(),
            _ => {
                let of_column =
                    |check: &&Expr| matches!(check, Expr::InList { expr, .. } if expr.to_string() == column);
                let Some(Expr::InList { list, .. }) = desk.schema.table(table).checks.iter().find(of_column)
                else {
                    panic!("{table}.{column} has a list")
                };
                list.iter().map(|item| item.to_string().trim_matches('\'').to_owned()).collect()
            }
        };
        assert_eq!(texts, wanted, "{table}.{column}");
    }
    for (table, column, at_least) in [
        ("base.instrument", "sector", 11),
        ("base.instrument", "currency", 8),
        ("base.instrument", "country_of_risk", 12),
        ("base.account", "strategy", 4),
        ("base.account", "region", 3),
        ("base.sod_holding", "portfolio_id", 4),
        ("base.order_events", "time_in_force", 3),
        ("base.order_events", "order_type", 4),
    ] {
        let texts = desk.texts(&history, table, column);
        assert!(texts.len() >= at_least, "{table}.{column} has only {texts:?}");
    }

    // What an order's record says about the one before it.
    let orders = desk.schema.table("base.order_events");
    let mut before: HashMap<Datum, &[Datum]> = HashMap::new();
    let mut occurred = BTreeSet::new();
    for (_, row) in rows(&history, orders) {
        let (quantity, cum, day_cum) = (row[6], row[7], row[8]);
        let status = desk.text(orders, 10, row[10]);
        occurred.extend((cum > quantity).then_some("overfill"));
        occurred.extend((cum > day_cum).then_some("earlier fills"));
        occurred.extend((status == "CANCELLED" && cum > 0).then_some("cancelled with fills"));
        occurred.extend((row[12] == NULL).then_some("no limit"));
        if let Some(last) = before.insert(row[0], row) {
            occurred.extend((cum < last[7] && day_cum < last[8]).then_some("bust"));
            occurred.extend(
                (cum == last[7] && row[9] != last[9] && row[9] != NULL && row[1] == last[1])
                    .then_some("correction"),
            );
            occurred.extend((quantity != last[6]).then_some("replaced"));
            // Between two records of one day only the difference is bought, at a price of 8 decimals.
            if row[1] == last[1] && day_cum > last[8] && last[8] > 0 && row[9] != NULL {
                let (paid, paid_before) = (day_cum * row[9], last[8] * last[9]);
                let price = divide_half_even(paid - paid_before, day_cum - last[8]);
                assert!(price > 0, "{row:?} after {last:?}");
            }
        }
    }
    let wanted =
        ["bust", "cancelled with fills", "correction", "earlier fills", "no limit", "overfill", "replaced"];
    assert_eq!(occurred, BTreeSet::from(wanted));

    let movements = desk.schema.table("base.cash_movement");
    assert!(rows(&history, movements).any(|(op, _)| op == Op::Delete), "a movement is taken back");
}

#[test]
fn prices_come_late_go_missing_and_go_stale() {
    let mut desk = Desk::new(MarketConfig { prices_per_second: 400, ..small() });
    let limit_us = |price_type: &str| match price_type {
        "LAST" | "MID" => 15 * MINUTE_US,
        _ => 4 * DAY_US,
    };
    let prices = desk.schema.table("base.price").clone();
    let instruments = desk.schema.table("base.instrument").clone();
    // The latest price of each instrument and how old it is, at 10 s, 11 min and 16 min.
    let mut latest: HashMap<Datum, (String, i64)> = HashMap::new();
    let mut declared = BTreeSet::new();
    let mut stale = BTreeMap::new();
    let mut priced = BTreeMap::new();
    for at_us in [10 * SECOND_US, 11 * MINUTE_US, 16 * MINUTE_US] {
        let history = desk.history(at_us, at_us, usize::MAX);
        for (_, row) in rows(&history, &prices) {
            latest.insert(row[0], (desk.text(&prices, 4, row[4]), i64::try_from(row[5]).unwrap()));
        }
        declared
            .extend(rows(&history, &instruments).filter(|(_, row)| row[9] != row[0]).map(|(_, row)| row[0]));
        let old = |price_type: &str, time: i64| desk.start + at_us - time > limit_us(price_type);
        stale.insert(
            at_us,
            latest
                .iter()
                .filter(|(_, (kind, time))| old(kind, *time))
                .map(|(&id, _)| id)
                .collect::<BTreeSet<_>>(),
        );
        priced.insert(at_us, (latest.len(), declared.len()));
    }
    let [early, middle, end] = [10 * SECOND_US, 11 * MINUTE_US, 16 * MINUTE_US];
    assert!(priced[&early].0 < priced[&middle].0, "late prices come: {priced:?}");
    assert!(priced[&end].0 < 150, "some prices never come: {priced:?}");
    assert_eq!((priced[&early].1 < 150, priced[&end].1), (true, 150), "late declarations come");
    assert!(
        !stale[&early].is_empty() && stale[&early].difference(&stale[&middle]).next().is_some(),
        "stale ones heal"
    );
    assert!(stale[&end].difference(&stale[&middle]).next().is_some(), "others go stale");
    let kinds: BTreeSet<&str> = stale[&early].iter().map(|id| latest[id].0.as_str()).collect();
    assert!(kinds.iter().any(|kind| matches!(*kind, "LAST" | "MID")), "{kinds:?}");
    assert!(kinds.iter().any(|kind| matches!(*kind, "CLOSE" | "EVALUATED")), "{kinds:?}");
}

#[test]
fn a_rollover_brings_all_its_holdings_before_its_date() {
    let mut desk = Desk::new(MarketConfig { day_length_s: 60, ..small() });
    let dates = desk.schema.table("base.business_date").clone();
    let holdings = desk.schema.table("base.sod_holding").clone();
    let orders = desk.schema.table("base.order_events").clone();
    let mut arrived: BTreeMap<Datum, u64> = BTreeMap::new();
    let mut switched = Vec::new();
    let mut ahead = 0;
    for n in 0..4_000 {
        let cut = desk.cut(n * 100_000, 5_000);
        for (_, row) in rows(&cut.changes, &holdings) {
            *arrived.entry(row[0]).or_default() += 1;
        }
        for (_, row) in rows(&cut.changes, &dates) {
            assert_eq!(arrived[&row[1]], u64::try_from(row[2]).unwrap(), "the holdings of day {}", row[1]);
            switched.push(row[1]);
        }
        let today = switched.last().copied().unwrap_or(Datum::MAX);
        ahead += rows(&cut.changes, &orders).filter(|(_, row)| row[1] > today).count();
    }
    // 2026-01-05 is a Monday. Each day takes 60 seconds, and 15 of the next to turn.
    let days: Vec<Datum> = switched.iter().map(|day| day - switched[0]).collect();
    assert_eq!(days, [0, 1, 2, 3, 4, 7, 8]);
    assert!(ahead > 0, "orders are dated after the day that is still shown");
}

/// Quantity and cash by account, sleeve and instrument: SOD plus what the orders and movements of the day did.
#[test]
fn the_next_day_begins_with_what_the_last_one_ended_with() {
    let mut desk = Desk::new(MarketConfig { day_length_s: 60, ..small() });
    let history = desk.history(80 * SECOND_US, 80 * SECOND_US, usize::MAX);
    // By then the last instrument is declared; the day that is compared has long ended.
    let later = desk.history(200 * SECOND_US, 200 * SECOND_US, usize::MAX);
    let table = |name: &str| desk.schema.table(name).clone();
    let instruments = table("base.instrument");
    let mut units: HashMap<Datum, (String, Datum, Datum)> = HashMap::new();
    for (_, row) in rows(&history, &instruments).chain(rows(&later, &instruments)) {
        let class = desk.text(&instruments, 3, row[3]);
        let one = power_of_ten(8);
        let scale = if row[10] == NULL { one } else { row[10] };
        let multiplier = if row[11] == NULL { one } else { row[11] };
        // In 1e-8: the scale of a price, and for bonds a hundredth.
        let factor = scale * multiplier / one / if class == "BOND" { 100 } else { 1 };
        units.insert(row[0], (class, row[9], factor));
    }
    let holdings = table("base.sod_holding");
    let first = rows(&history, &holdings).map(|(_, row)| row[0]).min().unwrap();
    let mut expected: BTreeMap<(Datum, Datum, Datum), Datum> = BTreeMap::new();
    let mut stated: BTreeMap<(Datum, Datum, Datum), Datum> = BTreeMap::new();
    for (_, row) in rows(&history, &holdings) {
        let side = if row[0] == first { &mut expected } else { &mut stated };
        *side.entry((row[1], row[2], row[3])).or_default() += row[4];
    }
    let orders = table("base.order_events");
    let mut last: HashMap<Datum, &[Datum]> = HashMap::new();
    for (_, row) in rows(&history, &orders).filter(|(_, row)| row[1] == first) {
        last.insert(row[0], row);
    }
    for row in last.values().filter(|row| row[8] != 0) {
        let sign = if ["BUY", "BUY_COVER", "SUBSCRIBE"].contains(&desk.text(&orders, 5, row[5]).as_str()) {
            1
        } else {
            -1
        };
        *expected.entry((row[2], row[3], row[4])).or_default() += sign * row[8];
        let (class, currency, factor) = &units[&row[3]];
        if class != "FUTURE" {
            let leg = divide_half_even(sign * row[8] * row[9] * factor, power_of_ten(16));
            *expected.entry((row[2], *currency, row[4])).or_default() -= leg;
        }
    }
    let movements = table("base.cash_movement");
    let mut moved: HashMap<Datum, Option<&[Datum]>> = HashMap::new();
    for (op, row) in rows(&history, &movements).filter(|(op, row)| *op == Op::Delete || row[1] == first) {
        match op {
            Op::Upsert => _ = moved.insert(row[0], Some(row)),
            Op::Delete => _ = moved.insert(row[0], None),
        }
    }
    for row in moved.values().flatten() {
        *expected.entry((row[2], row[4], row[3])).or_default() += row[5];
    }
    expected.retain(|_, quantity| *quantity != 0);
    assert!(
        expected == stated,
        "{:?}",
        expected.iter().find(|(key, quantity)| stated.get(key) != Some(quantity))
    );
}

#[test]
fn versions_of_a_key_rise() {
    let mut desk = Desk::new(MarketConfig { day_length_s: 50, ..small() });
    let history = desk.history(180 * SECOND_US, SECOND_US, 10_000);
    for table in &desk.schema.tables {
        let mut versions: HashMap<Vec<Datum>, Datum> = HashMap::new();
        for (op, row) in rows(&history, table) {
            let key: Vec<Datum> = table.key.iter().map(|&column| row[column]).collect();
            match op {
                Op::Delete => _ = versions.remove(&key),
                Op::Upsert => {
                    let version = row[table.version];
                    let before = versions.insert(key, version);
                    assert!(before.is_none_or(|before| before < version), "{}: {row:?}", table.name);
                }
            }
        }
    }
}

/// How many rows each size has, counted at a tenth of its accounts, holdings and orders.
#[test]
fn a_scale_has_the_rows_it_announces() {
    let million = 1_000_000;
    for (config, holdings, orders, instruments) in [
        (MarketConfig::default(), million, 2 * million, 5_000),
        (MarketConfig::full(), 25 * million, 50 * million, 5_000),
    ] {
        let rows = |per_account: u32| u64::from(config.accounts) * u64::from(per_account);
        assert!(rows(config.holdings_per_account) >= holdings && rows(config.orders_per_account) >= orders);
        assert!(config.instruments >= instruments);

        let small = MarketConfig {
            accounts: config.accounts / 100,
            holdings_per_account: config.holdings_per_account / 10,
            orders_per_account: config.orders_per_account / 10,
            instruments: config.instruments / 10,
            ..config
        };
        let mut engine = Engine::new();
        let dictionaries = Arc::clone(engine.dictionaries());
        let mut market = Market::new(small.clone(), engine.schema(), dictionaries);
        loop {
            let cut = market.cut(small.start, 50_000).unwrap();
            let ready = cut.caught_up;
            engine.tick(small.start, cut).unwrap();
            if ready {
                break;
            }
        }
        let len = |table: &str| engine.tables().len(engine.schema().table(table).id) as u64;
        let rows = |per_account: u32| u64::from(small.accounts) * u64::from(per_account);
        assert!(len("base.sod_holding") >= rows(small.holdings_per_account));
        assert_eq!(len("base.order_events"), rows(small.orders_per_account));
        assert_eq!(engine.tables().held(), 0);
        // A few are declared late, and cash comes on top.
        assert!(len("base.instrument") * 100 >= u64::from(small.instruments) * 95);
    }
}
