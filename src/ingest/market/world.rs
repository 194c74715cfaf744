//! Everything the market is made of, and the draws that several of its parts share.

use crate::clock::{DAY_US, Timestamp};
use crate::datum::NULL;
use crate::dictionary::{Code, Dictionaries, Dictionary};
use crate::schema::{Schema, Table, TableId};

use super::MarketConfig;
use super::accounts::{Account, accounts};
use super::batch::{Batch, Topic};
use super::codes::{Class, Codes};
use super::currencies::{Currency, currencies};
use super::desk::{Desk, UNHELD};
use super::draw::{Draw, Purpose};
use super::instruments::{Instrument, Sectors, class_ranges, instruments};
use super::keys::Keys;
use super::movements::Movement;
use super::orders::Order;
use super::prices::{Quote, quotes};

/// The most one position or order is worth in dollars, which keeps yen within (18,6).
const POSITION_USD_MAX: f64 = 250e6;

pub(super) struct World {
    pub config: MarketConfig,
    pub codes: Codes,
    pub currencies: Vec<Currency>,
    pub sectors: Sectors,
    pub instruments: Vec<Instrument>,
    /// By instrument.
    pub quotes: Vec<Quote>,
    pub accounts: Vec<Account>,
    /// By account.
    pub desks: Vec<Desk>,
    pub business_date: i32,
    pub business_date_version: i64,
    order_keys: Keys,
    movement_keys: Keys,
    order_table: TableId,
    pub movement_table: Table,
}

impl World {
    pub(super) fn new(config: MarketConfig, schema: &Schema, dictionaries: &mut Dictionaries) -> World {
        let names = &mut dictionaries.names;
        let business_date = config.start.div_euclid(DAY_US);
        let currencies = currencies(names);
        let codes = Codes::new(names);
        let sectors = Sectors::new(names);
        let count = config.instruments as usize;
        let classes = class_ranges(count);
        let instruments = instruments(config.seed, count, business_date, names);
        let mut draw = Draw::new(config.seed, Purpose::Prices, 0);
        let quotes = quotes(&instruments, &currencies, config.start, &mut draw);
        let positions = (config.holdings_per_account as usize).min(instruments.len());
        let accounts = accounts(config.seed, config.accounts as usize, positions, &classes, names);
        let desks = accounts.iter().map(|_| Desk::new(business_date as i32)).collect();
        let order_table = schema.table(Topic::Order.table()).id;
        let orders = config.accounts as usize * config.orders_per_account as usize;
        Keys::reserve(&mut dictionaries.keys[order_table], orders);
        World {
            config,
            codes,
            currencies,
            sectors,
            instruments,
            quotes,
            accounts,
            desks,
            business_date: business_date as i32,
            business_date_version: 0,
            order_keys: Keys::new(b'O'),
            movement_keys: Keys::new(b'M'),
            order_table,
            movement_table: schema.table(Topic::Movement.table()).clone(),
        }
    }

    /// Whether a day will end, so that positions must be kept.
    pub(super) fn days_end(&self) -> bool {
        self.config.day_length_s > 0
    }

    /// What a usual position of an account in a class is worth, in dollars, times a drawn size.
    pub(super) fn position_usd(&self, account: usize, class: Class, draw: &mut Draw) -> f64 {
        // The mean of a drawn size is about 1.6, so the positions add up to about the account.
        let usual = self.accounts[account].nav_usd / self.accounts[account].layout.rows() as f64 / 1.6;
        let share = if class == Class::Option { 0.05 } else { 1.0 };
        (usual * share * draw.size()).min(POSITION_USD_MAX)
    }

    /// A new order of an account, seldom in an instrument it does not hold.
    pub(super) fn order(&mut self, account: usize, keys: &mut [Dictionary], draw: &mut Draw) -> Order {
        let id = self.order_keys.intern(&mut keys[self.order_table]);
        let owner = &self.accounts[account];
        let unheld = if draw.one_in(20) { owner.layout.unheld(draw) } else { None };
        let (row, place) = match unheld {
            Some(place) => (UNHELD, place),
            None => {
                let row = draw.index(owner.layout.rows());
                (row as u32, owner.layout.place(row))
            }
        };
        let instrument = place.instrument as usize;
        // Orders are smaller than positions, so that a day does not turn an account over.
        let usd = self.position_usd(account, self.instruments[instrument].class, draw) / 8.0;
        let quantity = self.instruments[instrument].quantity(usd, self.quotes[instrument].unit_usd);
        Order::new(
            id,
            row,
            place,
            quantity,
            &self.accounts[account],
            &self.instruments[instrument],
            &self.quotes[instrument],
            self.desks[account].business_date,
            draw,
        )
    }

    /// A new movement of an account, booked to its cash.
    pub(super) fn movement(&mut self, account: usize, keys: &mut [Dictionary], draw: &mut Draw) -> Movement {
        let id: Code = self.movement_keys.intern(&mut keys[self.movement_table.id]);
        let desk = &mut self.desks[account];
        let movement =
            Movement::new(id, account, &self.accounts[account], &self.currencies, desk.business_date, draw);
        desk.cash[usize::from(movement.sleeve)][usize::from(movement.currency)] += movement.amount;
        movement
    }

    /// Declares an instrument, or declares it anew as it is now.
    pub(super) fn declare_instrument(&mut self, at: usize, time: Timestamp, batch: &mut Batch) {
        let underlying =
            self.instruments[at].underlying.map_or(NULL, |underlying| self.instruments[underlying].id);
        let row = self.instruments[at].declare(&self.codes, &self.currencies, underlying, time);
        batch.upsert(Topic::Instrument, &row);
    }

    pub(super) fn declare_account(&mut self, at: usize, time: Timestamp, batch: &mut Batch) {
        batch.upsert(Topic::Account, &self.accounts[at].declare(&self.currencies, time));
    }

    /// Publishes the price an instrument has now.
    pub(super) fn publish_price(&mut self, at: usize, time: Timestamp, batch: &mut Batch) {
        let row = self.quotes[at].publish(&self.instruments[at], &self.codes, &self.currencies, time);
        batch.upsert(Topic::Price, &row);
    }
}
