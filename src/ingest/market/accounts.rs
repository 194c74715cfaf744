//! The accounts, and which instruments each holds in which sleeve: a layout that needs no memory a row.

use std::ops::Range;

use crate::clock::Timestamp;
use crate::datum::{Datum, NULL};
use crate::dictionary::Dictionary;

use super::codes::SLEEVES;
use super::currencies::{CURRENCIES, Currency, place};
use super::draw::{Draw, Purpose};
use super::names::{BENCHMARKS, CLIENTS, REGIONS, STRATEGIES, TRADERS, VEHICLES};

/// Every so manieth position of an account with sleeves is held in two of them.
const TWIN_EVERY: usize = 16;

/// Currencies an account holds cash in beside its own.
const CASH_EXTRA: usize = 3;

pub(super) struct Account {
    pub id: Datum,
    /// A place in the list of currencies.
    pub base: usize,
    pub nav_usd: f64,
    /// How many of [`SLEEVES`] it has, the unsleeved rest among them.
    pub sleeves: usize,
    pub layout: Layout,
    /// Traders are numbered; an account's orders come from three in a row.
    pub trader_first: usize,
    name: Datum,
    strategy: Datum,
    region: Datum,
    benchmark: Datum,
    version: i64,
}

impl Account {
    /// Declares the account: a row of `base.account`, one version up.
    pub(super) fn declare(&mut self, currencies: &[Currency], at: Timestamp) -> [Datum; 8] {
        self.version += 1;
        let base = currencies[self.base].code;
        [
            self.id,
            self.name,
            base,
            self.strategy,
            self.region,
            self.benchmark,
            Datum::from(self.version),
            Datum::from(at),
        ]
    }

    pub(super) fn is_declared(&self) -> bool {
        self.version > 0
    }

    pub(super) fn strategy(&self) -> Datum {
        self.strategy
    }

    /// The account is to be run in another way from now on.
    pub(super) fn change_strategy(&mut self, strategy: Datum) {
        self.strategy = strategy;
    }

    /// Rows of cash at the start of the first day.
    pub(super) fn cash_rows(&self) -> usize {
        self.sleeves + CASH_EXTRA
    }

    /// Sleeve and currency of a cash row: its own currency in each sleeve, others in the first only.
    pub(super) fn cash(&self, row: usize) -> (usize, usize) {
        match row.checked_sub(self.sleeves) {
            None => (row, self.base),
            Some(other) => (0, (self.base + 1 + other * 2) % CURRENCIES),
        }
    }
}

/// A security position's instrument and sleeve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub instrument: u32,
    pub sleeve: u8,
    pub short: bool,
}

/// Which instruments an account holds: in each class a walk in steps coprime to the size of the class,
/// which visits none twice.
pub(super) struct Layout {
    walks: Vec<Walk>,
    positions: usize,
    sleeves: usize,
    short_every: usize,
}

struct Walk {
    /// The account's positions in the class.
    rows: Range<usize>,
    /// The instruments of the class.
    class: Range<usize>,
    offset: usize,
    stride: usize,
}

impl Walk {
    fn instrument(&self, step: usize) -> usize {
        self.class.start + (self.offset + step * self.stride) % self.class.len()
    }
}

impl Layout {
    fn new(
        positions: usize,
        classes: &[Range<usize>; 5],
        shares: [u32; 5],
        sleeves: usize,
        short_every: usize,
        draw: &mut Draw,
    ) -> Layout {
        let mut counts = [0; 5];
        for (class, count) in counts.iter_mut().enumerate() {
            *count = (positions * shares[class] as usize / 100).min(classes[class].len());
        }
        // What a class is too small for, others take.
        for class in 0..5 {
            let left = positions - counts.iter().sum::<usize>();
            counts[class] += left.min(classes[class].len() - counts[class]);
        }
        let mut start = 0;
        let walks = (0..5)
            .filter(|&class| counts[class] > 0)
            .map(|class| {
                let size = classes[class].len();
                start += counts[class];
                Walk {
                    rows: start - counts[class]..start,
                    class: classes[class].clone(),
                    offset: draw.index(size),
                    stride: coprime(1 + draw.index(size), size),
                }
            })
            .collect();
        Layout { walks, positions: start, sleeves, short_every }
    }

    /// Security positions: one an instrument, and the twins.
    pub(super) fn rows(&self) -> usize {
        self.positions + if self.sleeves > 1 { self.positions / TWIN_EVERY } else { 0 }
    }

    pub(super) fn place(&self, row: usize) -> Place {
        // Twins stand behind all others: the same instrument in the next sleeve.
        let (position, twin) =
            if row < self.positions { (row, 0) } else { ((row - self.positions) * TWIN_EVERY, 1) };
        let walk = self.walk(position);
        Place {
            instrument: walk.instrument(position - walk.rows.start) as u32,
            sleeve: ((position / 3 + twin) % self.sleeves) as u8,
            short: self.short_every > 0 && position % self.short_every == self.short_every - 1,
        }
    }

    fn walk(&self, position: usize) -> &Walk {
        self.walks.iter().find(|walk| position < walk.rows.end).expect("the position lies in the layout")
    }

    /// An instrument of a class the account deals in but does not hold, unless it holds them all.
    pub(super) fn unheld(&self, draw: &mut Draw) -> Option<Place> {
        let walk = self.walk(draw.index(self.positions));
        let left = walk.class.len() - walk.rows.len();
        // Few of them, so that orders meet in one instrument.
        let step = walk.rows.len() + draw.index(left.clamp(1, 8));
        (left > 0).then(|| Place {
            instrument: walk.instrument(step) as u32,
            sleeve: draw.index(self.sleeves) as u8,
            short: false,
        })
    }
}

fn coprime(from: usize, to: usize) -> usize {
    let mut stride = from;
    while gcd(stride, to) != 1 {
        stride += 1;
    }
    stride
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Makes the accounts, each with `positions` instruments of the classes.
pub(super) fn accounts(
    seed: u64,
    count: usize,
    positions: usize,
    classes: &[Range<usize>; 5],
    dictionary: &mut Dictionary,
) -> Vec<Account> {
    (0..count)
        .map(|number| {
            let mut draw = Draw::new(seed, Purpose::Accounts, number as u64);
            let (strategy, shares, short_every) = draw.pick(&STRATEGIES);
            let (region, currencies) = draw.pick(&REGIONS);
            let base = place(draw.pick(currencies));
            // 40 clients meet 6 vehicles once each; then they come round with a number.
            let client = number % CLIENTS.len();
            let vehicle = VEHICLES[(client + number / CLIENTS.len()) % VEHICLES.len()];
            let client = CLIENTS[client];
            let name = match number / (CLIENTS.len() * VEHICLES.len()) {
                0 => format!("{client} {vehicle}"),
                round => format!("{client} {vehicle} {}", round + 1),
            };
            let sleeves = draw.pick(&[1, 1, 2, 3, SLEEVES.len()]);
            let mut code = |text: &str| Datum::from(dictionary.intern(text));
            Account {
                id: code(&format!("A{number:05}")),
                base,
                nav_usd: (140e6 * draw.size()).clamp(10e6, 6e9),
                sleeves,
                layout: Layout::new(positions, classes, shares, sleeves, short_every, &mut draw),
                trader_first: draw.index(TRADERS.len()),
                name: code(&name),
                strategy: code(strategy),
                region: code(region),
                benchmark: if draw.percent(70) { code(draw.pick(&BENCHMARKS)) } else { NULL },
                version: 0,
            }
        })
        .collect()
}
