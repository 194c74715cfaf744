//! Cash that moves without a trade: dividends, fees, flows of clients, and their corrections.

use crate::clock::Timestamp;
use crate::datum::Datum;

use super::accounts::Account;
use super::codes::{Codes, MovementType};
use super::currencies::Currency;
use super::draw::Draw;
use super::instruments::QUANTITY_ONE;

#[derive(Debug, Clone, Copy)]
pub(super) struct Movement {
    /// Code in the dictionary of movement ids.
    pub id: u32,
    pub account: u32,
    pub sleeve: u8,
    pub currency: u8,
    pub business_date: i32,
    pub amount: i64,
    movement_type: MovementType,
    version: u32,
}

impl Movement {
    pub(super) fn new(
        id: u32,
        number: usize,
        account: &Account,
        currencies: &[Currency],
        business_date: i32,
        draw: &mut Draw,
    ) -> Movement {
        let (movement_type, basis_points, inflow) = draw.weighted(&[
            (38, (MovementType::Dividend, 0.6, true)),
            (18, (MovementType::Interest, 0.3, true)),
            (4, (MovementType::Interest, 0.2, false)),
            (16, (MovementType::Fee, 0.4, false)),
            (10, (MovementType::TradeSettlement, 0.2, true)),
            (6, (MovementType::TradeSettlement, 0.2, false)),
            (4, (MovementType::Subscription, 25.0, true)),
            (4, (MovementType::Redemption, 20.0, false)),
        ]);
        let (sleeve, currency) = match movement_type {
            MovementType::Dividend | MovementType::Interest => account.cash(draw.index(account.cash_rows())),
            _ => (draw.index(account.sleeves), account.base),
        };
        let usd = account.nav_usd * basis_points / 10_000.0 * draw.size();
        let coin = currencies[currency].coin;
        let amount = ((usd / currencies[currency].usd * QUANTITY_ONE as f64) as i64 / coin).max(1) * coin;
        Movement {
            id,
            account: number as u32,
            sleeve: sleeve as u8,
            currency: currency as u8,
            business_date,
            amount: if inflow { amount } else { -amount },
            movement_type,
            version: 1,
        }
    }

    /// A correction by some percent; returns by how much the amount changed.
    pub(super) fn amend(&mut self, coin: i64, draw: &mut Draw) -> i64 {
        let change = self.amount / coin * draw.between(-10, 10) / 100 * coin;
        self.amount += change;
        self.version += 1;
        change
    }

    pub(super) fn row(
        &self,
        account: &Account,
        currencies: &[Currency],
        codes: &Codes,
        at: Timestamp,
    ) -> [Datum; 10] {
        let external = matches!(self.movement_type, MovementType::Subscription | MovementType::Redemption);
        [
            Datum::from(self.id),
            Datum::from(self.business_date),
            account.id,
            codes.sleeves[usize::from(self.sleeve)],
            currencies[usize::from(self.currency)].code,
            Datum::from(self.amount),
            codes.movement_types[self.movement_type as usize],
            Datum::from(external),
            Datum::from(self.version),
            Datum::from(at),
        ]
    }
}
