//! The price of each instrument: a random walk in whole ticks, with what can be wrong about a price.
//!
//! Every instrument has a price inside the market, so that its orders can fill; whether and when the
//! record of it is published is another matter.

use crate::clock::{DAY_US, SECOND_US, Timestamp};
use crate::datum::{Datum, NULL};

use super::codes::{Class, Codes, PriceSource, PriceType};
use super::currencies::Currency;
use super::draw::Draw;
use super::instruments::{Instrument, PRICE_ONE, on_tick};

/// What is wrong with the price of an instrument when the market opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    /// Nothing.
    None,
    /// The first price comes minutes after the opening.
    Late,
    /// No price comes, ever.
    Missing,
    /// The price at the opening is older than its limit, and does not tick for a while.
    Stale,
    /// The price is fresh at the opening, but does not tick until it is stale.
    Halted,
}

pub(super) struct Quote {
    /// Clean for bonds, in 1e-8.
    pub price: i64,
    /// For 100 of par, in 1e-8; 0 but for bonds.
    pub accrued: i64,
    /// The close before the day, all-in for bonds: what holdings of the day are valued at.
    pub sod: i64,
    pub trouble: Trouble,
    /// Dollars for one unit at the close before the first day. For sizes only.
    pub unit_usd: f64,
    price_type: PriceType,
    anchor: i64,
    /// The underlying's price that this one has answered to.
    underlying_seen: i64,
    price_time: Timestamp,
    version: i64,
}

/// Makes the quotes of a universe just before the opening at `start`.
pub(super) fn quotes(
    instruments: &[Instrument],
    currencies: &[Currency],
    start: Timestamp,
    draw: &mut Draw,
) -> Vec<Quote> {
    let mut quotes: Vec<Quote> = Vec::with_capacity(instruments.len());
    for instrument in instruments {
        let price_type = match instrument.class {
            Class::Equity | Class::Future => PriceType::Last,
            Class::Option => PriceType::Mid,
            Class::Fund => PriceType::Close,
            Class::Bond => PriceType::Evaluated,
        };
        // Some day of the half year between two coupons.
        let accrued = instrument.coupon / 365 * draw.between(0, 181);
        // The night moved traded prices by up to half a percent.
        let moved = match instrument.class {
            Class::Fund => 0,
            _ => instrument.close / 10_000 * draw.between(-50, 50),
        };
        let price_time = match price_type {
            PriceType::Last | PriceType::Mid => start - draw.between(0, 240 * SECOND_US),
            PriceType::Close => start - 14 * 3_600 * SECOND_US,
            PriceType::Evaluated => start - draw.between(1, 16) * 3_600 * SECOND_US,
        };
        let price = on_tick(instrument.close + moved, instrument.tick);
        let underlying_seen = instrument.underlying.map_or(0, |at| quotes[at].price);
        quotes.push(Quote {
            price,
            accrued,
            sod: instrument.close + accrued,
            trouble: Trouble::None,
            unit_usd: instrument.usd(currencies),
            price_type,
            anchor: price,
            underlying_seen,
            price_time,
            version: 0,
        });
    }
    quotes
}

impl Quote {
    /// The price with accrued interest, as trades and holdings state it.
    pub(super) fn all_in(&self) -> i64 {
        self.price + self.accrued
    }

    /// Whether a record of the price exists.
    pub(super) fn is_published(&self) -> bool {
        !matches!(self.trouble, Trouble::Late | Trouble::Missing)
    }

    pub(super) fn is_traded(&self) -> bool {
        matches!(self.price_type, PriceType::Last | PriceType::Mid)
    }

    /// Puts the price behind its limit: 15 minutes for a traded one, 4 days for the others.
    pub(super) fn make_stale(&mut self, start: Timestamp, draw: &mut Draw) {
        self.trouble = Trouble::Stale;
        self.price_time = match self.price_type {
            PriceType::Last | PriceType::Mid => start - draw.between(20, 90) * 60 * SECOND_US,
            PriceType::Close | PriceType::Evaluated => start - draw.between(5, 9) * DAY_US,
        };
    }

    /// One move of a traded or evaluated price: up to four basis points, drawn back towards the opening.
    pub(super) fn step(&mut self, tick: i64, draw: &mut Draw) {
        let reach = self.price / 20_000 * draw.between(0, 8);
        // A reach below one tick is a chance of one tick, so that coarse ticks do not stand still.
        let ticks = reach / tick + i64::from(draw.below(tick as u64) < (reach % tick) as u64);
        let inward = if self.price > self.anchor { -1 } else { 1 };
        let distance_permille = (self.price - self.anchor).abs() / (self.anchor / 1_000).max(1);
        let chance = 500 + (distance_permille as u64 * 5).min(200);
        let direction = if draw.below(1_000) < chance { inward } else { -inward };
        self.price = (self.price + direction * ticks * tick).max(tick);
    }

    /// An option answers to its underlying with its delta.
    pub(super) fn follow(&mut self, instrument: &Instrument, underlying: i64) {
        let moved = i128::from(underlying - self.underlying_seen) * i128::from(instrument.delta)
            / i128::from(PRICE_ONE);
        // The rest of a tick stays to be answered to.
        let ticks = moved as i64 / instrument.tick;
        if ticks != 0 {
            self.underlying_seen = underlying;
            self.price = (self.price + ticks * instrument.tick).max(instrument.tick);
        }
    }

    /// A day's interest accrues; a coupon is paid where half a year's has.
    pub(super) fn accrue(&mut self, coupon: i64) {
        self.accrued += coupon / 365;
        if self.accrued > coupon / 2 {
            self.accrued = 0;
        }
    }

    /// Holdings of the next day will be valued at the price of now.
    pub(super) fn close(&mut self) {
        self.sod = self.all_in();
    }

    /// The record of the price as the market opens, with the time it already has.
    pub(super) fn opening(
        &mut self,
        instrument: &Instrument,
        codes: &Codes,
        currencies: &[Currency],
        at: Timestamp,
    ) -> [Datum; 9] {
        self.version += 1;
        let source = match self.price_type {
            PriceType::Last => PriceSource::Exchange,
            PriceType::Mid => PriceSource::Composite,
            PriceType::Close => PriceSource::Administrator,
            PriceType::Evaluated => PriceSource::Evaluator,
        };
        [
            instrument.id,
            Datum::from(self.price),
            currencies[instrument.currency].code,
            if instrument.class == Class::Bond { Datum::from(self.accrued) } else { NULL },
            codes.price_types[self.price_type as usize],
            Datum::from(self.price_time),
            codes.price_sources[source as usize],
            Datum::from(self.version),
            Datum::from(at),
        ]
    }

    /// The record of a price made at `at`.
    pub(super) fn publish(
        &mut self,
        instrument: &Instrument,
        codes: &Codes,
        currencies: &[Currency],
        at: Timestamp,
    ) -> [Datum; 9] {
        self.price_time = at;
        self.opening(instrument, codes, currencies, at)
    }
}
