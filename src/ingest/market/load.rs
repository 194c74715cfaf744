//! What the market starts with: one record after the other, until the day stands as it opens.

use crate::clock::SECOND_US;
use crate::dictionary::Dictionary;
use crate::ingest::source::{Announced, Progress, Unit};
use crate::schema::Schema;

use super::batch::{Batch, TOPICS, Topic};
use super::calendar::weekday_before;
use super::codes::{Class, RateType};
use super::currencies::USD;
use super::desk::Position;
use super::draw::{Draw, Purpose};
use super::holdings::Holding;
use super::instruments::QUANTITY_ONE;
use super::quality::Quality;
use super::world::World;

/// Topics in the order in which they are loaded: what rows refer to comes first.
const SEQUENCE: [Topic; 8] = [
    Topic::Instrument,
    Topic::Account,
    Topic::Fx,
    Topic::Price,
    Topic::Holding,
    Topic::BusinessDate,
    Topic::Order,
    Topic::Movement,
];

const HOUR_US: i64 = 3_600 * SECOND_US;

pub(super) struct Load {
    stage: usize,
    /// The next item of the stage: an instrument, or an account.
    item: usize,
    /// The next row of the item.
    row: usize,
    /// The generator of the item.
    draw: Draw,
    /// Records by topic.
    done: [u64; 8],
    total: [u64; 8],
}

impl Load {
    pub(super) fn new(world: &World, quality: &Quality) -> Load {
        let config = &world.config;
        let count = |n: usize| n as u64;
        let mut total = [0; 8];
        total[Topic::Instrument as usize] = count(
            world.currencies.iter().filter(|currency| currency.name.is_some()).count()
                + (0..world.instruments.len()).filter(|&at| quality.is_declared(at)).count(),
        );
        total[Topic::Account as usize] =
            count((0..world.accounts.len()).filter(|&at| quality.is_account_declared(at)).count());
        total[Topic::Fx as usize] = count(
            world.currencies.len() - 1
                + world.currencies[1..].iter().filter(|currency| currency.has_sod()).count(),
        );
        total[Topic::Price as usize] =
            count(world.quotes.iter().filter(|quote| quote.is_published()).count());
        total[Topic::Holding as usize] =
            world.accounts.iter().map(|account| count(account.layout.rows() + account.cash_rows())).sum();
        total[Topic::BusinessDate as usize] = 1;
        total[Topic::Order as usize] = u64::from(config.accounts) * u64::from(config.orders_per_account);
        total[Topic::Movement as usize] =
            u64::from(config.accounts) * u64::from(config.movements_per_account);
        Load { stage: 0, item: 0, row: 0, draw: Draw::new(config.seed, Purpose::Fx, 0), done: [0; 8], total }
    }

    pub(super) fn is_done(&self) -> bool {
        self.stage == SEQUENCE.len()
    }

    /// How far each topic has come, in the order in which they load.
    pub(super) fn progress(&self, schema: &Schema) -> Vec<Progress> {
        debug_assert_eq!(TOPICS.len(), SEQUENCE.len());
        SEQUENCE
            .iter()
            .map(|&topic| Progress {
                topic: schema.table(topic.table()).topic.clone(),
                done: self.done[topic as usize],
                total: self.total[topic as usize],
                unit: Unit::Rows,
            })
            .collect()
    }

    pub(super) fn announced(&self) -> Announced {
        let mut announced = Announced::default();
        for topic in SEQUENCE {
            announced.add(topic.table(), self.total[topic as usize]);
        }
        announced
    }

    /// Writes records until the batch has `records_max` of them or the load is done.
    pub(super) fn run(
        &mut self,
        world: &mut World,
        quality: &Quality,
        keys: &mut [Dictionary],
        batch: &mut Batch,
        records_max: usize,
    ) {
        let mut reserved = None;
        while !self.is_done() && batch.records() < records_max {
            let topic = SEQUENCE[self.stage];
            let before = batch.records();
            if reserved != Some(topic) {
                let left = (self.total[topic as usize] - self.done[topic as usize]) as usize;
                batch.reserve(topic, left.min(records_max - before));
                reserved = Some(topic);
            }
            let more = match topic {
                Topic::Instrument => self.instrument(world, quality, batch),
                Topic::Account => self.account(world, quality, batch),
                Topic::Fx => self.fx(world, batch),
                Topic::Price => self.price(world, batch),
                Topic::Holding => self.holding(world, batch),
                Topic::BusinessDate => self.business_date(world, batch),
                Topic::Order => self.order(world, keys, batch),
                Topic::Movement => self.movement(world, keys, batch),
            };
            self.done[topic as usize] += (batch.records() - before) as u64;
            if !more {
                assert_eq!(
                    self.done[topic as usize], self.total[topic as usize],
                    "{topic:?} loads what it announced"
                );
                (self.stage, self.item, self.row) = (self.stage + 1, 0, 0);
            }
        }
    }

    /// The next row and the item it belongs to, whose generator begins with its first row; `None` after the last.
    fn next_row(
        &mut self,
        items: usize,
        rows: impl Fn(usize) -> usize,
        seed: u64,
        purpose: Purpose,
    ) -> Option<(usize, usize)> {
        while self.item < items && self.row == rows(self.item) {
            (self.item, self.row) = (self.item + 1, 0);
        }
        if self.item == items {
            return None;
        }
        if self.row == 0 {
            self.draw = Draw::new(seed, purpose, self.item as u64);
        }
        self.row += 1;
        Some((self.item, self.row - 1))
    }

    fn instrument(&mut self, world: &mut World, quality: &Quality, batch: &mut Batch) -> bool {
        let at = world.config.start - 2 * HOUR_US;
        let item = self.item;
        self.item += 1;
        if let Some(currency) = world.currencies.get(item) {
            if let Some(row) = currency.instrument_row(&world.codes, at) {
                batch.upsert(Topic::Instrument, &row);
            }
            return true;
        }
        let instrument = item - world.currencies.len();
        if instrument == world.instruments.len() {
            return false;
        }
        if quality.is_declared(instrument) {
            world.declare_instrument(instrument, at, batch);
        }
        true
    }

    fn account(&mut self, world: &mut World, quality: &Quality, batch: &mut Batch) -> bool {
        let account = self.item;
        if account == world.accounts.len() {
            return false;
        }
        self.item += 1;
        if quality.is_account_declared(account) {
            world.declare_account(account, world.config.start - 2 * HOUR_US, batch);
        }
        true
    }

    fn fx(&mut self, world: &mut World, batch: &mut Batch) -> bool {
        let others = world.currencies.len() - 1;
        let sod = self.item < others;
        if self.item == 2 * others {
            return false;
        }
        let usd = world.currencies[USD].code;
        let currency = &mut world.currencies[1 + self.item % others];
        self.item += 1;
        let (rate_type, at) = if sod {
            (RateType::Sod, world.config.start - 2 * HOUR_US)
        } else {
            // The night has moved the rate since.
            (0..12).for_each(|_| currency.step(&mut self.draw));
            (RateType::Live, world.config.start)
        };
        if !sod || currency.has_sod() {
            batch.upsert(Topic::Fx, &currency.row(rate_type, &world.codes, usd, at));
        }
        true
    }

    fn price(&mut self, world: &mut World, batch: &mut Batch) -> bool {
        let item = self.item;
        if item == world.quotes.len() {
            return false;
        }
        self.item += 1;
        if world.quotes[item].is_published() {
            let row = world.quotes[item].opening(
                &world.instruments[item],
                &world.codes,
                &world.currencies,
                world.config.start,
            );
            batch.upsert(Topic::Price, &row);
        }
        true
    }

    fn holding(&mut self, world: &mut World, batch: &mut Batch) -> bool {
        let accounts = &world.accounts;
        let rows = |item: usize| accounts[item].layout.rows() + accounts[item].cash_rows();
        let Some((account, row)) = self.next_row(accounts.len(), rows, world.config.seed, Purpose::Holdings)
        else {
            return false;
        };
        match row.checked_sub(accounts[account].layout.rows()) {
            None => self.security(world, account, row, batch),
            Some(cash) => self.cash(world, account, cash, batch),
        }
        true
    }

    fn security(&mut self, world: &mut World, account: usize, row: usize, batch: &mut Batch) {
        let place = world.accounts[account].layout.place(row);
        let instrument = &world.instruments[place.instrument as usize];
        let quote = &world.quotes[place.instrument as usize];
        let usd = world.position_usd(account, instrument.class, &mut self.draw);
        // A future's value is what it moves, so one contract goes far.
        let usd = if instrument.class == Class::Future { usd / 2.0 } else { usd };
        let long = instrument.quantity(usd, quote.unit_usd);
        let quantity = if place.short { -long } else { long };
        let bits = self.draw.bits();
        // Bought for 20% less to 12% more than now.
        let cost = quote.sod / 1_000 * (800 + (bits & 0x1ff) as i64 * 5 / 8);
        let holding = Holding {
            place,
            quantity,
            sod_price: if bits >> 10 & 0x3ff == 0 { None } else { Some(quote.sod) },
            cost: if bits >> 20 & 0xff == 0 { None } else { Some(cost) },
        };
        batch.upsert(Topic::Holding, &world.holding_row(account, &holding, world.config.start - 2 * HOUR_US));
        if world.days_end() {
            let rows = world.accounts[account].layout.rows();
            let positions = &mut world.desks[account].positions;
            if row == 0 {
                positions.reserve_exact(rows + rows / 50 + 4);
            }
            positions.push(Position { place, quantity, cost });
        }
    }

    fn cash(&mut self, world: &mut World, account: usize, row: usize, batch: &mut Batch) {
        let owner = &world.accounts[account];
        let (sleeve, currency) = owner.cash(row);
        // One to three percent in its own currency, little in others, now and then an overdraft.
        let share = if currency == owner.base { 0.015 } else { 0.002 };
        let usd = (owner.nav_usd * share * self.draw.size()).min(200e6);
        let coin = world.currencies[currency].coin;
        let units = (usd / world.currencies[currency].usd * QUANTITY_ONE as f64) as i64 / coin * coin;
        let amount = if self.draw.one_in(14) { -units / coin / 4 * coin } else { units };
        world.desks[account].cash[sleeve][currency] = amount;
        batch.upsert(
            Topic::Holding,
            &world.cash_row(account, sleeve, currency, amount, world.config.start - 2 * HOUR_US),
        );
    }

    fn business_date(&mut self, world: &mut World, batch: &mut Batch) -> bool {
        let holdings = self.done[Topic::Holding as usize];
        let at = world.config.start - HOUR_US;
        batch.upsert(Topic::BusinessDate, &world.business_date_row(holdings, at));
        false
    }

    fn order(&mut self, world: &mut World, keys: &mut [Dictionary], batch: &mut Batch) -> bool {
        let config = &world.config;
        let rows = config.orders_per_account as usize;
        let (accounts, live_permille) = (world.accounts.len(), u64::from(config.live_orders_percent) * 10);
        let Some((account, _)) = self.next_row(accounts, |_| rows, config.seed, Purpose::LoadedOrders) else {
            return false;
        };
        let mut order = world.order(account, keys, &mut self.draw);
        let yesterday = weekday_before(world.business_date);
        let instrument = &world.instruments[order.place.instrument as usize];
        let quote = &world.quotes[order.place.instrument as usize];
        order.open(live_permille, yesterday, instrument, quote, &mut self.draw);
        let at = world.config.start - (self.draw.bits() % (6 * HOUR_US) as u64) as i64;
        batch.upsert(Topic::Order, &order.row(&world.accounts[account], instrument, &world.codes, at));
        let desk = &mut world.desks[account];
        if world.config.day_length_s > 0 && order.business_date == desk.business_date {
            desk.book(&mut order, 0, &world.accounts[account], instrument);
        }
        if order.is_open() {
            desk.open.push(order);
        } else if order.has_fill() && order.business_date == desk.business_date {
            desk.keep_done(order);
        }
        true
    }

    fn movement(&mut self, world: &mut World, keys: &mut [Dictionary], batch: &mut Batch) -> bool {
        let config = &world.config;
        let rows = config.movements_per_account as usize;
        let Some((account, _)) =
            self.next_row(world.accounts.len(), |_| rows, config.seed, Purpose::LoadedMovements)
        else {
            return false;
        };
        let movement = world.movement(account, keys, &mut self.draw);
        let at = world.config.start - self.draw.below(6 * HOUR_US as u64) as i64;
        batch.upsert(
            Topic::Movement,
            &movement.row(&world.accounts[account], &world.currencies, &world.codes, at),
        );
        true
    }
}
