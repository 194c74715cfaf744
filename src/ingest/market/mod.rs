//! The embedded market: a seeded simulation of a trading desk's records, for demonstrations and tests.
//!
//! It hands in typed rows, no JSON, and reads no clock: its whole history is a function of
//! [`MarketConfig`], and a cut takes what of it lies before the time it is told. Where cuts fall changes
//! which batch a record stands in, never the record. It refuses to be a model of prices: it is made to
//! look like a market and to produce every case the domain names, not to be fitted to one.
//!
//! First comes the load, then the day: ticks, order events, cash movements, rates, trouble with data,
//! and the rollover to the next day.
//!
//! Cost: about 0.5 µs a loaded order, 0.1 µs a holding; 112 bytes an open order, 24 bytes a position
//! where days end.

mod accounts;
mod batch;
mod calendar;
mod codes;
mod currencies;
mod desk;
mod draw;
mod holdings;
mod instruments;
mod keys;
mod live;
mod load;
mod movements;
mod names;
mod orders;
mod prices;
mod quality;
mod rollover;
mod world;

use std::sync::{Arc, PoisonError, RwLock};

use crate::clock::Timestamp;
use crate::dictionary::Dictionaries;
use crate::error::Result;
use crate::ingest::source::{Announced, Cut, Source};
use crate::schema::Schema;

use batch::Batch;
use live::Live;
use load::Load;
use quality::Quality;
use world::World;

/// How large and how lively the market is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MarketConfig {
    pub seed: u64,
    pub accounts: u32,
    /// Distinct instruments each account holds, at most all of them. Cash and what is held in two
    /// sleeves comes on top.
    pub holdings_per_account: u32,
    /// Orders of each account when the market opens.
    pub orders_per_account: u32,
    /// Of a hundred of those orders, how many are live; the others are done.
    pub live_orders_percent: u32,
    pub movements_per_account: u32,
    /// Without the cash instruments. At least 20, so that every asset class occurs.
    pub instruments: u32,
    pub prices_per_second: u32,
    pub orders_per_second: u32,
    pub movements_per_second: u32,
    pub fx_per_second: u32,
    /// The opening. Its day in UTC is the first business date, even on a weekend.
    pub start: Timestamp,
    /// Seconds from one rollover to the next; 0: the first day never ends.
    pub day_length_s: u32,
}

impl Default for MarketConfig {
    /// A million holdings and two million orders, opening at 2026-01-05T14:30:00Z.
    fn default() -> Self {
        MarketConfig {
            seed: 1,
            accounts: 1_000,
            holdings_per_account: 1_000,
            orders_per_account: 2_000,
            live_orders_percent: 8,
            movements_per_account: 4,
            instruments: 5_000,
            prices_per_second: 2_000,
            orders_per_second: 200,
            movements_per_second: 2,
            fx_per_second: 20,
            start: 1_767_623_400_000_000,
            day_length_s: 1_200,
        }
    }
}

impl MarketConfig {
    /// 25 million holdings and 50 million orders. The day does not end: a million holdings are a
    /// demonstration of a rollover, 25 million are a load.
    pub fn full() -> Self {
        MarketConfig {
            accounts: 5_000,
            holdings_per_account: 5_000,
            orders_per_account: 10_000,
            live_orders_percent: 3,
            instruments: 10_000,
            prices_per_second: 5_000,
            orders_per_second: 1_000,
            day_length_s: 0,
            ..MarketConfig::default()
        }
    }
}

/// A [`Source`] that makes its records up.
pub struct Market {
    schema: Schema,
    dictionaries: Arc<RwLock<Dictionaries>>,
    world: World,
    quality: Quality,
    load: Load,
    live: Live,
}

impl Market {
    /// Makes the instruments and accounts, and interns their names.
    ///
    /// # Panics
    /// Where the market and `sql/schema.sql` disagree about a column, or `config` has no accounts,
    /// no holdings, or fewer than 20 instruments.
    pub fn new(config: MarketConfig, schema: &Schema, dictionaries: Arc<RwLock<Dictionaries>>) -> Market {
        assert!(
            config.accounts > 0 && config.holdings_per_account > 0,
            "a market has accounts that hold something"
        );
        assert!(config.instruments >= 20, "every asset class has an instrument");
        let mut world = {
            let mut dictionaries = dictionaries.write().unwrap_or_else(PoisonError::into_inner);
            World::new(config, schema, &mut dictionaries)
        };
        let quality = Quality::new(&mut world);
        let load = Load::new(&world, &quality);
        let live = Live::new(&world);
        Market { schema: schema.clone(), dictionaries, world, quality, load, live }
    }
}

impl Source for Market {
    /// The load is dated before the opening, so it comes whatever `now` is; a cut that ends the load
    /// holds nothing else. A rollover's step writes all holdings of one account and may so exceed
    /// `records_max` by as many.
    fn cut(&mut self, now: Timestamp, records_max: usize) -> Result<Cut> {
        let mut batch = Batch::new(&self.schema);
        // A panic elsewhere leaves whole texts behind, so the dictionaries stay usable.
        let mut dictionaries = self.dictionaries.write().unwrap_or_else(PoisonError::into_inner);
        let keys = &mut dictionaries.keys;
        if !self.load.is_done() {
            self.load.run(&mut self.world, &self.quality, keys, &mut batch, records_max);
            return Ok(Cut {
                caught_up: self.load.is_done(),
                more: true,
                progress: self.load.progress(&self.schema),
                ..batch.into_cut()
            });
        }
        let more = self.live.run(&mut self.world, &mut self.quality, keys, &mut batch, now, records_max);
        Ok(Cut { caught_up: true, more, ..batch.into_cut() })
    }

    fn announced(&self) -> Option<Announced> {
        Some(self.load.announced())
    }
}
