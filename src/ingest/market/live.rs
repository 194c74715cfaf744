//! The market after the opening: what happens, in order of its logical time.
//!
//! Every kind of event has its own arrivals and generators, so the history is a function of the
//! configuration alone. Where cuts fall decides only which batch an event stands in.

use std::collections::VecDeque;

use crate::clock::Timestamp;
use crate::datum::Datum;
use crate::dictionary::Dictionary;

use super::batch::{Batch, Topic};
use super::codes::{Class, RateType, Status};
use super::currencies::{CURRENCIES, USD};
use super::draw::{Draw, Purpose};
use super::instruments::Instrument;
use super::movements::Movement;
use super::orders::Order;
use super::prices::{Quote, Trouble};
use super::quality::Quality;
use super::rollover::Rollover;
use super::world::World;

/// Movements that can still be corrected or taken back.
const MOVEMENTS_RECENT_MAX: usize = 64;
/// Accounts whose orders are worked at the same time.
const BUSY_ACCOUNTS: u64 = 8;
/// Order events until the next account is taken up.
const BUSY_EVENTS: u64 = 48;
/// Open orders of an account that most events happen to: the newest.
const BUSY_ORDERS: usize = 8;

/// When events of one kind happen: at random, so many a second on average.
struct Arrivals {
    draw: Draw,
    gap_ns: u64,
    next_ns: i64,
}

impl Arrivals {
    fn new(seed: u64, purpose: Purpose, per_second: u32) -> Arrivals {
        let gap_ns = 1_000_000_000u64.checked_div(u64::from(per_second)).unwrap_or(0);
        let mut arrivals = Arrivals { draw: Draw::new(seed, purpose, 1), gap_ns, next_ns: 0 };
        arrivals.advance();
        arrivals
    }

    fn advance(&mut self) {
        self.next_ns = match self.gap_ns {
            0 => i64::MAX,
            gap_ns => self.next_ns + 1 + self.draw.below(2 * gap_ns) as i64,
        };
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Rollover,
    Quality,
    Fx,
    Price,
    Movement,
    Order,
}

pub(super) struct Live {
    prices: Arrivals,
    orders: Arrivals,
    movements: Arrivals,
    fx: Arrivals,
    rollover: Option<Rollover>,
    /// Instruments by how often they tick: the liquid ones stand here several times.
    traded: Vec<u32>,
    evaluated: Vec<u32>,
    order_events: u64,
    movements_recent: VecDeque<Movement>,
}

impl Live {
    pub(super) fn new(world: &World) -> Live {
        let config = &world.config;
        let mut traded = Vec::new();
        let mut evaluated = Vec::new();
        for (at, instrument) in world.instruments.iter().enumerate() {
            let times = match instrument.class {
                Class::Equity if at % 5 == 0 => 5,
                Class::Future => 8,
                _ => 1,
            };
            let list = if world.quotes[at].is_traded() { &mut traded } else { &mut evaluated };
            list.extend(std::iter::repeat_n(at as u32, times));
        }
        Live {
            prices: Arrivals::new(config.seed, Purpose::Prices, config.prices_per_second),
            orders: Arrivals::new(config.seed, Purpose::Orders, config.orders_per_second),
            movements: Arrivals::new(config.seed, Purpose::Movements, config.movements_per_second),
            fx: Arrivals::new(config.seed, Purpose::Fx, config.fx_per_second),
            rollover: Rollover::new(world),
            traded,
            evaluated,
            order_events: 0,
            movements_recent: VecDeque::new(),
        }
    }

    /// The kind of the next event and its time after the opening.
    fn next(&self, world: &World, quality: &Quality) -> (i64, Kind) {
        let ns = |us: i64| us.saturating_mul(1_000);
        let rollover = self.rollover.as_ref().map_or(i64::MAX, |rollover| ns(rollover.next_us(world)));
        // Of events at the same time the first here is first.
        let candidates = [
            (rollover, Kind::Rollover),
            (ns(quality.next_us()), Kind::Quality),
            (self.fx.next_ns, Kind::Fx),
            (self.prices.next_ns, Kind::Price),
            (self.movements.next_ns, Kind::Movement),
            (self.orders.next_ns, Kind::Order),
        ];
        candidates.into_iter().min_by_key(|&(at, _)| at).expect("there are kinds")
    }

    /// Lets events happen up to `now`, until the batch has `records_max` records. Returns whether more wait.
    pub(super) fn run(
        &mut self,
        world: &mut World,
        quality: &mut Quality,
        keys: &mut [Dictionary],
        batch: &mut Batch,
        now: Timestamp,
        records_max: usize,
    ) -> bool {
        let until_ns = (now - world.config.start).saturating_mul(1_000);
        loop {
            let (at_ns, kind) = self.next(world, quality);
            if at_ns > until_ns {
                return false;
            }
            if batch.records() >= records_max {
                return true;
            }
            let time = world.config.start + at_ns / 1_000;
            match kind {
                Kind::Rollover => self.rollover.as_mut().expect("a rollover is due").run(world, batch),
                Kind::Quality => quality.run(world, batch),
                Kind::Fx => {
                    self.fx.advance();
                    self.move_rate(world, time, batch);
                }
                Kind::Price => {
                    self.prices.advance();
                    self.tick(world, time, batch);
                }
                Kind::Movement => {
                    self.movements.advance();
                    self.move_cash(world, keys, time, batch);
                }
                Kind::Order => {
                    self.orders.advance();
                    self.work(world, keys, time, batch);
                }
            }
        }
    }

    fn move_rate(&mut self, world: &mut World, time: Timestamp, batch: &mut Batch) {
        let usd = world.currencies[USD].code;
        let currency = &mut world.currencies[1 + self.fx.draw.index(CURRENCIES - 1)];
        currency.step(&mut self.fx.draw);
        batch.upsert(Topic::Fx, &currency.row(RateType::Live, &world.codes, usd, time));
    }

    /// One price moves, unless it is in trouble.
    fn tick(&mut self, world: &mut World, time: Timestamp, batch: &mut Batch) {
        let draw = &mut self.prices.draw;
        // Bonds and funds are evaluated seldom.
        let list = if draw.percent(4) { &self.evaluated } else { &self.traded };
        let at = draw.pick(list) as usize;
        if world.quotes[at].trouble != Trouble::None {
            return;
        }
        let instrument = &world.instruments[at];
        if let Some(underlying) = instrument.underlying {
            let underlying = world.quotes[underlying].price;
            world.quotes[at].follow(instrument, underlying);
        } else {
            world.quotes[at].step(instrument.tick, draw);
        }
        world.publish_price(at, time, batch);
    }

    /// Cash moves, or a movement of the day is corrected or taken back.
    fn move_cash(&mut self, world: &mut World, keys: &mut [Dictionary], time: Timestamp, batch: &mut Batch) {
        let draw = &mut self.movements.draw;
        let which = draw.below(100);
        if which < 10 && !self.movements_recent.is_empty() {
            let place = draw.index(self.movements_recent.len());
            let Movement { account, sleeve, currency, business_date, .. } = self.movements_recent[place];
            let desk = &mut world.desks[account as usize];
            let cash = &mut desk.cash[usize::from(sleeve)][usize::from(currency)];
            if business_date == desk.business_date {
                if which < 3 {
                    let movement = self.movements_recent.remove(place).expect("the place lies in the list");
                    *cash -= movement.amount;
                    batch.delete(Topic::Movement, &world.movement_table, &[Datum::from(movement.id)]);
                } else {
                    let movement = &mut self.movements_recent[place];
                    *cash += movement.amend(world.currencies[usize::from(currency)].coin, draw);
                    let row = movement.row(
                        &world.accounts[account as usize],
                        &world.currencies,
                        &world.codes,
                        time,
                    );
                    batch.upsert(Topic::Movement, &row);
                }
                return;
            }
        }
        let account = draw.index(world.accounts.len());
        let movement = world.movement(account, keys, draw);
        batch.upsert(
            Topic::Movement,
            &movement.row(&world.accounts[account], &world.currencies, &world.codes, time),
        );
        if self.movements_recent.len() == MOVEMENTS_RECENT_MAX {
            self.movements_recent.pop_front();
        }
        self.movements_recent.push_back(movement);
    }

    /// Something happens to an order, new or old.
    fn work(&mut self, world: &mut World, keys: &mut [Dictionary], time: Timestamp, batch: &mut Batch) {
        let draw = &mut self.orders.draw;
        let count = world.accounts.len() as u64;
        // A desk works through its accounts: most events are of a few of them at a time.
        self.order_events += 1;
        let busy = self.order_events / BUSY_EVENTS + draw.below(BUSY_ACCOUNTS);
        let account = if draw.percent(60) { (busy % count) as usize } else { draw.below(count) as usize };

        let desk = &mut world.desks[account];
        let open = desk.open.len();
        let which = draw.below(100);
        let chosen = match open {
            0 => None,
            _ if which < 22 => None,
            _ if which < 60 => Some(open - 1 - draw.index(open.min(BUSY_ORDERS))),
            _ => Some(draw.index(open)),
        };
        let mut order = match chosen {
            Some(at) if desk.open[at].status != Status::DoneForDay => desk.open.swap_remove(at),
            _ if which >= 97 && !desk.done.is_empty() => desk.done.swap_remove(draw.index(desk.done.len())),
            _ => world.order(account, keys, draw),
        };
        let desk = &mut world.desks[account];
        if order.business_date != desk.business_date {
            order.restate(desk.business_date);
        }
        let day_cum_before = order.day_cum;
        let instrument = &world.instruments[order.place.instrument as usize];
        let quote = &world.quotes[order.place.instrument as usize];
        happen(&mut order, instrument, quote, draw);
        if world.config.day_length_s > 0 {
            desk.book(&mut order, day_cum_before, &world.accounts[account], instrument);
        }
        batch.upsert(Topic::Order, &order.row(&world.accounts[account], instrument, &world.codes, time));
        if order.is_open() {
            desk.open.push(order);
        } else if order.has_fill() {
            desk.keep_done(order);
        }
    }
}

/// The next event of an order: it is accepted, taken back in part, or advances.
fn happen(order: &mut Order, instrument: &Instrument, quote: &Quote, draw: &mut Draw) {
    if order.is_new() {
        order.accept(draw);
    } else if order.has_fill() && (!order.is_open() || draw.percent(3)) {
        if draw.percent(50) {
            order.bust();
        } else {
            let ticks = draw.between(1, 5) * if draw.percent(50) { 1 } else { -1 };
            order.correct(ticks, instrument.tick);
        }
    } else {
        order.advance(instrument, quote, draw);
    }
}
