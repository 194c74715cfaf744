//! What is wrong with the data, and when it heals: late, missing and stale prices, late declarations,
//! and reference data that changes during the day.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::clock::{SECOND_US, Timestamp};
use crate::datum::Datum;

use super::batch::Batch;
use super::codes::Class;
use super::draw::{Draw, Purpose};
use super::prices::Trouble;
use super::world::World;

/// Of so many traded prices one is late, and so on; each case occurs at least once.
const TRADED_LATE: usize = 200;
const TRADED_MISSING: usize = 1_200;
const TRADED_STALE: usize = 250;
const TRADED_HALTED: usize = 300;
/// The same of the bonds and funds.
const EVALUATED_LATE: usize = 100;
const EVALUATED_MISSING: usize = 400;
const EVALUATED_STALE: usize = 40;
/// And of the declarations.
const EQUITY_UNDECLARED: usize = 800;
const ACCOUNT_UNDECLARED: usize = 250;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    DeclareInstrument(usize),
    DeclareAccount(usize),
    /// The price of the instrument comes, and ticks from now on.
    Heal(usize),
    /// Some traded instrument stops ticking, for longer than its price stays fresh.
    Halt,
    /// Some firm changes its sector.
    Reclassify,
    /// Some option's delta is computed anew.
    Delta,
    /// Some account gets another strategy.
    ChangeStrategy,
}

pub(super) struct Quality {
    draw: Draw,
    /// Microseconds after the opening, and what happens.
    events: BinaryHeap<Reverse<(i64, Event)>>,
    undeclared: Vec<usize>,
    accounts_undeclared: Vec<usize>,
}

impl Quality {
    /// Marks the quotes in trouble and plans what happens to them.
    pub(super) fn new(world: &mut World) -> Quality {
        let mut quality = Quality {
            draw: Draw::new(world.config.seed, Purpose::Quality, 0),
            events: BinaryHeap::new(),
            undeclared: Vec::new(),
            accounts_undeclared: Vec::new(),
        };
        let (traded, evaluated) = (0..world.quotes.len()).partition(|&at| world.quotes[at].is_traded());
        quality.trouble(world, traded, TRADED_LATE, TRADED_MISSING, TRADED_STALE, TRADED_HALTED);
        quality.trouble(world, evaluated, EVALUATED_LATE, EVALUATED_MISSING, EVALUATED_STALE, usize::MAX);
        let equities =
            (0..world.instruments.len()).filter(|&at| world.instruments[at].class == Class::Equity).collect();
        quality.undeclared = quality.some_of(equities, EQUITY_UNDECLARED);
        // An only account is always known.
        let accounts = (1..world.accounts.len()).collect();
        quality.accounts_undeclared = quality.some_of(accounts, ACCOUNT_UNDECLARED);
        for at in quality.undeclared.clone() {
            quality.plan_between(30, 180, Event::DeclareInstrument(at));
        }
        for at in quality.accounts_undeclared.clone() {
            quality.plan_between(20, 120, Event::DeclareAccount(at));
        }
        quality.plan_between(90, 150, Event::Halt);
        quality.plan_between(20, 60, Event::Reclassify);
        quality.plan_between(1, 4, Event::Delta);
        quality.plan_between(60, 180, Event::ChangeStrategy);
        quality
    }

    /// Whether the load declares an instrument.
    pub(super) fn is_declared(&self, instrument: usize) -> bool {
        !self.undeclared.contains(&instrument)
    }

    /// Whether the load declares an account.
    pub(super) fn is_account_declared(&self, account: usize) -> bool {
        !self.accounts_undeclared.contains(&account)
    }

    /// When something happens next, in microseconds after the opening.
    pub(super) fn next_us(&self) -> i64 {
        self.events.peek().map_or(i64::MAX, |Reverse((at, _))| *at)
    }

    /// Does what is next. Everything that can happen again is planned again.
    pub(super) fn run(&mut self, world: &mut World, batch: &mut Batch) {
        let Some(Reverse((at, event))) = self.events.pop() else { return };
        let time = world.config.start + at;
        match event {
            Event::DeclareInstrument(instrument) => world.declare_instrument(instrument, time, batch),
            Event::DeclareAccount(account) => world.declare_account(account, time, batch),
            Event::Heal(instrument) => {
                world.quotes[instrument].trouble = Trouble::None;
                world.publish_price(instrument, time, batch);
            }
            Event::Halt => {
                let instrument = self.draw.index(world.quotes.len());
                let quote = &mut world.quotes[instrument];
                if quote.is_traded() && quote.trouble == Trouble::None {
                    quote.trouble = Trouble::Halted;
                    self.plan(at, 16 * 60, 22 * 60, Event::Heal(instrument));
                }
                self.plan(at, 60, 180, Event::Halt);
            }
            Event::Reclassify => {
                if let Some(instrument) = self.declared(world, Class::Equity) {
                    world.instruments[instrument].reclassify(&world.sectors, &mut self.draw);
                    world.declare_instrument(instrument, time, batch);
                }
                self.plan(at, 45, 120, Event::Reclassify);
            }
            Event::Delta => {
                if let Some(instrument) = self.declared(world, Class::Option) {
                    world.instruments[instrument].drift_delta(&mut self.draw);
                    world.declare_instrument(instrument, time, batch);
                }
                self.plan(at, 1, 4, Event::Delta);
            }
            Event::ChangeStrategy => {
                let account = self.draw.index(world.accounts.len());
                let strategy: Datum = world.accounts[self.draw.index(world.accounts.len())].strategy();
                if world.accounts[account].is_declared() {
                    world.accounts[account].change_strategy(strategy);
                    world.declare_account(account, time, batch);
                }
                self.plan(at, 120, 360, Event::ChangeStrategy);
            }
        }
    }

    /// A declared instrument of a class, where the first draw hits one.
    fn declared(&mut self, world: &World, class: Class) -> Option<usize> {
        let start = world.instruments.iter().position(|instrument| instrument.class == class)?;
        let count =
            world.instruments[start..].iter().take_while(|instrument| instrument.class == class).count();
        let at = start + self.draw.index(count);
        world.instruments[at].is_declared().then_some(at)
    }

    /// Marks one in so many of `from` as late, missing, stale and halted.
    fn trouble(
        &mut self,
        world: &mut World,
        from: Vec<usize>,
        late: usize,
        missing: usize,
        stale: usize,
        halted: usize,
    ) {
        let start: Timestamp = world.config.start;
        let total = from.len();
        let share = |one_in: usize| if one_in == usize::MAX { 0 } else { (total / one_in).max(1) };
        let chosen = self.shuffled(from, share(late) + share(missing) + share(stale) + share(halted));
        let mut rest = chosen.as_slice();
        let mut take = |one_in| {
            let (taken, left) = rest.split_at(share(one_in).min(rest.len()));
            rest = left;
            taken
        };
        for &at in take(late) {
            world.quotes[at].trouble = Trouble::Late;
            self.plan_between(20, 150, Event::Heal(at));
        }
        for (number, &at) in take(stale).iter().enumerate() {
            world.quotes[at].make_stale(start, &mut self.draw);
            // One in four stays stale.
            if number % 4 != 3 {
                self.plan_between(45, 600, Event::Heal(at));
            }
        }
        for &at in take(halted) {
            world.quotes[at].trouble = Trouble::Halted;
            self.plan_between(17 * 60, 25 * 60, Event::Heal(at));
        }
        for &at in take(missing) {
            world.quotes[at].trouble = Trouble::Missing;
        }
    }

    /// One in `one_in` of the items, at least one where there is any.
    fn some_of(&mut self, from: Vec<usize>, one_in: usize) -> Vec<usize> {
        let count = (from.len() / one_in).max(1);
        self.shuffled(from, count)
    }

    /// The first `count` items of a shuffle.
    fn shuffled(&mut self, mut from: Vec<usize>, count: usize) -> Vec<usize> {
        let count = count.min(from.len());
        for at in 0..count {
            let other = at + self.draw.index(from.len() - at);
            from.swap(at, other);
        }
        from.truncate(count);
        from
    }

    fn plan_between(&mut self, low_s: i64, high_s: i64, event: Event) {
        self.plan(0, low_s, high_s, event);
    }

    fn plan(&mut self, from_us: i64, low_s: i64, high_s: i64, event: Event) {
        let at = from_us + self.draw.between(low_s * SECOND_US, high_s * SECOND_US);
        self.events.push(Reverse((at, event)));
    }
}
