//! The records that say what is held when a day begins, and which day that is.

use crate::clock::{SECOND_US, Timestamp};
use crate::datum::{Datum, NULL};

use super::accounts::Place;
use super::world::World;

/// A security holding as its record states it.
pub(super) struct Holding {
    pub place: Place,
    pub quantity: i64,
    pub sod_price: Option<i64>,
    pub cost: Option<i64>,
}

/// How long after the books closed the record of a holding arrives.
const DELAY_US: i64 = 2 * SECOND_US;

impl World {
    /// A row of `base.sod_holding` on the account's business date; the books closed at `as_of`.
    pub(super) fn holding_row(&self, account: usize, holding: &Holding, as_of: Timestamp) -> [Datum; 10] {
        let price = |price: Option<i64>| price.map_or(NULL, Datum::from);
        [
            Datum::from(self.desks[account].business_date),
            self.accounts[account].id,
            self.instruments[holding.place.instrument as usize].id,
            self.codes.sleeves[usize::from(holding.place.sleeve)],
            Datum::from(holding.quantity),
            price(holding.sod_price),
            price(holding.cost),
            Datum::from(as_of),
            1,
            Datum::from(as_of + DELAY_US),
        ]
    }

    /// The same for cash, which needs no price.
    pub(super) fn cash_row(
        &self,
        account: usize,
        sleeve: usize,
        currency: usize,
        amount: i64,
        as_of: Timestamp,
    ) -> [Datum; 10] {
        [
            Datum::from(self.desks[account].business_date),
            self.accounts[account].id,
            self.currencies[currency].code,
            self.codes.sleeves[sleeve],
            Datum::from(amount),
            NULL,
            NULL,
            Datum::from(as_of),
            1,
            Datum::from(as_of + DELAY_US),
        ]
    }

    /// A row of `base.business_date`: so many holdings complete the day.
    pub(super) fn business_date_row(&mut self, holdings: u64, at: Timestamp) -> [Datum; 5] {
        self.business_date_version += 1;
        [
            self.codes.current,
            Datum::from(self.business_date),
            Datum::from(holdings),
            Datum::from(self.business_date_version),
            Datum::from(at),
        ]
    }
}
