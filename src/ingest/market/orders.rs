//! One order: how it stands when the market opens, what happens to it next, and its record.
//!
//! Quantities are whole lots, fills whole ticks, the notional an exact sum; only the average price of
//! the day is rounded. Whom an order belongs to and what it does to positions is no concern here.

use crate::clock::Timestamp;
use crate::datum::{Datum, NULL, divide_half_even};

use super::accounts::{Account, Place};
use super::codes::{Class, Codes, OrderType, Side, Status, TimeInForce};
use super::draw::Draw;
use super::instruments::{Instrument, QUANTITY_ONE};
use super::names::TRADERS;
use super::prices::Quote;

/// No limit price.
const UNLIMITED: i64 = 0;

pub(super) struct Order {
    /// Code in the dictionary of order ids.
    pub id: u32,
    pub place: Place,
    /// The position's row in the account's layout, or [`super::desk::UNHELD`].
    pub row: u32,
    pub side: Side,
    pub status: Status,
    pub time_in_force: TimeInForce,
    pub business_date: i32,
    pub day_cum: i64,
    /// The cash leg of the day's fills as last booked, in 1e-6 of the currency.
    pub leg: i64,
    order_type: OrderType,
    trader: u8,
    version: u32,
    quantity: i64,
    lot: i64,
    cum: i64,
    /// Sum of quantity × price of the day's fills, in 1e-14.
    notional: i128,
    limit: i64,
    /// The last fill of the day, which a bust or a correction takes back.
    fill_quantity: i64,
    fill_price: i64,
}

impl Order {
    /// A new order with nothing filled.
    #[expect(clippy::too_many_arguments, reason = "an order is what all of these say")]
    pub(super) fn new(
        id: u32,
        row: u32,
        place: Place,
        quantity: i64,
        account: &Account,
        instrument: &Instrument,
        quote: &Quote,
        business_date: i32,
        draw: &mut Draw,
    ) -> Order {
        let bits = draw.bits();
        let side = match (instrument.class, place.short, bits & 1 == 0) {
            (Class::Fund, _, true) => Side::Subscribe,
            (Class::Fund, _, false) => Side::Redeem,
            (_, false, true) => Side::Buy,
            (_, false, false) => Side::Sell,
            (_, true, true) => Side::BuyCover,
            (_, true, false) => Side::SellShort,
        };
        let percent = bits >> 8 & 0xff;
        let order_type = match instrument.class {
            Class::Fund => OrderType::Market,
            _ if percent < 180 => OrderType::Limit,
            _ if percent < 235 => OrderType::Market,
            _ if percent < 246 => OrderType::StopLimit,
            _ => OrderType::OnClose,
        };
        let time_in_force = match bits >> 16 & 0xff {
            _ if order_type == OrderType::OnClose => TimeInForce::Day,
            0..170 => TimeInForce::Day,
            170..245 => TimeInForce::GoodTillCancel,
            _ => TimeInForce::Immediate,
        };
        let limit = match order_type {
            OrderType::Limit | OrderType::StopLimit => {
                // From a hair beyond the price to some ticks away from it.
                let away = (bits >> 24 & 0xf) as i64 - 3;
                (quote.all_in() - side.sign() * away * instrument.tick).max(instrument.tick)
            }
            OrderType::Market | OrderType::OnClose => UNLIMITED,
        };
        Order {
            id,
            place,
            row,
            side,
            status: Status::New,
            time_in_force,
            business_date,
            day_cum: 0,
            leg: 0,
            order_type,
            trader: ((account.trader_first + (bits >> 32 & 0xff) as usize % 3) % TRADERS.len()) as u8,
            version: 0,
            quantity,
            lot: instrument.lot(quantity as f64 / QUANTITY_ONE as f64),
            cum: 0,
            notional: 0,
            limit,
            fill_quantity: 0,
            fill_price: 0,
        }
    }

    /// Brings a new order to where it stands when the market opens; `live_permille` of them are live.
    pub(super) fn open(
        &mut self,
        live_permille: u64,
        yesterday: i32,
        instrument: &Instrument,
        quote: &Quote,
        draw: &mut Draw,
    ) {
        let bits = draw.bits();
        let permille = |shift: u32| ((bits >> shift & 0xffff) * 1_000) >> 16;
        let live = permille(0) < live_permille;
        let share = permille(16);
        self.status = if live {
            match share {
                0..380 => Status::New,
                380..850 => Status::PartiallyFilled,
                850..890 => Status::PendingNew,
                890..930 => Status::PendingCancel,
                930..965 => Status::PendingReplace,
                965..990 => Status::Suspended,
                _ => Status::Stopped,
            }
        } else {
            match share {
                0..790 => Status::Filled,
                790..930 => Status::Cancelled,
                930..950 => Status::Rejected,
                950..975 => Status::Expired,
                975..985 => Status::DoneForDay,
                985..993 => Status::Calculated,
                _ => Status::Replaced,
            }
        };
        let lots = self.quantity / self.lot;
        let part = lots * (1 + (bits >> 32 & 0xf) as i64 % 9) / 10 * self.lot;
        let half_the_time = bits >> 36 & 1 == 0;
        let filled = match self.status {
            // Now and then the market fills more than was asked.
            Status::Filled if bits >> 40 & 0xff == 0 => self.quantity + self.lot,
            Status::Filled => self.quantity,
            Status::PartiallyFilled | Status::DoneForDay | Status::Calculated => part,
            Status::New | Status::PendingNew | Status::Rejected => 0,
            _ if half_the_time => part,
            _ => 0,
        };
        if filled == 0 && self.status == Status::PartiallyFilled {
            self.status = Status::New;
        }
        self.version = 1;
        if filled > 0 {
            // Somewhere on the way from the close to the price of now.
            let moved_ticks = (quote.all_in() - quote.sod) / instrument.tick;
            let back_ticks = moved_ticks * (bits >> 45 & 0x7) as i64 / 8;
            let near = |ticks: u64| {
                let away_ticks = ticks as i64 - 3 - back_ticks;
                self.within_limit(quote.all_in() + away_ticks * instrument.tick).max(instrument.tick)
            };
            let (price, other) = (near(bits >> 48 & 0x7), near(bits >> 53 & 0x7));
            let first = if bits >> 52 & 1 == 0 { filled } else { filled / self.lot / 3 * self.lot };
            if first > 0 {
                self.fill(first, price);
            }
            if first < filled {
                self.fill(filled - first, other);
            }
        }
        self.version += u32::from(self.status != Status::New);
        if live && self.time_in_force == TimeInForce::GoodTillCancel && filled > 0 && bits >> 57 & 1 == 0 {
            if bits >> 58 & 1 == 0 {
                // Not touched today: the day fields are still those of yesterday.
                self.business_date = yesterday;
            } else {
                // Filled yesterday, not yet today.
                self.restate(self.business_date);
            }
        } else if !live && bits >> 57 & 0x3f == 0 {
            self.business_date = yesterday;
        }
    }

    pub(super) fn is_live(&self) -> bool {
        matches!(
            self.status,
            Status::PendingNew
                | Status::New
                | Status::PartiallyFilled
                | Status::PendingCancel
                | Status::PendingReplace
                | Status::Suspended
                | Status::Stopped
        )
    }

    /// Whether more can happen to it: a replaced order comes back, one done for the day is worked tomorrow.
    pub(super) fn is_open(&self) -> bool {
        self.is_live()
            || self.status == Status::Replaced
            || (self.status == Status::DoneForDay && self.time_in_force == TimeInForce::GoodTillCancel)
    }

    /// Whether a bust or a correction can still reach it.
    pub(super) fn has_fill(&self) -> bool {
        self.fill_quantity > 0
    }

    /// The price, or the limit where the price is beyond it.
    fn within_limit(&self, price: i64) -> i64 {
        match (self.limit, self.side.sign()) {
            (UNLIMITED, _) => price,
            (limit, 1) => price.min(limit),
            (limit, _) => price.max(limit),
        }
    }

    fn fill(&mut self, quantity: i64, price: i64) {
        self.cum += quantity;
        self.day_cum += quantity;
        self.notional += i128::from(quantity) * i128::from(price);
        (self.fill_quantity, self.fill_price) = (quantity, price);
        self.version += 1;
    }

    /// The status of a live order that nothing is pending on.
    fn settle(&mut self) {
        self.status = if self.cum == 0 {
            Status::New
        } else if self.cum < self.quantity {
            Status::PartiallyFilled
        } else {
            Status::Filled
        };
    }

    /// Whether no record of it exists yet.
    pub(super) fn is_new(&self) -> bool {
        self.version == 0
    }

    /// The order reaches the market, which may take a while to acknowledge it.
    pub(super) fn accept(&mut self, draw: &mut Draw) {
        self.status = if draw.percent(30) { Status::PendingNew } else { Status::New };
        self.version = 1;
    }

    /// The next thing that happens to an open order.
    pub(super) fn advance(&mut self, instrument: &Instrument, quote: &Quote, draw: &mut Draw) {
        self.version += 1;
        let percent = draw.below(100);
        match self.status {
            Status::PendingNew if percent < 92 => self.status = Status::New,
            Status::PendingNew => self.status = Status::Rejected,
            Status::New | Status::PartiallyFilled => match percent {
                0..76 => self.fill_at_market(instrument, quote, draw),
                76..86 => self.status = Status::PendingCancel,
                86..93 => self.status = Status::PendingReplace,
                93..95 => self.status = Status::Suspended,
                95..96 => self.status = Status::Stopped,
                96..98 => self.status = Status::DoneForDay,
                98..99 => self.status = Status::Calculated,
                _ => self.status = Status::Expired,
            },
            // A fill can still come in, or the market refuses.
            Status::PendingCancel if percent < 80 => self.status = Status::Cancelled,
            Status::PendingCancel if percent < 92 => {
                self.fill_at_market(instrument, quote, draw);
                if self.status == Status::PartiallyFilled {
                    self.status = Status::PendingCancel;
                }
            }
            Status::PendingReplace if percent < 40 => self.status = Status::Replaced,
            Status::PendingReplace if percent < 85 => self.replace(instrument, quote, draw),
            Status::Replaced => self.replace(instrument, quote, draw),
            Status::Stopped => self.fill_at_market(instrument, quote, draw),
            _ => self.settle(),
        }
    }

    /// One execution near the price: all that is left or some lots of it, seldom a lot too many.
    fn fill_at_market(&mut self, instrument: &Instrument, quote: &Quote, draw: &mut Draw) {
        let left = (self.quantity - self.cum).max(self.lot);
        let quantity = match draw.below(100) {
            0 => left + self.lot,
            1..40 => left,
            share => (left / self.lot * (share as i64 - 30) / 100).max(1) * self.lot,
        };
        let market = quote.all_in() + self.side.sign() * draw.between(-1, 1) * instrument.tick;
        let price = self.within_limit(market);
        // `fill` counts its own event, which `advance` has counted already.
        self.version -= 1;
        self.fill(quantity, price.max(instrument.tick));
        self.settle();
    }

    /// The client's change takes effect: another quantity, and another limit where there is one.
    fn replace(&mut self, instrument: &Instrument, quote: &Quote, draw: &mut Draw) {
        let lots = self.quantity / self.lot * draw.between(50, 180) / 100;
        self.quantity = (lots.max(1) * self.lot).max(self.cum + self.lot);
        if self.limit != UNLIMITED {
            self.limit = (quote.all_in() - self.side.sign() * draw.between(-3, 8) * instrument.tick)
                .max(instrument.tick);
        }
        self.settle();
    }

    /// The last fill did not happen after all. A cancelled order stays cancelled.
    pub(super) fn bust(&mut self) {
        self.cum -= self.fill_quantity;
        self.day_cum -= self.fill_quantity;
        self.notional -= i128::from(self.fill_quantity) * i128::from(self.fill_price);
        self.fill_quantity = 0;
        self.version += 1;
        assert!(
            self.day_cum >= 0 && (self.day_cum > 0 || self.notional == 0),
            "a bust takes back what was filled"
        );
        if matches!(self.status, Status::Filled | Status::PartiallyFilled) {
            self.settle();
        }
    }

    /// The last fill had another price.
    pub(super) fn correct(&mut self, ticks: i64, tick: i64) {
        let price = (self.fill_price + ticks * tick).max(tick);
        self.notional += i128::from(self.fill_quantity) * i128::from(price - self.fill_price);
        self.fill_price = price;
        self.version += 1;
    }

    /// The day ended with the order unfilled.
    pub(super) fn expire(&mut self) {
        self.status = Status::Expired;
        self.version += 1;
    }

    /// Carries the order into another day: earlier fills stay in `cum`, the day's begin at nothing.
    pub(super) fn restate(&mut self, business_date: i32) {
        self.business_date = business_date;
        (self.day_cum, self.notional, self.leg, self.fill_quantity) = (0, 0, 0, 0);
        if self.status == Status::DoneForDay {
            self.settle();
        }
        self.version += 1;
    }

    /// The average price of the day's fills, rounded half to even to 1e-8; 0 where there are none.
    pub(super) fn day_average(&self) -> i64 {
        match self.day_cum {
            0 => 0,
            // One fill needs no division of 128 bits.
            quantity if quantity == self.fill_quantity => self.fill_price,
            quantity => divide_half_even(self.notional, i128::from(quantity)) as i64,
        }
    }

    /// A row of `base.order_events`: the order's whole state.
    pub(super) fn row(
        &self,
        account: &Account,
        instrument: &Instrument,
        codes: &Codes,
        at: Timestamp,
    ) -> [Datum; 18] {
        let day_average = self.day_average();
        [
            Datum::from(self.id),
            Datum::from(self.business_date),
            account.id,
            instrument.id,
            codes.sleeves[usize::from(self.place.sleeve)],
            codes.sides[self.side as usize],
            Datum::from(self.quantity),
            Datum::from(self.cum),
            Datum::from(self.day_cum),
            if self.day_cum == 0 { NULL } else { Datum::from(day_average) },
            codes.statuses[self.status as usize],
            codes.order_types[self.order_type as usize],
            if self.limit == UNLIMITED { NULL } else { Datum::from(self.limit) },
            codes.times_in_force[self.time_in_force as usize],
            codes.traders[usize::from(self.trader)],
            instrument.venue,
            Datum::from(self.version),
            Datum::from(at),
        ]
    }
}
