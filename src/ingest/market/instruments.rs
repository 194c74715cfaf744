//! The universe: what every instrument is, in contiguous classes. Prices of the day stand in `prices`.

use std::collections::HashSet;
use std::ops::Range;

use crate::clock::Timestamp;
use crate::datum::{Datum, NULL, divide_half_even};
use crate::dictionary::Dictionary;

use super::codes::{Class, Codes};
use super::currencies::{Currency, place};
use super::draw::{Draw, Purpose};
use super::names::{
    COUNTRIES, DOMICILES, FIRST_WORDS, FUND_HOUSES, FUND_KINDS, FUTURES, GOVERNMENTS, MONTHS, SECOND_WORDS,
    SECTORS,
};

/// One unit of a price or factor: eight decimals.
pub(super) const PRICE_ONE: i64 = 100_000_000;
/// One unit of a quantity or amount: six decimals.
pub(super) const QUANTITY_ONE: i64 = 1_000_000;

pub(super) const CLASSES: [Class; 5] =
    [Class::Equity, Class::Bond, Class::Fund, Class::Option, Class::Future];

/// Of a hundred instruments, so many are in each of [`CLASSES`]; equities take what is left.
const SHARES: [u32; 5] = [0, 22, 6, 11, 4];

pub(super) struct Instrument {
    pub id: Datum,
    pub class: Class,
    /// A place in the list of currencies.
    pub currency: usize,
    /// Quoted in hundredths of its currency, as in London.
    pub pence: bool,
    pub multiplier: i64,
    pub underlying: Option<usize>,
    /// In 1e-8 of the underlying's move; 0 where there is no underlying.
    pub delta: i64,
    /// In 1e-8 a year for 100 of par.
    pub coupon: i64,
    /// The last close, clean for bonds, in 1e-8.
    pub close: i64,
    pub tick: i64,
    pub venue: Datum,
    symbol: Datum,
    name: Datum,
    sector: Datum,
    industry: Datum,
    issuer: Datum,
    country_of_risk: Datum,
    country_of_domicile: Datum,
    version: i64,
}

impl Instrument {
    /// What `quantity` costs at `price`, in 1e-6 of the currency: the cash leg of a trade.
    pub(super) fn consideration(&self, quantity: i64, price: i64) -> i64 {
        if self.class == Class::Future {
            return 0;
        }
        let product = i128::from(quantity) * i128::from(price) * i128::from(self.multiplier);
        let hundredths = if self.class == Class::Bond || self.pence { 100 } else { 1 };
        divide_half_even(product, i128::from(PRICE_ONE) * hundredths) as i64
    }

    /// About what one unit costs in dollars. For sizes only.
    pub(super) fn usd(&self, currencies: &[Currency]) -> f64 {
        let hundredths = if self.class == Class::Bond || self.pence { 100.0 } else { 1.0 };
        self.close as f64 / PRICE_ONE as f64 * self.multiplier as f64 / hundredths
            * currencies[self.currency].usd
    }

    /// The smallest step of a quantity about as large as `quantity`, in 1e-6.
    pub(super) fn lot(&self, units: f64) -> i64 {
        match self.class {
            Class::Equity if units >= 2_000.0 => 100 * QUANTITY_ONE,
            Class::Bond => 1_000 * QUANTITY_ONE,
            Class::Fund => QUANTITY_ONE / 1_000,
            _ => QUANTITY_ONE,
        }
    }

    /// A positive quantity of whole lots, worth about `usd` dollars where one unit is worth `unit_usd`.
    pub(super) fn quantity(&self, usd: f64, unit_usd: f64) -> i64 {
        let units = usd / unit_usd;
        let lot = self.lot(units);
        ((units * QUANTITY_ONE as f64) as i64 / lot).max(1) * lot
    }

    /// Declares the instrument: a row of `base.instrument`, one version up.
    pub(super) fn declare(
        &mut self,
        codes: &Codes,
        currencies: &[Currency],
        underlying: Datum,
        at: Timestamp,
    ) -> [Datum; 16] {
        self.version += 1;
        [
            self.id,
            self.symbol,
            self.name,
            codes.classes[self.class as usize],
            self.sector,
            self.industry,
            self.issuer,
            self.country_of_risk,
            self.country_of_domicile,
            currencies[self.currency].code,
            if self.pence { Datum::from(PRICE_ONE / 100) } else { NULL },
            if self.multiplier == 1 { NULL } else { Datum::from(self.multiplier * PRICE_ONE) },
            underlying,
            if self.underlying.is_some() { Datum::from(self.delta) } else { NULL },
            Datum::from(self.version),
            Datum::from(at),
        ]
    }

    pub(super) fn is_declared(&self) -> bool {
        self.version > 0
    }

    /// An option's delta moves a little, within its sign.
    pub(super) fn drift_delta(&mut self, draw: &mut Draw) {
        let percent = PRICE_ONE / 100;
        let moved = self.delta.abs() + draw.between(-2, 2) * percent;
        self.delta = self.delta.signum() * moved.clamp(3 * percent, 97 * percent);
    }

    /// The firm changes its business: another sector and industry.
    pub(super) fn reclassify(&mut self, sectors: &Sectors, draw: &mut Draw) {
        let (sector, industries) = draw.pick(&sectors.0);
        self.sector = sector;
        self.industry = draw.pick(&industries);
    }
}

/// The codes of each sector and of its industries.
pub(super) struct Sectors(Vec<(Datum, [Datum; 3])>);

impl Sectors {
    pub(super) fn new(dictionary: &mut Dictionary) -> Sectors {
        let mut code = |text: &str| Datum::from(dictionary.intern(text));
        Sectors(
            SECTORS.iter().map(|(sector, industries, _)| (code(sector), industries.map(&mut code))).collect(),
        )
    }
}

/// Where each of [`CLASSES`] stands among `count` instruments.
pub(super) fn class_ranges(count: usize) -> [Range<usize>; 5] {
    let mut counts = SHARES.map(|share| (count * share as usize / 100).max(1));
    counts[0] = count.saturating_sub(counts[1..].iter().sum()).max(1);
    let mut start = 0;
    counts.map(|count| {
        start += count;
        start - count..start
    })
}

/// Makes the universe, in the order of [`class_ranges`].
pub(super) fn instruments(
    seed: u64,
    count: usize,
    first_day: i64,
    dictionary: &mut Dictionary,
) -> Vec<Instrument> {
    let mut maker = Maker {
        draw: Draw::new(seed, Purpose::Instruments, 0),
        sectors: Sectors::new(dictionary),
        dictionary,
        year: year_of(first_day),
        firms: Vec::new(),
        firm_names: HashSet::new(),
    };
    let ranges = class_ranges(count);
    let mut instruments: Vec<Instrument> = Vec::with_capacity(count);
    for (class, range) in CLASSES.into_iter().zip(ranges) {
        // A generator a class: more equities do not change the bonds.
        maker.draw = Draw::new(seed, Purpose::Instruments, 1 + class as u64);
        for number in 0..range.len() {
            let made = match class {
                Class::Equity => maker.equity(number),
                Class::Bond => maker.bond(number),
                Class::Fund => maker.fund(number),
                Class::Option => maker.option(number, &instruments),
                Class::Future => maker.future(number),
            };
            instruments.push(made);
        }
    }
    instruments
}

struct Firm {
    name: String,
    /// Letters of the name that its symbols begin with.
    root: String,
    sector: usize,
    industry: usize,
    country: usize,
}

struct Maker<'a> {
    draw: Draw,
    sectors: Sectors,
    dictionary: &'a mut Dictionary,
    year: i64,
    firms: Vec<Firm>,
    firm_names: HashSet<String>,
}

impl Maker<'_> {
    fn code(&mut self, text: &str) -> Datum {
        Datum::from(self.dictionary.intern(text))
    }

    /// What an instrument is when nothing is said; `id` never has three letters alone, which would be cash.
    fn blank(
        &mut self,
        class: Class,
        id: &str,
        symbol: &str,
        name: &str,
        country: &str,
        currency: &str,
    ) -> Instrument {
        let country = self.code(country);
        Instrument {
            id: self.code(id),
            class,
            currency: place(currency),
            pence: false,
            multiplier: 1,
            underlying: None,
            delta: 0,
            coupon: 0,
            close: 0,
            tick: 0,
            venue: NULL,
            symbol: self.code(symbol),
            name: self.code(name),
            sector: NULL,
            industry: NULL,
            issuer: NULL,
            country_of_risk: country,
            country_of_domicile: country,
            version: 0,
        }
    }

    fn firm(&mut self) -> Firm {
        let country = {
            let weights: Vec<(u32, usize)> =
                COUNTRIES.iter().enumerate().map(|(at, country)| (country.4, at)).collect();
            self.draw.weighted(&weights)
        };
        loop {
            let sector = self.draw.index(SECTORS.len());
            let industry = self.draw.index(3);
            let (first, second) = (self.draw.pick(&FIRST_WORDS), self.draw.pick(&SECOND_WORDS));
            let kind = self.draw.pick(&SECTORS[sector].2);
            let name = format!("{first} {second} {kind}");
            if self.firm_names.insert(name.clone()) {
                let extra = (b'A' + self.draw.below(26) as u8) as char;
                let root = format!("{}{}{}{extra}", &first[..1], &second[..1], &kind[..1]);
                return Firm { name, root, sector, industry, country };
            }
        }
    }

    fn equity(&mut self, number: usize) -> Instrument {
        let firm = self.firm();
        let (country, currency, pence, venue, _) = COUNTRIES[firm.country];
        let mut made =
            self.blank(Class::Equity, &format!("E{number:05}"), &firm.root, &firm.name, country, currency);
        made.pence = pence;
        (made.sector, made.industry) =
            (self.sectors.0[firm.sector].0, self.sectors.0[firm.sector].1[firm.industry]);
        made.issuer = self.code(&firm.name);
        if self.draw.one_in(12) {
            let domicile = self.draw.pick(&DOMICILES);
            made.country_of_domicile = self.code(domicile);
        }
        made.venue = self.code(venue);
        let level = match currency {
            "JPY" => 2_400.0,
            "GBP" => 640.0,
            "HKD" | "SEK" => 85.0,
            _ => 62.0,
        };
        let price = (level * self.draw.size()).clamp(level / 20.0, level * 30.0);
        made.tick = equity_tick(price, currency, pence);
        made.close = on_tick((price * PRICE_ONE as f64) as i64, made.tick);
        self.firms.push(firm);
        made
    }

    fn bond(&mut self, number: usize) -> Instrument {
        let id = format!("B{number:05}");
        let matures = self.year + self.draw.between(1, 28);
        // Coupons in eighths of a point.
        let eighths = self.draw.between(4, 56);
        let coupon = coupon_text(eighths);
        let mut made = if self.draw.percent(25) {
            let (issuer, country, currency) = self.draw.pick(&GOVERNMENTS);
            let symbol = format!("{country} {coupon} {:02}", matures % 100);
            let mut made = self.blank(
                Class::Bond,
                &id,
                &symbol,
                &format!("{issuer} {coupon}% {matures}"),
                country,
                currency,
            );
            made.issuer = self.code(issuer);
            made
        } else {
            let at = self.draw.index(self.firms.len());
            let Firm { name, root, sector, industry, country } = &self.firms[at];
            let (symbol, full) =
                (format!("{root} {coupon} {:02}", matures % 100), format!("{name} {coupon}% {matures}"));
            let (issuer, sector, industry, country) = (name.clone(), *sector, *industry, COUNTRIES[*country]);
            let mut made = self.blank(Class::Bond, &id, &symbol, &full, country.0, country.1);
            (made.sector, made.industry) = (self.sectors.0[sector].0, self.sectors.0[sector].1[industry]);
            made.issuer = self.code(&issuer);
            made
        };
        made.coupon = eighths * PRICE_ONE / 8;
        made.tick = PRICE_ONE / 1_000;
        // Low coupons trade below par, high ones above.
        let price =
            84 * PRICE_ONE + eighths * PRICE_ONE * 6 / 10 + self.draw.between(-4_000, 4_000) * made.tick;
        made.close = on_tick(price, made.tick);
        made
    }

    fn fund(&mut self, number: usize) -> Instrument {
        let (house, kind) = (self.draw.pick(&FUND_HOUSES), self.draw.pick(&FUND_KINDS));
        let class_letter = (b'A' + (number % 26) as u8) as char;
        let currency = self.draw.pick(&["USD", "USD", "EUR", "GBP"]);
        let country = self.draw.pick(&["LU", "IE", "LU", "US"]);
        let name = format!("{house} {kind} {class_letter} {currency}");
        let symbol = format!("{}{}{number:03}", &house[..2].to_uppercase(), &kind[..1]);
        let mut made = self.blank(Class::Fund, &format!("F{number:05}"), &symbol, &name, country, currency);
        made.country_of_risk = NULL;
        made.issuer = self.code(house);
        made.tick = PRICE_ONE / 10_000;
        let price = 40.0 * self.draw.size();
        made.close = on_tick((price * PRICE_ONE as f64) as i64, made.tick);
        made
    }

    fn option(&mut self, number: usize, equities: &[Instrument]) -> Instrument {
        let at = self.draw.index(self.firms.len());
        let underlying = &equities[at];
        let put = self.draw.percent(45);
        // Strikes lie from 20% below to 20% above, on a grid of about a fortieth of the price.
        let grid = on_tick(underlying.close / 40, underlying.tick * 10);
        let strike = on_tick(underlying.close / 100 * self.draw.between(80, 120), grid);
        let month = self.draw.index(12);
        let year = self.year + 1;
        let (kind, letter) = if put { ("Put", "P") } else { ("Call", "C") };
        let strike_text = crate::datum::format_decimal(Datum::from(strike), 8);
        let firm = &self.firms[at];
        let name = format!("{} {} {} {strike_text} {kind}", firm.name, MONTHS[month].1, year);
        let symbol = format!("{} {letter}{strike_text} {}{}", firm.root, MONTHS[month].0, year % 10);
        let mut made = self.blank(Class::Option, &format!("X{number:05}"), &symbol, &name, "US", "USD");
        made.currency = underlying.currency;
        made.pence = underlying.pence;
        made.multiplier = 100;
        made.underlying = Some(at);
        (made.sector, made.industry, made.issuer) =
            (underlying.sector, underlying.industry, underlying.issuer);
        (made.country_of_risk, made.country_of_domicile) =
            (underlying.country_of_risk, underlying.country_of_domicile);
        made.venue = underlying.venue;
        // In hundredths of delta: 50 at the money, one more for every half a percent in the money.
        let moneyness = (underlying.close - strike) * 200 / underlying.close;
        let call_delta = (50 + moneyness).clamp(5, 95);
        made.delta = (if put { call_delta - 100 } else { call_delta }) * PRICE_ONE / 100;
        made.tick = (underlying.tick / 2).max(PRICE_ONE / 1_000);
        let inside = if put { strike - underlying.close } else { underlying.close - strike }.max(0);
        let time_value = underlying.close / 1_000 * self.draw.between(10, 60);
        made.close = on_tick(inside + time_value, made.tick);
        made
    }

    fn future(&mut self, number: usize) -> Instrument {
        let (product, root, country, currency, tick, price_ticks, multiplier) =
            FUTURES[number % FUTURES.len()];
        // Quarterly months, the nearest first.
        let quarter = number / FUTURES.len();
        let (month, year) = (2 + quarter % 4 * 3, self.year + 1 + quarter as i64 / 4);
        let name = format!("{product} {} {year}", MONTHS[month].1);
        let symbol = format!("{root}{}{}", MONTHS[month].0, year % 10);
        let mut made = self.blank(Class::Future, &format!("U{number:05}"), &symbol, &name, country, currency);
        made.country_of_domicile = NULL;
        made.multiplier = multiplier;
        made.tick = tick;
        // Later months cost a little more.
        made.close = (price_ticks + price_ticks * quarter as i64 / 200) * tick;
        made.venue = self.code("XFUT");
        made
    }
}

fn equity_tick(price: f64, currency: &str, pence: bool) -> i64 {
    let cents = match (currency, pence) {
        ("USD" | "CAD", _) => 1,
        ("JPY", _) if price < 3_000.0 => 50,
        ("JPY", _) => 100,
        (_, true) if price < 100.0 => 5,
        (_, true) if price < 500.0 => 10,
        (_, true) if price < 1_000.0 => 20,
        (_, true) => 50,
        _ if price < 100.0 => 1,
        _ => 5,
    };
    cents * PRICE_ONE / 100
}

/// The nearest multiple of `tick` below `price`, but at least one.
pub(super) fn on_tick(price: i64, tick: i64) -> i64 {
    (price / tick).max(1) * tick
}

fn coupon_text(eighths: i64) -> String {
    let fraction = ["", ".125", ".25", ".375", ".5", ".625", ".75", ".875"][(eighths % 8) as usize];
    format!("{}{fraction}", eighths / 8)
}

/// The year of a day since 1970, near enough for a maturity.
fn year_of(day: i64) -> i64 {
    1970 + day * 400 / 146_097
}
