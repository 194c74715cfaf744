//! The end of a simulated day: books close, holdings of the next day trickle in account by account, and
//! the business date comes last.
//!
//! Each account turns by itself. Until it does, its orders and movements are of the old day and go into
//! its holdings; from then on they are dated ahead of the day the engine still shows.

use crate::clock::{SECOND_US, Timestamp};

use super::batch::{Batch, Topic};
use super::calendar::weekday_after;
use super::codes::{Class, RateType, TimeInForce};
use super::currencies::USD;
use super::holdings::Holding;
use super::orders::Order;
use super::prices::Trouble;
use super::world::World;

/// Over which the accounts turn, where the day is long enough.
const WINDOW_US: i64 = 30 * SECOND_US;

pub(super) struct Rollover {
    day_length_us: i64,
    window_us: i64,
    /// Ends of day so far.
    days: i64,
    step: Step,
    holdings: u64,
}

enum Step {
    Close,
    Account(usize),
    Date,
}

impl Rollover {
    pub(super) fn new(world: &World) -> Option<Rollover> {
        let day_length_us = i64::from(world.config.day_length_s) * SECOND_US;
        world.days_end().then(|| Rollover {
            day_length_us,
            window_us: WINDOW_US.min(day_length_us / 4),
            days: 0,
            step: Step::Close,
            holdings: 0,
        })
    }

    /// When the next step is due, in microseconds after the opening.
    pub(super) fn next_us(&self, world: &World) -> i64 {
        let close = (self.days + 1) * self.day_length_us;
        match self.step {
            Step::Close => close,
            Step::Account(account) => {
                close + self.window_us * (account as i64 + 1) / (world.accounts.len() as i64 + 1)
            }
            Step::Date => close + self.window_us,
        }
    }

    pub(super) fn run(&mut self, world: &mut World, batch: &mut Batch) {
        let time = world.config.start + self.next_us(world);
        let closed_at = world.config.start + (self.days + 1) * self.day_length_us;
        match self.step {
            Step::Close => {
                world.business_date = weekday_after(world.business_date);
                self.holdings = 0;
                close(world, time, batch);
                self.step = Step::Account(0);
            }
            Step::Account(account) => {
                self.holdings += turn(world, account, closed_at, time, batch);
                self.step =
                    if account + 1 < world.accounts.len() { Step::Account(account + 1) } else { Step::Date };
            }
            Step::Date => {
                let usd = world.currencies[USD].code;
                for currency in &mut world.currencies[1..] {
                    if currency.has_sod() {
                        batch.upsert(Topic::Fx, &currency.row(RateType::Sod, &world.codes, usd, time));
                    }
                }
                batch.upsert(Topic::BusinessDate, &world.business_date_row(self.holdings, time));
                self.days += 1;
                self.step = Step::Close;
            }
        }
    }
}

/// Fixes what the next day's holdings are valued at; bonds and funds get their evaluation of the day.
fn close(world: &mut World, time: Timestamp, batch: &mut Batch) {
    for at in 0..world.quotes.len() {
        let instrument = &world.instruments[at];
        if instrument.class == Class::Bond {
            world.quotes[at].accrue(instrument.coupon);
        }
        if !world.quotes[at].is_traded() && world.quotes[at].trouble == Trouble::None {
            world.publish_price(at, time, batch);
        }
        world.quotes[at].close();
    }
}

/// Turns one account to the world's business date. Returns how many holdings that wrote.
fn turn(world: &mut World, account: usize, closed_at: Timestamp, time: Timestamp, batch: &mut Batch) -> u64 {
    let order_row = |world: &World, order: &Order| {
        let instrument = &world.instruments[order.place.instrument as usize];
        order.row(&world.accounts[account], instrument, &world.codes, time)
    };
    let mut carried = Vec::new();
    for mut order in std::mem::take(&mut world.desks[account].open) {
        if order.time_in_force == TimeInForce::GoodTillCancel {
            carried.push(order);
        } else if order.is_live() {
            order.expire();
            batch.upsert(Topic::Order, &order_row(world, &order));
        }
    }

    let desk = &mut world.desks[account];
    desk.business_date = world.business_date;
    desk.done.clear();
    let before = batch.records();
    let desk = &world.desks[account];
    for position in desk.positions.iter().filter(|position| position.quantity != 0) {
        let holding = Holding {
            place: position.place,
            quantity: position.quantity,
            sod_price: Some(world.quotes[position.place.instrument as usize].sod),
            cost: Some(position.cost),
        };
        batch.upsert(Topic::Holding, &world.holding_row(account, &holding, closed_at));
    }
    for (sleeve, amounts) in desk.cash.iter().enumerate() {
        for (currency, &amount) in amounts.iter().enumerate().filter(|&(_, &amount)| amount != 0) {
            batch.upsert(Topic::Holding, &world.cash_row(account, sleeve, currency, amount, closed_at));
        }
    }
    let holdings = batch.records() - before;

    for order in &mut carried {
        order.restate(world.business_date);
        batch.upsert(Topic::Order, &order_row(world, order));
    }
    world.desks[account].open = carried;
    holdings as u64
}
