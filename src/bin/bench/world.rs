//! The data of the cases: instruments, accounts, holdings, orders, prices and rates from a seed.
//!
//! Dense and of every kind the views tell apart: all asset classes, sides and statuses, open orders with a
//! limit and without, orders of the day before, prices of every type, bonds with accrued interest, shares
//! in pence. It hands out rows as a source would have decoded them, and computes nothing.

use std::sync::{Arc, RwLock};

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use serde_json::{Map, Value};
use tickview::clock::{DAY_US, SECOND_US, Timestamp};
use tickview::datum::{Datum, NULL, format_decimal};
use tickview::delta::Changes;
use tickview::dictionary::{Code, Dictionaries};
use tickview::ingest::source::Cut;
use tickview::schema::{Schema, Type};
use tickview::serve::protocol::time_text;

/// 2026-01-05, in days since 1970, and half past two in the afternoon of it.
const DAY: i64 = 20_458;
const START: Timestamp = DAY * DAY_US + 52_200 * SECOND_US;
/// A tick of the cases, so short that no price of the load becomes stale while one runs.
const STEP_US: i64 = 10_000;

const QUANTITY_ONE: i64 = 1_000_000;
const PRICE_ONE: i64 = 100_000_000;
const RATE_ONE: i64 = 1_000_000_000_000;
/// The smallest step of a price: a cent.
const PRICE_STEP: i64 = PRICE_ONE / 100;

const SECTORS: [&str; 11] = [
    "Communication Services",
    "Consumer Discretionary",
    "Consumer Staples",
    "Energy",
    "Financials",
    "Health Care",
    "Industrials",
    "Information Technology",
    "Materials",
    "Real Estate",
    "Utilities",
];
const COUNTRIES: [&str; 20] = [
    "AU", "BE", "BR", "CA", "CH", "DE", "DK", "ES", "FI", "FR", "GB", "HK", "IE", "IT", "JP", "KR", "NL",
    "NO", "SE", "US",
];
/// Each currency with what one unit is worth in dollars.
const CURRENCIES: [(&str, f64); 8] = [
    ("USD", 1.0),
    ("EUR", 1.0843),
    ("GBP", 1.2711),
    ("JPY", 0.006_621),
    ("CHF", 1.1307),
    ("CAD", 0.7342),
    ("AUD", 0.6571),
    ("HKD", 0.1284),
];
const USD: usize = 0;
const GBP: usize = 2;
const JPY: usize = 3;
const VENUES: [&str; 5] = ["XNYS", "XNAS", "XLON", "XETR", "XTKS"];
const TRADERS: [&str; 8] = ["ada", "ben", "cleo", "dov", "eve", "fay", "gus", "hal"];
const SLEEVES: [&str; 4] = ["", "CORE", "GROWTH", "INCOME"];
/// Each status with how many of a hundred orders have it.
const STATUSES: [(&str, u32); 14] = [
    ("FILLED", 54),
    ("CANCELLED", 12),
    ("EXPIRED", 3),
    ("REJECTED", 2),
    ("REPLACED", 2),
    ("DONE_FOR_DAY", 1),
    ("CALCULATED", 1),
    ("PARTIALLY_FILLED", 10),
    ("NEW", 8),
    ("PENDING_CANCEL", 2),
    ("PENDING_REPLACE", 2),
    ("PENDING_NEW", 1),
    ("SUSPENDED", 1),
    ("STOPPED", 1),
];
/// How many of [`STATUSES`], from the first, are those of orders that are over.
const STATUSES_DEAD: usize = 7;
/// Cash movements of an account.
const MOVEMENTS: usize = 5;
/// Open orders that are remembered, to be filled later.
const OPEN_MAX: usize = 20_000;

const INSTRUMENT: [&str; 16] = [
    "instrument_id",
    "symbol",
    "name",
    "asset_class",
    "sector",
    "industry",
    "issuer",
    "country_of_risk",
    "country_of_domicile",
    "currency",
    "price_scale",
    "contract_multiplier",
    "underlying_id",
    "delta",
    "version",
    "event_time",
];
const ACCOUNT: [&str; 8] = [
    "account_id",
    "account_name",
    "base_currency",
    "strategy",
    "region",
    "benchmark_id",
    "version",
    "event_time",
];
const HOLDING: [&str; 10] = [
    "business_date",
    "account_id",
    "instrument_id",
    "portfolio_id",
    "quantity",
    "sod_price",
    "average_cost",
    "as_of",
    "version",
    "event_time",
];
const ORDER: [&str; 18] = [
    "order_id",
    "business_date",
    "account_id",
    "instrument_id",
    "portfolio_id",
    "side",
    "order_qty",
    "cum_qty",
    "day_cum_qty",
    "day_avg_px",
    "status",
    "order_type",
    "limit_price",
    "time_in_force",
    "trader",
    "venue",
    "version",
    "event_time",
];
const ACCOUNT_ID: usize = 2;
const ORDER_QTY: usize = 6;
const CUM_QTY: usize = 7;
const DAY_CUM_QTY: usize = 8;
const DAY_AVG_PX: usize = 9;
const STATUS: usize = 10;
const ORDER_VERSION: usize = 16;
const ORDER_TIME: usize = 17;
const MOVEMENT: [&str; 10] = [
    "movement_id",
    "business_date",
    "account_id",
    "portfolio_id",
    "currency",
    "amount",
    "movement_type",
    "external_flow",
    "version",
    "event_time",
];
const BUSINESS_DATE: [&str; 5] = ["id", "business_date", "holdings", "version", "event_time"];
const FX: [&str; 7] =
    ["from_currency", "to_currency", "rate_type", "rate", "rate_time", "version", "event_time"];
const PRICE: [&str; 9] = [
    "instrument_id",
    "price",
    "currency",
    "accrued",
    "price_type",
    "price_time",
    "source",
    "version",
    "event_time",
];

/// How much of everything there is; holdings and orders are those of one account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    pub instruments: usize,
    pub accounts: usize,
    pub holdings: usize,
    pub orders: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Equity,
    Fund,
    Bond,
    Future,
    Option,
}

struct Instrument {
    id: Datum,
    class: Class,
    currency: usize,
    /// In 1e-8; of a bond for 100 of par.
    price: i64,
    version: i64,
}

type OrderRow = [Datum; ORDER.len()];

/// The generator, with what it has to remember to change what it made.
pub struct World {
    size: Size,
    schema: Arc<Schema>,
    dictionaries: Arc<RwLock<Dictionaries>>,
    random: Pcg64,
    instruments: Vec<Instrument>,
    currencies: Vec<Datum>,
    /// By account: the instrument that its holdings begin with.
    firsts: Vec<usize>,
    /// Orders with something left to fill.
    open: Vec<OrderRow>,
    /// Orders that came as events.
    events: usize,
    /// The order in which single prices change: every instrument once, then again.
    turns: Vec<usize>,
    turn: usize,
    now: Timestamp,
}

impl World {
    pub fn new(
        seed: u64,
        size: Size,
        schema: &Arc<Schema>,
        dictionaries: &Arc<RwLock<Dictionaries>>,
    ) -> World {
        let tables: [(&str, &[&str]); 8] = [
            ("base.instrument", &INSTRUMENT),
            ("base.account", &ACCOUNT),
            ("base.sod_holding", &HOLDING),
            ("base.order_events", &ORDER),
            ("base.cash_movement", &MOVEMENT),
            ("base.business_date", &BUSINESS_DATE),
            ("base.fx_rate", &FX),
            ("base.price", &PRICE),
        ];
        for (table, columns) in tables {
            let declared = schema.table(table).columns.iter().map(|column| column.name.as_str());
            assert!(
                declared.eq(columns.iter().copied()),
                "rows of {table} are written as sql/schema.sql has them"
            );
        }
        let mut world = World {
            size,
            schema: Arc::clone(schema),
            dictionaries: Arc::clone(dictionaries),
            random: Pcg64::seed_from_u64(seed),
            instruments: Vec::with_capacity(size.instruments),
            currencies: Vec::new(),
            firsts: Vec::new(),
            open: Vec::new(),
            events: 0,
            turns: (0..size.instruments).collect(),
            turn: 0,
            now: START,
        };
        world.currencies = CURRENCIES.iter().map(|(name, _)| world.name(name)).collect();
        for at in (1..world.turns.len()).rev() {
            let other = world.random.random_range(0..=at);
            world.turns.swap(at, other);
        }
        world
    }

    pub fn now(&self) -> Timestamp {
        self.now
    }

    pub fn instruments(&self) -> usize {
        self.size.instruments
    }

    /// Moves time on by one tick.
    pub fn step(&mut self) -> Timestamp {
        self.now += STEP_US;
        self.now
    }

    pub fn account(number: usize) -> String {
        format!("A{number:05}")
    }

    /// Everything that belongs to no account.
    pub fn market(&mut self) -> Cut {
        let changes = vec![self.declare_instruments(), self.rates(), self.first_prices()];
        Cut { changes, ..Cut::default() }
    }

    /// One account with its holdings, orders and movements.
    pub fn account_rows(&mut self, number: usize) -> Cut {
        let id = self.name(&World::account(number));
        let changes = vec![
            self.declare_account(number, id),
            self.holdings(id),
            self.orders(number, id),
            self.movements(number, id),
        ];
        Cut { changes, ..Cut::default() }
    }

    /// Says that the holdings of the day are all there, after they came.
    pub fn day(&self) -> Cut {
        let mut changes = Changes::new(self.schema.table("base.business_date"));
        let holdings = self.size.accounts * self.size.holdings;
        changes.upsert(&[self.name("current"), DAY.into(), holdings as Datum, 1, self.now.into()]);
        Cut { changes: vec![changes], ..Cut::default() }
    }

    /// A new price, another than before, for every instrument.
    pub fn all_prices(&mut self) -> Cut {
        let mut changes = Changes::new(self.schema.table("base.price"));
        for at in 0..self.instruments.len() {
            let row = self.moved_price(at);
            changes.upsert(&row);
        }
        Cut { changes: vec![changes], ..Cut::default() }
    }

    /// A new price for one instrument, each time for the next.
    pub fn one_price(&mut self) -> Cut {
        Cut { changes: vec![self.some_prices(1)], ..Cut::default() }
    }

    /// New prices for the next instruments, each in its turn.
    pub fn some_prices(&mut self, count: usize) -> Changes {
        let mut changes = Changes::new(self.schema.table("base.price"));
        for _ in 0..count {
            let at = self.turns[self.turn % self.turns.len()];
            self.turn += 1;
            let row = self.moved_price(at);
            changes.upsert(&row);
        }
        changes
    }

    /// Order events as rows: every other one a new order, the rest fills.
    pub fn order_rows(&mut self, count: usize) -> Changes {
        let mut changes = Changes::new(self.schema.table("base.order_events"));
        for at in 0..count {
            let row = self.event(at);
            changes.upsert(&row);
        }
        changes
    }

    /// A fill of one unit on an open order, with the account it is of.
    pub fn one_fill(&mut self) -> (Cut, String) {
        let row = self.fill();
        let mut changes = Changes::new(self.schema.table("base.order_events"));
        changes.upsert(&row);
        let account = self.text(row[ACCOUNT_ID]);
        (Cut { changes: vec![changes], ..Cut::default() }, account)
    }

    /// Order events as JSON, key and value: every other one a new order, the rest fills.
    pub fn order_events(&mut self, count: usize) -> Vec<(String, String)> {
        let mut events = Vec::with_capacity(count);
        for at in 0..count {
            let row = self.event(at);
            events.push(self.json(&row));
        }
        events
    }

    fn event(&mut self, at: usize) -> OrderRow {
        if at % 2 == 1 && !self.open.is_empty() {
            return self.fill();
        }
        let of = self.random.random_range(0..self.size.accounts);
        let account = self.name(&World::account(of));
        self.events += 1;
        self.order(self.size.accounts * self.size.orders + self.events, of, account)
    }

    fn fill(&mut self) -> OrderRow {
        let at = self.random.random_range(0..self.open.len());
        let partly = self.name("PARTIALLY_FILLED");
        let now = Datum::from(self.now);
        let order = &mut self.open[at];
        order[CUM_QTY] += Datum::from(QUANTITY_ONE);
        order[DAY_CUM_QTY] += Datum::from(QUANTITY_ONE);
        order[STATUS] = partly;
        order[ORDER_VERSION] += 1;
        order[ORDER_TIME] = now;
        let row = *order;
        if row[ORDER_QTY] - row[CUM_QTY] <= Datum::from(QUANTITY_ONE) {
            self.open.swap_remove(at);
        }
        row
    }

    /// An order's row as its topic has it.
    fn json(&self, row: &OrderRow) -> (String, String) {
        let table = self.schema.table("base.order_events");
        let dictionaries = self.dictionaries.read().expect("no writer panicked");
        let mut value = Map::new();
        for (column, &datum) in table.columns.iter().zip(row) {
            let text = match column.data_type {
                _ if datum == NULL => Value::Null,
                Type::Text => dictionaries.names.text(datum as Code).into(),
                Type::Id => dictionaries.keys(table.id).text(datum as Code).into(),
                Type::Decimal { scale, .. } => format_decimal(datum, scale).into(),
                Type::Timestamp => time_text(datum as Timestamp).into(),
                Type::Date => time_text(datum as Timestamp * DAY_US)[..10].into(),
                Type::Integer => (datum as i64).into(),
                Type::Boolean => (datum == 1).into(),
            };
            value.insert(column.field.clone(), text);
        }
        (value["orderId"].to_string(), Value::Object(value).to_string())
    }

    fn text(&self, name: Datum) -> String {
        self.dictionaries.read().expect("no writer panicked").names.text(name as Code).to_owned()
    }

    fn declare_instruments(&mut self) -> Changes {
        let mut changes = Changes::new(self.schema.table("base.instrument"));
        for at in 0..self.size.instruments {
            let class = match at % 100 {
                0..62 => Class::Equity,
                62..70 => Class::Fund,
                70..86 => Class::Bond,
                86..92 => Class::Future,
                _ => Class::Option,
            };
            let id = self.name(&format!("I{at:05}"));
            // The options of a hundred are on its equities.
            let underlying =
                (class == Class::Option).then(|| at - at % 100 + self.random.random_range(0..62));
            let currency = match underlying {
                Some(underlying) => self.instruments[underlying].currency,
                None => self.one_in(&[40, 60, 75, 83, 88, 93, 97]),
            };
            let pence = class == Class::Equity && currency == GBP;
            let price = match class {
                Class::Bond => self.random.random_range(8_500..11_500) * PRICE_STEP,
                _ if pence || currency == JPY => self.random.random_range(20_000..900_000) * PRICE_STEP,
                _ => self.random.random_range(500..60_000) * PRICE_STEP,
            };
            let sector = self.random.random_range(0..SECTORS.len());
            let industry = self.random.random_range(1..=6);
            let country = self.random.random_range(0..COUNTRIES.len());
            let issuer = self.random.random_range(0..1 + self.size.instruments / 5);
            let multiplier = match class {
                Class::Future => 50 * PRICE_ONE,
                Class::Option => 100 * PRICE_ONE,
                _ => PRICE_ONE,
            };
            let delta = underlying.map(|_| {
                let size = self.random.random_range(5..95) * PRICE_ONE / 100;
                if self.random.random_bool(0.5) { size } else { -size }
            });
            let row = [
                id,
                self.name(&format!("S{at:05}")),
                self.name(&format!("Instrument {at:05}")),
                self.name(["EQUITY", "FUND", "BOND", "FUTURE", "OPTION"][class as usize]),
                self.name(SECTORS[sector]),
                self.name(&format!("{} {industry}", SECTORS[sector])),
                self.name(&format!("Issuer {issuer:04}")),
                self.name(COUNTRIES[country]),
                self.name(COUNTRIES[(country + issuer % 3) % COUNTRIES.len()]),
                self.currencies[currency],
                if pence { (PRICE_ONE / 100).into() } else { PRICE_ONE.into() },
                multiplier.into(),
                underlying.map_or(NULL, |underlying| self.instruments[underlying].id),
                delta.map_or(NULL, Datum::from),
                1,
                self.now.into(),
            ];
            changes.upsert(&row);
            self.instruments.push(Instrument { id, class, currency, price, version: 0 });
        }
        changes
    }

    fn rates(&mut self) -> Changes {
        let mut changes = Changes::new(self.schema.table("base.fx_rate"));
        for (currency, (_, dollars)) in CURRENCIES.iter().enumerate().skip(1) {
            // The yen is quoted the other way round.
            let (from, to, rate) =
                if currency == JPY { (USD, currency, 1.0 / dollars) } else { (currency, USD, *dollars) };
            for (rate_type, drift) in [("LIVE", 1.0), ("SOD", 0.9973)] {
                let rate = (rate * drift * 1e6) as i64 * (RATE_ONE / 1_000_000);
                let row = [
                    self.currencies[from],
                    self.currencies[to],
                    self.name(rate_type),
                    rate.into(),
                    self.now.into(),
                    1,
                    self.now.into(),
                ];
                changes.upsert(&row);
            }
        }
        changes
    }

    fn first_prices(&mut self) -> Changes {
        let mut changes = Changes::new(self.schema.table("base.price"));
        for at in 0..self.instruments.len() {
            let row = self.price_row(at);
            changes.upsert(&row);
        }
        changes
    }

    fn moved_price(&mut self, at: usize) -> [Datum; PRICE.len()] {
        let step = self.random.random_range(1..=50) * PRICE_STEP;
        let price = &mut self.instruments[at].price;
        // It never falls to where it could not move any more.
        *price += if *price > 200 * PRICE_STEP && step / PRICE_STEP % 2 == 0 { -step } else { step };
        self.price_row(at)
    }

    fn price_row(&mut self, at: usize) -> [Datum; PRICE.len()] {
        let price_type = match self.instruments[at].class {
            Class::Bond => "EVALUATED",
            Class::Fund => "CLOSE",
            _ if at % 5 == 0 => "MID",
            _ => "LAST",
        };
        let (price_type, source) = (self.name(price_type), self.name("VENDOR"));
        let instrument = &mut self.instruments[at];
        instrument.version += 1;
        let accrued = match instrument.class {
            Class::Bond => Datum::from(PRICE_STEP * (at as i64 % 300)),
            _ => NULL,
        };
        [
            instrument.id,
            instrument.price.into(),
            self.currencies[instrument.currency],
            accrued,
            price_type,
            self.now.into(),
            source,
            instrument.version.into(),
            self.now.into(),
        ]
    }

    fn declare_account(&mut self, number: usize, id: Datum) -> Changes {
        let mut changes = Changes::new(self.schema.table("base.account"));
        let row = [
            id,
            self.name(&format!("Account {number:05}")),
            self.currencies[number % 3],
            self.name(["Growth", "Income", "Macro", "Value"][number % 4]),
            self.name(["Americas", "Asia", "Europe"][number % 3]),
            self.name(&format!("BM{}", number % 7)),
            1,
            self.now.into(),
        ];
        changes.upsert(&row);
        changes
    }

    /// Cash in every currency, then one instrument after the other from a place of the account's own.
    fn holdings(&mut self, account: Datum) -> Changes {
        let mut changes = Changes::new(self.schema.table("base.sod_holding"));
        let sleeves = SLEEVES.map(|name| self.name(name));
        let first = self.random.random_range(0..self.instruments.len());
        self.firsts.push(first);
        for at in 0..self.size.holdings {
            let cash = self.currencies.get(at).copied();
            let (id, quantity, price) = match cash {
                Some(currency) => (currency, self.random.random_range(1_000..5_000_000) * QUANTITY_ONE, None),
                None => {
                    let place = first + at - self.currencies.len();
                    let (place, lap) = (place % self.instruments.len(), place / self.instruments.len());
                    let quantity = self.quantity(place) * if self.random.random_bool(0.12) { -1 } else { 1 };
                    // More holdings than instruments are those of another sleeve.
                    let sleeve = sleeves[(place + lap) % sleeves.len()];
                    let instrument = &self.instruments[place];
                    let price = self.near(instrument.price, at as i64);
                    let known = self.random.random_bool(0.99);
                    let row = self.holding(account, instrument.id, sleeve, quantity, known.then_some(price));
                    changes.upsert(&row);
                    continue;
                }
            };
            let row = self.holding(account, id, sleeves[0], quantity, price);
            changes.upsert(&row);
        }
        changes
    }

    fn holding(
        &self,
        account: Datum,
        instrument: Datum,
        sleeve: Datum,
        quantity: i64,
        price: Option<i64>,
    ) -> [Datum; HOLDING.len()] {
        [
            DAY.into(),
            account,
            instrument,
            sleeve,
            quantity.into(),
            price.map_or(NULL, Datum::from),
            price.map_or(NULL, |price| Datum::from(price - price / 16)),
            self.now.into(),
            1,
            self.now.into(),
        ]
    }

    fn orders(&mut self, number: usize, account: Datum) -> Changes {
        let mut changes = Changes::new(self.schema.table("base.order_events"));
        for at in 0..self.size.orders {
            let row = self.order(number * self.size.orders + at, number, account);
            changes.upsert(&row);
        }
        changes
    }

    /// A new order; one that is open is remembered.
    fn order(&mut self, number: usize, of: usize, account: Datum) -> OrderRow {
        let id = {
            let table = self.schema.table("base.order_events").id;
            let mut dictionaries = self.dictionaries.write().expect("no reader panicked");
            Datum::from(dictionaries.keys[table].intern(&format!("O{number:09}")))
        };
        let place = self.random.random_range(0..self.instruments.len());
        let status = self.status();
        let live = status >= STATUSES_DEAD;
        let quantity = self.quantity(place);
        let part = quantity / QUANTITY_ONE * self.random.random_range(1..9) / 10 * QUANTITY_ONE;
        let filled = match STATUSES[status].0 {
            "FILLED" | "CALCULATED" => quantity,
            "NEW" | "PENDING_NEW" | "REJECTED" => 0,
            _ => part,
        };
        // Some orders are from a day before: their fills are in the holdings already.
        let old = live && self.random.random_bool(0.05);
        let price = self.near(self.instruments[place].price, number as i64);
        let side = match self.instruments[place].class {
            Class::Fund => ["SUBSCRIBE", "REDEEM"][number % 2],
            _ => ["BUY", "SELL", "SELL_SHORT", "BUY_COVER"][self.one_in(&[40, 76, 88])],
        };
        let limited = self.random.random_bool(0.6);
        // An order is for the sleeve that holds the instrument; now and then another one takes it up.
        let lap = usize::from(place < self.firsts[of]);
        let elsewhere = usize::from(self.random.random_bool(0.02));
        let sleeve = SLEEVES[(place + lap + elsewhere) % SLEEVES.len()];
        let venue = VENUES[self.random.random_range(0..VENUES.len())];
        let row: OrderRow = [
            id,
            if old { (DAY - 3).into() } else { DAY.into() },
            account,
            self.instruments[place].id,
            self.name(sleeve),
            self.name(side),
            quantity.into(),
            filled.into(),
            filled.into(),
            if filled == 0 { NULL } else { price.into() },
            self.name(STATUSES[status].0),
            self.name(if limited { "LIMIT" } else { "MARKET" }),
            if limited { price.into() } else { NULL },
            self.name(if old { "GTC" } else { "DAY" }),
            self.name(TRADERS[number % TRADERS.len()]),
            self.name(venue),
            1,
            self.now.into(),
        ];
        if live && !old && quantity - filled > QUANTITY_ONE && self.open.len() < OPEN_MAX {
            self.open.push(row);
            let remembered = self.open.last_mut().expect("one was pushed");
            remembered[DAY_AVG_PX] = price.into();
        }
        row
    }

    fn movements(&mut self, number: usize, account: Datum) -> Changes {
        let table = self.schema.table("base.cash_movement").id;
        let mut changes = Changes::new(self.schema.table("base.cash_movement"));
        for at in 0..MOVEMENTS {
            let id = {
                let mut dictionaries = self.dictionaries.write().expect("no reader panicked");
                Datum::from(dictionaries.keys[table].intern(&format!("M{:08}", number * MOVEMENTS + at)))
            };
            let kind = ["DIVIDEND", "TRADE_SETTLEMENT", "SUBSCRIPTION", "FEE", "INTEREST"][at];
            let amount = self.random.random_range(-90_000..100_000) * QUANTITY_ONE;
            let row = [
                id,
                DAY.into(),
                account,
                self.name(SLEEVES[at % SLEEVES.len()]),
                self.currencies[at % self.currencies.len()],
                amount.into(),
                self.name(kind),
                (kind == "SUBSCRIPTION").into(),
                1,
                self.now.into(),
            ];
            changes.upsert(&row);
        }
        changes
    }

    /// A size as orders and holdings of the instrument have it: whole lots, bonds in thousands of par.
    fn quantity(&mut self, place: usize) -> i64 {
        let lots = self.random.random_range(1..=100);
        let lot = match self.instruments[place].class {
            Class::Equity | Class::Fund => 100,
            Class::Bond => 1_000,
            Class::Future | Class::Option => 2,
        };
        lots * lot * QUANTITY_ONE
    }

    /// A price within some percent of another, no two alike for long.
    fn near(&self, price: i64, salt: i64) -> i64 {
        price + price / 1_000 * (salt % 61 - 30)
    }

    fn status(&mut self) -> usize {
        let mut left = self.random.random_range(0..100);
        for (at, &(_, share)) in STATUSES.iter().enumerate() {
            if left < share {
                return at;
            }
            left -= share;
        }
        unreachable!("the shares of all statuses are a hundred")
    }

    /// A number from 0 on, by upper bounds of a hundred; the last takes what is left.
    fn one_in(&mut self, bounds: &[u32]) -> usize {
        let drawn = self.random.random_range(0..100);
        bounds.iter().position(|&bound| drawn < bound).unwrap_or(bounds.len())
    }

    fn name(&self, text: &str) -> Datum {
        Datum::from(self.dictionaries.write().expect("no reader panicked").names.intern(text))
    }
}
