//! What the random histories do to the tables and ask of the views, counted: a law over records that never
//! come would hold nothing.

use std::collections::{BTreeMap, HashMap};

use tickview::datum::Datum;
use tickview::plan::bind::GROUP_FIELDS;
use tickview::schedule::Engine;
use tickview::schema::Table;
use tickview::view::spec::{Expanded, Selection, ViewSpec};

use crate::desk::Desk;
use crate::history::History;

/// Tables with the columns that must be seen to change.
const CHANGES: [(&str, &str); 7] = [
    (
        "base.instrument",
        "asset_class sector industry issuer country_of_risk country_of_domicile currency price_scale \
         contract_multiplier underlying_id delta",
    ),
    ("base.account", "base_currency strategy region"),
    ("base.sod_holding", "quantity sod_price"),
    (
        "base.order_events",
        "business_date account_id instrument_id portfolio_id side order_qty cum_qty day_cum_qty day_avg_px \
         status order_type limit_price time_in_force trader venue",
    ),
    ("base.cash_movement", "business_date account_id portfolio_id currency amount"),
    ("base.fx_rate", "rate"),
    ("base.price", "price currency accrued price_type price_time"),
];

/// What else must happen.
const EVENTS: [&str; 22] = [
    "rollover",
    "incomplete rollover",
    "two rollovers in one history",
    "base.instrument declared late",
    "base.account declared late",
    "deleted and new in one tick",
    "sent again later",
    "a large quantity",
    "a small quantity",
    "0 levels",
    "1 levels",
    "2 levels",
    "3 levels",
    "USD",
    "EUR",
    "GBP",
    "pid_carve_out",
    "some accounts",
    "no cash",
    "sorted",
    "filtered",
    "folded",
];

#[derive(Default)]
struct Seen(BTreeMap<String, usize>);

impl Seen {
    fn count(&mut self, what: impl Into<String>) {
        *self.0.entry(what.into()).or_default() += 1;
    }

    fn count_if(&mut self, is: bool, what: &str) {
        if is {
            self.count(what);
        }
    }

    fn spec(&mut self, spec: &ViewSpec) {
        self.count(format!("{} levels", spec.group_by.len()));
        spec.group_by.iter().for_each(|field| self.count(format!("by {field}")));
        self.count(spec.currency.clone());
        self.count(spec.view.clone());
        self.count_if(matches!(spec.accounts, Selection::Only(_)), "some accounts");
        self.count_if(spec.exclude_cash, "no cash");
        self.count_if(!spec.sort.is_empty(), "sorted");
        self.count_if(!spec.filter.is_empty(), "filtered");
        self.count_if(spec.expanded != Expanded::All, "folded");
    }

    fn rows(&mut self, table: &Table, before: &Rows, after: &Rows) {
        for (key, row) in before {
            match after.get(key) {
                None => self.count(format!("{} gone", table.name)),
                Some(now) => {
                    for column in (0..row.len()).filter(|&at| row[at] != now[at]) {
                        self.count(format!("{}.{}", table.name, table.columns[column].name));
                    }
                }
            }
        }
        for key in after.keys().filter(|key| !before.contains_key(*key)) {
            self.count(format!("{} come", table.name));
            if table.name == "base.sod_holding" {
                let quantity = after[key][table.column("quantity")].abs();
                self.count_if(quantity == 999_999_999_999, "a large quantity");
                self.count_if(quantity == 1, "a small quantity");
            }
        }
    }
}

/// The rows of a table by their keys.
type Rows = HashMap<Vec<Datum>, Vec<Datum>>;

fn rows_of(engine: &Engine, table: &Table) -> Rows {
    let mut rows = Rows::new();
    for (_, stored) in engine.snapshot().table(table.id).partitions() {
        for row in 0..stored.len() as u32 {
            let mut data = Vec::new();
            stored.read(row, &mut data);
            rows.insert(table.key.iter().map(|&column| data[column]).collect(), data);
        }
    }
    rows
}

fn follow(seed: u64, seen: &mut Seen) {
    let mut history = History::new(seed);
    let mut desk = Desk::new();
    let schema = desk.engine.schema().clone();
    let date = schema.table("base.business_date");
    let first = history.records(40);
    desk.tick(0, &first);
    for _ in 0..2 {
        seen.spec(&history.spec(&desk.engine));
    }
    let (mut day, mut rollovers) = (desk.engine.day(), 0);
    for tick in 1..=20 {
        let before: Vec<Rows> = schema.tables.iter().map(|table| rows_of(&desk.engine, table)).collect();
        let known = desk.engine.snapshot().clone();
        let records = history.records(8);
        desk.tick(tick, &records);
        for (table, before) in schema.tables.iter().zip(&before) {
            let after = rows_of(&desk.engine, table);
            let named = match table.name.as_str() {
                "base.instrument" => &known.instruments[..],
                "base.account" => &known.accounts[..],
                _ => &[],
            };
            let late = |key: &&Vec<Datum>| {
                !before.contains_key(*key) && named.iter().any(|&code| Datum::from(code) == key[0])
            };
            seen.count_if(after.keys().any(|key| late(&key)), &format!("{} declared late", table.name));
            seen.rows(table, before, &after);
        }
        if desk.engine.day() != day {
            day = desk.engine.day();
            rollovers += 1;
            seen.count("rollover");
        }
        let announced = rows_of(&desk.engine, date);
        let later =
            |row: &Vec<Datum>| day.is_none_or(|day| row[date.column("business_date")] > Datum::from(day));
        seen.count_if(announced.values().any(later), "incomplete rollover");
    }
    seen.count_if(rollovers > 1, "two rollovers in one history");
    (0..history.reborn).for_each(|_| seen.count("deleted and new in one tick"));
    (0..history.again).for_each(|_| seen.count("sent again later"));
}

#[test]
fn v3_random_histories_do_all_that_can_happen() {
    let mut seen = Seen::default();
    (0..120).for_each(|seed| follow(seed, &mut seen));
    let mut wanted: Vec<String> = EVENTS.map(str::to_owned).into();
    for (table, columns) in CHANGES {
        wanted.extend(["come", "gone"].map(|what| format!("{table} {what}")));
        wanted.extend(columns.split_whitespace().map(|column| format!("{table}.{column}")));
    }
    wanted.extend(GROUP_FIELDS.map(|field| format!("by {field}")));
    let rare: Vec<_> =
        wanted.iter().filter(|&what| seen.0.get(what).is_none_or(|&times| times < 3)).collect();
    assert!(rare.is_empty(), "{rare:?} happen never or hardly; of all there are {:?}", seen.0);
}
