//! What one account has open: its live orders, a few of those just done, and its positions.
//!
//! Positions are kept only where a day will end: the next day's holdings are these after the fills.
//! They add up to what the engine calls CURRENT, so that a rollover at unchanged prices moves no value.

use super::accounts::{Account, Place};
use super::codes::SLEEVES;
use super::currencies::CURRENCIES;
use super::instruments::Instrument;
use super::orders::Order;

/// The row of an order in an instrument that the account did not hold when the market opened.
pub(super) const UNHELD: u32 = u32::MAX;

/// Orders just done that a bust or a correction can still reach.
const DONE_MAX: usize = 4;

pub(super) struct Desk {
    pub business_date: i32,
    /// Open orders; the newest stand last.
    pub open: Vec<Order>,
    pub done: Vec<Order>,
    /// By row of the account's layout, then what was bought beside it.
    pub positions: Vec<Position>,
    /// By sleeve and currency, in 1e-6.
    pub cash: [[i64; CURRENCIES]; SLEEVES.len()],
}

pub(super) struct Position {
    pub place: Place,
    /// In 1e-6.
    pub quantity: i64,
    /// Average price paid, in 1e-8.
    pub cost: i64,
}

impl Position {
    /// Adds a signed quantity. Cost averages while the position grows and stays while it shrinks.
    fn trade(&mut self, quantity: i64, price: i64) {
        let after = self.quantity + quantity;
        if self.quantity == 0 || (self.quantity > 0) != (after > 0) {
            self.cost = price;
        } else if after.abs() > self.quantity.abs() {
            let paid =
                i128::from(self.quantity) * i128::from(self.cost) + i128::from(quantity) * i128::from(price);
            self.cost = (paid / i128::from(after)) as i64;
        }
        self.quantity = after;
    }
}

impl Desk {
    pub(super) fn new(business_date: i32) -> Desk {
        Desk {
            business_date,
            open: Vec::new(),
            done: Vec::new(),
            positions: Vec::new(),
            cash: [[0; CURRENCIES]; SLEEVES.len()],
        }
    }

    /// Books what changed in an order's day since `day_cum_before`: its position and its cash leg.
    pub(super) fn book(
        &mut self,
        order: &mut Order,
        day_cum_before: i64,
        account: &Account,
        instrument: &Instrument,
    ) {
        debug_assert_eq!(order.business_date, self.business_date);
        let average = order.day_average();
        let leg = instrument.consideration(order.side.sign() * order.day_cum, average);
        self.cash[usize::from(order.place.sleeve)][instrument.currency] -= leg - order.leg;
        order.leg = leg;
        let traded = order.side.sign() * (order.day_cum - day_cum_before);
        if traded == 0 {
            return;
        }
        let row = match order.row {
            UNHELD => {
                let held = account.layout.rows();
                let wanted = |position: &Position| {
                    (position.place.instrument, position.place.sleeve)
                        == (order.place.instrument, order.place.sleeve)
                };
                self.positions[held..]
                    .iter()
                    .position(wanted)
                    .map_or(self.positions.len(), |found| held + found)
            }
            row => row as usize,
        };
        if row == self.positions.len() {
            self.positions.push(Position { place: order.place, quantity: 0, cost: 0 });
        }
        self.positions[row].trade(traded, average);
    }

    /// Keeps an order that is done for as long as others do not push it out.
    pub(super) fn keep_done(&mut self, order: Order) {
        if self.done.len() == DONE_MAX {
            self.done.remove(0);
        }
        self.done.push(order);
    }
}
